//! The abstract program: what exists and refers to what, without indices, offsets or bytes.
//!
//! It says which commits must succeed. A name can be given to another thing after the first was removed, so
//! references are to things ([`Ent`]), not to names.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use super::chunk::Chunk;

/// A value type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ty {
    I32,
    I64,
    F32,
    F64,
}

use Ty::*;

/// The signatures that functions can have, by number.
pub const SIGNATURES: &[(&[Ty], &[Ty])] = &[
    (&[], &[]),
    (&[I32], &[I32]),
    (&[I64, I32], &[I64]),
    (&[], &[I64]),
    (&[F64], &[F64]),
    (&[I32, I64, F64], &[I32, I64]),
    (&[F32], &[F32, F32, F32]),
    (&[I32, I32, I32, I32, I32, I32, I32, I32, I32], &[]),
    (&[I64, I64], &[]),
    (&[I32; 140], &[I32]),
    (&[F32, F64, I64, I32, F32, F64], &[F64]),
    (&[], &[I32, I32, I32, I32, I32, I32]),
];

/// A signature's number.
pub type Sig = u8;

/// The parameters and results of a signature.
pub fn signature(sig: Sig) -> (&'static [Ty], &'static [Ty]) {
    SIGNATURES[sig as usize % SIGNATURES.len()]
}

/// What a thing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Function,
    Global,
    Data,
    Table,
    Tag,
    Memory,
    Piece,
}

/// What the script calls a thing: `f12`, `g3`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(pub Kind, pub u16);

impl fmt::Debug for Name {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letter = match self.0 {
            Kind::Function => 'f',
            Kind::Global => 'g',
            Kind::Data => 'd',
            Kind::Table => 't',
            Kind::Tag => 'x',
            Kind::Memory => 'm',
            Kind::Piece => 'p',
        };
        write!(out, "{letter}({})", self.1)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{self:?}");
        out.write_str(&text.replace(['(', ')'], ""))
    }
}

/// The function with this number.
pub fn f(number: u16) -> Name {
    Name(Kind::Function, number)
}
/// The global with this number.
pub fn g(number: u16) -> Name {
    Name(Kind::Global, number)
}
/// The data with this number.
pub fn d(number: u16) -> Name {
    Name(Kind::Data, number)
}
/// The table with this number.
pub fn t(number: u16) -> Name {
    Name(Kind::Table, number)
}
/// The tag with this number.
pub fn x(number: u16) -> Name {
    Name(Kind::Tag, number)
}

/// The piece of a custom section with this number.
pub fn p(number: u16) -> Name {
    Name(Kind::Piece, number)
}

/// The one memory of every program.
pub const MEMORY: Name = Name(Kind::Memory, 0);
/// The global that bounds how many calls an exported function leads to.
pub const BUDGET: Name = Name(Kind::Global, 0);
/// The exported function that gives [`BUDGET`] its value.
pub const RESET: Name = Name(Kind::Function, 0);

/// What a global holds, as its users see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    Value(Ty),
    /// A function's address: may be called, but not looked at, since it differs between equivalent modules.
    FunctionAddress,
    /// The address of data: may be followed, but not looked at.
    DataAddress,
}

/// One step of a function's body. All leave the stack as it was; most change the accumulator.
#[derive(Debug, Clone, PartialEq)]
pub enum Op {
    /// Mixes a constant in.
    Const(i64),
    /// Mixes constants in, so many times: code that takes space.
    Work(u16, i64),
    /// Mixes a parameter in, if there is one.
    Param(u8),
    /// Declares locals.
    Locals(u8, Ty),
    /// Calls the way the module redirects calls.
    Call(u16, Sig),
    CallDirect(u16, Sig),
    /// Calls through the function's address.
    CallAddress(u16, Sig),
    /// Takes a reference and looks whether it is null.
    IsNull(u16),
    GetGlobal(u16, Holds),
    SetGlobal(u16, Ty),
    /// Calls through an address that a global holds.
    CallGlobal(u16, Sig),
    /// Reads a byte that the accumulator chooses.
    Load(u16),
    /// Reads a byte with the address in the instruction's offset.
    LoadOffset(u16),
    /// Writes a byte that the accumulator chooses.
    Store(u16),
    /// Calls through an address that data holds.
    CallData(u16, Sig),
    /// Follows an address that data holds.
    Follow(u16),
    TableSize(u16),
    /// Puts a reference to a function into a table and takes it out.
    TableSet(u16, u16),
    /// A block of this type around nothing.
    Block(Sig),
    Loop(Sig),
    /// Throws, if the accumulator has a value that it hardly ever has.
    Throw(u16, Sig),
    /// Gives the budget its value.
    Reset,
}

