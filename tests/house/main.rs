//! The rules of the house, read from its sources: who imports whom, how long things are, what each file begins with.
//!
//! Which folders may import which is said by the code map of `design/architecture.md`, and read from there.

mod imports;
mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use imports::{Files, imports};
use source::Source;

const MOST_LINES_OF_A_FILE: usize = 1_000;
const MOST_LINES_OF_A_FUNCTION: usize = 100;
/// Where functions are held to that.
const OF_SHORT_FUNCTIONS: [&str; 5] = [
    "src/layout/",
    "src/link/",
    "src/module/",
    "src/patch/",
    "src/program/",
];

/// What is still to be mended. Nothing is added here: a line goes when what it says is true no more, and the test fails
/// until it does.
const STILL_TO_MEND: &[&str] = &[];

#[test]
fn the_house_keeps_its_rules() {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut texts = BTreeMap::new();
    for folder in ["src", "tests", "benches"] {
        read_folder(home, folder, &mut texts);
    }
    let page = fs::read_to_string(home.join("design/architecture.md")).expect("the page is there");
    let found = violations(&texts, &page);
    let known: BTreeSet<&str> = STILL_TO_MEND.iter().copied().collect();
    let new: Vec<&str> = found
        .iter()
        .map(String::as_str)
        .filter(|id| !known.contains(id))
        .collect();
    let mended: Vec<&&str> = known.iter().filter(|id| !found.contains(**id)).collect();
    assert!(
        new.is_empty() && mended.is_empty(),
        "to mend:\n{new:#?}\nmended, to take from the list STILL_TO_MEND:\n{mended:#?}"
    );
}

/// Adds the sources within `folder` to `texts`, by their paths from `home`.
fn read_folder(home: &Path, folder: &str, texts: &mut BTreeMap<String, String>) {
    let mut entries = fs::read_dir(home.join(folder)).expect("the folder is there");
    while let Some(Ok(entry)) = entries.next() {
        let name = format!(
            "{folder}/{}",
            entry.file_name().to_str().expect("a plain name")
        );
        if entry.file_type().expect("it is there").is_dir() {
            read_folder(home, &name, texts);
        } else if name.ends_with(".rs") {
            let text = fs::read_to_string(entry.path()).expect("it is text");
            texts.insert(name, text);
        }
    }
}

/// Every breach of a rule, each a line that stays the same until it is mended.
fn violations(texts: &BTreeMap<String, String>, page: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (name, text) in texts {
        if !text.starts_with("//!") {
            found.insert(format!("{name} does not begin with `//!`"));
        }
        if name.starts_with("src/") && text.lines().count() > MOST_LINES_OF_A_FILE {
            found.insert(format!("{name} has more than {MOST_LINES_OF_A_FILE} lines"));
        }
    }
    for (name, text) in texts {
        // Such a table would not be found again by the process that goes on with another one's heap.
        let is_library = name.starts_with("src/") && !name.starts_with("src/cli/");
        if is_library && name != "src/hash.rs" && text.contains("hashbrown::") {
            found.insert(format!(
                "{name} has hash tables that are not those of src/hash.rs"
            ));
        }
    }
    let of_the_house = texts.iter().filter(|(name, _)| name.starts_with("src/"));
    let files: Files = of_the_house
        .map(|(name, text)| (name.clone(), Source::read(name, text)))
        .collect();
    for (name, source) in &files {
        if OF_SHORT_FUNCTIONS
            .iter()
            .any(|folder| name.starts_with(folder))
        {
            let functions = source.functions.iter();
            for function in functions.filter(|function| function.lines > MOST_LINES_OF_A_FUNCTION) {
                found.insert(format!(
                    "{name}: `{}` has more than {MOST_LINES_OF_A_FUNCTION} lines",
                    function.name
                ));
            }
        }
    }
    let map = CodeMap::read(page);
    for root in ["src/lib.rs", "src/main.rs"] {
        if !files.contains_key(root) {
            continue;
        }
        let imports = imports(&files, root);
        for (file, imported) in &imports {
            for other in imported {
                if imports[other].contains(file) && file < other {
                    found.insert(format!("{file} and {other} import each other"));
                }
                // The root of a crate has everything in it, and is no floor of the house.
                if file != root && other != root {
                    found.extend(map.breach(file, other));
                }
            }
        }
        found.extend(
            imports
                .keys()
                .filter(|file| *file != "src/lib.rs" && map.row(file).is_none())
                .map(|file| format!("{file} is in no row of the code map")),
        );
    }
    found
}

