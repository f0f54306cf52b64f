//! The first phase: a place for everything that is dirty, and for whatever has to make way.

mod collected;
mod data;
mod definitions;
mod entries;
mod exports;
mod functions;
mod globals;
mod imports;
mod lists;
mod names;
mod orphans;
mod pieces;
mod slots;
mod types;

use std::collections::BTreeSet;

use crate::layout::{Layout, Place, SectionKind};
use crate::patch::plan::context::{PlanContext, Planned};
use crate::patch::plan::fixed::FixedPlaces;
use crate::patch::plan::place::collected::{CallCounts, ListEdits};
use crate::patch::plan::writes::PlaceWrites;
use crate::patch::relink::RelinkReason;
use crate::program::{DeclId, OrphanChanges, Pending};

/// What is placed: everything. It has been proven that globals stand in an order that a module may have, that offsets of
/// code count from where they did, and that types have as many uses as there are.
pub(super) struct Placed<'a> {
    pub(super) context: PlanContext<'a>,
    pub(super) layout: FixedPlaces<'a>,
    pub(super) writes: PlaceWrites,
    pub(super) orphans: OrphanChanges,
    /// Declarations whose index or address is another one now. There will be no more of them.
    pub(super) moved: BTreeSet<DeclId>,
    /// What got another place at some time, and where it stood before, if there are pieces of custom sections to name it.
    pub(super) displaced: Vec<(DeclId, Place)>,
    /// Sections that are written whole, so far.
    pub(super) whole: BTreeSet<SectionKind>,
    /// Whether a name changed that is not a function's, so far.
    pub(super) names_tail_is_stale: bool,
}

/// Places everything that is dirty.
pub(super) fn place<'a>(context: PlanContext<'a>, layout: &'a mut Layout) -> Planned<Placed<'a>> {
    // Types have their indices first, since what is placed names them; code that will be orphaned keeps its own.
    let mut placing = Placing::begin(context, layout)?;
    // Orphans that could not be valid any more are dead before anything looks for a dead place.
    placing.bury_orphans()?;
    // What is removed makes room for what is defined.
    placing.remove_all()?;
    placing.define_all()?;
    // What is named by an index that an instance cannot be told of is a thunk.
    placing.place_entries()?;
    // Once it is known which there are, what has its index by its place in a list gets it.
    placing.place_imports()?;
    placing.place_segments();
    placing.place_exports();
    // Whatever can have a slot has a place by now.
    placing.place_slots();
    placing.count_addresses();
    placing.rename()?;
    placing.finish()
}

/// What of a layout is compared with what it becomes.
struct Before {
    slots: u32,
    code_front: u64,
}

/// A layout in which things are being placed.
struct Placing<'a> {
    context: PlanContext<'a>,
    layout: &'a mut Layout,
    before: Before,
    writes: PlaceWrites,
    orphans: OrphanChanges,
    /// Functions whose code will move and can be orphaned: it still counts as a user of types.
    expected_orphans: BTreeSet<DeclId>,
    /// Declarations whose index or address is another one now.
    moved: BTreeSet<DeclId>,
    calls: CallCounts,
    imports: ListEdits,
    tags: ListEdits,
    elements: ListEdits,
    data_segments: ListEdits,
    whole: BTreeSet<SectionKind>,
    names_tail_is_stale: bool,
}

impl<'a> Placing<'a> {
    /// Begins: nothing is placed yet, but uses of types are counted as they will be.
    fn begin(context: PlanContext<'a>, layout: &'a mut Layout) -> Planned<Self> {
        let before = Before {
            slots: layout.slots.len(),
            code_front: layout.code_front(),
        };
        let mut placing = Placing {
            context,
            layout,
            before,
            writes: PlaceWrites::default(),
            orphans: OrphanChanges::default(),
            expected_orphans: BTreeSet::new(),
            moved: BTreeSet::new(),
            calls: CallCounts::default(),
            imports: ListEdits::default(),
            tags: ListEdits::default(),
            elements: ListEdits::default(),
            data_segments: ListEdits::default(),
            whole: BTreeSet::new(),
            names_tail_is_stale: false,
        };
        placing.expect_orphans();
        placing.count_types()?;
        Ok(placing)
    }

    fn remove_all(&mut self) -> Planned {
        let program = self.context.program;
        for &id in &program.dirty {
            if matches!(program.decl(id).pending(), Pending::Remove) {
                self.remove(id)?;
            }
        }
        Ok(())
    }

    fn define_all(&mut self) -> Planned {
        let program = self.context.program;
        for &id in &program.dirty {
            if matches!(program.decl(id).pending(), Pending::Define(_)) {
                self.define(id)?;
            }
        }
        Ok(())
    }

    /// Ends the phase, if the places are such as a patch can have.
    fn finish(mut self) -> Planned<Placed<'a>> {
        self.check_global_order()?;
        self.expect_no_more_orphans()?;
        self.check_code_front()?;
        self.note_new_slots();
        self.orphans.call_themselves(&self.moved);
        let displaced = std::mem::take(&mut self.layout.displaced);
        Ok(Placed {
            context: self.context,
            layout: FixedPlaces::new(self.layout),
            writes: self.writes,
            orphans: self.orphans,
            moved: self.moved,
            displaced,
            whole: self.whole,
            names_tail_is_stale: self.names_tail_is_stale,
        })
    }

    /// All offsets of code are from the beginning of its section, which moves when an import takes an entry or gives it
    /// back.
    fn check_code_front(&self) -> Planned {
        if self.layout.keeps_code_front() && self.layout.code_front() != self.before.code_front {
            return Err(RelinkReason::CodeShifted.into());
        }
        Ok(())
    }
}
