//! Envelopes from bytes that anybody may have sent: nothing of them is believed before it is checked.

use std::sync::Arc;

use crate::delta::{Delta, LiveStep, Refusal, RefusalReason};
use crate::envelope::parts::{Contents, Parts, identity_of};
use crate::envelope::write::{
    DELTA, DELTA_AND_UNDO, FORMAT, HAS_BASE, HAS_CHECKSUM, IS_LIVE, IS_WHOLE, MAGIC, REFUSED, SUM,
};
use crate::error::{Error, Result};
use crate::patch::{BuildIdentity, MOST_FILE, RangeList, Reason};

/// See `Envelope::from_bytes`.
pub(super) fn read(bytes: &[u8]) -> Result<Parts> {
    let mut reader = Reader { rest: bytes };
    if reader.take(MAGIC.len()).ok() != Some(&MAGIC) {
        return Err(Error::bad_input("is no patch"));
    }
    let format = u32::from_le_bytes(reader.array()?);
    if format != FORMAT {
        let text = format!("the patch is of format {format}; this wasmend knows format {FORMAT}");
        return Err(Error::bad_input(text));
    }
    let (said, sum) = bytes.split_last_chunk::<SUM>().ok_or_else(damaged)?;
    reader.rest = reader.rest.strip_suffix(sum).ok_or_else(damaged)?;
    if blake3::hash(said) != *sum {
        return Err(damaged());
    }
    reader.envelope()
}

/// What is left to be read, without the checksum behind it.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn envelope(mut self) -> Result<Parts> {
        let flags = u32::from_le_bytes(self.array()?);
        let has = |flag| flags & flag != 0;
        if flags > HAS_BASE + IS_WHOLE + HAS_CHECKSUM + IS_LIVE
            || (has(IS_WHOLE) && has(HAS_CHECKSUM))
            || (!has(IS_WHOLE) && !has(HAS_BASE))
        {
            return Err(damaged());
        }
        let base = has(HAS_BASE).then(|| self.identity()).transpose()?;
        let to = self.identity()?;
        let mut checksum = None;
        let contents = match has(IS_WHOLE) {
            true => Contents::Whole(self.bytes()?.to_vec()),
            false => {
                let (old_len, new_len) = (self.number()?, self.number()?);
                checksum = has(HAS_CHECKSUM).then(|| self.array()).transpose()?;
                Contents::Ranges(Arc::new(self.ranges(old_len, new_len)?))
            }
        };
        let live = has(IS_LIVE).then(|| self.live()).transpose()?;
        let envelope = Parts {
            base,
            to,
            contents,
            checksum,
            live,
        };
        match self.rest.is_empty() && is_consistent(&envelope) {
            true => Ok(envelope),
            false => Err(damaged()),
        }
    }

    /// Ranges in file order, none over another, all of them within the file.
    fn ranges(&mut self, old_len: u64, new_len: u64) -> Result<RangeList> {
        let mut ranges = RangeList::new(old_len);
        let mut end = 0;
        for _ in 0..self.count()? {
            let offset = self.number()?;
            let bytes = self.bytes()?;
            let behind = offset.checked_add(bytes.len() as u64);
            if offset < end || bytes.is_empty() || behind.is_none_or(|behind| behind > new_len) {
                return Err(damaged());
            }
            ranges.push(offset, bytes, Reason::Received);
            end = offset + bytes.len() as u64;
        }
        // A few bytes must not ask for all the memory that there is.
        if old_len > MOST_FILE || new_len > MOST_FILE {
            return Err(damaged());
        }
        ranges.finish(new_len);
        Ok(ranges)
    }

    fn live(&mut self) -> Result<LiveStep> {
        let [kind] = self.array()?;
        if kind == REFUSED {
            let refusals = (0..self.count()?).map(|_| {
                let number = u32::from_le_bytes(self.array()?);
                let mut known = RefusalReason::ALL.into_iter();
                let reason = known.find(|reason| reason.number() == number);
                Ok(Refusal {
                    reason: reason.ok_or_else(damaged)?,
                    symbol: self.text()?,
                })
            });
            return Ok(LiveStep::Refused(refusals.collect::<Result<_>>()?));
        }
        let delta = Arc::new(self.delta()?);
        let undo = match kind {
            DELTA => None,
            DELTA_AND_UNDO => Some(Arc::new(self.delta()?)),
            _ => return Err(damaged()),
        };
        Ok(LiveStep::Delta { delta, undo })
    }

    fn delta(&mut self) -> Result<Delta> {
        let names = (0..self.count()?).map(|_| self.text());
        let conditional = names.collect::<Result<_>>()?;
        let mut delta = Delta::read(self.bytes()?)?;
        delta.conditional = conditional;
        Ok(delta)
    }

    fn identity(&mut self) -> Result<BuildIdentity> {
        Ok(BuildIdentity::from_bytes(self.array()?))
    }

    fn number(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    fn count(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn bytes(&mut self) -> Result<&'a [u8]> {
        let len = self.count()?;
        self.take(len as usize)
    }

    fn text(&mut self) -> Result<String> {
        let text = std::str::from_utf8(self.bytes()?);
        text.map(str::to_owned).map_err(|_| damaged())
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (array, rest) = self.rest.split_first_chunk().ok_or_else(damaged)?;
        self.rest = rest;
        Ok(*array)
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or_else(damaged)?;
        self.rest = rest;
        Ok(taken)
    }
}

/// Whether an envelope leads where it says: the identity of a version follows from that of its base and from what is written,
/// or stands in the file that is sent whole.
fn is_consistent(envelope: &Parts) -> bool {
    let is_made = match (&envelope.contents, envelope.base) {
        (Contents::Whole(file), _) => {
            file.len() as u64 <= MOST_FILE && identity_of(file).ok() == Some(envelope.to)
        }
        (Contents::Ranges(ranges), Some(base)) => makes(ranges, base, envelope.to),
        (Contents::Ranges(_), None) => false,
    };
    let leads = |delta: &Delta, from, to| delta.from == from && delta.to == to;
    let is_live = match (&envelope.live, envelope.base) {
        (Some(LiveStep::Delta { delta, undo }), Some(base)) => {
            let undo = undo.as_ref();
            leads(delta, base, envelope.to) && undo.is_none_or(|it| leads(it, envelope.to, base))
        }
        (Some(LiveStep::Delta { .. }), None) => false,
        (Some(LiveStep::Refused(_)) | None, _) => true,
    };
    is_made && is_live
}

/// Whether ranges make one version of another. With the last of them the file ends; it holds the new identity, which stands
/// for all that is written but itself.
fn makes(ranges: &RangeList, base: BuildIdentity, to: BuildIdentity) -> bool {
    let Some((last, bytes)) = ranges.iter().next_back() else {
        return false;
    };
    let (end, said) = (last.offset + bytes.len() as u64, to.to_bytes());
    let Some(fixed) = bytes.strip_suffix(&said) else {
        return false;
    };
    let before = ranges.iter().take(ranges.len() - 1);
    let before = before.map(|(range, bytes)| (range.offset, bytes));
    let fixed = (!fixed.is_empty()).then_some((last.offset, fixed));
    end == ranges.new_len() && base.next(before.chain(fixed)) == to
}

#[cold]
fn damaged() -> Error {
    Error::bad_input("the patch is damaged").with_hint("get it once more, or a whole version")
}
