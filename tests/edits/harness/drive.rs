//! Applies edits to a [`wasmend::Module`], through its public interface only.

use std::collections::HashMap;

use wasm_encoder::Instruction;
use wasmend as w;

use super::body::{self, Emit};
use super::chunk::{Chunk, FILLED, Field};
use super::model::{Blob, Bound, Def, Ent, Init, Kind, MEMORY, Name, Sig, Ty, field, signature};

/// A module, and which declaration each thing is.
pub struct Driver {
    pub module: w::Module,
    ids: HashMap<Ent, w::DeclId>,
    memory: w::DeclId,
    /// Bytes of the bodies defined since the last commit.
    pub body_bytes: HashMap<Ent, u64>,
    /// A clone of the module, which is given the same edits.
    pub twin: Option<Box<Driver>>,
}

/// What a thing is a part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    Nothing,
    One(Ent),
    /// Several, of which this is the first.
    Shared(Ent),
    /// Several, which are said later.
    Unsaid,
}

/// What is reserved: the thing, what it is called, what it is a part of, and its definition.
pub struct Reserved {
    pub ent: Ent,
    pub name: Name,
    pub owner: Owner,
    pub bound: Bound,
}

/// Threads that reserve at once.
const THREADS: usize = 3;

/// A wasmend type.
pub fn val_type(ty: Ty) -> w::ValType {
    match ty {
        Ty::I32 => w::ValType::I32,
        Ty::I64 => w::ValType::I64,
        Ty::F32 => w::ValType::F32,
        Ty::F64 => w::ValType::F64,
    }
}

fn val_types(types: &[Ty]) -> Vec<w::ValType> {
    types.iter().map(|ty| val_type(*ty)).collect()
}

/// wasmend's word for a kind.
pub fn kind(kind: Kind) -> w::DeclKind {
    match kind {
        Kind::Function => w::DeclKind::Function,
        Kind::Global => w::DeclKind::Global,
        Kind::Data => w::DeclKind::Data,
        Kind::Table => w::DeclKind::Table,
        Kind::Tag => w::DeclKind::Tag,
        Kind::Memory => w::DeclKind::Memory,
        Kind::Piece => w::DeclKind::Custom,
    }
}

impl Driver {
    /// Drives a module whose memory is the thing `memory`.
    pub fn new(mut module: w::Module, memory: Ent) -> w::Result<Driver> {
        let id = Self::declare_memory(&mut module)?;
        Ok(Driver {
            module,
            ids: HashMap::from([(memory, id)]),
            memory: id,
            body_bytes: HashMap::new(),
            twin: None,
        })
    }

    /// Makes a clone that is given the same edits from here on. Returns the one of before.
    pub fn fork(&mut self) -> w::Result<Option<Box<Driver>>> {
        let twin = Driver {
            module: self.module.try_clone()?,
            ids: self.ids.clone(),
            memory: self.memory,
            body_bytes: HashMap::new(),
            twin: None,
        };
        Ok(self.twin.replace(Box::new(twin)))
    }

    /// Does what nobody asked for, as far as it goes: half of the program is removed, and the rest published. Returns what is
    /// declared here and nowhere else.
    pub fn stray(&mut self) -> w::Result<w::DeclId> {
        let mut ids: Vec<w::DeclId> = self.ids.values().copied().collect();
        ids.sort_unstable();
        for id in ids.iter().step_by(2) {
            let _ = self.module.remove(*id);
        }
        for id in ids {
            let function = w::FunctionBuilder::new(self.module.body_style(), &[], &[]);
            let _ = self
                .module
                .define_function(id, function.finish().expect("is empty"));
        }
        let _ = self.module.commit();
        self.module.declare(w::DeclKind::Function, "stray")
    }

    fn declare_memory(module: &mut w::Module) -> w::Result<w::DeclId> {
        module.declare(w::DeclKind::Memory, &MEMORY.to_string())
    }

    /// Discards what is pending. The memory is there in any case: it is declared again if it was never committed.
    pub fn discard(&mut self, memory: Ent) -> w::Result<()> {
        if let Some(twin) = &mut self.twin {
            twin.discard(memory)?;
        }
        self.module.discard();
        self.body_bytes.clear();
        if self.module.lookup(&MEMORY.to_string()).is_none() {
            self.memory = Self::declare_memory(&mut self.module)?;
            self.ids.insert(memory, self.memory);
        }
        Ok(())
    }

    /// The declaration of the memory.
    pub fn memory(&self) -> w::DeclId {
        self.memory
    }

    /// The declaration of a thing.
    pub fn id(&self, ent: Ent) -> w::DeclId {
        self.ids[&ent]
    }

