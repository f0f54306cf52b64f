//! The list of symbols that may be undefined: `wasmend ld --no-entry --export=run --allow-undefined-file=list main.o`,
//! updated with a `list` that changes.

use wasmend::output::Publish;
use wasmparser::{Parser, Payload};

use crate::updated::{Program, adds};

fn program(list: &str, callees: &[&str]) -> Program {
    let line = "--no-entry --export=run --allow-undefined-file=FOLDER/list FOLDER/main.o";
    let main = adds("run", 1, 1, callees);
    Program::new(
        line,
        Publish::Atomic,
        &[("list", list.into()), ("main.o", main)],
    )
}

/// What the program imports.
fn imports(program: &Program) -> Vec<String> {
    let published = program.published();
    let mut names = Vec::new();
    for payload in Parser::new(0).parse_all(&published) {
        if let Payload::ImportSection(imports) = payload.unwrap() {
            let imports = imports.into_imports();
            names.extend(imports.map(|import| import.unwrap().name.to_owned()));
        }
    }
    names.sort();
    names
}

#[test]
fn a_symbol_that_is_no_longer_allowed_is_an_error() {
    let mut program = program("one\ntwo\n", &["one", "two"]);
    assert_eq!(imports(&program), ["one", "two"]);
    program.write("list", "one\n");
    program.fail("shrunk", &["list"], "`two`: undefined symbol");
    program.fail("still", &["list"], "`two`: undefined symbol");
    // An edit of the program does not make it right.
    program.write("main.o", adds("run", 2, 1, &["one", "two"]));
    program.fail(
        "with an edit",
        &["list", "main.o"],
        "`two`: undefined symbol",
    );
    assert_eq!(imports(&program), ["one", "two"]);
    // One that needs only what is allowed does.
    program.write("main.o", adds("run", 2, 1, &["one"]));
    program.update("mended", &["list", "main.o"]);
    assert_eq!(imports(&program), ["one"]);
    assert_eq!(program.answer(7), 9);
    // And from then on the list is the short one.
    program.write("main.o", adds("run", 2, 1, &["one", "two"]));
    program.fail("two is needed", &["main.o"], "`two`: undefined symbol");
}

#[test]
fn a_symbol_that_is_allowed_from_now_on_is_imported() {
    let mut program = program("one\n", &["one"]);
    program.write("main.o", adds("run", 1, 1, &["one", "two"]));
    program.fail("two is needed", &["main.o"], "`two`: undefined symbol");
    program.write("list", "one\ntwo\n");
    program.update("and allowed", &["main.o", "list"]);
    assert_eq!(imports(&program), ["one", "two"]);
}

#[test]
fn a_list_that_shrinks_by_what_nobody_needs_is_no_error() {
    let mut program = program("one\ntwo\n", &["one"]);
    program.write("list", "one\n");
    program.update("shrunk", &["list"]);
    assert_eq!(imports(&program), ["one"]);
    program.write("list", "two\n");
    program.fail("another one", &["list"], "`one`: undefined symbol");
}

#[test]
fn a_list_that_cannot_be_read_is_an_error_until_it_is_back() {
    let mut program = program("one\n", &["one"]);
    std::fs::remove_file(program.path("list")).unwrap();
    program.write("main.o", adds("run", 5, 1, &["one"]));
    program.fail("gone", &["list", "main.o"], "list");
    program.write("list", "one\n");
    program.update("back", &["list", "main.o"]);
    assert_eq!(program.answer(1), 6);
}

/// `lib.a` with a list beside it: what its members need from the host.
#[test]
fn the_list_beside_an_archive_is_followed_also_where_the_archive_stays_as_it_is() {
    let archive = std::fs::read(crate::support::objects::path("libgnu.a")).unwrap();
    let line = "--no-entry --export=run FOLDER/main.o FOLDER/lib.a";
    let files = [
        ("lib.imports", b"one\n".to_vec()),
        ("lib.a", archive),
        ("main.o", adds("run", 1, 1, &["one"])),
    ];
    for named in ["lib.imports", "lib.a"] {
        let mut program = Program::new(line, Publish::Atomic, &files);
        assert_eq!(imports(&program), ["one"]);
        program.write("main.o", adds("run", 1, 1, &["one", "two"]));
        program.fail("two is needed", &["main.o"], "`two`: undefined symbol");
        program.write("lib.imports", "one\ntwo\n");
        program.update("and allowed", &["main.o", named]);
        assert_eq!(imports(&program), ["one", "two"]);
        program.write("lib.imports", "two\n");
        program.fail("one is not", &[named], "`one`: undefined symbol");
        program.write("main.o", adds("run", 1, 1, &["two"]));
        program.update("and not needed", &["main.o", named]);
        // A list that goes, and comes.
        std::fs::remove_file(program.path("lib.imports")).unwrap();
        program.fail("no list", &[named], "`two`: undefined symbol");
        program.write("lib.imports", "two\n");
        program.update("a list", &[named]);
        let files: Vec<_> = program.linked.files().collect();
        assert!(files.contains(&program.path("lib.imports")), "{files:?}");
    }
}
