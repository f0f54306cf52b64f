//! Pieces of custom sections: bytes with fields that wasmend fills in.

use crate::error::{Error, Result};
use crate::module::Module;
use crate::module::handle::{DeclId, Relocation};
use crate::program::{
    Bytes, DeclKind, Definition, DefinitionKind, RelocKind, RelocatableBytes, SectionId,
};
use crate::wire::dwarf::Filler;
use crate::wire::gap::GapFiller;
use crate::wire::section::is_reserved;

/// A piece of a custom section: one object's part of the debug information, for example.
///
/// Its fields are little-endian and of fixed width. What they refer to need not be defined: such a field gets what the
/// section's readers take for something that is not there (see [`Module::custom_section`]), and gets a value when its
/// target is defined. A target is not kept from being removed.
///
/// ```
/// use wasmend::{DeclKind, FunctionBuilder, Module, ModuleOptions, Piece, RelocKind, Relocation};
///
/// # fn main() -> wasmend::Result<()> {
/// let mut module = Module::in_memory(ModuleOptions::default())?;
/// let function = module.declare(DeclKind::Function, "f")?;
/// module.define_function(function, FunctionBuilder::new(module.body_style(), &[], &[]).finish()?)?;
/// let section = module.custom_section(".debug_info")?;
/// let piece = module.declare(DeclKind::Custom, "f's unit")?;
/// // Bytes 0 to 4 say where the function's code stands, whatever becomes of it.
/// let place = Relocation::new(RelocKind::FunctionOffsetI32, 0, function, 0);
/// module.define_piece(piece, section, Piece::new(vec![0; 4]).with_fields([place]))?;
/// module.commit()?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Piece {
    bytes: Bytes,
    relocs: Vec<Relocation>,
}

impl Piece {
    /// Bytes without fields yet.
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        Piece {
            bytes: bytes.into(),
            relocs: Vec::new(),
        }
    }

    /// Fields of any kind that [`RelocKind::is_little_endian`] allows, in any order.
    #[must_use]
    pub fn with_fields(mut self, fields: impl IntoIterator<Item = Relocation>) -> Self {
        self.relocs.extend(fields);
        self
    }

    fn with(self, kind: RelocKind, offset: u32, target: DeclId, addend: i32) -> Self {
        self.with_fields([Relocation::new(kind, offset, target, addend)])
    }

    /// Puts at `offset` where a function's body stands, from the beginning of the code section's contents to its local
    /// declarations, plus `addend` (four bytes).
    #[must_use]
    pub fn with_function_offset(self, offset: u32, function: DeclId, addend: i32) -> Self {
        self.with(RelocKind::FunctionOffsetI32, offset, function, addend)
    }

    /// The same in eight bytes.
    #[must_use]
    pub fn with_function_offset64(self, offset: u32, function: DeclId, addend: i32) -> Self {
        self.with(RelocKind::FunctionOffsetI64, offset, function, addend)
    }

    /// Puts at `offset` where another piece stands in the contents of its section, plus `addend` (four bytes).
    #[must_use]
    pub fn with_section_offset(self, offset: u32, piece: DeclId, addend: i32) -> Self {
        self.with(RelocKind::SectionOffsetI32, offset, piece, addend)
    }

    /// Puts the address of data plus `addend` at `offset` (four bytes).
    #[must_use]
    pub fn with_address(self, offset: u32, data: DeclId, addend: i32) -> Self {
        self.with(RelocKind::AddressI32, offset, data, addend)
    }

    /// Puts a function's index at `offset` (four bytes).
    #[must_use]
    pub fn with_function_index(self, offset: u32, function: DeclId) -> Self {
        self.with(RelocKind::FunctionIndexI32, offset, function, 0)
    }

    /// Puts a function's address at `offset`: its slot, or 0 if nothing takes its address (four bytes).
    #[must_use]
    pub fn with_function(self, offset: u32, function: DeclId) -> Self {
        self.with(RelocKind::SlotI32, offset, function, 0)
    }

    /// Puts a global's index at `offset` (four bytes).
    #[must_use]
    pub fn with_global_index(self, offset: u32, global: DeclId) -> Self {
        self.with(RelocKind::GlobalIndexI32, offset, global, 0)
    }
}

