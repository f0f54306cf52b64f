//! Build ids: the same for the same inputs and options, whatever has been patched in between.

use std::sync::Arc;

use rayon::prelude::*;

use crate::kept::Compare;
use crate::link::command::options::{BuildId, LinkOptions};
use crate::link::inputs::Inputs;
use crate::object::Input;

/// Hashes of inputs, kept for those that stay as they are.
#[derive(Debug, Default)]
pub(in crate::link) struct BuildIds {
    /// In the order of the inputs.
    known: Vec<(Arc<Input>, blake3::Hash)>,
    /// A random number, if one was asked for: the same for as long as the output is patched.
    random: Option<[u8; 16]>,
}

impl BuildIds {
    /// The bytes of the build id; none if there is to be none.
    pub(in crate::link) fn bytes(&mut self, inputs: &Inputs, options: &LinkOptions) -> Vec<u8> {
        let len = match &options.build_id {
            BuildId::None => return Vec::new(),
            BuildId::Bytes(bytes) => return bytes.clone(),
            BuildId::Uuid => return self.random().to_vec(),
            BuildId::Fast => 16,
            BuildId::Sha1 => 20,
        };
        let known = &self.known;
        let hashes: Vec<(Arc<Input>, blake3::Hash)> = inputs
            .inputs()
            .enumerate()
            .collect::<Vec<_>>()
            .into_par_iter()
            .map(|(at, input)| {
                let known = known.get(at).filter(|(known, _)| Arc::ptr_eq(known, input));
                let hash = known.map_or_else(|| blake3::hash(input.bytes()), |(_, hash)| *hash);
                (input.clone(), hash)
            })
            .collect();
        let mut hasher = blake3::Hasher::new();
        // Where the output goes and how much is said on the way makes no difference to it.
        let said = LinkOptions {
            output: Default::default(),
            response_files: Vec::new(),
            map: None,
            why_extract: None,
            trace: false,
            verbose: false,
            stats: false,
            threads: None,
            compare: Compare::default(),
            ..options.clone()
        };
        hasher.update(format!("{said:?}").as_bytes());
        for (_, hash) in &hashes {
            hasher.update(hash.as_bytes());
        }
        self.known = hashes;
        hasher.finalize().as_bytes()[..len].to_vec()
    }

    fn random(&mut self) -> [u8; 16] {
        *self.random.get_or_insert_with(|| {
            // The standard library's hash maps are seeded by the operating system.
            use std::hash::{BuildHasher, RandomState};
            let mut bytes = [0; 16];
            bytes[..8].copy_from_slice(&RandomState::new().hash_one(0).to_le_bytes());
            bytes[8..].copy_from_slice(&RandomState::new().hash_one(1).to_le_bytes());
            // Version 4, variant 1 of RFC 9562.
            bytes[6] = bytes[6] & 0x0f | 0x40;
            bytes[8] = bytes[8] & 0x3f | 0x80;
            bytes
        })
    }
}
