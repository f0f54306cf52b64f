//! A module as it means, not as it is laid out: in an output of wasmend, thunks and forwarders are seen through, and the
//! table of slots, dead functions and unused globals are not seen.

use std::hash::{BuildHasher, Hash, Hasher};

use wasmparser::Operator;

use crate::error::{Error, Result};
use crate::hash::{HashMap, HashSet};
use crate::inspect::image::Image;
use crate::inspect::moved::Node;
use crate::program::emit::Style;
use crate::program::{
    DeclId, DeclKind, Definition, DefinitionKind, RelocKind, RelocatableBytes, Relocation, TypeId,
    TypeTable, is_live_name,
};
use crate::whole::decode::{Decoded, decode};
use crate::whole::spaces::{Item, SPACES, space, target_space};
use crate::wire::filler::{self, Role};
use crate::wire::leb;

/// Position of functions among the index spaces.
pub(super) const FUNCTIONS: usize = 0;
/// Position of globals.
pub(super) const GLOBALS: usize = 1;
/// Position of tables.
pub(super) const TABLES: usize = 2;
/// Position of memories.
pub(super) const MEMORIES: usize = 3;
/// Position of element segments.
pub(super) const ELEMENTS: usize = 5;
/// Position of data segments.
pub(super) const DATA: usize = 6;

/// A module and what of it counts.
pub(super) struct Side {
    pub(super) module: Decoded,
    /// Whether it is an output of wasmend.
    pub(super) is_output: bool,
    /// For each function, the one that a call of it runs.
    runs: Vec<u32>,
    /// What is not seen.
    hidden: [Vec<bool>; 7],
    /// The first export of each declaration, by its place in the list of exports.
    exported: HashMap<Node, usize>,
    /// Of an output whose data or functions' addresses wasmend has placed: which function has which slot. What a number
    /// in it means depends on where things stand.
    pub(super) slots: Option<HashMap<u32, u32>>,
}

impl Side {
    /// Takes a module apart. With `see_through`, an output of wasmend is seen as what it means.
    pub(super) fn of(bytes: &[u8], see_through: bool, types: &mut TypeTable) -> Result<Side> {
        let module = decode(bytes, Style::Canonical, types)?;
        let is_output = see_through && module.identity.is_some();
        let count = module.spaces[FUNCTIONS].len() as u32;
        let mut side = Side {
            hidden: std::array::from_fn(|space| vec![false; module.spaces[space].len()]),
            module,
            is_output,
            runs: (0..count).collect(),
            exported: HashMap::default(),
            slots: None,
        };
        if is_output {
            // What deltas reach an instance by is no part of the program.
            side.module
                .exports
                .retain(|export| !is_live_name(&export.name));
            side.see_through()?;
        }
        let mut own = side.module.own_segments.iter();
        if is_output && own.any(|node| !side.is_hidden(*node)) {
            let mut slots: HashMap<_, _> = HashMap::default();
            for at in side.seen(ELEMENTS) {
                let content = &side.item((ELEMENTS, at)).definition.content;
                let base = constant_place(content).map_or(0, |(_, base)| base);
                let functions = content.relocs().iter().skip(1).map(|reloc| reloc.target);
                slots.extend((base..u32::MAX).zip(functions));
            }
            side.slots = Some(slots);
        }
        let exports = side.module.exports.iter().enumerate();
        let exports = exports.map(|(at, export)| (side.meant((export.space, export.index)), at));
        side.exported = exports.rev().collect();
        Ok(side)
    }

    pub(super) fn item(&self, (space, index): Node) -> &Item {
        &self.module.spaces[space][index as usize]
    }

    pub(super) fn is_hidden(&self, (space, index): Node) -> bool {
        self.hidden[space][index as usize]
    }

    /// The name of a declaration's first export.
    pub(super) fn export(&self, node: Node) -> Option<&str> {
        let at = *self.exported.get(&node)?;
        Some(&self.module.exports[at].name)
    }

