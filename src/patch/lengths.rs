//! How long things made by wasmend are, and how much slack a place gets.

use crate::error::{Error, Result};
use crate::patch::encode::SIZE;
use crate::program::{Declaration, Program, TypeId};
use crate::wire::filler::END;
use crate::wire::gap::Gaps;
use crate::wire::leb;

/// The greatest body that engines take, in bytes.
pub(crate) const MOST_BODY: usize = 7_654_321;
/// The most functions, types, globals, tags or imports that engines take.
pub(crate) const MOST_INDICES: u32 = 1_000_000;
/// The most tables that engines take, and the most segments of either kind.
pub(crate) const MOST_TABLES: u32 = 100_000;
/// The most memories that engines take.
pub(crate) const MOST_MEMORIES: u32 = 100;
/// The most entries of a table that engines take.
pub(crate) const MOST_ENTRIES: u32 = 10_000_000;
/// The longest module that engines take, in bytes.
pub(crate) const MOST_FILE: u64 = 1 << 30;

/// Whether engines would take a file of this length.
///
/// # Errors
/// If they would not.
pub(crate) fn expect_readable(len: u64) -> Result<()> {
    if len <= MOST_FILE {
        return Ok(());
    }
    let text = format!("the output would have {len} bytes; engines take {MOST_FILE}");
    Err(Error::limit(text))
}
/// Dead functions at the front of a fresh layout, to be given up for imports.
pub(crate) const FUNCTION_RESERVE: u32 = 8;
/// Unused globals at the front of a fresh layout, to be given up for imports.
pub(crate) const GLOBAL_RESERVE: u32 = 4;
/// Bytes of a dead function's code entry: size, marker, `unreachable`, `end`.
pub(crate) const DEAD_LEN: u32 = SIZE as u32 + 3 + 1 + 1;
/// Bytes of the smallest code entry that traps: size, no locals, `unreachable`, `end`.
pub(crate) const SMALLEST_TRAP: u32 = SIZE as u32 + 1 + 1 + 1;

fn pass_on_len(program: &Program, ty: TypeId) -> u32 {
    let signature = program.types.signature(ty);
    let arguments: usize = (0..signature.map_or(0, |it| it.params))
        .map(|param| 1 + leb::unsigned_len(param.into()))
        .sum();
    (SIZE + 3 + arguments + std::mem::size_of_val(&END)) as u32
}

/// Bytes of a thunk's code entry.
pub(crate) fn thunk_len(program: &Program, ty: TypeId) -> u32 {
    pass_on_len(program, ty) + 1 + 5 + 1 + 5 + 5
}

/// Bytes of a forwarder's code entry.
pub(crate) fn forwarder_len(program: &Program, ty: TypeId) -> u32 {
    pass_on_len(program, ty) + 1 + 5
}

/// Where in a forwarder's code entry the index of the called function stands.
pub(crate) fn forwarder_target(program: &Program, ty: TypeId) -> u32 {
    pass_on_len(program, ty)
}

/// Bytes of a body's code entry without slack.
pub(crate) fn entry_len(content_len: usize) -> u32 {
    (SIZE + content_len) as u32
}

/// Slack of a declaration's code: none until it has changed, then in proportion, within what a patch may cost.
pub(crate) fn body_slack(decl: &Declaration, len: u32, changing: bool) -> u32 {
    if decl.edited || changing {
        (len / 4).clamp(8, 32)
    } else {
        0
    }
}

/// Unused bytes behind a piece of a custom section that has changed: in proportion, within reason.
pub(crate) fn piece_slack(filler: &Gaps, len: u32) -> u32 {
    filler.at_least((len / 4).clamp(64, 1 << 14))
}

/// The same behind a long piece that has not changed yet. Without it the first edit that makes debug information longer by a few
/// bytes would move all that an object has of it.
pub(crate) fn first_piece_slack(filler: &Gaps, len: u32) -> u32 {
    const LONG: u32 = 1024;
    match len < LONG {
        true => 0,
        false => filler.at_least((len / 48).clamp(32, 4096)),
    }
}

/// Unused types that a new extent of a declaration gets: none until it has changed.
pub(crate) fn type_spare(changed: bool, types: usize) -> u32 {
    if changed {
        (types as u32).div_ceil(2)
    } else {
        0
    }
}
