//! Resolution and section garbage collection, on small objects that are checked in. (`resolve_reference.rs` compares
//! with wasm-ld.)
//!
//! Run: `resolve`, `gc::mark` and what else comes before contents are written, on the command line that each case begins with;
//! its files are those of `tests/objects`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use crate::support::objects::{self, builder::Builder};
use wasmend::internals::link::symbols::{Definition, Synthetic, Trap};
use wasmend::internals::link::{Inputs, Live, Resolution, gc, order, resolve, undefined};
use wasmend::internals::object::{Access, Input, Object};
use wasmend::link::LinkOptions;

/// What a link came to.
struct Outcome {
    resolution: Resolution,
    live: Live,
    options: LinkOptions,
}

fn parse(line: &str) -> LinkOptions {
    objects::options(line, Path::new("out.wasm"))
}

/// Resolves the words of a command line; files without a folder are those checked in.
fn link(line: &str) -> Outcome {
    let options = parse(line);
    let inputs = Inputs::open(&options, Access::Map).unwrap_or_else(|errors| panic!("{errors:?}"));
    finish(inputs, options)
}

fn finish(inputs: Inputs, options: LinkOptions) -> Outcome {
    let mut resolution = resolve(inputs, &options);
    let mut live = gc::mark(&mut resolution, &options);
    let segments = order::segments(&resolution, &live, &options, false);
    order::define_bounds(&mut resolution, &mut live, &segments, &options);
    undefined::settle(&mut resolution, &live, &options);
    Outcome {
        resolution,
        live,
        options,
    }
}

impl Outcome {
    fn errors(&self) -> Vec<String> {
        let errors = self.resolution.diagnostics.errors.iter();
        errors.map(ToString::to_string).collect()
    }

    fn warnings(&self) -> Vec<String> {
        let warnings = self.resolution.diagnostics.warnings.iter();
        warnings.map(ToString::to_string).collect()
    }

    fn definition(&self, name: &str) -> Definition {
        let id = self.resolution.find(name);
        let id = id.unwrap_or_else(|| panic!("no symbol {name}"));
        self.resolution.table.get(id).definition
    }

    /// The file that defines a symbol.
    fn file(&self, name: &str) -> String {
        match self.definition(name) {
            Definition::Object { object, .. } => self.short(object),
            other => format!("{other:?}"),
        }
    }

    fn short(&self, id: wasmend::internals::link::symbols::ObjectId) -> String {
        let name = self.resolution.object(id).object.display_name();
        name.rsplit('/').next().unwrap().to_owned()
    }

    fn files(&self) -> Vec<String> {
        let objects = self.resolution.each_object();
        objects.map(|(id, _)| self.short(id)).collect()
    }

    fn functions(&self) -> Vec<String> {
        order::functions(&self.resolution, &self.live)
            .into_iter()
            .map(|(id, function)| {
                let object = &self.resolution.object(id).object;
                object.function_name(function).unwrap().to_owned()
            })
            .collect()
    }

    fn exports(&self) -> Vec<&str> {
        order::exports(&self.resolution, &self.live, &self.options)
            .into_iter()
            .map(|id| self.resolution.name(id))
            .collect()
    }

    fn imports(&self) -> Vec<String> {
        order::imports(&self.resolution, &self.live, &self.options)
            .into_iter()
            .map(|id| {
                let (module, name) = self.resolution.import_names(id);
                format!("{module}.{name}")
            })
            .collect()
    }
}

/// Checks that a list has one entry, and that it says all of `texts`.
fn one(list: &[String], texts: &[&str]) {
    assert_eq!(list.len(), 1, "{list:?}");
    for text in texts {
        assert!(list[0].contains(text), "{text} is not in: {}", list[0]);
    }
}

#[test]
fn strong_prevails_over_weak_whatever_the_order() {
    for line in ["main.o twice.o pick.o", "main.o pick.o twice.o"] {
        let link = link(line);
        assert_eq!(link.errors(), Vec::<String>::new());
        assert_eq!(link.file("pick"), "pick.o", "{line}");
    }
    assert_eq!(link("main.o twice.o").file("pick"), "twice.o");
}

