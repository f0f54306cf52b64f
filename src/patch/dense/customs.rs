//! Custom sections that consist of pieces, with merged strings.

use std::ops::Range;

use crate::error::{Error, Result};
use crate::layout::{CustomIndex, Place, SectionKind};
use crate::patch::dense::code::CodePlaces;
use crate::patch::dense::draft::{Draft, Part};
use crate::patch::dense::strings::Merged;
use crate::patch::dense::writer::Writer;
use crate::patch::encode::{ranges, relocs_in};
use crate::program::{RelocKind, RelocatableBytes, Relocation};

/// Bytes of a custom section that one thread writes at a time.
const RUN_BYTES: usize = 1 << 17;

/// All custom sections that consist of pieces.
pub(super) struct Customs<'a> {
    merged: Merged<'a>,
    /// By section.
    sections: Vec<Pieces<'a>>,
}

/// The pieces of a custom section, but for those that are among its strings.
struct Pieces<'a> {
    /// What stands for a place that does not exist.
    tombstone: Option<u64>,
    contents: Vec<&'a RelocatableBytes>,
}

impl<'a> Customs<'a> {
    /// Appends them.
    pub(super) fn draw(
        writer: &Writer<'a>,
        merged: Merged<'a>,
        draft: &mut Draft,
    ) -> Result<Customs<'a>> {
        let customs = &writer.encoder.layout.customs;
        let mut sections = Vec::new();
        for at in customs.indices() {
            let section = customs.section(at);
            let pieces = writer.encoder.pieces(at);
            let pieces = pieces.filter(|(id, _)| !merged.holds(*id));
            let pieces = Pieces {
                tombstone: section.tombstone,
                contents: pieces.map(|(_, content)| content).collect(),
            };
            let bytes = pieces.contents.iter().map(|content| content.len() as u64);
            let len = merged.section(at).len() + bytes.sum::<u64>();
            if u32::try_from(len + section.header_len()).is_err() {
                let text = format!("{} would exceed 4 GiB", section.name);
                return Err(Error::limit(text));
            }
            if len > 0 {
                let kind = SectionKind::Custom(at);
                let begin = draft.begin_custom(kind, &section.name, len);
                for (part, len) in merged.section(at).parts() {
                    draft.part(len, Part::Strings(at, part));
                }
                pieces.draw(at, draft);
                draft.end(kind, begin);
            }
            sections.push(pieces);
        }
        Ok(Customs { merged, sections })
    }

    /// Writes strings of a section.
    pub(super) fn write_strings(&self, at: CustomIndex, strings: Range<usize>, out: &mut [u8]) {
        self.merged.section(at).write(strings, out);
    }

    /// Writes whole pieces, with where everything stands.
    pub(super) fn write_pieces(
        &self,
        at: CustomIndex,
        numbers: Range<usize>,
        places: (&Writer<'_>, &CodePlaces),
        out: &mut [u8],
    ) {
        let mut begin = 0;
        for number in numbers {
            let len = self.sections[usize::from(at.0)].contents[number].len();
            let out = &mut out[begin..begin + len];
            self.write_piece(at, number, 0..len, places, out);
            begin += len;
        }
    }

    /// Writes a range of a piece.
    pub(super) fn write_piece(
        &self,
        at: CustomIndex,
        number: usize,
        range: Range<usize>,
        (writer, code): (&Writer<'_>, &CodePlaces),
        out: &mut [u8],
    ) {
        let pieces = &self.sections[usize::from(at.0)];
        let content = pieces.contents[number];
        out.copy_from_slice(&content.bytes()[range.clone()]);
        for reloc in relocs_in(content, &range) {
            let start = reloc.offset as usize - range.start;
            let field = &mut out[start..start + reloc.kind.width()];
            // Only here it is known where strings and code stand.
            let place = match reloc.kind {
                RelocKind::SectionOffsetI32 => self.merged.place(reloc),
                kind if kind.is_code_offset() => code_offset(writer, code, reloc),
                _ => None,
            };
            match place {
                Some(place) => {
                    let len = field.len();
                    field.copy_from_slice(&place.to_le_bytes()[..len]);
                }
                None => writer
                    .encoder
                    .relocate_piece(pieces.tombstone, reloc, field),
            }
        }
    }
}

/// What a field holds that says where something stands in a function's code.
fn code_offset(writer: &Writer<'_>, code: &CodePlaces, reloc: &Relocation) -> Option<u64> {
    let layout = writer.encoder.layout;
    let Place::Function { body, .. } = layout.place(reloc.decl()?) else {
        return None;
    };
    let start = code
        .bodies
        .get((body.0 - layout.functions.first().0) as usize)?;
    Some(start.wrapping_add_signed(reloc.addend.into()))
}

impl Pieces<'_> {
    /// Appends parts for one thread each: many short pieces, or a range of a long one.
    fn draw(&self, at: CustomIndex, draft: &mut Draft) {
        let (mut begun, mut bytes) = (0, 0);
        for (number, content) in self.contents.iter().enumerate() {
            if content.len() < RUN_BYTES {
                bytes += content.len();
                if bytes < RUN_BYTES {
                    continue;
                }
                draft.part(bytes as u64, Part::Pieces(at, begun..number + 1));
            } else {
                draft.part(bytes as u64, Part::Pieces(at, begun..number));
                for range in ranges(content, RUN_BYTES) {
                    draft.part(range.len() as u64, Part::Piece(at, number, range));
                }
            }
            (begun, bytes) = (number + 1, 0);
        }
        let rest = Part::Pieces(at, begun..self.contents.len());
        draft.part(bytes as u64, rest);
    }
}
