//! What all sections are written with.

use std::sync::atomic::{AtomicBool, Ordering};

use rayon::prelude::*;

use crate::parallel::{region, task};
use crate::patch::encode::Encoder;
use crate::program::{DeclId, RelocatableBytes, Relocation};

/// What all sections are written with.
pub(super) struct Writer<'a> {
    pub(super) encoder: Encoder<'a>,
    /// By id: the functions whose fields keep their width, because custom sections say where something stands in them.
    described: Vec<AtomicBool>,
    /// Whether long runs of zeros in data are left out.
    pub(super) cuts: bool,
}

impl<'a> Writer<'a> {
    pub(super) fn new(encoder: Encoder<'a>, cuts: bool) -> Writer<'a> {
        Writer {
            encoder,
            described: described(encoder),
            cuts,
        }
    }

    /// Whether the fields of a function keep their width.
    pub(super) fn is_described(&self, id: DeclId) -> bool {
        let described = self.described.get(id.index());
        described.is_some_and(|described| described.load(Ordering::Relaxed))
    }
}

/// Fields that one thread looks at at a time.
const FIELDS: usize = 8192;

/// By id: whether custom sections say where something stands in the declaration's code.
fn described(encoder: Encoder<'_>) -> Vec<AtomicBool> {
    let customs = encoder.layout.customs.indices();
    let pieces = customs.flat_map(|at| encoder.pieces(at));
    let pieces: Vec<&RelocatableBytes> = pieces.map(|(_, content)| content).collect();
    if pieces.is_empty() {
        return Vec::new();
    }
    let described: Vec<AtomicBool> = std::iter::repeat_with(|| AtomicBool::new(false))
        .take(encoder.program.capacity())
        .collect();
    let note = |relocs: &[Relocation]| {
        let targets = relocs.iter().filter(|reloc| reloc.kind.is_code_offset());
        for target in targets.filter_map(Relocation::decl) {
            described[target.index()].store(true, Ordering::Relaxed);
        }
    };
    let runs: Vec<&[Relocation]> = pieces
        .iter()
        .flat_map(|content| content.relocs().chunks(FIELDS))
        .collect();
    region(|| runs.par_iter().for_each(|run| task(|| note(run))));
    described
}
