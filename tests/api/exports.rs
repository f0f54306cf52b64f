//! Exports that come, go and change: what is exported is exactly what was said, and what one of them costs does not depend on
//! how many there are.
//!
//! Run: `Module::export`, `unexport` and `commit` at random, on modules in memory.

use std::collections::BTreeMap;

use wasmend::{ConstExpr, DeclId, DeclKind, Module, Patch, Reason, Redirect, ValType};

use crate::support::programs::{self, adds};
use crate::support::smith::Rng;

/// A module and what it should export.
struct Subject {
    module: Module,
    functions: Vec<DeclId>,
    exports: BTreeMap<String, DeclId>,
    /// What it exports as of the last commit.
    committed: BTreeMap<String, DeclId>,
    numbers: Rng,
    fresh: usize,
}

impl Subject {
    /// `count` functions, each of them exported, with names of many lengths.
    fn new(redirect: Redirect, count: usize) -> Subject {
        let mut module = programs::module(redirect);
        let declare = |at| {
            let id = module.declare(DeclKind::Function, &format!("function{at}"))?;
            let body = adds(&module, at as i32 % 5, None);
            module.define_function(id, body)?;
            Ok(id)
        };
        let functions: Result<Vec<DeclId>, wasmend::Error> = (0..count).map(declare).collect();
        let mut subject = Subject {
            module,
            functions: functions.expect("good edits"),
            exports: BTreeMap::new(),
            committed: BTreeMap::new(),
            numbers: Rng::new(5),
            fresh: 0,
        };
        for at in 0..count {
            subject.add(subject.functions[at]);
        }
        subject.commit();
        subject
    }

    fn function(&mut self) -> DeclId {
        let at = self.numbers.below(self.functions.len());
        self.functions[at]
    }

    fn any_name(&mut self) -> String {
        let at = self.numbers.below(self.exports.len());
        self.exports.keys().nth(at).expect("is there").clone()
    }

    /// Names are long and short, now and then very long.
    fn new_name(&mut self) -> String {
        self.fresh += 1;
        let most = [12, 40, 40, 150][self.numbers.below(4)];
        let width = self.numbers.below(most);
        format!("{:_<width$}", self.fresh)
    }

    fn add(&mut self, id: DeclId) {
        let name = self.new_name();
        self.module.export(&name, id).expect("is declared");
        self.exports.insert(name, id);
    }

    fn remove(&mut self) {
        let name = self.any_name();
        self.module.unexport(&name);
        self.exports.remove(&name);
    }

    fn redirect(&mut self) {
        let (name, id) = (self.any_name(), self.function());
        self.module.unexport(&name);
        self.module.export(&name, id).expect("is declared");
        self.exports.insert(name, id);
    }

    /// Commits, and checks that the file exports what it should.
    fn commit(&mut self) -> Patch {
        let patch = self.module.commit().expect("is published");
        let bytes = self.module.bytes().expect("is there");
        crate::support::validate(&bytes).expect("is valid");
        let index = |id: &DeclId| self.module.declaration(*id).ok()?.index();
        let expected = self.exports.iter();
        let expected: BTreeMap<String, u32> = expected
            .map(|(name, id)| (name.clone(), index(id).expect("has an index")))
            .collect();
        assert_eq!(exported(&bytes), expected);
        let function = self.functions[self.fresh % self.functions.len()];
        let said = self.module.declaration(function).expect("is declared");
        let mut said: Vec<&str> = said.exports().collect();
        said.sort_unstable();
        let of_it = self.exports.iter().filter(|(_, id)| **id == function);
        assert!(of_it.map(|(name, _)| name).eq(said));
        self.committed = self.exports.clone();
        patch
    }
}

/// The exports of a module, each with its index. A name that is there twice would not be valid.
fn exported(bytes: &[u8]) -> BTreeMap<String, u32> {
    let mut exports = BTreeMap::new();
    for payload in wasmparser::Parser::new(0).parse_all(bytes) {
        if let wasmparser::Payload::ExportSection(section) = payload.expect("can be read") {
            let all = section.into_iter().map(|export| export.expect("is valid"));
            exports.extend(all.map(|export| (export.name.to_owned(), export.index)));
        }
    }
    exports
}

