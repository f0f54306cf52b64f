//! Which declaration of a build is which of the build before: by import, by export, by name, by equal content, and at last
//! by position between neighbours that are known.
//!
//! A wrong guess costs bytes, never correctness: every declaration is defined as the new build has it. Segments go by
//! position alone, because their order is the order in which they are applied.

use std::hash::{BuildHasher, Hash, Hasher};

use crate::hash::HashMap;
use crate::program::{DeclId, DeclKind, Definition, Program, RelocatableBytes, Relocation, TypeId};
use crate::whole::decode::Decoded;
use crate::whole::spaces::{ImportNames, Item, SPACES, space, target_space};

/// A declaration of the build before.
#[derive(Debug, Clone)]
pub(crate) struct KnownItem {
    pub(crate) id: DeclId,
    pub(crate) import: Option<ImportNames>,
}

/// What is known of the build before; its definitions and names are the program's.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known {
    /// The index spaces, in the order of [`SPACES`].
    pub(crate) spaces: [Vec<KnownItem>; 7],
    pub(crate) exports: HashMap<Box<str>, DeclId, foldhash::fast::FixedState>,
    /// The ids of its types, by index.
    pub(crate) types: Vec<TypeId>,
}

/// Which old declaration each new one is, and the reverse, by index space.
#[derive(Debug, Default)]
pub(crate) struct Matching {
    pub(crate) old_of: [Vec<Option<u32>>; 7],
    pub(crate) new_of: [Vec<Option<u32>>; 7],
}

/// Finds out which declaration is which.
pub(crate) fn match_builds(known: &Known, program: &Program, new: &Decoded) -> Matching {
    let mut matcher = Matcher::new(known, program, new);
    matcher.segments();
    matcher.imports();
    matcher.exports();
    matcher.names();
    matcher.content();
    matcher.skeletons();
    matcher.content();
    matcher.positions();
    matcher.matching
}

/// How often equal content is looked for; each time more of what it refers to is known.
const ROUNDS: usize = 8;
/// Gaps of up to this many pairs are aligned by type.
const MOST_PAIRS: usize = 1 << 16;

type Hashes<K> = HashMap<K, (Vec<u32>, Vec<u32>), foldhash::fast::FixedState>;

struct Matcher<'a> {
    known: &'a Known,
    program: &'a Program,
    new: &'a Decoded,
    /// Position of a declaration in its index space, by id.
    old_position: Vec<u32>,
    hasher: foldhash::fast::FixedState,
    matching: Matching,
}

impl<'a> Matcher<'a> {
    fn new(known: &'a Known, program: &'a Program, new: &'a Decoded) -> Self {
        let mut old_position = vec![u32::MAX; program.capacity()];
        for items in &known.spaces {
            for (at, item) in items.iter().enumerate() {
                old_position[item.id.index()] = at as u32;
            }
        }
        Matcher {
            known,
            program,
            new,
            old_position,
            hasher: foldhash::fast::FixedState::default(),
            matching: Matching {
                old_of: std::array::from_fn(|space| vec![None; new.spaces[space].len()]),
                new_of: std::array::from_fn(|space| vec![None; known.spaces[space].len()]),
            },
        }
    }

