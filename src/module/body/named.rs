//! Instructions of any kind with the names of what they name. What is an index in them is found by reading them, so there is
//! none that could be forgotten.

use wasm_encoder::{Encode, Instruction};

use crate::error::{Error, Result};
use crate::module::body::builder::FunctionBuilder;
use crate::module::body::scan;
use crate::module::handle::{DeclId, TypeId};
use crate::module::value_type::ValType;
use crate::program::{self, RelocKind, Relocation};

/// Something that an instruction names, for [`FunctionBuilder::naming`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Name<'a> {
    /// A declaration.
    Declaration(DeclId),
    /// A type that the module has defined.
    Type(TypeId),
    /// The type of functions with these parameters and results.
    Signature(&'a [ValType], &'a [ValType]),
}

impl From<DeclId> for Name<'_> {
    fn from(id: DeclId) -> Self {
        Name::Declaration(id)
    }
}

impl From<TypeId> for Name<'_> {
    fn from(ty: TypeId) -> Self {
        Name::Type(ty)
    }
}

impl FunctionBuilder {
    /// Adds any instruction. Where it has an index, be it of a function, a type, a table, a memory or whatever else, that is
    /// the position of the name in `names`; each may be named more than once. Labels, locals, fields and lanes are numbers as
    /// ever.
    ///
    /// ```
    /// # use wasmend::{BodyStyle, DeclId, FunctionBuilder, Instruction, TypeId};
    /// # fn f(body: &mut FunctionBuilder, point: TypeId, table: DeclId) {
    /// body.naming(&[point.into()], &Instruction::StructGet { struct_type_index: 0, field_index: 7 });
    /// body.naming(&[point.into(), table.into()], &Instruction::CallIndirect { type_index: 0, table_index: 1 });
    /// # }
    /// ```
    ///
    /// What is wrong with it is said when the body is finished.
    pub fn naming(&mut self, names: &[Name<'_>], instruction: &Instruction<'_>) -> &mut Self {
        let mut code = Vec::new();
        instruction.encode(&mut code);
        if let Err(error) = self.read(names, &code) {
            let text = format!("{instruction:?}: {}", error.message());
            let at = self.function.bytes.len();
            self.fail(Error::bad_edit(text).with_offset(at as u64));
        }
        self
    }

    fn read(&mut self, names: &[Name<'_>], code: &[u8]) -> Result<()> {
        let types: Vec<_> = (0..names.len() as u32).map(program::TypeId).collect();
        let read = scan::read(code, &types)?;
        let mut at = 0;
        for reloc in &read.relocs {
            let field = reloc.offset as usize;
            self.raw(&read.out[at..field]);
            self.name_in(names, reloc)?;
            at = field + reloc.kind.width();
        }
        self.raw(&read.out[at..]);
        self.function.tail_calls |= read.tail_calls;
        Ok(())
    }

    /// Adds the field that a relocation is for, whose target is a position in `names`.
    fn name_in(&mut self, names: &[Name<'_>], reloc: &Relocation) -> Result<()> {
        let kind = reloc.kind;
        let name = names.get(reloc.target as usize);
        match name {
            Some(Name::Declaration(id)) if kind == RelocKind::TableByte => {
                self.field(RelocKind::TableIndex, *id, 0)
            }
            Some(Name::Declaration(id)) if !kind.targets_type() => self.field(kind, *id, 0),
            Some(Name::Type(ty)) if kind.targets_type() => self.type_field(kind, *ty),
            Some(Name::Signature(params, results)) if kind.targets_type() => {
                let signature = self.signature(params, results);
                self.signature_field(kind, signature)
            }
            Some(name) => {
                let text = format!("has {name:?} where it names something else");
                return Err(Error::bad_edit(text));
            }
            None => {
                let text = format!(
                    "names {}, but there are {} names",
                    reloc.target,
                    names.len()
                );
                return Err(Error::bad_edit(text));
            }
        };
        Ok(())
    }
}
