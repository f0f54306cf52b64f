//! The reference index: for each declaration, which others refer to it.
//!
//! It holds sources, not places: the places are in the sources' own relocations. It is brought up to date at a
//! commit, never at an edit. Entries can be stale (the source has been redefined since); they are filtered when
//! a list is used and pruned when stale ones may outnumber the rest.

use hashbrown::HashMap;
use smallvec::SmallVec;

use crate::program::ids::DeclId;
use crate::program::store::Program;

/// For each declaration, the declarations that may refer to it.
#[derive(Debug, Default)]
pub(crate) struct References {
    /// `sources[starts[target]..starts[target + 1]]`: as of the last rebuild.
    starts: Vec<u32>,
    sources: Vec<DeclId>,
    /// What has come since, by target.
    added: HashMap<DeclId, Added, foldhash::fast::FixedState>,
}

#[derive(Debug, Default)]
struct Added {
    sources: SmallVec<[DeclId; 4]>,
    prune_at: usize,
}

impl References {
    /// The index of what holds after the next commit.
    pub(crate) fn of_next(program: &Program) -> Self {
        let targets = program.capacity();
        let mut starts = vec![0u32; targets + 1];
        each_pair(program, |_, target| starts[target.index()] += 1);
        let mut total = 0;
        for start in &mut starts {
            total += *start;
            *start = total;
        }
        let mut sources = vec![DeclId(0); total as usize];
        each_pair(program, |source, target| {
            let at = &mut starts[target.index()];
            *at -= 1;
            sources[*at as usize] = source;
        });
        References {
            starts,
            sources,
            added: HashMap::default(),
        }
    }

    /// Notes that `source` refers to `target` now.
    pub(crate) fn add(&mut self, program: &Program, source: DeclId, target: DeclId) {
        let added = self.added.entry(target).or_default();
        if added.sources.last() == Some(&source) {
            return;
        }
        added.sources.push(source);
        if added.sources.len() > added.prune_at.max(16) {
            added.sources.sort_unstable();
            added.sources.dedup();
            added
                .sources
                .retain(|source| refers_to(program, *source, target));
            added.prune_at = 2 * added.sources.len();
        }
    }

    /// The sources that refer to `target` with their current definitions, sorted.
    pub(crate) fn of(&self, program: &Program, target: DeclId) -> SmallVec<[DeclId; 8]> {
        let base = match (
            self.starts.get(target.index()),
            self.starts.get(target.index() + 1),
        ) {
            (Some(&start), Some(&end)) => &self.sources[start as usize..end as usize],
            _ => &[],
        };
        let mut sources: SmallVec<[DeclId; 8]> = SmallVec::from_slice(base);
        if let Some(added) = self.added.get(&target) {
            sources.extend_from_slice(&added.sources);
        }
        sources.sort_unstable();
        sources.dedup();
        sources.retain(|source| refers_to(program, *source, target));
        sources
    }

    /// Forgets a declaration that is gone, so that its id can be used again.
    pub(crate) fn forget(&mut self, target: DeclId) {
        self.added.remove(&target);
    }
}

fn refers_to(program: &Program, source: DeclId, target: DeclId) -> bool {
    program
        .get(source)
        .and_then(|decl| decl.current.as_ref())
        .is_some_and(|definition| {
            definition
                .content
                .relocs()
                .iter()
                .any(|reloc| reloc.decl() == Some(target))
        })
}

/// Calls `f` for each source and target, once for neighbouring relocations with the same target.
fn each_pair(program: &Program, mut f: impl FnMut(DeclId, DeclId)) {
    for (source, decl) in program.iter() {
        let Some(definition) = decl.next().filter(|_| !decl.remains) else {
            continue;
        };
        let mut last = None;
        for target in definition
            .content
            .relocs()
            .iter()
            .filter_map(|reloc| reloc.decl())
        {
            if last != Some(target) {
                f(source, target);
                last = Some(target);
            }
        }
    }
}
