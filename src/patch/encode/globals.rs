//! Globals that nobody uses.

use crate::layout::UNUSED_GLOBAL;
use crate::wire::{filler, leb};

/// Fills `out` with a global that nobody uses. `None` if there is none of this length.
pub(crate) fn unused_global(out: &mut [u8]) -> Option<()> {
    let len = out.len();
    match len {
        9 => out.copy_from_slice(&UNUSED_GLOBAL),
        5..=14 => {
            let wide = len > 9;
            out[..3].copy_from_slice(&[
                if wide { 0x7e } else { 0x7f },
                0,
                if wide { 0x42 } else { 0x41 },
            ]);
            leb::write_signed(&mut out[3..len - 1], 0);
            out[len - 1] = filler::END;
        }
        21 => {
            out.fill(0);
            out[0] = 0x7b;
            out[2..4].copy_from_slice(&[0xfd, 0x0c]);
            out[20] = filler::END;
        }
        // Constants may be added where initialisers are as long as this.
        15.. => {
            out[..3].copy_from_slice(&[0x7f, 0, 0x41]);
            leb::write_signed(&mut out[3..8], 0);
            let mut at = 8;
            while at < len - 1 {
                // `i32.const 0 i32.add`, three to seven bytes, so that what is left is none or three at least.
                let left = len - 1 - at;
                let add = if left <= 7 { left } else { (left - 3).min(7) };
                out[at] = 0x41;
                leb::write_signed(&mut out[at + 1..at + add - 1], 0);
                out[at + add - 1] = 0x6a;
                at += add;
            }
            out[len - 1] = filler::END;
        }
        _ => return None,
    }
    Some(())
}
