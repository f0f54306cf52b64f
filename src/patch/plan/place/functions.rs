//! Where functions' code goes: in its place, to a dead place that fits, to the end; what becomes of the old place; how
//! callers are redirected.

use crate::layout::{Occupant, Ordinal, Place, Slot};
use crate::patch::lengths::{
    MOST_INDICES, SMALLEST_TRAP, body_slack, entry_len, forwarder_len, room_for_entry, thunk_len,
};
use crate::patch::plan::context::Planned;
use crate::patch::plan::place::Placing;
use crate::patch::plan::place::collected::MANY_FIELDS;
use crate::patch::plan::place::orphans::BURIED_QUIETLY;
use crate::patch::relink::RelinkReason;
use crate::program::{DeclId, Pending, Relocation};

/// So many dead bytes of code are never too many.
const MOST_DEAD: u64 = 1 << 16;

/// Code of up to this many bytes becomes a forwarder though it has few callers, where entries are kept: a ninth of the rest is
/// written. Of longer code it is less to write the callers.
const MOST_FORWARDED: u32 = 1024;

/// Beyond that, when more than one byte in so many is dead and none of the dead places fits, everything is laid out anew.
/// It takes edits of about a tenth of all code to get there, so each has paid for ten times its own bytes at most.
const DEAD_SHARE: u64 = 10;

