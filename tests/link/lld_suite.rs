//! LLVM's own tests of wasm-ld. Each is run with wasm-ld-19, with `wasmend ld` and with `wasmend ld --no-incremental`; each of
//! its links must end alike and mean the same. What the tests say of exact layouts is not looked at.
//!
//! Run: `WASMEND_LLD_TESTS=FOLDER cargo test --features toolchain-tests --test link lld_suite:: -- --nocapture`, where the folder is
//! `lld/test/wasm` of LLVM's sources (those of LLVM 12 are what was tried). Needs the tools of LLVM 19. Tests that wasm-ld-19
//! itself does not end as they say are not counted, and lines are left out that ask for what wasmend does not have.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use wasmparser::{KnownCustom, Name, Parser, Payload};

use crate::random::observe;
use crate::support::toolchain::run;
use crate::{meaning, support};

/// Words of lines that ask for more than static linking.
const NOT_MEANT: [&str; 12] = [
    " -shared",
    " --shared ",
    " -pie",
    " --pie",
    " -r ",
    " --relocatable",
    " -relocatable",
    "emit-relocs",
    "reproduce",
    "llvm-as",
    " --lto",
    ".lto.",
];

/// Typed pointers, which LLVM 19 does not read any more.
const POINTERS: &str = r#"/^;/!{
:a
s/(i[0-9]+|float|double|void|ptr|%[A-Za-z_.][A-Za-z_.0-9]*|%"[^"]*"|\[[0-9]+ x [^]]+\]|\{[^}]*\})( \([^()]*\))?\*/ptr/g
ta
s/br i1 icmp (eq|ne) \(ptr ([^,]*), ptr null\), /%adapted = icmp \1 ptr \2, null\n  br i1 %adapted, /
}"#;

/// Stands in for wasm-ld, and notes what comes of each link.
const LINKER: &str = r#"#!/bin/bash
n=$(ls "$LOG" | grep -c 'status$')
previous= output=
for argument; do
    case "$argument" in -o?*) output=${argument#-o} ;; esac
    case "$previous" in -o) output=$argument ;; esac
    previous=$argument
done
printf '%s ' "$@" >"$LOG/$n.arguments"
$LINKER "--Map=$LOG/$n.map" "$@"
status=$?
echo $status >"$LOG/$n.status"
[ $status = 0 ] && [ -f "$output" ] && cp "$output" "$LOG/$n.wasm"
exit $status
"#;

struct Suite {
    scratch: tempfile::TempDir,
    tools: PathBuf,
}

/// What came of a link.
#[derive(Debug)]
struct Link {
    arguments: String,
    succeeded: bool,
    output: Option<(Vec<u8>, String)>,
}

impl Suite {
    /// A copy of the suite in words that LLVM 19 understands, and the tools that its tests name.
    fn new(folder: &Path) -> Suite {
        let scratch = tempfile::tempdir().unwrap();
        let tools = scratch.path().join("tools");
        fs::create_dir(&tools).unwrap();
        for tool in [
            "obj2yaml",
            "yaml2obj",
            "llvm-ar",
            "llvm-nm",
            "llvm-readobj",
            "llvm-dwarfdump",
        ] {
            symlink(format!("/usr/bin/{tool}-19"), tools.join(tool)).unwrap();
        }
        for (name, text) in [
            ("wasm-ld", LINKER),
            (
                "llvm-mc",
                "#!/bin/sh\nexec llvm-mc-19 -no-type-check \"$@\"\n",
            ),
            (
                "llc",
                "#!/bin/sh\ncase \"$*\" in *exception-model*) set -- -wasm-enable-eh \"$@\" ;; esac\nexec llc-19 \"$@\"\n",
            ),
            ("FileCheck", "#!/bin/sh\ncat >/dev/null\n"),
            (
                "not",
                "#!/bin/sh\nif \"$@\"; then exit 1; else exit 0; fi\n",
            ),
        ] {
            fs::write(tools.join(name), text).unwrap();
            fs::set_permissions(tools.join(name), fs::Permissions::from_mode(0o755)).unwrap();
        }
        run(Command::new("cp")
            .arg("-r")
            .arg(folder)
            .arg(scratch.path().join("suite")));
        let suite = Suite { scratch, tools };
        for folder in [suite.folder(), suite.folder().join("Inputs")] {
            for entry in fs::read_dir(folder).unwrap() {
                adapt(&entry.unwrap().path());
            }
        }
        suite
    }

