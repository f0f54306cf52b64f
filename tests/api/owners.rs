//! Parts of several owners, and parts of parts.

use wasmend::{DeclId, DeclKind, Module, ModuleOptions, Outcome, PendingEdit, Types};

use crate::support::programs::adds;
use crate::support::validate;

fn modules() -> impl Iterator<Item = Module> {
    [Types::PerDeclaration, Types::Interned]
        .into_iter()
        .map(|types| {
            let options = ModuleOptions {
                types,
                ..ModuleOptions::default()
            };
            Module::in_memory(options).expect("has room")
        })
}

fn define(module: &mut Module, id: DeclId, additions: i32, callee: Option<DeclId>) {
    let body = adds(module, additions, callee);
    module.define_function(id, body).expect("is a function");
}

fn function(module: &mut Module, name: &str, callee: Option<DeclId>) -> DeclId {
    let id = module.declare(DeclKind::Function, name).expect("is new");
    define(module, id, 3, callee);
    id
}

/// Two functions that own a part.
fn shared(module: &mut Module) -> [DeclId; 3] {
    let part = module
        .declare_shared(DeclKind::Function, Some("part"))
        .expect("is new");
    define(module, part, 2, None);
    let owners = ["a", "b"].map(|name| function(module, name, Some(part)));
    for owner in owners {
        module.add_owner(part, owner).expect("is shared");
        module.add_owner(part, owner).expect("is nothing new");
    }
    module.commit().expect("is published");
    [part, owners[0], owners[1]]
}

#[test]
fn a_shared_part_goes_with_the_last_of_its_owners() {
    for mut module in modules() {
        let [part, a, b] = shared(&mut module);
        let decl = module.declaration(part).expect("is there");
        assert_eq!(decl.owners().collect::<Vec<_>>(), [a, b]);
        assert_eq!(
            module
                .declaration(a)
                .expect("is there")
                .parts()
                .collect::<Vec<_>>(),
            [part]
        );
        module.remove(a).expect("is declared");
        module.commit().expect("is published");
        let decl = module.declaration(part).expect("is there");
        assert_eq!(decl.owners().collect::<Vec<_>>(), [b]);
        define(&mut module, part, 40, None);
        module.commit().expect("is published");
        validate(&module.bytes().expect("is there")).expect("is valid");
        module.remove(b).expect("is declared");
        assert_eq!(module.lookup("part"), None);
        module.commit().expect("is published");
        assert!(module.declaration(part).is_err());
        validate(&module.bytes().expect("is there")).expect("is valid");
    }
}

#[test]
fn an_owner_that_needs_it_no_more_gives_it_up() {
    for mut module in modules() {
        let [part, a, b] = shared(&mut module);
        define(&mut module, a, 3, None);
        module.remove_owner(part, a).expect("owns it");
        assert!(module.remove_owner(part, a).is_err());
        define(&mut module, b, 3, None);
        module.remove_owner(part, b).expect("owns it");
        let pending = module
            .declaration(part)
            .expect("until the commit")
            .pending();
        assert_eq!(pending, PendingEdit::Remove);
        module.commit().expect("nobody calls it");
        assert!(module.declaration(part).is_err());
    }
}

#[test]
fn who_owns_what_is_taken_back_with_everything_else() {
    for mut module in modules() {
        let [part, a, b] = shared(&mut module);
        let owners = |module: &Module| -> Vec<DeclId> {
            module
                .declaration(part)
                .expect("is there")
                .owners()
                .collect()
        };
        let c = function(&mut module, "c", Some(part));
        module.add_owner(part, c).expect("is shared");
        module.remove(a).expect("is declared");
        module.remove_owner(part, b).expect("owns it");
        module.revert(b).expect("is declared");
        assert_eq!(owners(&module), [a, c, b]);
        module.discard();
        assert_eq!(owners(&module), [a, b]);
        // With both owners it goes, and comes back with one.
        module.remove(a).expect("is declared");
        module.remove(b).expect("is declared");
        assert_eq!(module.lookup("part"), None);
        let refused = module.revert(part).expect_err("its owners are removed");
        assert!(
            refused.message().contains("part of what is removed"),
            "{refused}"
        );
        module.revert(b).expect("was there");
        assert_eq!(module.lookup("part"), Some(part));
        module.commit().expect("is published");
        assert_eq!(owners(&module), [b]);
        module.remove_owner(part, b).expect("owns it");
        module.revert(part).expect("was there");
        assert_eq!(owners(&module), [b]);
        let patch = module.commit().expect("nothing is pending");
        assert!(matches!(patch.outcome, Outcome::Unchanged));
    }
}

#[test]
fn parts_have_parts() {
    for mut module in modules() {
        let outer = function(&mut module, "outer", None);
        let mut owner = outer;
        let mut inner = Vec::new();
        for depth in 0..4 {
            let key = format!("part{depth}");
            let part = module
                .declare_part(owner, DeclKind::Function, Some(&key))
                .expect("is new");
            define(&mut module, part, depth, Some(owner));
            inner.push(part);
            owner = part;
        }
        module.commit().expect("is published");
        validate(&module.bytes().expect("is there")).expect("is valid");
        for (at, part) in inner.iter().enumerate() {
            define(&mut module, *part, 30 + at as i32, None);
            module.commit().expect("is published");
        }
        validate(&module.bytes().expect("is there")).expect("is valid");
        module.request_relink();
        module.commit().expect("is published");
        validate(&module.bytes().expect("is there")).expect("is valid");
        module.remove(inner[1]).expect("is declared");
        assert_eq!(module.lookup("part0"), Some(inner[0]));
        assert_eq!(
            (module.lookup("part2"), module.lookup("part3")),
            (None, None)
        );
        module.revert(inner[1]).expect("was there");
        assert_eq!(module.lookup("part3"), Some(inner[3]));
        module.remove(outer).expect("is declared");
        module.commit().expect("all of them go");
        assert_eq!(module.declarations(), 1, "the table of slots is left");
    }
}

#[test]
fn nothing_owns_itself() {
    for mut module in modules() {
        let [part, a, _] = shared(&mut module);
        let within = module
            .declare_part(part, DeclKind::Function, Some("within"))
            .expect("is new");
        let other = module
            .declare_shared(DeclKind::Function, Some("other"))
            .expect("is new");
        module.add_owner(other, within).expect("is shared");
        for owner in [part, within, other] {
            let refused = module.add_owner(part, owner).expect_err("is a part of it");
            assert!(refused.message().contains("a part of it"), "{refused}");
        }
        let refused = module.add_owner(a, part).expect_err("is not shared");
        assert!(refused.message().contains("several owners"), "{refused}");
    }
}
