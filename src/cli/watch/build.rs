//! A watched build: a whole module, as a compiler writes it.

use std::cell::Cell;
use std::path::{Path, PathBuf};

use wasmend::{Error, ErrorKind, Patch};

use crate::cli::args::Watch;
use crate::cli::following::{Following, Kept};
use crate::cli::patcher::Patcher;
use crate::cli::report::Reporter;
use crate::cli::watch::looks;
use crate::cli::watch::settle::{FileName, Haste};
use crate::cli::watch::subject::{Complaint, Followed, Refusal, Subject};

/// A build and the output that follows it.
pub(super) struct Build {
    file: PathBuf,
    output: PathBuf,
    patcher: Patcher,
}

impl Build {
    pub(super) fn new(args: &Watch, reporter: Reporter) -> anyhow::Result<Build> {
        let (file, output) = (&args.file, &args.output);
        let mut patcher = Patcher::new(output, file, &args.build, &args.state, reporter)?;
        patcher.following.silence_unchanged();
        Ok(Build {
            file: file.clone(),
            output: output.clone(),
            patcher,
        })
    }
}

impl Subject for Build {
    fn describe(&self) -> String {
        self.file.display().to_string()
    }

    fn build(&self) -> &Path {
        &self.file
    }

    fn output(&self) -> &Path {
        &self.output
    }

    fn files(&mut self, _: &[PathBuf]) -> Vec<Followed> {
        vec![Followed {
            name: FileName::new(&self.file),
            is_required: true,
        }]
    }

    fn update(&mut self, _: &[PathBuf]) -> Result<Patch, Refusal> {
        let can_become_a_module = Cell::new(true);
        let read = |file: &Path| {
            let bytes =
                looks::read(file).map_err(|error| Error::io("cannot be read", file, &error))?;
            can_become_a_module.set(begins_as_a_module(&bytes));
            Ok(bytes)
        };
        let error = match self.patcher.update(&self.file, &read) {
            Ok(patch) => return Ok(patch),
            Err(error) => error.downcast::<Error>()?,
        };
        let is_first = self.versions() == 0;
        Err(match error.kind() {
            ErrorKind::Locked if is_first => Refusal::End(error.into()),
            ErrorKind::Io | ErrorKind::Locked => Refusal::Later(Complaint::of(error)),
            _ => {
                let haste = match can_become_a_module.get() {
                    true => Haste::Patient,
                    false => Haste::Now,
                };
                let error = error.with_hint("watching goes on");
                Refusal::Useless(Complaint::of(error), haste)
            }
        })
    }

    fn forget(&mut self) {
        self.patcher.following.forget();
    }

    fn versions(&self) -> u64 {
        self.patcher.following.versions()
    }

    fn kept(&mut self) -> Option<&mut Following<dyn Kept>> {
        Some(&mut self.patcher.following)
    }
}

/// Whether the file begins as modules do, as far as it was written.
fn begins_as_a_module(bytes: &[u8]) -> bool {
    let header = b"\0asm\x01\0\0\0";
    let written = bytes.len().min(header.len());
    bytes[..written] == header[..written]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_never_becomes_a_module_is_known_from_its_beginning() {
        for half in [
            &b""[..],
            b"\0as",
            b"\0asm\x01\0\0\0",
            b"\0asm\x01\0\0\0\x01",
        ] {
            assert!(begins_as_a_module(half), "{half:?}");
        }
        let component = b"\0asm\x0d\0\x01\0";
        for other in [&b"import"[..], b"i", component] {
            assert!(!begins_as_a_module(other), "{other:?}");
        }
    }
}