impl Op {
    /// What the step names, in the order in which [`Bound::refs`] lists it.
    pub fn names(&self) -> Vec<Name> {
        match *self {
            Op::Call(key, _)
            | Op::CallDirect(key, _)
            | Op::CallAddress(key, _)
            | Op::IsNull(key) => vec![f(key)],
            Op::GetGlobal(key, _) | Op::SetGlobal(key, _) | Op::CallGlobal(key, _) => vec![g(key)],
            Op::Load(key)
            | Op::LoadOffset(key)
            | Op::Store(key)
            | Op::CallData(key, _)
            | Op::Follow(key) => vec![d(key)],
            Op::TableSize(key) => vec![t(key)],
            Op::TableSet(table, function) => vec![t(table), f(function)],
            Op::Throw(key, _) => vec![x(key)],
            Op::Reset => vec![BUDGET],
            Op::Const(_)
            | Op::Work(..)
            | Op::Param(_)
            | Op::Locals(..)
            | Op::Block(_)
            | Op::Loop(_) => Vec::new(),
        }
    }

    /// Whether the step can lead to another function.
    pub fn calls(&self) -> bool {
        use Op::*;
        matches!(
            self,
            Call(..) | CallDirect(..) | CallAddress(..) | CallGlobal(..) | CallData(..)
        )
    }
}

/// A global's initial value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Init {
    Value(Ty, i64),
    FunctionAddress(u16),
    DataAddress(u16, u8),
    /// The value of an imported constant global of this type.
    Global(u16, Ty),
}

/// What data consists of: a header that describes it, then bytes. The header holds the number of bytes, a function's
/// address or zero, an address or zero, and what was added to that address.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Blob {
    pub len: u16,
    /// What the bytes are made from.
    pub fill: u8,
    pub align_log2: u8,
    pub function: Option<u16>,
    pub address: Option<(u16, u8)>,
    /// Zero bytes, which take no space in the file.
    pub zero: bool,
}

/// Bytes of a [`Blob`]'s header.
pub const BLOB_HEADER: u32 = 16;

impl Blob {
    /// Bytes in all.
    pub fn size(&self) -> u32 {
        BLOB_HEADER + u32::from(self.len)
    }

    /// The bytes, without addresses; `None` if all are zero.
    pub fn bytes(&self) -> Option<Vec<u8>> {
        if self.zero {
            return None;
        }
        let mut bytes = u32::from(self.len).to_le_bytes().to_vec();
        bytes.extend([0; 8]);
        let addend = self.address.map_or(0, |(_, addend)| addend);
        bytes.extend(u32::from(addend).to_le_bytes());
        bytes.extend((0..self.len).map(|at| (at as u8).wrapping_mul(31).wrapping_add(self.fill)));
        Some(bytes)
    }
}

/// A definition, in names.
#[derive(Debug, Clone, PartialEq)]
pub enum Def {
    Function(Sig, Vec<Op>),
    ImportFunction(Sig),
    Global { mutable: bool, init: Init },
    ImportGlobal { ty: Ty, mutable: bool },
    Data(Blob),
    Table { minimum: u32, maximum: Option<u32> },
    ImportTable { minimum: u32 },
    Tag(Sig),
    ImportTag(Sig),
    Memory { pages: u32 },
    Piece(Chunk),
}

impl Def {
    /// The kind of thing that this defines.
    pub fn kind(&self) -> Kind {
        match self {
            Def::Function(..) | Def::ImportFunction(_) => Kind::Function,
            Def::Global { .. } | Def::ImportGlobal { .. } => Kind::Global,
            Def::Data(_) => Kind::Data,
            Def::Table { .. } | Def::ImportTable { .. } => Kind::Table,
            Def::Tag(_) | Def::ImportTag(_) => Kind::Tag,
            Def::Memory { .. } => Kind::Memory,
            Def::Piece(_) => Kind::Piece,
        }
    }

