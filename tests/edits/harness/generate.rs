//! Random edits of a program, chosen in view of what is there. The same numbers give the same edits.

use super::chunk::{Chunk, Field};
use super::model::{
    BUDGET, Blob, Def, Ent, Holds, Init, Kind, MEMORY, Model, Name, Op, RESET, SIGNATURES, Sig, Ty,
    d, f, g, t, x,
};
use super::script::Edit;

/// Where choices come from: a seed, or the bytes of a fuzzer, which run out.
#[derive(Debug, Clone)]
pub enum Choices {
    Seed(u64),
    Bytes(Vec<u8>, usize),
}

impl Choices {
    fn next(&mut self) -> u64 {
        match self {
            // SplitMix64.
            Choices::Seed(state) => {
                *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let mut z = *state;
                z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                z ^ (z >> 31)
            }
            Choices::Bytes(bytes, at) => {
                let byte = |at: usize| u64::from(bytes.get(at).copied().unwrap_or(0));
                *at += 2;
                byte(*at - 2) | byte(*at - 1) << 8
            }
        }
    }

    /// Whether there are choices left.
    pub fn has_more(&self) -> bool {
        match self {
            Choices::Seed(_) => true,
            Choices::Bytes(bytes, at) => *at < bytes.len(),
        }
    }

    /// A number below `limit`, or 0.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    /// True once in `times`.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == times - 1
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> Option<T> {
        (!of.is_empty()).then(|| of[self.below(of.len())])
    }
}

/// What a script may contain.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Names of each kind that are used.
    pub functions: u16,
    pub others: u16,
    /// Edits between commits, on average.
    pub edits_per_commit: usize,
    /// Tags, which not every engine runs.
    pub tags: bool,
    /// Whether edits are of function bodies most of the time.
    pub mostly_bodies: bool,
    /// Whether there are functions with very many parameters. What their types take counts as overhead of a patch, so the
    /// overhead is not looked at then.
    pub wide: bool,
    /// Whether there are pieces of custom sections.
    pub pieces: bool,
    /// Whether there may be commits that must fail.
    pub failures: bool,
}

/// The edits that every script begins with.
pub fn prelude() -> Vec<Edit> {
    let init = Init::Value(Ty::I64, 0);
    let mutable = true;
    vec![
        Edit::Define(MEMORY, Def::Memory { pages: 16 }),
        Edit::Define(BUDGET, Def::Global { mutable, init }),
        Edit::Define(RESET, Def::Function(0, vec![Op::Reset])),
        Edit::Export("memory".into(), MEMORY),
        Edit::Export("reset".into(), RESET),
    ]
}

/// The signature with very many parameters.
const WIDE: Sig = 9;

struct Generator<'a> {
    model: &'a Model,
    shape: Shape,
    choices: &'a mut Choices,
}

/// The next edits: one, or several that belong together.
pub fn next(model: &Model, shape: Shape, choices: &mut Choices) -> Vec<Edit> {
    let mut generator = Generator {
        model,
        shape,
        choices,
    };
    if generator.choices.once_in(shape.edits_per_commit.max(2)) {
        return vec![Edit::Commit];
    }
    let mut edits = generator.edits();
    // Anywhere, also between edits that belong together.
    if shape.failures && generator.choices.once_in(30) {
        edits.truncate(generator.below(edits.len() + 1));
        edits.push(Edit::Discard);
        return edits;
    }
    if shape.edits_per_commit <= 1 {
        edits.push(Edit::Commit);
    }
    edits
}