    /// Declares a thing; `reserves` if by threads that reserve it.
    pub fn declare(
        &mut self,
        ent: Ent,
        name: Name,
        owner: Owner,
        (named, reserves): (bool, bool),
    ) -> w::Result<()> {
        if let Some(twin) = &mut self.twin {
            twin.declare(ent, name, owner, (named, false))?;
        }
        let (kind, key) = (kind(name.0), name.to_string());
        let has_key = named || !matches!(owner, Owner::One(_));
        let module = &mut self.module;
        let id = match owner {
            _ if reserves && has_key => reserve(module, &self.ids, owner, (kind, &key))?,
            Owner::Nothing if ent.is_multiple_of(2) => module.declare_or_get(kind, &key)?,
            Owner::Nothing => module.declare(kind, &key)?,
            Owner::One(owner) => {
                let key = named.then_some(&*key);
                module.declare_part(self.ids[&owner], kind, key)?
            }
            Owner::Shared(owner) => {
                let id = module.declare_shared(kind, Some(&key))?;
                module.add_owner(id, self.ids[&owner])?;
                id
            }
            Owner::Unsaid => module.declare_shared(kind, Some(&key))?,
        };
        if named && !matches!(name.0, Kind::Function | Kind::Piece) {
            self.module.set_name(id, &key)?;
        }
        self.ids.insert(ent, id);
        Ok(())
    }

    /// Whether what is declared is found by its key, and not as something else.
    pub fn find(&mut self, ent: Ent, name: Name) -> w::Result<()> {
        let key = name.to_string();
        let found = self.module.declare_or_get(kind(name.0), &key)?;
        assert_eq!(found, self.ids[&ent], "{key} is found");
        let other = match name.0 {
            Kind::Tag => w::DeclKind::Table,
            _ => w::DeclKind::Tag,
        };
        let refused = self.module.declare_or_get(other, &key);
        assert!(refused.is_err(), "{key} is found as a {other}");
        Ok(())
    }

