//! Decoding loses nothing: code comes back operator by operator, modules come back as equal modules.

use wasmparser::{FunctionBody, Parser, Payload, WasmFeatures};

use crate::program::emit::{Context, Emitter, Style};
use crate::program::{TypeId, TypeTable};
use crate::whole::decode::decode;
use crate::whole::dense;
use crate::wire::leb;

const PATCHABLE: Style = Style::Patchable {
    keeps_tables: false,
};

#[allow(clippy::duplicate_mod)]
#[path = "../../tests/support/smith.rs"]
mod smith;

fn bodies(wasm: &[u8]) -> Vec<FunctionBody<'_>> {
    let payloads = Parser::new(0).parse_all(wasm);
    let bodies = payloads.filter_map(|payload| match payload.expect("valid") {
        Payload::CodeSectionEntry(body) => Some(body),
        _ => None,
    });
    bodies.collect()
}

/// A body's locals and operators, as text if their encodings may differ.
fn listing(body: &FunctionBody<'_>) -> (Vec<String>, Vec<String>) {
    let locals = body.get_locals_reader().expect("valid").into_iter();
    let locals = locals.map(|group| group.expect("valid"));
    let locals = locals.filter(|(count, _)| *count > 0);
    let operators = body.get_operators_reader().expect("valid").into_iter();
    (
        locals.map(|group| format!("{group:?}")).collect(),
        operators
            .map(|operator| format!("{:?}", operator.expect("valid")))
            .collect(),
    )
}

/// Re-encodes a body with every index as it was.
fn identity(body: &FunctionBody<'_>, style: Style, many_memories: bool) -> Vec<u8> {
    let types: Vec<TypeId> = (0..1000).map(TypeId).collect();
    let context = Context {
        style,
        types: &types,
        many_memories,
    };
    let mut emitter = Emitter::new(context);
    emitter.body(body, &[]).expect("every operator is known");
    let mut end = 0;
    for reloc in &emitter.relocs {
        assert!(reloc.offset >= end, "fields overlap");
        end = reloc.offset + reloc.kind.width() as u32;
        let field = &mut emitter.out[reloc.offset as usize..end as usize];
        match reloc.kind {
            crate::RelocKind::HeapType => leb::write_signed(field, reloc.target.into()),
            _ => leb::write_unsigned(field, reloc.target.into()),
        }
    }
    emitter.out
}

#[test]
fn code_comes_back_operator_by_operator() {
    let mut rng = smith::Rng::new(1);
    let mut operators = 0;
    for _ in 0..smith::cases(300) {
        let (wasm, ..) = smith::module(&mut rng);
        let memories = decode(&wasm, Style::Canonical, &mut TypeTable::default())
            .expect("valid")
            .spaces[3]
            .len();
        for body in bodies(&wasm) {
            let expected = listing(&body);
            operators += expected.1.len();
            for many_memories in [memories > 1, true] {
                let again = identity(&body, PATCHABLE, many_memories);
                let reader = wasmparser::BinaryReader::new_features(&again, 0, WasmFeatures::all());
                assert_eq!(listing(&FunctionBody::new(reader)), expected);
            }
            let short = identity(&body, Style::Canonical, memories > 1);
            let reader = wasmparser::BinaryReader::new_features(&short, 0, WasmFeatures::all());
            let short = listing(&FunctionBody::new(reader));
            // Only filler at the end may be missing.
            let kept = short.1.len() - 1;
            assert_eq!(short.0, expected.0);
            assert_eq!(short.1[..kept], expected.1[..kept]);
        }
    }
    assert!(operators > 10_000, "{operators}");
}

/// The names of all operators that the decoder knows.
fn all_operators() -> Vec<&'static str> {
    macro_rules! names {
        ($(@$proposal:ident $op:ident $({ $($arg:ident: $argty:ty),* })? => $visit:ident ($($ann:tt)*))*) => {
            vec![$(stringify!($op)),*]
        };
    }
    wasmparser::for_each_operator!(names)
}

