//! Which numbers of an output's code are addresses or slots, as far as the code itself says so: wasmend gives a number that
//! can change all the bytes that one can have, and compilers write every other one as short as it can be.

use wasmparser::{FunctionBody, MemArg, Operator, Parser, Payload};

/// How a number is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    /// In more bytes than it needs: it is an address or a slot.
    Field,
    /// In as few bytes as it can be, and fewer than a field has.
    Short,
    /// In all the bytes of a field, since it is so large.
    Either,
}

/// The code of an output.
#[derive(Default)]
pub(super) struct Fields<'a> {
    /// Index of the first function that is defined.
    first: u32,
    bodies: Vec<FunctionBody<'a>>,
}

impl<'a> Fields<'a> {
    /// Reads an output that is known to be valid; `first` is the index of the first function that is defined.
    pub(super) fn of(output: &'a [u8], first: u32) -> Fields<'a> {
        let payloads = Parser::new(0).parse_all(output).map_while(Result::ok);
        let bodies = payloads.filter_map(|payload| match payload {
            Payload::CodeSectionEntry(body) => Some(body),
            _ => None,
        });
        Fields {
            first,
            bodies: bodies.collect(),
        }
    }

    /// How each number of a function is written: constants, and offsets of loads and stores, in their order.
    pub(super) fn of_function(&self, function: u32) -> Option<Vec<Written>> {
        let at = function.checked_sub(self.first)?;
        let mut operators = self.bodies.get(at as usize)?.get_operators_reader().ok()?;
        let mut numbers = Vec::new();
        while !operators.eof() {
            let code = operators.get_binary_reader();
            let mut operator = operators.read().ok()?;
            let bytes = operators.original_position() - code.original_position();
            numbers.extend(match operator {
                Operator::I32Const { value } => constant(value.into(), bytes),
                Operator::I64Const { value } => constant(value, bytes),
                _ => memory_argument(&mut operator).and_then(|_| offset(code)),
            });
        }
        Some(numbers)
    }
}

fn written(bytes: u64, least: u64) -> Written {
    /// So many bytes has the field of a number of 32 bits.
    const FIELD: u64 = 5;
    match bytes > least {
        true => Written::Field,
        false if least < FIELD => Written::Short,
        false => Written::Either,
    }
}

fn constant(value: i64, bytes: u64) -> Option<Written> {
    // Bits without the sign's copies, but with one of them.
    let bits = 65 - u64::from((value ^ (value >> 63)).leading_zeros());
    Some(written(bytes - 1, bits.div_ceil(7)))
}

/// How the offset of a load or store is written.
fn offset(mut code: wasmparser::BinaryReader<'_>) -> Option<Written> {
    const PREFIXES: std::ops::RangeInclusive<u8> = 0xfc..=0xfe;
    const HAS_MEMORY: u32 = 0x40;
    if PREFIXES.contains(&code.read_u8().ok()?) {
        code.read_var_u32().ok()?;
    }
    if code.read_var_u32().ok()? & HAS_MEMORY != 0 {
        code.read_var_u32().ok()?;
    }
    let start = code.original_position();
    let offset = code.read_var_u64().ok()?;
    let bits = 64 - u64::from((offset | 1).leading_zeros());
    Some(written(code.original_position() - start, bits.div_ceil(7)))
}

macro_rules! immediate {
    ($found:ident memarg $value:ident) => {
        $found = Some($value)
    };
    ($found:ident $other:ident $value:ident) => {{
        let _ = $value;
    }};
}

macro_rules! define_memory_argument {
    ($(@$proposal:ident $op:ident $({ $($arg:ident: $argty:ty),* })? => $visit:ident ($($ann:tt)*))*) => {
        /// The memory argument of a load, of a store or of what is like them.
        pub(super) fn memory_argument<'o>(operator: &'o mut Operator<'_>) -> Option<&'o mut MemArg> {
            let mut found = None;
            match operator {
                $(
                    Operator::$op $({ $($arg),* })? => {
                        $( $( immediate!(found $arg $arg); )* )?
                    }
                )*
                _ => {}
            }
            found
        }
    };
}

wasmparser::for_each_operator!(define_memory_argument);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_fields_are_told_from_short_ones() {
        // i32.const, in a field, short and with all bytes; i32.load offset=, in a field and short.
        let code = [
            &[0x41, 0x88, 0x80, 0x80, 0x80, 0x00, 0x1a][..],
            &[0x41, 0x08, 0x1a, 0x41, 0x7f, 0x1a, 0x41, 0xc0, 0x00, 0x1a],
            &[0x41, 0x80, 0x80, 0x80, 0x80, 0x01, 0x1a],
            &[0x41, 0x00, 0x28, 0x02, 0x84, 0x80, 0x80, 0x80, 0x00, 0x1a],
            &[0x41, 0x00, 0x28, 0x02, 0x80, 0x01, 0x1a, 0x0b],
        ]
        .concat();
        let body = [&[code.len() as u8 + 1, 0][..], &code].concat();
        let section = [&[0x0a, body.len() as u8 + 1, 1][..], &body].concat();
        let types = [1, 4, 1, 0x60, 0, 0, 3, 2, 1, 0, 5, 3, 1, 0, 1];
        let module = [b"\0asm\x01\0\0\0", &types[..], &section].concat();
        let fields = Fields::of(&module, 3);
        assert_eq!(fields.of_function(2), None);
        assert_eq!(fields.of_function(4), None);
        use Written::*;
        let expected = vec![
            Field, Short, Short, Short, Either, Short, Field, Short, Short,
        ];
        assert_eq!(fields.of_function(3), Some(expected));
    }
}
