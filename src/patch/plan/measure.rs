//! The third phase: how long what is written whole has become.

use std::collections::BTreeSet;

use crate::layout::SectionKind;
use crate::patch::plan::context::PlanContext;
use crate::patch::plan::fixed::FixedPlaces;
use crate::patch::plan::follow::Followed;
use crate::patch::plan::writes::{FieldWrites, PlaceWrites};
use crate::patch::section_lens::SectionLens;
use crate::patch::tail;
use crate::program::OrphanChanges;

/// A layout that knows how many bytes each section needs. It has been proven that the lengths of what is written whole are
/// those of the program as it will be.
pub(super) struct Measured<'a> {
    pub(super) context: PlanContext<'a>,
    pub(super) layout: FixedPlaces<'a>,
    pub(super) writes: PlaceWrites,
    pub(super) fields: FieldWrites,
    pub(super) orphans: OrphanChanges,
    /// Sections that are written whole because of what they hold. Others will be because they move.
    pub(super) whole: BTreeSet<SectionKind>,
    /// Names other than functions', if they changed or moved within their section.
    pub(super) names_tail: Option<Vec<u8>>,
}

impl<'a> Followed<'a> {
    /// Brings the lengths of what is written whole up to date.
    pub(super) fn measure(self) -> Measured<'a> {
        let Followed {
            context,
            mut layout,
            mut writes,
            mut whole,
            ..
        } = self;
        let checked = context.checked;
        let mut lens = *layout.lens;
        let sections = SectionLens {
            program: context.program,
            customs: context.customs,
        };
        if !layout.tags.is_empty() || lens.tags > 0 {
            // A tag that was removed has changed nothing but the list.
            let before = lens.tags;
            sections.measure(&layout, SectionKind::Tag, &mut lens);
            if lens.tags != before {
                whole.insert(SectionKind::Tag);
            }
        }
        if context.customs_changed {
            whole.extend([SectionKind::CustomFront, SectionKind::CustomTail]);
        }
        for kind in &whole {
            sections.measure(&layout, *kind, &mut lens);
        }
        if writes.name_front || context.customs_changed {
            let front = tail::name_front(context.program, &layout, context.customs);
            writes.name_front = layout.set_name_front(front);
        }
        let renamed = self.names_tail_is_stale && layout.options.names;
        let moved = lens.names_tail > 0 && !writes.names.is_empty();
        let names_tail = (renamed || moved).then(|| tail::names_tail(context.program, &layout));
        if let Some(names) = &names_tail {
            lens.names_tail = names.len() as u64;
        }
        layout.set_lens(lens, checked.start);
        Measured {
            context,
            layout,
            writes,
            fields: self.fields,
            orphans: self.orphans,
            whole,
            names_tail,
        }
    }
}