    /// Lets threads reserve things in different orders, and build bodies that name them before they are declared.
    pub fn reserve_all(&mut self, all: &[Reserved]) -> w::Result<()> {
        if let Some(twin) = &mut self.twin {
            for Reserved {
                ent, name, owner, ..
            } in all
            {
                twin.declare(*ent, *name, *owner, (true, false))?;
            }
        }
        let reservations = self.module.reservations();
        let (style, ids) = (reservations.body_style(), &self.ids);
        let reserve_and_build = |turn: usize| -> w::Result<_> {
            let mut order: Vec<&Reserved> = all.iter().collect();
            // Owners stand first, and so they do in each order.
            let parts = order.partition_point(|it| it.owner == Owner::Nothing);
            order[..parts].rotate_left(turn % parts.max(1));
            order[parts..].reverse();
            let mut ids = ids.clone();
            for it in order {
                let (kind, key) = (kind(it.name.0), it.name.to_string());
                let id = match it.owner {
                    Owner::One(owner) => reservations.reserve_part(ids[&owner], kind, &key)?,
                    _ => reservations.reserve(kind, &key)?,
                };
                ids.insert(it.ent, id);
            }
            let mine = all.iter().skip(turn).step_by(THREADS);
            let bodies = mine.filter(|it| matches!(*it.bound.def, Def::Function(..)));
            let bodies = bodies.map(|it| Ok((it.ent, build(style, &ids, &it.bound)?)));
            let bodies = bodies.collect::<w::Result<Vec<_>>>()?;
            Ok((ids, bodies))
        };
        let done: w::Result<Vec<_>> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS)
                .map(|turn| scope.spawn(move || reserve_and_build(turn)))
                .collect();
            let ended = threads.into_iter().map(|it| it.join().expect("no panic"));
            ended.collect()
        });
        let done = done?;
        drop(reservations);
        let mut bodies: HashMap<Ent, w::Function> = HashMap::new();
        for (ids, built) in done {
            for it in all {
                let declared = self.module.lookup(&it.name.to_string());
                assert_eq!(declared, Some(ids[&it.ent]), "all reserved {}", it.name);
            }
            self.ids = ids;
            bodies.extend(built);
        }
        for it in all {
            let body = bodies.remove(&it.ent);
            self.define_as(it.ent, it.name, &it.bound, body)?;
        }
        Ok(())
    }

    /// Does the same to the module and to its twin, for which it must come to the same.
    pub fn edit(&mut self, edit: impl Fn(&mut w::Module, &Ids) -> w::Result<()>) -> w::Result<()> {
        let done = edit(&mut self.module, &Ids(&self.ids));
        if let Some(twin) = &mut self.twin {
            let same = edit(&mut twin.module, &Ids(&twin.ids));
            let [ours, theirs] = [&done, &same].map(|it| it.as_ref().err().map(w::Error::kind));
            assert_eq!(ours, theirs, "in the clone");
        }
        done
    }

    /// Defines a thing.
    pub fn define(&mut self, ent: Ent, name: Name, bound: &Bound) -> w::Result<()> {
        self.define_as(ent, name, bound, None)
    }

    /// Defines a thing, a function with the body that there is already.
    fn define_as(
        &mut self,
        ent: Ent,
        name: Name,
        bound: &Bound,
        body: Option<w::Function>,
    ) -> w::Result<()> {
        if let Some(twin) = &mut self.twin {
            twin.define(ent, name, bound)?;
        }
        let id = self.id(ent);
        let import = |module: &mut w::Module, ty: w::ImportType| {
            module.define_import(id, "env", &field(name, ent), &ty)
        };
        let module = &mut self.module;
        match &*bound.def {
            Def::Function(..) => {
                let function = match body {
                    Some(body) => body,
                    None => build(module.body_style(), &self.ids, bound)?,
                };
                self.body_bytes.insert(ent, function.len() as u64);
                module.define_function(id, function)
            }
            Def::ImportFunction(sig) => {
                let (params, results) = signature(*sig);
                import(
                    module,
                    w::ImportType::Function(val_types(params), val_types(results)),
                )
            }
            Def::Global { mutable, init } => {
                let ids = &self.ids;
                let target = || ids[&bound.refs[0]];
                let (ty, init) = match *init {
                    Init::Value(Ty::I32, v) => (Ty::I32, w::ConstExpr::I32(v as i32)),
                    Init::Value(Ty::I64, v) => (Ty::I64, w::ConstExpr::I64(v)),
                    Init::Value(Ty::F32, v) => (Ty::F32, w::ConstExpr::F32((v as f32).to_bits())),
                    Init::Value(Ty::F64, v) => (Ty::F64, w::ConstExpr::F64((v as f64).to_bits())),
                    Init::FunctionAddress(_) => (Ty::I32, w::ConstExpr::FunctionAddress(target())),
                    Init::DataAddress(_, addend) => {
                        (Ty::I32, w::ConstExpr::DataAddress(target(), addend.into()))
                    }
                    Init::Global(_, ty) => (ty, w::ConstExpr::Global(target())),
                };
                module.define_global(id, val_type(ty), *mutable, init)
            }
            Def::ImportGlobal { ty, mutable } => {
                import(module, w::ImportType::Global(val_type(*ty), *mutable))
            }
            Def::Data(blob) => {
                let data = data(blob, &bound.refs, &self.ids);
                module.define_data(id, self.memory, data)
            }
            Def::Piece(chunk) => {
                let section = match chunk.section() {
                    FILLED => module.custom_section_filled(FILLED, w::GapFiller::repeat([0])),
                    name => module.custom_section(name),
                }?;
                let piece = piece(chunk, ent, &bound.refs, &self.ids);
                module.define_piece(id, section, piece)
            }
            Def::Table { minimum, maximum } => {
                module.define_table(id, table_type(*minimum, *maximum))
            }
            Def::ImportTable { minimum } => {
                import(module, w::ImportType::Table(table_type(*minimum, None)))
            }
            Def::Tag(sig) => module.define_tag(id, &val_types(signature(*sig).0)),
            Def::ImportTag(sig) => import(module, w::ImportType::Tag(val_types(signature(*sig).0))),
            Def::Memory { pages } => module.define_memory(
                id,
                w::MemoryType {
                    minimum: u64::from(*pages),
                    maximum: None,
                    shared: false,
                    is_64: false,
                },
            ),
        }
    }
}

/// Builds a function's body.
fn build(
    style: w::BodyStyle,
    ids: &HashMap<Ent, w::DeclId>,
    bound: &Bound,
) -> w::Result<w::Function> {
    let (params, results) = signature(bound.def.sig().unwrap_or(0));
    let mut out = Builder {
        out: w::FunctionBuilder::new(style, &val_types(params), &val_types(results)),
        ids,
    };
    body::emit(bound, &mut out);
    out.out.finish()
}

/// Which declaration each thing is.
pub struct Ids<'a>(&'a HashMap<Ent, w::DeclId>);

impl Ids<'_> {
    pub fn of(&self, ent: Ent) -> w::DeclId {
        self.0[&ent]
    }
}

