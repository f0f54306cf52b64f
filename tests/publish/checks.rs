//! The last check of a commit: it sees the old version, and if it fails nothing is published, by whichever way.
//!
//! Run: `Module::commit_checked` with a check that fails, then with one that does not, on a module with one function in a file.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};

use wasmend::output::{How, OutputOptions, Publish};
use wasmend::{
    DeclId, DeclKind, Error, ErrorKind, FunctionBuilder, Instruction, Module, ModuleOptions,
    Outcome, RelinkReason, ValType,
};

/// A module with one function, which returns a number.
struct Program {
    folder: tempfile::TempDir,
    module: Module,
    answer: DeclId,
}

impl Program {
    fn new(publish: Publish) -> Program {
        let folder = tempfile::tempdir().unwrap();
        let options = ModuleOptions {
            output: OutputOptions::new(publish),
            ..ModuleOptions::default()
        };
        let mut module = Module::create(folder.path().join("out.wasm"), options).unwrap();
        let answer = module.declare(DeclKind::Function, "answer").unwrap();
        module.export("answer", answer).unwrap();
        Program {
            folder,
            module,
            answer,
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("out.wasm")
    }

    fn edit(&mut self, number: i32) {
        define(&mut self.module, self.answer, number);
    }

    /// A commit whose check fails, and one whose check does not: the outcome of the second. Nothing of the first is to
    /// be seen.
    fn refuse_then_commit(&mut self, context: &str) -> wasmend::Patch {
        let path = self.path();
        let before = fs::read(&path).ok();
        let identity = self.module.identity();
        let refuse = || {
            assert_eq!(fs::read(&path).ok(), before, "{context}: published early");
            Err(Error::new(ErrorKind::Io, "an input changed").with_path("in.o"))
        };
        let refused = self.module.commit_checked(&refuse).unwrap_err();
        assert_eq!(refused.message(), "an input changed", "{context}");
        assert_eq!(refused.path(), Some(Path::new("in.o")), "{context}");
        assert_eq!(fs::read(&path).ok(), before, "{context}: published");
        assert_eq!(self.module.identity(), identity, "{context}");

        let runs = Cell::new(0);
        let count = || {
            assert_eq!(fs::read(&path).ok(), before, "{context}: published early");
            runs.set(runs.get() + 1);
            Ok(())
        };
        let patch = self.module.commit_checked(&count).unwrap();
        assert!(runs.get() > 0, "{context}: not checked");
        assert_eq!(
            fs::read(&path).unwrap(),
            self.module.bytes().unwrap(),
            "{context}"
        );
        patch
    }
}

fn define(module: &mut Module, function: DeclId, number: i32) {
    let mut body = FunctionBuilder::new(module.body_style(), &[], &[ValType::I32]);
    body.op(&Instruction::I32Const(number));
    module
        .define_function(function, body.finish().unwrap())
        .unwrap();
}

#[test]
fn a_check_that_fails_publishes_nothing_by_any_way() {
    for publish in [Publish::Atomic, Publish::InPlace] {
        let mut program = Program::new(publish);
        program.edit(1);
        let first = program.refuse_then_commit("first write");
        assert_eq!(first.relink_reason(), Some(RelinkReason::First));

        let mut ways = Vec::new();
        for number in 2..6 {
            program.edit(number);
            let patch = program.refuse_then_commit("patch");
            ways.push(patch.published.unwrap().how);
        }
        let expected = match publish {
            // A shadow that was written and then refused is of no version, and is made anew.
            Publish::Atomic => [How::FreshCopy; 4],
            Publish::InPlace => [How::InPlace; 4],
        };
        assert_eq!(ways, expected);

        fs::remove_file(program.path()).unwrap();
        program.edit(7);
        let relinked = program.refuse_then_commit("relink");
        assert_eq!(relinked.relink_reason(), Some(RelinkReason::OutputChanged));
    }
}

#[test]
fn a_check_of_an_exchanged_shadow_runs_before_the_exchange() {
    let mut program = Program::new(Publish::Atomic);
    for number in 1..3 {
        program.edit(number);
        program.module.commit().unwrap();
    }
    let path = program.path();
    for number in 3..6 {
        program.edit(number);
        let before = fs::read(&path).unwrap();
        let check = || {
            assert_eq!(fs::read(&path).unwrap(), before);
            Ok(())
        };
        let patch = program.module.commit_checked(&check).unwrap();
        assert_eq!(patch.published.unwrap().how, How::Exchanged);
        assert_ne!(fs::read(&path).unwrap(), before);
    }
}

#[test]
fn an_in_place_check_runs_before_the_journal_is_written() {
    let mut program = Program::new(Publish::InPlace);
    program.edit(1);
    program.module.commit().unwrap();
    let journal = program.folder.path().join(".wasmend/out.wasm.journal");
    program.edit(2);
    let check = || {
        assert!(!journal.exists());
        Ok(())
    };
    program.module.commit_checked(&check).unwrap();
    assert!(journal.exists());
}

#[test]
fn a_check_runs_though_there_is_nothing_to_publish() {
    let mut program = Program::new(Publish::Atomic);
    program.edit(1);
    program.module.commit().unwrap();
    let patch = program.refuse_then_commit("unchanged");
    assert!(matches!(patch.outcome, Outcome::Unchanged));
}

#[test]
fn a_check_of_a_module_in_memory_keeps_the_old_bytes() {
    let mut module = Module::in_memory(ModuleOptions::default()).unwrap();
    let answer = module.declare(DeclKind::Function, "answer").unwrap();
    let refuse = || Err(Error::bad_input("an input changed"));
    for number in 1..4 {
        define(&mut module, answer, number);
        let before = module.bytes().unwrap();
        assert!(module.commit_checked(&refuse).is_err());
        assert_eq!(module.bytes().unwrap(), before);
        module.commit_checked(&|| Ok(())).unwrap();
        assert_ne!(module.bytes().unwrap(), before);
    }
}
