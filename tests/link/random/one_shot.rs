//! Steps that are linked by a process each, which goes on with what the one before has kept, or asks a process that stays.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use wasmend::link::{Access, LinkOptions, Linked, Target};

use super::{Seen, same};

/// An output that is linked again and again by processes that end, and what one that does not end makes of the same files.
pub struct OneShot {
    arguments: Vec<String>,
    /// Whether a process stays that links for the others.
    stays: bool,
    output: PathBuf,
    lasting: Option<Linked>,
    /// What has changed since that was last up to date.
    stale: Vec<PathBuf>,
    /// The numbers of all versions so far.
    own_ids: Vec<Vec<u8>>,
    their_ids: Vec<Vec<u8>>,
}

impl OneShot {
    pub fn new(arguments: &[String], folder: &Path, stays: bool) -> OneShot {
        let output = folder.join("one-shot.wasm");
        let own = format!("-o{}", output.display());
        OneShot {
            arguments: [arguments, &[own]].concat(),
            stays,
            output,
            lasting: None,
            stale: Vec::new(),
            own_ids: Vec::new(),
            their_ids: Vec::new(),
        }
    }

    /// Links what the files are now.
    pub fn follow(
        &mut self,
        changed: &[PathBuf],
        theirs: &Result<Vec<u8>, String>,
        folder: &Path,
        seen: &mut Seen,
    ) -> Result<(), String> {
        let before = fs::read(&self.output).ok();
        let mut command = Command::new(env!("CARGO_BIN_EXE_wasmend"));
        command.args(["--verbose", "ld"]).args(&self.arguments);
        let how = match self.stays {
            true => "WASMEND_DAEMON",
            false => "WASMEND_STATE",
        };
        command.env(how, "1").env("WASMEND_DAEMON_IDLE", "3");
        let ran = command.output().unwrap();
        let said = String::from_utf8_lossy(&ran.stderr).into_owned();
        let is_resumed = !said.contains("all is linked:");
        seen.resumed += usize::from(is_resumed && ran.status.success());
        // Nothing changes while it is linked: what is kept of files that are others by now has to be enough.
        const WRONG: [&str; 4] = [
            "no state was kept",
            "panicked",
            "no other process links",
            "was changed while it was being linked",
        ];
        if WRONG.iter().any(|wrong| said.contains(wrong)) {
            return Err(said);
        }
        match (ran.status.success(), theirs) {
            (false, Err(_)) => {
                self.stale.extend(changed.iter().cloned());
                match fs::read(&self.output).ok() == before {
                    true => Ok(()),
                    false => Err(format!("a link that failed has changed the output: {said}")),
                }
            }
            (false, Ok(_)) => Err(format!("only wasmend refuses it: {said}")),
            (true, Err(theirs)) => Err(format!("only wasm-ld refuses it: {theirs}")),
            (true, Ok(theirs)) => {
                let ours = fs::read(&self.output).unwrap();
                same(&ours, theirs, true, folder, seen)?;
                let lasting = self.lasting_bytes(is_resumed, changed)?;
                let lasting = without_ids(lasting, &mut self.their_ids);
                let ours = without_ids(ours, &mut self.own_ids);
                let both = lasting.iter().zip(&ours);
                let first = both.take_while(|(theirs, ours)| theirs == ours).count();
                if lasting != ours {
                    fs::write(folder.join("ended.wasm"), &ours).unwrap();
                    fs::write(folder.join("lasting.wasm"), &lasting).unwrap();
                }
                match lasting == ours {
                    true => Ok(()),
                    false => Err(format!(
                        "not what a process that lasts makes of it: {} and {} bytes, from {first} ({}) on",
                        ours.len(),
                        lasting.len(),
                        section_at(&ours, first),
                    )),
                }
            }
        }
    }

    /// What a process makes of the files that lasts for as long as others go on with what those before them kept.
    fn lasting_bytes(&mut self, is_resumed: bool, changed: &[PathBuf]) -> Result<Vec<u8>, String> {
        let failed = |failed| format!("the process that lasts: {failed}");
        self.stale.extend(changed.iter().cloned());
        match &mut self.lasting {
            Some(linked) if is_resumed => {
                linked.update(&self.stale).map_err(failed)?;
            }
            _ => {
                let options = LinkOptions::parse(&self.arguments).unwrap();
                let linked = Linked::link(options, Access::Read, Target::Memory);
                self.lasting = Some(linked.map_err(failed)?.0);
            }
        }
        self.stale.clear();
        Ok(self
            .lasting
            .as_ref()
            .expect("there is one")
            .bytes()
            .unwrap())
    }
}

impl Drop for OneShot {
    /// A process that stays may still be saving, in a folder that is about to be removed.
    fn drop(&mut self) {
        if self.stays {
            let mut command = Command::new(env!("CARGO_BIN_EXE_wasmend"));
            // Where nothing was linked there is nothing to clean; if one is left, the folder cannot be removed.
            let _ = command.arg("clean").arg(&self.output).output();
        }
    }
}

/// What stands before an identity.
const NAME: &[u8] = b"\x07wasmend\x02\0\0\0";

/// The bytes without the numbers of versions, of which this one's stands last; those before may be left where nothing means anything.
/// They are hashes of what was written, and a process that does not have the bytes of an object before writes more. Pads, in which parts of
/// them are left, mean nothing.
fn without_ids(mut bytes: Vec<u8>, ids: &mut Vec<Vec<u8>>) -> Vec<u8> {
    ids.push(bytes[bytes.len() - 16..].to_vec());
    for (name, range) in sections(&bytes) {
        if name == "pad" {
            bytes[range].fill(0);
        }
    }
    // What has been written over the end of one has left its beginning, behind the section's name and 16 bytes more; what over its
    // beginning, its end.
    for at in 0..bytes.len() - NAME.len() {
        if bytes[at..].starts_with(NAME) {
            let start = (at + NAME.len() + 16).min(bytes.len());
            let end = (start + 16).min(bytes.len());
            bytes[start..end].fill(0);
        }
    }
    for id in ids {
        for end in 4..=bytes.len() {
            let same = bytes[..end].iter().rev().zip(id.iter().rev());
            let same = same.take_while(|(left, of_id)| left == of_id).count();
            if same >= 4 {
                bytes[end - same..end].fill(0);
            }
        }
    }
    bytes
}

/// The contents of all sections, with the names of those that have one.
fn sections(bytes: &[u8]) -> Vec<(String, std::ops::Range<usize>)> {
    let payloads = wasmparser::Parser::new(0).parse_all(bytes);
    let sections = payloads.filter_map(|payload| {
        let payload = payload.expect("it was validated");
        let (number, range) = payload.as_section()?;
        let range = range.start as usize..range.end as usize;
        Some(match payload {
            wasmparser::Payload::CustomSection(custom) => {
                let start = custom.data_offset() as usize;
                (custom.name().to_owned(), start..range.end)
            }
            _ => (number.to_string(), range),
        })
    });
    sections.collect()
}

fn section_at(bytes: &[u8], at: usize) -> String {
    let found = sections(bytes);
    let found = found.into_iter().find(|(_, range)| range.contains(&at));
    found.map_or_else(
        || "between sections".to_owned(),
        |(name, range)| format!("{name}, {}", at - range.start),
    )
}
