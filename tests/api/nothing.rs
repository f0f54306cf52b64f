//! Edits that change nothing, or less than they seem to.

use wasmend::{
    DeclKind, FunctionBuilder, ImportType, Instruction, Module, ModuleOptions, Outcome, Piece,
    ValType,
};

use crate::support::programs::adds;

fn module() -> Module {
    Module::in_memory(ModuleOptions::default()).expect("has room")
}

#[test]
fn what_was_never_defined_and_is_removed_publishes_nothing() {
    let mut module = module();
    module.commit().expect("is published");
    let before = module.identity();
    let id = module.declare(DeclKind::Function, "never").expect("is new");
    module.remove(id).expect("is declared");
    let patch = module.commit().expect("is nothing");
    assert!(matches!(patch.outcome, Outcome::Unchanged));
    assert_eq!(module.identity(), before);
    assert_eq!(module.lookup("never"), None);
    module.declare(DeclKind::Data, "never").expect("is free");
}

#[test]
fn an_export_that_is_there_already_is_no_error() {
    let mut module = module();
    let id = module.declare(DeclKind::Function, "f").expect("is new");
    let body = adds(&module, 1, None);
    module.define_function(id, body).expect("is a function");
    module.export("f", id).expect("is declared");
    module.export("f", id).expect("is declared");
    module.commit().expect("is published");
    module.export("f", id).expect("is declared");
    let patch = module.commit().expect("is as it was");
    assert!(matches!(patch.outcome, Outcome::Unchanged));
    let other = module.declare(DeclKind::Function, "g").expect("is new");
    let body = adds(&module, 2, None);
    module.define_function(other, body).expect("is a function");
    module.export("f", other).expect("is declared");
    let error = module.commit().expect_err("the name is taken");
    assert!(error.message().contains("exported twice"), "{error}");
}

#[test]
fn before_the_first_commit_nothing_is_there_whatever_the_file_has() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("out.wasm");
    std::fs::write(&path, "of an earlier run").expect("is written");
    let mut module = Module::create(&path, ModuleOptions::default()).expect("can be");
    assert_eq!(module.bytes().expect("is nothing"), b"");
    module.commit().expect("is published");
    assert_eq!(
        module.bytes().expect("is there"),
        std::fs::read(&path).expect("is there")
    );
}

#[test]
fn imports_come_and_go_beside_pieces_that_name_no_code_without_a_relink() {
    let mut module = module();
    let section = module.custom_section("notes").expect("can be");
    let piece = module.declare(DeclKind::Custom, "note").expect("is new");
    module
        .define_piece(piece, section, Piece::new(b"a note".to_vec()))
        .expect("is a piece");
    let function = module.declare(DeclKind::Function, "f").expect("is new");
    let body = adds(&module, 1, None);
    module
        .define_function(function, body)
        .expect("is a function");
    module.commit().expect("is published");
    let import = module.declare(DeclKind::Function, "host").expect("is new");
    let ty = ImportType::Function(Vec::new(), Vec::new());
    module
        .define_import(import, "env", "host", &ty)
        .expect("is a function");
    assert_eq!(module.commit().expect("fits").relink_reason(), None);
    module.remove(import).expect("is declared");
    assert_eq!(module.commit().expect("fits").relink_reason(), None);
}

#[test]
fn locals_of_one_type_are_one_group_however_they_are_added() {
    let module = module();
    let mut body = FunctionBuilder::new(module.body_style(), &[ValType::I32], &[]);
    for at in 0..40_000 {
        assert_eq!(body.locals(1, ValType::I64), 1 + at);
    }
    assert_eq!(body.locals(2, ValType::F32), 40_001);
    body.op(&Instruction::Nop);
    // Two groups, the first with a number of three bytes; a `nop` and an `end`.
    assert_eq!(body.finish().expect("names nothing").len(), 1 + 4 + 2 + 2);
}
