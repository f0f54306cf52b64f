//! The head of what is kept of a link: what must be so for the rest to be of use. It is one small file, read as a whole; its
//! last bytes are a hash of those before, so that what is damaged is not a head.
//!
//! `design/state-format.md` has it byte by byte. Nothing here looks at any file.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::asked::Key;
use crate::heap::Sums;
use crate::output::Sighting;

/// The first bytes: what it is, and its version.
const MAGIC: &[u8; 16] = b"wasmend state 01";

/// What a file is to the link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// An object or an archive whose contents are kept: the link can be brought up to date with what it is now.
    Followed,
    /// A large archive, a member of a thin one, a list of symbols: if it has changed, all is linked anew.
    Other,
}

/// A file that was read.
#[derive(Debug, Clone)]
pub(super) struct KeptFile {
    pub(super) path: PathBuf,
    pub(super) role: Role,
    /// Its place among the files of the command line, if it is one of them.
    pub(super) position: Option<u32>,
    pub(super) seen: Sighting,
    /// For a file that was written so shortly before it was read that its times do not tell whether it was written again:
    /// the hash of its contents. An object's contents are kept anyway.
    pub(super) recent: Option<[u8; 32]>,
}

/// What must be so for a state to be of use.
#[derive(Debug, Clone)]
pub(super) struct Head {
    pub(super) key: Key,
    /// The program that wrote it, as a file, and where it stands in memory.
    pub(super) program: Sighting,
    pub(super) address: u64,
    pub(super) output: Sighting,
    /// The last section of the output, which says which version it is.
    pub(super) identity: Vec<u8>,
    /// The arena's file, and how much of it there is.
    pub(super) image: Sighting,
    pub(super) image_len: u64,
    /// Length of the arena when it was new: what has grown too far is made anew.
    pub(super) first_len: u64,
    pub(super) files: Vec<KeptFile>,
    /// Where files would be read that were not there.
    pub(super) absent: Vec<PathBuf>,
    /// Checksums of the arena's pages.
    pub(super) sums: Sums,
}

impl Head {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256 + self.files.len() * 200 + self.sums.len() * 8);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&1u32.to_ne_bytes());
        out.extend_from_slice(&self.key);
        put_sighting(&mut out, self.program);
        put(&mut out, self.address);
        put_sighting(&mut out, self.output);
        put_bytes(&mut out, &self.identity);
        put_sighting(&mut out, self.image);
        put(&mut out, self.image_len);
        put(&mut out, self.first_len);
        put(&mut out, self.files.len() as u64);
        for file in &self.files {
            put_bytes(&mut out, file.path.as_os_str().as_bytes());
            let is_other = u8::from(file.role == Role::Other);
            out.push(is_other | u8::from(file.recent.is_some()) << 1);
            put(&mut out, file.position.map_or(u64::MAX, u64::from));
            put_sighting(&mut out, file.seen);
            out.extend(file.recent.iter().flatten());
        }
        put(&mut out, self.absent.len() as u64);
        for path in &self.absent {
            put_bytes(&mut out, path.as_os_str().as_bytes());
        }
        put(&mut out, self.sums.len() as u64);
        for sum in &self.sums {
            put(&mut out, *sum);
        }
        let hash = blake3::hash(&out);
        out.extend_from_slice(hash.as_bytes());
        out
    }

    /// Whether bytes are the head of a version of the format that is not this one.
    pub(super) fn is_of_other_version(bytes: &[u8]) -> bool {
        let (family, version) = MAGIC.split_at(MAGIC.len() - 2);
        let is_other = |rest: &[u8]| rest.get(..2).is_some_and(|found| found != version);
        bytes.strip_prefix(family).is_some_and(is_other)
    }

    /// Reads a head. `None` if the bytes are none, whatever they are.
    pub(super) fn decode(bytes: &[u8]) -> Option<Head> {
        let (bytes, hash) = bytes.split_last_chunk::<32>()?;
        let mut at = Reader(bytes);
        if at.take(MAGIC.len())? != MAGIC || at.array::<4>()? != 1u32.to_ne_bytes() {
            return None;
        }
        if blake3::hash(bytes).as_bytes() != hash {
            return None;
        }
        let head = Head {
            key: at.array()?,
            program: at.sighting()?,
            address: at.number()?,
            output: at.sighting()?,
            identity: at.bytes()?.to_vec(),
            image: at.sighting()?,
            image_len: at.number()?,
            first_len: at.number()?,
            files: at.list(|at| {
                let path = at.path()?;
                let [flags] = at.array()?;
                let role = match flags & 1 {
                    0 => Role::Followed,
                    _ => Role::Other,
                };
                let position = u32::try_from(at.number()?).ok();
                let seen = at.sighting()?;
                let recent = match flags & 2 {
                    0 => None,
                    _ => Some(at.array()?),
                };
                Some(KeptFile {
                    path,
                    role,
                    position,
                    seen,
                    recent,
                })
            })?,
            absent: at.list(Reader::path)?,
            sums: at.list(Reader::number)?,
        };
        at.0.is_empty().then_some(head)
    }
}

