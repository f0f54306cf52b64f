//! Copies of an output elsewhere, in memory or in a file, that are kept equal by the envelopes of its versions.

use std::path::Path;
use std::sync::Arc;

use crate::envelope::Envelope;
use crate::envelope::apply::{check_base, check_result};
use crate::envelope::parts::Contents;
use crate::error::{Error, Result};
use crate::output::{Output, OutputOptions};
use crate::patch::BuildIdentity;

/// A copy of an output, that takes in the [`Envelope`] of each version.
///
/// A copy in a file is published as outputs are: readers see one version or the next, whole ([`OutputOptions::publish`]), there
/// is one writer, and whoever else changes the file is noticed. So as long as it is kept, taking in a patch costs what the
/// patch does, whatever the file's length.
#[derive(Debug)]
pub struct Replica {
    output: Output,
    /// Of what is published, with its length.
    identity: Option<BuildIdentity>,
    len: u64,
}

impl Replica {
    /// A copy in memory that has no version yet.
    pub fn in_memory() -> Replica {
        Replica {
            output: Output::memory(),
            identity: None,
            len: 0,
        }
    }

    /// The copy at `path`, or where it will be. The file is read once, to see which version it is.
    ///
    /// # Errors
    /// If there is another writer, the file cannot be read, or its folder cannot be written.
    pub fn open(path: impl AsRef<Path>, options: OutputOptions) -> Result<Replica> {
        let output = Output::file(path, options)?;
        let is_there = match &output {
            Output::Memory(_) => false,
            Output::File(file) => file.identity().is_some(),
        };
        // Should it be changed behind our back while it is read: that is noticed when the first patch is published.
        let found = match is_there {
            true => output.read()?,
            false => Vec::new(),
        };
        Ok(Replica {
            output,
            identity: BuildIdentity::of_file(&found).map(|(_, identity)| identity),
            len: found.len() as u64,
        })
    }

    /// The version that it is; nothing if there is none, or what is there is no output that can be patched.
    pub fn identity(&self) -> Option<BuildIdentity> {
        self.identity
    }

    /// Its contents.
    ///
    /// # Errors
    /// If there is no file yet, or it cannot be read.
    pub fn bytes(&self) -> Result<Vec<u8>> {
        self.output.read()
    }

    /// Brings the copy to the new version, and publishes it.
    ///
    /// # Errors
    /// As with [`Envelope::apply`]; [`ErrorKind::OutputChanged`](crate::ErrorKind::OutputChanged) also if the file was changed by
    /// somebody else; [`ErrorKind::Io`](crate::ErrorKind::Io) if it cannot be written. The copy is what it was.
    pub fn apply(&mut self, envelope: &Envelope) -> Result<()> {
        let envelope = &envelope.0;
        let named = |error: Error| match self.output.path() {
            Some(path) => error.with_path(path),
            None => error,
        };
        check_base(envelope, self.identity, self.len).map_err(named)?;
        if envelope.checksum.is_some() {
            let checked = match &self.output {
                Output::Memory(copy) => check_result(envelope, copy),
                Output::File(_) => check_result(envelope, &self.output.read()?),
            };
            checked.map_err(named)?;
        }
        match &envelope.contents {
            Contents::Ranges(ranges) => {
                self.output.publish_patch(Arc::clone(ranges))?;
            }
            Contents::Whole(file) => {
                let len = file.len() as u64;
                self.output
                    .publish_pieces(len, |out| out.write_at(0, file))?;
            }
        }
        self.identity = Some(envelope.to);
        self.len = envelope.file_len();
        Ok(())
    }
}
