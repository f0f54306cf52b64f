//! The routines of a delta that an embedder calls: `prepare` looks whether the instance can take it in and changes nothing of
//! the program's, `apply` does all of it. Where instances share memory there are also its two halves: `apply_data` once, since
//! they have one memory, and `apply_slots` in the instance of each, since each has its table. Each routine costs an engine that
//! compiles ahead a quarter of a millisecond: there are no more than are called.

use crate::delta::artifact::{
    CHANGED, DONE, Delta, HAS_IT, Header, NO_MEMORY, NO_SLOTS, OTHER_VERSION,
};
use crate::delta::collect::Contents;
use crate::delta::data::{Condition, DataWrite, HASH_FACTOR, HASH_START};
use crate::delta::imports::Imports;
use crate::delta::policy::{Refusal, RefusalReason};
use crate::delta::view::View;
use crate::program::{DeclId, DeclKind, Definition, DefinitionKind};
use crate::wire::filler::END;
use crate::wire::leb::{push_signed, push_unsigned};

/// Under which names the first routines are exported: the first two always, the others where memory is shared.
pub(super) const NAMES: [&str; 4] = ["prepare", "apply", "apply_data", "apply_slots"];
const PREPARE: u32 = 0;
const APPLY_DATA: u32 = 2;
const APPLY_SLOTS: u32 = 3;
/// Behind them where memory is shared: the one that looks for the version and for slots, which `prepare` does itself otherwise.
const READY: u32 = NAMES.len() as u32;

/// How many routines are exported.
fn exported(is_shared: bool) -> usize {
    if is_shared { NAMES.len() } else { 2 }
}

/// How many routines there are before those that look for a hash, one for each memory.
fn before_hashes(is_shared: bool) -> usize {
    exported(is_shared) + usize::from(is_shared)
}

/// Whether a memory of the program is one that threads share.
pub(super) fn shares_memory(view: View<'_>) -> bool {
    const SHARED: u8 = 2;
    let all = view
        .layout
        .imports
        .iter()
        .chain(view.layout.memories.iter());
    let mut definitions = all.filter_map(|id| {
        let is_memory = view.program.kind_of(*id) == Some(DeclKind::Memory);
        is_memory.then(|| view.definition(*id)).flatten()
    });
    definitions.any(|definition| {
        let start = definition.type_start();
        let flags = start.and_then(|start| definition.content.bytes().get(start));
        flags.is_some_and(|flags| flags & SHARED != 0)
    })
}

const PAGE: u64 = 65536;

/// `() -> i32`.
const NO_PARAMS: [u8; 4] = [0x60, 0, 1, 0x7f];
/// `(address, len, hash: i64) -> i32`, with addresses of 32 and 64 bits.
const HAS_HASH: [[u8; 7]; 2] = [
    [0x60, 3, 0x7f, 0x7f, 0x7e, 1, 0x7f],
    [0x60, 3, 0x7e, 0x7f, 0x7e, 1, 0x7f],
];

const I32: u8 = 0x7f;
const I64: u8 = 0x7e;
const F32: u8 = 0x7d;
const F64: u8 = 0x7c;
const EMPTY: u8 = 0x40;
const IF: u8 = 0x04;
const ELSE: u8 = 0x05;
const RETURN: u8 = 0x0f;
const CALL: u8 = 0x10;
const LOCAL_GET: u8 = 0x20;
const LOCAL_SET: u8 = 0x21;
const LOCAL_TEE: u8 = 0x22;
const GLOBAL_GET: u8 = 0x23;
const GLOBAL_SET: u8 = 0x24;
const BULK: u8 = 0xfc;

/// What a slot is set to.
pub(super) struct SlotTarget {
    pub(super) slot: u32,
    pub(super) id: DeclId,
    /// Which of the delta's bodies, if it is none of the host's functions.
    pub(super) body: Option<u32>,
}

