//! Valid code that does nothing, to fill unused bytes inside a function's body.
//!
//! Behind a terminator the operand stack is polymorphic, so constants may pile up until the next `unreachable`
//! throws them away. An `f64.const` hides eight bytes of any value: a place whose old contents do not matter needs
//! only one byte in nine rewritten. (Measured to compile about ten times faster than real code of the same size.)

/// `return`.
pub(crate) const RETURN: u8 = 0x0f;
/// `unreachable`.
pub(crate) const UNREACHABLE: u8 = 0x00;
/// `end`.
pub(crate) const END: u8 = 0x0b;
/// `nop`.
pub(crate) const NOP: u8 = 0x01;
/// `f64.const`, followed by eight bytes.
pub(crate) const F64_CONST: u8 = 0x44;
const F64_CONST_LEN: usize = 9;

/// The local declarations that mark code made by wasmend: one group of zero locals, whose type tells the role.
/// No compiler declares zero locals of a type, so a reader can tell these from code of the input.
pub(crate) fn marker(role: Role) -> [u8; 3] {
    let value_type = match role {
        Role::Thunk => 0x7f,
        Role::AddressThunk => 0x7c,
        Role::Forwarder => 0x7e,
        Role::Dead => 0x7d,
    };
    [1, 0, value_type]
}

/// Whether more of what [`fill`] makes than nops can stand at the end of a body, or before nops there.
pub(crate) fn may_end_in_filler(body: &[u8]) -> bool {
    let code = body.strip_suffix(&[END]).unwrap_or(body).iter();
    code.rev().find(|byte| **byte != NOP) == Some(&UNREACHABLE)
}

/// What a function made by wasmend is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Calls through a slot that nothing else uses.
    Thunk,
    /// Calls through a slot that is the function's address, which the program has taken.
    AddressThunk,
    /// Calls the new place of a function.
    Forwarder,
    /// Is called by nobody.
    Dead,
}

/// The role that a body's first bytes announce.
pub(crate) fn role_of(body: &[u8]) -> Option<Role> {
    match body {
        [1, 0, 0x7f, ..] => Some(Role::Thunk),
        [1, 0, 0x7c, ..] => Some(Role::AddressThunk),
        [1, 0, 0x7e, ..] => Some(Role::Forwarder),
        [1, 0, 0x7d, ..] => Some(Role::Dead),
        _ => None,
    }
}

/// A run of bytes within the filled range.
pub(crate) struct Run<'a> {
    /// Offset from the start of the filled range.
    pub(crate) offset: usize,
    /// What to write there.
    pub(crate) bytes: &'a [u8],
}

/// Fills `len` bytes behind code that ends where `end` would stand, `end` included: calls `put` with the runs that
/// must be written, in order; the bytes between the runs may keep any value.
///
/// `len` is at least 1. With `terminated` the code before is known to end in a terminator.
pub(crate) fn fill(len: usize, terminated: bool, mut put: impl FnMut(Run<'_>)) {
    const NOPS: [u8; 16] = [NOP; 16];
    debug_assert!(len >= 1);
    let slack = len - 1;
    let frame = 1 + usize::from(!terminated);
    if slack < frame + F64_CONST_LEN {
        put(Run {
            offset: 0,
            bytes: &NOPS[..slack.min(16)],
        });
        put(Run {
            offset: slack,
            bytes: &[END],
        });
        return;
    }
    let mut at = 0;
    if !terminated {
        put(Run {
            offset: 0,
            bytes: &[RETURN],
        });
        at = 1;
    }
    let inner = slack - frame;
    let nops = inner % F64_CONST_LEN;
    put(Run {
        offset: at,
        bytes: &NOPS[..nops],
    });
    at += nops;
    while at + F64_CONST_LEN < len - 1 {
        put(Run {
            offset: at,
            bytes: &[F64_CONST],
        });
        at += F64_CONST_LEN;
    }
    put(Run {
        offset: len - 2,
        bytes: &[UNREACHABLE, END],
    });
}
