//! The one table of options: how each is spelt, what it takes, what it does, what help says of it.

use crate::error::{Error, Result};
use crate::kept::Compare;
use crate::link::command::options::{
    BuildId, Color, DefinedSymbol, DefinedValue, Entry, InputArgument, Later, LinkOptions,
    Unresolved, number,
};
use crate::module::Redirect;

/// With how many dashes an option may be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dashes {
    One,
    Two,
    Any,
}

/// What comes with an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    Nothing,
    /// `--name VALUE` or `--name=VALUE`.
    Value,
    /// `--name=VALUE` only.
    Equals,
    /// `--name` or `--name=VALUE`.
    Perhaps,
    /// `-nVALUE` or `-n VALUE`.
    Attached,
}

type Set = fn(&mut LinkOptions, &mut Later, &str) -> Result<()>;

/// One option.
pub(super) struct Spec {
    pub(super) names: &'static [&'static str],
    pub(super) dashes: Dashes,
    pub(super) takes: Takes,
    /// What help calls the value.
    pub(super) value: &'static str,
    /// Empty for what help does not mention.
    pub(super) help: &'static str,
    pub(super) set: Set,
}

const fn spec(
    names: &'static [&'static str],
    dashes: Dashes,
    takes: Takes,
    value: &'static str,
    help: &'static str,
    set: Set,
) -> Spec {
    Spec {
        names,
        dashes,
        takes,
        value,
        help,
        set,
    }
}

/// A flag whose presence does something.
macro_rules! flag {
    ($dashes:ident $($name:literal)+, $help:literal, |$o:ident| $set:expr) => {
        spec(&[$($name),+], Dashes::$dashes, Takes::Nothing, "", $help, |$o, _, _| { $set; Ok(()) })
    };
}

/// An option with a value.
macro_rules! value {
    ($dashes:ident $takes:ident $($name:literal)+, $value:literal, $help:literal, |$o:ident, $v:ident| $set:expr) => {
        spec(&[$($name),+], Dashes::$dashes, Takes::$takes, $value, $help, |$o, _, $v| { $set; Ok(()) })
    };
}

/// An option that makes sense, but not here.
macro_rules! refused {
    ($dashes:ident $takes:ident $($name:literal)+, $why:literal) => {
        spec(&[$($name),+], Dashes::$dashes, Takes::$takes, "VALUE", "", |_, _, _| {
            Err(Error::bad_input("is not supported").with_hint($why))
        })
    };
}

/// An option about link-time optimisation, which no accepted input needs. It is warned of as it was written.
macro_rules! idle {
    ($dashes:ident $takes:ident $($name:literal)+) => {
        spec(&[$($name),+], Dashes::$dashes, Takes::$takes, "VALUE", "", |_, later, _| {
            later.is_idle = true;
            Ok(())
        })
    };
}

const PIC: &str = "only static linking is";

