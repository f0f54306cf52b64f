//! The name section.

use crate::layout::{Occupant, Ordinal, SectionKind};
use crate::patch::dense::draft::{Draft, Part};
use crate::patch::dense::writer::Writer;
use crate::patch::encode::SectionInputs;
use crate::wire::leb::{push_unsigned, unsigned_len};
use crate::wire::section::{push, push_string};

/// Functions whose names one thread writes at a time.
const RUN: usize = 4096;

impl Writer<'_> {
    pub(super) fn names(&self, extra: &SectionInputs<'_>, draft: &mut Draft) {
        let layout = self.encoder.layout;
        if !layout.options.names {
            return;
        }
        let front = layout.name_front();
        let mut module = Vec::new();
        if let Some(name) = &front.module_name {
            let mut body = Vec::new();
            push_string(&mut body, name);
            push(&mut module, 0, &body);
        }
        let count = u64::from(layout.names.named() + front.imported);
        let entries = u64::from(layout.names.end_offset()) + front.imports.len() as u64;
        let map = unsigned_len(count) as u64 + entries;
        let functions = match count {
            0 => 0,
            _ => 1 + unsigned_len(map) as u64 + map,
        };
        let len = module.len() as u64 + functions + extra.names_tail.len() as u64;
        if len == 0 {
            return;
        }
        let begin = draft.begin_custom(SectionKind::Name, "name", len);
        draft.bytes(|out| out.extend_from_slice(&module));
        if count > 0 {
            draft.bytes(|out| {
                out.push(1);
                push_unsigned(out, map);
                push_unsigned(out, count);
            });
            draft.part(
                front.imports.len() as u64,
                Part::Bytes(front.imports.clone()),
            );
            self.function_names(draft);
        }
        let tail = extra.names_tail;
        draft.part(tail.len() as u64, Part::Bytes(tail.to_vec()));
        draft.end(SectionKind::Name, begin);
    }

    fn function_names(&self, draft: &mut Draft) {
        let layout = self.encoder.layout;
        let (first, end) = (layout.functions.first().0, layout.functions.end().0);
        for first in (first..end).step_by(RUN) {
            let run = (first..end).take(RUN).map(Ordinal);
            let entries = run.clone().filter_map(|at| layout.names.entry(at));
            let len = entries.map(|entry| u64::from(entry.len)).sum();
            draft.part(len, Part::Names(Ordinal(first), run.count()));
        }
    }

    /// Writes the names of functions.
    pub(super) fn write_names(&self, first: Ordinal, count: usize, out: &mut [u8]) {
        let layout = self.encoder.layout;
        let mut at = 0;
        for ordinal in (first.0..).take(count).map(Ordinal) {
            let Some(entry) = layout.names.entry(ordinal) else {
                continue;
            };
            if let Occupant::Body(_) = layout.functions.slot(ordinal).occupant {
                let len = entry.len as usize;
                self.encoder.name(ordinal, &mut out[at..at + len]);
                at += len;
            }
        }
    }
}