impl Placing<'_> {
    /// Notes that the code of an ordinal is written, before the occupant changes.
    pub(super) fn touch_code(&mut self, ordinal: Ordinal) {
        let prior = self.layout.functions.slot(ordinal).occupant;
        self.writes.code.entry(ordinal).or_insert(Some(prior));
    }

    pub(super) fn free_code(&mut self, ordinal: Ordinal) {
        self.touch_code(ordinal);
        self.layout.functions.free(ordinal);
        // What traps can have any type. Where there is no room for that, only the type of what does nothing will do.
        if self.layout.functions.slot(ordinal).cap < SMALLEST_TRAP {
            self.writes.entries.insert(ordinal);
        }
    }

    pub(super) fn append_code(
        &mut self,
        cap: u32,
        occupant: Occupant,
        name: Option<&str>,
    ) -> Planned<Ordinal> {
        let functions = &mut self.layout.functions;
        let full = RelinkReason::FunctionsFull;
        if functions.dead_bytes() > MOST_DEAD
            && functions.dead_bytes() * DEAD_SHARE > u64::from(functions.end_offset())
        {
            return Err(RelinkReason::Fragmented.into());
        }
        let ordinal = functions.append(cap, occupant).ok_or(full)?;
        let index = functions.index(ordinal);
        if index >= MOST_INDICES {
            return Err(full.into());
        }
        self.layout.names.append(index, name).ok_or(full)?;
        self.writes.code.insert(ordinal, None);
        self.writes.entries.insert(ordinal);
        if name.is_some() {
            self.writes.names.insert(ordinal);
        }
        Ok(ordinal)
    }

    /// A dead place that fits a body of `len` bytes, if there is one.
    pub(super) fn reuse_body(&mut self, id: DeclId, len: u32) -> Planned<Option<Ordinal>> {
        let decl = self.context.program.decl(id);
        let name = decl.given_name().filter(|_| self.layout.options.names);
        let (names, functions) = (&self.layout.names, &self.layout.functions);
        let indices = functions.indices();
        let fits = |ordinal| names.fits(ordinal, indices.of(ordinal), name);
        let reused = self.layout.functions.reuse(len, Occupant::Body(id), fits);
        if let Some((ordinal, prior)) = reused {
            self.writes.code.entry(ordinal).or_insert(Some(prior));
            self.writes.entries.insert(ordinal);
            if name.is_some() {
                self.writes.names.insert(ordinal);
            }
            if let Occupant::Body(orphan) = prior {
                self.forget_orphan(orphan)?;
            }
            return Ok(Some(ordinal));
        }
        Ok(None)
    }

    /// A place for a body of `len` bytes: a dead one that fits, or a new one.
    pub(super) fn place_body(&mut self, id: DeclId, len: u32) -> Planned<Ordinal> {
        if let Some(ordinal) = self.reuse_body(id, len)? {
            return Ok(ordinal);
        }
        let decl = self.context.program.decl(id);
        let name = decl.given_name().filter(|_| self.layout.options.names);
        let slack = if self.context.minimal {
            0
        } else {
            body_slack(decl, len, true)
        };
        let cap = room_for_entry(self.context.program, self.layout.options, decl, len + slack);
        self.append_code(cap, Occupant::Body(id), name)
    }

    pub(super) fn place_thunk(&mut self, id: DeclId) -> Planned<Ordinal> {
        let ty = self.context.next(id).ty().expect("a function has a type");
        let len = thunk_len(self.context.program, ty);
        if let Some(ordinal) = self.layout.functions.reuse_thunk(len, Occupant::Thunk(id)) {
            self.writes
                .code
                .entry(ordinal)
                .or_insert(Some(Occupant::Dead));
            self.writes.entries.insert(ordinal);
            return Ok(ordinal);
        }
        self.append_code(len, Occupant::Thunk(id), None)
    }

    pub(super) fn redefine_function(&mut self, id: DeclId, new_type: bool) -> Planned {
        let Place::Function { entry, body, slot } = self.layout.place(id) else {
            unreachable!("a function's place")
        };
        let new = self.context.next(id);
        if new_type {
            self.writes.entries.extend([entry, body]);
            if entry != body {
                self.redefine_entry(id, entry, body, slot)?;
            }
        }
        let len = entry_len(new.content.len());
        let cap = self.layout.functions.slot(body).cap;
        if len > cap || self.expected_orphans.contains(&id) {
            return self.move_body(id, false);
        }
        if self.makes_way(id, len)
            && let Some(to) = self.reuse_body(id, len)?
        {
            self.move_to(id, to, false);
            return Ok(());
        }
        self.touch_code(body);
        self.writes.in_place += 1;
        Ok(())
    }

    /// Whether a body of `len` bytes has become so much smaller than its place that it makes way for a larger one, if there
    /// is a dead place that fits it. The one that it leaves is filled then.
    pub(super) fn makes_way(&self, id: DeclId, len: u32) -> bool {
        let Place::Function { entry, body, .. } = self.layout.place(id) else {
            return false;
        };
        let cap = self.layout.functions.slot(body).cap;
        let unused = cap.saturating_sub(len);
        unused > len / 8 + 40
            && cap <= BURIED_QUIETLY
            && (entry != body || !self.has_many_callers(id))
    }

    /// A thunk or forwarder of a function that has another signature now.
    pub(super) fn redefine_entry(
        &mut self,
        id: DeclId,
        entry: Ordinal,
        body: Ordinal,
        slot: Option<Slot>,
    ) -> Planned {
        let ty = self.context.next(id).ty().expect("a function has a type");
        let at = self.layout.functions.slot(entry);
        let thunk = matches!(at.occupant, Occupant::Thunk(_));
        let needed = if thunk {
            thunk_len(self.context.program, ty)
        } else {
            forwarder_len(self.context.program, ty)
        };
        if needed <= at.cap {
            self.touch_code(entry);
            return Ok(());
        }
        self.move_entry(id, entry, body, slot)
    }

    /// Gives a function another entry: a new thunk, or instead of a forwarder the body itself.
    pub(super) fn move_entry(
        &mut self,
        id: DeclId,
        entry: Ordinal,
        body: Ordinal,
        slot: Option<Slot>,
    ) -> Planned {
        let thunk = matches!(
            self.layout.functions.slot(entry).occupant,
            Occupant::Thunk(_)
        );
        let new = if thunk { self.place_thunk(id)? } else { body };
        self.free_code(entry);
        self.layout.set_place(
            id,
            Place::Function {
                entry: new,
                body,
                slot,
            },
        );
        self.moved.insert(id);
        Ok(())
    }

    /// Moves a function's code to a place that fits it; with `vacate`, nothing may stay at the old place.
    pub(super) fn move_body(&mut self, id: DeclId, vacate: bool) -> Planned {
        let to = self.place_body(id, entry_len(self.context.next(id).content.len()))?;
        self.move_to(id, to, vacate);
        Ok(())
    }

    pub(super) fn move_to(&mut self, id: DeclId, to: Ordinal, vacate: bool) {
        let Place::Function { entry, body, slot } = self.layout.place(id) else {
            unreachable!("a function's place")
        };
        let new = self.context.next(id);
        self.writes.moved_bodies += 1;
        let mut next_entry = entry;
        let ty = new.ty().expect("a function has a type");
        let fits = self.context.program.types.can_pass_on(ty)
            && forwarder_len(self.context.program, ty) <= self.layout.functions.slot(body).cap;
        if entry != body {
            self.vacate_body(id, body);
            if matches!(
                self.layout.functions.slot(entry).occupant,
                Occupant::Forwarder(_)
            ) {
                self.writes.forwarders.insert(entry);
            }
        } else if !vacate && fits && self.has_many_callers(id) {
            self.touch_code(body);
            self.layout.functions.replace(body, Occupant::Forwarder(id));
        } else {
            if vacate {
                self.free_code(body);
            } else {
                self.vacate_body(id, body);
            }
            next_entry = to;
            self.moved.insert(id);
        }
        self.layout.set_place(
            id,
            Place::Function {
                entry: next_entry,
                body: to,
                slot,
            },
        );
        self.write_slot(slot);
    }

    /// Whether rewriting all references to a function whose code moves costs more than a forwarder.
    pub(super) fn has_many_callers(&self, id: DeclId) -> bool {
        let options = self.layout.options;
        let is_small = || match self.layout.place(id) {
            Place::Function { body, .. } => self.layout.functions.slot(body).cap <= MOST_FORWARDED,
            _ => false,
        };
        let limit = match options.keeps_entries && is_small() {
            true => 0,
            false => options.fan_in,
        };
        let mut sites = 0;
        for source in self.context.references.of(self.context.program, id) {
            let decl = self.context.program.decl(source);
            if let (Some(definition), Pending::None) = (decl.current(), decl.pending()) {
                let relocs = definition.content.relocs();
                let names_it = |reloc: &&Relocation| {
                    reloc.kind.is_function_index() && reloc.decl() == Some(id)
                };
                sites += match relocs.len() > MANY_FIELDS {
                    false => relocs.iter().filter(names_it).count(),
                    true => self.calls.of(source, definition, id),
                };
                if sites > limit {
                    return true;
                }
            }
        }
        false
    }
}