    /// All that is seen of an index space, in order.
    pub(super) fn seen(&self, space: usize) -> impl Iterator<Item = u32> + '_ {
        (0..self.module.spaces[space].len() as u32).filter(move |at| !self.is_hidden((space, *at)))
    }

    /// What an index means: for a thunk or forwarder, the function that it calls.
    pub(super) fn meant(&self, (space, index): Node) -> Node {
        if space == FUNCTIONS {
            (space, self.runs[index as usize])
        } else {
            (space, index)
        }
    }

    /// What stands in memory 0 when the module begins.
    pub(super) fn image(&self) -> Image<'_> {
        let memory = self.module.spaces[MEMORIES].first();
        let (memory, is_64) = memory.map_or((0, false), |memory| match memory.definition.shape {
            DefinitionKind::Memory {
                minimum_bytes,
                is_64,
            } => (minimum_bytes, is_64),
            _ => (u64::from(u32::MAX), false),
        });
        let segments = self.module.spaces[DATA].iter();
        let parts = segments.filter_map(|item| constant_data(&item.definition.content));
        let mut parts: Vec<(u64, &[u8])> = parts.filter(|(_, bytes)| !bytes.is_empty()).collect();
        parts.sort_unstable();
        Image {
            parts,
            word: if is_64 { 8 } else { 4 },
            memory,
        }
    }

    /// Notes which function has which slot, if all that a linker places stands at constant places. Then numbers are compared
    /// by what they name, and the places are not.
    pub(super) fn see_places(&mut self) {
        let is_at_constant = |item: &Item| {
            let content = &item.definition.content;
            constant_data(content).is_some() || content.bytes().first() == Some(&1)
        };
        let is_linked = self.module.spaces[DATA].iter().all(is_at_constant);
        if !is_linked || self.slots.is_some() {
            return;
        }
        let mut slots: HashMap<_, _> = HashMap::default();
        for at in self.seen(ELEMENTS) {
            let content = &self.item((ELEMENTS, at)).definition.content;
            if let Some((0, base)) = constant_place(content) {
                let functions = content.relocs().iter().skip(1).map(|reloc| reloc.target);
                slots.extend((base..u32::MAX).zip(functions));
            }
        }
        self.slots = Some(slots);
    }

    /// Whether a declaration only says where what has been placed stands: the function table's limits and entries, and data.
    pub(super) fn is_place(&self, node: Node) -> bool {
        let content = &self.item(node).definition.content;
        match node.0 {
            TABLES => self.item(node).import.is_none(),
            ELEMENTS => constant_place(content).is_some(),
            DATA => constant_data(content).is_some(),
            _ => false,
        }
    }

    /// What a relocation refers to, unless it is a type.
    pub(super) fn target(&self, reloc: &Relocation) -> Option<Node> {
        let space = target_space(reloc.kind)?;
        Some(self.meant((space, reloc.target)))
    }

    /// Whether a global is like those that wasmend fills space with.
    pub(super) fn is_filler_global(&self, index: u32) -> bool {
        let content = &self.item((GLOBALS, index)).definition.content;
        let bytes = content.bytes();
        // `i32`, `i64` or `v128`, constant, zero, or a sum of zeros.
        let sum = |zero: &[u8]| {
            let mut adds = zero.chunks_exact(3);
            adds.all(|add| add == [0x41, 0, 0x6a]) && adds.remainder().is_empty()
        };
        let zero = matches!(bytes, [0x7f, 0, 0x41, 0, adds @ .., 0x0b] if sum(adds))
            || bytes == [0x7e, 0, 0x42, 0, 0x0b]
            || (bytes.len() == 21
                && bytes.starts_with(&[0x7b, 0, 0xfd, 0x0c])
                && bytes[4..20].iter().all(|byte| *byte == 0));
        content.relocs().is_empty() && zero
    }

    fn see_through(&mut self) -> Result<()> {
        let functions = &self.module.spaces[FUNCTIONS];
        // What each thunk calls through: its table and slot.
        let mut thunks: Vec<(u32, u32, u32)> = Vec::new();
        // Slots that nothing but a thunk uses.
        let mut idle: HashSet<u32> = HashSet::default();
        for (at, item) in functions.iter().enumerate() {
            let Some(role) = item.role else {
                continue;
            };
            self.hidden[FUNCTIONS][at] = true;
            let content = &item.definition.content;
            match role {
                Role::Dead => {}
                Role::Forwarder => {
                    let call = content.relocs().iter().find(|r| r.kind == RelocKind::Call);
                    let call = call.ok_or_else(|| broken("forwarder", at))?;
                    self.runs[at] = call.target;
                }
                Role::Thunk | Role::AddressThunk => {
                    let through = slot_of(content).ok_or_else(|| broken("thunk", at))?;
                    thunks.push((at as u32, through.0, through.1));
                    if role == Role::Thunk {
                        idle.insert(through.1);
                    }
                }
            }
        }
        let table = match thunks.first() {
            Some((_, table, _)) => Some(*table),
            None => self.idle_slot_table(),
        };
        if let Some(table) = table {
            let slots = self.slots_of(table);
            for (thunk, _, slot) in thunks.iter().filter(|(_, other, _)| *other == table) {
                let function = slots.get(slot);
                let function = function.ok_or_else(|| broken("thunk", *thunk as usize))?;
                self.runs[*thunk as usize] = *function;
            }
            self.hide_slot_table(table);
        }
        let thunked = thunks.first().map(|(_, table, _)| *table);
        for at in 0..self.module.spaces[ELEMENTS].len() {
            self.drop_idle_slots(at, |table, slot| {
                Some(table) == thunked && idle.contains(&slot)
            });
        }
        for at in 0..self.runs.len() {
            let mut to = self.runs[at];
            // A thunk's slot or a forwarder names the body; more than that nothing here ever needs.
            for _ in 0..8 {
                let next = self.runs[to as usize];
                if next == to {
                    break;
                }
                to = next;
            }
            self.runs[at] = to;
        }
        Ok(())
    }

    /// Which function stands in each slot.
    fn slots_of(&self, table: u32) -> HashMap<u32, u32> {
        let mut slots: HashMap<_, _> = HashMap::default();
        for item in &self.module.spaces[ELEMENTS] {
            let content = &item.definition.content;
            if let Some((of, base)) = constant_place(content)
                && of == table
            {
                let functions = content.relocs()[1..].iter();
                slots.extend(
                    functions
                        .enumerate()
                        .map(|(at, reloc)| (base.wrapping_add(at as u32), reloc.target)),
                );
            }
        }
        slots
    }

    /// Hides the table of slots and what fills it, if nothing but thunks uses it.
    fn hide_slot_table(&mut self, table: u32) {
        let uses = |item: &Item| {
            let mut relocs = item.definition.content.relocs().iter();
            relocs.any(|r| r.kind == RelocKind::TableByte && r.target == table)
        };
        let exported = self
            .module
            .exports
            .iter()
            .any(|export| (export.space, export.index) == (TABLES, table));
        let used = (0..self.module.spaces[FUNCTIONS].len())
            .filter(|at| !self.hidden[FUNCTIONS][*at])
            .any(|at| uses(&self.module.spaces[FUNCTIONS][at]));
        let imported = self.item((TABLES, table)).import.is_some();
        if exported || used || imported {
            return;
        }
        self.hidden[TABLES][table as usize] = true;
        for (at, item) in self.module.spaces[ELEMENTS].iter().enumerate() {
            if constant_place(&item.definition.content).is_some_and(|(of, _)| of == table) {
                self.hidden[ELEMENTS][at] = true;
            }
        }
    }

    /// Takes the slots out of an element segment that no program's address is in: those that are not in use, and those for
    /// which `is_idle`. What is left can be several runs, each a segment of its own.
    fn drop_idle_slots(&mut self, at: usize, is_idle: impl Fn(u32, u32) -> bool) {
        if self.hidden[ELEMENTS][at] {
            return;
        }
        let content = &self.module.spaces[ELEMENTS][at].definition.content;
        let Some((table, base)) = constant_place(content) else {
            return;
        };
        let functions: Vec<u32> = content.relocs()[1..].iter().map(|it| it.target).collect();
        // A program's own segment can stand where no table is.
        let Some(end) = base.checked_add(functions.len() as u32) else {
            return;
        };
        let constant = content.bytes()[2];
        let is_dead = |at: u32| self.item((FUNCTIONS, at)).role == Some(Role::Dead);
        let slots = (base..end).zip(functions.iter().copied());
        let kept: Vec<(u32, u32)> = slots
            .filter(|(slot, function)| !is_dead(*function) && !is_idle(table, *slot))
            .collect();
        if kept.len() == functions.len() {
            return;
        }
        self.shorten_table(table, end, kept.last().map_or(base, |it| it.0 + 1));
        self.hidden[ELEMENTS][at] = kept.is_empty();
        let mut runs = kept.chunk_by(|a, b| a.0 + 1 == b.0);
        let definition = |run: &[(u32, u32)]| Definition {
            content: slots_segment(table, constant, run),
            shape: DefinitionKind::ElementSegment,
        };
        if let Some(first) = runs.next() {
            self.module.spaces[ELEMENTS][at].definition = definition(first);
        }
        for run in runs {
            self.module.spaces[ELEMENTS].push(Item {
                definition: definition(run),
                name: None,
                import: None,
                role: None,
            });
            self.hidden[ELEMENTS].push(false);
        }
    }

    /// Gives a table of slots, which has just as many entries as there are slots, no more than are in use.
    fn shorten_table(&mut self, table: u32, before: u32, after: u32) {
        let item = &mut self.module.spaces[TABLES][table as usize];
        let bytes = item.definition.content.bytes();
        let [ty @ 0x70, flags, limits @ ..] = bytes else {
            return;
        };
        let Some((minimum, len)) = leb::read_unsigned(limits) else {
            return;
        };
        let maximum = leb::read_unsigned(&limits[len..]).map(|(maximum, _)| maximum);
        if item.import.is_some() || minimum != u64::from(before) {
            return;
        }
        let mut shorter = vec![*ty, *flags];
        leb::push_unsigned(&mut shorter, after.into());
        if let Some(maximum) = maximum.filter(|_| flags & 1 != 0) {
            let is_fixed = maximum == minimum;
            leb::push_unsigned(&mut shorter, if is_fixed { after.into() } else { maximum });
        }
        if let Ok(content) = RelocatableBytes::new(shorter, Vec::new()) {
            item.definition.content = content;
        }
    }

    /// A table of slots of which no slot is in use: it holds functions that trap, and nothing names it.
    fn idle_slot_table(&self) -> Option<u32> {
        let (at, table) =
            self.module.spaces[ELEMENTS]
                .iter()
                .enumerate()
                .find_map(|(at, item)| {
                    let content = &item.definition.content;
                    let (table, _) = constant_place(content)?;
                    let traps = content.relocs()[1..]
                        .iter()
                        .all(|reloc| self.item((FUNCTIONS, reloc.target)).role == Some(Role::Dead));
                    (traps && content.relocs().len() > 1).then_some((at, table))
                })?;
        let items = self
            .module
            .spaces
            .iter()
            .enumerate()
            .flat_map(|(space, items)| {
                items
                    .iter()
                    .enumerate()
                    .filter(move |(index, _)| (space, *index) != (ELEMENTS, at))
            });
        let named = items
            .flat_map(|(_, item)| item.definition.content.relocs())
            .any(|reloc| reloc.kind == RelocKind::TableByte && reloc.target == table);
        (!named).then_some(table)
    }
}

