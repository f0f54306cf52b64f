//! What a module says of its declarations: as its edits leave them, and as the published file has them.

use std::collections::BTreeMap;

use wasmend::inspect::Map;
use wasmend::{
    ConstExpr, Data, DeclKind, Error, ImportType, Module, PendingEdit, Redirect, ValType,
};

use crate::support::programs::{self, I32, adds};

fn subject(redirect: Redirect) -> Result<Module, Error> {
    let mut module = programs::module(redirect);
    let host = module.declare(DeclKind::Function, "host")?;
    module.define_import(
        host,
        "env",
        "host",
        &ImportType::Function(Vec::new(), I32.to_vec()),
    )?;
    for name in ["first", "second"] {
        let id = module.declare(DeclKind::Function, name)?;
        let body = adds(&module, 3, None);
        module.define_function(id, body)?;
        module.export(name, id)?;
    }
    let first = module.declare_or_get(DeclKind::Function, "first")?;
    module.export("again", first)?;
    let part = module.declare_part(first, DeclKind::Function, None)?;
    let body = adds(&module, 1, None);
    module.define_function(part, body)?;
    module.set_name(part, "a closure of first")?;
    let memory = module.declare(DeclKind::Memory, "memory")?;
    module.define_memory(memory, programs::memory(1, None))?;
    let data = module.declare(DeclKind::Data, "data")?;
    module.define_data(data, memory, Data::new(*b"twelve bytes", 2))?;
    let global = module.declare(DeclKind::Global, "global")?;
    module.define_global(global, ValType::I32, true, ConstExpr::DataAddress(data, 0))?;
    module.declare(DeclKind::Tag, "undefined")?;
    Ok(module)
}

#[test]
fn declarations_say_what_they_are_and_where_they_stand() {
    for redirect in [Redirect::Table, Redirect::TableThunks, Redirect::Direct] {
        let mut module = subject(redirect).expect("good edits");
        let first = module.lookup("first").expect("is there");
        let said = module.declaration(first).expect("is there");
        assert_eq!((said.index(), said.slot()), (None, None));
        assert_eq!(said.pending(), PendingEdit::Define);
        module.commit().expect("is published");

        let kinds: BTreeMap<String, String> = module
            .iter()
            .map(|it| (it.name().unwrap_or("-").to_owned(), it.kind().to_string()))
            .collect();
        let names: Vec<&str> = kinds.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            [
                "a closure of first",
                "data",
                "first",
                "global",
                "host",
                "memory",
                "second",
                "undefined"
            ]
        );
        let read = |key: &str| {
            let id = module.lookup(key).expect("is there");
            module.declaration(id).expect("is there")
        };
        let first = read("first");
        assert_eq!(first.exports().collect::<Vec<_>>(), ["first", "again"]);
        assert_eq!(first.signature().as_deref(), Some("(i32) -> (i32)"));
        let [part] = first.parts().collect::<Vec<_>>()[..] else {
            panic!("one part");
        };
        let part = module.declaration(part).expect("is there");
        assert_eq!((part.key(), part.owner()), (None, Some(first.id())));
        assert!(read("host").is_import() && !first.is_import());
        assert_eq!(read("host").index(), Some(0));
        assert!(!read("undefined").is_defined());
        // The file says the same.
        let file = module.bytes().expect("is there");
        let map = Map::read(&file).expect("is a module");
        for name in ["first", "second"] {
            let said = read(name);
            let index = said.index().expect("has one");
            let entry = map.functions.iter().find(|entry| entry.index == index);
            let entry = entry.expect("the file has it");
            let body = match entry.target {
                Some(target) => map.functions.iter().find(|entry| entry.index == target),
                None => Some(entry),
            };
            assert_eq!(
                body.and_then(|body| body.name.as_deref()),
                Some(name),
                "{redirect:?}"
            );
        }
        let at = read("data").addresses().expect("is data");
        assert_eq!((at.end - at.start, read("data").len()), (12, 12));
        assert!(file.windows(12).any(|bytes| bytes == b"twelve bytes"));
        let text = format!("{:?}", read("data"));
        assert!(
            text.contains("data") && text.contains("addresses"),
            "{text}"
        );
        assert!(format!("{module:?}").contains("generation: 1"));
    }
}

#[test]
fn what_is_pending_is_told_from_what_is_published() {
    let mut module = subject(Redirect::Table).expect("good edits");
    module.commit().expect("is published");
    let id = |module: &Module, key: &str| module.lookup(key).expect("is there");
    let (first, second) = (id(&module, "first"), id(&module, "second"));
    let before = module.declaration(second).expect("is there").len();
    module.unexport("first");
    module.unexport("again");
    module.remove(first).expect("is declared");
    let body = adds(&module, 30, None);
    module.define_function(second, body).expect("is a function");
    let pending = |module: &Module, id| module.declaration(id).expect("is there").pending();
    assert_eq!(pending(&module, first), PendingEdit::Remove);
    assert_eq!(pending(&module, second), PendingEdit::Define);
    assert!(module.declaration(second).expect("is there").len() > before);
    module.discard();
    assert_eq!(pending(&module, first), PendingEdit::None);
    assert_eq!(module.declaration(second).expect("is there").len(), before);
    module.unexport("first");
    module.unexport("again");
    module.remove(first).expect("is declared");
    module.commit().expect("is published");
    assert!(module.declaration(first).is_err());
    assert!(module.iter().all(|it| it.key() != Some("first")));
}

#[test]
fn a_key_is_declared_once_and_found_from_then_on() {
    let mut module = programs::module(Redirect::Table);
    let id = module
        .declare_or_get(DeclKind::Function, "f")
        .expect("is new");
    assert_eq!(
        module
            .declare_or_get(DeclKind::Function, "f")
            .expect("is there"),
        id
    );
    let error = module
        .declare_or_get(DeclKind::Data, "f")
        .expect_err("is a function");
    assert!(
        error.message().contains("declared already, as a function"),
        "{error}"
    );
}

#[test]
fn what_is_published_in_memory_is_read_without_a_copy() -> Result<(), Error> {
    let mut module = subject(Redirect::Table)?;
    assert_eq!(module.bytes_in_memory(), Some(&[][..]));
    module.commit()?;
    assert_eq!(module.bytes_in_memory(), Some(&module.bytes()?[..]));
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("out.wasm");
    let mut module = Module::create(path, wasmend::ModuleOptions::default())?;
    module.commit()?;
    assert_eq!(module.bytes_in_memory(), None);
    Ok(())
}
