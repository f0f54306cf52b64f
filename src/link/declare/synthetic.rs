//! Functions that the linker makes: code with relocations, of fixed width as objects' code is.

use crate::error::Result;
use crate::program::{DeclId, RelocKind, RelocatableBytes, Relocation};
use crate::wire::filler::{END, UNREACHABLE};
use crate::wire::leb;

const CALL: u8 = 0x10;
const DROP: u8 = 0x1a;
const LOCAL_GET: u8 = 0x20;
const I32_CONST: u8 = 0x41;
const I64_CONST: u8 = 0x42;

/// Collects the code of a function without locals.
pub(crate) struct Code {
    pub(crate) bytes: Vec<u8>,
    relocs: Vec<Relocation>,
}

impl Code {
    pub(crate) fn new() -> Code {
        Code {
            bytes: vec![0],
            relocs: Vec::new(),
        }
    }

    /// An instruction with one field that is relocated.
    pub(crate) fn field(&mut self, code: u8, kind: RelocKind, target: DeclId, addend: i32) {
        self.bytes.push(code);
        let at = self.bytes.len();
        self.relocs
            .push(Relocation::new(kind, at as u32, target, addend));
        self.bytes.resize(at + kind.width(), 0);
    }

    pub(crate) fn call(&mut self, function: DeclId) {
        self.field(CALL, RelocKind::Call, function, 0);
    }

    pub(crate) fn finish(mut self) -> Result<RelocatableBytes> {
        self.bytes.push(END);
        RelocatableBytes::new(self.bytes, self.relocs)
    }
}

/// A function that traps.
pub(crate) fn trap() -> Result<RelocatableBytes> {
    let mut code = Code::new();
    code.bytes.push(UNREACHABLE);
    code.finish()
}

/// A function that clears data, given with its size.
pub(crate) fn clear_memory(
    data: impl Iterator<Item = (DeclId, u64)>,
    is_64: bool,
) -> Result<RelocatableBytes> {
    let (constant, address) = match is_64 {
        true => (I64_CONST, RelocKind::AddressSleb64),
        false => (I32_CONST, RelocKind::AddressSleb),
    };
    let mut code = Code::new();
    for (decl, size) in data {
        code.field(constant, address, decl, 0);
        code.bytes.extend([I32_CONST, 0, constant]);
        let size = match is_64 {
            true => size as i64,
            false => i64::from(size as u32 as i32),
        };
        leb::push_signed(&mut code.bytes, size);
        // memory.fill
        code.bytes.extend([0xfc, 0x0b, 0]);
    }
    code.finish()
}

/// A function that calls others, each of which returns so many results, and forgets those.
pub(crate) fn calls(targets: &[(DeclId, usize)]) -> Result<RelocatableBytes> {
    let mut code = Code::new();
    for (target, results) in targets {
        code.call(*target);
        code.bytes.extend(std::iter::repeat_n(DROP, *results));
    }
    code.finish()
}

/// A function that takes what `target` takes and returns what it returns, and calls others before and behind it.
pub(crate) fn wrapper(
    before: Option<DeclId>,
    target: DeclId,
    params: usize,
    behind: Option<DeclId>,
) -> Result<RelocatableBytes> {
    let mut code = Code::new();
    if let Some(before) = before {
        code.call(before);
    }
    for param in 0..params {
        code.bytes.push(LOCAL_GET);
        leb::push_unsigned(&mut code.bytes, param as u64);
    }
    code.call(target);
    if let Some(behind) = behind {
        code.call(behind);
    }
    code.finish()
}
