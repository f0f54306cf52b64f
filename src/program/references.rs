//! The reference index: for each declaration, which others refer to it.
//!
//! It holds sources, not places: the places are in the sources' own relocations. It is brought up to date at a
//! commit, never at an edit. Each definition of a source adds entries of its own, with a number; those of earlier
//! definitions are stale. They are told by their numbers when a list is used, without a look into the source, and pruned
//! when they may outnumber the rest.
//!
//! What pieces of custom sections refer to is kept apart: it keeps nothing alive, and most questions are not about it.

use smallvec::SmallVec;

use crate::hash::HashMap;
use crate::program::declaration::{DeclKind, Declaration};
use crate::program::ids::DeclId;
use crate::program::store::Program;

/// For each declaration, the declarations that may refer to it.
#[derive(Debug, Clone, Default)]
pub(crate) struct References {
    strong: Index,
    /// Sources that are pieces of custom sections.
    weak: Index,
    seen: Seen,
    /// Of each source that was defined since the last rebuild, the number of its last definition.
    latest: HashMap<DeclId, u32, foldhash::fast::FixedState>,
    definitions: u32,
}

/// Sources by target.
#[derive(Debug, Clone, Default)]
struct Index {
    /// `sources[starts[target]..starts[target + 1]]`: as of the last rebuild.
    starts: Vec<u32>,
    sources: Vec<DeclId>,
    /// What has come since, by target.
    added: HashMap<DeclId, Added, foldhash::fast::FixedState>,
}

#[derive(Debug, Clone, Default)]
struct Added {
    /// Each with the number of the definition that refers to the target.
    sources: SmallVec<[(DeclId, u32); 4]>,
    prune_at: usize,
}

/// Which targets a source has been seen to refer to, without clearing a table for each source.
#[derive(Debug, Clone, Default)]
struct Seen {
    by: Vec<u32>,
    round: u32,
}

impl Seen {
    /// Begins with the next source.
    fn next(&mut self) {
        self.round = self.round.wrapping_add(1);
        if self.round == 0 {
            self.by.fill(0);
            self.round = 1;
        }
    }

    /// Whether this is the first time for a target.
    fn is_new(&mut self, target: DeclId) -> bool {
        if self.by.len() <= target.index() {
            self.by.resize(target.index() + 1, 0);
        }
        std::mem::replace(&mut self.by[target.index()], self.round) != self.round
    }
}

impl Index {
    /// The index of pairs of a source and a target, which `each` goes through twice.
    fn build(targets: usize, mut each: impl FnMut(&mut dyn FnMut(DeclId, DeclId))) -> Index {
        let mut starts = vec![0u32; targets + 1];
        each(&mut |_, target| {
            // A piece may still name what has just gone, behind all that is left.
            if target.index() + 1 >= starts.len() {
                starts.resize(target.index() + 2, 0);
            }
            starts[target.index()] += 1;
        });
        let mut total = 0;
        for start in &mut starts {
            total += *start;
            *start = total;
        }
        let mut sources = vec![DeclId(0); total as usize];
        each(&mut |source, target| {
            let at = &mut starts[target.index()];
            *at -= 1;
            sources[*at as usize] = source;
        });
        Index {
            starts,
            sources,
            added: HashMap::default(),
        }
    }

    /// The sources as of the last rebuild.
    fn base(&self, target: DeclId) -> &[DeclId] {
        match (
            self.starts.get(target.index()),
            self.starts.get(target.index() + 1),
        ) {
            (Some(&start), Some(&end)) => &self.sources[start as usize..end as usize],
            _ => &[],
        }
    }

    fn all(&self, target: DeclId) -> SmallVec<[DeclId; 8]> {
        let mut sources: SmallVec<[DeclId; 8]> = SmallVec::from_slice(self.base(target));
        if let Some(added) = self.added.get(&target) {
            sources.extend(added.sources.iter().map(|(source, _)| *source));
        }
        sources.sort_unstable();
        sources.dedup();
        sources
    }
}

impl References {
    /// The index of what holds as of the last commit.
    pub(crate) fn of_current(program: &Program) -> Self {
        let targets = program.capacity();
        let strong = || Index::build(targets, |f| each_pair(program, f));
        let mut seen = Seen::default();
        let weak = || match program.sections().is_empty() {
            true => Index::default(),
            false => Index::build(targets, |f| each_weak_pair(program, &mut seen, f)),
        };
        let (strong, weak) = rayon::join(strong, weak);
        References {
            strong,
            weak,
            seen,
            latest: HashMap::default(),
            definitions: 0,
        }
    }