#[cold]
fn broken(what: &str, function: usize) -> Error {
    Error::new(
        crate::ErrorKind::Verification,
        format!("function {function} is marked as a {what} but does not call anything like one"),
    )
}

/// The table and the slot that a thunk calls through.
fn slot_of(content: &RelocatableBytes) -> Option<(u32, u32)> {
    let table = content
        .relocs()
        .iter()
        .find(|reloc| reloc.kind == RelocKind::TableByte)?;
    let mut slot = None;
    for operator in operators(content)? {
        match operator.ok()? {
            Operator::I32Const { value } => slot = Some(value as u32),
            Operator::I64Const { value } => slot = u32::try_from(value).ok(),
            Operator::CallIndirect { .. } | Operator::ReturnCallIndirect { .. } => {
                return Some((table.target, slot?));
            }
            Operator::LocalGet { .. } => {}
            _ => return None,
        }
    }
    None
}

/// The table and offset of an active element segment of functions whose offset is a constant.
fn constant_place(content: &RelocatableBytes) -> Option<(u32, u32)> {
    let bytes = content.bytes();
    let first = content.relocs().first()?;
    if bytes[0] != 2 || first.kind != RelocKind::TableByte {
        return None;
    }
    let mut reader = wasmparser::BinaryReader::new(&bytes[2..], 0);
    let offset: wasmparser::ConstExpr<'_> = reader.read().ok()?;
    let mut operators = offset.get_operators_reader();
    match (operators.read().ok()?, operators.read().ok()?) {
        (Operator::I32Const { value }, Operator::End) => Some((first.target, value as u32)),
        (Operator::I64Const { value }, Operator::End) => {
            Some((first.target, u32::try_from(value).ok()?))
        }
        _ => None,
    }
}

