//! Segments of the objects: which of them are one declaration of the output, which have one each, and which are strings;
//! and how much memory they take.

use crate::error::{Error, Result};
use crate::hash::HashMap;
use crate::layout::{DataItem, packed_end};
use crate::link::declare::assign::{DeclarationAssigner, MergedSegment};
use crate::link::declare::known::{Match, MergedString, SegmentPlacement};
use crate::link::declare::memory::MemoryPlan;
use crate::link::declare::string_pieces;
use crate::link::order::{OutputSegment, is_zero};
use crate::link::symbols::ObjectId;
use crate::object::Span;
use crate::object::ids::SegmentIndex;
use crate::program::{DeclId, DeclKind, New};
use crate::wire::strings::hosts;

/// Bytes that data can grow by at least, before it has to be laid out anew.
const SLACK: u64 = 32 << 10;

/// Alignments from here on are worth an exact count of what they waste, also where there is slack.
const PAGE_LIKE: u8 = 8;

/// The data of a link.
#[derive(Default)]
pub(super) struct Segments {
    /// By output segment; `None` for those whose parts are declarations of their own.
    pub(super) merged: Vec<Option<MergedSegment>>,
    /// All that is to be placed.
    items: Vec<DataItem>,
}

impl Segments {
    fn add(&mut self, size: u64, align_log2: u8, is_zero: bool) {
        self.items.push(DataItem {
            size,
            align_log2,
            is_zero,
        });
    }

    /// The end of an area from `base` on that has room for all.
    fn end(&self, base: u64, has_slack: bool) -> u64 {
        let aligns = self.items.iter().map(|item| item.align_log2);
        let most_align = aligns.max().unwrap_or(0);
        if !has_slack || most_align >= PAGE_LIKE {
            return packed_end(base, self.items.clone());
        }
        // Laid out in any order: another alignment at the beginning, between what has bytes and what has none, and at
        // the end.
        let size = self.items.iter().fold(0u64, |size, item| {
            size.next_multiple_of(1 << item.align_log2) + item.size
        });
        base.next_multiple_of(1 << most_align) + size + 3 * ((1 << most_align) - 1)
    }
}