#[test]
fn members_are_linked_when_they_are_needed() {
    for library in [
        "libgnu.a",
        "libbsd.a",
        "libthin.a",
        "libnoindex.a",
        "liblong.rlib",
    ] {
        for line in [
            format!("uses_lib.o {library} --no-entry"),
            format!("{library} uses_lib.o --no-entry"),
        ] {
            let link = link(&line);
            assert_eq!(link.errors(), Vec::<String>::new(), "{line}");
            let files = link.files().join(" ");
            assert!(
                files.contains("lib_b.o") && !files.contains("lib_c.o"),
                "{line}: {files}"
            );
            assert_eq!(
                link.file("maybe_there"),
                format!("{library}(lib_b.o)"),
                "{line}"
            );
        }
    }
    let alone = link("main.o twice.o libgnu.a");
    assert_eq!(
        alone.files(),
        ["main.o", "twice.o"],
        "a weak reference needs nothing"
    );
    assert_eq!(
        alone.definition("maybe_there"),
        Definition::Trap(Trap::UndefinedWeak)
    );
    let asked = link("uses_lib.o libgnu.a -u unused_c --no-entry");
    assert!(asked.files().contains(&"libgnu.a(lib_c.o)".to_owned()));
    let whole = link("--no-entry --whole-archive libgnu.a");
    assert_eq!(whole.files().len(), 3);
    let lazy = link("uses_lib.o --start-lib lib_c.o lib_a.o lib_b.o --end-lib --no-entry");
    assert_eq!(lazy.files(), ["uses_lib.o", "lib_a.o", "lib_b.o"]);
}

#[test]
fn an_archive_without_an_index_is_remarked_on() {
    let link = link("uses_lib.o libnoindex.a --no-entry");
    one(
        &link.warnings(),
        &["libnoindex.a", "without an index", "ranlib"],
    );
}

#[test]
fn bitcode_is_refused_if_it_is_needed() {
    let link_lib = link("lib_a.o libbitcode.a --no-entry");
    assert_eq!(
        link_lib.errors(),
        Vec::<String>::new(),
        "only lib_b.o was needed"
    );
    let needed = link("main.o twice.o --allow-multiple-definition -u pick libbitcode.a");
    assert_eq!(needed.errors(), Vec::<String>::new(), "twice.o defines it");
    let needed = link("--no-entry -u pick libbitcode.a");
    one(
        &needed.errors(),
        &["libbitcode.a(bitcode.o)", "bitcode", "-flto"],
    );
}

#[test]
fn duplicates_name_both() {
    let twice = link("twice.o twice.o --no-entry");
    let errors = twice.errors();
    assert!(errors.len() >= 3, "{errors:?}");
    assert!(
        errors
            .iter()
            .any(|error| { error.contains("`twice`") && error.matches("twice.o").count() == 2 })
    );
    assert_eq!(
        link("twice.o twice.o --no-entry --allow-multiple-definition").errors(),
        Vec::<String>::new()
    );
    assert_eq!(
        link("twice.o twice.o --no-entry -z muldefs").errors(),
        Vec::<String>::new()
    );
}