/// Code that has one operator of interest: opcode and immediates, blocks around it where it needs some. `None` if this is
/// no such operator.
fn sample(opcode: &[u8], immediates: &[u8]) -> Option<(String, Vec<u8>)> {
    let mut code = match opcode {
        [0x05] => vec![0x04, 0x40],
        [0x07 | 0x18 | 0x19] => vec![0x06, 0x40],
        _ => vec![],
    };
    let at = code.len() as u64;
    code.extend_from_slice(opcode);
    code.extend_from_slice(immediates);
    let reader = wasmparser::BinaryReader::new_features(&code, 0, WasmFeatures::all());
    let mut operators = wasmparser::OperatorsReader::new(reader);
    if at > 0 {
        operators.read().ok()?;
    }
    let operator = operators.read().ok()?;
    let text = format!("{operator:?}");
    let name = text.split([' ', '{']).next()?.to_owned();
    code.truncate(operators.original_position() as usize);
    // Ends for the blocks that are open, and for the code.
    for ends in 0..3 {
        let mut closed = vec![0];
        closed.extend_from_slice(&code);
        closed.extend(std::iter::repeat_n(0x0b, ends));
        let reader = wasmparser::BinaryReader::new_features(&closed, 0, WasmFeatures::all());
        let body = FunctionBody::new(reader);
        let mut operators = body.get_operators_reader().ok()?;
        while !operators.eof() && operators.read().is_ok() {}
        if operators.eof() && operators.finish().is_ok() {
            return Some((name, closed));
        }
    }
    None
}

#[test]
fn every_operator_comes_back() {
    let mut rng = smith::Rng::new(3);
    let mut seen = std::collections::BTreeSet::new();
    let prefixed = (0xfb..=0xfe).flat_map(|prefix| (0..0x140).map(move |code| (prefix, code)));
    let mut opcodes: Vec<Vec<u8>> = (0..=0xfa).map(|code| vec![code]).collect();
    opcodes.extend(prefixed.map(|(prefix, code)| {
        let mut opcode = vec![prefix];
        leb::push_unsigned(&mut opcode, code);
        opcode
    }));
    for opcode in &opcodes {
        for attempt in 0..600 {
            // Small numbers, some types, some encodings that are longer than need be.
            let immediates: Vec<u8> = (0..48)
                .map(|_| match rng.below(8) {
                    0 => 0x60 + rng.below(0x20) as u8,
                    1 if attempt % 2 == 1 => 0x80 + rng.below(0x80) as u8,
                    _ => rng.below(4) as u8,
                })
                .collect();
            let Some((name, body)) = sample(opcode, &immediates) else {
                continue;
            };
            let reader = wasmparser::BinaryReader::new_features(&body, 0, WasmFeatures::all());
            let body = FunctionBody::new(reader);
            let expected = listing(&body);
            let large = expected.1.iter().any(|text| {
                let immediates = text
                    .split_once(' ')
                    .map_or("", |(_, immediates)| immediates);
                immediates
                    .split(|c: char| !c.is_ascii_digit())
                    .any(|number| number.parse::<u64>().is_ok_and(|number| number > 120))
            });
            // Indices of types are looked up and memories have one byte: those must be small here.
            if large && !name.ends_with("Const") {
                continue;
            }
            for (style, many) in [
                (PATCHABLE, false),
                (PATCHABLE, true),
                (Style::Canonical, true),
            ] {
                if !many
                    && expected.1.iter().any(|text| {
                        text.contains("target: Memory(") && !text.contains("target: Memory(0)")
                    })
                {
                    continue;
                }
                let again = identity(&body, style, many);
                let reader = wasmparser::BinaryReader::new_features(&again, 0, WasmFeatures::all());
                let mut got = listing(&FunctionBody::new(reader));
                let mut expected = expected.clone();
                if style == Style::Canonical {
                    let trim = |list: &mut Vec<String>| {
                        list.retain(|name| {
                            !["End", "Nop", "Unreachable", "Return"].contains(&name.as_str())
                        });
                    };
                    trim(&mut got.1);
                    trim(&mut expected.1);
                }
                assert_eq!(got, expected, "{name}");
            }
            seen.insert(name);
        }
    }
    let missing: Vec<_> = all_operators()
        .into_iter()
        .filter(|name| !seen.contains(*name))
        .collect();
    assert!(missing.is_empty(), "never tried: {missing:?}");
}

#[test]
fn a_module_comes_back_as_an_equal_module() {
    let mut rng = smith::Rng::new(2);
    for _ in 0..smith::cases(300) {
        let (wasm, ..) = smith::module(&mut rng);
        let mut table = TypeTable::default();
        let mut decoded = decode(&wasm, Style::Canonical, &mut table).expect("valid");
        let again = dense::write(&decoded, &table).expect("complete");
        let mut twice = decode(&again, Style::Canonical, &mut table).expect("still valid");
        // Types that nothing uses are not there again.
        decoded.types.clear();
        twice.types.clear();
        assert_eq!(format!("{twice:?}"), format!("{decoded:?}"));
        assert_eq!(dense::write(&twice, &table).expect("complete"), again);
        for (old, new) in decoded
            .spaces
            .iter()
            .flatten()
            .zip(twice.spaces.iter().flatten())
        {
            assert!(old.definition.same_as(&new.definition));
        }
    }
}