/// Every option. The longest name that fits an argument is the one that is meant.
pub(super) static OPTIONS: &[Spec] = &[
    // Inputs.
    value!(One Attached "l", "NAME", "Link libNAME.a, or with `:` in front the file of that name", |o, v| {
        o.inputs.push(InputArgument::Library(v.into()))
    }),
    value!(Any Value "library", "NAME", "", |o, v| o.inputs.push(InputArgument::Library(v.into()))),
    value!(One Attached "L", "FOLDER", "Look for libraries in FOLDER", |o, v| o.search_paths.push(v.into())),
    value!(Any Value "library-path", "FOLDER", "", |o, v| o.search_paths.push(v.into())),
    flag!(Any "whole-archive", "Link all members of the archives that follow", |o| {
        o.inputs.push(InputArgument::WholeArchive(true))
    }),
    flag!(Any "no-whole-archive", "Link members that define what is needed (default)", |o| {
        o.inputs.push(InputArgument::WholeArchive(false))
    }),
    flag!(Any "start-lib", "Link the objects that follow as members of an archive are", |o| {
        o.inputs.push(InputArgument::StartLib)
    }),
    flag!(Any "end-lib", "End these objects", |o| o.inputs.push(InputArgument::EndLib)),
    flag!(Any "Bstatic" "static" "dn" "non_shared", "Look for static libraries only (default)", |o| {
        o.inputs.push(InputArgument::SharedLibraries(false))
    }),
    flag!(Any "Bdynamic" "dy" "call_shared", "Look for shared libraries too", |o| {
        o.inputs.push(InputArgument::SharedLibraries(true))
    }),
    // Read before all others.
    spec(
        &["rsp-quoting"],
        Dashes::Any,
        Takes::Value,
        "STYLE",
        "How response files quote: posix or windows",
        nothing,
    ),
    // Output.
    value!(One Attached "o", "FILE", "Write FILE, or with - to standard output", |o, v| o.output = v.into()),
    value!(One Attached "m", "TARGET", "wasm32 or wasm64", |o, v| o.is_64 = Some(match v {
        "wasm32" => false,
        "wasm64" => true,
        _ => return Err(no_choice(v, "wasm32 or wasm64")),
    })),
    value!(Any Value "flavor", "wasm", "", |_o, v| match v {
        "wasm" | "wasm-ld" => {}
        _ => return Err(no_choice(v, "wasm")),
    }),
    value!(Any Value "soname", "NAME", "The module's name in the name section", |o, v| {
        o.module_name = Some(v.into())
    }),
    value!(Any Perhaps "build-id", "STYLE", "Add a build id: fast, sha1, uuid or 0xHEX", |o, v| {
        o.build_id = build_id(v)?
    }),
    flag!(Any "strip-all", "Drop debug information, names and other custom sections", |o| o.strip_all = true),
    flag!(One "s", "", |o| o.strip_all = true),
    flag!(Any "strip-debug", "Drop debug information", |o| o.strip_debug = true),
    flag!(One "S", "", |o| o.strip_debug = true),
    value!(Any Value "keep-section", "NAME", "Keep this custom section in spite of --strip-all", |o, v| {
        o.keep_sections.push(v.into())
    }),
    value!(One Attached "O", "LEVEL", "How much to optimise; 0 merges no strings", |o, v| {
        o.optimize = match v {
            // The compiler's word for size; there is nothing to choose here.
            "s" | "z" => 2,
            _ => number(v)?.min(255) as u8,
        }
    }),
    flag!(Any "compress-relocations", "Make a dense output with short fields in all code", |o| {
        o.compress_relocations = true
    }),
    flag!(Two "merge-data-segments", "Merge data segments by their prefix (default)", |o| {
        o.merge_data_segments = true
    }),
    flag!(Two "no-merge-data-segments", "Keep data segments apart", |o| o.merge_data_segments = false),
    // Symbols.
    value!(Any Value "entry", "SYMBOL", "Start with this function (default: _start)", |o, v| {
        o.entry = Entry::Named(v.into())
    }),
    value!(One Attached "e", "SYMBOL", "", |o, v| o.entry = Entry::Named(v.into())),
    flag!(Two "no-entry", "Start with no function", |o| o.entry = Entry::None),
    value!(Any Value "export", "SYMBOL", "Export SYMBOL, which must exist", |o, v| o.exports.push(v.into())),
    value!(Any Value "export-if-defined", "SYMBOL", "Export SYMBOL if it exists", |o, v| {
        o.exports_if_defined.push(v.into())
    }),
    flag!(Two "export-all", "Export everything", |o| o.export_all = true),
    flag!(Any "export-dynamic", "Export everything that is not hidden", |o| o.export_dynamic = true),
    flag!(One "E", "", |o| o.export_dynamic = true),
    flag!(Any "no-export-dynamic", "Export what is asked for (default)", |o| o.export_dynamic = false),
    value!(Any Value "undefined", "SYMBOL", "Look for SYMBOL in archives", |o, v| o.undefined.push(v.into())),
    value!(One Attached "u", "SYMBOL", "", |o, v| o.undefined.push(v.into())),
    flag!(Any "import-undefined", "Import undefined functions", |o| o.import_undefined = true),
    spec(
        &["allow-undefined"],
        Dashes::Any,
        Takes::Nothing,
        "",
        "Import undefined functions, ignore undefined data",
        |_, later, _| {
            later.allow_undefined = true;
            Ok(())
        },
    ),
    value!(Any Value "allow-undefined-file", "FILE", "Import the symbols that FILE lists if they are undefined", |o, v| {
        o.allow_undefined_file = Some(v.into())
    }),
    spec(
        &["unresolved-symbols"],
        Dashes::Any,
        Takes::Value,
        "HOW",
        "report-all or ignore-all",
        |_, later, v| {
            later.unresolved = Some(match v {
                "report-all" => Unresolved::Error,
                "ignore-all" => Unresolved::Ignore,
                "import-dynamic" => {
                    return Err(Error::bad_input("import-dynamic is not supported").with_hint(PIC));
                }
                _ => return Err(no_choice(v, "report-all or ignore-all")),
            });
            Ok(())
        },
    ),
    spec(
        &["warn-unresolved-symbols"],
        Dashes::Any,
        Takes::Nothing,
        "",
        "Warn of undefined symbols",
        |_, later, _| {
            later.report_unresolved = Some(Unresolved::Warn);
            Ok(())
        },
    ),
    spec(
        &["error-unresolved-symbols"],
        Dashes::Any,
        Takes::Nothing,
        "",
        "Undefined symbols are errors (default)",
        |_, later, _| {
            later.report_unresolved = Some(Unresolved::Error);
            Ok(())
        },
    ),
    flag!(Any "allow-multiple-definition", "Take the first of several definitions", |o| {
        o.allow_multiple_definition = true
    }),
    flag!(Any "no-allow-multiple-definition", "Several definitions are errors (default)", |o| {
        o.allow_multiple_definition = false
    }),
    value!(Any Value "wrap", "SYMBOL", "Let references to SYMBOL mean __wrap_SYMBOL", |o, v| o.wrap.push(v.into())),
    value!(Any Value "defsym", "NAME=VALUE", "Define NAME as an address or as another symbol", |o, v| {
        o.defined_symbols.push(defined_symbol(v)?)
    }),
    flag!(Any "gc-sections", "Drop what cannot be reached (default)", |o| o.gc_sections = true),
    flag!(Any "no-gc-sections", "Keep what cannot be reached", |o| o.gc_sections = false),
    flag!(Any "print-gc-sections", "List what was dropped", |o| o.print_gc_sections = true),
    flag!(Any "no-print-gc-sections", "", |o| o.print_gc_sections = false),
    // Memory and table.
    spec(
        &["z"],
        Dashes::One,
        Takes::Attached,
        "KEYWORD",
        "stack-size=N or muldefs",
        |o, _, v| {
            match v.split_once('=').unwrap_or((v, "")) {
                ("stack-size", size) => o.stack_size = number(size)?,
                ("muldefs", "") => o.allow_multiple_definition = true,
                _ => o
                    .warnings
                    .push(format!("-z {v} is unknown and has no effect")),
            }
            Ok(())
        },
    ),
    flag!(Two "stack-first", "Place the stack before the data", |o| o.stack_first = true),
    flag!(Two "no-stack-first", "Place the stack behind the data (default)", |o| o.stack_first = false),
    value!(Two Value "global-base", "ADDRESS", "Where data begins", |o, v| o.global_base = Some(number(v)?)),
    value!(Two Value "table-base", "N", "The first table entry to use (default: 1)", |o, v| {
        o.table_base = Some(u32::try_from(number(v)?).map_err(|_| no_choice(v, "32 bits"))?)
    }),
    value!(Two Value "initial-memory", "BYTES", "Memory at the start", |o, v| o.initial_memory = Some(number(v)?)),
    value!(Two Value "initial-heap", "BYTES", "Heap at the start", |o, v| o.initial_heap = Some(number(v)?)),
    value!(Two Value "max-memory", "BYTES", "Memory at most", |o, v| o.max_memory = Some(number(v)?)),
    flag!(Two "no-growable-memory", "Memory cannot grow", |o| o.no_growable_memory = true),
    value!(Two Value "page-size", "BYTES", "Bytes of a page of memory", |o, v| o.page_size = match number(v)? {
        size @ (1 | 65536) => size,
        _ => return Err(no_choice(v, "1 or 65536")),
    }),
    value!(Two Perhaps "import-memory", "MODULE,NAME", "Import memory (default: env,memory)", |o, v| {
        o.import_memory = Some(match v.split_once(',') {
            Some((module, name)) => (module.into(), name.into()),
            None if v.is_empty() => ("env".into(), "memory".into()),
            None => (v.into(), String::new()),
        })
    }),
    value!(Two Perhaps "export-memory", "NAME", "Export memory (default: memory)", |o, v| {
        o.export_memory = Some(if v.is_empty() { "memory".into() } else { v.into() })
    }),
    flag!(Two "shared-memory", "Threads share memory", |o| o.shared_memory = true),
    flag!(Two "import-table", "Import the function table", |o| o.import_table = true),
    flag!(Two "export-table", "Export the function table", |o| o.export_table = true),
    flag!(Two "growable-table", "The function table can grow", |o| o.growable_table = true),
    // Features.
    flag!(Two "check-features", "Compare the objects' features (default)", |o| o.check_features = true),
    flag!(Two "no-check-features", "Do not compare the objects' features", |o| o.check_features = false),
    value!(Any Equals "features", "A,B", "The output's features, instead of the objects'", |o, v| {
        o.features = Some(list(v))
    }),
    value!(Any Equals "extra-features", "A,B", "Features next to the objects'", |o, v| o.extra_features = list(v)),
    // Messages.
    flag!(Any "fatal-warnings", "Warnings are errors", |o| o.fatal_warnings = true),
    flag!(Any "no-fatal-warnings", "", |o| o.fatal_warnings = false),
    flag!(Any "noinhibit-exec", "Write the output in spite of errors that allow it", |o| o.no_inhibit_exec = true),
    value!(Two Value "error-limit", "N", "Stop after N errors; 0 for never", |o, v| o.error_limit = number(v)? as usize),
    value!(Any Perhaps "color-diagnostics", "WHEN", "Colour messages: auto, always or never", |o, v| {
        o.color = match v {
            "" | "always" => Color::Always,
            "auto" => Color::Auto,
            "never" => Color::Never,
            _ => return Err(no_choice(v, "auto, always or never")),
        }
    }),
    flag!(Any "no-color-diagnostics", "", |o| o.color = Color::Never),
    flag!(Any "demangle", "Show names as in the source (default)", |o| o.demangle = true),
    flag!(Any "no-demangle", "Show names as they are", |o| o.demangle = false),
    value!(Any Value "Map", "FILE", "Write a map of the output", |o, v| o.map = Some(v.into())),
    flag!(Any "print-map", "Print a map of the output", |o| o.map = Some("-".into())),
    flag!(One "M", "", |o| o.map = Some("-".into())),
    value!(Two Equals "why-extract", "FILE", "Write why archive members were linked", |o, v| {
        o.why_extract = Some(v.into())
    }),
    flag!(Any "trace", "List the linked files", |o| o.trace = true),
    flag!(One "t", "", |o| o.trace = true),
    value!(Any Value "trace-symbol", "SYMBOL", "List references to SYMBOL", |o, v| o.trace_symbols.push(v.into())),
    value!(One Attached "y", "SYMBOL", "", |o, v| o.trace_symbols.push(v.into())),
    flag!(Any "verbose", "Say what is done, how much of it and how long it takes", |o| o.verbose = true),
    flag!(Two "stats", "Say how much was linked, and how long each phase took", |o| o.stats = true),
    flag!(Any "version", "Print the version, and do nothing else", |o| o.version = true),
    flag!(One "v", "", |o| o.version = true),
    flag!(Any "help", "Print this", |o| o.help = true),
    // How to go about it.
    value!(Any Value "threads", "N", "How many threads to use", |o, v| o.threads = match number(v)? as usize {
        0 => return Err(no_choice(v, "1 or more")),
        threads => Some(threads),
    }),
    value!(Two Value "redirect", "MODE", "How calls reach code that has moved: direct or, for --live, table", |o, v| {
        o.redirect = Some(match v {
            "direct" => Redirect::Direct,
            "table" => Redirect::TableThunks,
            _ => return Err(no_choice(v, "direct or table")),
        })
    }),
    flag!(Two "live", "Make an output that can be patched while it runs; goes with --redirect=table", |o| o.live = true),
    flag!(Two "incremental", "Make an output that can be patched (default)", |o| o.incremental = Some(true)),
    flag!(Two "state", "Keep what the link knows beside the output, so that the next one is a patch", |o| o.state = Some(true)),
    flag!(Two "no-state", "Keep nothing, whatever WASMEND_STATE says", |o| o.state = Some(false)),
    value!(Two Value "state-dir", "FOLDER", "Keep it in FOLDER: for outputs that are moved or copied away", |o, v| {
        o.state_dir = Some(v.into())
    }),
    flag!(Two "daemon", "Leave a process behind that keeps it in memory, and let it link; implies --state", |o| {
        o.daemon = Some(true)
    }),
    flag!(Two "no-daemon", "Leave none, and ask none, whatever WASMEND_DAEMON says", |o| o.daemon = Some(false)),
    value!(Two Equals "check", "WHAT", "How --state tells changed inputs: times, or content (all are read)", |o, v| {
        o.compare = match v {
            "times" => Compare::Times,
            "content" => Compare::Contents,
            _ => return Err(no_choice(v, "times or content")),
        }
    }),
    flag!(Two "no-incremental", "Make a dense output, for release: as small as it can be", |o| o.incremental = Some(false)),
    // Said by drivers without a meaning for static linking.
    spec(
        &["no-pie", "no-shlib-sigcheck"],
        Dashes::Any,
        Takes::Nothing,
        "",
        "",
        nothing,
    ),
    flag!(Any "Bsymbolic", "", |o| o.warnings.push("-Bsymbolic has an effect on shared libraries only".into())),
    idle!(Two Value "thinlto-cache-policy"),
    idle!(Any Equals "thinlto-cache-dir" "thinlto-jobs" "lto-partitions" "lto-obj-path"),
    idle!(Two Attached "lto-O" "lto-CGO"),
    idle!(Any Nothing "lto-debug-pass-manager" "disable-verify" "save-temps"),
    // What drivers pass on to the code generator, as often as they have something to say.
    spec(&["mllvm"], Dashes::Any, Takes::Value, "", "", nothing),
    // Not built.
    refused!(Any Nothing "shared", "only static linking is; link the objects into the program instead"),
    refused!(Any Nothing "pie" "experimental-pic", "only static linking is; leave it out"),
    refused!(Any Nothing "relocatable", "pass the objects to the final link, or put them in an archive"),
    refused!(One Nothing "r", "pass the objects to the final link, or put them in an archive"),
    refused!(Any Nothing "emit-relocs", "relocations are not kept in the output"),
    refused!(Two Value "reproduce", "use --trace to list the inputs"),
    refused!(Any Value "plugin", "link-time optimisation is not; compile without -flto"),
    refused!(Any Equals "plugin-opt", "link-time optimisation is not; compile without -flto"),
    refused!(Any Equals "thinlto-index-only" "thinlto-object-suffix-replace" "thinlto-prefix-replace",
        "link-time optimisation is not; compile without -flto"),
    refused!(Any Nothing "thinlto-index-only" "thinlto-emit-index-files" "thinlto-emit-imports-files",
        "link-time optimisation is not; compile without -flto"),
];