#[test]
fn undefined_symbols_name_who_needs_them_and_what_is_near() {
    let lost = link("missing.o twice.o --no-entry");
    let errors = lost.errors();
    assert_eq!(errors.len(), 2, "{errors:?}");
    let function = errors
        .iter()
        .find(|error| error.contains("twicee"))
        .unwrap();
    for text in [
        "needed by `lost`",
        "missing.o",
        "did you mean `twice`",
        "twice.o",
    ] {
        assert!(function.contains(text), "{function}");
    }
    assert!(errors.iter().any(|error| error.contains("`nowhere_data`")));
    let warned = link("missing.o --no-entry --warn-unresolved-symbols");
    assert_eq!((warned.errors().len(), warned.warnings().len()), (0, 2));
    assert_eq!(
        warned.definition("twicee"),
        Definition::Trap(Trap::Undefined)
    );
    let ignored = link("missing.o --no-entry --unresolved-symbols=ignore-all");
    assert_eq!((ignored.errors().len(), ignored.warnings().len()), (0, 0));
    let imported = link("missing.o --no-entry --allow-undefined");
    assert_eq!(imported.errors(), Vec::<String>::new());
    assert_eq!(imported.imports(), ["env.twicee"]);
    assert_eq!(imported.definition("twicee"), Definition::Undefined);
    let unreached = link("missing.o --no-entry --no-gc-sections --export-if-defined=lost");
    assert_eq!(unreached.errors().len(), 2);
}

#[test]
fn an_undefined_symbol_that_nothing_reaches_is_none() {
    let link = link("twice.o --start-lib missing.o --end-lib --no-entry -u lost");
    assert_eq!(link.errors().len(), 2, "it is exported");
    let link = self::link("lib_c.o --no-entry");
    assert_eq!(
        link.errors(),
        Vec::<String>::new(),
        "unused_c needs from_a, but nothing needs it"
    );
}

#[test]
fn a_file_can_allow_symbols_to_be_undefined() {
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("list.txt");
    std::fs::write(&list, "# comment\n twicee \n").unwrap();
    let some = link(&format!(
        "missing.o --no-entry --allow-undefined-file={}",
        list.display()
    ));
    one(&some.errors(), &["nowhere_data"]);
    assert_eq!(some.imports(), ["env.twicee"]);
    // A list beside an archive counts too.
    let library = folder.path().join("libgnu.a");
    let original = objects::path("libgnu.a");
    std::fs::copy(original, &library).unwrap();
    std::fs::rename(&list, folder.path().join("libgnu.imports")).unwrap();
    let some = link(&format!("missing.o {} --no-entry", library.display()));
    one(&some.errors(), &["nowhere_data"]);
}

#[test]
fn a_stub_library_provides_and_needs() {
    let folder = tempfile::tempdir().unwrap();
    let stub = folder.path().join("stub.so");
    std::fs::write(&stub, "#STUB\ntwicee: kept\nnowhere_data:\n").unwrap();
    let line = format!(
        "missing.o {} --start-lib twice.o --end-lib --no-entry",
        stub.display()
    );
    let link = link(&line);
    assert_eq!(link.imports(), ["env.twicee"]);
    assert!(link.exports().contains(&"kept"), "{:?}", link.exports());
    let folder = tempfile::tempdir().unwrap();
    let stub = folder.path().join("stub.so");
    std::fs::write(&stub, "#STUB\ntwicee: absent\n").unwrap();
    let link = self::link(&format!("missing.o {} --no-entry", stub.display()));
    assert!(
        link.errors().iter().any(|error| error.contains("`absent`")),
        "{:?}",
        link.errors()
    );
}

#[test]
fn another_signature_is_a_warning_and_a_trap() {
    for line in [
        "mismatch.o twice.o --no-entry",
        "twice.o mismatch.o --no-entry",
    ] {
        let link = link(line);
        assert_eq!(link.errors(), Vec::<String>::new());
        one(
            &link.warnings(),
            &[
                "`twice`",
                "(i64) -> i64",
                "mismatch.o",
                "(i32) -> i32",
                "twice.o",
            ],
        );
        assert_eq!(link.file("twice"), "twice.o", "{line}");
        let traps: Vec<String> = link
            .resolution
            .synthetic_functions
            .iter()
            .map(|id| link.resolution.debug_name(*id, true))
            .collect();
        assert!(
            traps.contains(&"signature_mismatch:twice".to_owned()),
            "{traps:?}"
        );
    }
}

