//! What goes into a delta: goes through the declarations that changed, asks the policy about each, and follows what names
//! something that an instance was given for good.

use crate::delta::data::{Condition, DataWrite, difference, differences, hash};
use crate::delta::image;
use crate::delta::policy::{self, Decision, Refusal, RefusalReason, Side};
use crate::delta::view::View;
use crate::hash::HashSet;
use crate::layout::Place;
use crate::program::{
    DeclId, DeclKind, Definition, DefinitionKind, References, RelocKind, Relocation,
};
use crate::wire::filler::END;

/// What a delta is made from.
#[derive(Clone, Copy)]
pub(super) struct Sides<'a> {
    pub(super) before: View<'a>,
    pub(super) after: View<'a>,
    pub(super) references: &'a References,
    /// Whether the change is one that is taken back.
    pub(super) undoes: bool,
}

/// What a delta has, as declarations and not as bytes.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// Functions whose code is in it, with their slots.
    pub(super) bodies: Vec<(DeclId, u32)>,
    /// Imported functions that slots are set to.
    pub(super) imported: Vec<(DeclId, u32)>,
    pub(super) writes: Vec<DataWrite>,
    /// Mutable globals that get another value where they have their first one.
    /// Each with what makes the first value and what makes the other one.
    pub(super) values: Vec<(DeclId, Vec<u8>, Vec<u8>)>,
    /// Globals and tags that it has, or imports from the host.
    pub(super) own: Vec<DeclId>,
    pub(super) refusals: Vec<Refusal>,
}

impl Contents {
    /// What lies between two sides. `dirty` is what was edited.
    pub(super) fn between(sides: Sides<'_>, dirty: &[DeclId]) -> Contents {
        let mut collector = Collector {
            sides,
            contents: Contents::default(),
            done: HashSet::default(),
            restated: Vec::new(),
            compares: false,
        };
        for &id in dirty {
            if collector.done.insert(id) {
                collector.edited(id);
            }
        }
        while let Some(id) = collector.restated.pop() {
            collector.users_of(id);
        }
        if collector.compares {
            collector.compare();
        }
        collector.slots_of_imports(dirty);
        let mut contents = collector.contents;
        contents.bodies.sort_unstable_by_key(|(_, slot)| *slot);
        contents
    }
}

struct Collector<'a> {
    sides: Sides<'a>,
    contents: Contents,
    done: HashSet<DeclId, foldhash::fast::FixedState>,
    /// What users must be given anew.
    restated: Vec<DeclId>,
    /// Whether what segments make of memory is to be compared.
    compares: bool,
}

impl<'a> Collector<'a> {
    fn refuse(&mut self, reason: RefusalReason, id: DeclId) {
        let symbol = self.label(id);
        self.contents.refusals.push(Refusal { reason, symbol });
    }

    /// What messages call a declaration: one without a name, as data of links is, by who uses it.
    fn label(&self, id: DeclId) -> String {
        let program = self.sides.after.program;
        let name = |id: DeclId| program.get(id).and_then(|decl| decl.given_name());
        if let Some(name) = name(id) {
            return name.to_owned();
        }
        let users = self.sides.references.of(program, id);
        match users.into_iter().find_map(name) {
            Some(user) => format!("what `{user}` uses"),
            None => "(unnamed)".to_owned(),
        }
    }