/// All slots that are set, in order.
pub(super) fn slots(contents: &Contents) -> Vec<SlotTarget> {
    let bodies = contents.bodies.iter().zip(0..);
    let bodies = bodies.map(|((id, slot), at)| (*id, *slot, Some(at)));
    let imported = contents
        .imported
        .iter()
        .map(|(id, slot)| (*id, *slot, None));
    let targets = bodies.chain(imported);
    let mut targets: Vec<SlotTarget> = targets
        .map(|(id, slot, body)| SlotTarget { slot, id, body })
        .collect();
    targets.sort_unstable_by_key(|target| target.slot);
    targets
}

/// Appends a constant that indexes a table or a memory.
pub(super) fn push_index(out: &mut Vec<u8>, is_64: bool, value: u64) {
    if is_64 {
        push_i64(out, value as i64);
    } else {
        push_i32(out, value as i32);
    }
}

/// Appends an `i64.const`.
fn push_i64(out: &mut Vec<u8>, value: i64) {
    out.push(0x42);
    push_signed(out, value);
}

fn push_i32(out: &mut Vec<u8>, value: i32) {
    out.push(0x41);
    push_signed(out, value.into());
}

/// Appends an operator with an index.
fn push_op(out: &mut Vec<u8>, operator: u8, index: u32) {
    out.push(operator);
    push_unsigned(out, index.into());
}

/// Appends the return of a code.
fn push_return(out: &mut Vec<u8>, code: i32) {
    push_i32(out, code);
    out.push(RETURN);
}

/// The routines as they stand in a delta, before all other functions.
pub(super) struct Routines {
    pub(super) codes: Vec<Vec<u8>>,
    /// How many of them are exported, under the first of the names.
    pub(super) exported: usize,
    /// Their entries in the function section.
    pub(super) types: Vec<u8>,
    /// What is written to memories.
    pub(super) data: Vec<u8>,
    /// Globals of theirs.
    pub(super) globals: Vec<u8>,
    pub(super) global_count: usize,
    /// The global that says what was kept.
    pub(super) kept: Option<u32>,
    /// What is written on a condition, in the order of that global's bits.
    pub(super) conditional: Vec<String>,
}

/// Memories whose data is written on a condition: there is a routine for each.
fn conditional_memories(contents: &Contents) -> Vec<DeclId> {
    let writes = contents.writes.iter();
    let conditional = writes.filter(|write| write.condition != Condition::Always);
    let mut memories: Vec<DeclId> = conditional.map(|write| write.memory).collect();
    memories.sort_unstable();
    memories.dedup();
    memories
}

/// What all routines are written from.
struct Context<'a> {
    view: View<'a>,
    contents: &'a Contents,
    header: Header,
    /// The index of the first routine.
    first: u32,
    is_shared: bool,
    kept: Option<u32>,
}

impl Routines {
    /// How many functions they are.
    pub(super) fn count(contents: &Contents, is_shared: bool) -> u32 {
        (before_hashes(is_shared) + conditional_memories(contents).len()) as u32
    }

    pub(super) fn write(
        imports: &mut Imports<'_>,
        view: View<'_>,
        contents: &Contents,
        header: Header,
        is_shared: bool,
    ) -> Result<Routines, Refusal> {
        let memories = conditional_memories(contents);
        let mut types = Vec::new();
        let plain = imports.plain_type(&NO_PARAMS);
        for _ in 0..before_hashes(is_shared) {
            push_unsigned(&mut types, plain.into());
        }
        for &memory in &memories {
            let is_64 = usize::from(is_64(view, memory));
            let ty = imports.plain_type(&HAS_HASH[is_64]);
            push_unsigned(&mut types, ty.into());
        }
        let is_conditional = !memories.is_empty() || !contents.values.is_empty();
        let context = Context {
            view,
            contents,
            header,
            first: imports.counted(DeclKind::Function),
            is_shared,
            kept: is_conditional.then(|| imports.counted(DeclKind::Global)),
        };
        let mut routines = Routines {
            codes: vec![context.prepare(imports, &memories)],
            exported: exported(is_shared),
            types,
            data: Vec::new(),
            globals: Vec::new(),
            global_count: usize::from(is_conditional),
            kept: context.kept,
            conditional: Vec::new(),
        };
        if is_conditional {
            // A mutable `i64`, zero.
            routines.globals.extend([I64, 1, 0x42, 0, END]);
        }
        let mut data = context.begin_with(PREPARE);
        context.push_data(&mut data, imports, &memories, &mut routines)?;
        if is_shared {
            let mut slots = context.begin_with(READY);
            context.push_slots(&mut slots);
            let ready = context.begin_ready();
            routines.codes.push(context.apply_of_halves());
            routines.codes.extend([data, slots, ready].map(done));
        } else {
            context.push_slots(&mut data);
            routines.codes.push(done(data));
        }
        for &memory in &memories {
            let index = imports.known(memory).unwrap_or_default();
            let code = has_hash(index, is_64(view, memory));
            routines.codes.push(code);
        }
        Ok(routines)
    }
}

