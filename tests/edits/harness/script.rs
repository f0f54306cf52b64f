//! Edits as data, and how a script reads.

use super::model::{Blob, Def, Init, Name, Op, Sig, Ty};

/// One edit. Whatever it names is declared first if it does not exist, so any part of a script is a script.
#[derive(Debug, Clone, PartialEq)]
pub enum Edit {
    /// Defines or redefines.
    Define(Name, Def),
    /// Defines as a part of another declaration; `true` if it has a name of its own.
    Part(Name, Name, Def, bool),
    Remove(Name),
    /// Defines as a part that several others can own, unless it is there, and gives it this owner.
    Shared(Name, Name, Def),
    /// Declares what is not there yet of these on several threads at once, and defines it; `true` for a part of the first.
    Reserve(Vec<(Name, Def, bool)>),
    /// Takes an owner of such a part away.
    Disown(Name, Name),
    /// Takes back what was said of one thing since the last commit; `true` for one that was removed.
    Revert(Name, bool),
    /// Makes a clone, which is given the same edits from here on; that of before goes its own way.
    Clone,
    Export(String, Name),
    Unexport(String),
    Start(Option<Name>),
    /// Asks for the next commit to rebuild the output.
    Relink,
    Discard,
    Commit,
}

impl Edit {
    /// What kind of edit it is.
    pub fn word(&self) -> &'static str {
        match self {
            Edit::Define(..) => "define",
            Edit::Part(..) => "part",
            Edit::Remove(_) => "remove",
            Edit::Shared(..) => "share",
            Edit::Reserve(_) => "reserve",
            Edit::Disown(..) => "disown",
            Edit::Revert(_, false) => "revert",
            Edit::Revert(_, true) => "bring back",
            Edit::Clone => "clone",
            Edit::Export(..) => "export",
            Edit::Unexport(_) => "unexport",
            Edit::Start(_) => "start",
            Edit::Relink => "relink",
            Edit::Discard => "discard",
            Edit::Commit => "commit",
        }
    }
}

/// Defines a function.
pub fn function(name: Name, sig: Sig, ops: &[Op]) -> Edit {
    Edit::Define(name, Def::Function(sig, ops.to_vec()))
}

/// Imports a function.
pub fn import(name: Name, sig: Sig) -> Edit {
    Edit::Define(name, Def::ImportFunction(sig))
}

/// Defines a mutable global.
pub fn global(name: Name, ty: Ty, value: i64) -> Edit {
    let init = Init::Value(ty, value);
    Edit::Define(
        name,
        Def::Global {
            mutable: true,
            init,
        },
    )
}

/// Imports a global.
pub fn import_global(name: Name, ty: Ty, mutable: bool) -> Edit {
    Edit::Define(name, Def::ImportGlobal { ty, mutable })
}

/// Defines data of so many bytes behind its header.
pub fn data(name: Name, len: u16) -> Edit {
    let blob = Blob {
        len,
        align_log2: 2,
        ..Blob::default()
    };
    Edit::Define(name, Def::Data(blob))
}

/// Exports under a name.
pub fn export(field: &str, name: Name) -> Edit {
    Edit::Export(field.into(), name)
}

/// Takes an export away.
pub fn unexport(field: &str) -> Edit {
    Edit::Unexport(field.into())
}
