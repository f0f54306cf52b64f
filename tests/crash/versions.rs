//! Versions of a file that tell by themselves whether they are whole, and the scripts of the crash tests.
//!
//! A version ends in its generation and a checksum over all else, so any mixture of two versions shows.

// Each test uses a part of this.
#![allow(dead_code)]

use wasmend::output::{Durability, Output, Publish};
use wasmend::{RangeList, Reason, Result};

/// Generation and checksum, at the end of the file.
const TRAILER: usize = 8 + 32;

/// The generation of a version, if it is whole.
pub fn generation(contents: &[u8]) -> Option<u64> {
    let (body, sum) = contents.split_at_checked(contents.len().checked_sub(32)?)?;
    if blake3::hash(body).as_bytes() != sum {
        return None;
    }
    Some(u64::from_le_bytes(
        body[body.len() - 8..].try_into().unwrap(),
    ))
}

fn seal(contents: &mut [u8], generation: u64) {
    let sum_at = contents.len() - 32;
    contents[sum_at - 8..sum_at].copy_from_slice(&generation.to_le_bytes());
    let sum = blake3::hash(&contents[..sum_at]);
    contents[sum_at..].copy_from_slice(sum.as_bytes());
}

/// A whole version.
pub fn whole(len: usize, generation: u64) -> Vec<u8> {
    let mut contents: Vec<u8> = (0..len)
        .map(|place| (place % 251) as u8 ^ generation as u8)
        .collect();
    seal(&mut contents, generation);
    contents
}

/// The patch to the next version, of `new_len` bytes: three places all over the file, and the trailer.
pub fn patch(contents: &mut Vec<u8>, generation: u64, new_len: usize) -> RangeList {
    let mut patch = RangeList::new(contents.len() as u64);
    let tail = new_len.min(contents.len()) - TRAILER;
    contents.resize(new_len, 0);
    let third = tail / 3;
    for (part, len) in [300, 16, 8].into_iter().enumerate() {
        let offset =
            part * third + (generation as usize).wrapping_mul(2_654_435_761) % (third - len);
        contents[offset..offset + len].fill(generation as u8);
        patch.push(offset as u64, &contents[offset..offset + len], Reason::Data);
    }
    // From where the nearer of the old and the new trailer begins. A long tail stays a hole.
    contents[tail..].fill(0);
    seal(contents, generation);
    let old_trailer = tail..(tail + TRAILER).min(new_len);
    let new_trailer = new_len - TRAILER..new_len;
    if old_trailer.end <= new_trailer.start {
        patch.push(
            old_trailer.start as u64,
            &contents[old_trailer],
            Reason::Identity,
        );
        patch.push(
            new_trailer.start as u64,
            &contents[new_trailer],
            Reason::Identity,
        );
    } else {
        patch.push(tail as u64, &contents[tail..], Reason::Identity);
    }
    patch.finish(new_len as u64);
    patch
}

/// One publishing, by the length of the version that it publishes.
#[derive(Debug, Clone, Copy)]
pub enum Op {
    Whole(usize),
    Patch(usize),
}

/// The contents that an operation leads to, and the patch if it is one.
pub fn run(op: Op, contents: &mut Vec<u8>, generation: u64) -> Option<RangeList> {
    match op {
        Op::Whole(len) => {
            *contents = whole(len, generation);
            None
        }
        Op::Patch(len) => Some(patch(contents, generation, len)),
    }
}

pub fn publish_whole(output: &mut Output, contents: &[u8]) -> Result<()> {
    output.publish_whole(contents.len() as u64, |bytes| {
        bytes.copy_from_slice(contents);
        Ok(())
    })
}

/// A writer's doings, the last of which is the one under fire.
#[derive(Debug)]
pub struct Script {
    pub name: &'static str,
    pub publish: Publish,
    pub durability: Durability,
    pub ops: &'static [Op],
    /// Whether somebody keeps what was visible two versions ago open.
    pub reader: bool,
}

impl Script {
    /// What the file holds before the last operation, if it exists by then, and after it.
    pub fn before_and_after(&self) -> (Option<Vec<u8>>, Vec<u8>) {
        let mut contents = Vec::new();
        let mut before = None;
        for (generation, op) in self.ops.iter().enumerate() {
            before = (generation > 0).then(|| contents.clone());
            run(*op, &mut contents, generation as u64);
        }
        (before, contents)
    }
}

const fn atomic(name: &'static str, ops: &'static [Op]) -> Script {
    Script {
        name,
        publish: Publish::Atomic,
        durability: Durability::ProcessKill,
        ops,
        reader: false,
    }
}

const fn in_place(name: &'static str, ops: &'static [Op]) -> Script {
    Script {
        publish: Publish::InPlace,
        ..atomic(name, ops)
    }
}

const fn power(script: Script) -> Script {
    Script {
        durability: Durability::Power,
        ..script
    }
}

use Op::{Patch, Whole};

pub const SCRIPTS: &[Script] = &[
    atomic("atomic-create", &[Whole(40_000)]),
    atomic("atomic-relink", &[Whole(40_000), Whole(50_000)]),
    atomic(
        "atomic-relink-with-shadow",
        &[Whole(40_000), Patch(40_000), Whole(50_000)],
    ),
    atomic("atomic-first-patch", &[Whole(40_000), Patch(40_000)]),
    atomic(
        "atomic-exchange",
        &[Whole(40_000), Patch(40_000), Patch(40_000)],
    ),
    atomic(
        "atomic-grow",
        &[Whole(40_000), Patch(41_000), Patch(60_000)],
    ),
    atomic(
        "atomic-shrink",
        &[Whole(40_000), Patch(39_000), Patch(30_000)],
    ),
    Script {
        reader: true,
        ..atomic(
            "atomic-reader",
            &[Whole(40_000), Patch(40_000), Patch(40_000), Patch(40_000)],
        )
    },
    in_place("in-place-first-patch", &[Whole(40_000), Patch(40_000)]),
    in_place(
        "in-place-patch",
        &[Whole(40_000), Patch(40_000), Patch(40_000)],
    ),
    in_place(
        "in-place-grow",
        &[Whole(40_000), Patch(41_000), Patch(60_000)],
    ),
    in_place(
        "in-place-shrink",
        &[Whole(40_000), Patch(39_000), Patch(30_000)],
    ),
    in_place(
        "in-place-relink",
        &[Whole(40_000), Patch(40_000), Whole(50_000)],
    ),
    power(atomic(
        "atomic-relink-power",
        &[Whole(40_000), Whole(50_000)],
    )),
    power(atomic(
        "atomic-first-patch-power",
        &[Whole(40_000), Patch(40_000)],
    )),
    power(atomic(
        "atomic-exchange-power",
        &[Whole(40_000), Patch(40_000), Patch(40_000)],
    )),
    power(in_place(
        "in-place-first-patch-power",
        &[Whole(40_000), Patch(40_000)],
    )),
    power(in_place(
        "in-place-grow-power",
        &[Whole(40_000), Patch(41_000), Patch(60_000)],
    )),
];