fn put(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(&number.to_le_bytes());
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn put_sighting(out: &mut Vec<u8>, sighting: Sighting) {
    for word in sighting.to_words() {
        put(out, word);
    }
}

/// What is left to be read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn number(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let len = usize::try_from(self.number()?).ok()?;
        self.take(len)
    }

    fn path(&mut self) -> Option<PathBuf> {
        Some(Path::new(OsStr::from_bytes(self.bytes()?)).to_path_buf())
    }

    fn sighting(&mut self) -> Option<Sighting> {
        let mut words = [0; 12];
        for word in &mut words {
            *word = self.number()?;
        }
        Some(Sighting::of_words(words))
    }

    fn list<T>(&mut self, mut one: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = usize::try_from(self.number()?).ok()?;
        // Each takes a byte at least.
        if count > self.0.len() {
            return None;
        }
        let mut list = Vec::with_capacity(count);
        for _ in 0..count {
            list.push(one(self)?);
        }
        Some(list)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> Head {
        let seen = |at: u64| Sighting::of_words(std::array::from_fn(|word| at + word as u64));
        let file = |name: &str, role, position, recent| KeptFile {
            path: PathBuf::from(name),
            role,
            position,
            seen: seen(7),
            recent,
        };
        Head {
            key: [3; 32],
            program: seen(1),
            address: 0x40_0000,
            output: seen(2),
            identity: vec![0, 1, 2],
            image: seen(3),
            image_len: 8192,
            first_len: 4096,
            files: vec![
                file("main.o", Role::Followed, Some(0), None),
                file("libc.a", Role::Other, None, Some([9; 32])),
            ],
            absent: vec![PathBuf::from("libm.a")],
            sums: vec![5, 0, 7],
        }
    }

    #[test]
    fn no_head_that_was_cut_short_or_has_another_bit_is_one() {
        let bytes = head().encode();
        assert_eq!(Head::decode(&bytes).unwrap().encode(), bytes);
        for len in 0..bytes.len() {
            assert!(Head::decode(&bytes[..len]).is_none(), "{len} bytes");
        }
        for at in 0..bytes.len() * 8 {
            let mut bytes = bytes.clone();
            bytes[at / 8] ^= 1 << (at % 8);
            assert!(Head::decode(&bytes).is_none(), "bit {at}");
        }
        assert!(Head::decode(&[&bytes[..], &[0]].concat()).is_none());
    }

    /// With the right hash, so that the reader has to see it by itself.
    #[test]
    fn whatever_a_head_says_it_is_read_without_a_panic() {
        let bytes = head().encode();
        let (body, _) = bytes.split_last_chunk::<32>().unwrap();
        let sealed = |body: &[u8]| [body, blake3::hash(body).as_bytes()].concat();
        for len in 0..body.len() {
            assert!(Head::decode(&sealed(&body[..len])).is_none(), "{len} bytes");
        }
        for at in 0..body.len() {
            for byte in [0, 1, 0x7f, 0x80, 0xff] {
                let mut body = body.to_vec();
                body[at] = byte;
                let _ = Head::decode(&sealed(&body));
            }
        }
    }

    #[test]
    fn a_head_of_another_version_is_told_from_one_that_is_damaged() {
        let mut bytes = head().encode();
        assert!(!Head::is_of_other_version(&bytes));
        assert!(!Head::is_of_other_version(&bytes[..15]));
        bytes[14] = b'9';
        assert!(Head::is_of_other_version(&bytes));
    }
}