    fn folder(&self) -> PathBuf {
        self.scratch.path().join("suite")
    }

    /// The lines of a test that can be run; empty if none of them links.
    fn lines(&self, test: &Path) -> Vec<String> {
        let Ok(text) = fs::read_to_string(test) else {
            return Vec::new();
        };
        let mut lines: Vec<String> = Vec::new();
        let mut is_continued = false;
        for line in text.lines().filter_map(|line| line.split_once("RUN:")) {
            let line = line.1.trim();
            let part = line.trim_end_matches('\\');
            match lines.last_mut().filter(|_| is_continued) {
                Some(last) => last.push_str(part),
                None => lines.push(part.to_owned()),
            }
            is_continued = line.ends_with('\\');
        }
        let mut dropped: Vec<String> = Vec::new();
        lines.retain(|line| {
            let is_dropped = NOT_MEANT
                .iter()
                .any(|word| format!("{line} ").contains(word))
                || line
                    .split_whitespace()
                    .any(|word| dropped.iter().any(|output| output == word));
            if is_dropped {
                let words: Vec<&str> = line.split_whitespace().collect();
                let output = words.iter().position(|word| *word == "-o");
                dropped.extend(
                    output
                        .and_then(|at| words.get(at + 1))
                        .map(|word| (*word).to_owned()),
                );
            }
            !is_dropped
        });
        match lines.iter().any(|line| line.contains("wasm-ld")) {
            true => lines,
            false => Vec::new(),
        }
    }

    /// Runs the lines of a test with a linker; whether all ended as they should, and what came of each link.
    fn run(&self, test: &Path, lines: &[String], linker: &str) -> (bool, Vec<Link>) {
        let name = test.file_name().unwrap().to_str().unwrap();
        let folder = self.scratch.path().join("run");
        let _ = fs::remove_dir_all(&folder);
        let log = folder.join("log");
        fs::create_dir_all(&log).unwrap();
        let suite = self.folder().display().to_string();
        let stem = folder.join(format!("{name}.tmp")).display().to_string();
        let path = format!(
            "{}:{}",
            self.tools.display(),
            std::env::var("PATH").unwrap()
        );
        let mut all_well = true;
        for line in lines {
            let line = line
                .replace("%/", "%")
                .replace("%t", &stem)
                .replace("%s", &test.display().to_string());
            // Options that LLVM 19 spells in one way only, and features that its compilers use without being asked.
            let line = line.replace(" -no-merge-data-segments", " --no-merge-data-segments");
            let line = line.replace("--features=atomics,bulk-memory", "--features=atomics,bulk-memory,mutable-globals,reference-types,multivalue,sign-ext");
            let line = line.replace("%S", &suite).replace("%p", &suite);
            let done = Command::new("bash")
                .args(["-c", &format!("set -o pipefail; {line}")])
                .current_dir(&folder)
                .env("PATH", &path)
                .env("LOG", &log)
                .env("LINKER", linker)
                .output()
                .unwrap();
            all_well &= done.status.success();
            if !done.status.success() && linker.starts_with("wasm-ld") {
                println!(
                    "{name}: not counted: {line}\n{}",
                    String::from_utf8_lossy(&done.stderr)
                );
            }
        }
        let mut links = Vec::new();
        while let Ok(status) = fs::read_to_string(log.join(format!("{}.status", links.len()))) {
            let at = |what: &str| log.join(format!("{}.{what}", links.len()));
            let output = fs::read(at("wasm")).ok();
            links.push(Link {
                arguments: fs::read_to_string(at("arguments")).unwrap(),
                succeeded: status.trim() == "0",
                output: output
                    .map(|bytes| (bytes, fs::read_to_string(at("map")).unwrap_or_default())),
            });
        }
        (all_well, links)
    }
}

