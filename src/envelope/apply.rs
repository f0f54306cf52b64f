//! Whether a copy is what an envelope is for, what would come of it, and the copy in memory that takes it in.

use crate::envelope::parts::{Contents, Parts, other_version};
use crate::error::{Error, Result};
use crate::patch::{BuildIdentity, RangeList};

/// See `Envelope::apply`.
pub(super) fn apply(envelope: &Parts, copy: &mut Vec<u8>) -> Result<()> {
    let found = BuildIdentity::of_file(copy).map(|(_, identity)| identity);
    check_base(envelope, found, copy.len() as u64)?;
    check_result(envelope, copy)?;
    let wanted = usize::try_from(envelope.file_len()).unwrap_or(usize::MAX);
    let more = wanted.saturating_sub(copy.len());
    copy.try_reserve(more)
        .map_err(|error| Error::limit(format!("no memory for the new version: {error}")))?;
    match &envelope.contents {
        Contents::Ranges(ranges) => ranges.apply(copy),
        Contents::Whole(file) => {
            copy.clear();
            copy.extend_from_slice(file);
        }
    }
    Ok(())
}

/// Whether a copy of this version and length is what an envelope is for.
pub(super) fn check_base(envelope: &Parts, found: Option<BuildIdentity>, len: u64) -> Result<()> {
    let Some(base) = envelope.base else {
        return Ok(());
    };
    let hint = "send it a whole version";
    match found {
        Some(found) if found == base => {}
        Some(found) if found == envelope.to => {
            let text = format!("the copy is {found} already; the patch is for {base}");
            return Err(other_version(text));
        }
        Some(found) => {
            let text = format!("the copy is {found}; the patch is for {base}");
            return Err(other_version(text).with_hint(hint));
        }
        None => {
            let text =
                format!("the copy is no output that can be patched; the patch is for {base}");
            return Err(other_version(text).with_hint(hint));
        }
    }
    let expected = envelope.ranges().map_or(len, RangeList::old_len);
    if len != expected {
        let text = format!("the copy has {len} bytes; {base} has {expected}");
        return Err(other_version(text).with_hint(hint));
    }
    Ok(())
}

/// Whether a copy becomes what its checksum says, if there is one.
pub(super) fn check_result(envelope: &Parts, copy: &[u8]) -> Result<()> {
    let (Contents::Ranges(ranges), Some(expected)) = (&envelope.contents, envelope.checksum) else {
        return Ok(());
    };
    if hash(parts_of_result(ranges, copy)) == expected {
        return Ok(());
    }
    let text = format!(
        "the copy says that it is {}, but the patch does not make {} of it: it was changed by somebody else",
        envelope.base.unwrap_or_default(),
        envelope.to
    );
    Err(other_version(text).with_hint("send it a whole version"))
}

/// A hash of all parts as one. Each is hashed on all cores if it is long.
pub(super) fn hash<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> blake3::Hash {
    /// What is shorter is hashed sooner by one core.
    const LONG: usize = 1 << 17;
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        match part.len() < LONG {
            true => hasher.update(part),
            false => hasher.update_rayon(part),
        };
    }
    hasher.finalize()
}

/// The file that ranges make of `copy`, as what stands in it one behind the other.
fn parts_of_result<'a>(ranges: &'a RangeList, copy: &'a [u8]) -> Vec<&'a [u8]> {
    static ZEROS: [u8; 4096] = [0; 4096];
    let mut parts = Vec::new();
    // What stays, and zeros where the file grows and nothing is written.
    let kept = |parts: &mut Vec<&'a [u8]>, start: u64, end: u64| {
        let within = |at: u64| at.min(copy.len() as u64) as usize;
        parts.push(&copy[within(start)..within(end)]);
        let mut zeros = end.saturating_sub(start.max(copy.len() as u64)) as usize;
        while zeros > 0 {
            let some = zeros.min(ZEROS.len());
            parts.push(&ZEROS[..some]);
            zeros -= some;
        }
    };
    let mut at = 0;
    for (range, bytes) in ranges.iter() {
        kept(&mut parts, at, range.offset);
        parts.push(bytes);
        at = range.offset + bytes.len() as u64;
    }
    kept(&mut parts, at, ranges.new_len());
    parts
}
