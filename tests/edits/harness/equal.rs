//! Equivalence by structure: two modules are the same when all that can be reached from what has a name pairs up
//! one to one, bodies instruction by instruction, after indices, slots and addresses are mapped.
//!
//! One side is the rival's dense module, of which the addresses of data are known. The other has slack, thunks and
//! forwarders, which are looked through, and must be recognised by what they are, not by where they stand.

use std::collections::HashMap;

use wasmparser::{BlockType, FuncType, Operator};

#[path = "pieces.rs"]
mod pieces;

use super::entries::{Same, equal, filler, resolve, role};
use super::model::{BLOB_HEADER, Blob, Def, Ent, Program};
use super::rival::Indices;
use super::walk::{Code, File, Value};

/// Index spaces that pair up by number alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Space {
    Function,
    Global,
    Table,
    Tag,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Pairs {
    /// Data: its address in the dense module, and in the other.
    pub data: HashMap<Ent, (u32, u32)>,
    /// Which index of the other module an index of the dense one is: that of the body, of functions. Only what can be nothing
    /// else is here.
    pub indices: HashMap<(Space, u32), u32>,
}

#[derive(Clone)]
struct Pairing<'a> {
    dense: &'a File<'a>,
    other: &'a File<'a>,
    program: &'a Program,
    at: &'a Indices,
    /// Data of the dense module by address.
    by_address: Vec<(u32, u32, Ent)>,
    pairs: HashMap<(Space, u32), u32>,
    back: HashMap<(Space, u32), u32>,
    work: Vec<(Space, u32, u32)>,
    data: HashMap<Ent, (u32, u32)>,
    data_work: Vec<Ent>,
}

/// Compares a module with the dense encoding of `program`.
pub fn compare(program: &Program, dense: &File<'_>, at: &Indices, other: &File<'_>) -> Same<Pairs> {
    let mut by_address = Vec::new();
    for (ent, _, bound) in program.defined() {
        if let Def::Data(blob) = &*bound.def {
            by_address.push((at.data[&ent], blob.size(), ent));
        }
    }
    by_address.sort_unstable();
    let mut pairing = Pairing {
        dense,
        other,
        program,
        at,
        by_address,
        pairs: HashMap::new(),
        back: HashMap::new(),
        work: Vec::new(),
        data: HashMap::new(),
        data_work: Vec::new(),
    };
    pairing.roots()?;
    pairing.follow()?;
    // Pieces say which of several functions of one name is meant.
    pairing.pieces()?;
    let certain = pairing.pairs.clone();
    pairing.choose()?;
    pairing.disjoint()?;
    pairing.count()?;
    Ok(Pairs {
        data: pairing.data,
        indices: certain,
    })
}

/// How often a function is tried for another before the modules are held to differ.
const MOST_TRIES: usize = 2_000;

