//! What an envelope consists of, and what is said of files that are none or other ones. It knows nothing of how it is written.

use std::sync::Arc;

use crate::delta::LiveStep;
use crate::error::{Error, ErrorKind, Result};
use crate::patch::{BuildIdentity, RangeList};

/// What an envelope consists of.
#[derive(Debug, Clone)]
pub(super) struct Parts {
    /// `None` for a version that takes the place of any other.
    pub(super) base: Option<BuildIdentity>,
    pub(super) to: BuildIdentity,
    pub(super) contents: Contents,
    /// A BLAKE3 hash of the file that a patch makes.
    pub(super) checksum: Option<[u8; 32]>,
    pub(super) live: Option<LiveStep>,
}

/// What is sent of the new version.
#[derive(Debug, Clone)]
pub(super) enum Contents {
    Ranges(Arc<RangeList>),
    Whole(Vec<u8>),
}

impl Parts {
    /// Length of the new version, in bytes.
    pub(super) fn file_len(&self) -> u64 {
        match &self.contents {
            Contents::Ranges(ranges) => ranges.new_len(),
            Contents::Whole(file) => file.len() as u64,
        }
    }

    /// What is written where; nothing if it is the whole file.
    pub(super) fn ranges(&self) -> Option<&RangeList> {
        match &self.contents {
            Contents::Ranges(ranges) => Some(ranges),
            Contents::Whole(_) => None,
        }
    }
}

/// The identity that a file says it has.
pub(super) fn identity_of(file: &[u8]) -> Result<BuildIdentity> {
    let found = BuildIdentity::of_file(file).map(|(_, identity)| identity);
    found.ok_or_else(|| Error::bad_input("is no output that can be patched"))
}

/// A file that is another version than it should be.
#[cold]
pub(super) fn other_version(message: String) -> Error {
    Error::new(ErrorKind::OutputChanged, message)
}
