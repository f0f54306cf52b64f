//! The head of what is kept: what must be so for the rest to be of use. It is one small file, read as a whole; its
//! last bytes are a hash of those before, so that what is damaged is not a head.
//!
//! `design/state-format.md` has it byte by byte. Nothing here looks at any file.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::asked::Key;
use super::process::Process;
use crate::output::Sighting;
use crate::wire::leb;

/// The first bytes: what it is, and its version.
const MAGIC: &[u8; 16] = b"wasmend state 03";

/// What a file is to whoever keeps something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// What is kept can be brought up to date with what the file is now: an object or an archive of a link, a build.
    Followed,
    /// The same, of a file that belongs to another one, at whose place of the command line it stands: a thin archive's member.
    Member,
    /// If it has changed, all is made anew: a list of symbols.
    Other,
}

impl Role {
    const ALL: [Role; 3] = [Role::Followed, Role::Other, Role::Member];

    fn number(self) -> u8 {
        match self {
            Role::Followed => 0,
            Role::Other => 1,
            Role::Member => 2,
        }
    }
}

/// Flags beside the role: a hash follows; the times do not tell.
const HAS_HASH: u8 = 4;
const IS_RECENT: u8 = 8;

/// A file that was read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeptFile<'a> {
    pub(crate) path: &'a Path,
    pub(crate) role: Role,
    /// Its place among the files of the command line, or that of the file that it belongs to, if it is one of them.
    pub(crate) position: Option<u32>,
    pub(crate) seen: Sighting,
    /// Whether it was written so shortly before it was read that its times do not tell whether it was written again.
    pub(crate) is_recent: bool,
    /// The hash of its contents, if that is known.
    pub(crate) hash: Option<[u8; 32]>,
}

/// Files that were read, as they stand in the head: thousands, of which most are only looked at.
#[derive(Debug, Clone, Default)]
pub(crate) struct KeptFiles {
    bytes: Vec<u8>,
    ends: Vec<u32>,
}

impl KeptFiles {
    pub(crate) fn push(&mut self, file: KeptFile<'_>) {
        let out = &mut self.bytes;
        put_bytes(out, file.path.as_os_str().as_bytes());
        let has_hash = if file.hash.is_some() { HAS_HASH } else { 0 };
        let is_recent = if file.is_recent { IS_RECENT } else { 0 };
        out.push(file.role.number() | has_hash | is_recent);
        put(out, file.position.map_or(0, |at| u64::from(at) + 1));
        put_sighting(out, file.seen);
        out.extend(file.hash.iter().flatten());
        self.ends.push(out.len() as u32);
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The numbers of all.
    pub(crate) fn places(&self) -> Vec<u32> {
        (0..self.ends.len() as u32).collect()
    }

    /// One of them. `None` if there is none, or what stands there is no file.
    pub(crate) fn get(&self, at: u32) -> Option<KeptFile<'_>> {
        let end = *self.ends.get(at as usize)?;
        let start = at
            .checked_sub(1)
            .map_or(0, |before| self.ends[before as usize]);
        let mut at = Reader(self.bytes.get(start as usize..end as usize)?);
        let path = at.path()?;
        let [flags] = at.array()?;
        let role = *Role::ALL.get(usize::from(flags & (HAS_HASH - 1)))?;
        let position = at.number()?.checked_sub(1);
        let position = position.map(u32::try_from).transpose().ok()?;
        let seen = at.sighting()?;
        let hash = match flags & HAS_HASH {
            0 => None,
            _ => Some(at.array()?),
        };
        Some(KeptFile {
            path,
            role,
            position,
            seen,
            is_recent: flags & IS_RECENT != 0,
            hash,
        })
    }

    /// They, but for those at these places of the command line, which `renew` says anew. `None` if it does so of one.
    pub(crate) fn renewed<'a>(
        &'a self,
        is_stale: impl Fn(&KeptFile<'_>) -> bool,
        mut renew: impl FnMut(KeptFile<'a>) -> Option<KeptFile<'a>>,
    ) -> Option<KeptFiles> {
        let mut files = KeptFiles::default();
        files.bytes.reserve(self.bytes.len() + 64);
        files.ends.reserve(self.ends.len());
        for at in 0..self.ends.len() as u32 {
            let file = self.get(at)?;
            files.push(match is_stale(&file) {
                true => renew(file)?,
                false => file,
            });
        }
        Some(files)
    }
}

/// The list of whoever has none.
pub(crate) const NO_LIST: Key = [0; 32];

/// What must be so for a state to be of use.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub(crate) key: Key,
    /// The process that wrote it.
    pub(super) process: Process,
    pub(crate) output: Sighting,
    /// The last section of the output, which says which version it is.
    pub(crate) identity: Vec<u8>,
    /// The arena's file, and how much of it there is.
    pub(crate) image: Sighting,
    pub(crate) image_len: u64,
    /// Length of the arena when it was new: what has grown too far is made anew.
    pub(crate) first_len: u64,
    pub(crate) files: KeptFiles,
    /// Where files would be read that were not there.
    pub(crate) absent: Vec<PathBuf>,
    /// What tells one list of inputs from another, as far as files are not told apart by their places in it.
    pub(crate) list: Key,
}