/// The table of folders: each may import those in the rows above its own, but for the ones that it must not know.
struct CodeMap {
    /// Folders (with a slash behind) and files of each row, from `src/`.
    rows: Vec<Row>,
}

struct Row {
    members: Vec<String>,
    unknown: Vec<String>,
}

impl CodeMap {
    fn read(page: &str) -> CodeMap {
        let (_, map) = page
            .split_once("\n## Code map\n")
            .expect("the page has a code map");
        let lines = map.lines().skip_while(|line| !line.starts_with('|'));
        let rows: Vec<Row> = lines
            .take_while(|line| line.starts_with('|'))
            .skip(2)
            .map(|line| {
                let cells: Vec<&str> = line.trim_matches('|').split('|').collect();
                let [members, _, unknown] = cells[..] else {
                    panic!("a row of the code map has three cells: {line}");
                };
                // What stands between backticks.
                let names = |cell: &str| -> Vec<String> {
                    let quoted = cell.split('`').skip(1).step_by(2);
                    quoted.map(|name| format!("src/{name}")).collect()
                };
                Row {
                    members: names(members),
                    unknown: names(unknown),
                }
            })
            .collect();
        CodeMap { rows }
    }

    fn row(&self, file: &str) -> Option<usize> {
        self.rows
            .iter()
            .position(|row| row.members.iter().any(|member| is_in(file, member)))
    }

    /// What is wrong with `file` importing `other`, if anything is.
    fn breach(&self, file: &str, other: &str) -> Option<String> {
        let (from, to) = (self.row(file)?, self.row(other)?);
        if from < to {
            return Some(format!(
                "{file} imports {other}, which the code map has below it"
            ));
        }
        let unknown = &self.rows[from].unknown;
        unknown
            .iter()
            .any(|member| is_in(other, member))
            .then(|| format!("{file} imports {other}, which its folder must not know"))
    }
}

/// Whether `file` is `member`, or in it if that is a folder.
fn is_in(file: &str, member: &str) -> bool {
    file == member || member.ends_with('/') && file.starts_with(member)
}

/// What a tree of these files breaks, with a code map of `a/`, `b/` and `c/`, of which `c/` must not know `a/`.
fn broken(files: &[(&str, &str)]) -> Vec<String> {
    let page = "# Page\n\n## Code map\n\nText.\n\n| folder | has | must not know |\n|---|---|---|\n\
        | `a/`, `error.rs` | this | anything |\n| `b/` | that | files |\n| `c/` | more | `a/` |\n\nMore.\n";
    let texts = files
        .iter()
        .map(|(name, text)| (format!("src/{name}"), format!("//! A file.\n{text}")))
        .collect();
    violations(&texts, page).into_iter().collect()
}

#[test]
fn imports_are_found_however_they_are_written() {
    let files = |one: &'static str, two: &'static str| {
        [
            ("lib.rs", "mod a; pub use a::one::One;"),
            ("a/mod.rs", "mod one; mod two; pub(crate) use two::Two;"),
            ("a/one.rs", one),
            ("a/two.rs", two),
        ]
    };
    for one in [
        "use crate::a::two::Two;",
        "use crate::{a::{two::{self, Two as Other}}};",
        "use super::Two;",
        "use super::two;",
        "use self::super::two::*;",
        "fn f() { let x = [crate::a::Two::new()]; }",
        "fn f() { g!(super::two::X) }",
        "mod inner { use super::super::Two; }",
        "use super::super::a; fn f() { a::two::g() }",
    ] {
        let said = "src/a/one.rs and src/a/two.rs import each other";
        assert_eq!(broken(&files(one, "use crate::One;")), [said], "{one}");
        assert_eq!(
            broken(&files(one, "use std::fmt::Write; use crate::a;")),
            [""; 0],
            "{one}"
        );
    }
    for one in [
        "#[cfg(test)] mod tests { use crate::a::Two; }",
        "#[cfg(test)] use crate::a::Two;",
        "// use crate::a::Two;",
        "const TEXT: &str = \"use crate::a::Two;\";",
        "mod inner { use super::Two; }",
        "pub(in crate::a) struct Two;",
    ] {
        assert_eq!(broken(&files(one, "use crate::One;")), [""; 0], "{one}");
    }
}