    fn old(&self, space: usize, at: u32) -> Option<&'a Definition> {
        let item = &self.known.spaces[space][at as usize];
        self.program.get(item.id)?.current()
    }

    fn old_name(&self, space: usize, at: u32) -> Option<&'a str> {
        let item = &self.known.spaces[space][at as usize];
        self.program.get(item.id)?.given_name()
    }

    fn item(&self, space: usize, at: u32) -> &'a Item {
        &self.new.spaces[space][at as usize]
    }

    fn is_free(&self, space: usize, old: u32, new: u32) -> bool {
        self.matching.new_of[space][old as usize].is_none()
            && self.matching.old_of[space][new as usize].is_none()
    }

    /// Takes two for the same, unless either is taken or it cannot be.
    fn pair(&mut self, space: usize, old: u32, new: u32) -> bool {
        if !self.is_free(space, old, new) {
            return false;
        }
        let Some(before) = self.old(space, old) else {
            return false;
        };
        let after = &self.item(space, new).definition;
        let types = &self.program.types;
        // Whether calls can be passed on decides whether there is a thunk.
        let passed_on = |definition: &Definition| {
            SPACES[space] == DeclKind::Function
                && definition.ty().is_some_and(|ty| types.can_pass_on(ty))
        };
        if before.is_import() != after.is_import() || passed_on(before) != passed_on(after) {
            return false;
        }
        self.matching.new_of[space][old as usize] = Some(new);
        self.matching.old_of[space][new as usize] = Some(old);
        true
    }

    fn free_old(&self, space: usize) -> impl Iterator<Item = u32> + use<> {
        free(&self.matching.new_of[space])
    }

    fn free_new(&self, space: usize) -> impl Iterator<Item = u32> + use<> {
        free(&self.matching.old_of[space])
    }

    /// Pairs those that have the same key, in order, if there are as many on both sides or `any_number` will do.
    fn pair_equal<K>(&mut self, space: usize, keys: Hashes<K>, any_number: bool) -> bool {
        let mut pairs: Vec<(u32, u32)> = Vec::new();
        for (old, new) in keys.into_values() {
            if any_number || old.len() == new.len() {
                pairs.extend(old.into_iter().zip(new));
            }
        }
        let mut progress = false;
        for (old, new) in pairs {
            progress |= self.pair(space, old, new);
        }
        progress
    }

    fn segments(&mut self) {
        for kind in [DeclKind::ElementSegment, DeclKind::DataSegment] {
            let space = space(kind).unwrap_or_default();
            let count = self.known.spaces[space]
                .len()
                .min(self.new.spaces[space].len());
            for at in 0..count as u32 {
                self.pair(space, at, at);
            }
        }
    }

    fn imports(&mut self) {
        for space in 0..SPACES.len() {
            let mut keys = Hashes::default();
            for (at, item) in self.known.spaces[space].iter().enumerate() {
                if let Some(import) = &item.import {
                    keys.entry(import).or_default().0.push(at as u32);
                }
            }
            for (at, item) in self.new.spaces[space].iter().enumerate() {
                if let Some(import) = &item.import {
                    keys.entry(import).or_default().1.push(at as u32);
                }
            }
            self.pair_equal(space, keys, true);
        }
    }

    fn exports(&mut self) {
        for export in &self.new.exports {
            let Some(id) = self.known.exports.get(&export.name) else {
                continue;
            };
            let kind = self.program.get(*id).map(|decl| decl.kind);
            if kind == Some(SPACES[export.space])
                && let Some(old) = self.old_position.get(id.index())
            {
                self.pair(export.space, *old, export.index);
            }
        }
    }

    fn names(&mut self) {
        for space in 0..SPACES.len() {
            let mut keys = Hashes::default();
            for at in self.free_old(space) {
                if let Some(name) = self.old_name(space, at) {
                    keys.entry(name).or_default().0.push(at);
                }
            }
            for at in self.free_new(space) {
                if let Some(name) = self.item(space, at).name.as_deref() {
                    keys.entry(name).or_default().1.push(at);
                }
            }
            self.pair_equal(space, keys, false);
        }
    }

    /// Pairs what has equal content, as far as it is known what it refers to, until nothing more comes of it.
    fn content(&mut self) {
        for _ in 0..ROUNDS {
            let mut progress = false;
            for space in 0..SPACES.len() {
                let mut keys = Hashes::default();
                for at in self.free_old(space) {
                    if let Some(definition) = self.old(space, at) {
                        let hash = self.hash(definition, |reloc| {
                            let id = reloc.decl()?;
                            let space = target_space(reloc.kind)?;
                            let at = *self.old_position.get(id.index())?;
                            *self.matching.new_of[space].get(at as usize)?
                        });
                        keys.entry(hash).or_default().0.push(at);
                    }
                }
                if keys.is_empty() {
                    continue;
                }
                for at in self.free_new(space) {
                    let hash = self.hash(&self.item(space, at).definition, |reloc| {
                        let index = reloc.decl()?.0;
                        let space = target_space(reloc.kind)?;
                        self.matching.old_of[space][index as usize].map(|_| index)
                    });
                    keys.entry(hash).or_default().1.push(at);
                }
                progress |= self.pair_equal(space, keys, false);
            }
            if !progress {
                return;
            }
        }
    }

    /// A hash of what a definition says; `target` gives the new index of what a relocation refers to, if it is known.
    fn hash(&self, definition: &Definition, target: impl Fn(&Relocation) -> Option<u32>) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        definition.ty().hash(&mut hasher);
        let bytes = definition.content.bytes();
        bytes.len().hash(&mut hasher);
        let mut at = 0;
        for reloc in definition.content.relocs() {
            hasher.write(&bytes[at..reloc.offset as usize]);
            at = reloc.offset as usize + reloc.kind.width();
            (reloc.kind, reloc.ty(), target(reloc)).hash(&mut hasher);
        }
        hasher.write(&bytes[at..]);
        hasher.finish()
    }

    /// Pairs functions that do the same but for constants and for what they refer to.
    fn skeletons(&mut self) {
        let space = space(DeclKind::Function).unwrap_or_default();
        let mut keys = Hashes::default();
        for at in self.free_old(space) {
            let key = self.old(space, at).and_then(|old| self.skeleton(old));
            if let Some(key) = key {
                keys.entry(key).or_default().0.push(at);
            }
        }
        if keys.is_empty() {
            return;
        }
        for at in self.free_new(space) {
            if let Some(key) = self.skeleton(&self.item(space, at).definition) {
                keys.entry(key).or_default().1.push(at);
            }
        }
        self.pair_equal(space, keys, false);
    }

    fn skeleton(&self, definition: &Definition) -> Option<u64> {
        let mut hasher = self.hasher.build_hasher();
        definition.ty()?.hash(&mut hasher);
        let mut operators = body(&definition.content)?;
        while !operators.eof() {
            std::mem::discriminant(&operators.read().ok()?).hash(&mut hasher);
        }
        Some(hasher.finish())
    }

    /// Pairs what is left, gap by gap between neighbours that are known.
    fn positions(&mut self) {
        for space in 0..SPACES.len() {
            let count = self.new.spaces[space].len();
            let mut at = 0;
            while at < count {
                if self.matching.old_of[space][at].is_some() || self.is_import(space, at) {
                    at += 1;
                    continue;
                }
                let taken = |at: &usize| {
                    self.matching.old_of[space][*at].is_some() || self.is_import(space, *at)
                };
                let end = (at..count).find(taken).unwrap_or(count);
                let before = at
                    .checked_sub(1)
                    .and_then(|at| self.matching.old_of[space][at]);
                let behind = self.matching.old_of[space].get(end).copied().flatten();
                self.gap(space, at as u32..end as u32, before, behind);
                at = end;
            }
        }
    }

    fn is_import(&self, space: usize, at: usize) -> bool {
        self.new.spaces[space][at].import.is_some()
    }

    /// Pairs new declarations with the old ones that stand behind the old neighbour, or else before the next one.
    fn gap(
        &mut self,
        space: usize,
        new: std::ops::Range<u32>,
        before: Option<u32>,
        behind: Option<u32>,
    ) {
        let known = &self.known.spaces[space];
        let is_free = |at: &u32| {
            self.matching.new_of[space][*at as usize].is_none()
                && known[*at as usize].import.is_none()
        };
        let first = match before {
            Some(before) => before + 1,
            // The first that is not an import.
            None => known
                .iter()
                .take_while(|item| item.import.is_some())
                .count() as u32,
        };
        let mut old: Vec<u32> = (first..known.len() as u32).take_while(is_free).collect();
        if old.is_empty()
            && let Some(behind) = behind
        {
            old = (0..behind).rev().take_while(is_free).collect();
            old.reverse();
        }
        let new: Vec<u32> = new.collect();
        for (old, new) in self.align(space, &old, &new) {
            self.pair(space, old, new);
        }
    }

    /// A longest common subsequence by type; between its members the rest in order.
    fn align(&self, space: usize, old: &[u32], new: &[u32]) -> Vec<(u32, u32)> {
        let in_order = |old: &[u32], new: &[u32]| -> Vec<(u32, u32)> {
            old.iter().copied().zip(new.iter().copied()).collect()
        };
        if old.len() == new.len() || old.len() * new.len() > MOST_PAIRS {
            return in_order(old, new);
        }
        let key = |definition: &Definition| match definition.ty() {
            Some(ty) => u64::from(ty.0),
            None => definition
                .content
                .bytes()
                .iter()
                .take(2)
                .fold(0, |key, byte| key << 8 | u64::from(*byte)),
        };
        let old_keys: Vec<Option<u64>> =
            old.iter().map(|at| self.old(space, *at).map(key)).collect();
        let new_keys: Vec<Option<u64>> = new
            .iter()
            .map(|at| Some(key(&self.item(space, *at).definition)))
            .collect();
        let width = new.len() + 1;
        let mut longest = vec![0u32; (old.len() + 1) * width];
        for i in (0..old.len()).rev() {
            for j in (0..new.len()).rev() {
                longest[i * width + j] = if old_keys[i] == new_keys[j] {
                    longest[(i + 1) * width + j + 1] + 1
                } else {
                    longest[(i + 1) * width + j].max(longest[i * width + j + 1])
                };
            }
        }
        let (mut i, mut j) = (0, 0);
        let (mut from_i, mut from_j) = (0, 0);
        let mut pairs = Vec::new();
        while i < old.len() && j < new.len() {
            if old_keys[i] == new_keys[j] {
                pairs.extend(in_order(&old[from_i..i], &new[from_j..j]));
                pairs.push((old[i], new[j]));
                (i, j) = (i + 1, j + 1);
                (from_i, from_j) = (i, j);
            } else if longest[(i + 1) * width + j] >= longest[i * width + j + 1] {
                i += 1;
            } else {
                j += 1;
            }
        }
        pairs.extend(in_order(&old[from_i..], &new[from_j..]));
        pairs
    }
}

fn free(taken: &[Option<u32>]) -> impl Iterator<Item = u32> + use<> {
    let free: Vec<u32> = taken
        .iter()
        .enumerate()
        .filter(|(_, other)| other.is_none())
        .map(|(at, _)| at as u32)
        .collect();
    free.into_iter()
}

/// The instructions of a function's content. Its indices read as zeros.
fn body(content: &RelocatableBytes) -> Option<wasmparser::OperatorsReader<'_>> {
    let reader =
        wasmparser::BinaryReader::new_features(content.bytes(), 0, wasmparser::WasmFeatures::all());
    wasmparser::FunctionBody::new(reader)
        .get_operators_reader()
        .ok()
}
