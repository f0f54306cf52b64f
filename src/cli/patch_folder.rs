//! `--patches`: the folder that gets each version that was published, as a patch for copies elsewhere.

use std::path::{Path, PathBuf};

use wasmend::output::{self, OutputOptions};
use wasmend::{Envelope, Error, Outcome, Patch};

/// What the names of patches end with.
const ENDING: &str = ".wasmpatch";

/// A folder of patches, each named by the version that it leads to.
#[derive(Debug)]
pub(crate) struct PatchFolder {
    folder: PathBuf,
    /// Whether a version is missing: then the next one is written whole.
    is_behind: bool,
}

impl PatchFolder {
    pub(crate) fn new(folder: &Path) -> PatchFolder {
        PatchFolder {
            folder: folder.to_path_buf(),
            is_behind: false,
        }
    }

    /// Writes what a commit published at `output`.
    pub(crate) fn keep(&mut self, patch: &Patch, output: &Path) -> wasmend::Result<()> {
        let is_unchanged = matches!(patch.outcome, Outcome::Unchanged);
        if is_unchanged && !self.is_behind {
            return Ok(());
        }
        let mut was_behind = std::mem::replace(&mut self.is_behind, true);
        // Where an earlier process could not write a version, copies do not have it.
        let base = patch.base.generation;
        was_behind |= base > 0 && !self.path_of(base).exists();
        let file = std::fs::read(output)
            .map_err(|error| Error::io("cannot read the output", output, &error))?;
        let envelope = match was_behind || is_unchanged {
            true => None,
            false => Envelope::of(patch, || Ok(file.clone()))?,
        };
        let envelope = match envelope {
            Some(envelope) => envelope.with_checksum_of(&file)?,
            None => Envelope::whole(file)?,
        };
        std::fs::create_dir_all(&self.folder)
            .map_err(|error| Error::io("cannot create the folder", &self.folder, &error))?;
        let options = OutputOptions::default();
        let path = self.path_of(envelope.identity().generation);
        output::write_file(&path, &options, &envelope.to_bytes(), &output::no_check)?;
        if patch.base.generation == 0 {
            self.remove_others(&path)?;
        }
        self.is_behind = false;
        Ok(())
    }

    fn path_of(&self, generation: u64) -> PathBuf {
        self.folder.join(format!("{generation:08}{ENDING}"))
    }

    /// Fails if the last version is not there.
    pub(crate) fn expect_all(&self) -> wasmend::Result<()> {
        match self.is_behind {
            false => Ok(()),
            true => Err(
                Error::bad_input("the last version is not among the patches")
                    .with_path(&self.folder),
            ),
        }
    }

    /// Removes the patches of an earlier run, which lead from none of the versions that come now.
    fn remove_others(&self, first: &Path) -> wasmend::Result<()> {
        let failed = |error| Error::io("cannot look through", &self.folder, &error);
        for entry in std::fs::read_dir(&self.folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            let number = name.and_then(|name| name.strip_suffix(ENDING));
            let is_number = |number: &str| {
                number.len() >= 8 && number.bytes().all(|byte| byte.is_ascii_digit())
            };
            if number.is_some_and(is_number) && path != first {
                std::fs::remove_file(&path)
                    .map_err(|error| Error::io("cannot remove an old patch", &path, &error))?;
            }
        }
        Ok(())
    }
}
