//! Trying edits: clones of a module, and taking back the edit of one declaration.

use wasmend::{
    ConstExpr, DeclId, DeclKind, FieldType, Function, FunctionBuilder, Instruction, Module,
    ModuleOptions, PendingEdit, StorageType, TypeDef, TypeId, ValType,
};

use crate::support::programs::{self, adds};

fn function(module: &mut Module, name: &str, additions: i32, callee: Option<DeclId>) -> DeclId {
    let id = module.declare_or_get(DeclKind::Function, name);
    let id = id.expect("is a function");
    let body = adds(module, additions, callee);
    module.define_function(id, body).expect("is a function");
    id
}

/// A committed module of two functions, the second of which calls the first and has a part.
fn committed(mut module: Module) -> (Module, [DeclId; 3]) {
    let f = function(&mut module, "f", 3, None);
    let g = function(&mut module, "g", 5, Some(f));
    let part = module.declare_part(g, DeclKind::Function, Some("part"));
    let part = part.expect("is new");
    let body = adds(&module, 7, Some(f));
    module.define_function(part, body).expect("is a function");
    module.export("g", g).expect("is declared");
    module.commit().expect("is published");
    (module, [f, g, part])
}

fn in_memory() -> Module {
    Module::in_memory(ModuleOptions::default()).expect("has room")
}

/// What one can ask of a module, in words.
fn answers(module: &Module) -> String {
    let mut all: Vec<String> = module
        .iter()
        .map(|decl| {
            let parts: Vec<_> = decl.parts().collect();
            let owners: Vec<_> = decl.owners().collect();
            let exports: Vec<_> = decl.exports().collect();
            let known = decl.key().map(|key| module.lookup(key) == Some(decl.id()));
            format!("{decl:?} {parts:?} {owners:?} {exports:?} {known:?}")
        })
        .collect();
    all.sort();
    all.join("\n")
}

#[test]
fn the_same_edits_make_the_same_bytes_of_a_clone_and_the_original() {
    let folder = tempfile::tempdir().expect("a folder");
    let in_file = Module::create(folder.path().join("out.wasm"), ModuleOptions::default());
    for module in [in_memory(), in_file.expect("can be written")] {
        let (mut module, [f, g, _]) = committed(module);
        let mut clone = module.try_clone().expect("can be read");
        assert_eq!(answers(&clone), answers(&module));
        assert!(clone.bytes().expect("is there") == module.bytes().expect("is there"));
        for additions in 1..30 {
            for module in [&mut module, &mut clone] {
                function(module, "f", 9 * additions, None);
                function(module, &format!("new{additions}"), additions, Some(g));
                module
                    .define_function(g, adds(module, additions, Some(f)))
                    .expect("is one");
                if additions % 10 == 0 {
                    module.request_relink();
                }
            }
            let pending = module.try_clone().expect("can be read");
            let patches =
                [module.commit(), clone.commit()].map(|patch| patch.expect("is published"));
            assert_eq!(patches[0].identity, patches[1].identity);
            assert!(clone.bytes().expect("is there") == module.bytes().expect("is there"));
            // What was pending is pending in the clone too.
            let mut pending = pending;
            pending.commit().expect("is published");
            assert!(pending.bytes().expect("is there") == module.bytes().expect("is there"));
            assert_eq!(
                answers(&clone).replace('d', ""),
                answers(&module).replace('d', "")
            );
        }
        assert!(module.finish().expect("all is committed") == clone.finish().expect("the same"));
    }
}

