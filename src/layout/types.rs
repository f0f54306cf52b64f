//! Types: extents of the type section, each a run of indices and of bytes, and the pools that own them.
//!
//! There is a shared pool, in which all types stand that a new layout needs. What an edit brings beyond that goes to a pool of the
//! declaration's own with `Types::PerDeclaration`, and to the shared one with `Types::Interned`. A type's index never
//! changes while its pool counts uses of it. Unused indices are filled with unused function types, whose
//! parameters take up odd bytes. Types that refer to other types always live in the shared pool, in extents of their
//! own behind what they refer to.

use smallvec::SmallVec;

use crate::program::{DeclId, Definition, TypeGroup, TypeId, TypeTable};
use crate::transaction::{Log, Saved, Transaction};
use crate::wire::leb;

/// An extent of the type section.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ExtentId(pub(crate) u32);

/// No type: the index is free.
const UNUSED: u32 = u32::MAX;
/// The index belongs to the group that began before it.
const CONTINUED: u32 = u32::MAX - 1;
/// Bytes of the smallest function type.
const SMALLEST: u32 = 3;
/// Parameters that an unused type may have: the engines' limit.
const MOST_PARAMS: u32 = 1000;
/// Types in an extent of the shared pool.
const SHARED_EXTENT: usize = 8;
/// How many bytes longer than what is put there a freed extent may be: an extent is written whole.
const MOST_WASTE: u32 = 48;
/// How many freed extents are looked at.
const SCAN: usize = 16;

/// A run of type indices and the bytes that define them.
#[derive(Debug, Clone)]
pub(crate) struct Extent {
    /// The first index.
    pub(crate) first: u32,
    /// Offset of the bytes from the section's anchor, and their number.
    pub(crate) offset: u32,
    pub(crate) len: u32,
    /// What each index holds: a type, or one of the marks above.
    entries: SmallVec<[u32; 4]>,
}

impl Extent {
    /// How many indices it has.
    pub(crate) fn count(&self) -> u32 {
        self.entries.len() as u32
    }

    /// How many of its indices hold no type.
    pub(crate) fn unused(&self) -> u32 {
        self.entries
            .iter()
            .filter(|entry| **entry == UNUSED)
            .count() as u32
    }
}

#[derive(Debug, Clone, Copy)]
struct PoolEntry {
    ty: TypeId,
    index: u32,
    uses: u32,
}

/// The types that one declaration has for itself.
#[derive(Debug, Clone, Default)]
struct Pool {
    extents: SmallVec<[ExtentId; 1]>,
    entries: SmallVec<[PoolEntry; 2]>,
}

/// The whole type section.
#[derive(Debug, Clone, Default)]
pub(crate) struct TypeSpace {
    interned: bool,
    dense: bool,
    extents: Log<Extent>,
    /// Pools of declarations, by id.
    pools: Log<Pool>,
    /// The shared pool, by type.
    shared: Log<Option<(u32, u32)>>,
    /// Extents of the shared pool that have unused indices.
    shared_open: Log<ExtentId>,
    free: Log<ExtentId>,
    counts: Saved<Counts>,
    /// Extents whose bytes must be written.
    pub(crate) touched: Vec<ExtentId>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    indices: u32,
    /// Entries of the section's vector: a group of several types is one.
    entries: u32,
    end: u32,
}

/// How many more uses of a type a pool has, by type.
pub(crate) type UseDeltas = SmallVec<[(TypeId, i32); 8]>;

/// Adds `by` for each type that a definition uses.
pub(crate) fn add_uses(uses: &mut UseDeltas, definition: &Definition, by: i32) {
    for ty in definition.types() {
        match uses.iter_mut().find(|(other, _)| *other == ty) {
            Some((_, count)) => *count += by,
            None => uses.push((ty, by)),
        }
    }
}

impl TypeSpace {
    pub(crate) fn new(interned: bool, dense: bool) -> Self {
        TypeSpace {
            interned,
            dense,
            ..TypeSpace::default()
        }
    }

    /// Lays out the type of functions that nobody calls, at the first index, for good.
    pub(crate) fn add_dead_type(&mut self, ty: TypeId) {
        self.push_extent(SmallVec::from_slice(&[ty.0]), SMALLEST);
    }

