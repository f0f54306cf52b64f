//! The code section: bodies with short fields, and those that debug information describes, whose fields keep their width.

use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::layout::{Occupant, Ordinal, SectionKind};
use crate::parallel::{region, task};
use crate::patch::dense::draft::{Draft, Part};
use crate::patch::dense::writer::Writer;
use crate::program::{DeclId, RelocatableBytes};
use crate::wire::leb::{self, push_unsigned, unsigned_len, write_unsigned};

/// Functions whose code one thread writes at a time.
const RUN: usize = 256;

/// Where functions' code stands, by ordinal from the first.
#[derive(Debug, Default)]
pub(super) struct CodePlaces {
    /// Offsets of the entries in the file, and behind them that of the end.
    pub(super) entries: Vec<u64>,
    /// Where bodies begin behind their sizes, from the beginning of the section's contents.
    pub(super) bodies: Vec<u64>,
}

/// The code of some functions.
struct Run {
    /// `None` if all of them keep their width: then they are written when there is room for them.
    bytes: Option<Vec<u8>>,
    len: u64,
    /// Where the entries begin, and how many bytes each one's size takes.
    starts: Vec<(u32, u8)>,
}

impl<'a> Writer<'a> {
    pub(super) fn code(&self, draft: &mut Draft) -> Result<CodePlaces> {
        let ordinals: Vec<Ordinal> = self.encoder.layout.functions.ordinals().collect();
        let mut places = CodePlaces::default();
        if ordinals.is_empty() {
            return Ok(places);
        }
        let runs = ordinals.par_chunks(RUN);
        let runs: Vec<Run> = region(|| runs.map(|run| task(|| self.run(run))).collect());
        let count = unsigned_len(ordinals.len() as u64) as u64;
        let len = count + runs.iter().map(|run| run.len).sum::<u64>();
        if u32::try_from(len).is_err() {
            return Err(Error::limit("the code section would exceed 4 GiB"));
        }
        let begin = draft.begin(SectionKind::Code, len);
        let contents = draft.len();
        draft.bytes(|out| push_unsigned(out, ordinals.len() as u64));
        places.entries.reserve(ordinals.len() + 1);
        places.bodies.reserve(ordinals.len());
        for (run, part) in runs.into_iter().zip(ordinals.chunks(RUN)) {
            for (start, size) in &run.starts {
                let entry = draft.len() + u64::from(*start);
                places.entries.push(entry);
                places.bodies.push(entry + u64::from(*size) - contents);
            }
            match run.bytes {
                Some(bytes) => draft.part(run.len, Part::Bytes(bytes)),
                None => draft.part(run.len, Part::Code(part[0], part.len())),
            }
        }
        places.entries.push(draft.len());
        draft.end(SectionKind::Code, begin);
        Ok(places)
    }

    fn run(&self, ordinals: &[Ordinal]) -> Run {
        let mut starts = Vec::with_capacity(ordinals.len());
        let is_fixed = |ordinal: &Ordinal| self.is_described(self.function(*ordinal).0);
        if ordinals.iter().all(is_fixed) {
            let mut len = 0;
            for ordinal in ordinals {
                let body = self.function(*ordinal).1.len();
                let size = unsigned_len(body as u64);
                starts.push((len as u32, size as u8));
                len += (size + body) as u64;
            }
            return Run {
                bytes: None,
                len,
                starts,
            };
        }
        let most: usize = ordinals.iter().map(|at| self.function(*at).1.len()).sum();
        let mut bytes = Vec::with_capacity(most + ordinals.len() * leb::WIDE32);
        for ordinal in ordinals {
            let start = bytes.len();
            let (id, content) = self.function(*ordinal);
            // As many bytes for the size as it takes at most.
            let wide = unsigned_len(content.len() as u64);
            bytes.resize(start + wide, 0);
            match self.is_described(id) {
                true => {
                    bytes.resize(start + wide + content.len(), 0);
                    let root = self.encoder.root(id);
                    self.encoder
                        .content(root, content, &mut bytes[start + wide..]);
                }
                false => self.content(id, content, 0, &mut bytes),
            }
            let len = bytes.len() - start - wide;
            let size = unsigned_len(len as u64);
            if size < wide {
                bytes.copy_within(start + wide.., start + size);
                bytes.truncate(start + size + len);
            }
            write_unsigned(&mut bytes[start..start + size], len as u64);
            starts.push((start as u32, size as u8));
        }
        bytes.shrink_to_fit();
        Run {
            len: bytes.len() as u64,
            bytes: Some(bytes),
            starts,
        }
    }

    /// Writes functions that keep their width.
    pub(super) fn write_code(&self, first: Ordinal, count: usize, out: &mut [u8]) {
        let mut at = 0;
        for ordinal in (first.0..).take(count).map(Ordinal) {
            let (id, content) = self.function(ordinal);
            let size = unsigned_len(content.len() as u64);
            write_unsigned(&mut out[at..at + size], content.len() as u64);
            at += size;
            let root = self.encoder.root(id);
            self.encoder
                .content(root, content, &mut out[at..at + content.len()]);
            at += content.len();
        }
    }

    fn function(&self, ordinal: Ordinal) -> (DeclId, &'a RelocatableBytes) {
        let Occupant::Body(id) = self.encoder.layout.functions.slot(ordinal).occupant else {
            unreachable!("a dense output has nothing but functions' own code")
        };
        (id, &self.encoder.next(id).content)
    }
}
