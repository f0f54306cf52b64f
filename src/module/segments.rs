//! Segments that the program copies from itself: elements for tables, and data that no address is given to.

use crate::error::Result;
use crate::module::Module;
use crate::module::handle::{DeclId, Relocation};
use crate::module::items::ConstExpr;
use crate::module::value_type::RefType;
use crate::program::{DeclKind, Definition, DefinitionKind, RelocKind};
use crate::wire::leb;

/// Elements for tables, to be given to [`Module::define_elements`]. They stand ready for `table.init`, unless they are said to be
/// something else.
#[derive(Debug, Clone)]
pub struct Elements {
    mode: Mode,
    items: Items,
}

#[derive(Debug, Clone)]
enum Mode {
    Passive,
    Active(DeclId, ConstExpr),
    Declared,
}

#[derive(Debug, Clone)]
enum Items {
    Functions(Vec<DeclId>),
    Values(RefType, Vec<ConstExpr>),
}

impl Elements {
    /// References to functions.
    pub fn functions(functions: impl IntoIterator<Item = DeclId>) -> Elements {
        Elements {
            mode: Mode::Passive,
            items: Items::Functions(functions.into_iter().collect()),
        }
    }

    /// References of a type.
    pub fn values(ty: RefType, values: impl IntoIterator<Item = ConstExpr>) -> Elements {
        Elements {
            mode: Mode::Passive,
            items: Items::Values(ty, values.into_iter().collect()),
        }
    }

    /// Functions that code refers to by `ref.func`, and that nothing else may name: they are put into no table.
    pub fn declared(functions: impl IntoIterator<Item = DeclId>) -> Elements {
        Elements {
            mode: Mode::Declared,
            items: Items::Functions(functions.into_iter().collect()),
        }
    }

    /// Puts them into a table when the module is instantiated, from an entry on.
    #[must_use]
    pub fn active(mut self, table: DeclId, first: ConstExpr) -> Elements {
        self.mode = Mode::Active(table, first);
        self
    }

    /// The entry of the element section, in the form that names everything. The table's index has one byte, which tells the
    /// segment from that of the slots.
    fn encode(&self) -> (Vec<u8>, Vec<Relocation>) {
        let (mut bytes, mut relocs) = (Vec::new(), Vec::new());
        let flags = match self.mode {
            Mode::Passive => 1,
            Mode::Active(..) => 2,
            Mode::Declared => 3,
        };
        let is_expressions = matches!(self.items, Items::Values(..));
        bytes.push(flags | u8::from(is_expressions) << 2);
        if let Mode::Active(table, first) = self.mode {
            let at = bytes.len() as u32;
            relocs.push(Relocation::new(RelocKind::TableByte, at, table, 0));
            bytes.push(0);
            first.push(&mut bytes, &mut relocs);
        }
        match &self.items {
            Items::Functions(functions) => {
                bytes.push(0);
                leb::push_unsigned(&mut bytes, functions.len() as u64);
                for function in functions {
                    let at = bytes.len() as u32;
                    relocs.push(Relocation::new(RelocKind::FunctionIndex, at, *function, 0));
                    bytes.resize(bytes.len() + leb::WIDE32, 0);
                }
            }
            Items::Values(ty, values) => {
                ty.push(&mut bytes, &mut relocs);
                leb::push_unsigned(&mut bytes, values.len() as u64);
                for value in values {
                    value.push(&mut bytes, &mut relocs);
                }
            }
        }
        (bytes, relocs)
    }
}

impl Module {
    /// Defines or redefines an element segment.
    ///
    /// # Errors
    /// If `id` is not [`DeclKind::ElementSegment`], it names something of the wrong kind, or the table is that of the slots, which
    /// wasmend fills.
    pub fn define_elements(&mut self, id: DeclId, elements: &Elements) -> Result<()> {
        let id = self.find(id)?;
        if let Mode::Active(table, _) = elements.mode {
            let table = self.find(table)?;
            self.expect_own(table)?;
        }
        let (bytes, relocs) = elements.encode();
        let content = self.content(bytes, &relocs);
        let content = content.map_err(|error| error.with_symbol(self.label(id)))?;
        let shape = DefinitionKind::ElementSegment;
        let definition = Definition { content, shape };
        self.program
            .define(id, DeclKind::ElementSegment, definition)
    }

    /// Defines or redefines a data segment: bytes for `memory.init`, which stand nowhere until then. Data with an address of its
    /// own is [`define_data`](Self::define_data)'s.
    ///
    /// # Errors
    /// If `id` is not [`DeclKind::DataSegment`].
    pub fn define_data_segment(&mut self, id: DeclId, data: &[u8]) -> Result<()> {
        let id = self.find(id)?;
        let mut bytes = Vec::with_capacity(data.len() + 1 + leb::WIDE32);
        bytes.push(1);
        leb::push_unsigned(&mut bytes, data.len() as u64);
        bytes.extend_from_slice(data);
        let content = self.content(bytes, &[])?;
        let shape = DefinitionKind::DataSegment;
        self.program
            .define(id, DeclKind::DataSegment, Definition { content, shape })
    }
}
