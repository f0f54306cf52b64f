//! Hash tables whose hashes are the same in every process: a table that one process keeps in its heap is found again by
//! another (`heap`), and everything that goes through a table does so in the same order.
//!
//! They are for names and numbers of programs, which nobody chooses to make a table slow.

/// A map; see the [module](self).
pub(crate) type HashMap<K, V, S = foldhash::fast::FixedState> = hashbrown::HashMap<K, V, S>;
/// A set; see the [module](self).
pub(crate) type HashSet<T, S = foldhash::fast::FixedState> = hashbrown::HashSet<T, S>;

/// The hash of some bytes.
pub(crate) fn hash_of(bytes: &[u8]) -> u64 {
    let mut hasher = foldhash::fast::FixedState::default().build_hasher();
    hasher.write(bytes);
    hasher.finish()
}

use std::hash::{BuildHasher, Hasher};

pub(crate) use hashbrown::HashTable;
pub(crate) use hashbrown::hash_map::Entry;