/// Ends a routine that has done what it is for.
fn done(mut code: Vec<u8>) -> Vec<u8> {
    push_i32(&mut code, DONE);
    code.push(END);
    code
}

/// Whether a memory's addresses have 64 bits.
fn is_64(view: View<'_>, memory: DeclId) -> bool {
    match view.definition(memory).map(|definition| definition.shape) {
        Some(DefinitionKind::Memory { is_64, .. }) => is_64,
        _ => {
            let image = view.layout.data.image_of(memory);
            image.is_some_and(|image| view.layout.data.image(image).is_64)
        }
    }
}

impl Context<'_> {
    fn table64(&self) -> bool {
        self.view.layout.options.table64
    }

    /// Begins a routine that returns unless the instance has the right version, and slots, which there are more of from then on.
    fn begin_ready(&self) -> Vec<u8> {
        let mut code = vec![0];
        for (version, operator, answer) in [
            (&self.header.to, 0x51, HAS_IT),
            (&self.header.from, 0x52, OTHER_VERSION),
        ] {
            push_op(&mut code, GLOBAL_GET, 0);
            push_i64(&mut code, Delta::epoch(version));
            code.extend([operator, IF, EMPTY]);
            push_return(&mut code, answer);
            code.push(END);
        }
        if let Some(last) = slots(self.contents).last() {
            self.push_room(&mut code, u64::from(last.slot) + 1);
        }
        code
    }

    /// Whether the instance is ready, and memories are large enough and as they must be.
    fn prepare(&self, imports: &Imports<'_>, memories: &[DeclId]) -> Vec<u8> {
        let mut code = match self.is_shared {
            true => self.begin_with(READY),
            false => self.begin_ready(),
        };
        let mut ends: Vec<(DeclId, u64)> = Vec::new();
        for write in &self.contents.writes {
            let end = write.address + write.bytes.len() as u64 + write.zeros;
            match ends.iter_mut().find(|(memory, _)| *memory == write.memory) {
                Some((_, last)) => *last = end.max(*last),
                None => ends.push((write.memory, end)),
            }
        }
        for (memory, end) in ends {
            let index = imports.known(memory).unwrap_or_default();
            let is_64 = is_64(self.view, memory);
            push_op(&mut code, 0x3f, index);
            push_index(&mut code, is_64, end.div_ceil(PAGE));
            code.extend([if is_64 { 0x54 } else { 0x49 }, IF, EMPTY]);
            push_return(&mut code, NO_MEMORY);
            code.push(END);
        }
        for write in &self.contents.writes {
            if let Condition::Requires(hash) = write.condition {
                self.push_has_hash(&mut code, write, hash, memories);
                // Zero: it has not.
                code.extend([0x45, IF, EMPTY]);
                push_return(&mut code, CHANGED);
                code.push(END);
            }
        }
        done(code)
    }

    /// Pushes whether memory has a hash where something is to be written.
    fn push_has_hash(&self, code: &mut Vec<u8>, write: &DataWrite, hash: u64, memories: &[DeclId]) {
        let routine = memories.iter().position(|memory| *memory == write.memory);
        push_index(code, is_64(self.view, write.memory), write.address);
        push_i32(code, write.bytes.len() as i32);
        push_i64(code, hash as i64);
        let behind = before_hashes(self.is_shared) + routine.unwrap_or_default();
        let routine = self.first + behind as u32;
        push_op(code, CALL, routine);
    }

    /// Lets the table grow to so many entries, if it has fewer.
    fn push_room(&self, code: &mut Vec<u8>, needed: u64) {
        let is_64 = self.table64();
        let (less, sub, equal) = match is_64 {
            true => (0x54, 0x7d, 0x51),
            false => (0x49, 0x6b, 0x46),
        };
        const TABLE_SIZE: [u8; 3] = [BULK, 16, 0];
        const TABLE_GROW: [u8; 3] = [BULK, 15, 0];
        code.extend(TABLE_SIZE);
        push_index(code, is_64, needed);
        code.extend([less, IF, EMPTY]);
        code.extend([0xd0, 0x70]);
        push_index(code, is_64, needed);
        code.extend(TABLE_SIZE);
        code.push(sub);
        code.extend(TABLE_GROW);
        push_index(code, is_64, u64::MAX);
        code.extend([equal, IF, EMPTY]);
        push_return(code, NO_SLOTS);
        code.extend([END, END]);
    }

    /// Begins a routine that returns what another one returns, unless that is zero.
    fn begin_with(&self, routine: u32) -> Vec<u8> {
        let mut code = vec![1, 1, I32];
        push_op(&mut code, CALL, self.first + routine);
        code.extend([LOCAL_TEE, 0, IF, EMPTY, LOCAL_GET, 0, RETURN, END]);
        code
    }

    /// All of it, where there are routines for its halves: data, then slots.
    fn apply_of_halves(&self) -> Vec<u8> {
        let mut code = self.begin_with(APPLY_DATA);
        push_op(&mut code, CALL, self.first + APPLY_SLOTS);
        code.push(END);
        code
    }

    /// Writes data.
    fn push_data(
        &self,
        code: &mut Vec<u8>,
        imports: &Imports<'_>,
        memories: &[DeclId],
        routines: &mut Routines,
    ) -> Result<(), Refusal> {
        for write in &self.contents.writes {
            let offset = routines.data.len() as u64;
            if offset + write.bytes.len() as u64 > u32::MAX.into() {
                return Err(Refusal {
                    reason: RefusalReason::Reserve,
                    symbol: write.symbol.clone(),
                });
            }
            let index = imports.known(write.memory).unwrap_or_default();
            let is_64 = is_64(self.view, write.memory);
            match write.condition {
                Condition::Where(hash) => {
                    self.push_has_hash(code, write, hash, memories);
                    code.extend([IF, EMPTY]);
                    push_write(code, write, is_64, offset, index);
                    code.push(ELSE);
                    self.push_kept(code, |code| push_i64(code, routines.bit_of(&write.symbol)));
                    code.push(END);
                }
                _ => push_write(code, write, is_64, offset, index),
            }
            routines.data.extend_from_slice(&write.bytes);
        }
        for (id, old, new) in &self.contents.values {
            let index = imports.known(*id).unwrap_or_default();
            let name = self.view.program.decl(*id).label();
            let ty = self.view.definition(*id).and_then(value_type);
            // Floating-point numbers are compared by their bits: no other way tells whether they are the same.
            let (bits, equal): (&[u8], u8) = match ty {
                Some(I32) => (&[], 0x46),
                Some(I64) => (&[], 0x51),
                Some(F32) => (&[0xbc], 0x46),
                Some(F64) => (&[0xbd], 0x51),
                _ => continue,
            };
            push_op(code, GLOBAL_GET, index);
            code.extend_from_slice(bits);
            code.extend_from_slice(old);
            code.extend_from_slice(bits);
            code.push(equal);
            code.extend([IF, EMPTY]);
            code.extend_from_slice(new);
            push_op(code, GLOBAL_SET, index);
            code.push(ELSE);
            self.push_kept(code, |code| push_i64(code, routines.bit_of(name)));
            code.push(END);
        }
        Ok(())
    }

    /// Notes that something was kept.
    fn push_kept(&self, code: &mut Vec<u8>, bit: impl FnOnce(&mut Vec<u8>)) {
        let kept = self.kept.unwrap_or_default();
        push_op(code, GLOBAL_GET, kept);
        bit(code);
        code.push(0x84);
        push_op(code, GLOBAL_SET, kept);
    }

    /// Slots, and then the version. Data may have been written already.
    fn push_slots(&self, code: &mut Vec<u8>) {
        let slots = slots(self.contents);
        let mut start = 0;
        while start < slots.len() {
            let first = slots[start].slot;
            let run = slots[start..].iter().zip(first..);
            let len = run
                .take_while(|(target, slot)| target.slot == *slot)
                .count();
            push_index(code, self.table64(), first.into());
            push_i32(code, start as i32);
            push_i32(code, len as i32);
            code.extend([BULK, 12, 0, 0]);
            start += len;
        }
        push_i64(code, Delta::epoch(&self.header.to));
        push_op(code, GLOBAL_SET, 0);
    }
}