impl Generator<'_> {
    fn below(&mut self, limit: usize) -> usize {
        self.choices.below(limit)
    }

    /// Things that are defined, of one kind.
    fn defined(&self, kind: Kind) -> Vec<Name> {
        let all = self.model.pending.defined();
        let named = all.filter(|(ent, thing, _)| {
            thing.name.0 == kind && self.model.lookup(thing.name) == Some(*ent)
        });
        named.map(|(_, thing, _)| thing.name).collect()
    }

    fn ent(&self, name: Name) -> Option<Ent> {
        self.model.lookup(name)
    }

    fn def(&self, name: Name) -> Option<&Def> {
        self.model.pending.def(self.ent(name)?)
    }

    fn fresh(&mut self, kind: Kind) -> Name {
        let limit = match kind {
            Kind::Function => self.shape.functions,
            _ => self.shape.others,
        };
        Name(kind, 1 + self.below(limit.into()) as u16)
    }

    /// A thing to refer to: defined, most of the time.
    fn target(&mut self, kind: Kind) -> Option<Name> {
        if self.shape.failures && self.choices.once_in(150) {
            return Some(self.fresh(kind));
        }
        let mut defined = self.defined(kind);
        // Who calls it without end is stopped by nothing but the engine, which is not to be compared.
        defined.retain(|name| *name != RESET);
        self.choices.pick(&defined)
    }

    fn editable(&mut self, kind: Kind) -> Option<Name> {
        let mut all = self.defined(kind);
        all.retain(|name| *name != RESET && *name != BUDGET);
        self.choices.pick(&all)
    }

    fn edits(&mut self) -> Vec<Edit> {
        if self.shape.failures && self.choices.once_in(16) {
            return self.revert().unwrap_or_default();
        }
        if self.choices.once_in(40) {
            return vec![Edit::Clone];
        }
        if self.shape.pieces && self.choices.once_in(7) {
            return self.define_piece().unwrap_or_default();
        }
        let what = if self.shape.mostly_bodies && !self.choices.once_in(12) {
            0
        } else {
            self.below(100)
        };
        let edits = match what {
            0..34 => self.redefine_function(),
            34..44 => self.define_function(),
            44..46 => self.reserve(),
            46..51 => self.remove(Kind::Function),
            51..55 => self.change_signature(),
            55..63 => self.define_data(),
            63..66 => self.remove(Kind::Data),
            66..72 => self.define_global(),
            72..74 => self.remove(Kind::Global),
            74..79 => self.define_import(),
            79..80 => self.turn(),
            80..85 => self.export(),
            85..87 => self.unexport(),
            87..89 => self.start(),
            89..91 => self.define_table(),
            91..92 => self.remove(Kind::Table),
            92..94 => self.define_tag(),
            94..95 => self.remove(Kind::Tag),
            95..97 if self.choices.once_in(2) => self.define_part(),
            95..97 => self.share(),
            97 if self.shape.pieces && self.choices.once_in(3) => self.remove(Kind::Piece),
            97..99 if self.shape.pieces => self.define_piece(),
            97..99 => self.define_part(),
            _ => self.rare(),
        };
        edits.unwrap_or_default()
    }

    fn sig(&mut self) -> Sig {
        let sig = self.below(SIGNATURES.len()) as Sig;
        match sig {
            WIDE if !self.shape.wide => 1,
            sig => sig,
        }
    }

    fn sig_of(&self, name: Name) -> Sig {
        self.def(name).and_then(Def::sig).unwrap_or(1)
    }

    /// The signature that a function is called with: hardly ever one that it has not.
    fn called_as(&mut self, name: Name) -> Sig {
        match self.shape.failures && self.choices.once_in(250) {
            true => self.sig(),
            false => self.sig_of(name),
        }
    }

    fn ty(&mut self) -> Ty {
        [Ty::I32, Ty::I64, Ty::F32, Ty::F64][self.below(4)]
    }

    fn op(&mut self) -> Option<Op> {
        Some(match self.below(30) {
            0..2 => Op::Const(self.below(5000) as i64 - 2500),
            2..6 => Op::Work(1 + self.below(12) as u16, self.below(1 << 14) as i64),
            6 => Op::Work(40 + self.below(200) as u16, 5),
            7 => Op::Param(self.below(8) as u8),
            8 => Op::Locals(1 + self.below(3) as u8, self.ty()),
            9..14 => {
                let name = self.target(Kind::Function)?;
                Op::Call(name.1, self.called_as(name))
            }
            14 => {
                let name = self.target(Kind::Function)?;
                Op::CallDirect(name.1, self.called_as(name))
            }
            15..17 => {
                let name = self.target(Kind::Function)?;
                Op::CallAddress(name.1, self.called_as(name))
            }
            17 => Op::IsNull(self.target(Kind::Function)?.1),
            18..20 => {
                let name = self.target(Kind::Global)?;
                let holds = self.def(name).and_then(Def::holds);
                Op::GetGlobal(name.1, holds.unwrap_or(Holds::Value(Ty::I32)))
            }
            20 => {
                let name = self.target(Kind::Global)?;
                match self.def(name).and_then(Def::holds) {
                    Some(Holds::Value(ty)) if name != BUDGET => Op::SetGlobal(name.1, ty),
                    Some(Holds::FunctionAddress) => Op::CallGlobal(name.1, self.sig()),
                    _ => return None,
                }
            }
            21..23 => Op::Load(self.target(Kind::Data)?.1),
            23 => Op::LoadOffset(self.target(Kind::Data)?.1),
            24 => Op::Store(self.target(Kind::Data)?.1),
            25 => {
                let name = self.target(Kind::Data)?;
                let function = match self.def(name) {
                    Some(Def::Data(blob)) => blob.function,
                    _ => None,
                };
                let sig = function.map(|key| self.sig_of(f(key)));
                Op::CallData(name.1, sig.unwrap_or(0))
            }
            26 => Op::Follow(self.target(Kind::Data)?.1),
            27 => match self.below(2) {
                0 => Op::TableSize(self.target(Kind::Table)?.1),
                _ => {
                    let table = self.target(Kind::Table)?;
                    Op::TableSet(table.1, self.target(Kind::Function)?.1)
                }
            },
            28 => match self.below(2) {
                0 => Op::Block(self.sig()),
                _ => Op::Loop(self.sig()),
            },
            _ => {
                let name = self.target(Kind::Tag)?;
                Op::Throw(name.1, self.sig_of(name))
            }
        })
    }

    fn ops(&mut self, most: usize) -> Vec<Op> {
        let count = self.below(most);
        (0..count).filter_map(|_| self.op()).collect()
    }

    fn define_function(&mut self) -> Option<Vec<Edit>> {
        let name = self.fresh(Kind::Function);
        let sig = match self.def(name).and_then(Def::sig) {
            // It is there already: a redefinition of its body.
            Some(sig) => sig,
            None => self.sig(),
        };
        let def = Def::Function(sig, self.ops(8));
        Some(vec![Edit::Define(name, def)])
    }

    fn redefine_function(&mut self) -> Option<Vec<Edit>> {
        let name = self.editable(Kind::Function)?;
        let Some(Def::Function(sig, ops)) = self.def(name) else {
            return None;
        };
        let (sig, mut ops) = (*sig, ops.clone());
        let at = self.below(ops.len());
        let number = self.below(1 << 13);
        match self.below(10) {
            // A constant.
            0..3 => match ops.iter_mut().find_map(|op| match op {
                Op::Work(_, value) | Op::Const(value) => Some(value),
                _ => None,
            }) {
                Some(value) => *value = number as i64,
                None => ops.push(Op::Const(number as i64)),
            },
            // Some more, much more.
            3..5 => ops.insert(at, Op::Work(1 + (number % 6) as u16, 3)),
            5 => ops.push(Op::Work((number % 300) as u16, 3)),
            6 => ops.extend(self.op()),
            // Less, nothing at all, something else.
            7 if !ops.is_empty() => {
                ops.remove(at);
            }
            8 if number.is_multiple_of(3) => ops.clear(),
            _ => ops = self.ops(10),
        }
        ops.truncate(40);
        Some(vec![Edit::Define(name, Def::Function(sig, ops))])
    }

    fn change_signature(&mut self) -> Option<Vec<Edit>> {
        let name = self.editable(Kind::Function)?;
        let sig = self.sig();
        let def = match self.def(name)? {
            Def::Function(_, ops) => Def::Function(sig, ops.clone()),
            _ => Def::ImportFunction(sig),
        };
        let mut edits = vec![Edit::Define(name, def)];
        if !self.shape.failures || !self.choices.once_in(6) {
            edits.extend(self.rebuild_users(name, Some(sig)));
        }
        Some(edits)
    }

    /// Redefines what uses a thing: with another signature, or without the thing.
    fn rebuild_users(&self, name: Name, sig: Option<Sig>) -> Vec<Edit> {
        let Some(ent) = self.ent(name) else {
            return Vec::new();
        };
        let program = &self.model.pending;
        let mut edits = Vec::new();
        for user in program.users(ent) {
            let thing = &program.things[&user];
            if user == ent || self.model.lookup(thing.name) != Some(user) {
                continue;
            }
            let def = match program.def(user) {
                Some(Def::Function(own, ops)) => {
                    let ops = ops.iter().filter_map(|op| {
                        if !op.names().contains(&name) {
                            return Some(op.clone());
                        }
                        let sig = sig?;
                        Some(match *op {
                            Op::Call(key, _) => Op::Call(key, sig),
                            Op::CallDirect(key, _) => Op::CallDirect(key, sig),
                            Op::CallAddress(key, _) => Op::CallAddress(key, sig),
                            ref op => op.clone(),
                        })
                    });
                    Def::Function(*own, ops.collect())
                }
                Some(Def::Global { mutable, init }) if sig.is_none() => Def::Global {
                    mutable: *mutable,
                    init: match *init {
                        Init::Global(_, ty) => Init::Value(ty, -1),
                        _ => Init::Value(Ty::I32, 0),
                    },
                },
                Some(Def::Data(blob)) if sig.is_none() => {
                    let mut blob = blob.clone();
                    blob.function = blob.function.filter(|key| f(*key) != name);
                    blob.address = blob.address.filter(|(key, _)| d(*key) != name);
                    Def::Data(blob)
                }
                _ => continue,
            };
            edits.push(Edit::Define(thing.name, def));
        }
        edits
    }

    /// What must be said before a thing goes with all that goes with it.
    fn let_go(&mut self, ent: Ent) -> Vec<Edit> {
        let mut edits = Vec::new();
        for gone in self.model.goes_with(ent) {
            let name = self.model.pending.things[&gone].name;
            edits.extend(self.rebuild_users(name, None));
            for (field, ent) in self.model.next_exports().unwrap_or_default() {
                if ent == gone {
                    edits.push(Edit::Unexport(field));
                }
            }
            if self.model.pending.start == Some(gone) {
                edits.push(Edit::Start(None));
            }
        }
        edits
    }

    /// A part of several owners comes, gets another one or loses one.
    fn share(&mut self) -> Option<Vec<Edit>> {
        let shares: Vec<(Ent, Ent)> = self.model.pending.shares.iter().copied().collect();
        if let Some((part, owner)) = self
            .choices
            .pick(&shares)
            .filter(|_| self.choices.once_in(2))
        {
            let things = &self.model.pending.things;
            let (of, by) = (things.get(&part)?.name, things.get(&owner)?.name);
            let mut edits = self.let_go(part);
            edits.push(Edit::Disown(by, of));
            return Some(edits);
        }
        let owner = self.editable(Kind::Function)?;
        let (name, def) = self.small_thing();
        (name != owner).then(|| vec![Edit::Shared(owner, name, def)])
    }

    /// Something of one of the kinds that parts are of.
    fn small_thing(&mut self) -> (Name, Def) {
        match self.below(4) {
            0..2 => {
                let name = self.fresh(Kind::Function);
                let sig = match self.def(name).and_then(Def::sig) {
                    Some(sig) => sig,
                    None => self.sig(),
                };
                (name, Def::Function(sig, self.ops(6)))
            }
            2 => {
                let init = Init::Value(Ty::I64, 77);
                let mutable = true;
                (self.fresh(Kind::Global), Def::Global { mutable, init })
            }
            _ => {
                let blob = Blob {
                    len: self.below(40) as u16,
                    ..Blob::default()
                };
                (self.fresh(Kind::Data), Def::Data(blob))
            }
        }
    }

    /// Several things at once, of which functions call one another.
    fn reserve(&mut self) -> Option<Vec<Edit>> {
        let count = 2 + self.below(4);
        let mut all: Vec<(Name, Def, bool)> = Vec::new();
        for _ in 0..count {
            let (name, mut def) = self.small_thing();
            if let Def::Function(_, ops) = &mut def
                && let Some((other, called)) = all
                    .last()
                    .and_then(|(other, def, _)| Some((*other, def.sig()?)))
            {
                ops.push(Op::Call(other.1, called));
            }
            if all.iter().all(|(other, ..)| *other != name) {
                all.push((name, def, self.choices.once_in(3)));
            }
        }
        Some(vec![Edit::Reserve(all)])
    }

    fn revert(&mut self) -> Option<Vec<Edit>> {
        let model = self.model;
        let things = model.committed.things.iter();
        let removed = things.filter(|(ent, _)| !model.pending.things.contains_key(ent));
        let removed = removed.map(|(_, thing)| (thing.name, true));
        let dirty = model.dirty.iter();
        let dirty = dirty.filter_map(|ent| Some((model.pending.things.get(ent)?.name, false)));
        let mut all: Vec<(Name, bool)> = removed.chain(dirty).collect();
        all.retain(|(name, _)| *name != RESET && *name != BUDGET && *name != MEMORY);
        let (name, was_removed) = self.choices.pick(&all)?;
        Some(vec![Edit::Revert(name, was_removed)])
    }

    fn remove(&mut self, kind: Kind) -> Option<Vec<Edit>> {
        let name = self.editable(kind)?;
        let ent = self.ent(name)?;
        let mut edits = Vec::new();
        if !self.shape.failures || !self.choices.once_in(6) {
            edits.extend(self.let_go(ent));
        }
        edits.push(Edit::Remove(name));
        // Sometimes something else gets the name at once.
        if self.choices.once_in(8) && kind == Kind::Function {
            let def = Def::Function(self.sig(), self.ops(5));
            edits.push(Edit::Define(name, def));
        }
        Some(edits)
    }

    fn define_data(&mut self) -> Option<Vec<Edit>> {
        let name = self.fresh(Kind::Data);
        let mut blob = match self.def(name) {
            Some(Def::Data(blob)) => blob.clone(),
            _ => Blob::default(),
        };
        if self.choices.once_in(4) {
            blob = Blob {
                len: self.below(60) as u16,
                align_log2: self.below(6) as u8,
                zero: self.choices.once_in(6),
                ..Blob::default()
            };
        }
        match self.below(6) {
            0 => blob.fill = self.below(256) as u8,
            1 => blob.len += self.below(12) as u16,
            2 => blob.len = self.below(400) as u16,
            3 => blob.len /= 2,
            4 => blob.function = self.target(Kind::Function).map(|name| name.1),
            _ => {
                let target = self.target(Kind::Data);
                blob.address = target.map(|name| (name.1, self.below(4) as u8));
            }
        }
        blob.len = blob.len.min(1000);
        if blob.zero {
            blob.function = None;
            blob.address = None;
        }
        Some(vec![Edit::Define(name, Def::Data(blob))])
    }

    fn field(&mut self) -> Option<Field> {
        let addend = self.below(5) as u8;
        Some(match self.below(12) {
            0..5 => Field::Code(self.target(Kind::Function)?.1, addend),
            5 => Field::Index(self.target(Kind::Function)?.1),
            6 => Field::Slot(self.target(Kind::Function)?.1),
            7 => Field::Data(self.target(Kind::Data)?.1, addend),
            8 => Field::Global(self.target(Kind::Global)?.1),
            9 => Field::Code(self.fresh(Kind::Function).1, addend),
            _ => Field::Piece(self.target(Kind::Piece)?.1, addend),
        })
    }

    fn define_piece(&mut self) -> Option<Vec<Edit>> {
        let name = self.fresh(Kind::Piece);
        let mut chunk = match self.def(name) {
            Some(Def::Piece(chunk)) => chunk.clone(),
            _ => Chunk {
                section: [0, 0, 0, 1, 2, 2, 3, 3, 4, 5][self.below(10)],
                len: self.below(40) as u16,
                ..Chunk::default()
            },
        };
        match self.below(9) {
            0..3 => chunk.fields.extend(self.field()),
            3 => drop(chunk.fields.pop()),
            4 => chunk.fill = self.below(256) as u8,
            5 => chunk.len += self.below(12) as u16,
            6 => chunk.len = self.below(600) as u16,
            7 => chunk.len /= 2,
            _ if self.choices.once_in(3) => chunk.section = self.below(6) as u8,
            _ => chunk.fields = (0..6).filter_map(|_| self.field()).collect(),
        }
        chunk.len = chunk.len.min(2000);
        chunk.fields.truncate(12);
        Some(vec![Edit::Define(name, Def::Piece(chunk))])
    }

    fn define_global(&mut self) -> Option<Vec<Edit>> {
        let name = self.fresh(Kind::Global);
        let ty = self.ty();
        let number = self.below(1 << 16) as i64 - (1 << 15);
        let init = match self.below(8) {
            0 => Init::FunctionAddress(self.target(Kind::Function)?.1),
            1 => Init::DataAddress(self.target(Kind::Data)?.1, self.below(4) as u8),
            2 => {
                let mut imported = self.defined(Kind::Global);
                imported.retain(|name| {
                    matches!(
                        self.def(*name),
                        Some(Def::ImportGlobal { mutable: false, .. })
                    )
                });
                let of = self.choices.pick(&imported)?;
                match self.def(of) {
                    Some(Def::ImportGlobal { ty, .. }) if of != name => Init::Global(of.1, *ty),
                    _ => return None,
                }
            }
            // Plain constants keep out of the way of addresses.
            _ if number > 0 => Init::Value(ty, number << 21),
            _ => Init::Value(ty, number),
        };
        let mutable = !self.choices.once_in(4);
        Some(vec![Edit::Define(name, Def::Global { mutable, init })])
    }

    fn define_import(&mut self) -> Option<Vec<Edit>> {
        Some(match self.below(8) {
            0..5 => {
                let name = self.fresh(Kind::Function);
                let sig = match self.def(name).and_then(Def::sig) {
                    Some(sig) => sig,
                    None => self.sig(),
                };
                vec![Edit::Define(name, Def::ImportFunction(sig))]
            }
            5..7 => {
                let name = self.fresh(Kind::Global);
                let (ty, mutable) = (self.ty(), self.choices.once_in(3));
                vec![Edit::Define(name, Def::ImportGlobal { ty, mutable })]
            }
            _ if self.shape.tags => {
                let name = self.fresh(Kind::Tag);
                vec![Edit::Define(name, Def::ImportTag(self.tag_sig()))]
            }
            _ => return None,
        })
    }

    /// Makes an import of what is defined, or the other way round.
    fn turn(&mut self) -> Option<Vec<Edit>> {
        let name = self.editable(Kind::Function)?;
        let def = match self.def(name)? {
            Def::Function(sig, _) => Def::ImportFunction(*sig),
            def => Def::Function(def.sig()?, self.ops(6)),
        };
        Some(vec![Edit::Define(name, def)])
    }

    fn export(&mut self) -> Option<Vec<Edit>> {
        let kind = match self.below(10) {
            0..7 => Kind::Function,
            7..9 => Kind::Global,
            _ => Kind::Table,
        };
        let name = self.target(kind)?;
        // What is there already may be said again.
        let exports = self.model.next_exports().unwrap_or_default();
        if self.choices.once_in(6) && !exports.is_empty() {
            let (field, ent) = exports[self.below(exports.len())].clone();
            let name = self.model.pending.things.get(&ent)?.name;
            return (self.ent(name) == Some(ent)).then(|| vec![Edit::Export(field, name)]);
        }
        let field = format!("e{}", self.below(60));
        let taken = self.model.next_exports().unwrap_or_default();
        let taken = taken.iter().any(|(other, _)| *other == field);
        if taken && !(self.shape.failures && self.choices.once_in(8)) {
            return Some(vec![
                Edit::Unexport(field.clone()),
                Edit::Export(field, name),
            ]);
        }
        Some(vec![Edit::Export(field, name)])
    }

    fn unexport(&mut self) -> Option<Vec<Edit>> {
        if self.shape.failures && self.choices.once_in(20) {
            return Some(vec![Edit::Unexport("nothing".into())]);
        }
        let exports = self.model.next_exports().unwrap_or_default();
        let exports: Vec<String> = exports.into_iter().map(|(field, _)| field).collect();
        let exports: Vec<&String> = exports
            .iter()
            .filter(|field| field.starts_with('e'))
            .collect();
        let field = self.choices.pick(&exports)?;
        Some(vec![Edit::Unexport(field.clone())])
    }

    fn start(&mut self) -> Option<Vec<Edit>> {
        let mut functions = self.defined(Kind::Function);
        functions.retain(|name| self.sig_of(*name) == 0);
        let start = self.choices.pick(&functions);
        let start = start.filter(|_| !self.choices.once_in(3));
        Some(vec![Edit::Start(start)])
    }

    fn define_table(&mut self) -> Option<Vec<Edit>> {
        let name = t(1 + self.below(4) as u16);
        let minimum = 1 + self.below(5) as u32;
        let imported = matches!(self.def(name), Some(Def::ImportTable { .. }));
        let def = if imported || self.choices.once_in(6) {
            Def::ImportTable { minimum }
        } else {
            let maximum = self.choices.once_in(2).then_some(minimum + 7);
            Def::Table { minimum, maximum }
        };
        Some(vec![Edit::Define(name, def)])
    }

    fn tag_sig(&mut self) -> Sig {
        [0, 7, 8][self.below(3)]
    }

    fn define_tag(&mut self) -> Option<Vec<Edit>> {
        if !self.shape.tags {
            return None;
        }
        let name = x(1 + self.below(6) as u16);
        Some(vec![Edit::Define(name, Def::Tag(self.tag_sig()))])
    }

    fn define_part(&mut self) -> Option<Vec<Edit>> {
        let owner = self.editable(Kind::Function)?;
        let named = self.choices.once_in(2);
        let (name, def) = self.small_thing();
        if name == owner {
            return None;
        }
        Some(vec![Edit::Part(owner, name, def, named)])
    }

    fn rare(&mut self) -> Option<Vec<Edit>> {
        Some(match self.below(6) {
            0 => vec![Edit::Relink],
            1..3 => vec![Edit::Discard],
            3 => vec![Edit::Commit, Edit::Commit],
            // A name that is used before it means anything.
            4 if self.shape.failures => vec![Edit::Export("e0".into(), f(999))],
            _ => {
                let global = g(1 + self.below(9) as u16);
                vec![Edit::Define(
                    global,
                    Def::Global {
                        mutable: true,
                        init: Init::Value(self.ty(), -1),
                    },
                )]
            }
        })
    }
}