#[test]
fn the_first_of_equal_comdats_is_kept() {
    let link = link("inline_a.o inline_b.o --no-entry --allow-undefined");
    assert_eq!(link.file("_ZZ7squarediE5calls"), "inline_a.o");
    let link = self::link("inline_b.o inline_a.o --no-entry --allow-undefined");
    assert_eq!(link.file("_ZZ7squarediE5calls"), "inline_b.o");
    let kept = link
        .resolution
        .each_object()
        .filter(|(id, linked)| {
            let segments = &linked.object.segments;
            (0..segments.len()).any(|index| {
                linked.object.str(segments[index].name).contains("calls")
                    && link.live.segments.get(*id, index)
            })
        })
        .count();
    assert_eq!(kept, 1);
}

#[test]
fn weak_undefined_functions_trap_and_data_is_zero() {
    let link = link("main.o twice.o");
    assert_eq!(link.errors(), Vec::<String>::new());
    assert_eq!(
        link.definition("maybe_there"),
        Definition::Trap(Trap::UndefinedWeak)
    );
    assert_eq!(link.definition("maybe_number"), Definition::Undefined);
    assert_eq!(link.imports(), ["host.log"]);
    let id = link.resolution.find("maybe_there").unwrap();
    assert_eq!(
        link.resolution.debug_name(id, true),
        "undefined_weak:maybe_there"
    );
}

#[test]
fn aliases_mean_the_same_function() {
    let link = link("main.o twice.o --export=doubled --export=twice");
    let place = |name: &str| {
        let id = link.resolution.find(name).unwrap();
        let (object, symbol) = link.resolution.table.get(id).place().unwrap();
        let object_tables = &link.resolution.object(object).object;
        (object, object_tables.symbols[symbol.index()].function())
    };
    assert_eq!(place("twice"), place("doubled"));
    assert_eq!(
        link.functions()
            .iter()
            .filter(|name| *name == "twice")
            .count(),
        1
    );
}

#[test]
fn what_cannot_be_reached_is_dropped() {
    let link = link("main.o twice.o libgnu.a");
    let functions = link.functions();
    assert!(
        functions.contains(&"kept".to_owned()),
        "it is marked as used"
    );
    assert!(
        functions.contains(&"hidden_one".to_owned()),
        "kept calls it"
    );
    assert!(functions.contains(&"first".to_owned()), "an init function");
    let empty = self::link("lib_a.o lib_b.o --no-entry");
    assert_eq!(empty.functions(), Vec::<String>::new());
    let all = self::link("lib_a.o lib_b.o --no-entry --no-gc-sections");
    assert_eq!(all.functions().len(), 4);
    let one = self::link("lib_a.o lib_b.o --no-entry --export=from_b");
    assert_eq!(one.functions(), ["from_b"]);
}

#[test]
fn init_functions_run_in_the_order_of_their_priority() {
    let link = link("main.o twice.o");
    let names: Vec<&str> = order::init_functions(&link.resolution, &link.live)
        .into_iter()
        .map(|target| match target {
            gc::InitTarget::Defined(object, symbol) => {
                link.resolution.object(object).object.symbol_name(symbol)
            }
            gc::InitTarget::Undefined(symbol) => link.resolution.name(symbol),
        })
        .collect();
    assert_eq!(names, ["first", "second"]);
    assert!(link.live.symbols[link.resolution.call_ctors.index()]);
    // An archive's member that nothing needs brings none.
    let lazy = self::link("uses_lib.o libgnu.a --no-entry");
    assert!(order::init_functions(&lazy.resolution, &lazy.live).is_empty());
}

#[test]
fn a_symbol_can_be_wrapped() {
    let link = link("uses_lib.o lib_a.o lib_b.o --no-entry --wrap=from_b --allow-undefined");
    let imports = link.imports();
    assert_eq!(imports, ["env.__wrap_from_b"]);
    assert_eq!(link.errors(), Vec::<String>::new());
}