/// So much a heap may grow beyond twice its first length: what the first update makes for all that follow, and what large objects
/// leave until others need the room.
const MOST_GROWN: u64 = 16 << 20;

impl Head {
    /// Whether the heap has grown so much that a new one is worth a link of everything.
    pub(super) fn has_grown(&self) -> bool {
        self.image_len > 2 * self.first_len + MOST_GROWN
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let files = self.files.bytes.len() + self.files.len() * 2;
        let mut out = Vec::with_capacity(512 + files + self.absent.len() * 64);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&1u32.to_ne_bytes());
        out.extend_from_slice(&self.key);
        put_bytes(&mut out, &self.process.boot);
        put_sighting(&mut out, self.process.program);
        put(&mut out, self.process.address);
        put_sighting(&mut out, self.output);
        put_bytes(&mut out, &self.identity);
        put_sighting(&mut out, self.image);
        put(&mut out, self.image_len);
        put(&mut out, self.first_len);
        put(&mut out, self.files.len() as u64);
        let mut start = 0;
        for &end in &self.files.ends {
            put_bytes(&mut out, &self.files.bytes[start as usize..end as usize]);
            start = end;
        }
        put(&mut out, self.absent.len() as u64);
        for path in &self.absent {
            put_bytes(&mut out, path.as_os_str().as_bytes());
        }
        out.extend_from_slice(&self.list);
        let hash = blake3::hash(&out);
        out.extend_from_slice(hash.as_bytes());
        out
    }

    /// Whether bytes are the head of a version of the format that is not this one.
    pub(crate) fn is_of_other_version(bytes: &[u8]) -> bool {
        let (family, version) = MAGIC.split_at(MAGIC.len() - 2);
        let is_other = |rest: &[u8]| rest.get(..2).is_some_and(|found| found != version);
        bytes.strip_prefix(family).is_some_and(is_other)
    }

    /// Reads a head. `None` if the bytes are none, whatever they are.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Head> {
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
            process: Process {
                boot: at.bytes()?.to_vec(),
                program: at.sighting()?,
                address: at.number()?,
            },
            output: at.sighting()?,
            identity: at.bytes()?.to_vec(),
            image: at.sighting()?,
            image_len: at.number()?,
            first_len: at.number()?,
            files: {
                let mut files = KeptFiles::default();
                let count = at.count()?;
                files.bytes.reserve(at.0.len());
                files.ends.reserve(count);
                for _ in 0..count {
                    files.bytes.extend_from_slice(at.bytes()?);
                    files.ends.push(u32::try_from(files.bytes.len()).ok()?);
                }
                files
            },
            absent: {
                let count = at.count()?;
                let paths = (0..count).map(|_| at.path().map(Path::to_path_buf));
                paths.collect::<Option<Vec<PathBuf>>>()?
            },
            list: at.array()?,
        };
        at.0.is_empty().then_some(head)
    }
}

fn put(out: &mut Vec<u8>, number: u64) {
    leb::push_unsigned(out, number);
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
        let (number, len) = leb::read_unsigned(self.0)?;
        self.take(len)?;
        Some(number)
    }

    /// How many there are; each takes a byte at least.
    fn count(&mut self) -> Option<usize> {
        let count = usize::try_from(self.number()?).ok()?;
        (count <= self.0.len()).then_some(count)
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let len = usize::try_from(self.number()?).ok()?;
        self.take(len)
    }

    fn path(&mut self) -> Option<&'a Path> {
        Some(Path::new(OsStr::from_bytes(self.bytes()?)))
    }

    fn sighting(&mut self) -> Option<Sighting> {
        let mut words = [0; 12];
        for word in &mut words {
            *word = self.number()?;
        }
        Some(Sighting::of_words(words))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> Head {
        let seen = |at: u64| Sighting::of_words(std::array::from_fn(|word| at + word as u64));
        let mut files = KeptFiles::default();
        let mut file = |name: &str, role, position, is_recent, hash| {
            files.push(KeptFile {
                path: Path::new(name),
                role,
                position,
                seen: seen(7),
                is_recent,
                hash,
            });
        };
        file("main.o", Role::Followed, Some(0), true, None);
        file("printf.o", Role::Member, Some(1), false, None);
        file("libc.imports", Role::Other, None, true, Some([9; 32]));
        Head {
            key: [3; 32],
            process: Process {
                boot: vec![4; 36],
                program: seen(1),
                address: 0x40_0000,
            },
            output: seen(2),
            identity: vec![0, 1, 2],
            image: seen(3),
            image_len: 8192,
            first_len: 4096,
            files,
            absent: vec![PathBuf::from("libm.a")],
            list: [5; 32],
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
                let Some(head) = Head::decode(&sealed(&body)) else {
                    continue;
                };
                for at in head.files.places() {
                    let _ = head.files.get(at);
                }
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
