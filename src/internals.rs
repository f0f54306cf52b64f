//! The door for the project's own tests, benches and fuzz targets, which look at what single phases of a link made.
//!
//! Nothing here is a part of the interface: it changes without notice, and nobody else is to come in by it.

/// Objects and archives as they are read.
pub mod object {
    pub use crate::object::*;

    /// Places in an object's tables.
    pub mod ids {
        pub use crate::object::ids::*;
    }

    /// Relocations.
    pub mod reloc {
        pub use crate::object::reloc::*;
    }
}

/// The phases of a link.
pub mod link {
    pub use crate::link::gc::Live;
    pub use crate::link::inputs::Inputs;
    pub use crate::link::resolve::units::{LinkedObject, SymbolRef};
    pub use crate::link::resolve::{Resolution, resolve};
    use crate::link::{Failed, LinkOptions, LinkReport, Linked, Target};

    /// Links objects that never were files.
    ///
    /// # Errors
    /// Those of [`Linked::link`].
    pub fn link_inputs(
        inputs: Inputs,
        options: LinkOptions,
        target: Target,
    ) -> Result<(Linked, LinkReport), Failed> {
        Linked::of_inputs(inputs, options, target)
    }

    /// What is said of a link.
    pub mod diagnostics {
        pub use crate::link::diagnostics::*;
    }

    /// What can be reached.
    pub mod gc {
        pub use crate::link::gc::*;
    }

    /// What stands where.
    pub mod order {
        pub use crate::link::order::*;
    }

    /// Symbols of the program.
    pub mod symbols {
        pub use crate::link::symbols::*;
    }

    /// Symbols that nothing defines.
    pub mod undefined {
        pub use crate::link::resolve::undefined::*;
    }
}
