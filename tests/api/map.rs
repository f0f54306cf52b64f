//! The layout map: after any edits it accounts for every byte and knows every function; of any bytes at all it makes a
//! map or an error.
//!
//! Run: `inspect::Map::read`, on what `Module::commit` published after random edits of twelve functions, on the same with bytes
//! changed or cut off, and on the modules of `tests/modules`.

use proptest::prelude::*;
use wasm_encoder::Instruction;
use wasmend::inspect::{FunctionRole, Map, PartKind};
use wasmend::{
    DeclId, DeclKind, FunctionBuilder, ImportType, Module, ModuleOptions, Redirect, Types, ValType,
};

const I32: &[ValType] = &[ValType::I32];
const FUNCTIONS: usize = 12;

/// What happens to one of the functions.
#[derive(Debug, Clone)]
enum Edit {
    /// It is defined with so many additions, and calls the one before it or does not.
    Define(usize, usize, bool),
    /// It is taken away, if nothing calls it.
    Remove(usize),
    /// A function is imported.
    Import,
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let edit = prop_oneof![
        8 => (0..FUNCTIONS, 0usize..200, any::<bool>()).prop_map(|(at, size, calls)| Edit::Define(at, size, calls)),
        2 => (0..FUNCTIONS).prop_map(Edit::Remove),
        1 => Just(Edit::Import),
    ];
    prop::collection::vec(edit, 1..60)
}

struct Program {
    module: Module,
    /// The functions that exist, and whether each calls the one before it.
    functions: [Option<(DeclId, bool)>; FUNCTIONS],
    imports: usize,
}

impl Program {
    fn new(redirect: Redirect, types: Types) -> Program {
        // One caller is enough for a forwarder, so that there are some.
        let options = ModuleOptions {
            redirect,
            types,
            fan_in: 0,
            ..ModuleOptions::default()
        };
        let module = Module::in_memory(options).expect("can be created");
        Program {
            module,
            functions: [None; FUNCTIONS],
            imports: 0,
        }
    }

    fn apply(&mut self, edit: &Edit) {
        match *edit {
            Edit::Define(at, size, calls) => {
                let callee = at
                    .checked_sub(1)
                    .and_then(|at| self.functions[at])
                    .filter(|_| calls);
                let mut body = FunctionBuilder::new(self.module.body_style(), I32, I32);
                body.op(&Instruction::LocalGet(0));
                for number in 0..size {
                    body.op(&Instruction::I32Const(number as i32))
                        .op(&Instruction::I32Add);
                }
                if let Some((callee, _)) = callee {
                    body.call(callee, I32, I32);
                }
                let id = match self.functions[at] {
                    Some((id, _)) => id,
                    None => {
                        let id = self
                            .module
                            .declare(DeclKind::Function, &format!("f{at}"))
                            .expect("is free");
                        self.module
                            .export(&format!("e{at}"), id)
                            .expect("is declared");
                        id
                    }
                };
                self.module
                    .define_function(id, body.finish().expect("a body"))
                    .expect("is a function");
                self.functions[at] = Some((id, callee.is_some()));
            }
            Edit::Remove(at) => {
                let called = self
                    .functions
                    .get(at + 1)
                    .is_some_and(|next| next.is_some_and(|(_, calls)| calls));
                if let Some((id, _)) = self.functions[at].filter(|_| !called) {
                    self.module.unexport(&format!("e{at}"));
                    self.module.remove(id).expect("is declared");
                    self.functions[at] = None;
                }
            }
            Edit::Import => {
                let name = format!("import{}", self.imports);
                let id = self
                    .module
                    .declare(DeclKind::Function, &name)
                    .expect("is free");
                let ty = ImportType::Function(I32.to_vec(), Vec::new());
                self.module
                    .define_import(id, "env", &name, &ty)
                    .expect("is a function");
                self.imports += 1;
            }
        }
        self.module.commit().expect("is published");
    }
}

fn parts_follow_one_another(map: &Map) -> Result<(), TestCaseError> {
    let mut at = 0;
    for part in &map.parts {
        prop_assert_eq!(part.offset, at);
        prop_assert_eq!(
            part.header + part.used + part.unreached + part.slack,
            part.len
        );
        prop_assert!(part.kind != PartKind::Pad || part.slack == part.len);
        at += part.len;
    }
    prop_assert_eq!(at, map.file_len);
    let totals = map.totals();
    prop_assert_eq!(
        totals.header + totals.used + totals.unreached + totals.slack + totals.pad,
        map.file_len
    );
    Ok(())
}