/// The address and the bytes of an active data segment of memory 0 whose offset is a constant.
fn constant_data(content: &RelocatableBytes) -> Option<(u64, &[u8])> {
    let ([2, rest @ ..], [memory]) = (content.bytes(), content.relocs()) else {
        return None;
    };
    if memory.kind != RelocKind::MemoryIndex || memory.target != 0 {
        return None;
    }
    let mut reader = wasmparser::BinaryReader::new(&rest[memory.kind.width()..], 0);
    let offset: wasmparser::ConstExpr<'_> = reader.read().ok()?;
    let mut operators = offset.get_operators_reader();
    let address = match (operators.read().ok()?, operators.read().ok()?) {
        (Operator::I32Const { value }, Operator::End) => u64::from(value as u32),
        (Operator::I64Const { value }, Operator::End) => value as u64,
        _ => return None,
    };
    let len = reader.read_var_u32().ok()?;
    Some((address, reader.read_bytes(len as usize).ok()?))
}

/// An active segment of functions for consecutive slots, in the form that decoding gives one. `constant` is the instruction
/// that its offset is.
fn slots_segment(table: u32, constant: u8, slots: &[(u32, u32)]) -> RelocatableBytes {
    let mut bytes = vec![2, 0, constant];
    let mut relocs = vec![Relocation::new(RelocKind::TableByte, 1, DeclId(table), 0)];
    let base = slots.first().map_or(0, |slot| slot.0);
    leb::push_signed(&mut bytes, i64::from(base as i32));
    bytes.extend_from_slice(&[filler::END, 0]);
    leb::push_unsigned(&mut bytes, slots.len() as u64);
    for (_, function) in slots {
        let kind = RelocKind::FunctionIndex;
        relocs.push(Relocation::new(
            kind,
            bytes.len() as u32,
            DeclId(*function),
            0,
        ));
        bytes.resize(bytes.len() + kind.width(), 0);
    }
    RelocatableBytes::new(bytes, relocs).expect("each field is where it was made")
}

