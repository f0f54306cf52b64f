//! The command line: what drivers pass, what users mistype, and what is refused.
//!
//! Run: `LinkOptions::parse`, on the words of a command line.

use std::path::PathBuf;

use wasmend::Redirect;
use wasmend::link::LinkOptions;
use wasmend::link::help;
use wasmend::link::{
    BuildId, Color, DefinedSymbol, DefinedValue, Entry, InputArgument, Unresolved,
};

fn parse(line: &str) -> wasmend::Result<LinkOptions> {
    let arguments: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    LinkOptions::parse(&arguments)
}

fn options(line: &str) -> LinkOptions {
    parse(line).unwrap_or_else(|error| panic!("{line}: {error}"))
}

fn error(line: &str) -> String {
    match parse(line) {
        Ok(_) => panic!("{line} was accepted"),
        Err(error) => error.to_string(),
    }
}

fn file(name: &str) -> InputArgument {
    InputArgument::File(name.into())
}

#[test]
fn clang() {
    let options = options(
        "-m wasm32 -L/sysroot/lib/wasm32-wasi /sysroot/lib/crt1-command.o main.o --entry begin --strip-all \
         --export=x -lc /usr/lib/libclang_rt.builtins-wasm32.a -o a.out",
    );
    assert_eq!(options.is_64, Some(false));
    assert_eq!(
        options.search_paths,
        [PathBuf::from("/sysroot/lib/wasm32-wasi")]
    );
    assert_eq!(
        options.inputs,
        [
            file("/sysroot/lib/crt1-command.o"),
            file("main.o"),
            InputArgument::Library("c".into()),
            file("/usr/lib/libclang_rt.builtins-wasm32.a"),
        ]
    );
    assert_eq!(options.entry, Entry::Named("begin".into()));
    assert!(options.strip_all);
    assert_eq!(options.exports, ["x"]);
    assert_eq!(options.output, PathBuf::from("a.out"));
}

#[test]
fn rustc() {
    let options = options(
        "-flavor wasm -z stack-size=1048576 --stack-first --no-demangle --no-entry --export hello \
         --export=__heap_base --export=__data_end --gc-sections -O2 --allow-undefined --strip-debug \
         --shared-memory --import-memory --max-memory=1073741824 --export=__wasm_init_tls a.rcgu.o liba.rlib -o o.wasm",
    );
    assert_eq!(options.stack_size, 1 << 20);
    assert!(options.stack_first && !options.demangle && options.gc_sections);
    assert_eq!(options.entry, Entry::None);
    assert_eq!(
        options.exports,
        ["hello", "__heap_base", "__data_end", "__wasm_init_tls"]
    );
    assert!(options.import_undefined && options.strip_debug && options.shared_memory);
    assert_eq!(options.unresolved, Unresolved::Ignore);
    assert_eq!(options.import_memory, Some(("env".into(), "memory".into())));
    assert_eq!(options.exported_memory(), None);
    assert_eq!(options.max_memory, Some(1 << 30));
    assert_eq!(options.optimize, 2);
}

#[test]
fn zig() {
    let options = options(
        "wasm-ld.o --error-limit=0 --import-memory --export-memory --import-table --export=f --global-base=2048 \
         --build-id=0xc0ffee -whole-archive liba.a -no-whole-archive --initial-memory=131072 -o b.wasm",
    );
    assert_eq!(options.error_limit, 0);
    assert_eq!(options.exported_memory(), Some("memory"));
    assert_eq!(options.data_base(), 2048);
    assert_eq!(options.build_id, BuildId::Bytes(vec![0xc0, 0xff, 0xee]));
    assert_eq!(
        options.inputs,
        [
            file("wasm-ld.o"),
            InputArgument::WholeArchive(true),
            file("liba.a"),
            InputArgument::WholeArchive(false),
        ]
    );
}

