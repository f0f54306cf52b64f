//! Code entries: bodies, thunks, forwarders and what is dead.

use crate::layout::{Occupant, Ordinal, Place};
use crate::patch::encode::encoder::Encoder;
use crate::wire::filler::{self, Role};
use crate::wire::leb;

/// Bytes of a code entry's size field.
pub(crate) const SIZE: usize = leb::WIDE32;

impl Encoder<'_> {
    /// The type index in an ordinal's entry of the function section.
    pub(crate) fn entry_type(&self, ordinal: Ordinal) -> u32 {
        match self.layout.functions.slot(ordinal).occupant {
            Occupant::Reserve | Occupant::Dead | Occupant::Trap => self.layout.types.dead_type(),
            Occupant::Body(id) | Occupant::Thunk(id) | Occupant::Forwarder(id) => {
                let ty = self.next(id).ty().expect("a function has a type");
                self.layout
                    .types
                    .index(self.root(id), ty)
                    .expect("the type was counted")
            }
        }
    }

    /// The code of an ordinal without filler and without the final `end`, to be put behind the size field.
    pub(crate) fn made_code(&self, ordinal: Ordinal, out: &mut Vec<u8>) {
        let (role, id) = match self.layout.functions.slot(ordinal).occupant {
            Occupant::Reserve | Occupant::Dead | Occupant::Trap => {
                let room = self.layout.functions.slot(ordinal).cap as usize - SIZE;
                let marker = filler::marker(Role::Dead);
                // Where a tiny function was there is no room for a mark, nor for more than nothing at all.
                match room > marker.len() + 1 {
                    true => out.extend_from_slice(&marker),
                    false => out.push(0),
                }
                if room > out.len() + 1 {
                    out.push(filler::UNREACHABLE);
                }
                return;
            }
            Occupant::Body(id) => {
                let content = &self.next(id).content;
                out.resize(content.len(), 0);
                self.content(self.root(id), content, out);
                out.pop();
                return;
            }
            Occupant::Thunk(id) if self.layout.is_address_taken(id) => (Role::AddressThunk, id),
            Occupant::Thunk(id) => (Role::Thunk, id),
            Occupant::Forwarder(id) => (Role::Forwarder, id),
        };
        out.extend_from_slice(&filler::marker(role));
        let ty = self.next(id).ty().expect("a function has a type");
        let signature = self.program.types.signature(ty);
        let signature = signature.expect("a function has a function type");
        for param in 0..signature.params {
            out.push(0x20);
            leb::push_unsigned(out, param.into());
        }
        let tail = u8::from(self.layout.options.tail_calls) * 2;
        let Place::Function { body, slot, .. } = self.layout.place(id) else {
            unreachable!("a function has a place")
        };
        if role == Role::Forwarder {
            out.push(0x10 + tail);
            leb::push_wide32(out, self.layout.functions.index(body));
            return;
        }
        out.push(self.slot_constant());
        let at = out.len();
        out.resize(at + leb::WIDE32, 0);
        leb::write_signed(&mut out[at..], slot.expect("a thunk has a slot").0.into());
        out.push(0x11 + tail);
        leb::push_wide32(out, self.entry_type(ordinal));
        leb::push_wide32(out, self.slot_table_index());
    }

    /// The instruction for a slot's number: `i32.const` or `i64.const`.
    pub(crate) fn slot_constant(&self) -> u8 {
        match self.layout.options.table64 {
            true => 0x42,
            false => 0x41,
        }
    }

    pub(crate) fn slot_table_index(&self) -> u32 {
        match self.layout.slot_table.map(|table| self.layout.place(table)) {
            Some(Place::Index(index)) => index,
            place => unreachable!("the table of slots has an index, not {place:?}"),
        }
    }

    /// Writes a whole code entry, with filler.
    pub(crate) fn code(&self, ordinal: Ordinal, out: &mut [u8], scratch: &mut Vec<u8>) {
        let (size, out) = out.split_at_mut(SIZE);
        leb::write_unsigned(size, out.len() as u64);
        let terminated = match self.layout.functions.slot(ordinal).occupant {
            Occupant::Body(id) => {
                let definition = self.next(id);
                let len = definition.content.len();
                self.content(self.root(id), &definition.content, &mut out[..len]);
                if len == out.len() {
                    return;
                }
                let len = len - 1;
                return filler::fill(out.len() - len, false, |run| {
                    out[len + run.offset..][..run.bytes.len()].copy_from_slice(run.bytes);
                });
            }
            Occupant::Thunk(_) | Occupant::Forwarder(_) => false,
            _ => true,
        };
        scratch.clear();
        self.made_code(ordinal, scratch);
        let len = scratch.len();
        out[..len].copy_from_slice(scratch);
        filler::fill(out.len() - len, terminated, |run| {
            out[len + run.offset..][..run.bytes.len()].copy_from_slice(run.bytes);
        });
    }

    /// Writes the code entries of the ordinals from `start` to `end` to `out`.
    pub(crate) fn code_range(&self, start: Ordinal, end: Ordinal, out: &mut [u8]) {
        let slots = &self.layout.functions.slots_from(start)[..(end.0 - start.0) as usize];
        let base = slots.first().map_or(0, |slot| slot.offset);
        let mut scratch = Vec::new();
        for (at, slot) in slots.iter().enumerate() {
            let out = &mut out[(slot.offset - base) as usize..][..slot.cap as usize];
            self.code(Ordinal(start.0 + at as u32), out, &mut scratch);
        }
    }
}