#[test]
fn a_symbol_can_be_defined_on_the_command_line() {
    let alias =
        link("missing.o twice.o --no-entry --defsym=twicee=twice --defsym=nowhere_data=0x400");
    assert_eq!(alias.errors(), Vec::<String>::new());
    assert_eq!(alias.file("twicee"), "twice.o");
    assert_eq!(alias.definition("nowhere_data"), Definition::Address(0x400));
    assert!(alias.functions().contains(&"twice".to_owned()));
    let wrong =
        link("missing.o twice.o --no-entry --defsym=twicee=nothing --defsym=nowhere_data=0");
    one(&wrong.errors(), &["`twicee`", "`nothing` is not defined"]);
    let other = link(
        "mismatch.o missing.o twice.o --no-entry --defsym=twicee=wrong --defsym=nowhere_data=0",
    );
    assert!(
        other
            .errors()
            .iter()
            .any(|error| error.contains("another type")),
        "{:?}",
        other.errors()
    );
}

#[test]
fn the_linker_defines_what_is_asked_for() {
    let plain = link("main.o twice.o");
    assert!(plain.resolution.find("__heap_base").is_none());
    let asked = link("main.o twice.o --export=__heap_base --export=__data_end");
    assert_eq!(
        asked.definition("__heap_base"),
        Definition::Synthetic(Synthetic::HeapBase)
    );
    assert!(asked.exports().contains(&"__data_end"));
    let threads = link("threads.o --no-entry --shared-memory --export=__wasm_init_tls");
    assert_eq!(
        threads.definition("__wasm_init_tls"),
        Definition::Synthetic(Synthetic::InitTls)
    );
    assert!(threads.exports().contains(&"__wasm_init_tls"));
    let single = link("threads.o --no-entry");
    assert_eq!(
        single.definition("__tls_base"),
        Definition::Synthetic(Synthetic::TlsBase)
    );
}

#[test]
fn an_entry_must_exist() {
    one(&link("twice.o").errors(), &["`_start`", "--no-entry"]);
    let named = link("twice.o --entry=twice");
    assert_eq!(named.exports(), ["twice"]);
}

#[test]
fn targets_do_not_mix() {
    let mixed = link("twice.o main64.o --no-entry --allow-undefined");
    one(&mixed.errors(), &["main64.o", "64-bit"]);
    let wanted = link("-mwasm64 twice.o --no-entry");
    one(&wanted.errors(), &["twice.o", "32-bit"]);
    // What the objects are for must be said, also where all agree.
    let unsaid = link("main64.o --unresolved-symbols=ignore-all");
    one(&unsaid.errors(), &["main64.o", "64-bit", "-m"]);
}

#[test]
fn missing_files_and_libraries_are_named_all_at_once() {
    let options = parse("twice.o /nonexistent/x.o -lnothing -L/nonexistent --end-lib");
    let errors = Inputs::open(&options, Access::Map).unwrap_err();
    let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(errors.len(), 2, "{errors:?}");
    assert!(
        errors[0].contains("-lnothing") && errors[0].contains("/nonexistent"),
        "{errors:?}"
    );
    assert!(errors[1].contains("--end-lib"), "{errors:?}");
    let options = parse("/nonexistent/x.o bitcode.o");
    let errors = Inputs::open(&options, Access::Map).unwrap_err();
    assert_eq!(errors.len(), 2, "{errors:?}");
}

#[test]
fn why_members_are_linked_can_be_told() {
    let link = link("uses_lib.o libgnu.a --no-entry --why-extract=w -y from_b");
    let why: Vec<String> = link
        .resolution
        .extractions
        .iter()
        .map(|why| {
            let short = |text: &str| text.rsplit('/').next().unwrap().to_owned();
            format!(
                "{} {} {}",
                short(&why.reference),
                short(&why.file),
                why.symbol
            )
        })
        .collect();
    assert_eq!(
        why,
        [
            "uses_lib.o libgnu.a(lib_a.o) from_a",
            "libgnu.a(lib_a.o) libgnu.a(lib_b.o) from_b"
        ]
    );
    let trace = link.resolution.symbol_trace.join("\n");
    for text in [
        "(lib_b.o): definition of from_b",
        "(lib_a.o): reference to from_b",
    ] {
        assert!(trace.contains(text), "{trace}");
    }
}

