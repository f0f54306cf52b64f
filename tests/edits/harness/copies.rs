//! Copies elsewhere: each commit travels to them as bytes, and after it they are equal to the output, byte by byte.

use wasmend as w;
use wasmend::output::{OutputOptions, Publish};
use wasmend::{Envelope, Patch, Replica};

use super::check::{Checked, words};

/// A copy that is plain bytes, and two in files, of which each is published in its way.
pub struct Copies {
    bytes: Vec<u8>,
    files: Vec<Replica>,
    /// How many envelopes they have taken.
    taken: u32,
    _folder: Option<tempfile::TempDir>,
}

impl Copies {
    /// Copies that have no version yet; those in files only if it is said.
    pub fn new(in_files: bool) -> Checked<Copies> {
        let folder = match in_files {
            true => Some(tempfile::tempdir().map_err(|error| error.to_string())?),
            false => None,
        };
        let open = |publish| {
            let folder = folder.as_ref()?;
            let path = folder.path().join(format!("{publish:?}.wasm"));
            Some(Replica::open(path, OutputOptions::new(publish)))
        };
        let files = [Publish::Atomic, Publish::InPlace].into_iter();
        let files = files.filter_map(open).collect::<w::Result<_>>();
        Ok(Copies {
            bytes: Vec::new(),
            files: files.map_err(words("open a copy"))?,
            taken: 0,
            _folder: folder,
        })
    }

    /// Lets all of them take in what a commit has published.
    pub fn take(&mut self, patch: &Patch, published: &[u8]) -> Checked {
        let envelope = Envelope::of(patch, || Ok(published.to_vec()));
        let Some(mut envelope) = envelope.map_err(words("make an envelope"))? else {
            return self.compare(published);
        };
        self.taken += 1;
        if self.taken.is_multiple_of(2) {
            let sealed = envelope.with_checksum_of(published);
            envelope = sealed.map_err(words("add a checksum"))?;
        }
        let sent = envelope.to_bytes();
        let received = Envelope::from_bytes(&sent).map_err(words("read an envelope"))?;
        if received.to_bytes() != sent {
            return Err("an envelope is another one once it was read".into());
        }
        if self.taken > 1 && received.base().is_some() {
            let other = received.apply(&mut Vec::new());
            if other.is_ok() {
                return Err("an empty copy takes a patch".into());
            }
        }
        let taken = received.apply(&mut self.bytes);
        taken.map_err(words("bring a copy up to date"))?;
        for file in &mut self.files {
            let taken = file.apply(&received);
            taken.map_err(words("bring a copy in a file up to date"))?;
        }
        if received.base().is_some() && received.apply(&mut self.bytes).is_ok() {
            return Err("a copy takes the same patch twice".into());
        }
        self.compare(published)
    }

    fn compare(&self, published: &[u8]) -> Checked {
        if self.bytes != published {
            return Err("the copy differs from the output".into());
        }
        for file in &self.files {
            if file.bytes().map_err(words("read a copy"))? != published {
                return Err(format!("{file:?} differs from the output"));
            }
        }
        Ok(())
    }
}
