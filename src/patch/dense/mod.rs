//! The writer of dense outputs, which are not to be patched: every number is as short as it can be, nothing stands between
//! sections, equal strings of debug information are written once. What stands where in the index spaces and in memory
//! is the layout's; only here is it found out how many bytes that takes.
//!
//! Fields of a function's code are left at their fixed width if a custom section names offsets in it: these count from
//! where the object had its instructions.
//!
//! First everything gets its place in the file ([`Dense::lay_out`]). What has another length than before is made on the
//! way; all else, which is most of a file with debug information, is made when there is room for it, so that it is never
//! in memory as a whole ([`Dense::write`]).

mod code;
mod customs;
mod data;
mod draft;
mod entries;
mod names;
mod numbers;
mod strings;
mod writer;

use std::ops::Range;

use rayon::prelude::*;

use crate::error::Result;
use crate::layout::SectionKind;
use crate::parallel::{Spares, join, region, task};
use crate::patch::dense::code::CodePlaces;
use crate::patch::dense::customs::Customs;
use crate::patch::dense::draft::{Draft, Part};
use crate::patch::dense::strings::Merged;
use crate::patch::dense::writer::Writer;
use crate::patch::encode::{Encoder, SectionInputs};
use crate::patch::lengths::expect_readable;

/// A dense output: where everything stands in it, and what it takes to write it.
#[cfg_attr(
    not(feature = "link"),
    allow(dead_code, reason = "only links have maps")
)]
pub(crate) struct Dense<'a> {
    writer: Writer<'a>,
    /// The sections that are there, in file order.
    pub(crate) sections: Vec<(SectionKind, Range<u64>)>,
    code: CodePlaces,
    /// What is written of each memory's data.
    pub(crate) data: Vec<data::Chunk>,
    len: u64,
    /// What is to be written, with how long it is, one behind the other.
    parts: Vec<(u64, Part)>,
    images: Vec<Vec<u8>>,
    customs: Customs<'a>,
}

impl<'a> Dense<'a> {
    /// Gives everything that was laid out densely its place in a file. With `cuts`, long runs of zeros in data are left out,
    /// which takes more segments.
    ///
    /// # Errors
    /// If the code or a custom section would exceed 4 GiB, or the file what engines take, with strings that are not merged yet.
    pub(crate) fn lay_out(
        encoder: Encoder<'a>,
        extra: &SectionInputs<'_>,
        cuts: bool,
    ) -> Result<Dense<'a>> {
        let layout = encoder.layout;
        let pieces = layout.customs.indices().flat_map(|at| encoder.pieces(at));
        // Before anything is made of them.
        expect_readable(pieces.map(|(_, content)| content.len() as u64).sum())?;
        let writer = Writer::new(encoder, cuts);
        let mut draft = Draft::new();
        draft.raw(SectionKind::CustomFront, extra.custom_front);
        writer.entries(extra, &mut draft)?;
        let (mut data, merged) = join(|| writer.data(extra), || Merged::of(encoder));
        if !layout.data_segments.is_empty() {
            draft.number(SectionKind::DataCount, data.count as u32);
        }
        let code = writer.code(&mut draft)?;
        let chunks = writer.data_section(&mut data, &mut draft);
        let customs = Customs::draw(&writer, merged, &mut draft)?;
        writer.names(extra, &mut draft);
        draft.raw(SectionKind::CustomTail, extra.custom_tail);
        let len = draft.len();
        expect_readable(len)?;
        Ok(Dense {
            writer,
            sections: draft.sections,
            code,
            data: chunks,
            len,
            parts: draft.parts,
            images: data.images,
            customs,
        })
    }

    /// How long the file is.
    #[cfg(feature = "link")]
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Offset in the file of each function's code entry, in the order of the layout's ordinals, and behind them that of the
    /// end.
    #[cfg(feature = "link")]
    pub(crate) fn code(&self) -> &[u64] {
        &self.code.entries
    }

    /// Hands out the whole file to `put`, from all threads and in no order.
    ///
    /// # Errors
    /// Those of `put`.
    #[cfg(feature = "link")]
    pub(crate) fn write(&self, put: impl Fn(u64, &[u8]) -> Result<()> + Sync) -> Result<()> {
        let mut offset = 0;
        let placed = self.parts.iter().map(|(len, part)| {
            let begin = offset;
            offset += len;
            (begin, *len, part)
        });
        let placed: Vec<(u64, u64, &Part)> = placed.collect();
        let write = |buffer: &mut Vec<u8>, (offset, len, part): &(u64, u64, &Part)| {
            if let Part::Bytes(bytes) = part {
                return put(*offset, bytes);
            }
            // Every byte of it is going to be written.
            buffer.resize(*len as usize, 0);
            self.write_part(part, buffer);
            put(*offset, buffer)
        };
        let buffers = Spares::default();
        let parts = placed.par_iter().with_max_len(1);
        let write = |part| task(|| buffers.with(|buffer| write(buffer, part)));
        region(|| parts.map(write).collect())
    }

    /// The file's bytes.
    pub(crate) fn to_vec(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.len as usize];
        let mut rest = &mut bytes[..];
        let mut placed: Vec<(&mut [u8], &Part)> = Vec::with_capacity(self.parts.len());
        for (len, part) in &self.parts {
            let (out, behind) = rest.split_at_mut(*len as usize);
            placed.push((out, part));
            rest = behind;
        }
        let parts = placed.into_par_iter().with_max_len(1);
        region(|| parts.for_each(|(out, part)| task(|| self.write_part(part, out))));
        bytes
    }

    fn write_part(&self, part: &Part, out: &mut [u8]) {
        match part {
            Part::Bytes(bytes) => out.copy_from_slice(bytes),
            Part::Image(image, range) => {
                out.copy_from_slice(&self.images[image.0][range.clone()]);
            }
            Part::Code(first, count) => self.writer.write_code(*first, *count, out),
            Part::Strings(at, strings) => self.customs.write_strings(*at, strings.clone(), out),
            Part::Pieces(at, numbers) => {
                let places = (&self.writer, &self.code);
                self.customs.write_pieces(*at, numbers.clone(), places, out);
            }
            Part::Piece(at, number, range) => {
                let places = (&self.writer, &self.code);
                self.customs
                    .write_piece(*at, *number, range.clone(), places, out);
            }
            Part::Names(first, count) => self.writer.write_names(*first, *count, out),
        }
    }
}
