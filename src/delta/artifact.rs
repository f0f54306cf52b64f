//! A delta as it is handed out: its bytes, the versions that it leads between, and the section at its end that says so.

use std::ops::Range;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::patch::BuildIdentity;
use crate::program::DeclId;
use crate::wire::section::push_custom;

/// The module that deltas import what is an instance's from.
pub(crate) const MODULE: &str = "__wasmend";
/// The global of the host's that holds the version which an instance has.
pub(crate) const EPOCH: &str = "epoch";

/// What the routines of a delta return: done.
pub(crate) const DONE: i32 = 0;
/// The instance has this delta already.
pub(crate) const HAS_IT: i32 = 1;
/// The instance has another version than the delta is for.
pub(crate) const OTHER_VERSION: i32 = 2;
/// The table of slots cannot grow.
pub(crate) const NO_SLOTS: i32 = 3;
/// A memory is too small for data.
pub(crate) const NO_MEMORY: i32 = 4;
/// The program has changed data that must be as it was.
pub(crate) const CHANGED: i32 = 5;

/// A small module that brings a running instance from one version of an output to the next. How it is taken in is said in
/// `design/live.md`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Delta {
    /// The module.
    pub bytes: Arc<[u8]>,
    /// The version that an instance must have.
    pub from: BuildIdentity,
    /// The version that it has then.
    pub to: BuildIdentity,
    /// Functions that are in it.
    pub functions: u32,
    /// Bytes of these functions, without what calls them.
    pub function_bytes: u64,
    /// Bytes of data that are in it.
    pub data_bytes: u64,
    /// What data is written only where the program has not changed it, in the order of the bits of the export `kept`.
    pub conditional: Vec<String>,
    /// Its functions, and where their code stands from the beginning of the code section's contents.
    pub(super) bodies: Arc<[(DeclId, Range<u64>)]>,
    /// Whether it has debug information, or there is none.
    pub(super) is_described: bool,
}

impl Delta {
    /// Whether the bytes are as they were made.
    ///
    /// # Errors
    /// If they are damaged, or no delta.
    pub fn check(&self) -> Result<()> {
        let identities = read_header(&self.bytes)?;
        match identities == (self.from, self.to) {
            true => Ok(()),
            false => Err(Error::bad_input(
                "the delta is between other versions than it is said to be",
            )),
        }
    }

    /// The same delta with more custom sections, before the one at its end.
    pub(super) fn with_sections(&self, sections: &[u8]) -> Delta {
        let header = Header {
            from: self.from,
            to: self.to,
        };
        let mut last = Vec::new();
        push_header(&mut last, header);
        let mut bytes = self.bytes[..self.bytes.len() - last.len()].to_vec();
        bytes.extend_from_slice(sections);
        push_header(&mut bytes, header);
        Delta {
            bytes: Arc::from(bytes),
            is_described: true,
            ..self.clone()
        }
    }

    /// The number that stands for a version in an instance: what the global `epoch` holds.
    pub fn epoch(identity: &BuildIdentity) -> i64 {
        let (first, _) = identity.build_id.split_first_chunk().expect("16 bytes");
        i64::from_le_bytes(*first)
    }
}

/// Whether a module is a delta, whole and of this format.
pub(crate) fn is_delta(bytes: &[u8]) -> bool {
    read_header(bytes).is_ok()
}

/// From which version a delta leads to which.
#[derive(Clone, Copy)]
pub(super) struct Header {
    pub(super) from: BuildIdentity,
    pub(super) to: BuildIdentity,
}

/// The section that says what a delta is for, with which it ends.
const SECTION: &str = "wasmend.delta";
/// The version of the format.
const FORMAT: u32 = 1;

/// Ends a delta: from which version it leads to which, and a sum over all that stands before the sum.
pub(super) fn push_header(out: &mut Vec<u8>, header: Header) {
    let mut contents = FORMAT.to_le_bytes().to_vec();
    for identity in [header.from, header.to] {
        contents.extend_from_slice(&identity.generation.to_le_bytes());
        contents.extend_from_slice(&identity.build_id);
    }
    contents.extend_from_slice(&[0; 4]);
    push_custom(out, SECTION, &contents);
    let at = out.len() - 4;
    let sum = sum(&out[..at]);
    out[at..].copy_from_slice(&sum.to_le_bytes());
}

/// The versions that a delta leads from and to.
///
/// # Errors
/// If the bytes are damaged, or no delta of this format.
pub(super) fn read_header(bytes: &[u8]) -> Result<(BuildIdentity, BuildIdentity)> {
    let damaged = || {
        let error = Error::bad_input("the delta is damaged");
        error.with_hint("get it once more, or restart with the file")
    };
    let (before, stored) = bytes.split_last_chunk::<4>().ok_or_else(damaged)?;
    if u32::from_le_bytes(*stored) != sum(before) {
        return Err(damaged());
    }
    let (rest, to) = before.split_last_chunk::<24>().ok_or_else(damaged)?;
    let (rest, from) = rest.split_last_chunk::<24>().ok_or_else(damaged)?;
    let (_, format) = rest.split_last_chunk::<4>().ok_or_else(damaged)?;
    if u32::from_le_bytes(*format) != FORMAT {
        return Err(Error::bad_input("the delta is of another format"));
    }
    let identity = |bytes: &[u8; 24]| {
        let (generation, build_id) = bytes.split_first_chunk::<8>()?;
        Some(BuildIdentity {
            generation: u64::from_le_bytes(*generation),
            build_id: build_id.try_into().ok()?,
        })
    };
    identity(from).zip(identity(to)).ok_or_else(damaged)
}

/// FNV-1a with 32 bits: a change of a single byte never goes unnoticed.
fn sum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |sum, byte| {
        (sum ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    })
}