    /// The index of the type of functions that nobody calls.
    pub(crate) fn dead_type(&self) -> u32 {
        0
    }

    /// How many type indices there are.
    pub(crate) fn count(&self) -> u32 {
        self.counts.indices
    }

    /// How many entries the section's vector has.
    pub(crate) fn entries(&self) -> u32 {
        self.counts.entries
    }

    /// Offset behind the last extent, from the anchor.
    pub(crate) fn end_offset(&self) -> u32 {
        self.counts.end
    }

    pub(crate) fn extent(&self, id: ExtentId) -> &Extent {
        &self.extents[id.0 as usize]
    }

    pub(crate) fn extents(&self) -> &[Extent] {
        &self.extents
    }

    /// The first type of each group, in the order of the section, where there are no unused indices.
    pub(crate) fn groups(&self) -> impl Iterator<Item = TypeId> + '_ {
        let entries = self.extents.iter().flat_map(|extent| &extent.entries);
        let types = entries.filter(|entry| !matches!(**entry, UNUSED | CONTINUED));
        types.map(|ty| TypeId(*ty))
    }

    /// The index of a type of the shared pool.
    pub(crate) fn shared_index(&self, ty: TypeId) -> Option<u32> {
        let shared = self.shared.get(ty.index()).copied().flatten();
        shared.map(|(index, _)| index)
    }

    /// Whether uses of a type by `root` are counted in the shared pool: where it stands there, unless the declaration has had it
    /// for itself before.
    fn is_shared(&self, table: &TypeTable, root: DeclId, ty: TypeId) -> bool {
        self.interned
            || !table.group_of(ty).is_simple()
            || (self.own_index(root, ty).is_none() && self.shared_index(ty).is_some())
    }

    fn own_index(&self, root: DeclId, ty: TypeId) -> Option<u32> {
        let pool = self.pools.get(root.index())?;
        let entry = pool.entries.iter().find(|entry| entry.ty == ty);
        entry.map(|entry| entry.index)
    }

    /// The index of a type as `root` sees it. The type must have been counted.
    pub(crate) fn index(&self, root: DeclId, ty: TypeId) -> Option<u32> {
        self.own_index(root, ty).or_else(|| self.shared_index(ty))
    }

    /// Adds to the uses of types in a new layout, where all are shared. `None` if the section is full.
    pub(crate) fn count_shared_uses(
        &mut self,
        table: &TypeTable,
        uses: &[(TypeId, i32)],
    ) -> Option<()> {
        let mut uses = uses.iter();
        uses.try_for_each(|&(ty, count)| self.count_shared(table, ty, count))
    }

    /// Changes how often `root` uses types; gives new ones an index and frees those no longer used. `spare` is how
    /// many unused types to add when a new extent is needed. `None` if the section is full.
    pub(crate) fn count_uses(
        &mut self,
        table: &TypeTable,
        root: DeclId,
        deltas: &[(TypeId, i32)],
        spare: u32,
    ) -> Option<()> {
        while self.pools.len() <= root.index() && !self.interned {
            self.pools.push(Pool::default());
        }
        let mut missing: SmallVec<[(TypeId, u32); 4]> = SmallVec::new();
        let mut pool = None;
        for &(ty, delta) in deltas {
            if delta == 0 {
                continue;
            }
            if self.is_shared(table, root, ty) {
                self.count_shared(table, ty, delta)?;
                continue;
            }
            let pool = pool.get_or_insert_with(|| self.pools[root.index()].clone());
            match pool.entries.iter_mut().find(|entry| entry.ty == ty) {
                Some(entry) => {
                    entry.uses = entry
                        .uses
                        .checked_add_signed(delta)
                        .expect("uses are counted")
                }
                None => missing.push((ty, u32::try_from(delta).expect("uses are counted"))),
            }
        }
        let Some(mut pool) = pool else {
            return Some(());
        };
        for at in (0..pool.entries.len()).rev() {
            if pool.entries[at].uses == 0 {
                let entry = pool.entries.swap_remove(at);
                self.release(&pool.extents, entry.index);
            }
        }
        // What goes into extents that the pool has already, then one new extent for the rest.
        missing.retain(|&mut (ty, uses)| {
            let placed = pool
                .extents
                .iter()
                .find_map(|extent| self.place_in(table, *extent, ty));
            if let Some(index) = placed {
                pool.entries.push(PoolEntry { ty, index, uses });
            }
            placed.is_none()
        });
        if !missing.is_empty() {
            let types: SmallVec<[TypeId; 4]> = missing.iter().map(|(ty, _)| *ty).collect();
            let extent = self.new_extent(table, &types, spare)?;
            let first = self.extent(extent).first;
            pool.extents.push(extent);
            for (at, (ty, uses)) in missing.into_iter().enumerate() {
                pool.entries.push(PoolEntry {
                    ty,
                    index: first + at as u32,
                    uses,
                });
            }
        }
        if pool.entries.is_empty() {
            for extent in std::mem::take(&mut pool.extents) {
                self.free.push(extent);
            }
        }
        self.pools.set(root.index(), pool);
        Some(())
    }

    /// Adds to the uses of shared types, in the order of their definition, for a declaration that is being laid out in
    /// bulk or edited.
    fn count_shared(&mut self, table: &TypeTable, ty: TypeId, delta: i32) -> Option<()> {
        while self.shared.len() < table.len() {
            self.shared.push(None);
        }
        let group = table.group_of(ty);
        let first = group.first;
        match self.shared[ty.index()] {
            Some((index, uses)) => {
                let uses = uses.checked_add_signed(delta).expect("uses are counted");
                self.shared.set(ty.index(), Some((index, uses)));
                // Groups that others may refer to stay; so do their indices.
                if uses == 0 && group.is_simple() {
                    self.shared.set(ty.index(), None);
                    let at = self.extents.partition_point(|extent| extent.first <= index) - 1;
                    let id = ExtentId(at as u32);
                    self.release(&[id], index);
                    if self.extent(id).unused() == 1 {
                        self.shared_open.push(id);
                    }
                }
                Some(())
            }
            None if group.is_simple() => {
                let index = self.place_shared(table, ty)?;
                self.shared.set(
                    ty.index(),
                    Some((index, u32::try_from(delta).expect("uses are counted"))),
                );
                Some(())
            }
            None => {
                for dependency in group.content.relocs().iter().filter_map(|reloc| reloc.ty()) {
                    if self
                        .shared
                        .get(dependency.index())
                        .copied()
                        .flatten()
                        .is_none()
                    {
                        self.count_shared(table, dependency, 0)?;
                    }
                    let (index, uses) = self.shared[dependency.index()]?;
                    self.shared.set(dependency.index(), Some((index, uses + 1)));
                }
                let len = group.content.len() as u32;
                let mut entries: SmallVec<[u32; 4]> =
                    SmallVec::from_elem(CONTINUED, group.len as usize);
                entries[0] = first.0;
                let index = self.counts.indices;
                self.push_extent(entries, len)?;
                for at in 0..group.len {
                    self.shared
                        .set(first.index() + at as usize, Some((index + at, 0)));
                }
                let (index, uses) = self.shared[ty.index()]?;
                self.shared
                    .set(ty.index(), Some((index, uses.checked_add_signed(delta)?)));
                Some(())
            }
        }
    }

    fn place_shared(&mut self, table: &TypeTable, ty: TypeId) -> Option<u32> {
        let open = self
            .shared_open
            .iter()
            .enumerate()
            .rev()
            .take(SCAN)
            .map(|(at, id)| (at, *id));
        for (at, id) in open.collect::<SmallVec<[_; SCAN]>>() {
            if let Some(index) = self.place_in(table, id, ty) {
                if self.extent(id).unused() == 0 {
                    self.shared_open.swap_remove(at);
                }
                return Some(index);
            }
        }
        let id = self.new_extent(
            table,
            &[ty],
            if self.dense {
                0
            } else {
                SHARED_EXTENT as u32 - 1
            },
        )?;
        self.shared_open.push(id);
        Some(self.extent(id).first)
    }

    /// Puts a type at an unused index of an extent, if its bytes fit.
    fn place_in(&mut self, table: &TypeTable, id: ExtentId, ty: TypeId) -> Option<u32> {
        let extent = self.extent(id);
        let at = extent.entries.iter().position(|entry| *entry == UNUSED)?;
        let mut entries = extent.entries.clone();
        entries[at] = ty.0;
        slack(table, &entries, extent.len)?;
        let extent = Extent {
            entries,
            ..extent.clone()
        };
        let index = extent.first + at as u32;
        self.extents.set(id.0 as usize, extent);
        self.touched.push(id);
        Some(index)
    }

    /// Makes an index unused.
    fn release(&mut self, extents: &[ExtentId], index: u32) {
        for &id in extents {
            let extent = self.extent(id);
            if (extent.first..extent.first + extent.count()).contains(&index) {
                let mut extent = extent.clone();
                extent.entries[(index - extent.first) as usize] = UNUSED;
                self.extents.set(id.0 as usize, extent);
                self.touched.push(id);
                return;
            }
        }
    }

    /// An extent that holds `types` at its first indices and has `spare` unused ones.
    fn new_extent(&mut self, table: &TypeTable, types: &[TypeId], spare: u32) -> Option<ExtentId> {
        let mut entries: SmallVec<[u32; 4]> = types.iter().map(|ty| ty.0).collect();
        let used: u32 = types.iter().map(|ty| simple_len(table, *ty)).sum();
        let free = self
            .free
            .iter()
            .enumerate()
            .rev()
            .take(SCAN)
            .map(|(at, id)| (at, *id));
        for (at, id) in free.collect::<SmallVec<[_; SCAN]>>() {
            let extent = self.extent(id);
            if extent.entries.len() < entries.len() || extent.len > used + MOST_WASTE {
                continue;
            }
            let mut filled = entries.clone();
            filled.resize(extent.entries.len(), UNUSED);
            if slack(table, &filled, extent.len).is_some() {
                self.free.swap_remove(at);
                let extent = Extent {
                    entries: filled,
                    ..self.extent(id).clone()
                };
                self.extents.set(id.0 as usize, extent);
                self.touched.push(id);
                return Some(id);
            }
        }
        // Room for spare types of a common size, within what unused types can take up.
        let len = used + spare * 6;
        entries.resize(types.len() + spare as usize, UNUSED);
        self.push_extent(entries, len)
    }

    fn push_extent(&mut self, entries: SmallVec<[u32; 4]>, len: u32) -> Option<ExtentId> {
        let id = ExtentId(self.extents.len() as u32);
        let (first, offset) = (self.counts.indices, self.counts.end);
        self.counts.indices = first.checked_add(entries.len() as u32)?;
        self.counts.entries += entries.iter().filter(|entry| **entry != CONTINUED).count() as u32;
        self.counts.end = offset.checked_add(len)?;
        self.extents.push(Extent {
            first,
            offset,
            len,
            entries,
        });
        self.touched.push(id);
        Some(id)
    }

    /// Writes an extent's bytes to `out`, which is as long as the extent.
    pub(crate) fn encode(&self, table: &TypeTable, extent: &Extent, out: &mut [u8]) {
        let mut slack =
            slack(table, &extent.entries, extent.len).expect("checked when it was placed");
        let mut at = 0;
        for (position, &entry) in extent.entries.iter().enumerate() {
            at += match entry {
                UNUSED => {
                    let extra = slack.min(MOST_PARAMS);
                    encode_unused(&mut out[at..], extra);
                    slack -= extra;
                    (SMALLEST + extra) as usize
                }
                CONTINUED => 0,
                ty => {
                    let group = table.group_of(TypeId(ty));
                    if group.is_simple() {
                        // Unused types take up slack with less to decode; they come first if there are any.
                        let extra = if extent.entries.contains(&UNUSED) || !is_paddable(group) {
                            0
                        } else {
                            slack.min(8)
                        };
                        slack -= extra;
                        encode_padded(group.content.bytes(), extra, &mut out[at..])
                    } else {
                        self.encode_group(
                            table,
                            TypeId(ty),
                            extent.first + position as u32,
                            &mut out[at..],
                        )
                    }
                }
            };
        }
        debug_assert_eq!((at, slack), (out.len(), 0));
    }

    fn encode_group(&self, table: &TypeTable, ty: TypeId, index: u32, out: &mut [u8]) -> usize {
        use crate::program::RelocKind;
        let group = table.group_of(ty);
        let len = group.content.len();
        out[..len].copy_from_slice(group.content.bytes());
        let mut put = |offset: u32, kind: RelocKind, index: u32| {
            let field = &mut out[offset as usize..][..kind.width()];
            match kind {
                RelocKind::HeapType => leb::write_signed(field, i64::from(index)),
                _ => leb::write_unsigned(field, u64::from(index)),
            }
        };
        for reloc in group.content.relocs() {
            let target = reloc.ty().expect("types refer to types only");
            let (target, _) =
                self.shared[target.index()].expect("laid out before what refers to it");
            put(reloc.offset, reloc.kind, target);
        }
        for &(offset, kind, member) in &group.own {
            put(offset, kind, index + member);
        }
        len
    }

    fn each(&mut self, mut f: impl FnMut(&mut dyn Transaction)) {
        f(&mut self.extents);
        f(&mut self.pools);
        f(&mut self.shared);
        f(&mut self.shared_open);
        f(&mut self.free);
        f(&mut self.counts);
    }
}

