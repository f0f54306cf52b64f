//! What tells builds apart at a glance: a hash of each function's body and one of all the rest. Where only bodies differ,
//! only those have to be looked at.

use wasmparser::{Parser, Payload};

use crate::whole::customs::goes_wrong;

/// The hashes of a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Print {
    /// Everything but code and what is dropped in any case: while it stays the same, so does what every index means.
    frame: [u8; 32],
    /// Each function's body, in order.
    bodies: Vec<[u8; 16]>,
}

impl Print {
    /// The hashes of a build; `None` if it cannot be parsed. It need not be valid.
    pub(crate) fn of(build: &[u8]) -> Option<Print> {
        let mut frame = blake3::Hasher::new();
        let mut bodies = Vec::new();
        for payload in Parser::new(0).parse_all(build) {
            match payload.ok()? {
                Payload::CodeSectionStart { .. } => {
                    frame.update(b"code");
                }
                Payload::CodeSectionEntry(body) => {
                    let mut hash = [0; 16];
                    let mut hasher = blake3::Hasher::new();
                    hasher.update(body.as_bytes());
                    hasher.finalize_xof().fill(&mut hash);
                    bodies.push(hash);
                }
                Payload::CustomSection(section) if goes_wrong(section.name()) => {
                    frame.update(section.name().as_bytes());
                }
                other => {
                    if let Some((id, range)) = other.as_section() {
                        let bytes = build.get(range.start as usize..range.end as usize)?;
                        frame.update(&[id]);
                        frame.update(&(bytes.len() as u64).to_le_bytes());
                        frame.update(bytes);
                    }
                }
            }
        }
        Some(Print {
            frame: *frame.finalize().as_bytes(),
            bodies,
        })
    }

    /// Makes it that of a build in which only these bodies differ.
    pub(crate) fn take_bodies(&mut self, of: &Print, changed: &[u32]) {
        for at in changed {
            self.bodies[*at as usize] = of.bodies[*at as usize];
        }
    }

    /// Which bodies differ from an earlier build's, if nothing else does.
    pub(crate) fn changed_bodies(&self, before: &Print) -> Option<Vec<u32>> {
        if self.frame != before.frame || self.bodies.len() != before.bodies.len() {
            return None;
        }
        let pairs = self.bodies.iter().zip(&before.bodies).enumerate();
        let changed = pairs.filter(|(_, (new, old))| new != old);
        Some(changed.map(|(at, _)| at as u32).collect())
    }
}