impl<'a> DeclarationAssigner<'a> {
    /// Gives the segments of the objects their declarations.
    pub(super) fn segments(&mut self, matches: &mut [Match<'_>]) -> Result<Segments> {
        let plan = self.plan;
        let is_shared = self.setting.options.shared_memory;
        let has_bounds = |at: usize| plan.bounds.iter().any(|(_, segment)| *segment == at);
        let hosts = match self.setting.has_slack {
            true => HashMap::default(),
            false => self.string_hosts(),
        };
        let mut segments = Segments::default();
        for (at, segment) in plan.segments.iter().enumerate() {
            let mut merged = None;
            let is_cleared = plan.clears_memory && segment.is_zero;
            if is_shared || segment.is_thread_local || has_bounds(at) || is_cleared {
                let part = self.merge(segment)?;
                segments.add(part.size, segment.align_log2, segment.is_zero);
                merged = Some(part);
            } else {
                // Those without a declaration, until all of them get one at once: strings come in their order among these.
                let mut open = Vec::new();
                for &(object, index) in &segment.parts {
                    let known = &mut matches[object.index()];
                    let linked = &plan.resolution.object(object).object;
                    let pieces = string_pieces(linked, index, self.setting.options);
                    let placed = match pieces {
                        Some(pieces) => {
                            self.declare_segments(&mut open)?;
                            self.strings(object, index, pieces, &hosts, &mut segments)?
                        }
                        None => match self.segment(known, object, index, &mut segments) {
                            Some(decl) => SegmentPlacement::Part(decl, 0),
                            None => {
                                open.push((object, index));
                                continue;
                            }
                        },
                    };
                    self.place(object, index, placed);
                }
                self.declare_segments(&mut open)?;
            }
            segments.merged.push(merged);
        }
        Ok(segments)
    }

    fn place(&mut self, object: ObjectId, index: SegmentIndex, placed: SegmentPlacement) {
        let unit = self.assigner.new.units.edit(object.index());
        unit.segments[index.index()] = placed;
    }

    /// Gives segments that had no declaration theirs.
    fn declare_segments(&mut self, open: &mut Vec<(ObjectId, SegmentIndex)>) -> Result<()> {
        let new = open.iter().map(|_| New::default()).collect();
        let decls = self.assigner.program.declare_all(DeclKind::Data, new)?;
        for ((object, index), decl) in open.drain(..).zip(decls) {
            self.place(object, index, SegmentPlacement::Part(decl, 0));
        }
        Ok(())
    }

    /// The declaration that a segment of an object had.
    fn segment(
        &mut self,
        known: &mut Match<'_>,
        id: ObjectId,
        index: SegmentIndex,
        segments: &mut Segments,
    ) -> Option<DeclId> {
        let object = &self.plan.resolution.object(id).object;
        let part = &object.segments[index.index()];
        // Names are for finding what was known.
        let name = match known {
            Match::Changed(_) => object.str(part.name),
            _ => "",
        };
        let is_zero = is_zero(object, index, self.setting.options);
        segments.add(part.data.len.into(), part.align_log2, is_zero);
        self.assigner.known_segment(known, index.index(), name)
    }

    /// Gives each string of a segment its declaration.
    fn strings(
        &mut self,
        id: ObjectId,
        index: SegmentIndex,
        pieces: Vec<Span>,
        hosts: &HashMap<&'a [u8], (ObjectId, Span, u32)>,
        segments: &mut Segments,
    ) -> Result<SegmentPlacement> {
        let resolution = &self.plan.resolution;
        let object = &resolution.object(id).object;
        let part = &object.segments[index.index()];
        let mut placed = Vec::with_capacity(pieces.len());
        for span in pieces {
            let start = span.start - part.data.start;
            let host = hosts.get(object.bytes(span)).copied();
            let (host, span, offset) = host.unwrap_or((id, span, 0));
            let bytes = resolution.object(host).object.bytes(span);
            let string = self.assigner.string(part.align_log2, bytes)?;
            if string.is_new {
                self.strings
                    .push((string.decl, part.align_log2, host, span));
            }
            if string.is_first {
                segments.add(span.len.into(), part.align_log2, false);
            }
            let decl = string.decl;
            placed.push(MergedString {
                start,
                decl,
                offset,
            });
        }
        Ok(SegmentPlacement::Strings(placed.into()))
    }

    /// Plans memory for the segments. Returns the plan, and where the flag stands that threads need.
    pub(super) fn memory(&mut self, segments: &mut Segments) -> Result<(MemoryPlan, u64)> {
        let plan = self.plan;
        let options = self.setting.options;
        let before = self.setting.memory_before;
        let has_slack = self.setting.has_slack;
        let is_64 = plan.resolution.is_64;
        if !options.shared_memory {
            let plan_with = |eighths: u64| {
                MemoryPlan::new(options, is_64, |base| {
                    let needed = segments.end(base, has_slack);
                    match before {
                        Some(before) if before.data_start == base && needed <= before.data_end => {
                            before.data_end
                        }
                        _ if has_slack => needed + eighths * (needed / 8) + SLACK,
                        _ => needed,
                    }
                })
            };
            // Data that has outgrown its area once will grow on: with each time that it does, the area lasts longer. Less will
            // do where memory may not be as large.
            let memory_plan = match before {
                Some(_) => plan_with(8).or_else(|_| plan_with(1))?,
                None => plan_with(1)?,
            };
            return Ok((memory_plan, 0));
        }
        let mut flag_address = 0;
        let mut starts = Vec::new();
        let memory_plan = MemoryPlan::new(options, is_64, |base| {
            let mut at = base;
            for (segment, part) in plan.segments.iter().zip(segments.merged.iter().flatten()) {
                at = at.next_multiple_of(1 << segment.align_log2);
                starts.push(at);
                at += part.size;
            }
            if plan.segments.is_empty() {
                return at;
            }
            flag_address = at.next_multiple_of(4);
            flag_address + 4
        })?;
        let parts = segments.merged.iter_mut().flatten().zip(&plan.segments);
        let mut last = None;
        for ((part, segment), start) in parts.zip(starts) {
            let contents = match segment.is_zero {
                true => None,
                false => {
                    let key = format!("segment {}", segment.name);
                    let kind = DeclKind::DataSegment;
                    last = Some(self.assigner.synthetic_behind(kind, &key, last)?);
                    last
                }
            };
            part.passive = Some((start, contents));
        }
        Ok((memory_plan, flag_address))
    }

    /// For each string that may be merged with others, the one that is to have it, and where in that it begins.
    fn string_hosts(&self) -> HashMap<&'a [u8], (ObjectId, Span, u32)> {
        let plan = self.plan;
        let mut spans = Vec::new();
        let mut strings: Vec<&'a [u8]> = Vec::new();
        for segment in plan
            .segments
            .iter()
            .filter(|segment| !segment.is_thread_local)
        {
            for &(id, index) in &segment.parts {
                let object = &plan.resolution.object(id).object;
                let pieces = string_pieces(object, index, self.setting.options);
                for span in pieces.into_iter().flatten() {
                    spans.push((id, span));
                    strings.push(object.bytes(span));
                }
            }
        }
        let hosts = hosts(&strings);
        let places = hosts.iter().map(|(host, offset)| {
            let (id, span) = spans[*host as usize];
            (id, span, *offset)
        });
        strings.iter().copied().zip(places).collect()
    }

    /// Makes one declaration of a segment of the output.
    fn merge(&mut self, segment: &OutputSegment) -> Result<MergedSegment> {
        let decl = self
            .assigner
            .synthetic(DeclKind::Data, &format!("data {}", segment.name))?;
        let mut starts = Vec::with_capacity(segment.parts.len());
        let mut size = 0u64;
        for &(object, index) in &segment.parts {
            let part = &self.plan.resolution.object(object).object.segments[index.index()];
            size = size.next_multiple_of(1 << part.align_log2);
            let start = u32::try_from(size).map_err(|_| {
                Error::limit("the segment has more than 4 GiB").with_symbol(segment.name.as_str())
            })?;
            starts.push(start);
            self.assigner.new.units.edit(object.index()).segments[index.index()] =
                SegmentPlacement::Part(decl, start);
            size += u64::from(part.data.len);
        }
        Ok(MergedSegment {
            decl,
            starts,
            size,
            passive: None,
        })
    }
}