    /// Whether this is an import.
    pub fn is_import(&self) -> bool {
        use Def::*;
        matches!(
            self,
            ImportFunction(_) | ImportGlobal { .. } | ImportTable { .. } | ImportTag(_)
        )
    }

    /// What the definition names, in the order in which [`Bound::refs`] lists it.
    pub fn names(&self) -> Vec<Name> {
        match self {
            Def::Function(_, ops) => {
                let budget = ops.iter().any(Op::calls).then_some(BUDGET);
                let named = ops.iter().flat_map(Op::names);
                budget.into_iter().chain(named).collect()
            }
            Def::Global { init, .. } => match *init {
                Init::Value(..) => Vec::new(),
                Init::FunctionAddress(key) => vec![f(key)],
                Init::DataAddress(key, _) => vec![d(key)],
                Init::Global(key, _) => vec![g(key)],
            },
            Def::Data(blob) => {
                let function = blob.function.map(f);
                let address = blob.address.map(|(key, _)| d(key));
                function.into_iter().chain(address).collect()
            }
            Def::Piece(chunk) => chunk.fields.iter().map(|field| field.name()).collect(),
            _ => Vec::new(),
        }
    }

    /// The signature, of a function or tag.
    pub fn sig(&self) -> Option<Sig> {
        match self {
            Def::Function(sig, _) | Def::ImportFunction(sig) | Def::Tag(sig) => Some(*sig),
            Def::ImportTag(sig) => Some(*sig),
            _ => None,
        }
    }

    /// What users of the global find in it.
    pub fn holds(&self) -> Option<Holds> {
        match self {
            Def::Global { init, .. } => Some(match init {
                Init::Value(ty, _) | Init::Global(_, ty) => Holds::Value(*ty),
                Init::FunctionAddress(_) => Holds::FunctionAddress,
                Init::DataAddress(..) => Holds::DataAddress,
            }),
            Def::ImportGlobal { ty, .. } => Some(Holds::Value(*ty)),
            _ => None,
        }
    }

    /// Whether the global can be set.
    pub fn is_mutable(&self) -> bool {
        matches!(
            self,
            Def::Global { mutable: true, .. } | Def::ImportGlobal { mutable: true, .. }
        )
    }
}

/// A thing that was declared; never used for another one, unless the declaration was discarded.
pub type Ent = u32;

/// What a thing is imported as. Two things can have had the same name.
pub fn field(name: Name, ent: Ent) -> String {
    format!("{name}.{ent}")
}

/// A definition whose names have been looked up.
#[derive(Debug, Clone, PartialEq)]
pub struct Bound {
    pub def: Arc<Def>,
    pub refs: Arc<[Ent]>,
}

/// A thing.
#[derive(Debug, Clone, PartialEq)]
pub struct Entity {
    pub name: Name,
    /// Whether the output may give it its name.
    pub named: bool,
    pub owner: Option<Ent>,
    /// Whether several others can own it.
    pub shared: bool,
    pub bound: Option<Bound>,
}

impl Entity {
    /// Whether it is declared under a key: a part that the output does not name is not.
    pub fn has_key(&self) -> bool {
        self.named || self.owner.is_none()
    }
}

/// What exists.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Program {
    pub things: BTreeMap<Ent, Entity>,
    pub exports: Vec<(String, Ent)>,
    pub start: Option<Ent>,
    /// Shared parts with their owners; until the next commit also those that are gone.
    pub shares: BTreeSet<(Ent, Ent)>,
}

impl Program {
    /// A thing's definition, if it has one.
    pub fn def(&self, ent: Ent) -> Option<&Def> {
        self.bound(ent).map(|bound| &*bound.def)
    }

    /// A thing's definition with what its names mean.
    pub fn bound(&self, ent: Ent) -> Option<&Bound> {
        self.things.get(&ent)?.bound.as_ref()
    }

    /// Everything that is defined.
    pub fn defined(&self) -> impl Iterator<Item = (Ent, &Entity, &Bound)> {
        self.things
            .iter()
            .filter_map(|(ent, thing)| Some((*ent, thing, thing.bound.as_ref()?)))
    }