/// Rewrites what LLVM 19 reads otherwise than LLVM 12.
fn adapt(path: &Path) {
    let extension = path.extension().unwrap_or_default();
    if extension == "ll" {
        run(Command::new("sed").args(["-E", "-i", POINTERS]).arg(path));
    }
    // What functions and globals look like must be said before they are used.
    if extension == "s" {
        let text = fs::read_to_string(path).unwrap();
        let is_type = |line: &&str| {
            [
                ".functype",
                ".globaltype",
                ".tagtype",
                ".eventtype",
                ".tabletype",
            ]
            .iter()
            .any(|directive| line.trim_start().starts_with(directive))
        };
        let mut adapted = String::new();
        for line in text.lines().filter(is_type).collect::<BTreeSet<_>>() {
            let _ = writeln!(adapted, "{line}");
        }
        fs::write(path, adapted + &text).unwrap();
    }
}

/// Whether functions of a module have the same name.
fn has_namesakes(bytes: &[u8]) -> bool {
    let mut names = BTreeSet::new();
    for payload in Parser::new(0).parse_all(bytes) {
        if let Payload::CustomSection(custom) = payload.unwrap()
            && let KnownCustom::Name(reader) = custom.as_known()
        {
            for name in reader {
                if let Name::Function(map) = name.unwrap() {
                    let mut all = map.into_iter().map(|naming| naming.unwrap().name);
                    return all.any(|name| !names.insert(name));
                }
            }
        }
    }
    false
}

/// Whether an import is the table that is to be imported, which wasm-ld leaves out if nothing needs it.
fn is_table_too_many(import: &str, theirs: &[String]) -> bool {
    import.starts_with("env.__indirect_function_table") && !theirs.iter().any(|it| it == import)
}

/// Differences that are meant.
fn is_allowed(line: &str, arguments: &str, is_dense: bool) -> bool {
    // Where there is room for more data, the stack and the heap begin later; data that is all zeros stands in the map.
    const ADDRESSES: [&str; 6] = [
        "__data_end",
        "__heap_base",
        "__heap_end",
        "__stack_low",
        "__stack_high",
        "__stack_pointer",
    ];
    let is_address = ADDRESSES
        .iter()
        .any(|name| line == format!("export {name} differs"));
    let is_zeros = line.starts_with("only ours: data") && line.contains("(.bss");
    // The same instructions in another order.
    let is_init = line.starts_with("function (\"__wasm_init_memory\"");
    let is_nameless = arguments.contains("--strip-all ") || arguments.contains("-s ");
    let is_unneeded = line.starts_with("imports: [\"env.__indirect_function_table\"]");
    is_address
        || (!is_dense && is_zeros)
        || is_init
        || is_unneeded
        || (is_nameless && line.starts_with("export "))
}

/// Limits of memories and tables, and the features.
fn limits(bytes: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.unwrap() {
            Payload::MemorySection(all) => {
                found.extend(all.into_iter().map(|it| format!("{:?}", it.unwrap())))
            }
            Payload::TableSection(all) => {
                found.extend(all.into_iter().map(|it| format!("{:?}", it.unwrap().ty)))
            }
            _ => {}
        }
    }
    found
}

fn features(bytes: &[u8]) -> BTreeSet<Vec<u8>> {
    let mut found = BTreeSet::new();
    for payload in Parser::new(0).parse_all(bytes) {
        if let Payload::CustomSection(custom) = payload.unwrap()
            && custom.name() == "target_features"
        {
            let mut at = &custom.data()[1..];
            while let [_, len, ..] = at {
                let (one, rest) = at.split_at(2 + usize::from(*len));
                found.insert(one.to_vec());
                at = rest;
            }
        }
    }
    found
}

