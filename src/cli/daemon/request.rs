//! What a process sends that is to link, and what must be the same for another one to do it in its place.

use std::io;
use std::os::unix::fs::MetadataExt;

use rustix::fs::Mode;
use serde::{Deserialize, Serialize};
use wasmend::output::Durability;

use super::Asked;
use crate::cli::args::{Color, General};
use crate::cli::kept;

/// What a process was called with, and where.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Request {
    pub(super) surroundings: Surroundings,
    pub(super) arguments: Vec<String>,
    json: bool,
    verbose: bool,
    /// Whether its messages have colours.
    is_colored: bool,
    survives_power: bool,
    /// What permissions its new files do not have.
    mask: u32,
}

/// What must be the same in two processes that do the same with the same arguments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Surroundings {
    /// The program's file: where it is, how long, and when it was changed.
    program: [u64; 5],
    /// Which folder is the root.
    root: [u64; 2],
    /// What is mounted where.
    mounts: String,
    group: u32,
    /// What is set for wasmend and for its threads.
    variables: Vec<(String, String)>,
}

impl Surroundings {
    pub(super) fn of_this() -> io::Result<Surroundings> {
        let program = std::fs::metadata("/proc/self/exe")?;
        let root = std::fs::metadata("/")?;
        let mounts = std::fs::read_link("/proc/self/ns/mnt")?;
        let is_ours = |name: &str| {
            (name.starts_with("WASMEND_") || name.starts_with("RAYON_")) && name != kept::UNUSABLE
        };
        let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
        let variables = std::env::vars_os().map(|(name, value)| (text(name), text(value)));
        let mut variables: Vec<(String, String)> =
            variables.filter(|(name, _)| is_ours(name)).collect();
        variables.sort_unstable();
        Ok(Surroundings {
            program: [
                program.dev(),
                program.ino(),
                program.len(),
                program.ctime() as u64,
                program.ctime_nsec() as u64,
            ],
            root: [root.dev(), root.ino()],
            mounts: mounts.to_string_lossy().into_owned(),
            group: rustix::process::getegid().as_raw(),
            variables,
        })
    }
}

impl Request {
    pub(super) fn of(asked: &Asked<'_>) -> io::Result<Request> {
        // It can only be asked by setting it; no file is made meanwhile.
        let mask = rustix::process::umask(Mode::empty());
        rustix::process::umask(mask);
        // What the options say of it was heeded before.
        let choice = anstream::AutoStream::choice(&std::io::stderr());
        Ok(Request {
            surroundings: Surroundings::of_this()?,
            arguments: asked.arguments.to_vec(),
            json: asked.general.json,
            verbose: asked.general.verbose,
            is_colored: choice != anstream::ColorChoice::Never,
            survives_power: asked.durability == Durability::Power,
            mask: mask.bits(),
        })
    }

    pub(super) fn encode(&self) -> io::Result<Vec<u8>> {
        Ok(serde_json::to_vec(self)?)
    }

    pub(super) fn decode(bytes: &[u8]) -> io::Result<Request> {
        Ok(serde_json::from_slice(bytes)?)
    }

    pub(super) fn general(&self) -> General {
        General {
            json: self.json,
            verbose: self.verbose,
            color: match self.is_colored {
                true => Color::Always,
                false => Color::Never,
            },
        }
    }

    pub(super) fn durability(&self) -> Durability {
        match self.survives_power {
            true => Durability::Power,
            false => Durability::ProcessKill,
        }
    }

    pub(super) fn mask(&self) -> Mode {
        Mode::from_bits_truncate(self.mask)
    }
}