    /// What refers to a thing.
    pub fn users(&self, ent: Ent) -> Vec<Ent> {
        self.defined()
            .filter(|(_, _, bound)| bound.refs.contains(&ent))
            .map(|(user, ..)| user)
            .collect()
    }
}

/// A pending change of the exports.
#[derive(Debug, Clone, PartialEq)]
enum ExportEdit {
    Add(String, Ent),
    Remove(String),
}

/// The program as committed and as it will be.
#[derive(Debug, Clone, Default)]
pub struct Model {
    pub committed: Program,
    pub pending: Program,
    /// Defined since the last commit.
    pub dirty: BTreeSet<Ent>,
    export_edits: Vec<ExportEdit>,
    names: HashMap<Name, Ent>,
    next: Ent,
    /// The next thing as of the last commit.
    committed_next: Ent,
}

impl Model {
    /// The thing that has this name now.
    pub fn lookup(&self, name: Name) -> Option<Ent> {
        self.names.get(&name).copied()
    }

    /// Gives the name to a new thing, unless it is taken. Returns the thing and whether it is new.
    pub fn declare(&mut self, name: Name, owner: Option<Ent>, named: bool) -> (Ent, bool) {
        if let Some(ent) = self.lookup(name) {
            return (ent, false);
        }
        let ent = self.next;
        self.next += 1;
        self.names.insert(name, ent);
        let entity = Entity {
            name,
            named,
            owner,
            shared: false,
            bound: None,
        };
        self.pending.things.insert(ent, entity);
        (ent, true)
    }

    /// Lets several others own what was just declared.
    pub fn share(&mut self, ent: Ent) {
        if let Some(thing) = self.pending.things.get_mut(&ent) {
            thing.shared = true;
        }
    }

    /// Whether a thing can be given this owner.
    pub fn can_own(&self, owner: Ent, part: Ent) -> bool {
        let is_shared = self.pending.things.get(&part).is_some_and(|it| it.shared);
        is_shared && !self.within(part).contains(&owner)
    }

    /// A thing and all that is a part of it, of its parts, and so on.
    fn within(&self, ent: Ent) -> Vec<Ent> {
        let mut all = vec![ent];
        let mut at = 0;
        while let Some(&whole) = all.get(at) {
            at += 1;
            let own = self.pending.things.iter();
            let own = own.filter(|(_, thing)| thing.owner == Some(whole));
            let shared = self.pending.shares.iter();
            let shared = shared.filter(|(_, owner)| *owner == whole);
            let parts = own.map(|(part, _)| *part);
            for part in parts.chain(shared.map(|(part, _)| *part)) {
                if !all.contains(&part) {
                    all.push(part);
                }
            }
        }
        all
    }

    /// What goes with a thing: it, its parts, and what nobody else owns.
    pub fn goes_with(&self, ent: Ent) -> Vec<Ent> {
        let mut gone = vec![ent];
        let mut at = 0;
        while let Some(&whole) = gone.get(at) {
            at += 1;
            for (part, thing) in &self.pending.things {
                let stays =
                    |owner: Ent| self.pending.things.contains_key(&owner) && !gone.contains(&owner);
                let owners = self.pending.shares.iter();
                let mut owners = owners.filter(|(it, _)| it == part).map(|(_, owner)| *owner);
                let is_left = self.pending.shares.contains(&(*part, whole)) && !owners.any(stays);
                if !gone.contains(part) && (thing.owner == Some(whole) || is_left) {
                    gone.push(*part);
                }
            }
        }
        gone
    }

    /// Takes an owner of a shared part away. Returns what goes with that.
    pub fn disown(&mut self, owner: Ent, part: Ent) {
        self.pending.shares.remove(&(part, owner));
        let owners = self.pending.shares.iter().filter(|(it, _)| *it == part);
        let things = &self.pending.things;
        if !owners
            .into_iter()
            .any(|(_, owner)| things.contains_key(owner))
        {
            self.remove(part);
        }
    }

