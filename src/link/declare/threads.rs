//! Memory that threads share: whoever comes first fills it, from segments that are loaded by code, and each thread has
//! its own copy of thread-local data.

use crate::error::Result;
use crate::link::declare::assign::Threads;
use crate::link::declare::synthetic::Code;
use crate::program::{DeclId, RelocKind, RelocatableBytes};
use crate::wire::leb;

/// A segment of the output, as code loads it.
pub(crate) struct Loaded {
    pub(crate) address: u64,
    pub(crate) size: u64,
    /// The segment; `None` if it is all zeros.
    pub(crate) contents: Option<DeclId>,
    pub(crate) is_thread_local: bool,
}

const I32_CONST: u8 = 0x41;
const I64_CONST: u8 = 0x42;
const BLOCK: u8 = 0x02;
const NO_TYPE: u8 = 0x40;
const BR: u8 = 0x0c;
const BR_TABLE: u8 = 0x0e;
const DROP: u8 = 0x1a;
const LOCAL_GET: u8 = 0x20;
const GLOBAL_GET: u8 = 0x23;
const GLOBAL_SET: u8 = 0x24;
const I32_ADD: u8 = 0x6a;
const I64_ADD: u8 = 0x7c;
const END: u8 = 0x0b;
const ATOMIC: u8 = 0xfe;
const BULK: u8 = 0xfc;

fn constant(code: &mut Code, is_64: bool, value: u64) {
    code.bytes.push(if is_64 { I64_CONST } else { I32_CONST });
    let value = match is_64 {
        true => value as i64,
        false => i64::from(value as u32 as i32),
    };
    leb::push_signed(&mut code.bytes, value);
}

fn load(code: &mut Code, segment: DeclId, size: u64) {
    constant(code, false, 0);
    constant(code, false, size);
    code.bytes.push(BULK);
    code.field(0x08, RelocKind::DataIndex, segment, 0);
    code.bytes.push(0);
}

/// The start function: fills memory once, and lets whoever comes meanwhile wait. Every thread then drops the segments
/// that it does not need.
pub(crate) fn init_memory(
    threads: &Threads,
    segments: &[Loaded],
    is_64: bool,
) -> Result<RelocatableBytes> {
    let mut code = Code::new();
    let flag = |code: &mut Code| constant(code, is_64, threads.flag_address);
    // Leaving the outermost block drops the segments; the next one waits; the innermost initialises.
    for _ in 0..3 {
        code.bytes.extend([BLOCK, NO_TYPE]);
    }
    flag(&mut code);
    code.bytes.extend([I32_CONST, 0, I32_CONST, 1]);
    // i32.atomic.rmw.cmpxchg
    code.bytes.extend([ATOMIC, 0x48, 2, 0]);
    code.bytes.extend([BR_TABLE, 2, 0, 1, 2, END]);
    for segment in segments {
        if let (true, Some(base)) = (segment.is_thread_local, threads.tls_base) {
            constant(&mut code, is_64, segment.address);
            code.field(GLOBAL_SET, RelocKind::GlobalIndex, base, 0);
            if let Some(set_globals) = threads.set_tls_globals {
                code.call(set_globals);
            }
        }
        constant(&mut code, is_64, segment.address);
        match segment.contents {
            Some(contents) => load(&mut code, contents, segment.size),
            None => {
                constant(&mut code, false, 0);
                constant(&mut code, is_64, segment.size);
                code.bytes.extend([BULK, 0x0b, 0]);
            }
        }
    }
    flag(&mut code);
    code.bytes.extend([I32_CONST, 2]);
    // i32.atomic.store
    code.bytes.extend([ATOMIC, 0x17, 2, 0]);
    flag(&mut code);
    code.bytes.extend([I32_CONST, 0x7f]);
    // memory.atomic.notify
    code.bytes.extend([ATOMIC, 0x00, 2, 0, DROP]);
    code.bytes.extend([BR, 1, END]);
    flag(&mut code);
    code.bytes.extend([I32_CONST, 1]);
    code.bytes.extend([I64_CONST, 0x7f]);
    // memory.atomic.wait32
    code.bytes.extend([ATOMIC, 0x01, 2, 0, DROP, END]);
    for segment in segments.iter().filter(|segment| !segment.is_thread_local) {
        if let Some(contents) = segment.contents {
            code.bytes.push(BULK);
            code.field(0x09, RelocKind::DataIndex, contents, 0);
        }
    }
    code.finish()
}

/// The function that gives a thread its own copy of thread-local data, at the address that it is called with.
pub(crate) fn init_tls(threads: &Threads, segment: Option<&Loaded>) -> Result<RelocatableBytes> {
    let mut code = Code::new();
    if let (Some(segment), Some(base)) = (segment, threads.tls_base) {
        code.bytes.extend([LOCAL_GET, 0]);
        code.field(GLOBAL_SET, RelocKind::GlobalIndex, base, 0);
        if let Some(set_globals) = threads.set_tls_globals {
            code.call(set_globals);
        }
        if let Some(contents) = segment.contents {
            code.bytes.extend([LOCAL_GET, 0]);
            load(&mut code, contents, segment.size);
        }
    }
    code.finish()
}

/// The function that sets the globals which hold addresses of a thread's own data: each has a distance from where that
/// begins, which `base` holds.
pub(crate) fn set_tls_globals(
    base: DeclId,
    globals: &[(DeclId, i64)],
    is_64: bool,
) -> Result<RelocatableBytes> {
    let mut code = Code::new();
    for (global, distance) in globals {
        code.field(GLOBAL_GET, RelocKind::GlobalIndex, base, 0);
        constant(&mut code, is_64, *distance as u64);
        code.bytes.push(if is_64 { I64_ADD } else { I32_ADD });
        code.field(GLOBAL_SET, RelocKind::GlobalIndex, *global, 0);
    }
    code.finish()
}
