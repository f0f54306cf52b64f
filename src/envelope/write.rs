//! An envelope as bytes. What is said here is read in `read`, and described in `design/patch-format.md`.

use crate::delta::{Delta, LiveStep, Refusal};
use crate::envelope::parts::{Contents, Parts};

/// What envelopes begin with.
pub(super) const MAGIC: [u8; 4] = *b"\0wmp";
/// The version of the format.
pub(super) const FORMAT: u32 = 1;
/// Bytes of the checksum with which an envelope ends.
pub(super) const SUM: usize = blake3::OUT_LEN;

/// What is in an envelope, one bit each.
pub(super) const HAS_BASE: u32 = 1;
pub(super) const IS_WHOLE: u32 = 2;
pub(super) const HAS_CHECKSUM: u32 = 4;
pub(super) const IS_LIVE: u32 = 8;

/// What a commit means for instances that run.
pub(super) const REFUSED: u8 = 0;
pub(super) const DELTA: u8 = 1;
pub(super) const DELTA_AND_UNDO: u8 = 2;

pub(super) fn write(envelope: &Parts) -> Vec<u8> {
    let is_whole = matches!(envelope.contents, Contents::Whole(_));
    let flags = [
        (envelope.base.is_some(), HAS_BASE),
        (is_whole, IS_WHOLE),
        (envelope.checksum.is_some(), HAS_CHECKSUM),
        (envelope.live.is_some(), IS_LIVE),
    ];
    let flags = flags.iter().filter(|(is_set, _)| *is_set);
    let flags: u32 = flags.map(|(_, flag)| flag).sum();
    let mut out = Vec::new();
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&FORMAT.to_le_bytes());
    out.extend_from_slice(&flags.to_le_bytes());
    for identity in envelope.base.iter().chain([&envelope.to]) {
        out.extend_from_slice(&identity.to_bytes());
    }
    match &envelope.contents {
        Contents::Whole(file) => bytes(&mut out, file),
        Contents::Ranges(ranges) => {
            out.extend_from_slice(&ranges.old_len().to_le_bytes());
            out.extend_from_slice(&ranges.new_len().to_le_bytes());
            if let Some(checksum) = &envelope.checksum {
                out.extend_from_slice(checksum);
            }
            count(&mut out, ranges.len());
            for (range, contents) in ranges.iter() {
                out.extend_from_slice(&range.offset.to_le_bytes());
                bytes(&mut out, contents);
            }
        }
    }
    if let Some(step) = &envelope.live {
        live(&mut out, step);
    }
    let sum = blake3::hash(&out);
    out.extend_from_slice(sum.as_bytes());
    out
}

fn live(out: &mut Vec<u8>, step: &LiveStep) {
    match step {
        LiveStep::Refused(refusals) => {
            out.push(REFUSED);
            count(out, refusals.len());
            for Refusal { reason, symbol } in refusals {
                out.extend_from_slice(&reason.number().to_le_bytes());
                bytes(out, symbol.as_bytes());
            }
        }
        LiveStep::Delta { delta, undo: None } => {
            out.push(DELTA);
            one_delta(out, delta);
        }
        LiveStep::Delta {
            delta,
            undo: Some(undo),
        } => {
            out.push(DELTA_AND_UNDO);
            one_delta(out, delta);
            one_delta(out, undo);
        }
    }
}

fn one_delta(out: &mut Vec<u8>, delta: &Delta) {
    count(out, delta.conditional.len());
    for name in &delta.conditional {
        bytes(out, name.as_bytes());
    }
    bytes(out, &delta.bytes);
}

/// Bytes with their length before them: no file has as many as four bytes can count.
fn bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    count(out, bytes.len());
    out.extend_from_slice(bytes);
}

fn count(out: &mut Vec<u8>, count: usize) {
    out.extend_from_slice(&(count as u32).to_le_bytes());
}