    /// Notes what `source` refers to now.
    pub(crate) fn add(&mut self, program: &Program, source: DeclId) {
        let decl = program.decl(source);
        self.definitions += 1;
        self.latest.insert(source, self.definitions);
        let Some(definition) = decl.current() else {
            return;
        };
        let relocs = definition.content.relocs().iter();
        let targets = relocs.filter_map(|reloc| reloc.decl());
        if decl.kind == DeclKind::Custom {
            self.seen.next();
            for target in targets {
                if self.seen.is_new(target) {
                    self.add_weak(source, target);
                }
            }
            return;
        }
        let mut last = None;
        for target in targets {
            if last != Some(target) {
                self.add_strong(source, target);
                last = Some(target);
            }
        }
    }

    /// Notes what pieces refer to beside what they referred to.
    pub(crate) fn add_targets(&mut self, pairs: &[(DeclId, DeclId)]) {
        for (source, target) in pairs {
            self.add_weak(*source, *target);
        }
    }

    fn add_strong(&mut self, source: DeclId, target: DeclId) {
        let entry = (source, self.definitions);
        let added = self.strong.added.entry(target).or_default();
        if added.sources.last() == Some(&entry) {
            return;
        }
        added.sources.push(entry);
        if added.sources.len() > added.prune_at.max(16) {
            added.sources.sort_unstable();
            added.sources.dedup();
            let latest = &self.latest;
            added
                .sources
                .retain(|(source, definition)| latest.get(source) == Some(definition));
            added.prune_at = 2 * added.sources.len();
        }
    }

    /// Few pieces refer to one declaration, and they are long: to look for the source is faster than to look into it.
    fn add_weak(&mut self, source: DeclId, target: DeclId) {
        if self.weak.base(target).contains(&source) {
            return;
        }
        let added = self.weak.added.entry(target).or_default();
        if added.sources.iter().all(|(other, _)| *other != source) {
            added.sources.push((source, self.definitions));
        }
    }

    /// The sources that refer to `target` with their current definitions, sorted; without pieces of custom sections.
    pub(crate) fn of(&self, program: &Program, target: DeclId) -> SmallVec<[DeclId; 8]> {
        let base = self.strong.base(target).iter().copied();
        let base = base.filter(|source| !self.latest.contains_key(source));
        let added = self.strong.added.get(&target);
        let added = added.into_iter().flat_map(|added| added.sources.iter());
        let added = added.filter(|(source, of)| self.latest.get(source) == Some(of));
        let all = base.chain(added.map(|(source, _)| *source));
        // A source can be gone, and its id that of something else which is not defined yet.
        let mut sources: SmallVec<[DeclId; 8]> = all
            .filter(|source| {
                let decl = program.get(*source);
                decl.is_some_and(|decl| decl.kind != DeclKind::Custom && decl.current().is_some())
            })
            .collect();
        sources.sort_unstable();
        sources.dedup();
        sources
    }

    /// The pieces of custom sections that may refer to `target` with their current definitions, sorted.
    pub(crate) fn weak(&self, program: &Program, target: DeclId) -> SmallVec<[DeclId; 8]> {
        let mut sources = self.weak.all(target);
        sources.retain(|source| {
            let decl = program.get(*source);
            decl.is_some_and(|decl| decl.kind == DeclKind::Custom)
        });
        sources
    }

    /// Forgets a declaration that is gone, so that its id can be used again.
    pub(crate) fn forget(&mut self, target: DeclId) {
        self.strong.added.remove(&target);
        self.weak.added.remove(&target);
    }
}

/// Calls `f` for each source and target, once for neighbouring relocations with the same target.
fn each_pair(program: &Program, f: &mut dyn FnMut(DeclId, DeclId)) {
    let is_source = |decl: &Declaration| !decl.is_orphan && decl.kind != DeclKind::Custom;
    for (source, decl) in program.iter() {
        let Some(definition) = decl.current().filter(|_| is_source(decl)) else {
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

/// Calls `f` for each piece of a custom section and what it refers to, once each.
fn each_weak_pair(program: &Program, seen: &mut Seen, f: &mut dyn FnMut(DeclId, DeclId)) {
    let pieces = program
        .iter()
        .filter(|(_, decl)| decl.kind == DeclKind::Custom);
    for (source, definition) in pieces.filter_map(|(id, decl)| Some((id, decl.current()?))) {
        seen.next();
        let relocs = definition.content.relocs().iter();
        for target in relocs.filter_map(|reloc| reloc.decl()) {
            if seen.is_new(target) {
                f(source, target);
            }
        }
    }
}