#[test]
fn edits_of_a_clone_do_not_touch_the_original() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("out.wasm");
    let module = Module::create(&path, ModuleOptions::default()).expect("can be written");
    let (mut module, [f, g, part]) = committed(module);
    let (before, said) = (module.bytes().expect("is there"), answers(&module));
    let mut clone = module.try_clone().expect("can be read");
    clone.remove(g).expect("is declared");
    clone.unexport("g");
    function(&mut clone, "f", 100, None);
    let new = function(&mut clone, "new", 1, None);
    clone.commit().expect("is published");
    assert_eq!(answers(&module), said);
    assert!(std::fs::read(&path).expect("is there") == before);
    assert!(clone.declaration(g).is_err() && clone.declaration(part).is_err());
    // What is declared since then is of one of them only, also under the same number.
    let own = function(&mut module, "own", 1, None);
    let foreign = [
        module.declaration(new).map(drop),
        clone.declaration(own).map(drop),
    ];
    for refused in foreign {
        let error = refused.expect_err("is the other one's");
        assert!(error.message().contains("of another module"), "{error}");
    }
    // A clone of a clone knows the ids of both.
    let mut second = clone.try_clone().expect("is in memory");
    for id in [f, new] {
        second.declaration(id).expect("was there");
    }
    let newest = function(&mut second, "newest", 1, Some(new));
    assert!(clone.declaration(newest).is_err() && module.declaration(newest).is_err());
    assert!(second.declaration(own).is_err());
    second.commit().expect("is published");
    module.commit().expect("is published");
}

#[test]
fn a_clone_of_a_file_that_somebody_else_changed_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("out.wasm");
    let module = Module::create(&path, ModuleOptions::default()).expect("can be written");
    let (module, _) = committed(module);
    std::fs::write(&path, b"\0asm\x01\0\0\0").expect("can be written");
    let error = module.try_clone().map(drop).expect_err("is another file");
    assert_eq!(error.kind(), wasmend::ErrorKind::OutputChanged);
    assert_eq!(error.path(), Some(&*path));
}

fn of_type(module: &Module, params: &[ValType]) -> Function {
    let mut body = FunctionBuilder::new(module.body_style(), params, &[]);
    body.op(&Instruction::Nop);
    body.finish().expect("a body")
}

#[test]
fn a_declaration_that_is_reverted_is_as_at_the_last_commit() {
    let (mut module, [f, g, part]) = committed(in_memory());
    let (said, before) = (answers(&module), module.bytes().expect("is there"));
    // A definition, with a name, and a call that would be wrong.
    module
        .define_function(f, of_type(&module, &[ValType::I64]))
        .expect("is one");
    module.set_name(f, "another name").expect("is declared");
    assert!(
        module.commit().is_err(),
        "its callers are for another signature"
    );
    module.revert(f).expect("is declared");
    assert_eq!(answers(&module), said);
    // A removal, with that of its part.
    module.remove(g).expect("is declared");
    assert_eq!(module.lookup("part"), None);
    let refused = module.revert(part).expect_err("its owner is removed");
    assert!(
        refused.message().contains("part of what is removed"),
        "{refused}"
    );
    module.revert(g).expect("was there");
    assert_eq!(answers(&module), said);
    // A part alone.
    module.remove(part).expect("is declared");
    module.revert(part).expect("its owner is there");
    assert_eq!(answers(&module), said);
    // A call that was wrong is forgotten with the body that made it.
    let mut body = FunctionBuilder::new(module.body_style(), &[], &[]);
    body.call(f, &[ValType::F64], &[]);
    body.op(&Instruction::Drop);
    let wrong = body.finish().expect("a body");
    module.define_function(g, wrong).expect("is one");
    assert!(module.commit().is_err());
    module.revert(g).expect("is declared");
    let patch = module.commit().expect("nothing is pending");
    assert!(matches!(patch.outcome, wasmend::Outcome::Unchanged));
    assert!(module.bytes().expect("is there") == before);
}

#[test]
fn what_was_declared_since_the_last_commit_goes_when_it_is_reverted() {
    let (mut module, [f, ..]) = committed(in_memory());
    let before = module.bytes().expect("is there");
    let new = function(&mut module, "new", 1, Some(f));
    let inner = module.declare_part(new, DeclKind::Function, Some("inner"));
    let inner = inner.expect("is new");
    let body = adds(&module, 2, None);
    module.define_function(inner, body).expect("is a function");
    module.revert(new).expect("is declared");
    assert_eq!((module.lookup("new"), module.lookup("inner")), (None, None));
    module.revert(new).expect("is gone already");
    let patch = module.commit().expect("nothing is left of it");
    assert!(matches!(patch.outcome, wasmend::Outcome::Unchanged));
    assert!(module.bytes().expect("is there") == before);
    assert!(module.declaration(new).is_err());
    // Whoever refers to it is wrong.
    let new = function(&mut module, "new", 1, Some(f));
    function(&mut module, "caller", 1, Some(new));
    module.revert(new).expect("is declared");
    let error = module.commit().expect_err("it is gone");
    assert!(error.to_string().contains("which is removed"), "{error}");
}

