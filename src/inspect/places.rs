//! In which numbers two functions differ that are otherwise the same: constants, and offsets of loads and stores.

use wasmparser::Operator;

use crate::inspect::side::operators;
use crate::program::RelocatableBytes;

/// The numbers in which two functions' code differs, each with that of the other. `None` if they differ in anything else.
pub(super) fn differing(a: &RelocatableBytes, b: &RelocatableBytes) -> Option<Vec<(u64, u64)>> {
    let fields = |content: &RelocatableBytes| -> Vec<_> {
        let relocs = content.relocs().iter();
        relocs.map(|reloc| (reloc.kind, reloc.ty())).collect()
    };
    if fields(a) != fields(b) {
        return None;
    }
    let mut numbers = Vec::new();
    let (mut of_a, mut of_b) = (operators(a)?, operators(b)?);
    loop {
        match (of_a.next(), of_b.next()) {
            (None, None) => return locals_agree(a, b).then_some(numbers),
            (Some(Ok(a)), Some(Ok(b))) if a == b => {}
            (Some(Ok(a)), Some(Ok(b))) => numbers.push(pair(&a, &b)?),
            _ => return None,
        }
    }
}

/// The constants of two globals that are otherwise the same.
pub(super) fn constants(a: &RelocatableBytes, b: &RelocatableBytes) -> Option<(u64, u64)> {
    let constant = |content: &RelocatableBytes| {
        let (ty, initialiser) = content.bytes().split_at_checked(2)?;
        let mut reader =
            wasmparser::OperatorsReader::new(wasmparser::BinaryReader::new(initialiser, 0));
        let value = match (reader.read().ok()?, reader.read().ok()?) {
            (Operator::I32Const { value }, Operator::End) => u64::from(value as u32),
            (Operator::I64Const { value }, Operator::End) => value as u64,
            _ => return None,
        };
        Some(([ty[0], ty[1]], value))
    };
    let ((ty_a, a), (ty_b, b)) = (constant(a)?, constant(b)?);
    (ty_a == ty_b).then_some((a, b))
}

/// Whether both have the same locals. What stands before the code is of the same length then, and the same.
fn locals_agree(a: &RelocatableBytes, b: &RelocatableBytes) -> bool {
    let locals = |content: &RelocatableBytes| -> Option<Vec<(u32, wasmparser::ValType)>> {
        let reader = wasmparser::BinaryReader::new_features(
            content.bytes(),
            0,
            wasmparser::WasmFeatures::all(),
        );
        let locals = wasmparser::FunctionBody::new(reader)
            .get_locals_reader()
            .ok()?;
        locals.into_iter().collect::<Result<_, _>>().ok()
    };
    let (a, b) = (locals(a), locals(b));
    a.is_some() && a == b
}

/// The numbers of two instructions that are the same but for these.
fn pair(a: &Operator<'_>, b: &Operator<'_>) -> Option<(u64, u64)> {
    match (a, b) {
        (Operator::I32Const { value: a }, Operator::I32Const { value: b }) => {
            Some((u64::from(*a as u32), u64::from(*b as u32)))
        }
        (Operator::I64Const { value: a }, Operator::I64Const { value: b }) => {
            Some((*a as u64, *b as u64))
        }
        // Loads and stores are many; what they say of themselves has their offset once.
        _ => {
            let (a, b) = (format!("{a:?}"), format!("{b:?}"));
            let ((before_a, offset_a, behind_a), (before_b, offset_b, behind_b)) =
                (around_offset(&a)?, around_offset(&b)?);
            ((before_a, behind_a) == (before_b, behind_b)).then_some((offset_a, offset_b))
        }
    }
}

/// The text before the offset of a memory argument, the offset, and the text behind it.
fn around_offset(text: &str) -> Option<(&str, u64, &str)> {
    const FIELD: &str = "offset: ";
    let start = text.find(FIELD)? + FIELD.len();
    let behind = &text[start..];
    let end = behind.find(|c: char| !c.is_ascii_digit())?;
    Some((&text[..start], behind[..end].parse().ok()?, &behind[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(text: &str) -> RelocatableBytes {
        let module = wat::parse_str(format!("(module (memory 1) (func (local i32) {text}))"));
        let module = module.expect("valid text");
        let mut types = crate::program::TypeTable::default();
        let style = crate::program::emit::Style::Canonical;
        let decoded = crate::whole::decode::decode(&module, style, &mut types).expect("valid");
        decoded.spaces[0][0].definition.content.clone()
    }

    #[test]
    fn only_numbers_that_can_be_addresses_are_seen_through() {
        let of = |a: &str, b: &str| differing(&function(a), &function(b));
        let load = |at: u32, offset: u32| format!("i32.const {at} i32.load offset={offset} drop");
        assert_eq!(of(&load(1, 2), &load(1, 2)), Some(vec![]));
        assert_eq!(
            of(&load(1, 2), &load(3000, 4)),
            Some(vec![(1, 3000), (2, 4)])
        );
        assert_eq!(
            of(&load(1, 2), "i32.const 1 i32.load8_u offset=2 drop"),
            None
        );
        assert_eq!(
            of(&load(1, 2), "nop i32.const 1 i32.load offset=2 drop"),
            None
        );
        assert_eq!(of("f32.const 1 drop", "f32.const 2 drop"), None);
        assert_eq!(
            of("i64.const 1 drop", "i64.const -1 drop"),
            Some(vec![(1, u64::MAX)])
        );
    }
}
