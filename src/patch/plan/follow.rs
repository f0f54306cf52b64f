//! The second phase: what names something that moved, and did not change itself.
//!
//! What a piece of a custom section refers to need not be there. So it is not told of moves by those that know its targets
//! to live, but by the layout itself, which notes every place that changes.

use std::collections::BTreeSet;

use crate::hash::HashMap;
use crate::layout::{Place, SectionKind};
use crate::patch::decl_filter::DeclFilter;
use crate::patch::plan::context::PlanContext;
use crate::patch::plan::fixed::FixedPlaces;
use crate::patch::plan::place::Placed;
use crate::patch::plan::writes::{FieldWrites, OrphanSite, PlaceWrites, Site, entity_section};
use crate::program::{DeclId, DeclKind, OrphanChanges, Pending, RelocKind};

/// What is placed, and all that must be written because of it: every field that names something which moved is among the
/// writes, or stands in something that is written anyway.
pub(super) struct Followed<'a> {
    pub(super) context: PlanContext<'a>,
    pub(super) layout: FixedPlaces<'a>,
    pub(super) writes: PlaceWrites,
    pub(super) fields: FieldWrites,
    pub(super) orphans: OrphanChanges,
    /// Sections that are written whole, so far.
    pub(super) whole: BTreeSet<SectionKind>,
    /// Whether a name that is not a function's, or the index before it, is another one.
    pub(super) names_tail_is_stale: bool,
}

impl<'a> Placed<'a> {
    /// Finds all fields that name something which moved.
    pub(super) fn follow(self) -> Followed<'a> {
        let (moved, displaced) = (self.moved, self.displaced);
        let mut followed = Followed {
            context: self.context,
            layout: self.layout,
            writes: self.writes,
            fields: FieldWrites::default(),
            orphans: self.orphans,
            whole: self.whole,
            names_tail_is_stale: self.names_tail_is_stale,
        };
        followed.follow_in_orphans(&moved);
        followed.follow_moved(&moved);
        followed.follow_displaced(displaced);
        followed.fields.moved = moved;
        followed
    }
}

impl Followed<'_> {
    /// Fields of code that is orphaned in this commit.
    fn follow_in_orphans(&mut self, moved: &BTreeSet<DeclId>) {
        for orphan in self.orphans.added() {
            let Place::Function { body, .. } = self.layout.place(orphan.id) else {
                continue;
            };
            for (reloc, field) in (0..).zip(orphan.definition.content.relocs()) {
                let names_moved = field.decl().is_some_and(|id| moved.contains(&id));
                if names_moved && !field.kind.is_slot() {
                    let orphan = orphan.id;
                    self.fields.orphan_sites.push(OrphanSite {
                        body,
                        orphan,
                        reloc,
                    });
                }
            }
        }
    }

    /// Fields of declarations, exports and names.
    fn follow_moved(&mut self, moved: &BTreeSet<DeclId>) {
        let program = self.context.program;
        let mut sources = BTreeSet::new();
        for &id in moved {
            let decl = program.decl(id);
            self.fields.exports.insert(id);
            self.names_tail_is_stale |= decl.name.is_some() && decl.kind != DeclKind::Function;
            sources.extend(self.context.references.of(program, id));
        }
        // Each source is gone through once, however much of what it names has moved.
        for source in sources {
            let decl = program.decl(source);
            let (Some(definition), Pending::None) = (decl.current(), decl.pending()) else {
                continue;
            };
            match decl.kind {
                DeclKind::Table | DeclKind::Memory | DeclKind::Tag => {
                    self.whole.insert(entity_section(decl.kind));
                    continue;
                }
                _ => {}
            }
            for (reloc, field) in (0..).zip(definition.content.relocs()) {
                let names_moved = field.decl().is_some_and(|id| moved.contains(&id));
                if names_moved && !field.kind.is_slot() {
                    self.fields.sites.insert(Site { source, reloc });
                }
            }
        }
    }

    /// Fields of pieces that did not change which name what got another place.
    fn follow_displaced(&mut self, displaced: Vec<(DeclId, Place)>) {
        let program = self.context.program;
        let mut sources = BTreeSet::new();
        let mut places: HashMap<DeclId, (Place, Place)> = HashMap::default();
        for (id, before) in displaced {
            let after = self.layout.place(id);
            // The first of several places is the one that is in the file.
            if places.contains_key(&id) || after == before {
                continue;
            }
            places.insert(id, (before, after));
            self.fields.displaced.insert(id);
            sources.extend(self.context.references.weak(program, id));
        }
        let filter = DeclFilter::of(places.keys().copied());
        for source in sources {
            let decl = program.decl(source);
            let (Some(definition), Pending::None) = (decl.current(), decl.pending()) else {
                continue;
            };
            for (reloc, field) in (0..).zip(definition.content.relocs()) {
                let target = field.decl().filter(|id| filter.may_have(*id));
                let target = target.and_then(|id| places.get(&id));
                if target.is_some_and(|(before, after)| differs(field.kind, *before, *after)) {
                    self.fields.sites.insert(Site { source, reloc });
                }
            }
        }
    }
}

/// Whether a field of this kind says something else of the one place than of the other.
fn differs(kind: RelocKind, before: Place, after: Place) -> bool {
    let body = |place| match place {
        Place::Function { body, .. } => Some(body),
        _ => None,
    };
    let entry = |place| match place {
        Place::Function { entry, .. } => (Some(entry), None),
        Place::ImportedFunction { index, .. } => (None, Some(index)),
        _ => (None, None),
    };
    let address = |place| match place {
        Place::Data { address, .. } => Some(address),
        _ => None,
    };
    match kind {
        RelocKind::FunctionOffsetI32 | RelocKind::FunctionOffsetI64 => body(before) != body(after),
        RelocKind::FunctionIndexI32 => entry(before) != entry(after),
        kind if kind.is_slot() => {
            before.slot() != after.slot() || (before == Place::None) != (after == Place::None)
        }
        kind if kind.is_address() => address(before) != address(after),
        _ => true,
    }
}
