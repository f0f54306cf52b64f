//! Steps that are linked by a process each, which goes on with what the one before has kept.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use wasmend::inspect;
use wasmend::link::{Access, LinkOptions, Linked, Target};

use super::{Seen, same};

/// An output that is linked again and again by processes that end.
pub struct OneShot {
    arguments: Vec<String>,
    output: PathBuf,
}

impl OneShot {
    pub fn new(arguments: &[String], folder: &Path) -> OneShot {
        let output = folder.join("one-shot.wasm");
        let own = format!("-o{}", output.display());
        OneShot {
            arguments: [arguments, &[own]].concat(),
            output,
        }
    }

    /// Links what the files are now.
    pub fn follow(
        &mut self,
        theirs: &Result<Vec<u8>, String>,
        folder: &Path,
        seen: &mut Seen,
    ) -> Result<(), String> {
        let before = fs::read(&self.output).ok();
        let mut command = Command::new(env!("CARGO_BIN_EXE_wasmend"));
        command.args(["--verbose", "ld"]).args(&self.arguments);
        let ran = command.env("WASMEND_STATE", "1").output().unwrap();
        let said = String::from_utf8_lossy(&ran.stderr).into_owned();
        let is_resumed = !said.contains("all is linked:");
        seen.resumed += usize::from(is_resumed && ran.status.success());
        if said.contains("no state was kept") || said.contains("panicked") {
            return Err(said);
        }
        match (ran.status.success(), theirs) {
            (false, Err(_)) => match fs::read(&self.output).ok() == before {
                true => Ok(()),
                false => Err(format!("a link that failed has changed the output: {said}")),
            },
            (false, Ok(_)) => Err(format!("only wasmend refuses it: {said}")),
            (true, Err(theirs)) => Err(format!("only wasm-ld refuses it: {theirs}")),
            (true, Ok(theirs)) => {
                let ours = fs::read(&self.output).unwrap();
                same(&ours, theirs, true, folder, seen)?;
                let options = LinkOptions::parse(&self.arguments).unwrap();
                let (fresh, _) = Linked::link(options, Access::Read, Target::Memory)
                    .map_err(|failed| format!("not linked anew: {failed}"))?;
                let report = inspect::verify(&ours, &fresh.bytes().unwrap()).unwrap();
                match report.differences.first() {
                    None => Ok(()),
                    Some(difference) => Err(format!("not what a fresh link is: {difference}")),
                }
            }
        }
    }
}
