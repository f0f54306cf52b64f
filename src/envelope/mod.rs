//! Patches that travel: what a commit published, as bytes that say which version they are for, and copies of an output
//! elsewhere that take them in. The format is in `design/patch-format.md`.
//!
//! Everything is checked before anything is changed: a copy takes an envelope whole, or stays as it is. Nothing here knows
//! how a patch is made.

mod apply;
mod parts;
mod read;
mod replica;
mod write;

use std::sync::Arc;

use crate::delta::LiveStep;
use crate::envelope::parts::{Contents, Parts, identity_of, other_version};
use crate::error::Result;
use crate::module::{Outcome, Patch};
use crate::patch::{BuildIdentity, RangeList};

pub use replica::Replica;

/// What brings a copy of an output from one version to another: a patch, or the whole file.
///
/// ```
/// # use wasmend::{ConstExpr, DeclKind, Envelope, Module, ModuleOptions, ValType};
/// # fn main() -> wasmend::Result<()> {
/// let mut module = Module::in_memory(ModuleOptions::default())?;
/// let answer = module.declare(DeclKind::Global, "answer")?;
/// let mut copy = Vec::new();
/// for number in [41, 42] {
///     module.define_global(answer, ValType::I32, false, ConstExpr::I32(number))?;
///     let patch = module.commit()?;
///     if let Some(envelope) = Envelope::of(&patch, || module.bytes())? {
///         // These go to wherever there is a copy.
///         let bytes = envelope.to_bytes();
///         Envelope::from_bytes(&bytes)?.apply(&mut copy)?;
///     }
///     assert_eq!(copy, module.bytes()?);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Envelope(Parts);

impl Envelope {
    /// What a commit published; nothing if it published nothing. `file` gives the whole file as it is now, and is called only
    /// if the commit wrote it whole. A first version takes the place of whatever there is, all others that of the version
    /// before them.
    ///
    /// # Errors
    /// What `file` returns, and if it is not the version that the commit published.
    pub fn of(patch: &Patch, file: impl FnOnce() -> Result<Vec<u8>>) -> Result<Option<Envelope>> {
        let contents = match &patch.outcome {
            Outcome::Unchanged => return Ok(None),
            Outcome::Patched(ranges) => Contents::Ranges(Arc::clone(ranges)),
            Outcome::Relinked(_) => {
                let file = file()?;
                expect_version(&file, patch.identity)?;
                Contents::Whole(file)
            }
        };
        Ok(Some(Envelope(Parts {
            base: (patch.base.generation > 0).then_some(patch.base),
            to: patch.identity,
            contents,
            checksum: None,
            live: patch.live.clone(),
        })))
    }

    /// A version as a whole, which takes the place of any other: for copies that have none yet, or have missed some.
    ///
    /// # Errors
    /// If it is no output that can be patched.
    pub fn whole(file: Vec<u8>) -> Result<Envelope> {
        Ok(Envelope(Parts {
            base: None,
            to: identity_of(&file)?,
            contents: Contents::Whole(file),
            checksum: None,
            live: None,
        }))
    }

    /// Adds a checksum of `file`, the version that the patch makes: a copy that was damaged, though it says of itself that it
    /// is the patch's base, is found out then. That costs both sides a hash of the whole file; without it all is proportional to
    /// the patch. A whole file needs none.
    ///
    /// # Errors
    /// If `file` is not the version that the patch makes.
    pub fn with_checksum_of(mut self, file: &[u8]) -> Result<Envelope> {
        expect_version(file, self.0.to)?;
        if let Contents::Ranges(_) = self.0.contents {
            self.0.checksum = Some(*apply::hash([file]).as_bytes());
        }
        Ok(self)
    }

    /// The version that a copy must have; nothing if it may be any, or none.
    pub fn base(&self) -> Option<BuildIdentity> {
        self.0.base
    }

    /// The version that a copy has then.
    pub fn identity(&self) -> BuildIdentity {
        self.0.to
    }

    /// Length of the file then, in bytes.
    pub fn file_len(&self) -> u64 {
        self.0.file_len()
    }

    /// What is written where; nothing if it is the whole file.
    pub fn ranges(&self) -> Option<&RangeList> {
        self.0.ranges()
    }

    /// What it means for instances that run, if the commit said so.
    pub fn live(&self) -> Option<&LiveStep> {
        self.0.live.as_ref()
    }

    /// The envelope as bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        write::write(&self.0)
    }

    /// Reads what [`Envelope::to_bytes`] wrote. Its checksum tells accidents, such as bytes that are missing or others; against
    /// those who would forge one, the way that envelopes take must be secured.
    ///
    /// # Errors
    /// If the bytes are damaged, or no envelope of this format.
    pub fn from_bytes(bytes: &[u8]) -> Result<Envelope> {
        read::read(bytes).map(Envelope)
    }

    /// Brings a copy to the new version.
    ///
    /// # Errors
    /// [`ErrorKind::OutputChanged`](crate::ErrorKind::OutputChanged) if the copy is another version than the base, or, where there is a
    /// [checksum](Envelope::with_checksum_of), does not become what it should: then it needs a [whole](Envelope::whole) version.
    /// Nothing is changed.
    pub fn apply(&self, copy: &mut Vec<u8>) -> Result<()> {
        apply::apply(&self.0, copy)
    }
}

fn expect_version(file: &[u8], expected: BuildIdentity) -> Result<()> {
    let found = identity_of(file)?;
    match found == expected {
        true => Ok(()),
        false => Err(other_version(format!(
            "the file is {found}, not {expected}, which the commit published"
        ))),
    }
}
