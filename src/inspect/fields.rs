//! Which constants of an output's code are addresses, as far as the code itself says so: wasmend gives a number that can
//! change all the bytes that one can have, and compilers write every other one as short as it can be.

use wasmparser::{Operator, Parser, Payload};

use crate::hash::{HashMap, HashSet};
use crate::wire::leb;

/// A constant, and whether it has more bytes than it needs.
type Constant = (u64, bool);

/// The constants of some functions' code.
#[derive(Debug, Default)]
pub(super) struct Fields {
    constants: HashMap<u32, Vec<Constant>>,
}

impl Fields {
    /// Reads these functions of an output that is known to be valid; `first` is the index of the first that is defined.
    pub(super) fn of(output: &[u8], first: u32, functions: &HashSet<u32>) -> Fields {
        let mut fields = Fields::default();
        let mut index = first;
        for payload in Parser::new(0).parse_all(output) {
            let Ok(Payload::CodeSectionEntry(body)) = payload else {
                continue;
            };
            if functions.contains(&index) {
                let constants = body.get_operators_reader().ok().and_then(constants);
                fields
                    .constants
                    .insert(index, constants.unwrap_or_default());
            }
            index += 1;
        }
        fields
    }

    /// Whether a function has a constant of this value, and none that is as short as it can be.
    pub(super) fn has(&self, function: u32, number: u64) -> bool {
        let constants = self.constants.get(&function).into_iter().flatten();
        let mut same = constants.filter(|(value, _)| *value == number).peekable();
        same.peek().is_some() && same.all(|(_, is_wide)| *is_wide)
    }
}

fn constants(mut operators: wasmparser::OperatorsReader<'_>) -> Option<Vec<Constant>> {
    let (mut constants, mut short) = (Vec::new(), Vec::new());
    while !operators.eof() {
        let (operator, offset) = operators.read_with_offset().ok()?;
        let (value, signed) = match operator {
            Operator::I32Const { value } => (u64::from(value as u32), i64::from(value)),
            Operator::I64Const { value } => (value as u64, value),
            _ => continue,
        };
        let len = operators.original_position() - offset - 1;
        short.clear();
        leb::push_signed(&mut short, signed);
        constants.push((value, len > short.len() as u64));
    }
    Some(constants)
}