#[test]
fn a_removal_is_not_reverted_over_what_took_its_key() {
    let (mut module, [f, g, _]) = committed(in_memory());
    module.remove(g).expect("is declared");
    let other = module.declare(DeclKind::Global, "part").expect("is free");
    let refused = module.revert(g).expect_err("its part cannot come back");
    assert!(refused.message().contains("has its key now"), "{refused}");
    let decl = module.declaration(g).expect("until the commit");
    assert_eq!(decl.pending(), PendingEdit::Remove);
    module.revert(other).expect("is declared");
    module.revert(g).expect("its keys are free");
    assert_eq!(module.lookup("g"), Some(g));
    module.declaration(f).expect("was not touched");
}

#[test]
fn a_memory_that_is_reverted_has_its_addresses_again() {
    let mut module = in_memory();
    let memory = module.declare(DeclKind::Memory, "memory").expect("is new");
    module
        .define_memory(memory, programs::memory(2, None))
        .expect("is one");
    let data = module.declare(DeclKind::Data, "data").expect("is new");
    let text = || wasmend::Data::new(*b"text", 0);
    module.define_data(data, memory, text()).expect("is data");
    let global = module.declare(DeclKind::Global, "g").expect("is new");
    let number = ConstExpr::I32(0);
    module
        .define_global(global, ValType::I32, true, number)
        .expect("is one");
    module.commit().expect("is published");
    module
        .reserve_data(memory, 4096..8192)
        .expect("is a memory");
    module.revert(memory).expect("is declared");
    let patch = module.commit().expect("nothing is pending");
    assert!(matches!(patch.outcome, wasmend::Outcome::Unchanged));
}

#[test]
fn types_from_before_a_clone_are_of_both_and_those_from_after_it_of_one() {
    let mut module = committed(in_memory()).0;
    let array = |ty| {
        TypeDef::array(FieldType {
            storage: StorageType::Val(ty),
            mutable: true,
        })
    };
    let define = |module: &mut Module, ty| module.define_types(&[array(ty)]).expect("is good")[0];
    let uses = |module: &mut Module, name: &str, ty: TypeId| {
        let mut body = FunctionBuilder::new(module.body_style(), &[], &[]);
        body.op(&Instruction::I32Const(1)).array_new_default(ty);
        body.op(&Instruction::Drop);
        let id = module.declare_or_get(DeclKind::Function, name)?;
        module.define_function(id, body.finish()?)
    };
    let of_both = define(&mut module, ValType::I32);
    let mut clone = module.try_clone().expect("has room");
    let of_module = define(&mut module, ValType::I64);
    let of_clone = define(&mut clone, ValType::F64);
    for (module, own, other) in [
        (&mut module, of_module, of_clone),
        (&mut clone, of_clone, of_module),
    ] {
        uses(module, "both", of_both).expect("is of both");
        uses(module, "own", own).expect("is its own");
        let error = uses(module, "other", other).expect_err("is another module's");
        assert!(error.message().contains("another module"), "{error}");
        module.discard();
        // What was pending when it was cloned was discarded with the rest; the numbers are used again.
        let again = define(module, ValType::F32);
        assert!(uses(module, "both", of_both).is_err() && uses(module, "own", own).is_err());
        uses(module, "again", again).expect("is its own");
        module.commit().expect("is published");
    }
    let error =
        uses(&mut clone, "other", define(&mut module, ValType::I64)).expect_err("it is not");
    assert!(error.message().contains("another module"), "{error}");
}
