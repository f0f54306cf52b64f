//! Ids that many threads reserve: everybody who asks for a key gets the same, and the module becomes the same whatever their
//! order was.

use std::sync::Mutex;

use wasmend::{
    Data, DeclId, DeclKind, Function, FunctionBuilder, Instruction, Module, ModuleOptions,
    Redirect, Reservations, ValType,
};

use crate::support::programs;

const FUNCTIONS: u32 = 200;

/// What compiling one function finds: who it calls, and the strings and closures that it is the first, or not, to need.
fn compile(reservations: &Reservations<'_>, number: u32) -> wasmend::Result<Compiled> {
    let owner = reservations.reserve(DeclKind::Function, &format!("f{number}"))?;
    let mut body = FunctionBuilder::new(reservations.body_style(), &[], &[ValType::I32]);
    let next = format!("f{}", (number * 7 + 1) % FUNCTIONS);
    let callee = reservations.reserve(DeclKind::Function, &next)?;
    body.call(callee, &[], &[ValType::I32]);
    let text = format!("string {}", number % 17);
    let string = reservations.reserve(DeclKind::Data, &text)?;
    body.address_of_data(string, 0);
    body.op(&Instruction::I32Add);
    let closure =
        reservations.reserve_part(owner, DeclKind::Function, &format!("f{number}.closure"))?;
    let inner =
        reservations.reserve_part(closure, DeclKind::Function, &format!("f{number}.inner"))?;
    let generic = format!("generic {}", number % 5);
    let generic = reservations.reserve_shared(owner, DeclKind::Function, &generic)?;
    for id in [closure, generic] {
        body.call(id, &[], &[ValType::I32]);
        body.op(&Instruction::I32Add);
    }
    let small = |value: u32, callee: Option<DeclId>| {
        let mut body = FunctionBuilder::new(reservations.body_style(), &[], &[ValType::I32]);
        body.op(&Instruction::I32Const(value as i32));
        if let Some(callee) = callee {
            body.call(callee, &[], &[ValType::I32]);
            body.op(&Instruction::I32Add);
        }
        body.finish()
    };
    Ok(Compiled {
        functions: vec![
            (owner, body.finish()?),
            (closure, small(number, Some(inner))?),
            (inner, small(number + 1, None)?),
            (generic, small(number % 5, None)?),
        ],
        string: (string, text),
    })
}

struct Compiled {
    functions: Vec<(DeclId, Function)>,
    string: (DeclId, String),
}

/// A program compiled by so many threads, which begin in the order of the seed.
fn program(options: ModuleOptions, threads: usize, seed: u32) -> wasmend::Result<Module> {
    let mut module = Module::in_memory(options)?;
    let memory = module.declare(DeclKind::Memory, "memory")?;
    module.define_memory(memory, programs::memory(2, None))?;
    let before = module.declare(DeclKind::Function, "f3")?;
    let mut work: Vec<u32> = (0..FUNCTIONS).collect();
    work.sort_by_key(|number| (number + 1).wrapping_mul(seed).rotate_left(seed % 31));
    let mut all = compile_all(&mut module, threads, work)?;
    // Results come in any order, and are defined in one that is theirs.
    all.sort_by_key(|(number, _)| *number);
    assert_eq!(module.lookup("f3"), Some(before));
    for (_, Compiled { functions, string }) in all {
        for (id, function) in functions {
            module.define_function(id, function)?;
        }
        let (id, text) = string;
        assert_eq!(module.lookup(&text), Some(id));
        module.define_data(id, memory, Data::new(text.as_bytes(), 0))?;
    }
    let main = module.lookup("f0").expect("was reserved");
    module.export("main", main)?;
    module.commit()?;
    Ok(module)
}

fn compile_all(
    module: &mut Module,
    threads: usize,
    work: Vec<u32>,
) -> wasmend::Result<Vec<(u32, Compiled)>> {
    let (done, work) = (Mutex::new(Vec::new()), Mutex::new(work));
    let reservations = module.reservations();
    std::thread::scope(|scope| {
        let run = || -> wasmend::Result<()> {
            loop {
                let next = work.lock().expect("nobody panics").pop();
                let Some(number) = next else {
                    return Ok(());
                };
                let compiled = compile(&reservations, number)?;
                done.lock().expect("nobody panics").push((number, compiled));
            }
        };
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        let mut threads = threads.into_iter();
        threads.try_for_each(|thread| thread.join().expect("nobody panics"))
    })?;
    drop(reservations);
    Ok(done.into_inner().expect("nobody panics"))
}