impl Transaction for TypeSpace {
    fn begin(&mut self) {
        self.touched.clear();
        self.each(|part| part.begin());
    }

    fn commit(&mut self) {
        self.each(|part| part.commit());
    }

    fn rollback(&mut self) {
        self.each(|part| part.rollback());
    }
}

fn simple_len(table: &TypeTable, ty: TypeId) -> u32 {
    table.group_of(ty).content.len() as u32
}

/// Bytes that an extent of `len` bytes has left with these entries, or `None` if they cannot be taken up.
fn slack(table: &TypeTable, entries: &[u32], len: u32) -> Option<u32> {
    let (mut used, mut unused, mut paddable) = (0, 0, 0);
    for &entry in entries {
        match entry {
            UNUSED => {
                used += SMALLEST;
                unused += 1;
            }
            CONTINUED => {}
            ty => {
                let group = table.group_of(TypeId(ty));
                used += group.content.len() as u32;
                paddable += u32::from(is_paddable(group));
            }
        }
    }
    let slack = len.checked_sub(used)?;
    let takes_up = if unused > 0 {
        unused * MOST_PARAMS
    } else {
        paddable * 8
    };
    (slack <= takes_up).then_some(slack)
}

/// Writes a function type without results that is `extra` bytes longer than the smallest one.
fn encode_unused(out: &mut [u8], extra: u32) {
    // A second byte of the count takes up space too; with 127 parameters it is not needed, but valid.
    let count = 1 + usize::from(extra > 127);
    let params = extra as usize + 1 - count;
    out[0] = 0x60;
    leb::write_unsigned(&mut out[1..1 + count], params as u64);
    out[1 + count..][..params].fill(0x7f);
    out[1 + count + params] = 0;
}

/// Whether both counts of a type are of one byte, so that [`encode_padded`] can widen them.
fn is_paddable(group: &TypeGroup) -> bool {
    let bytes = group.content.bytes();
    let params = bytes[1];
    group.is_simple() && params < 0x80 && bytes[2 + usize::from(params)] < 0x80
}

/// Writes a function type whose counts are `extra` bytes longer than they need be; returns its length.
fn encode_padded(bytes: &[u8], extra: u32, out: &mut [u8]) -> usize {
    if extra == 0 {
        out[..bytes.len()].copy_from_slice(bytes);
        return bytes.len();
    }
    // Only types with counts of one byte are padded: see `is_paddable`.
    let params = bytes[1] as usize;
    let results = bytes[2 + params] as usize;
    let first = extra.min(4) as usize;
    let second = extra as usize - first;
    out[0] = 0x60;
    leb::write_unsigned(&mut out[1..2 + first], params as u64);
    out[2 + first..][..params].copy_from_slice(&bytes[2..2 + params]);
    let at = 2 + first + params;
    leb::write_unsigned(&mut out[at..=at + second], results as u64);
    out[at + second + 1..][..results].copy_from_slice(&bytes[3 + params..]);
    bytes.len() + extra as usize
}
