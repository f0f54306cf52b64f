//! What a module is told beside its program: custom sections that are kept, where data may stand, tail calls. There are
//! settings as of the last commit, and what the next one changes of them.

use std::ops::Range;

use crate::layout::Layout;
use crate::module::options::ModuleOptions;
use crate::patch::{Customs, RelinkReason};
use crate::program::{DeclId, Program};

/// The addresses of a memory that data may take.
pub(super) type DataRange = (DeclId, Range<u64>);

/// As of the last commit.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    /// Custom sections that are kept as they are.
    pub(super) customs: Customs,
    /// Of each memory at most one.
    pub(super) data_ranges: Vec<DataRange>,
    /// Whether thunks and forwarders are tail calls.
    pub(super) tail_calls: bool,
}

/// What the next commit changes of the settings; each is `None` or `false` while there is no difference.
#[derive(Debug, Clone, Default)]
pub(super) struct PendingSettings {
    pub(super) customs: Option<Customs>,
    data_ranges: Option<Vec<DataRange>>,
    pub(super) tail_calls: bool,
    /// Whether the user asked for the output to be rebuilt.
    pub(super) relink: bool,
}

impl Settings {
    pub(super) fn new(options: &ModuleOptions) -> Settings {
        Settings {
            customs: Customs::default(),
            data_ranges: Vec::new(),
            tail_calls: options.tail_calls,
        }
    }

    /// Makes lasting what was pending. Memories that are gone have no ranges any more, for their ids are used again.
    pub(super) fn settle(&mut self, pending: PendingSettings, program: &Program) {
        if let Some(customs) = pending.customs {
            self.customs = customs;
        }
        if let Some(ranges) = pending.data_ranges {
            self.data_ranges = ranges;
        }
        let is_there = |id| program.kind_of(id).is_some();
        self.data_ranges.retain(|(id, _)| is_there(*id));
        self.tail_calls |= pending.tail_calls;
    }
}

impl PendingSettings {
    /// Whether the output will be another one because of them.
    pub(super) fn changes_something(&self) -> bool {
        self.customs.is_some() || self.data_ranges.is_some() || self.tail_calls
    }

    /// Says which addresses of a memory data may take.
    pub(super) fn set_data_range(
        &mut self,
        settings: &Settings,
        memory: DeclId,
        range: Range<u64>,
    ) {
        let mut ranges = self.data_ranges(settings).to_vec();
        ranges.retain(|(id, _)| *id != memory);
        ranges.push((memory, range));
        let is_same = ranges.len() == settings.data_ranges.len()
            && ranges.iter().all(|it| settings.data_ranges.contains(it));
        self.data_ranges = (!is_same).then_some(ranges);
    }

    /// Lets data take the addresses of a memory that it could at the last commit.
    pub(super) fn revert_data_range(&mut self, settings: &Settings, memory: DeclId) {
        let of_memory = |(id, _): &&DataRange| *id == memory;
        let Some(ranges) = &mut self.data_ranges else {
            return;
        };
        ranges.retain(|(id, _)| *id != memory);
        ranges.extend(settings.data_ranges.iter().find(of_memory).cloned());
        let is_same = ranges.len() == settings.data_ranges.len()
            && ranges.iter().all(|it| settings.data_ranges.contains(it));
        if is_same {
            self.data_ranges = None;
        }
    }

    /// The custom sections after the next commit.
    pub(super) fn customs<'a>(&'a self, settings: &'a Settings) -> &'a Customs {
        self.customs.as_ref().unwrap_or(&settings.customs)
    }

    /// Where data may stand after the next commit.
    pub(super) fn data_ranges<'a>(&'a self, settings: &'a Settings) -> &'a [DataRange] {
        let pending = self.data_ranges.as_ref();
        pending.unwrap_or(&settings.data_ranges)
    }

    /// Why the next commit must rebuild an output that is laid out like this, if it must because of what is pending here.
    pub(super) fn relink_reason(
        &self,
        settings: &Settings,
        layout: &Layout,
    ) -> Option<RelinkReason> {
        if self.relink {
            Some(RelinkReason::Requested)
        } else if self.tail_calls {
            Some(RelinkReason::TailCalls)
        } else if self.moves_data(settings, layout) {
            Some(RelinkReason::DataArea)
        } else {
            None
        }
    }

    /// Whether the addresses change that data may take in a memory which has some.
    fn moves_data(&self, settings: &Settings, layout: &Layout) -> bool {
        let ranges = self.data_ranges.iter().flatten();
        let mut changed = ranges.filter(|it| !settings.data_ranges.contains(it));
        changed.any(|(memory, _)| layout.data.image_of(*memory).is_some())
    }
}