    /// What comes back if a thing does that was removed since the last commit; nothing if it cannot, because of its owners or
    /// because something else has its key.
    pub fn comes_back_with(&self, ent: Ent) -> Option<Vec<Ent>> {
        let things = &self.pending.things;
        let is_there = |ent: &Ent| things.contains_key(ent);
        let owners = self.pending.shares.iter().filter(|(part, _)| *part == ent);
        let owners: Vec<Ent> = owners.map(|(_, owner)| *owner).collect();
        let owner = self.committed.things[&ent].owner;
        if owner.is_some_and(|owner| !is_there(&owner))
            || (!owners.is_empty() && !owners.iter().any(is_there))
        {
            return None;
        }
        let mut back = vec![ent];
        let mut at = 0;
        while let Some(&whole) = back.get(at) {
            at += 1;
            for (part, thing) in &self.committed.things {
                let is_part =
                    thing.owner == Some(whole) || self.pending.shares.contains(&(*part, whole));
                if is_part && !is_there(part) && !back.contains(part) {
                    back.push(*part);
                }
            }
        }
        let is_free = |ent: &Ent| self.lookup(self.committed.things[ent].name).is_none();
        back.iter().all(is_free).then_some(back)
    }

    /// Makes a thing what it was at the last commit. `back` is what comes back with it, if it was removed.
    pub fn revert(&mut self, ent: Ent, back: &[Ent]) {
        if !self.committed.things.contains_key(&ent) {
            self.remove(ent);
            return;
        }
        for ent in back.iter().chain([&ent]) {
            let thing = self.committed.things[ent].clone();
            self.names.insert(thing.name, *ent);
            self.pending.things.insert(*ent, thing);
            self.dirty.remove(ent);
        }
        let is_about = |(part, owner): &(Ent, Ent)| *part == ent || *owner == ent;
        self.pending.shares.retain(|pair| !is_about(pair));
        let before = self.committed.shares.iter();
        let before = before.filter(|pair| is_about(pair));
        self.pending.shares.extend(before);
    }

    /// A definition with what its names mean now; all of them must have been declared.
    pub fn bound(&self, def: Def) -> Bound {
        let look = |name: &Name| self.lookup(*name).expect("declared before it is used");
        Bound {
            refs: def.names().iter().map(look).collect(),
            def: Arc::new(def),
        }
    }

    /// Defines a thing.
    pub fn bind(&mut self, ent: Ent, bound: Bound) {
        let same = self.committed.bound(ent) == Some(&bound);
        if same {
            self.dirty.remove(&ent);
        } else {
            self.dirty.insert(ent);
        }
        if let Some(thing) = self.pending.things.get_mut(&ent) {
            thing.bound = Some(bound);
        }
    }

    /// Takes a thing and its parts away.
    pub fn remove(&mut self, ent: Ent) {
        for ent in self.goes_with(ent) {
            if let Some(thing) = self.pending.things.remove(&ent) {
                self.dirty.remove(&ent);
                if self.lookup(thing.name) == Some(ent) {
                    self.names.remove(&thing.name);
                }
            }
        }
    }

    /// Adds an export.
    pub fn export(&mut self, name: &str, ent: Ent) {
        self.export_edits.push(ExportEdit::Add(name.into(), ent));
    }

    /// Takes an export away.
    pub fn unexport(&mut self, name: &str) {
        self.export_edits.push(ExportEdit::Remove(name.into()));
    }

    /// Sets the start function.
    pub fn set_start(&mut self, ent: Option<Ent>) {
        self.pending.start = ent;
    }

    /// The exports after the next commit, if they make sense.
    pub fn next_exports(&self) -> Result<Vec<(String, Ent)>, String> {
        let mut exports = self.committed.exports.clone();
        for edit in &self.export_edits {
            match edit {
                ExportEdit::Add(name, ent) => {
                    let mut same = exports.iter().filter(|(other, _)| other == name);
                    if let Some((_, known)) = same.next() {
                        if known == ent {
                            continue;
                        }
                        return Err(format!("{name} is exported twice"));
                    }
                    exports.push((name.clone(), *ent));
                }
                ExportEdit::Remove(name) => {
                    let at = exports.iter().position(|(other, _)| other == name);
                    exports.remove(at.ok_or(format!("nothing is exported as {name}"))?);
                }
            }
        }
        Ok(exports)
    }