/// The instructions of a function; its indices read as zeros.
pub(super) fn operators(content: &RelocatableBytes) -> Option<wasmparser::OperatorsIterator<'_>> {
    let reader =
        wasmparser::BinaryReader::new_features(content.bytes(), 0, wasmparser::WasmFeatures::all());
    let body = wasmparser::FunctionBody::new(reader);
    Some(body.get_operators_reader().ok()?.into_iter())
}

/// Bytes, and the relocation behind them: its kind, and its target if that is a type.
pub(super) type Masked<'a> = (&'a [u8], Option<(RelocKind, Option<TypeId>)>);

/// The bytes between relocations, and the relocations without what they refer to if that is a declaration.
pub(super) fn masked(content: &RelocatableBytes) -> Vec<Masked<'_>> {
    let (bytes, relocs) = (content.bytes(), content.relocs());
    let mut parts = Vec::with_capacity(relocs.len() + 1);
    let mut at = 0;
    for reloc in relocs {
        let field = Some((reloc.kind, reloc.ty()));
        parts.push((&bytes[at..reloc.offset as usize], field));
        at = reloc.offset as usize + reloc.kind.width();
    }
    parts.push((&bytes[at..], None));
    parts
}

/// How many times what a declaration refers to goes into what it is known by.
const ROUNDS: usize = 12;

