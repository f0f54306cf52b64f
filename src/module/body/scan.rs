//! Whether an instruction names something outside its function, and where. It knows no builder.

use crate::error::{Error, Result};
use crate::program::TypeId;
use crate::program::emit::{Context, Emitter, Style};
use crate::wire::leb;

/// Whether an instruction holds an index or address that wasmend would have to know of. Those that compilers write most are told
/// by their first byte; the rest are read.
#[inline]
pub(super) fn names_something(bytes: &[u8]) -> bool {
    match bytes {
        // Control, parametric, variable and constant instructions without indices, numeric instructions.
        [
            0x00 | 0x01 | 0x05 | 0x0b..=0x0f | 0x1a | 0x1b | 0x20..=0x22 | 0x41..=0xc4,
            ..,
        ] => false,
        // Loads and stores of memory 0.
        [0x28..=0x3e, flags, ..] => flags & 0x40 != 0,
        // Blocks with a value type of one byte, or none.
        [0x02..=0x04, ty] => *ty < 0x40,
        _ => is_named(bytes),
    }
}

/// The same of what is written less often.
fn is_named(bytes: &[u8]) -> bool {
    let Some((&first, rest)) = bytes.split_first() else {
        return false;
    };
    if let 0x3f | 0x40 = first {
        return rest != [0];
    }
    if let 0xfc..=0xfe = first {
        let Some((code, len)) = leb::read_unsigned(rest) else {
            return true;
        };
        let rest = &rest[len..];
        match (first, code) {
            // `memory.copy`, `memory.fill` and `memory.discard` of memory 0.
            (0xfc, 10) => return rest != [0, 0],
            (0xfc, 11 | 18) => return rest != [0],
            // Vector instructions and atomics with a memory argument must name memory 0.
            (0xfd, 0..=11 | 84..=93) | (0xfe, 0..=2 | 16..=78) => {
                return rest.first().is_none_or(|flags| flags & 0x40 != 0);
            }
            (0xfd, _) => return false,
            _ => {}
        }
    }
    match read(bytes, &[]) {
        Ok(emitter) => !emitter.relocs.is_empty(),
        // It names a type, or is nothing that the decoder knows.
        Err(_) => true,
    }
}

/// An instruction with a field wherever it holds an index. `types` are those that it may name.
pub(super) fn read<'a>(bytes: &[u8], types: &'a [TypeId]) -> Result<Emitter<'a>> {
    let mut emitter = Emitter::new(Context {
        style: Style::Patchable { keeps_tables: true },
        types,
        many_memories: true,
    });
    emitter
        .instruction(bytes)
        .map_err(|error| Error::bad_edit(error.message().to_owned()))?;
    Ok(emitter)
}
