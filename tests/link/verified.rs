//! `inspect::verify` of linked outputs that were edited, beside what wasm-ld-19 links of the same objects, where all data and
//! all slots stand elsewhere: the same program is the same, and of another one the first thing said is what was edited.
//! Needs clang-19 and lld-19.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use wasmend::Redirect;
use wasmend::inspect::verify;
use wasmend::link::{Access, LinkOptions, Linked, Target};

use crate::support::toolchain::{run, wasm_ld};

const A: &str = r#"
extern int helper(int); extern int tab(int, int); extern int counter[50];
int g = 3; static const char *names[] = {"alpha", "beta", "gamma"}; static int zero[20];
typedef int (*F)(int);
static int fa(int x) { return x + g; }
static int fb(int x) { return x * g + zero[x & 15]++; }
F fs[] = {fa, fb, helper};
int run(int i) { counter[i & 31]++; return fs[i % 3](i) + names[i % 3][0] + tab(i, 2); }
"#;
const B: &str = r#"
int counter[50]; const char msg[] = "hello there"; double d[3] = {1.5, 2.5, 3.5};
__attribute__((noinline)) int helper(int x) { return msg[x % 11] + counter[3]; }
int tab(int x, int y) { return (int)(d[x % 3] * y) + counter[x & 7]; }
"#;

/// A version of the two sources: what is replaced in which of them by what; and what is to be said first of an output that is
/// of the version without that.
struct Version {
    edits: &'static [(usize, &'static str, &'static str)],
    said: &'static str,
}

const VERSIONS: [Version; 9] = [
    Version {
        edits: &[],
        said: "",
    },
    // Data that moves, since it is longer.
    Version {
        edits: &[(0, "alpha", "alphabetagamma")],
        said: "data",
    },
    // A signature.
    Version {
        edits: &[
            (0, "tab(int, int)", "tab(int, long long)"),
            (0, "tab(i, 2)", "tab(i, 2LL)"),
            (1, "tab(int x, int y)", "tab(int x, long long y)"),
        ],
        said: "function `run`",
    },
    // A function that goes.
    Version {
        edits: &[
            (0, "fb, helper}", "fb, fa}"),
            (
                1,
                "__attribute__((noinline)) int helper",
                "static inline int helper",
            ),
        ],
        said: "data named by function `run`: refers to function `helper`",
    },
    // Functions' addresses that change places.
    Version {
        edits: &[(0, "fa, fb, helper}", "fb, helper, fa}")],
        said: "slot",
    },
    // A function that comes.
    Version {
        edits: &[
            (
                0,
                "typedef",
                "__attribute__((noinline)) static int nw(int q) { return q * g * 7; }\ntypedef",
            ),
            (0, "return fs", "return nw(i) + fs"),
        ],
        said: "function `run`",
    },
    // Contents, at the beginning, in the middle and at the end.
    Version {
        edits: &[(1, "hello", "jello")],
        said: "data",
    },
    Version {
        edits: &[(1, "2.5", "-2.5")],
        said: "data",
    },
    Version {
        edits: &[(1, "there", "then")],
        said: "data",
    },
];

/// What a linker gives a program beside what it needs: a table that nobody uses, and more memory at first.
#[test]
fn what_linkers_choose_is_no_difference() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let source = "static int z[30000]; int n = 7; int run(int i) { return z[i]++ + n; }";
    fs::write(at("a.c"), source).unwrap();
    for flags in [&[][..], &["-mbulk-memory"]] {
        let mut clang = Command::new("clang-19");
        clang.args(["--target=wasm32", "-O1", "-c"]).args(flags);
        run(clang.arg(at("a.c")).arg("-o").arg(at("a.o")));
        for option in ["--export-memory", "--import-memory"] {
            let fixed = ["--no-entry", "--export=run", option].map(str::to_owned);
            let object = at("a.o").display().to_string();
            let arguments: Vec<String> = fixed.into_iter().chain([object]).collect();
            let theirs = wasm_ld(&arguments);
            let named = [&arguments[..], &["-oout.wasm".to_owned()]].concat();
            let options = LinkOptions::parse(&named).unwrap();
            let (linked, _) = Linked::link(options, Access::Read, Target::Memory).unwrap();
            let report = verify(&linked.bytes().unwrap(), &theirs).unwrap();
            assert!(
                report.is_clean(),
                "{flags:?} {option}: {:?}",
                report.differences
            );
        }
    }
}

#[test]
fn an_edited_output_is_what_wasm_ld_links_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for optimization in ["-O1", "-O0"] {
        let mut objects: Vec<[PathBuf; 2]> = Vec::new();
        for (number, version) in VERSIONS.iter().enumerate() {
            let mut sources = [A, B].map(str::to_owned);
            for (source, from, to) in version.edits {
                assert!(sources[*source].contains(from), "{from}");
                sources[*source] = sources[*source].replace(from, to);
            }
            let both = [0, 1].map(|source| {
                let file = at(&format!("{number}-{source}.c"));
                fs::write(&file, &sources[source]).unwrap();
                let object = file.with_extension("o");
                let mut clang = Command::new("clang-19");
                clang.args(["--target=wasm32", optimization, "-c"]);
                run(clang.arg(&file).arg("-o").arg(&object));
                object
            });
            objects.push(both);
        }
        let arguments = |objects: &[PathBuf; 2]| -> Vec<String> {
            let fixed = ["--no-entry", "--export=run"].map(str::to_owned);
            let objects = objects.iter().map(|path| path.display().to_string());
            fixed.into_iter().chain(objects).collect()
        };
        let theirs: Vec<Vec<u8>> = objects
            .iter()
            .map(|both| wasm_ld(&arguments(both)))
            .collect();
        for redirect in [Redirect::Direct, Redirect::TableThunks] {
            for (number, version) in objects.iter().enumerate() {
                let both = [at("a.o"), at("b.o")];
                for (from, to) in objects[0].iter().zip(&both) {
                    fs::copy(from, to).unwrap();
                }
                let output = ["-oout.wasm".to_owned()];
                let mut options =
                    LinkOptions::parse(&[&arguments(&both)[..], &output].concat()).unwrap();
                options.redirect = Some(redirect);
                let (mut linked, _) = Linked::link(options, Access::Read, Target::Memory).unwrap();
                let before = linked.bytes().unwrap();
                for (from, to) in version.iter().zip(&both) {
                    fs::copy(from, to).unwrap();
                }
                linked.update(&both).unwrap();
                let ours = linked.bytes().unwrap();
                let what = |other: usize| format!("{redirect:?} {optimization} {number} {other}");
                for (other, theirs) in theirs.iter().enumerate() {
                    let report = verify(&ours, theirs).unwrap();
                    let differences = &report.differences;
                    assert_eq!(
                        report.is_clean(),
                        number == other,
                        "{}: {differences:?}",
                        what(other)
                    );
                }
                let report = verify(&before, &theirs[number]).unwrap();
                if let Some(first) = report.differences.first() {
                    let said = VERSIONS[number].said;
                    assert!(
                        first.to_string().contains(said),
                        "{}: {first}",
                        what(number)
                    );
                }
            }
        }
    }
}
