//! Ids name one declaration of one module, for ever: not what took its number later, nor what has it in another module.

use wasmend::{
    ConstExpr, Data, DeclId, DeclKind, Error, ErrorKind, FunctionBuilder, Instruction, Module,
    ModuleOptions, Piece, ValType,
};

use crate::support::programs::{self, adds};

fn module() -> Module {
    Module::in_memory(ModuleOptions::default()).expect("has room")
}

fn function(module: &mut Module, name: &str) -> DeclId {
    let id = module.declare(DeclKind::Function, name).expect("is new");
    let body = adds(module, 1, None);
    module.define_function(id, body).expect("is a function");
    id
}

fn is_refused(done: wasmend::Result<()>, words: &str) {
    let error: Error = done.expect_err(words);
    assert_eq!(error.kind(), ErrorKind::BadEdit);
    assert!(error.message().contains(words), "{error}");
}

/// Every edit that takes an id, with this one.
fn all_edits(module: &mut Module, id: DeclId, words: &str) {
    let own = module.lookup("own").expect("is there");
    let caller = |module: &Module| {
        let mut body = FunctionBuilder::new(module.body_style(), &[], &[]);
        body.call(id, &[], &[]);
        body.finish().expect("names nothing else")
    };
    let body = adds(module, 1, None);
    is_refused(module.define_function(id, body), words);
    let body = caller(module);
    is_refused(module.define_function(own, body), words);
    is_refused(module.define_data(id, id, Data::zero(4, 2)), words);
    is_refused(module.define_address(id, 4), words);
    let number = ConstExpr::I32(1);
    is_refused(module.define_global(id, ValType::I32, true, number), words);
    let global = module.lookup("global").expect("is there");
    let address = ConstExpr::FunctionAddress(id);
    is_refused(
        module.define_global(global, ValType::I32, true, address),
        words,
    );
    is_refused(module.define_memory(id, programs::memory(1, None)), words);
    is_refused(module.define_tag(id, &[]), words);
    is_refused(module.export("name", id), words);
    is_refused(module.set_start(Some(id)), words);
    is_refused(module.set_name(id, "name"), words);
    is_refused(module.remove(id), words);
    is_refused(
        module
            .declare_part(id, DeclKind::Function, None)
            .map(|_| ()),
        words,
    );
    let section = module.custom_section("notes").expect("can be");
    let piece = module.lookup("piece").expect("is there");
    let names_it = Piece::new(vec![0; 4]).with_function_index(0, id);
    is_refused(module.define_piece(piece, section, names_it), words);
}

fn with_others() -> Module {
    let mut module = module();
    function(&mut module, "own");
    module.declare(DeclKind::Global, "global").expect("is new");
    module.declare(DeclKind::Custom, "piece").expect("is new");
    module
}

#[test]
fn an_id_of_what_was_removed_does_not_name_what_took_its_number() {
    let mut module = with_others();
    let old = function(&mut module, "old");
    module.commit().expect("is published");
    module.remove(old).expect("is declared");
    module.commit().expect("is published");
    all_edits(&mut module, old, "is not declared any more");
    let new = function(&mut module, "new");
    assert_ne!(old, new);
    assert_eq!(old.to_string(), new.to_string(), "the number is used again");
    all_edits(&mut module, old, "is not declared any more");
    module.commit().expect("nothing of that was said");
    assert_eq!(module.lookup("new"), Some(new));
}

#[test]
fn an_id_of_what_was_discarded_does_not_name_what_was_declared_since() {
    let mut module = with_others();
    module.commit().expect("is published");
    let old = function(&mut module, "f");
    module.discard();
    all_edits(&mut module, old, "is not declared any more");
    let new = function(&mut module, "g");
    assert_ne!(old, new);
    all_edits(&mut module, old, "is not declared any more");
    module.commit().expect("is published");
}

#[test]
fn an_id_of_another_module_names_nothing() {
    let (mut module, mut other) = (with_others(), with_others());
    let id = function(&mut other, "f");
    function(&mut module, "f");
    all_edits(&mut module, id, "of another module");
    module.commit().expect("is published");
}

#[test]
fn what_was_discarded_before_the_first_commit_keeps_its_id_when_it_is_defined_again() {
    let mut module = module();
    let id = module.declare(DeclKind::Function, "f").expect("is new");
    module.discard();
    assert_eq!(module.lookup("f"), None);
    let mut body = FunctionBuilder::new(module.body_style(), &[], &[]);
    body.op(&Instruction::Nop);
    let body = body.finish().expect("names nothing");
    module.define_function(id, body).expect("is declared again");
    assert_eq!(module.lookup("f"), Some(id));
    module.commit().expect("is published");
}