#[test]
fn users() {
    let options = options(
        "a.o -efirst -usecond -u third -s -S -E -t -M --export-if-defined opt --start-lib b.o --end-lib -l:c.a \
         --initial-heap=65536 --export-table --growable-table --no-check-features --features=simd128,atomics \
         --extra-features=tail-call --fatal-warnings --color-diagnostics=never --threads=3 --verbose --Map=m \
         --trace-symbol=x -yz --print-gc-sections --wrap malloc --wrap=free --defsym=a=0x10 --defsym b=c --build-id \
         --keep-section=name --why-extract=w --allow-multiple-definition --no-gc-sections --redirect=table \
         --no-incremental --unresolved-symbols=ignore-all -ofile",
    );
    assert_eq!(options.entry, Entry::Named("first".into()));
    assert_eq!(options.undefined, ["second", "third"]);
    assert!(options.strip_all && options.strip_debug && options.export_dynamic && options.trace);
    assert_eq!(options.map, Some("m".into()), "the last one counts");
    assert_eq!(
        options.inputs[1..],
        [
            InputArgument::StartLib,
            file("b.o"),
            InputArgument::EndLib,
            InputArgument::Library(":c.a".into()),
        ]
    );
    assert_eq!(
        options.features,
        Some(vec!["simd128".into(), "atomics".into()])
    );
    assert_eq!(options.extra_features, ["tail-call"]);
    assert_eq!(options.color, Color::Never);
    assert_eq!(options.threads, Some(3));
    assert_eq!(options.trace_symbols, ["x", "z"]);
    assert_eq!(options.wrap, ["malloc", "free"]);
    let defined = |name: &str, value| DefinedSymbol {
        name: name.into(),
        value,
    };
    assert_eq!(
        options.defined_symbols,
        [
            defined("a", DefinedValue::Address(16)),
            defined("b", DefinedValue::Symbol("c".into())),
        ]
    );
    assert_eq!(options.build_id, BuildId::Fast);
    assert_eq!(options.redirect, Some(Redirect::TableThunks));
    assert_eq!(options.incremental, Some(false));
    assert_eq!(options.unresolved, Unresolved::Ignore);
    assert_eq!(options.output, PathBuf::from("file"));
}

#[test]
fn the_last_of_contrary_options_counts() {
    let line = |flags: &str| options(&format!("a.o -o b {flags}"));
    assert!(!line("--stack-first --no-stack-first").stack_first);
    assert!(line("--no-gc-sections --gc-sections").gc_sections);
    assert_eq!(line("--no-entry --entry=f").entry, Entry::Named("f".into()));
    assert_eq!(
        line("--warn-unresolved-symbols").unresolved,
        Unresolved::Warn
    );
    assert_eq!(
        line("--warn-unresolved-symbols --error-unresolved-symbols").unresolved,
        Unresolved::Error
    );
}

#[test]
fn mistakes_are_named_and_a_remedy_offered() {
    for (line, texts) in [
        (
            "a.o -o b --exprot=x",
            &["unknown option --exprot=x", "--export?"][..],
        ),
        ("a.o -o b --stak-first", &["did you mean --stack-first"]),
        ("a.o -o b --quite-something", &["unknown option", "--help"]),
        ("a.o -o", &["-o", "value is missing"]),
        (
            "a.o -o b --initial-memory=many",
            &["--initial-memory=many", "`many` is no number"],
        ),
        ("a.o -o b -shared", &["-shared", "not supported", "static"]),
        ("a.o -o b --pie", &["--pie", "not supported"]),
        ("a.o -o b -r", &["-r", "not supported", "archive"]),
        (
            "a.o -o b --emit-relocs",
            &["--emit-relocs", "not supported"],
        ),
        ("a.o -o b --reproduce=x", &["--reproduce", "not supported"]),
        ("a.o -o b -plugin-opt=x", &["link-time optimisation"]),
        (
            "a.o -o b --import-table --export-table",
            &["exclude each other"],
        ),
        ("a.o -o b --compress-relocations", &["--strip-debug"]),
        ("a.o -o b -z stack-size=100", &["multiple of 16"]),
        ("a.o", &["no output file", "-o"]),
        ("-o b", &["no input files"]),
        ("a.o -o b -m wasm16", &["wasm32 or wasm64"]),
        (
            "a.o -o b --unresolved-symbols=import-dynamic",
            &["not supported"],
        ),
        ("@/nonexistent/list", &["/nonexistent/list"]),
    ] {
        let message = error(line);
        for text in texts {
            assert!(message.contains(text), "{line}: {message}");
        }
    }
}

#[test]
fn what_has_no_effect_is_said() {
    let options = options("a.o -o b -z relro --lto-O3 -mllvm -x");
    assert_eq!(options.warnings.len(), 2, "{:?}", options.warnings);
}

/// Drivers pass `-mllvm` on once for each of their own options.
#[test]
fn warnings_name_the_option_as_it_was_given_and_none_is_for_what_drivers_pass_on() {
    let line = "a.o -o b --lto-partitions=2 --thinlto-jobs=3 --lto-CGO2 --save-temps --disable-verify -mllvm -x \
                -mllvm -y -mllvm=-z";
    let warned = options(line).warnings;
    let names = [
        "--lto-partitions=2",
        "--thinlto-jobs=3",
        "--lto-CGO2",
        "--save-temps",
        "--disable-verify",
    ];
    let expected = names.map(|name| format!("{name} has an effect on bitcode only"));
    assert_eq!(warned, expected);
}

#[test]
fn help_lists_options() {
    let help = help();
    for option in [
        "--export=SYMBOL",
        "-l NAME",
        "--stack-first",
        "--build-id[=STYLE]",
    ] {
        assert!(help.contains(option), "{option}");
    }
    assert!(options("--help").help);
    assert!(options("--version").version);
}