fn nothing(_: &mut LinkOptions, _: &mut Later, _: &str) -> Result<()> {
    Ok(())
}

#[cold]
fn no_choice(value: &str, choices: &str) -> Error {
    Error::bad_input(format!("`{value}` is not possible")).with_hint(format!("use {choices}"))
}

fn list(value: &str) -> Vec<String> {
    value
        .split(',')
        .filter(|item| !item.is_empty())
        .map(str::to_owned)
        .collect()
}

fn build_id(style: &str) -> Result<BuildId> {
    Ok(match style {
        "" | "fast" => BuildId::Fast,
        "sha1" | "tree" => BuildId::Sha1,
        "uuid" => BuildId::Uuid,
        "none" => BuildId::None,
        _ => {
            let digits = style.strip_prefix("0x").unwrap_or("");
            let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
            // A digit that is left at the end is a byte too.
            let pairs = digits.as_bytes().chunks(2);
            let bytes = pairs.filter_map(|pair| {
                let pair = std::str::from_utf8(pair).ok()?;
                u8::from_str_radix(pair, 16).ok()
            });
            match is_hex && !digits.is_empty() {
                true => BuildId::Bytes(bytes.collect()),
                false => return Err(no_choice(style, "fast, sha1, uuid, none or 0xHEX")),
            }
        }
    })
}

fn defined_symbol(text: &str) -> Result<DefinedSymbol> {
    let (name, value) = text
        .split_once('=')
        .filter(|(name, value)| !name.is_empty() && !value.is_empty())
        .ok_or_else(|| no_choice(text, "NAME=VALUE"))?;
    let value = match value.starts_with(|char: char| char.is_ascii_digit()) {
        true => DefinedValue::Address(number(value)?),
        false => DefinedValue::Symbol(value.into()),
    };
    Ok(DefinedSymbol {
        name: name.into(),
        value,
    })
}