/// Whether memory has this hash.
fn has_hash(memory: u32, is_64: bool) -> Vec<u8> {
    // Locals: address, len, hash; the hash of what stands there, how many bytes are done.
    let mut code = vec![2, 1, I64, 1, I32];
    push_i64(&mut code, HASH_START as i64);
    code.extend([LOCAL_SET, 3]);
    // While there are more.
    code.extend([0x02, EMPTY, 0x03, EMPTY]);
    code.extend([LOCAL_GET, 4, LOCAL_GET, 1, 0x4f, 0x0d, 1]);
    code.extend([LOCAL_GET, 3, LOCAL_GET, 0, LOCAL_GET, 4]);
    match is_64 {
        true => code.extend([0xad, 0x7c]),
        false => code.push(0x6a),
    }
    // The byte, as an `i64`.
    match memory {
        0 => code.extend([0x31, 0, 0]),
        _ => {
            code.extend([0x31, 0x40]);
            push_unsigned(&mut code, memory.into());
            code.push(0);
        }
    }
    code.push(0x85);
    push_i64(&mut code, HASH_FACTOR as i64);
    code.extend([0x7e, LOCAL_SET, 3]);
    code.extend([LOCAL_GET, 4]);
    push_i32(&mut code, 1);
    code.extend([0x6a, LOCAL_SET, 4, 0x0c, 0, END, END]);
    code.extend([LOCAL_GET, 3, LOCAL_GET, 2, 0x51, END]);
    code
}

impl Routines {
    /// The bit that says that something was kept; all behind the 63rd share the last one.
    fn bit_of(&mut self, symbol: &str) -> i64 {
        self.conditional.push(symbol.to_owned());
        1 << (self.conditional.len() - 1).min(63)
    }
}

/// Appends a write that depends on nothing.
fn push_write(code: &mut Vec<u8>, write: &DataWrite, is_64: bool, offset: u64, memory: u32) {
    let len = write.bytes.len() as u64;
    if len > 0 {
        push_index(code, is_64, write.address);
        push_i32(code, offset as i32);
        push_i32(code, len as i32);
        code.extend([BULK, 8, 0]);
        push_unsigned(code, memory.into());
    }
    if write.zeros > 0 {
        push_index(code, is_64, write.address + len);
        push_i32(code, 0);
        push_index(code, is_64, write.zeros);
        code.extend([BULK, 11]);
        push_unsigned(code, memory.into());
    }
}

/// The type of a global's value, if it is of one byte.
fn value_type(definition: &Definition) -> Option<u8> {
    let ty = crate::delta::policy::global_type(definition)?;
    ty.value.first().copied()
}
