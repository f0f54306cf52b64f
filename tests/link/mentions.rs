//! Symbols mean the same whether each mention is seen to when it comes or, as far as that can wait, by all threads afterwards.
//! Names of `--trace-symbol` are never left for later, so a link that traces all of them is the measure of one that traces none.
//!
//! Run: `resolve`, with pools of several numbers of threads, on random objects that define, refer to and call the same names
//! as they like: weak and strong, some with other types than most do, some in files that are linked only if they are needed.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::support::objects::{self, builder::Builder};
use crate::support::smith::Rng;
use wasmend::internals::link::symbols::{Definition, GlobalSymbol, SymbolId};
use wasmend::internals::link::{Inputs, Resolution, resolve};
use wasmend::internals::object::Access;

const NAMES: u32 = 2500;
const OBJECTS: u32 = 64;
/// So many that they are shared out.
const MENTIONS: u32 = 400;
const WEAK: u32 = 0x1;

/// An object whose mentions are random. `odd` says how many of so many contradict what others say.
fn object(number: u32, random: &mut Rng, odd: usize) -> Vec<u8> {
    let mut builder = Builder::new();
    let types: Vec<u32> = (0..3)
        .map(|params| builder.function_type(&[0x7f, 0x7f][..params], &[]))
        .collect();
    let mut seen = HashSet::new();
    let mut references = Vec::new();
    let mut definitions = Vec::new();
    while seen.len() < MENTIONS as usize {
        let name = random.below(NAMES as usize) as u32;
        if !seen.insert(name) {
            continue;
        }
        builder.flags = if random.once_in(4) { WEAK } else { 0 };
        let text = format!("name_{name}");
        let ty = types[match random.once_in(odd) {
            true => random.below(3),
            false => name as usize % 3,
        }];
        let is_owner = name % OBJECTS == number || random.once_in(odd);
        match name % 20 {
            0 if is_owner => {
                builder.data(
                    &format!(".data.{text}"),
                    0,
                    &text,
                    vec![number as u8; 4],
                    &[],
                );
            }
            1 => {
                builder.undefined_global(&text);
            }
            // Any number of weak definitions.
            _ if is_owner || (builder.flags == WEAK && random.once_in(2)) => {
                definitions.push((text, ty, builder.flags));
            }
            _ => references.push((builder.undefined_function(&text, ty), name % 3, ty)),
        }
    }
    for (at, (text, ty, flags)) in definitions.into_iter().enumerate() {
        builder.flags = flags;
        let code = builder.begin_function(&text, ty, at % 3 == 0);
        // Each definition calls some of what is referred to; what nothing calls has its address taken, for all that is known.
        for (symbol, params, of) in references.iter().skip(at % 2).step_by(2).take(20) {
            if types[*params as usize] == *of {
                for _ in 0..*params {
                    code.i32_const(0);
                }
                code.call(*symbol);
            }
        }
        code.op(0x0b);
        builder.end_function();
    }
    builder.finish()
}

/// Everything that resolution says, with names for what could be numbered otherwise.
fn summary(resolution: &Resolution) -> Vec<String> {
    let file = |object| resolution.object(object).object.display_name().to_owned();
    let describe = |id: SymbolId, symbol: &GlobalSymbol| {
        let text = |name| match symbol.used_in_object {
            _ if name == symbol.name => resolution.name(id).to_owned(),
            _ => format!("{name:?}"),
        };
        let definition = match symbol.definition {
            Definition::Object { object, symbol } => format!("{} {symbol:?}", file(object)),
            other => format!("{other:?}"),
        };
        format!(
            "{}: {definition} {:?} {:?} {:?} of {:?} imported {} {} used {} called {} {} {}",
            text(symbol.name),
            symbol.kind,
            symbol.flags,
            symbol.ty,
            symbol.object.map(file),
            text(symbol.import_module),
            text(symbol.import_name),
            symbol.used_in_object,
            symbol.called_directly,
            symbol.force_export,
            symbol.force_import,
        )
    };
    let symbol = |id: SymbolId| describe(id, resolution.table.get(id));
    let mut lines = Vec::new();
    for (id, linked) in resolution.each_object() {
        lines.push(format!("object {}", file(id)));
        let meant = linked.refs.iter().map(|meant| meant.symbol().map(symbol));
        lines.extend(meant.map(|meant| format!("{meant:?}")));
    }
    lines.extend(resolution.table.order().iter().map(|id| symbol(*id)));
    lines.extend(resolution.synthetic_functions.iter().map(|id| symbol(*id)));
    lines.extend(resolution.trace.iter().map(|id| file(*id)));
    // One by one they come in the order of the command line; what has waited comes behind what has not.
    let mut said: Vec<String> = resolution
        .diagnostics
        .errors
        .iter()
        .map(ToString::to_string)
        .collect();
    said.extend(
        resolution
            .diagnostics
            .warnings
            .iter()
            .map(ToString::to_string),
    );
    said.sort();
    lines.extend(said);
    lines
}

fn resolved(line: &str, threads: usize) -> Vec<String> {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .unwrap();
    pool.install(|| {
        let options = objects::options(line, Path::new("out.wasm"));
        let inputs =
            Inputs::open(&options, Access::Map).unwrap_or_else(|errors| panic!("{errors:?}"));
        summary(&resolve(inputs, &options))
    })
}

#[test]
fn mentions_that_wait_mean_what_they_would_have_meant_at_once() {
    let mut random = Rng::new(1);
    // Programs in which nearly nothing is odd, and such in which much is.
    for odd in [100_000, 2000, 300, 20] {
        let folder = tempfile::tempdir().unwrap();
        let mut line = String::from("--no-entry --allow-undefined");
        for number in 0..OBJECTS {
            let path = folder.path().join(format!("{number}.o"));
            fs::write(&path, object(number, &mut random, odd)).unwrap();
            let path = path.display();
            match random.once_in(8) {
                true => write!(line, " --start-lib {path} --end-lib"),
                false => write!(line, " {path}"),
            }
            .unwrap();
        }
        let mut traced = line.clone();
        for name in 0..NAMES {
            write!(traced, " --trace-symbol=name_{name}").unwrap();
        }
        let at_once = resolved(&traced, 1);
        let one = resolved(&line, 1);
        for (one, at_once) in one.iter().zip(&at_once) {
            assert_eq!(one, at_once, "odd: 1 in {odd}");
        }
        assert_eq!(one.len(), at_once.len());
        for threads in [2, 4, 16] {
            assert!(
                resolved(&line, threads) == one,
                "{threads} threads, odd: 1 in {odd}"
            );
        }
    }
}
