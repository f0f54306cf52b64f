//! Tells most declarations apart from a few: what is asked once for each of very many relocations.

use crate::program::DeclId;

/// A few declarations, by the last bits of their numbers.
pub(super) struct DeclFilter([u64; 4]);

impl DeclFilter {
    pub(super) fn of(decls: impl IntoIterator<Item = DeclId>) -> DeclFilter {
        let mut bits = [0; 4];
        for id in decls {
            let bit = id.index() % 256;
            bits[bit / 64] |= 1 << (bit % 64);
        }
        DeclFilter(bits)
    }

    /// Whether a declaration may be one of them; of those that are not, few may.
    #[inline]
    pub(super) fn may_have(&self, id: DeclId) -> bool {
        let bit = id.index() % 256;
        self.0[bit / 64] >> (bit % 64) & 1 != 0
    }
}
