//! What a compiler says of a function for debuggers, as data: where its code comes from, and what its locals are called. It knows
//! neither how that is encoded nor where it goes.

mod dwarf;
mod parts;

use crate::module::body::Position;
use crate::module::value_type::ValType;

/// Debug information of a function: its name, lines and locals. It goes along with the function
/// ([`Function::with_debug_info`](crate::Function::with_debug_info)), is written as DWARF, each function's apart from all others',
/// and follows the code wherever that goes. An edit of a function rewrites what is said of it, and nothing else.
///
/// ```
/// use wasmend::{DebugInfo, DeclKind, FunctionBuilder, Instruction, Module, ModuleOptions, ValType};
///
/// # fn main() -> wasmend::Result<()> {
/// let mut module = Module::in_memory(ModuleOptions::default())?;
/// let answer = module.declare(DeclKind::Function, "answer")?;
/// let mut body = FunctionBuilder::new(module.body_style(), &[ValType::I32], &[ValType::I32]);
/// let mut info = DebugInfo::new("answer", "src/deep.lang", 10).in_folder("/home/me/project");
/// info.local(0, "question", "int", ValType::I32);
/// info.row(body.position(), 11, 5);
/// body.op(&Instruction::LocalGet(0)).op(&Instruction::I32Const(6));
/// info.row(body.position(), 12, 5);
/// body.op(&Instruction::I32Mul);
/// module.define_function(answer, body.finish()?.with_debug_info(info))?;
/// module.commit()?;
/// // The same for browsers, which look at it only where a module has no DWARF.
/// let map = wasmend::inspect::source_map(&module.bytes()?)?;
/// assert!(map.contains("/home/me/project/src/deep.lang"));
/// let served = wasmend::inspect::without_dwarf(&module.bytes()?)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DebugInfo {
    name: String,
    folder: String,
    /// The first is the function's own.
    files: Vec<String>,
    line: u32,
    rows: Vec<Row>,
    locals: Vec<Local>,
}

/// From a place on, code comes from a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Row {
    position: Position,
    /// Which of the files.
    file: u32,
    line: u32,
    column: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Local {
    index: u32,
    name: String,
    type_name: String,
    ty: ValType,
}

impl DebugInfo {
    /// A function of this name, which a source file declares at a line.
    pub fn new(name: impl Into<String>, file: impl Into<String>, line: u32) -> DebugInfo {
        DebugInfo {
            name: name.into(),
            folder: String::new(),
            files: vec![file.into()],
            line,
            rows: Vec::new(),
            locals: Vec::new(),
        }
    }

    /// Where files are that are named relatively.
    #[must_use]
    pub fn in_folder(mut self, folder: impl Into<String>) -> DebugInfo {
        self.folder = folder.into();
        self
    }

    /// From a position on, the code comes from this line and column of the function's file. Both are counted from 1; a column of
    /// 0 is not known.
    pub fn row(&mut self, position: Position, line: u32, column: u32) -> &mut Self {
        self.push(position, 0, line, column)
    }

    /// The same of another file, as is so with code that was inlined or made by a macro.
    pub fn row_in(&mut self, position: Position, file: &str, line: u32, column: u32) -> &mut Self {
        let known = self.files.iter().position(|known| known == file);
        let at = known.unwrap_or_else(|| {
            self.files.push(file.to_owned());
            self.files.len() - 1
        });
        self.push(position, at as u32, line, column)
    }

    fn push(&mut self, position: Position, file: u32, line: u32, column: u32) -> &mut Self {
        self.rows.push(Row {
            position,
            file,
            line,
            column,
        });
        self
    }

    /// What a local or parameter is called, and its type: the name that it has in the source, and the type of its values.
    pub fn local(
        &mut self,
        index: u32,
        name: impl Into<String>,
        type_name: impl Into<String>,
        ty: ValType,
    ) -> &mut Self {
        self.locals.push(Local {
            index,
            name: name.into(),
            type_name: type_name.into(),
            ty,
        });
        self
    }
}