impl Module {
    /// The custom section of this name, for [`Module::define_piece`]. It is written while it has pieces. Sections stand
    /// in the order in which they are first named, and pieces in theirs, as far as edits let them; but the largest piece
    /// of a section of debug information stands last, where it can grow.
    ///
    /// In sections of debug information (DWARF, in its 32-bit format) gaps are filled with what their readers step over;
    /// a field whose target is not there holds -1, or -2 in `.debug_ranges` and `.debug_loc`, as wasm-ld writes it. Any
    /// other section has no gaps: its pieces keep their order, and where one goes or has another length, all that stand
    /// behind it are written again. Where that is much, name what may stand between them
    /// ([`Module::custom_section_filled`]). A field without a target holds its addend there (-1 in `llvm.func_attr.*`).
    ///
    /// # Errors
    /// If wasmend writes a section of this name itself, or there are 65,536 sections.
    pub fn custom_section(&mut self, name: &str) -> Result<SectionId> {
        self.check_section(name)?;
        Ok(self.program_mut().section(name))
    }

    /// A custom section of one's own whose readers step over `filler`, as [`Module::custom_section`]: it may have gaps, so
    /// that an edit of a piece writes that piece and what it leaves, however many others there are. A piece that outgrows
    /// its place goes elsewhere, or gets some room behind it. Where a gap cannot be filled, what stands behind it closes up.
    ///
    /// ```
    /// use wasmend::{DeclKind, GapFiller, Module, ModuleOptions, Piece};
    ///
    /// # fn main() -> wasmend::Result<()> {
    /// let mut module = Module::in_memory(ModuleOptions::default())?;
    /// // Notes are strings that end with a zero; empty ones mean nothing.
    /// let notes = module.custom_section_filled("notes", GapFiller::repeat([0]))?;
    /// for text in ["first\0", "second\0"] {
    ///     let piece = module.declare(DeclKind::Custom, text)?;
    ///     module.define_piece(piece, notes, Piece::new(text.as_bytes().to_vec()))?;
    /// }
    /// module.commit()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Module::custom_section`]; if the section has been named before without this filler, or it is one of those that
    /// wasmend knows how to fill.
    pub fn custom_section_filled(&mut self, name: &str, filler: GapFiller) -> Result<SectionId> {
        self.check_section(name)?;
        if !Filler::of(name, false).is_none() {
            let text = format!("wasmend fills gaps in \"{name}\" as its readers expect it");
            return Err(Error::bad_edit(text));
        }
        match self.program().find_section(name) {
            None => Ok(self.program_mut().add_section(name, Some(filler))),
            Some(id) if self.program().filler(id) == Some(&filler) => Ok(id),
            Some(_) => {
                let text = format!("the custom section \"{name}\" is there with another filler");
                let hint = "name the filler when the section is first named";
                Err(Error::bad_edit(text).with_hint(hint))
            }
        }
    }

    fn check_section(&self, name: &str) -> Result<()> {
        if is_reserved(name) {
            return Err(Error::bad_edit(format!(
                "a custom section cannot be called \"{name}\""
            )));
        }
        if self.program().sections().len() > usize::from(u16::MAX) {
            return Err(Error::limit("there can be 65,536 custom sections"));
        }
        Ok(())
    }

    /// Defines or redefines a piece of a custom section.
    ///
    /// # Errors
    /// If `id` is not [`DeclKind::Custom`], a field lies outside the bytes or overlaps another, is of a kind that custom
    /// sections do not have, or refers to something of the wrong kind or that is not declared.
    pub fn define_piece(&mut self, id: DeclId, section: SectionId, piece: Piece) -> Result<()> {
        let id = self.find(id)?;
        let fields = self.tag.resolve(self.program(), &piece.relocs, &[]);
        let fields = fields.map_err(|error| error.with_symbol(self.label(id)))?;
        let content = RelocatableBytes::new(piece.bytes, fields);
        let content = content.map_err(|error| error.with_symbol(self.label(id)))?;
        if content.len() > u32::MAX as usize {
            return Err(Error::limit("has more than 4 GiB").with_symbol(self.label(id)));
        }
        let shape = DefinitionKind::Custom { section };
        self.program_mut()
            .define(id, DeclKind::Custom, Definition { content, shape })
    }
}