#[test]
fn a_parent_that_uses_what_it_passes_on_imports_it() {
    let files = |parent: &'static str| {
        [
            ("lib.rs", "mod a;"),
            ("a/mod.rs", parent),
            ("a/one.rs", "use super::Parent;"),
        ]
    };
    let passes_on = "mod one; pub use one::One; pub struct Parent;";
    assert_eq!(broken(&files(passes_on)), [""; 0]);
    for uses in [
        "mod one; pub use one::One; pub struct Parent(One);",
        "mod one; use one::One; pub struct Parent;",
        "mod one; pub fn parent() { one::f() } pub struct Parent;",
    ] {
        assert_eq!(
            broken(&files(uses)),
            ["src/a/mod.rs and src/a/one.rs import each other"],
            "{uses}"
        );
    }
}

#[test]
fn folders_import_what_stands_above_them() {
    let files = |a: &'static str, b: &'static str, c: &'static str| {
        [
            (
                "lib.rs",
                "mod a; mod b; mod c; mod error; pub use error::Error;",
            ),
            ("a.rs", ""),
            ("error.rs", ""),
            ("a/mod.rs", a),
            ("b/mod.rs", b),
            ("c/mod.rs", c),
        ]
        .into_iter()
        .filter(|(name, _)| *name != "a.rs")
        .collect::<Vec<_>>()
    };
    let (up, aside) = ("use crate::a::A; use crate::Error;", "use crate::b::B;");
    assert_eq!(broken(&files("use crate::Error;", up, aside)), [""; 0]);
    assert_eq!(
        broken(&files(
            "use crate::b::B;",
            "use crate::c::C;",
            "use crate::a;"
        )),
        [
            "src/a/mod.rs imports src/b/mod.rs, which the code map has below it",
            "src/b/mod.rs imports src/c/mod.rs, which the code map has below it",
            "src/c/mod.rs imports src/a/mod.rs, which its folder must not know",
        ]
    );
    let stranger = [("lib.rs", "mod stranger;"), ("stranger.rs", "")];
    assert_eq!(
        broken(&stranger),
        ["src/stranger.rs is in no row of the code map"]
    );
}

#[test]
fn lengths_and_beginnings_are_checked() {
    let function = |lines: usize| {
        format!(
            "impl X {{ fn long(&self) {{\n{}}} }}",
            "f();\n".repeat(lines - 2)
        )
    };
    let read = |lines| Source::read("a file", &function(lines)).functions;
    assert_eq!((read(7)[0].name.as_str(), read(7)[0].lines), ("long", 7));
    let texts = |name: &str, text: String| BTreeMap::from([(name.to_owned(), text)]);
    let found = |texts| {
        violations(&texts, "\n## Code map\n")
            .into_iter()
            .collect::<Vec<_>>()
    };
    let long = |name, lines| found(texts(name, format!("//! A file.\n{}", function(lines))));
    assert_eq!(long("src/patch/a.rs", 100), [""; 0]);
    assert_eq!(
        long("src/patch/a.rs", 101),
        ["src/patch/a.rs: `long` has more than 100 lines"]
    );
    assert_eq!(long("src/wire/a.rs", 101), [""; 0]);
    assert_eq!(
        long("src/wire/a.rs", 1_000),
        ["src/wire/a.rs has more than 1000 lines"]
    );
    assert_eq!(
        found(texts("tests/a.rs", "// A file.\n".to_owned())),
        ["tests/a.rs does not begin with `//!`"]
    );
}