fn check(program: &Program, redirect: Redirect) -> Result<(), TestCaseError> {
    let bytes = program.module.bytes().expect("is there");
    let map = Map::read(&bytes).expect("is a module");
    parts_follow_one_another(&map)?;
    let found = map.identity.map(|file| file.identity);
    prop_assert_eq!(found, Some(program.module.identity()));
    prop_assert_eq!(map.imported_functions as usize, program.imports);

    // The code entries fill the code section.
    if let Some(code) = map.parts.iter().find(|part| part.name == "code") {
        let mut at = code.offset + code.header;
        for function in &map.functions {
            prop_assert_eq!(function.offset, at);
            prop_assert!(function.filler <= function.len);
            at += function.len;
        }
        prop_assert_eq!(at, code.offset + code.len);
    }

    // All that exists is exported, so the bodies are just what exists, each under its name.
    let bodies = map
        .functions
        .iter()
        .filter(|function| function.role == FunctionRole::Body);
    let mut names: Vec<&str> = bodies
        .filter_map(|function| function.name.as_deref())
        .collect();
    names.sort_unstable();
    let mut expected: Vec<String> = (0..FUNCTIONS)
        .filter(|at| program.functions[*at].is_some())
        .map(|at| format!("f{at}"))
        .collect();
    expected.sort_unstable();
    prop_assert_eq!(names, expected);

    for function in &map.functions {
        let target = || {
            let index = function
                .target
                .expect("passes calls on")
                .checked_sub(map.imported_functions);
            let index = index.expect("passes calls on to code");
            map.functions[index as usize].role
        };
        match function.role {
            FunctionRole::Thunk => {
                prop_assert!(false, "a thunk where no instance is patched");
            }
            FunctionRole::Forwarder => {
                prop_assert_ne!(redirect, Redirect::Table);
                prop_assert_eq!(target(), FunctionRole::Body);
            }
            _ => prop_assert_eq!(function.target, None),
        }
    }
    Ok(())
}

/// Indices of defined functions, and so their names, follow those of imported ones.
#[test]
fn an_import_before_the_first_function() {
    let mut program = Program::new(Redirect::Table, Types::PerDeclaration);
    for edit in [Edit::Import, Edit::Define(0, 0, false)] {
        program.apply(&edit);
        check(&program, Redirect::Table).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn every_byte_is_accounted_for(edits in edits(), mode in 0usize..6) {
        let redirect = [Redirect::Table, Redirect::TableThunks, Redirect::Direct][mode % 3];
        let types = [Types::PerDeclaration, Types::Interned][mode / 3];
        let mut program = Program::new(redirect, types);
        for edit in &edits {
            program.apply(edit);
            check(&program, redirect)?;
        }
    }

    /// Whatever bytes change, there is no panic, and a map still accounts for all bytes.
    #[test]
    fn damaged_files_are_maps_or_errors(edits in edits(), damage in prop::collection::vec((any::<u16>(), any::<u8>()), 1..6)) {
        let mut program = Program::new(Redirect::TableThunks, Types::PerDeclaration);
        edits.iter().for_each(|edit| program.apply(edit));
        let mut bytes = program.module.bytes().expect("is there");
        for (at, byte) in damage {
            let at = usize::from(at) % bytes.len();
            bytes[at] = byte;
        }
        if let Ok(map) = Map::read(&bytes) {
            parts_follow_one_another(&map)?;
        }
    }
}

#[test]
fn a_file_cut_anywhere_is_a_map_or_an_error() {
    let mut program = Program::new(Redirect::Table, Types::PerDeclaration);
    for at in 0..4 {
        program.apply(&Edit::Define(at, 10, true));
    }
    let bytes = program.module.bytes().expect("is there");
    for len in 0..bytes.len() {
        if let Ok(map) = Map::read(&bytes[..len]) {
            parts_follow_one_another(&map).expect("accounts for all bytes");
        }
    }
}

#[test]
fn modules_of_compilers_have_maps() {
    let folder = crate::support::families::modules();
    let mut read = 0;
    for program in std::fs::read_dir(folder).expect("is there") {
        let folder = program.expect("is there").path();
        for file in std::fs::read_dir(&folder).into_iter().flatten() {
            let file = file.expect("is there").path();
            if file
                .extension()
                .is_some_and(|extension| extension == "wasm")
            {
                let map = Map::read(&std::fs::read(&file).expect("is there")).expect("is a module");
                parts_follow_one_another(&map).expect("accounts for all bytes");
                assert_eq!(
                    (map.identity, map.totals().slack, map.totals().pad),
                    (None, 0, 0)
                );
                read += 1;
            }
        }
    }
    assert!(read >= 10);
}
