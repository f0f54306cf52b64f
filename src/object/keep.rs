//! Makes what is kept of an object that another process may go on with: names and tables as they stand in its file, hashes of
//! code, data, debug information and relocations.

use crate::error::Result;
use crate::object::cursor::Cursor;
use crate::object::kept::{
    Blocks, Digest, Kept, Section, digest, digest_blocks, digest_marked, digest_without,
};
use crate::object::read::rest;
use crate::object::reloc::Reloc;
use crate::object::span::Span;
use crate::object::tables::{CustomSection, Object, SegmentFlags};
use crate::wire::dwarf;

/// The sections of an object, if they can be told apart.
pub(super) fn sections(input: &[u8], span: Span) -> Option<Vec<Section>> {
    input.get(span.range())?;
    let mut cursor = Cursor::new(input, span);
    cursor.skip(8).ok()?;
    let mut sections = Vec::new();
    while !cursor.is_at_end() {
        let id = cursor.byte().ok()?;
        let len = cursor.u32().ok()?;
        let mut part = cursor.part(len).ok()?;
        let name = match id {
            0 => part.name().ok()?,
            _ => Span::default(),
        };
        let contents = rest(&part);
        sections.push(Section { id, name, contents });
    }
    Some(sections)
}

impl Object {
    /// Keeps what tells later versions of the object from this one, for processes in which its file has changed. An object that is
    /// not mapped is kept as it is, and so is a part of an input.
    ///
    /// # Errors
    /// If the file has changed already.
    pub(crate) fn keep(&self) -> Result<()> {
        // Another process may have read it, and nobody has to open it again for this.
        if !self.input().is_mapped() || self.input().kept().is_some() {
            return Ok(());
        }
        let whole = self.input().bytes().len();
        match self.span().range() == (0..whole) {
            true => self.input().keep(|| self.kept()),
            false => Ok(()),
        }
    }

    fn kept(&self) -> Kept {
        let input = self.input().bytes();
        let sections = sections(input, self.span()).unwrap_or_default();
        let mut kept = Keeper::default();
        let mut at = self.span().start;
        for section in &sections {
            // What stands in front of the contents says what they are.
            kept.keep(at..section.contents.start);
            at = section.contents.end() as u32;
            let name = &input[section.name.range()];
            match section.id {
                10 | 11 => {}
                0 if name == b"name" => {}
                0 if name.starts_with(b"reloc.") => self.keep_relocs(section.contents, &mut kept),
                0 if self.is_contents(section) => kept.push(section.contents, || {
                    digest_blocks(&input[section.contents.range()])
                }),
                _ => kept.keep(section.contents.start..at),
            }
        }
        for segment in &self.segments {
            if segment.flags.has(SegmentFlags::STRINGS) {
                kept.keep(segment.data.start..segment.data.end() as u32);
            }
        }
        kept.finish(input, sections, self.digests())
    }

    /// Whether a custom section holds what an edit changes. Strings of debug information stay where they are once they are linked.
    fn is_contents(&self, section: &Section) -> bool {
        let mut customs = self.custom_sections.iter();
        let custom = customs.find(|custom| custom.contents == section.contents);
        custom.is_some_and(|custom| !dwarf::is_of_strings(self.str(custom.name)))
    }

    /// Relocations of a custom section have hashes part by part; those of code and data as a whole.
    fn keep_relocs(&self, contents: Span, kept: &mut Keeper) {
        let is_its = |custom: &&CustomSection| {
            custom.relocs.len > 0 && custom.relocs.end() == contents.end()
        };
        let custom = self.custom_sections.iter().find(is_its);
        match custom {
            Some(custom) => kept.push(custom.relocs, || {
                let marks = custom.reloc_marks.get().map(|marks| &**marks);
                digest_marked(self.custom_reloc_bytes(custom), marks)
            }),
            None => kept.push(contents, || [digest(self.bytes(contents))].into()),
        }
    }

    /// Functions and segments: where they stand, and their hashes without what is relocated.
    fn digests(&self) -> Vec<(u32, Digest)> {
        let input = self.input().bytes();
        let hashed = |span: Span, section: Span, relocs: &[Reloc]| {
            let fields = relocs.iter().map(|reloc| {
                let start = (section.start + reloc.offset - span.start) as usize;
                start..start + reloc.kind().width() as usize
            });
            (span.start, digest_without(&input[span.range()], fields))
        };
        let functions = self
            .functions
            .iter()
            .map(|function| hashed(function.body, self.code, self.function_relocs(function)));
        let segments = self.segments.iter();
        let segments = segments.filter(|segment| !segment.flags.has(SegmentFlags::STRINGS));
        let segments = segments
            .filter(|segment| segment.data.len > 0)
            .map(|segment| {
                let relocs = self.data_relocs.range(segment.relocs.clone());
                hashed(segment.data, self.data, relocs)
            });
        functions.chain(segments).collect()
    }
}

#[derive(Default)]
struct Keeper {
    parts: Vec<Span>,
    blocks: Vec<Blocks>,
}

impl Keeper {
    fn keep(&mut self, range: std::ops::Range<u32>) {
        match self.parts.last_mut() {
            Some(last) if last.end() as u32 == range.start => last.len = range.end - last.start,
            _ => self.parts.push(Span {
                start: range.start,
                len: range.end - range.start,
            }),
        }
    }

    fn push(&mut self, span: Span, digests: impl FnOnce() -> Box<[Digest]>) {
        self.blocks.push(Blocks {
            start: span.start,
            len: span.len,
            digests: digests(),
        });
    }

    fn finish(mut self, input: &[u8], sections: Vec<Section>, digests: Vec<(u32, Digest)>) -> Kept {
        self.parts.sort_unstable_by_key(|part| part.start);
        self.blocks.sort_unstable_by_key(|blocks| blocks.start);
        let mut digests = digests;
        digests.sort_unstable_by_key(|(start, _)| *start);
        let mut text = Vec::with_capacity(self.parts.iter().map(|part| part.len as usize).sum());
        let parts = self.parts.into_iter().map(|part| {
            let at = text.len() as u32;
            text.extend_from_slice(&input[part.range()]);
            (part, at)
        });
        Kept {
            parts: parts.collect(),
            sections: sections.into(),
            starts: digests.iter().map(|(start, _)| *start).collect(),
            digests: digests.into_iter().map(|(_, digest)| digest).collect(),
            blocks: self.blocks.into(),
            text: text.into(),
        }
    }
}
