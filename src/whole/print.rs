//! What tells builds apart at a glance: a hash of each function's body and one of all the rest. Where only bodies differ,
//! only those have to be looked at.
//!
//! A hash of a small body costs many times its bytes, so that bodies also have one in common for each group of them: of a build
//! that is like the one before, those are all that is made, and single ones where they differ.

use std::ops::Range;

use rayon::prelude::*;
use wasmparser::{Parser, Payload};

use crate::whole::customs::goes_wrong;

/// So many bodies have a hash in common.
const GROUP: usize = 64;

/// The hashes of a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Print {
    /// Everything but code and what is dropped in any case: while it stays the same, so does what every index means.
    frame: [u8; 32],
    /// Those of groups of bodies.
    groups: Vec<[u8; 32]>,
    /// Each function's body, in order.
    bodies: Vec<[u8; 16]>,
}

/// A build, as far as it takes to see where it differs from one before.
pub(crate) struct Sketch<'a> {
    build: &'a [u8],
    frame: [u8; 32],
    groups: Vec<[u8; 32]>,
    /// Where each body stands.
    bodies: Vec<Range<usize>>,
}

impl<'a> Sketch<'a> {
    /// Looks at a build; `None` if it cannot be parsed. It need not be valid.
    pub(crate) fn of(build: &'a [u8]) -> Option<Sketch<'a>> {
        let mut frame = blake3::Hasher::new();
        let mut bodies = Vec::new();
        for payload in Parser::new(0).parse_all(build) {
            match payload.ok()? {
                Payload::CodeSectionStart { .. } => {
                    frame.update(b"code");
                }
                Payload::CodeSectionEntry(body) => {
                    let range = body.range();
                    bodies.push(range.start as usize..range.end as usize);
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
        let groups = bodies.chunks(GROUP).map(|group| {
            let (first, last) = (group.first()?, group.last()?);
            let mut hasher = blake3::Hasher::new();
            // With what stands between them, which says how long they are, but for the first.
            hasher.update(&(first.len() as u64).to_le_bytes());
            hasher.update(build.get(first.start..last.end)?);
            Some(*hasher.finalize().as_bytes())
        });
        Some(Sketch {
            build,
            frame: *frame.finalize().as_bytes(),
            groups: groups.collect::<Option<Vec<[u8; 32]>>>()?,
            bodies,
        })
    }

    fn hash_of(&self, body: usize) -> [u8; 16] {
        let mut hash = [0; 16];
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.build[self.bodies[body].clone()]);
        hasher.finalize_xof().fill(&mut hash);
        hash
    }
}

impl Print {
    /// The hashes of a build.
    pub(crate) fn of(sketch: &Sketch<'_>) -> Print {
        let bodies = (0..sketch.bodies.len()).into_par_iter();
        Print {
            frame: sketch.frame,
            groups: sketch.groups.clone(),
            bodies: bodies.map(|body| sketch.hash_of(body)).collect(),
        }
    }

    /// Makes it that of a build in which only these bodies differ.
    pub(crate) fn take_bodies(&mut self, sketch: &Sketch<'_>, changed: &[u32]) {
        for body in changed {
            self.bodies[*body as usize] = sketch.hash_of(*body as usize);
        }
        // What is not written is not changed, for whoever keeps it.
        let pairs = self.groups.iter_mut().zip(&sketch.groups);
        for (old, new) in pairs.filter(|(old, new)| old != new) {
            *old = *new;
        }
    }

    /// Which bodies are others in a build, if nothing else is.
    pub(crate) fn changed_bodies(&self, sketch: &Sketch<'_>) -> Option<Vec<u32>> {
        if self.frame != sketch.frame || self.bodies.len() != sketch.bodies.len() {
            return None;
        }
        let pairs = self.groups.iter().zip(&sketch.groups).enumerate();
        let groups = pairs.filter(|(_, (old, new))| old != new);
        let bodies = groups.flat_map(|(group, _)| {
            let first = group * GROUP;
            first..self.bodies.len().min(first + GROUP)
        });
        let changed = bodies.filter(|body| self.bodies[*body] != sketch.hash_of(*body));
        Some(changed.map(|body| body as u32).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A module of so many functions, each of which returns its number and what is added to it.
    fn build(functions: u32, added: impl Fn(u32) -> u32) -> Vec<u8> {
        let bodies = (0..functions).map(|at| {
            let number = added(at);
            format!("(func (result i32) (i32.const {number}))")
        });
        let text = bodies.collect::<Vec<String>>().join("\n");
        wat::parse_str(format!("(module {text})")).unwrap()
    }

    #[test]
    fn the_bodies_that_differ_are_found_wherever_they_stand() {
        for functions in [1, 63, 64, 65, 200] {
            let before = build(functions, |at| at);
            let before = Print::of(&Sketch::of(&before).unwrap());
            for changed in [
                vec![],
                vec![0],
                vec![functions - 1],
                (0..functions).collect::<Vec<u32>>(),
                (0..functions).step_by(7).collect(),
            ] {
                // Shorter and longer ones.
                let change = |at| at + if changed.contains(&at) { 90 } else { 0 };
                let now = build(functions, change);
                let sketch = Sketch::of(&now).unwrap();
                assert_eq!(before.changed_bodies(&sketch), Some(changed.clone()));
                let mut taken = before.clone();
                taken.take_bodies(&sketch, &changed);
                assert_eq!(taken, Print::of(&sketch));
            }
            let more = build(functions + 1, |at| at);
            assert_eq!(before.changed_bodies(&Sketch::of(&more).unwrap()), None);
        }
    }
}
