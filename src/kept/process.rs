//! Which process wrote a state, as far as it matters to the next one. What it wrote is not known here.

use super::reason::NoState;
use crate::heap;
use crate::output::{self, Sighting};

/// What must be the same for addresses to mean what they meant, and for files to be what they were.
#[derive(Debug, Clone)]
pub(super) struct Process {
    /// Which start of the system it was: what that had not written by its end may be lost.
    pub(super) boot: Vec<u8>,
    /// The program that runs, as a file.
    pub(super) program: Sighting,
    /// Where it stands.
    pub(super) address: u64,
}

impl Process {
    pub(super) fn this() -> Result<Process, NoState> {
        let unsupported = |what: &str| NoState::Unsupported(what.to_owned());
        let address = heap::program_address()
            .ok_or_else(|| unsupported("the program does not stand at a fixed address"))?;
        let stat = rustix::fs::stat("/proc/self/exe")
            .map_err(|_| unsupported("the program cannot be told from others without /proc"))?;
        let boot = output::boot_id()
            .map_err(|_| unsupported("one start of the system cannot be told from another"))?;
        Ok(Process {
            program: Sighting::of_stat(&stat),
            address: address as u64,
            boot,
        })
    }

    /// This is a process of the program that wrote the state, before the system was started anew.
    pub(super) fn expect(&self, wrote: &Process) -> Result<(), NoState> {
        if wrote.address != self.address || !wrote.program.is_still(&self.program) {
            return Err(NoState::OtherProgram);
        }
        match wrote.boot == self.boot {
            true => Ok(()),
            false => Err(NoState::OtherBoot),
        }
    }
}