impl Pairing<'_> {
    /// Pairs whatever the pairs so far refer to.
    fn follow(&mut self) -> Same {
        loop {
            if let Some((space, a, b)) = self.work.pop() {
                self.visit(space, a, b)
                    .map_err(|error| format!("{space:?} {a} and {b}: {error}"))?;
            } else if let Some(ent) = self.data_work.pop() {
                let name = self.program.things[&ent].name;
                self.visit_data(ent)
                    .map_err(|error| format!("{name}: {error}"))?;
            } else {
                return Ok(());
            }
        }
    }

    /// Functions that nothing refers to, and whose name code that was left behind has too: one of them must fit, and go
    /// with what fits for the others.
    fn choose(&mut self) -> Same {
        if self.has_names() {
            let mut tries = MOST_TRIES;
            *self = self.clone().chosen(0, &mut tries)?;
        }
        Ok(())
    }

    fn chosen(self, from: usize, tries: &mut usize) -> Same<Self> {
        let names = &self.dense.function_names;
        let paired = |a: u32| self.pairs.contains_key(&(Space::Function, a));
        let Some(next) = (from..names.len()).find(|at| !paired(names[*at].0)) else {
            return Ok(self);
        };
        let (a, name) = names[next];
        let mut why = String::from("nothing has the name");
        for &(b, other) in &self.other.function_names {
            if other.trim_end_matches(' ') != name || !self.lives(b) || *tries == 0 {
                continue;
            }
            *tries -= 1;
            let mut attempt = self.clone();
            let result = attempt.pair(Space::Function, a, b);
            let result = result.and_then(|()| attempt.follow());
            match result.and_then(|()| attempt.chosen(next + 1, tries)) {
                Ok(chosen) => return Ok(chosen),
                Err(error) => why = error,
            }
        }
        Err(format!("{name}: {why}"))
    }

    fn has_names(&self) -> bool {
        !self.other.function_names.is_empty()
    }

    /// Whether this is a body that wasmend did not make.
    fn lives(&self, function: u32) -> bool {
        match self.other.functions.get(function as usize).map(|f| &f.code) {
            Some(Code::Body(body)) => role(body.as_bytes()).is_none(),
            _ => false,
        }
    }

    fn roots(&mut self) -> Same {
        let (dense, other) = (self.dense, self.other);
        let exported = |file: &File<'_>| {
            let mut names: Vec<_> = file
                .exports
                .iter()
                // What deltas reach an instance by is no part of the program.
                .filter(|export| !super::run::is_for_deltas(export.name))
                .map(|export| (export.name.to_owned(), export.kind, export.index))
                .collect();
            names.sort_unstable_by(|a, b| a.0.cmp(&b.0));
            names
        };
        let (a, b) = (exported(dense), exported(other));
        equal("number of exports", a.len(), b.len())?;
        for ((name, kind, a), (other_name, other_kind, b)) in a.into_iter().zip(b) {
            equal("exports", (&name, kind), (&other_name, other_kind))?;
            let space = match kind {
                wasmparser::ExternalKind::Func => Space::Function,
                wasmparser::ExternalKind::Global => Space::Global,
                wasmparser::ExternalKind::Table => Space::Table,
                wasmparser::ExternalKind::Tag => Space::Tag,
                _ => continue,
            };
            self.pair(space, a, b)
                .map_err(|error| format!("export {name}: {error}"))?;
        }
        match (dense.start, other.start) {
            (None, None) => {}
            (Some(a), Some(b)) => self.pair(Space::Function, a, b)?,
            (a, b) => return Err(format!("start {a:?} against {b:?}")),
        }
        self.imports()?;
        let named = other.function_names.iter();
        let other_functions: Vec<_> = named.filter(|(at, _)| self.lives(*at)).copied().collect();
        self.named(Space::Function, &dense.function_names, &other_functions)?;
        self.named(Space::Global, &dense.global_names, &other.global_names)?;
        self.named(Space::Table, &dense.table_names, &other.table_names)?;
        self.named(Space::Tag, &dense.tag_names, &other.tag_names)?;
        equal("memories", &dense.memories, &other.memories)
    }

    /// Pairs what both modules give the same name.
    fn named(&mut self, space: Space, dense: &[(u32, &str)], other: &[(u32, &str)]) -> Same {
        let mut by_name: HashMap<&str, Vec<u32>> = HashMap::new();
        for (index, name) in other {
            // What a shorter name leaves of an entry is taken up by blanks.
            by_name
                .entry(name.trim_end_matches(' '))
                .or_default()
                .push(*index);
        }
        for (index, name) in dense {
            // A thing whose name was taken from it may keep it in the output.
            if let Some([other]) = by_name.get(name).map(Vec::as_slice) {
                self.pair(space, *index, *other)
                    .map_err(|error| format!("name {name}: {error}"))?;
            }
        }
        Ok(())
    }

    fn imports(&mut self) -> Same {
        fn list(file: &File<'_>) -> Vec<(Space, String, u32)> {
            let mut all = Vec::new();
            let mut add = |space, at: usize, module: &str, name: &str| {
                all.push((space, format!("{module}.{name}"), at as u32));
            };
            for (at, function) in file.functions.iter().enumerate() {
                if let Code::Import { module, name } = function.code {
                    add(Space::Function, at, module, name);
                }
            }
            for (at, thing) in file.globals.iter().enumerate() {
                thing
                    .import
                    .iter()
                    .for_each(|(m, n)| add(Space::Global, at, m, n));
            }
            for (at, thing) in file.tables.iter().enumerate() {
                thing
                    .import
                    .iter()
                    .for_each(|(m, n)| add(Space::Table, at, m, n));
            }
            for (at, thing) in file.tags.iter().enumerate() {
                thing
                    .import
                    .iter()
                    .for_each(|(m, n)| add(Space::Tag, at, m, n));
            }
            all.sort_unstable_by(|a, b| a.1.cmp(&b.1));
            all
        }
        let (a, b) = (list(self.dense), list(self.other));
        equal("number of imports", a.len(), b.len())?;
        for ((space, name, a), (other_space, other_name, b)) in a.into_iter().zip(b) {
            equal("imports", (space, &name), (other_space, &other_name))?;
            self.pair(space, a, b)?;
        }
        Ok(())
    }

    /// Notes that two indices mean the same, once.
    fn pair(&mut self, space: Space, a: u32, b: u32) -> Same {
        let b = match space {
            Space::Function => resolve(self.other, b)?,
            _ => b,
        };
        let known = self.pairs.insert((space, a), b);
        let back = self.back.insert((space, b), a);
        match (known, back) {
            (None, None) => self.work.push((space, a, b)),
            (Some(known), Some(back)) if known == b && back == a => {}
            _ => {
                return Err(format!(
                    "{space:?} {a} is {b}, but {a} was {known:?} and {b} was {back:?}"
                ));
            }
        }
        Ok(())
    }

    fn visit(&mut self, space: Space, a: u32, b: u32) -> Same {
        let (dense, other) = (self.dense, self.other);
        match space {
            Space::Function => {
                equal("signature", dense.signature(a)?, other.signature(b)?)?;
                let (a, b) = (&dense.functions[a as usize], &other.functions[b as usize]);
                match (&a.code, &b.code) {
                    (Code::Body(a), Code::Body(b)) => self.bodies(a, b),
                    (
                        Code::Import { module, name },
                        Code::Import {
                            module: other_module,
                            name: other_name,
                        },
                    ) => equal("import", (module, name), (other_module, other_name)),
                    (a, b) => Err(format!("{a:?} against {b:?}")),
                }
            }
            Space::Global => {
                let get = |file: &File<'_>, at: u32| {
                    let global = file.globals.get(at as usize);
                    global.map(|global| (global.ty, global.import.is_some()))
                };
                equal("global", get(dense, a), get(other, b))?;
                match (dense.values.get(&a), other.values.get(&b)) {
                    (None, None) => Ok(()),
                    (Some(Value::I32(a)), Some(Value::I32(b))) => self.constants(*a, *b),
                    (Some(Value::Global(a)), Some(Value::Global(b))) => {
                        self.pair(Space::Global, *a, *b)
                    }
                    (a, b) => equal("initial value", a, b),
                }
            }
            Space::Table => {
                let get = |file: &File<'_>, at: u32| {
                    let table = file.tables.get(at as usize);
                    table.map(|table| (table.ty, table.import.is_some()))
                };
                // The tables of slots need not be of one size.
                if a == self.at.slot_table {
                    let element = other
                        .tables
                        .get(b as usize)
                        .map(|table| table.ty.element_type);
                    return equal("slots", Some(wasmparser::RefType::FUNCREF), element);
                }
                equal("table", get(dense, a), get(other, b))
            }
            Space::Tag => {
                let get = |file: &File<'_>, at: u32| -> Same<(FuncType, bool)> {
                    let tag = file
                        .tags
                        .get(at as usize)
                        .ok_or("a tag that is out of range")?;
                    Ok((file.ty(tag.ty)?.clone(), tag.import.is_some()))
                };
                equal("tag", get(dense, a)?, get(other, b)?)
            }
        }
    }

    /// An `i32` constant: a slot, an address or a plain number.
    fn constants(&mut self, a: i32, b: i32) -> Same {
        match a {
            1..1024 => self.slots(a as u32, b as u32),
            1024..0x10_0000 => self.addresses(a as u32, b as u32),
            _ => equal("constant", a, b),
        }
    }

    fn slots(&mut self, a: u32, b: u32) -> Same {
        let entry = |file: &File<'_>, slot: u32| {
            let mut found = file.entries.iter().filter(|((_, at), _)| *at == slot);
            let function = found.next().map(|(_, function)| *function);
            function.ok_or(format!("slot {slot} is empty"))
        };
        let (a, b) = (entry(self.dense, a)?, entry(self.other, b)?);
        self.pair(Space::Function, a, b)
    }

    fn addresses(&mut self, a: u32, b: u32) -> Same {
        let at = self.by_address.partition_point(|(begin, ..)| *begin <= a);
        let (begin, _, ent) = *at
            .checked_sub(1)
            .and_then(|at| self.by_address.get(at))
            .ok_or(format!("address {a:#x} of the dense module is no data's"))?;
        let other = b.checked_sub(a - begin).ok_or(format!("address {b:#x}"))?;
        match self.data.insert(ent, (begin, other)) {
            None => self.data_work.push(ent),
            Some((_, known)) => equal("address of one data", known, other)?,
        }
        Ok(())
    }

    fn visit_data(&mut self, ent: Ent) -> Same {
        let (a, b) = self.data[&ent];
        let Some(Def::Data(blob)) = self.program.def(ent) else {
            return Err("is no data".into());
        };
        if b % (1 << blob.align_log2) != 0 {
            return Err(format!(
                "{b:#x} is not aligned to {}",
                1u32 << blob.align_log2
            ));
        }
        let ours = self.dense.memory(a.into(), blob.size());
        let theirs = self.other.memory(b.into(), blob.size());
        let masked = masked(blob, &ours);
        equal("bytes of data", &masked, &self::masked(blob, &theirs))?;
        let word = |bytes: &[u8], at: usize| {
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        if blob.function.is_some() {
            self.slots(word(&ours, 4), word(&theirs, 4))?;
        }
        if blob.address.is_some() {
            self.addresses(word(&ours, 8), word(&theirs, 8))?;
        }
        Ok(())
    }

    fn bodies(
        &mut self,
        a: &wasmparser::FunctionBody<'_>,
        b: &wasmparser::FunctionBody<'_>,
    ) -> Same {
        let text = |error: wasmparser::Error| error.to_string();
        let locals = |body: &wasmparser::FunctionBody<'_>| -> Same<Vec<_>> {
            let reader = body.get_locals_reader().map_err(text)?;
            // However they are grouped.
            let mut all: Vec<(u32, wasmparser::ValType)> = Vec::new();
            for group in reader {
                let (count, ty) = group.map_err(text)?;
                match all.last_mut() {
                    Some((before, last)) if *last == ty => *before += count,
                    _ => all.push((count, ty)),
                }
            }
            Ok(all)
        };
        equal("locals", locals(a)?, locals(b)?)?;
        let mut ours = a.get_operators_reader().map_err(text)?;
        let mut theirs = b.get_operators_reader().map_err(text)?;
        loop {
            let op = ours.read().map_err(text)?;
            if ours.eof() {
                break;
            }
            let other = theirs.read().map_err(text)?;
            self.operators(&op, &other)?;
        }
        let mut rest = Vec::new();
        while !theirs.eof() {
            rest.push(theirs.read().map_err(text)?);
        }
        filler(&rest)
    }

    fn operators(&mut self, a: &Operator<'_>, b: &Operator<'_>) -> Same {
        use Operator::*;
        match (a, b) {
            (Call { function_index: a }, Call { function_index: b }) => {
                self.pair(Space::Function, *a, *b)
            }
            (GlobalGet { global_index: a }, GlobalGet { global_index: b })
            | (GlobalSet { global_index: a }, GlobalSet { global_index: b }) => {
                self.pair(Space::Global, *a, *b)
            }
            (TableGet { table: a }, TableGet { table: b })
            | (TableSet { table: a }, TableSet { table: b })
            | (TableSize { table: a }, TableSize { table: b }) => self.pair(Space::Table, *a, *b),
            (Throw { tag_index: a }, Throw { tag_index: b }) => self.pair(Space::Tag, *a, *b),
            (
                CallIndirect {
                    type_index: a,
                    table_index: at,
                },
                CallIndirect {
                    type_index: b,
                    table_index: other_at,
                },
            ) => {
                equal("type of a call", self.dense.ty(*a)?, self.other.ty(*b)?)?;
                self.pair(Space::Table, *at, *other_at)
            }
            (Block { blockty: a }, Block { blockty: b })
            | (Loop { blockty: a }, Loop { blockty: b }) => match (a, b) {
                (BlockType::FuncType(a), BlockType::FuncType(b)) => {
                    equal("type of a block", self.dense.ty(*a)?, self.other.ty(*b)?)
                }
                (a, b) => equal("type of a block", a, b),
            },
            (I32Const { value: a }, I32Const { value: b }) => self.constants(*a, *b),
            (I64Load8U { memarg: a }, I64Load8U { memarg: b }) if a.offset >= 1024 => {
                equal(
                    "memory and alignment",
                    (a.target, a.align),
                    (b.target, b.align),
                )?;
                self.addresses(a.offset as u32, b.offset as u32)
            }
            (a, b) => equal("instruction", a, b),
        }
    }

    /// No two data overlap.
    fn disjoint(&self) -> Same {
        let mut ranges = Vec::new();
        for (ent, (_, address)) in &self.data {
            if let Some(Def::Data(blob)) = self.program.def(*ent) {
                let name = self.program.things[ent].name;
                ranges.push((*address, *address + blob.size(), name));
            }
        }
        ranges.sort_unstable();
        match ranges.windows(2).find(|pair| pair[1].0 < pair[0].1) {
            None => Ok(()),
            Some(pair) => Err(format!("data overlaps: {pair:x?}")),
        }
    }

    /// Nothing is in the other module that is not in the program, but for code that was left behind.
    fn count(&self) -> Same {
        let live = |function: &&super::walk::Function<'_>| match &function.code {
            Code::Body(body) => role(body.as_bytes()).is_none(),
            Code::Import { .. } => true,
        };
        let others = self.other.functions.iter().filter(live).count();
        if others < self.dense.functions.len() {
            return Err(format!("{others} functions"));
        }
        if !self.pairs.contains_key(&(Space::Table, self.at.slot_table)) {
            // Without a use, the table of slots need not be there.
            let tables = self.dense.tables.len();
            let others = self.other.tables.len();
            if others + 1 != tables && others != tables {
                return Err(format!("number of tables: {tables} against {others}"));
            }
        } else {
            equal(
                "number of tables",
                self.dense.tables.len(),
                self.other.tables.len(),
            )?;
        }
        equal(
            "number of tags",
            self.dense.tags.len(),
            self.other.tags.len(),
        )
    }
}

/// The bytes of data without addresses.
pub fn masked(blob: &Blob, bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if !blob.zero {
        bytes[4..BLOB_HEADER as usize - 4].fill(0);
    }
    bytes
}