    /// Whether the next commit must succeed.
    pub fn verdict(&self) -> Result<(), String> {
        let next = &self.pending;
        for (ent, thing, bound) in next.defined() {
            let _ = ent;
            // What a piece names need not be there.
            let refs: &[Ent] = match *bound.def {
                Def::Piece(_) => &[],
                _ => &bound.refs,
            };
            for target in refs {
                if next.bound(*target).is_none() {
                    let name = self.label(*target);
                    return Err(format!("{} refers to {name}", thing.name));
                }
            }
            if let Def::Function(_, ops) = &*bound.def
                && let Some(callee) = stale_calls(next, ops, &bound.refs).next()
            {
                return Err(format!("{} calls {}", thing.name, self.label(callee)));
            }
        }
        for (name, ent) in self.next_exports()? {
            if next.bound(ent).is_none() {
                return Err(format!("{name} exports {}", self.label(ent)));
            }
        }
        if let Some(start) = next.start {
            match next.def(start) {
                None => return Err(format!("{} is the start", self.label(start))),
                Some(def) if def.sig() != Some(0) => {
                    return Err(format!("the start {} has a signature", self.label(start)));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// Calls with a signature that the callee has not: who calls whom.
    pub fn stale_calls(&self) -> Vec<(Ent, Ent)> {
        let next = &self.pending;
        let mut stale = Vec::new();
        for (ent, _, bound) in next.defined() {
            if let Def::Function(_, ops) = &*bound.def {
                stale.extend(stale_calls(next, ops, &bound.refs).map(|callee| (ent, callee)));
            }
        }
        stale
    }

    /// References to what is not defined: who refers to what.
    pub fn dangling(&self) -> Vec<(Ent, Ent)> {
        let next = &self.pending;
        let users = next.defined();
        let users = users.filter(|(_, _, bound)| bound.def.kind() != Kind::Piece);
        let refs = users.flat_map(|(ent, _, bound)| bound.refs.iter().map(move |to| (ent, *to)));
        refs.filter(|(_, to)| next.bound(*to).is_none()).collect()
    }

    fn label(&self, ent: Ent) -> String {
        let thing = self.pending.things.get(&ent);
        let thing = thing.or_else(|| self.committed.things.get(&ent));
        thing.map_or("what is gone".into(), |thing| thing.name.to_string())
    }

    /// Makes what is pending current. Call it only when [`Model::verdict`] agrees.
    pub fn commit(&mut self) {
        self.pending.exports = self.next_exports().expect("the verdict was good");
        self.export_edits.clear();
        self.dirty.clear();
        let things = &self.pending.things;
        let is_there =
            |(part, owner): &(Ent, Ent)| things.contains_key(part) && things.contains_key(owner);
        self.pending.shares.retain(is_there);
        self.committed = self.pending.clone();
        self.committed_next = self.next;
    }

    /// Whether the exports are changed by the next commit.
    pub fn has_export_edits(&self) -> bool {
        !self.export_edits.is_empty()
    }

    /// Forgets what is pending.
    pub fn discard(&mut self) {
        self.dirty.clear();
        self.export_edits.clear();
        self.pending = self.committed.clone();
        let named = self.committed.things.iter();
        // Without a key there is nothing to find it by again.
        let named = named.filter(|(_, thing)| thing.has_key());
        self.names = named.map(|(ent, thing)| (thing.name, *ent)).collect();
        self.next = self.committed_next;
    }
}

/// Callees whose signature is not the one that they are called with.
fn stale_calls<'a>(
    next: &'a Program,
    ops: &'a [Op],
    refs: &'a [Ent],
) -> impl Iterator<Item = Ent> + 'a {
    with_refs(ops, refs).filter_map(|(op, refs)| {
        let (Op::Call(_, sig) | Op::CallDirect(_, sig) | Op::CallAddress(_, sig)) = op else {
            return None;
        };
        (next.def(refs[0])?.sig() != Some(*sig)).then_some(refs[0])
    })
}

/// The steps of a body, each with the part of the references that belongs to it.
pub fn with_refs<'a>(
    ops: &'a [Op],
    refs: &'a [Ent],
) -> impl Iterator<Item = (&'a Op, &'a [Ent])> + 'a {
    let mut at = usize::from(ops.iter().any(Op::calls));
    ops.iter().map(move |op| {
        let start = at;
        at += op.names().len();
        (op, &refs[start..at])
    })
}
