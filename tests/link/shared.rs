//! Memory that threads share, beside what wasm-ld-19 makes of it, and what weak references become in programs that can be
//! moved. Run: `wasmend ld` as a library on objects that llvm-mc-19 makes. Needs llvm-19.

use wasmparser::{KnownCustom, Name, Operator, Parser, Payload};

use crate::lab::Lab;

const FEATURES: &str = "\
.section .custom_section.target_features,\"\",@
.int8 2
.int8 43
.int8 7
.ascii \"atomics\"
.int8 43
.int8 11
.ascii \"bulk-memory\"
";

/// The constants of each function that has a name, in order; and whether there is a start function.
fn constants(bytes: &[u8]) -> (Vec<(String, Vec<i32>)>, bool) {
    let (mut bodies, mut names) = (Vec::new(), Vec::new());
    let (mut imported, mut has_start) = (0, false);
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.unwrap() {
            Payload::ImportSection(imports) => {
                let functions = imports.into_imports().filter(|import| {
                    matches!(import.as_ref().unwrap().ty, wasmparser::TypeRef::Func(_))
                });
                imported = functions.count();
            }
            Payload::StartSection { .. } => has_start = true,
            Payload::CodeSectionEntry(body) => {
                let operators = body.get_operators_reader().unwrap().into_iter();
                let constants = operators.filter_map(|operator| match operator.unwrap() {
                    Operator::I32Const { value } => Some(value),
                    _ => None,
                });
                bodies.push(constants.collect());
            }
            Payload::CustomSection(custom) => {
                if let KnownCustom::Name(reader) = custom.as_known() {
                    for name in reader {
                        if let Name::Function(map) = name.unwrap() {
                            names.extend(map.into_iter().map(|naming| naming.unwrap()));
                        }
                    }
                }
            }
            _ => {}
        }
    }
    let named = names.into_iter().filter_map(|naming| {
        let at = (naming.index as usize).checked_sub(imported)?;
        Some((naming.name.to_owned(), Vec::clone(&bodies[at])))
    });
    (named.collect(), has_start)
}

#[test]
fn an_address_of_thread_local_data_is_a_distance_however_it_is_asked_for() {
    let source = format!(
        ".globaltype __tls_base, i32
.globl run
.type run,@function
run:
  .functype run () -> (i32)
  global.get __tls_base
  i32.const second@TLSREL
  i32.add
  i32.const second
  i32.add
  end_function
.section .tdata.first,\"T\",@
.globl first
first:
  .int32 1
  .int32 2
  .size first, 8
.section .tdata.second,\"T\",@
.globl second
second:
  .int32 3
  .size second, 4
{FEATURES}"
    );
    let lab = Lab::new(&[("t.s", &source)]);
    for patchable in [true, false] {
        let line = "--no-gc-sections --shared-memory --max-memory=1048576 --export=run t.o";
        let (bytes, _) = lab.wasmend(line, patchable).unwrap();
        let (functions, has_start) = constants(&bytes);
        let run = functions.iter().find(|(name, _)| name == "run").unwrap();
        assert_eq!(run.1, [8, 8]);
        assert!(has_start);
    }
}

#[test]
fn memory_that_threads_share_needs_nothing_to_fill_it_if_there_is_no_data() {
    let source = format!(
        ".globl run\n.type run,@function\nrun:\n  .functype run () -> ()\n  end_function\n{FEATURES}"
    );
    let lab = Lab::new(&[("t.s", &source)]);
    for more in ["", "--import-memory"] {
        for patchable in [true, false] {
            let line = format!("--shared-memory --max-memory=1048576 --export=run {more} t.o");
            let (bytes, _) = lab.wasmend(&line, patchable).unwrap();
            let (functions, has_start) = constants(&bytes);
            assert!(!has_start, "{line}");
            assert!(
                functions
                    .iter()
                    .all(|(name, _)| name != "__wasm_init_memory")
            );
        }
    }
}

#[test]
fn the_global_for_the_address_of_a_weak_function_that_is_not_there_says_so() {
    let source = "\
.globl run
.type run,@function
run:
  .functype run () -> (i32)
  global.get absent@GOT
  end_function
.weak absent
.functype absent () -> ()
";
    let lab = Lab::new(&[("t.s", source)]);
    for patchable in [true, false] {
        let (bytes, _) = lab.wasmend("--export=run t.o", patchable).unwrap();
        let name = b"GOT.func.internal.undefined_weak:absent";
        assert!(bytes.windows(name.len()).any(|at| at == name));
    }
}