/// A number for each declaration that is the same for declarations that say the same and refer to the same, in whatever
/// file and order. Those that are known already are known by their `index`.
pub(super) fn colours(
    side: &Side,
    index: &[Vec<Option<u32>>; 7],
    types: &TypeTable,
) -> [Vec<u64>; 7] {
    let hasher = foldhash::fast::FixedState::default();
    let types = type_colours(types, &hasher);
    let mut colours: [Vec<u64>; 7] = std::array::from_fn(|space| {
        let nodes = index[space].iter().enumerate();
        nodes
            .map(|(at, index)| match index {
                Some(index) => hasher.hash_one((space, index)),
                None => said(side.item((space, at as u32)), &types, &hasher),
            })
            .collect()
    });
    let nodes = (0..SPACES.len())
        .flat_map(|space| (0..index[space].len()).map(move |at| (space, at as u32)));
    let open: Vec<Node> = nodes
        .filter(|(space, at)| index[*space][*at as usize].is_none())
        .collect();
    let rounds = if open.is_empty() { 0 } else { ROUNDS };
    for _ in 0..rounds {
        let next: Vec<u64> = open
            .iter()
            .map(|node| {
                let mut state = hasher.build_hasher();
                colours[node.0][node.1 as usize].hash(&mut state);
                for reloc in side.item(*node).definition.content.relocs() {
                    if let Some((space, at)) = side.target(reloc) {
                        colours[space][at as usize].hash(&mut state);
                    }
                }
                state.finish()
            })
            .collect();
        for (node, colour) in open.iter().zip(next) {
            colours[node.0][node.1 as usize] = colour;
        }
    }
    colours
}

/// The same numbers, but what refers to a declaration goes into them as well, if its own number is one of `users`.
pub(super) fn with_users(
    side: &Side,
    index: &[Vec<Option<u32>>; 7],
    colours: &[Vec<u64>; 7],
    users: &HashSet<u64>,
) -> [Vec<u64>; 7] {
    let hasher = foldhash::fast::FixedState::default();
    let is_open = |node: Node| index[node.0][node.1 as usize].is_none();
    let nodes = (0..SPACES.len())
        .flat_map(|space| (0..index[space].len()).map(move |at| (space, at as u32)));
    let sources: Vec<Node> = nodes
        .filter(|node| is_open(*node) && users.contains(&colours[node.0][node.1 as usize]))
        .collect();
    let mut colours = colours.clone();
    for _ in 0..ROUNDS / 2 {
        // Sums, because users come in no order.
        let mut used: [Vec<u64>; 7] = std::array::from_fn(|space| vec![0u64; index[space].len()]);
        let mut uses = used.clone();
        for &source in &sources {
            let colour = colours[source.0][source.1 as usize];
            let relocs = side.item(source).definition.content.relocs().iter();
            for (at, reloc) in relocs.enumerate() {
                let Some((space, index)) = side.target(reloc) else {
                    continue;
                };
                let used = &mut used[space][index as usize];
                *used = used.wrapping_add(hasher.hash_one((colour, at)));
                let uses = &mut uses[source.0][source.1 as usize];
                *uses = hasher.hash_one((*uses, colours[space][index as usize]));
            }
        }
        for (space, colours) in colours.iter_mut().enumerate() {
            for (at, colour) in colours.iter_mut().enumerate() {
                if is_open((space, at as u32)) {
                    *colour = hasher.hash_one((*colour, used[space][at], uses[space][at]));
                }
            }
        }
    }
    colours
}

/// A number for what a declaration says, but for what it refers to.
fn said(item: &Item, types: &[u64], hasher: &foldhash::fast::FixedState) -> u64 {
    let mut state = hasher.build_hasher();
    let colour = |ty: TypeId| types[ty.index()];
    (item.definition.ty().map(colour), &item.import).hash(&mut state);
    for (bytes, field) in masked(&item.definition.content) {
        let field = field.map(|(kind, ty)| (kind, ty.map(colour)));
        (bytes, field).hash(&mut state);
    }
    state.finish()
}

/// A number for each type that depends on its structure alone. A group refers to earlier ones only.
fn type_colours(table: &TypeTable, hasher: &foldhash::fast::FixedState) -> Vec<u64> {
    let mut colours: Vec<u64> = Vec::with_capacity(table.len());
    while colours.len() < table.len() {
        let group = table.group_of(TypeId(colours.len() as u32));
        let mut state = hasher.build_hasher();
        group.own.hash(&mut state);
        for (bytes, field) in masked(&group.content) {
            let field = field.map(|(kind, ty)| (kind, ty.map(|ty| colours[ty.index()])));
            (bytes, field).hash(&mut state);
        }
        let group_colour = state.finish();
        colours.extend((0..group.len).map(|member| hasher.hash_one((group_colour, member))));
    }
    colours
}

/// The word for a declaration of an index space.
pub(super) fn word(space: usize) -> &'static str {
    SPACES[space].word()
}

/// Position of a kind among the index spaces.
pub(super) fn position(kind: DeclKind) -> usize {
    space(kind).unwrap_or_default()
}
