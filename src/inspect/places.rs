//! In which numbers two functions differ that are otherwise the same: constants, and offsets of loads and stores.

use wasmparser::Operator;

use crate::hash::HashMap;
use crate::inspect::fields::{Written, memory_argument};
use crate::inspect::side::operators;
use crate::program::RelocatableBytes;

/// What a number is used as, as far as that is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    Unknown,
    /// It is added to something.
    Added,
    /// A load, a store or an addition begins with it.
    Address,
    /// It is the offset of a load or a store.
    Offset,
    /// It is called.
    Slot,
}

/// A number of one function's code and that which stands in its place in another's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Numbers {
    pub(super) a: u64,
    pub(super) b: u64,
    pub(super) used_as: Use,
    /// How that of the first function is written.
    pub(super) written: Written,
}

/// The constants and offsets of two functions' code, each with that of the other: those that differ, and those in fields.
/// `written` says how those of the first are written. `None` if the functions differ in anything else.
pub(super) fn numbers(
    a: &RelocatableBytes,
    b: &RelocatableBytes,
    written: &[Written],
) -> Option<Vec<Numbers>> {
    let fields = |content: &RelocatableBytes| -> Vec<_> {
        let relocs = content.relocs().iter();
        relocs.map(|reloc| (reloc.kind, reloc.ty())).collect()
    };
    if fields(a) != fields(b) {
        return None;
    }
    let mut numbers: Vec<Numbers> = Vec::new();
    let mut written = written.iter();
    let (mut of_a, mut of_b) = (operators(a)?, operators(b)?);
    // What is known of the stack: which of its values are numbers of the list.
    let mut operands = Operands::default();
    loop {
        match (of_a.next(), of_b.next()) {
            (None, None) => return locals_agree(a, b).then_some(numbers),
            (Some(Ok(a)), Some(Ok(b))) => {
                operands.follow(&a, &mut numbers);
                let Some(mut found) = pair(&a, &b) else {
                    if a != b {
                        return None;
                    }
                    continue;
                };
                found.written = *written.next().unwrap_or(&Written::Either);
                let differ = found.a != found.b;
                if differ && found.written == Written::Short {
                    return None;
                }
                if differ || found.written == Written::Field {
                    if matches!(a, Operator::I32Const { .. } | Operator::I64Const { .. }) {
                        operands.stack.pop();
                        operands.stack.push(Some(numbers.len()));
                    }
                    numbers.push(found);
                }
            }
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
pub(super) fn pair(a: &Operator<'_>, b: &Operator<'_>) -> Option<Numbers> {
    let numbers = |a, b, used_as| {
        let written = Written::Either;
        Some(Numbers {
            a,
            b,
            used_as,
            written,
        })
    };
    match (a, b) {
        (Operator::I32Const { value: a }, Operator::I32Const { value: b }) => {
            numbers(u64::from(*a as u32), u64::from(*b as u32), Use::Unknown)
        }
        (Operator::I64Const { value: a }, Operator::I64Const { value: b }) => {
            numbers(*a as u64, *b as u64, Use::Unknown)
        }
        // Most instructions have no offset, and are not copied.
        _ if !takes_an_address(a) || !takes_an_address(b) => None,
        _ => {
            let ((rest_a, a), (rest_b, b)) = (without_offset(a)?, without_offset(b)?);
            (rest_a == rest_b).then(|| numbers(a, b, Use::Offset))?
        }
    }
}

/// A load or a store whose offset is zero, and its offset.
fn without_offset<'o>(operator: &Operator<'o>) -> Option<(Operator<'o>, u64)> {
    let mut rest = operator.clone();
    let offset = std::mem::take(&mut memory_argument(&mut rest)?.offset);
    Some((rest, offset))
}

/// Which values of a function are numbers of the list.
#[derive(Default)]
struct Operands {
    stack: Vec<Option<usize>>,
    locals: HashMap<u32, usize>,
}

impl Operands {
    /// Follows an instruction's operands, as far as it is known what it takes: which constants are addresses? A compiler has
    /// a number that is added to something as the second operand, but an address as the first.
    fn follow(&mut self, operator: &Operator<'_>, numbers: &mut [Numbers]) {
        use Operator::*;
        let Operands { stack, locals } = self;
        let mut note = |constant: Option<Option<usize>>, used_as: Use| {
            if let Some(number) = constant.flatten() {
                let known = &mut numbers[number].used_as;
                if used_as != Use::Added || *known == Use::Unknown {
                    *known = used_as;
                }
            }
        };
        match operator {
            LocalGet { local_index } => stack.push(locals.get(local_index).copied()),
            // Code that is not optimised keeps all in locals, each of them set once.
            LocalSet { local_index } => match stack.pop().flatten() {
                Some(number) => drop(locals.insert(*local_index, number)),
                None => drop(locals.remove(local_index)),
            },
            I32Const { .. } | I64Const { .. } | GlobalGet { .. } => stack.push(None),
            F32Const { .. } | F64Const { .. } => stack.push(None),
            LocalTee { local_index } => match stack.last().copied().flatten() {
                Some(number) => drop(locals.insert(*local_index, number)),
                None => drop(locals.remove(local_index)),
            },
            I32Eqz | I64ExtendI32U | I32WrapI64 => {
                stack.pop();
                stack.push(None);
            }
            I32Mul | I32Sub | I32And | I32Or | I32Xor | I32Shl | I32ShrU | I32ShrS | I64Mul
            | I64Sub | I64And | I64Or | I64Xor | I64Shl | I64ShrU | I64ShrS => {
                stack.pop();
                stack.pop();
                stack.push(None);
            }
            I32Add | I64Add => {
                let second = stack.pop();
                note(second, Use::Added);
                note(stack.pop(), Use::Address);
                // If the sum is one, so is what was added to a small number.
                stack.push(second.flatten());
            }
            I32Load { .. }
            | I32Load8S { .. }
            | I32Load8U { .. }
            | I32Load16S { .. }
            | I32Load16U { .. }
            | I64Load { .. }
            | F32Load { .. }
            | F64Load { .. } => {
                note(stack.pop(), Use::Address);
                stack.push(None);
            }
            I32Store { .. }
            | I32Store8 { .. }
            | I32Store16 { .. }
            | I64Store { .. }
            | F32Store { .. }
            | F64Store { .. } => {
                stack.pop();
                note(stack.pop(), Use::Address);
            }
            CallIndirect { .. } | ReturnCallIndirect { .. } => {
                note(stack.pop(), Use::Slot);
                stack.clear();
            }
            // What locals hold here depends on the way.
            Loop { .. } | Else | End => {
                stack.clear();
                locals.clear();
            }
            _ => stack.clear(),
        }
    }
}

/// Whether an instruction can be a load or a store: those that are met most are known not to be.
fn takes_an_address(operator: &Operator<'_>) -> bool {
    use Operator::*;
    !matches!(
        operator,
        LocalGet { .. }
            | LocalSet { .. }
            | LocalTee { .. }
            | GlobalGet { .. }
            | GlobalSet { .. }
            | Call { .. }
            | CallIndirect { .. }
            | Block { .. }
            | Loop { .. }
            | If { .. }
            | Else
            | End
            | Br { .. }
            | BrIf { .. }
            | BrTable { .. }
            | Return
            | Drop
            | Select
            | Unreachable
            | I32Add
            | I32Sub
            | I32Mul
            | I32And
            | I32Or
            | I32Xor
            | I32Shl
            | I32ShrS
            | I32ShrU
            | I32Eqz
            | I32Eq
            | I32Ne
            | I32LtS
            | I32LtU
            | I32GtS
            | I32GtU
    )
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
        let of = |a: &str, b: &str| {
            let numbers = numbers(&function(a), &function(b), &[])?;
            Some(numbers.iter().map(|it| (it.a, it.b)).collect::<Vec<_>>())
        };
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