/// How the links of a test differ.
fn differences(ours: &[Link], theirs: &[Link], is_dense: bool) -> Vec<String> {
    let mut found = Vec::new();
    if ours.len() != theirs.len() {
        found.push(format!("{} links, {} by wasm-ld", ours.len(), theirs.len()));
    }
    for (ours, theirs) in ours.iter().zip(theirs) {
        let arguments = &ours.arguments;
        if ours.succeeded != theirs.succeeded {
            let which = if ours.succeeded { "wasm-ld" } else { "wasmend" };
            found.push(format!("{arguments}: only {which} refuses it"));
        }
        if let (Some((ours, our_map)), Some((theirs, their_map))) = (&ours.output, &theirs.output) {
            let mut said = match is_dense && has_namesakes(theirs) {
                // In a dense output functions stand in another order, and nothing else tells these apart.
                true => Vec::new(),
                false => meaning::compare(ours, our_map, theirs, their_map, &[]),
            };
            said.retain(|line| !is_allowed(line, arguments, is_dense));
            if let Err(error) = support::validate(ours)
                && support::validate(theirs).is_ok()
            {
                said.push(format!("invalid: {error}"));
            }
            let (our_interface, their_interface) =
                (observe::interface(ours), observe::interface(theirs));
            if our_interface.exports != their_interface.exports {
                let exports = (our_interface.exports, their_interface.exports);
                said.push(format!("exports: {exports:?}"));
            }
            let mut our_imports = our_interface.imports;
            our_imports.retain(|it| !is_table_too_many(it, &their_interface.imports));
            if our_imports != their_interface.imports {
                said.push(format!(
                    "imports: {our_imports:?}, {:?}",
                    their_interface.imports
                ));
            }
            // A table that nothing can reach is left out.
            let (our_limits, their_limits) = (limits(ours), limits(theirs));
            let both = |a: &[String], b: &[String]| -> Vec<String> {
                let is_table = |line: &String| line.starts_with("Table");
                let kept = a
                    .iter()
                    .filter(|line| !is_table(line) || b.iter().any(is_table));
                kept.cloned().collect()
            };
            if is_dense && both(&our_limits, &their_limits) != both(&their_limits, &our_limits) {
                said.push(format!("limits {our_limits:?}, {their_limits:?}"));
            }
            if features(ours) != features(theirs) {
                said.push("features differ".to_owned());
            }
            found.extend(said.into_iter().map(|said| format!("{arguments}: {said}")));
        }
    }
    found
}

#[test]
fn tests_of_wasm_ld_mean_the_same_here() {
    let Ok(folder) = std::env::var("WASMEND_LLD_TESTS") else {
        return;
    };
    let suite = Suite::new(Path::new(&folder));
    let entries = fs::read_dir(suite.folder()).unwrap();
    let mut tests: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    tests.sort();
    let (mut counted, mut differ) = (0, Vec::new());
    for test in tests {
        let name = test.file_name().unwrap().to_str().unwrap().to_owned();
        let lines = suite.lines(&test);
        if lines.is_empty() {
            continue;
        }
        let (all_well, theirs) = suite.run(&test, &lines, "wasm-ld-19");
        if !all_well {
            continue;
        }
        counted += 1;
        let wasmend = env!("CARGO_BIN_EXE_wasmend");
        for (is_dense, linker) in [
            (true, format!("{wasmend} ld --no-incremental")),
            (false, format!("{wasmend} ld")),
        ] {
            let (_, ours) = suite.run(&test, &lines, &linker);
            let found = differences(&ours, &theirs, is_dense);
            if !found.is_empty() {
                println!(
                    "{name} ({}):\n  {}",
                    if is_dense { "dense" } else { "patchable" },
                    found.join("\n  ")
                );
                if differ.last() != Some(&name) {
                    differ.push(name.clone());
                }
            }
        }
    }
    println!("{} of {counted} agree", counted - differ.len());
    assert!(
        counted > 0 && differ.is_empty(),
        "{} of {counted} differ: {differ:?}",
        differ.len()
    );
}