/// Lets several threads reserve the same.
fn reserve(
    module: &mut w::Module,
    ids: &HashMap<Ent, w::DeclId>,
    owner: Owner,
    (kind, key): (w::DeclKind, &str),
) -> w::Result<w::DeclId> {
    let reservations = module.reservations();
    let reserve = || match owner {
        Owner::Nothing => reservations.reserve(kind, key),
        Owner::One(owner) => reservations.reserve_part(ids[&owner], kind, key),
        Owner::Shared(owner) => reservations.reserve_shared(ids[&owner], kind, key),
        Owner::Unsaid => unreachable!("an owner is said"),
    };
    let (first, second) = std::thread::scope(|scope| {
        let second = scope.spawn(reserve);
        (reserve(), second.join().expect("no panic"))
    });
    let id = first?;
    assert_eq!(second?, id, "both reserved {key}");
    drop(reservations);
    assert_eq!(module.lookup(key), Some(id));
    Ok(id)
}

fn piece(chunk: &Chunk, ent: Ent, refs: &[Ent], ids: &HashMap<Ent, w::DeclId>) -> w::Piece {
    let mut piece = w::Piece::new(chunk.bytes(ent));
    for (at, (field, target)) in chunk.fields.iter().zip(refs).enumerate() {
        let at = (chunk.first_field() + 4 * at) as u32;
        let (target, addend) = (ids[target], field.addend() as i32);
        piece = match field {
            Field::Code(..) => piece.with_function_offset(at, target, addend),
            Field::Index(_) => piece.with_function_index(at, target),
            Field::Slot(_) => piece.with_function(at, target),
            Field::Piece(..) => piece.with_section_offset(at, target, addend),
            Field::Data(..) => piece.with_address(at, target, addend),
            Field::Global(_) => piece.with_global_index(at, target),
        };
    }
    piece
}

fn table_type(minimum: u32, maximum: Option<u32>) -> w::TableType {
    w::TableType {
        element: w::RefType::FUNCREF,
        minimum,
        maximum,
        is_64: false,
    }
}

fn data(blob: &Blob, refs: &[Ent], ids: &HashMap<Ent, w::DeclId>) -> w::Data {
    let Some(bytes) = blob.bytes() else {
        return w::Data::zero(blob.size().into(), blob.align_log2);
    };
    let mut data = w::Data::new(bytes, blob.align_log2);
    let mut refs = refs.iter().map(|ent| ids[ent]);
    if let (Some(_), Some(function)) = (blob.function, blob.function.and_then(|_| refs.next())) {
        data = data.with_function(4, function);
    }
    if let (Some((_, addend)), Some(target)) = (blob.address, refs.next()) {
        data = data.with_address(8, target, addend.into());
    }
    data
}

struct Builder<'a> {
    out: w::FunctionBuilder,
    ids: &'a HashMap<Ent, w::DeclId>,
}

impl Emit for Builder<'_> {
    fn locals(&mut self, count: u32, ty: Ty) {
        self.out.locals(count, val_type(ty));
    }
    fn op(&mut self, instruction: Instruction<'_>) {
        self.out.op(&instruction);
    }
    fn call(&mut self, function: Ent, sig: Sig) {
        let (params, results) = signature(sig);
        self.out
            .call(self.ids[&function], &val_types(params), &val_types(results));
    }
    fn call_direct(&mut self, function: Ent) {
        self.out.call_direct(self.ids[&function]);
    }
    fn call_indirect(&mut self, sig: Sig) {
        let (params, results) = signature(sig);
        self.out
            .call_indirect(&val_types(params), &val_types(results));
    }
    fn address_of_function(&mut self, function: Ent) {
        self.out.address_of_function(self.ids[&function]);
    }
    fn function_ref(&mut self, function: Ent) {
        self.out.function_ref(self.ids[&function]);
    }
    fn address_of_data(&mut self, data: Ent, addend: i32) {
        self.out.address_of_data(self.ids[&data], addend);
    }
    fn load_offset(&mut self, data: Ent) {
        self.out.access_data(0x31, 0, self.ids[&data], 0);
    }
    fn global_get(&mut self, global: Ent) {
        self.out.global_get(self.ids[&global]);
    }
    fn global_set(&mut self, global: Ent) {
        self.out.global_set(self.ids[&global]);
    }
    fn table_get(&mut self, table: Ent) {
        self.out.table_get(self.ids[&table]);
    }
    fn table_set(&mut self, table: Ent) {
        self.out.table_set(self.ids[&table]);
    }
    fn table_size(&mut self, table: Ent) {
        self.out.table_size(self.ids[&table]);
    }
    fn throw(&mut self, tag: Ent) {
        self.out.throw(self.ids[&tag]);
    }
    fn block(&mut self, sig: Sig) {
        let (params, results) = signature(sig);
        self.out.block(&val_types(params), &val_types(results));
    }
    fn loop_(&mut self, sig: Sig) {
        let (params, results) = signature(sig);
        self.out.loop_(&val_types(params), &val_types(results));
    }
}