/// Bytes that a patch writes for exports, unless sections have moved; their headers and the pad are there however little it is.
fn written(patch: &Patch) -> Option<u64> {
    let ranges = patch.ranges().expect("is a patch");
    let made_room = ranges
        .iter()
        .any(|(range, _)| range.reason == Reason::MakeRoom);
    (!made_room).then(|| ranges.bytes())
}

#[test]
fn one_export_writes_as_little_among_many_as_among_few() {
    for count in [150, 3_000] {
        let mut subject = Subject::new(Redirect::Table, count);
        let mut most = [0; 4];
        let mut rooms = 0;
        for step in 0..400 {
            let edit = step % 4;
            match edit {
                0 => {
                    let id = subject.function();
                    subject.add(id);
                }
                1 => subject.remove(),
                2 => {
                    subject.remove();
                    let id = subject.function();
                    subject.add(id);
                }
                _ => subject.redirect(),
            }
            match written(&subject.commit()) {
                None => rooms += 1,
                Some(bytes) => most[edit] = bytes.max(most[edit]),
            }
        }
        let [add, remove, rename, redirect] = most;
        let says = format!("{count}: {most:?}, room made {rooms} times");
        assert!(add <= 250 && remove <= 1500 && rename <= 2000, "{says}");
        assert!(redirect <= 32 && rooms <= 2, "{says}");
    }
}

#[test]
fn exports_that_change_by_the_dozen_are_those_that_were_said() {
    for redirect in [Redirect::Table, Redirect::TableThunks, Redirect::Direct] {
        let mut subject = Subject::new(redirect, 20);
        for _ in 0..150 {
            for _ in 0..1 + subject.numbers.below(12) {
                match subject.numbers.below(4) {
                    1 if !subject.exports.is_empty() => subject.remove(),
                    2 if !subject.exports.is_empty() => subject.redirect(),
                    3 => {
                        // What is taken back was never there.
                        subject.module.unexport("nothing");
                        subject.module.commit().expect_err("is not there");
                        subject.module.discard();
                        subject.exports = subject.committed.clone();
                    }
                    _ => {
                        let id = subject.function();
                        subject.add(id);
                    }
                }
            }
            subject.commit();
        }
        let names: Vec<String> = subject.exports.keys().cloned().collect();
        names.iter().for_each(|name| subject.module.unexport(name));
        subject.exports.clear();
        subject.commit();
    }
}

#[test]
fn an_export_can_name_something_of_another_kind() {
    let mut subject = Subject::new(Redirect::Direct, 40);
    let global = subject
        .module
        .declare(DeclKind::Global, "g")
        .expect("is new");
    let defined = subject
        .module
        .define_global(global, ValType::I32, false, ConstExpr::I32(7));
    defined.expect("is a global");
    let name = subject.any_name();
    subject.module.unexport(&name);
    subject.module.export(&name, global).expect("is declared");
    subject.exports.insert(name, global);
    subject.commit();
    // A global that moves takes its export along.
    let wide = ConstExpr::I64(1 << 40);
    let defined = subject
        .module
        .define_global(global, ValType::I64, true, wide);
    defined.expect("is a global");
    assert!(subject.commit().ranges().is_some());
}

#[test]
fn a_new_export_stands_behind_the_others_which_stay() {
    let mut subject = Subject::new(Redirect::Table, 30);
    let section = |subject: &Subject| {
        let bytes = subject.module.bytes().expect("is there");
        let sections = wasmparser::Parser::new(0).parse_all(&bytes);
        let mut range = 0..0;
        for payload in sections {
            if let wasmparser::Payload::ExportSection(section) = payload.expect("can be read") {
                range = section.range();
            }
        }
        // Behind the count.
        bytes[range.start as usize + 5..range.end as usize].to_vec()
    };
    let before = section(&subject);
    let id = subject.functions[3];
    subject.add(id);
    subject.commit();
    assert!(section(&subject).starts_with(&before));
}