#[test]
fn the_output_does_not_depend_on_who_reserved_first() {
    for redirect in [Redirect::Table, Redirect::TableThunks, Redirect::Direct] {
        let options = ModuleOptions {
            redirect,
            ..ModuleOptions::default()
        };
        let one = program(options.clone(), 1, 1).expect("is a program");
        let owner = one.lookup("f7").and_then(|id| one.declaration(id).ok());
        let owner = owner.expect("was reserved");
        let parts = owner
            .parts()
            .filter_map(|id| one.declaration(id).ok()?.key());
        assert_eq!(parts.collect::<Vec<_>>(), ["f7.closure", "generic 2"]);
        assert!(
            owner
                .parts()
                .all(|id| one.declaration(id).is_ok_and(|it| it.id() == id))
        );
        for (threads, seed) in [(8, 1), (8, 77), (3, 4321), (1, 99)] {
            let other = program(options.clone(), threads, seed).expect("is a program");
            assert!(one.finish().expect("dense") == other.finish().expect("dense"));
            // Not even the file that is patched does.
            assert!(one.bytes().expect("is there") == other.bytes().expect("is there"));
        }
    }
}

#[test]
fn what_is_reserved_twice_is_one_and_of_one_kind() {
    let mut module = Module::in_memory(ModuleOptions::default()).expect("has room");
    let known = module.declare(DeclKind::Global, "known").expect("is new");
    let reservations = module.reservations();
    assert_eq!(
        reservations.reserve(DeclKind::Global, "known").ok(),
        Some(known)
    );
    let refused = reservations
        .reserve(DeclKind::Data, "known")
        .expect_err("is a global");
    assert!(
        refused.message().contains("declared already, as a global"),
        "{refused}"
    );
    let new = reservations.reserve(DeclKind::Data, "new").expect("is new");
    assert_eq!(reservations.reserve(DeclKind::Data, "new").ok(), Some(new));
    assert!(reservations.reserve(DeclKind::Tag, "new").is_err());
    assert!(
        reservations
            .reserve_part(known, DeclKind::Data, "new")
            .is_err()
    );
    assert!(
        reservations
            .reserve_part(known, DeclKind::Global, "known")
            .is_err()
    );
    let part = reservations
        .reserve_part(new, DeclKind::Data, "part")
        .expect("is new");
    let mut other = Module::in_memory(ModuleOptions::default()).expect("has room");
    let other = other.reservations();
    let foreign = other.reserve(DeclKind::Data, "foreign").expect("is new");
    assert!(other.reserve_part(new, DeclKind::Data, "x").is_err());
    assert!(
        reservations
            .reserve_shared(foreign, DeclKind::Data, "x")
            .is_err()
    );
    drop(reservations);
    assert_ne!(new, foreign);
    assert!(module.declaration(foreign).is_err());
    assert_eq!(module.lookup("new"), Some(new));
    let decl = module.declaration(part).expect("is declared");
    assert_eq!((decl.id(), decl.owner()), (part, Some(new)));
    // An edit like any other.
    module.discard();
    for id in [new, part] {
        let error = module.declaration(id).expect_err("is discarded");
        assert!(!error.message().contains("another module"), "{error}");
    }
    assert_eq!(module.lookup("new"), None);
}

#[test]
fn what_was_reserved_and_is_gone_names_nothing() {
    let mut module = Module::in_memory(ModuleOptions::default()).expect("has room");
    let number = || wasmend::ConstExpr::I32(1);
    let mut old = Vec::new();
    for round in 0..3000 {
        let reservations = module.reservations();
        let id = reservations.reserve(DeclKind::Global, "g").expect("is new");
        drop(reservations);
        assert_eq!(module.lookup("g"), Some(id));
        module
            .define_global(id, ValType::I32, true, number())
            .expect("is one");
        if round % 1000 == 0 {
            module.commit().expect("is published");
            let clone = module.try_clone().expect("is in memory");
            assert_eq!(clone.lookup("g"), Some(id));
            module.remove(id).expect("is declared");
            module.commit().expect("is published");
        } else {
            module.discard();
        }
        old.push(id);
    }
    let taken = module.declare(DeclKind::Global, "other").expect("is new");
    for id in old {
        assert!(module.declaration(id).is_err() && id != taken);
    }
}
