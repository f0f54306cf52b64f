//! What a version of the output is made from: the program and the settings, either as of the last commit or with what is
//! pending. This is the one place where they become what the layout, the planner and the encoders ask for.

use std::borrow::Cow;

use crate::error::Result;
use crate::layout::{Growth, Layout, LayoutOptions, SectionKind};
use crate::module::settings::{DataRange, PendingSettings, Settings};
use crate::patch::{
    Customs, Encoder, PlanContext, Request, SectionInputs, Writes, lay_out, names_tail,
};
use crate::program::{
    Checked, DeclId, DeclKind, Export, ExportId, Exports, OrphanChanges, Program, References,
    TypeId,
};

/// What a version consists of.
#[derive(Clone, Copy)]
pub(super) struct Version<'a> {
    pub(super) program: &'a Program,
    pub(super) exports: Exports<'a>,
    start: Option<DeclId>,
    customs: &'a Customs,
    data_ranges: &'a [DataRange],
}

impl<'a> Version<'a> {
    /// The one that the next commit makes.
    pub(super) fn next(
        program: &'a Program,
        settings: &'a Settings,
        pending: &'a PendingSettings,
        checked: &'a Checked,
    ) -> Version<'a> {
        Version {
            program,
            exports: Exports::new(&program.exports, checked.exports.as_ref()),
            start: checked.start,
            customs: pending.customs(settings),
            data_ranges: pending.data_ranges(settings),
        }
    }

    /// The one that was committed last. Nothing may be pending.
    pub(super) fn current(program: &'a Program, settings: &'a Settings) -> Version<'a> {
        Version {
            program,
            exports: Exports::new(&program.exports, None),
            start: program.start,
            customs: &settings.customs,
            data_ranges: &settings.data_ranges,
        }
    }

    /// A layout from nothing, but for what keeps its place, with these exports in this order. The tables are that of the
    /// slots, and one that is left out.
    pub(super) fn lay_out(
        self,
        exports: &[(ExportId, &'a Export)],
        options: LayoutOptions,
        dead_type: TypeId,
        (slot_table, unused_table): (Option<DeclId>, Option<DeclId>),
        kept: Option<&Layout>,
        growth: Option<Growth<'_>>,
    ) -> Result<Layout> {
        lay_out(&Request {
            program: self.program,
            options,
            dead_type,
            slot_table,
            unused_table,
            exports,
            start: self.start,
            customs: self.customs,
            data_ranges: self.data_ranges,
            kept,
            growth,
        })
    }

    /// What a patch is planned from.
    pub(super) fn plan_context(
        self,
        references: &'a References,
        checked: &'a Checked,
        pending: &PendingSettings,
    ) -> PlanContext<'a> {
        PlanContext {
            program: self.program,
            references,
            checked,
            exports: self.exports,
            customs: self.customs,
            customs_changed: pending.customs.is_some(),
            data_ranges: self.data_ranges,
            minimal: false,
        }
    }

    /// All sections of a layout, to be written whole.
    pub(super) fn whole(self, layout: &'a Layout) -> Content<'a> {
        let has_data = !layout.data.images().is_empty();
        Content {
            version: self,
            layout,
            names_tail: Cow::Owned(names_tail(self.program, layout)),
            data: self.data_if(has_data),
            orphans: None,
        }
    }

    /// What a patch writes of a layout.
    pub(super) fn patched(self, layout: &'a Layout, writes: &'a Writes) -> Content<'a> {
        let names_tail = writes.names_tail.as_deref().unwrap_or_default();
        Content {
            version: self,
            layout,
            names_tail: Cow::Borrowed(names_tail),
            data: self.data_if(writes.whole.contains(&SectionKind::Data)),
            orphans: Some(&writes.orphans),
        }
    }

    /// All data, if it is asked for.
    fn data_if(self, is_asked_for: bool) -> Vec<DeclId> {
        if !is_asked_for {
            return Vec::new();
        }
        self.program.defined_of(DeclKind::Data)
    }
}

/// A version and where it stands: what the encoders are given.
pub(super) struct Content<'a> {
    version: Version<'a>,
    layout: &'a Layout,
    names_tail: Cow<'a, [u8]>,
    data: Vec<DeclId>,
    orphans: Option<&'a OrphanChanges>,
}

impl Content<'_> {
    pub(super) fn encoder(&self) -> Encoder<'_> {
        Encoder {
            program: self.version.program,
            layout: self.layout,
            orphans: self.orphans,
        }
    }

    pub(super) fn sections(&self) -> SectionInputs<'_> {
        SectionInputs {
            custom_front: &self.version.customs.front,
            custom_tail: &self.version.customs.tail,
            names_tail: &self.names_tail,
            exports: self.version.exports,
            data: &self.data,
        }
    }
}