/// Objects that call one another in a ring, with more names than are put into the tables one by one.
fn many_objects() -> Vec<Arc<Object>> {
    let name = |object: u32, function: u32| format!("f{object:03}_{function:03}");
    (0..150)
        .map(|object| {
            let mut builder = Builder::new();
            let ty = builder.function_type(&[0x7f], &[0x7f]);
            let next = builder.undefined_function(&name((object + 1) % 150, 0), ty);
            for function in 0..40 {
                let code = builder.begin_function(&name(object, function), ty, false);
                code.local_get(0);
                match function {
                    39 => code.call(next),
                    _ => code.call_own(function + 1),
                };
                code.op(0x0b);
                builder.end_function();
            }
            let input = Input::from_bytes(format!("{object}.o"), builder.finish());
            Arc::new(Object::read(input).unwrap())
        })
        .collect()
}

/// What a link says, for comparing.
fn summary(link: &Outcome) -> String {
    format!(
        "{:?}\n{:?}\n{:?}\n{:?}\n{:?}\n{:?}",
        link.files(),
        link.functions(),
        link.exports(),
        link.imports(),
        link.errors(),
        order::table_entries(&link.resolution, &link.live)
    )
}

#[test]
fn the_number_of_threads_does_not_matter() {
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| {
            [
                "main.o twice.o pick.o libgnu.a",
                "inline_a.o inline_b.o missing.o --no-entry",
                "uses_lib.o libgnu.a liblong.rlib --no-entry",
            ]
            .map(|line| summary(&link(line)))
        })
    };
    let many = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| {
            let options = parse("x.o --no-entry --export=f000_000");
            let link = finish(Inputs::of_objects(many_objects()), options);
            assert_eq!(link.functions().len(), 150 * 40);
            assert_eq!(link.errors().len(), 0);
            summary(&link)
        })
    };
    assert_eq!(many(1), many(3));
    let one = run(1);
    for threads in [2, 3, 8] {
        assert_eq!(run(threads), one, "{threads} threads");
    }
}

/// Malformed objects that are still read can contradict one another in many ways; none may end in a panic.
#[test]
fn whatever_is_read_can_be_resolved() {
    let folder = objects::folder();
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    let fixed = Arc::new(Object::read(Input::from_bytes("twice.o", read("twice.o"))).unwrap());
    let options = parse("x.o --no-entry --export-all --warn-unresolved-symbols");
    let mut resolved = 0;
    for name in [
        "main.o",
        "inline_a.o",
        "threads.o",
        "throws.o",
        "mvp.o",
        "twice.o",
    ] {
        let bytes = read(name);
        for at in 8..bytes.len() {
            for bit in 0..8 {
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << bit;
                let Ok(object) = Object::read(Input::from_bytes(name, flipped)) else {
                    continue;
                };
                let objects = [Arc::new(object), fixed.clone()];
                let result = catch_unwind(AssertUnwindSafe(|| {
                    let link = finish(Inputs::of_objects(objects), options.clone());
                    summary(&link);
                    order::init_functions(&link.resolution, &link.live);
                    gc::dropped(&link.resolution, &link.live);
                }));
                assert!(result.is_ok(), "{name}: bit {bit} of byte {at}");
                resolved += 1;
            }
        }
    }
    assert!(resolved > 10_000, "{resolved}");
}

#[test]
fn a_changed_input_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("copy.o");
    std::fs::copy(objects::path("twice.o"), &path).unwrap();
    let link = link(&format!("{} --no-entry", path.display()));
    link.resolution.check_inputs().unwrap();
    std::fs::write(&path, b"other").unwrap();
    let error = link.resolution.check_inputs().unwrap_err().to_string();
    assert!(
        error.contains("copy.o") && error.contains("changed"),
        "{error}"
    );
}