    /// Something that was edited.
    fn edited(&mut self, id: DeclId) {
        let Sides { before, after, .. } = self.sides;
        let Some(decl) = after.program.get(id).filter(|decl| !decl.is_orphan) else {
            return;
        };
        let side = |view: View<'a>| Side {
            definition: view.definition(id),
            place: view.place(id),
        };
        let (old, new) = (side(before), side(after));
        if old.definition.is_none() && new.definition.is_none() {
            return;
        }
        let verdict = policy::decide(decl.kind, old, new, self.sides.undoes);
        if verdict.restates_users {
            self.restated.push(id);
        }
        match verdict.decision {
            Decision::Keep => {}
            Decision::Code => self.code(id, old.definition),
            Decision::Imported => self.imported(id, old.definition),
            // What it moved away from is as it was; where it moved to nothing was.
            Decision::Write if self.sides.undoes && old.place != new.place => self.clear(id),
            Decision::Write => self.write(id, true),
            Decision::WriteUnchanged if decl.kind == DeclKind::Global => {
                self.value(id);
            }
            Decision::WriteUnchanged => self.write(id, false),
            Decision::Clear => self.clear(id),
            Decision::Compare => self.compares = true,
            Decision::Own => self.contents.own.push(id),
            Decision::Refuse(reason) => self.refuse(reason, id),
        }
    }

    /// A function of the host's.
    fn imported(&mut self, id: DeclId, old: Option<&Definition>) {
        let after = self.sides.after;
        let new = after.definition(id);
        if self.is_exported_otherwise(id, old) {
            return self.refuse(RefusalReason::Import, id);
        }
        let is_retyped = old.is_some_and(|old| old.ty() != new.and_then(Definition::ty));
        if is_retyped && self.has_old_address(id) {
            return self.refuse(RefusalReason::Signature, id);
        }
        let slot = after.place(id).slot();
        self.contents.imported.extend(slot.map(|slot| (id, slot.0)));
    }

    /// Whether the instance has exported a function of the host's, which is no thunk, and it is another one now.
    fn is_exported_otherwise(&self, id: DeclId, old: Option<&Definition>) -> bool {
        old.is_some_and(Definition::is_import) && !self.sides.undoes && self.is_exported(id)
    }

    /// A function with a body.
    fn code(&mut self, id: DeclId, old: Option<&Definition>) {
        let after = self.sides.after;
        let (Some(new), Place::Function { slot, .. }) = (after.definition(id), after.place(id))
        else {
            return self.refuse(RefusalReason::NoSlot, id);
        };
        let ty = new.ty();
        let can_pass_on = ty.is_some_and(|ty| after.program.types.can_pass_on(ty));
        let Some(slot) = slot.filter(|_| can_pass_on) else {
            return self.refuse(RefusalReason::NoSlot, id);
        };
        if self.is_exported_otherwise(id, old) {
            return self.refuse(RefusalReason::Import, id);
        }
        let is_retyped = old.is_some_and(|old| old.ty() != ty);
        if is_retyped && self.has_old_address(id) {
            return self.refuse(RefusalReason::Signature, id);
        }
        if after.layout.options.thunks && is_called_directly(self.sides.before, id) {
            return self.refuse(RefusalReason::Library, id);
        }
        let names_segment = |kind| matches!(kind, RelocKind::ElementIndex | RelocKind::DataIndex);
        let mut relocs = new.content.relocs().iter();
        if relocs.any(|reloc| names_segment(reloc.kind)) {
            return self.refuse(RefusalReason::Segment, id);
        }
        self.contents.bodies.push((id, slot.0));
    }

    /// Whether the program exports it: whoever holds that has a thunk with its signature, or the host's function itself.
    fn is_exported(&self, id: DeclId) -> bool {
        let mut exports = self.sides.before.program.said_exports_of(id);
        exports.next().is_some()
    }

    /// Whether somebody may hold the address of a function that has another signature now: data or code that did not change
    /// names it, or code did more with it than call it at once.
    fn has_old_address(&self, id: DeclId) -> bool {
        const CALL_INDIRECT: [u8; 2] = [0x11, 0x13];
        let Sides { before, after, .. } = self.sides;
        let names_it = |view: View<'a>, user: DeclId, calls_do: bool| {
            let Some(definition) = view.definition(user) else {
                return false;
            };
            let bytes = definition.content.bytes();
            let mut slots = definition.content.relocs().iter();
            slots.any(|reloc| {
                let next = bytes.get(reloc.offset as usize + reloc.kind.width());
                let is_call =
                    next.is_some_and(|next| CALL_INDIRECT.contains(next)) && definition.is_body();
                let counts = reloc.kind.is_slot() && reloc.decl() == Some(id);
                counts && (calls_do || !is_call)
            })
        };
        // Who holds an export calls it as it was.
        if self.is_exported(id) {
            return true;
        }
        let users = self.sides.references.of(before.program, id);
        let dirty = after.program.dirty.iter().copied();
        users.into_iter().chain(dirty).any(|user| {
            let decl = after.program.decl(user);
            let stays = !decl.dirty;
            // Nobody calls the code that a function has left behind.
            !decl.is_orphan && (names_it(before, user, stays) || names_it(after, user, stays))
        })
    }

    /// A mutable global whose first value changed. What is no number of at most eight bytes stays as it is.
    fn value(&mut self, id: DeclId) {
        let Sides { before, after, .. } = self.sides;
        let values = [before, after].map(|view| first_value(view, id));
        if let [Some(old), Some(new)] = values
            && old != new
        {
            self.contents.values.push((id, old, new));
        }
    }

    /// Data that is written anew where it is.
    fn write(&mut self, id: DeclId, whole: bool) {
        let Sides { before, after, .. } = self.sides;
        let Some(new) = after.definition(id) else {
            return;
        };
        let (
            DefinitionKind::Data {
                size,
                memory,
                align_log2,
                ..
            },
            Place::Data { address, .. },
        ) = (new.shape, after.place(id))
        else {
            return;
        };
        let old_size = before.definition(id).and_then(policy::size_of);
        let stays = matches!(before.place(id), Place::Data { address: old, .. } if old == address);
        // Whatever data leaves becomes zero, so that nothing but its last version is ever there.
        let extent = match old_size {
            Some(old) if stays => old.max(size),
            _ => size,
        };
        let Some(mut bytes) = after.data(id, size) else {
            return self.refuse(RefusalReason::Moved, id);
        };
        bytes.resize(extent as usize, 0);
        let mut old = match old_size {
            Some(size) if stays => before.data(id, size).unwrap_or_default(),
            _ => Vec::new(),
        };
        old.resize(extent as usize, 0);
        let ranges = match (whole, stays && old_size.is_some()) {
            (true, true) => difference(&old, &bytes).into_iter().collect(),
            (true, false) => std::iter::once(0..bytes.len()).collect(),
            (false, _) => differences(&old, &bytes, align_log2),
        };
        let symbol = self.label(id);
        for range in ranges {
            self.contents.writes.push(DataWrite {
                memory,
                address: address + range.start as u64,
                condition: match whole {
                    true => Condition::Always,
                    false => Condition::Where(hash(&old[range.clone()])),
                },
                bytes: bytes[range].to_vec(),
                zeros: 0,
                symbol: symbol.clone(),
            });
        }
    }

    /// Writes what active segments make of memory now and did not before. Whatever code makes of it, it was compiled for all
    /// of the new bytes: so if the program has changed some of the old ones, nothing of it can be taken in.
    fn compare(&mut self) {
        let Sides { before, after, .. } = self.sides;
        let segments = after.program.dirty.iter().copied();
        let mut segments =
            segments.filter(|id| after.program.kind_of(*id) == Some(DeclKind::DataSegment));
        let Some(differences) = image::differences(before, after) else {
            if let Some(id) = segments.next() {
                self.refuse(RefusalReason::Segment, id);
            }
            return;
        };
        for difference in differences {
            self.contents.writes.push(DataWrite {
                memory: difference.memory,
                address: difference.address,
                bytes: difference.new,
                zeros: 0,
                condition: Condition::Requires(hash(&difference.old)),
                symbol: format!("data at {:#x}", difference.address),
            });
        }
    }

    /// Imports have slots only once somebody takes their address, which may be now: whoever does that and is in the delta
    /// sets them.
    fn slots_of_imports(&mut self, dirty: &[DeclId]) {
        let after = self.sides.after;
        let bodies = self.contents.bodies.iter().map(|(id, _)| *id);
        let users: Vec<DeclId> = bodies.chain(dirty.iter().copied()).collect();
        for user in users {
            let definition = after.definition(user).filter(|it| it.section().is_none());
            let relocs = definition.into_iter().flat_map(|it| it.content.relocs());
            for id in relocs
                .filter(|reloc| reloc.kind.is_slot())
                .filter_map(Relocation::decl)
            {
                if let Place::ImportedFunction {
                    slot: Some(slot), ..
                } = after.place(id)
                {
                    self.contents.imported.push((id, slot.0));
                }
            }
        }
        self.contents
            .imported
            .sort_unstable_by_key(|(_, slot)| *slot);
        self.contents.imported.dedup();
    }

    /// Data that is not there any more, since what brought it is taken back.
    fn clear(&mut self, id: DeclId) {
        let before = self.sides.before;
        let shape = before.definition(id).map(|old| old.shape);
        let (Some(DefinitionKind::Data { size, memory, .. }), Place::Data { address, .. }) =
            (shape, before.place(id))
        else {
            return;
        };
        self.contents.writes.push(DataWrite {
            memory,
            address,
            bytes: Vec::new(),
            zeros: size,
            condition: Condition::Always,
            symbol: before.program.decl(id).label().to_owned(),
        });
    }

    /// What names something that it was given for good, and has to be given anew.
    fn users_of(&mut self, id: DeclId) {
        let program = self.sides.after.program;
        for user in self.sides.references.of(program, id) {
            let decl = program.decl(user);
            let relocs = decl.next().map(|next| next.content.relocs());
            let mut relocs = relocs.into_iter().flatten();
            // A slot is the same whatever stands in it.
            if !relocs.any(|reloc| reloc.decl() == Some(id) && !reloc.kind.is_slot()) {
                continue;
            }
            if decl.dirty || decl.is_orphan || !self.done.insert(user) {
                continue;
            }
            match decl.kind {
                DeclKind::Function => self.code(user, None),
                DeclKind::Data => {
                    let constant = decl.next().is_some_and(|next| {
                        matches!(next.shape, DefinitionKind::Data { constant: true, .. })
                    });
                    self.write(user, constant);
                }
                DeclKind::Global => match decl.next().and_then(policy::global_type) {
                    Some(ty) if ty.flags & 1 != 0 => self.value(user),
                    _ => {
                        self.contents.own.push(user);
                        self.restated.push(user);
                    }
                },
                DeclKind::Custom => {}
                _ => self.refuse(RefusalReason::Segment, user),
            }
        }
    }
}

/// Whether there is a function that others call by its own index, with nothing in between.
pub(super) fn is_called_directly(view: View<'_>, id: DeclId) -> bool {
    let is_there = view.definition(id).is_some_and(Definition::is_body);
    is_there && matches!(view.place(id), Place::Function { entry, body, .. } if entry == body)
}

/// The code that makes a global's first value, if that is a number of at most eight bytes.
fn first_value(view: View<'_>, id: DeclId) -> Option<Vec<u8>> {
    let content = &view.definition(id)?.content;
    // Type, mutability, a constant, and an end.
    let [0x7c..=0x7f, _, 0x41..=0x44, .., END] = content.bytes() else {
        return None;
    };
    let mut bytes = content.bytes().to_vec();
    for reloc in content.relocs() {
        let value = view.value(reloc)?;
        let field = bytes.get_mut(reloc.offset as usize..)?;
        reloc
            .kind
            .write(value, field.get_mut(..reloc.kind.width())?);
    }
    bytes.pop();
    bytes.drain(..2);
    Some(bytes)
}
