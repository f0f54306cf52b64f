//! Libraries whose members have other names in each build, as Cargo's have: `wasmend ld --no-entry --export=run main.o
//! library.rlib`, updated with libraries of the same members under new names, of which some are edited, split or new.
//! Needs clang-19 and llvm-19.

use std::fs;
use std::process::Command;

use wasmend::output::Publish;

use crate::support::toolchain::run;
use crate::updated::Program;

/// Members of the library.
const MEMBERS: usize = 8;

/// A member: ten functions and some data. `edit` changes a constant in one of them.
fn member(number: usize, edit: u32) -> String {
    let functions = (0..10).map(|at| {
        let added = if at == 4 { edit } else { 0 };
        format!(
            "int f{number}_{at}(int x) {{ return x * {} + table{number}[x & 3] + {added}; }}\n",
            at + 3
        )
    });
    let calls: Vec<String> = (0..10).map(|at| format!("f{number}_{at}(x)")).collect();
    format!(
        "static const int table{number}[4] = {{ {number}, 2, 3, 4 }};\n{}int u{number}(int x) {{ return {}; }}\n",
        functions.collect::<String>(),
        calls.join(" + ")
    )
}

struct Lab(tempfile::TempDir);

impl Lab {
    fn compile(&self, source: &str) -> Vec<u8> {
        let (file, object) = (self.0.path().join("x.c"), self.0.path().join("x.o"));
        fs::write(&file, source).unwrap();
        let mut clang = Command::new("clang-19");
        clang.args([
            "--target=wasm32",
            "-O1",
            "-g",
            "-fdebug-compilation-dir=.",
            "-c",
        ]);
        run(clang
            .arg("x.c")
            .arg("-o")
            .arg("x.o")
            .current_dir(self.0.path()));
        fs::read(object).unwrap()
    }

    /// An archive of objects, each with its name.
    fn archive(&self, members: &[(String, Vec<u8>)]) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in members {
            fs::write(folder.path().join(name), bytes).unwrap();
        }
        let mut command = Command::new("llvm-ar-19");
        command
            .arg("rcsD")
            .arg("a.a")
            .args(members.iter().map(|(name, _)| name));
        run(command.current_dir(folder.path()));
        fs::read(folder.path().join("a.a")).unwrap()
    }

    /// A library whose members are these sources, by the names of a session.
    fn library(&self, session: &str, sources: &[String]) -> Vec<u8> {
        let objects = sources.iter().enumerate().map(|(at, source)| {
            let name = format!("lib.{at}{session}{:x}.rcgu.o", at * 77 + session.len());
            (name, self.compile(source))
        });
        self.archive(&objects.collect::<Vec<_>>())
    }
}

#[test]
fn members_that_are_named_anew_cost_what_changed_in_them() {
    let lab = Lab(tempfile::tempdir().unwrap());
    let calls: Vec<String> = (0..MEMBERS).map(|at| format!("u{at}(x)")).collect();
    let declared = (0..MEMBERS).map(|at| format!("int u{at}(int);\n"));
    let main = format!(
        "{}int run(int x) {{ return {}; }}\n",
        declared.collect::<String>(),
        calls.join(" + ")
    );
    let sources = |edits: &[u32]| -> Vec<String> {
        let edit = |at: usize| edits.get(at).copied().unwrap_or(0);
        (0..MEMBERS).map(|at| member(at, edit(at))).collect()
    };
    let line = "--no-entry --export=run FOLDER/main.o FOLDER/lib.rlib";
    let first = lab.library("a", &sources(&[]));
    for redirect in ["--redirect=direct", "--redirect=table"] {
        let line = format!("{line} {redirect}");
        let files = [("main.o", lab.compile(&main)), ("lib.rlib", first.clone())];
        let mut program = Program::new(&line, Publish::Atomic, &files);
        let before = program.answer(5);
        for (session, edits, answer) in [
            ("b", &[][..], before),
            ("c", &[0, 0, 0, 9], before + 9),
            ("d", &[], before),
            ("e", &[1, 2, 3, 4, 5, 6, 7, 8], before + 36),
        ] {
            // What the same edit costs where the members keep their names.
            let mut named = Program::new(&line, Publish::Atomic, &files);
            if session == "d" {
                named.write("lib.rlib", lab.library("a", &sources(&[0, 0, 0, 9])));
                named.update(session, &["lib.rlib"]);
            }
            named.write("lib.rlib", lab.library("a", &sources(edits)));
            let expected = named.update(session, &["lib.rlib"]).patch.bytes_written();
            program.write("lib.rlib", lab.library(session, &sources(edits)));
            let report = program.update(session, &["lib.rlib"]);
            let written = report.patch.bytes_written();
            let what = format!("{redirect} {session}: {written} for {expected}");
            assert!(written <= expected + 512, "{what}");
            assert!(
                !edits.is_empty() || session == "d" || written <= 512,
                "{what}"
            );
            assert!(report.patch.relink_reason().is_none(), "{what}");
            assert_eq!(program.answer(5), answer, "{what}");
        }
        // The members stand in another order, one is split into two, and one is new.
        let mut other = sources(&[]);
        other.reverse();
        let split = other.pop().unwrap();
        let (head, tail) = split.split_once("int u0").unwrap();
        let declared = (0..10)
            .map(|at| format!("int f0_{at}(int);\n"))
            .collect::<String>();
        other.push(head.to_owned());
        other.push(format!("{declared}int u0{tail}"));
        other.push("int nobody(int x) { return x; }".to_owned());
        program.write("lib.rlib", lab.library("f", &other));
        program.update("split", &["lib.rlib"]);
        assert_eq!(program.answer(5), before);
        program.write("lib.rlib", &first);
        program.update("back", &["lib.rlib"]);
        assert_eq!(program.answer(5), before);
    }
}
