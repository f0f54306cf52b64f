//! The symbols of a program, and the rules by which definitions and references meet: those of wasm-ld's symbol table.

pub mod names;
mod plain;
pub mod signatures;

use rayon::prelude::*;

use crate::error::Error;
use crate::hash::HashMap;
use crate::link::diagnostics::{Diagnostics, shown};
use crate::link::symbols::names::{NameId, NameMap, Names};
use crate::link::symbols::signatures::{SignatureId, Signatures, value_type};
use crate::object::ids::SymbolIndex;
use crate::object::{GlobalType, SymbolFlags, SymbolKind};
use crate::parallel::{self, region, task};
use crate::transaction::{Log, Transaction};

/// A symbol of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SymbolId(pub(super) u32);

impl SymbolId {
    /// The number as an offset into tables.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// An object of the program, numbered in the order in which its contents stand in the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId(pub(super) u32);

impl ObjectId {
    /// The number as an offset into tables.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// An archive's member, or another file that is linked only if it is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LazyId(pub(super) u32);

/// What the linker makes itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Synthetic {
    /// A mutable global: the lowest address of the stack in use.
    StackPointer,
    /// A function that calls the init functions.
    CallCtors,
    /// A global: where the thread's storage begins. Mutable if threads share memory.
    TlsBase,
    TlsSize,
    TlsAlign,
    /// A function that sets up a thread's storage.
    InitTls,
    DsoHandle,
    DataEnd,
    StackLow,
    StackHigh,
    GlobalBase,
    HeapBase,
    HeapEnd,
    MemoryBase,
    TableBase,
    FirstPageEnd,
    /// The table that functions' addresses are places in.
    FunctionTable,
    /// Where the flag stands that says whether memory that threads share has been filled.
    InitMemoryFlag,
    /// `__start_NAME`: where the output segment NAME begins.
    SegmentStart,
    /// `__stop_NAME`: where the output segment NAME ends.
    SegmentStop,
}

/// Why a function is one that traps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Trap {
    /// It is weak and nothing defines it. Its address is zero.
    UndefinedWeak,
    /// It is defined with another signature than its callers expect.
    SignatureMismatch,
    /// Nothing defines it, and that was allowed. Its address is zero.
    Undefined,
}

/// What a symbol means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Definition {
    /// Nothing defines it. Functions, globals, tables and tags may be imports; weak data has the address zero.
    Undefined,
    /// A file that is linked if it is needed defines it. After resolution: it was not needed.
    Lazy(LazyId),
    /// An object's symbol.
    Object {
        /// The object.
        object: ObjectId,
        /// Its symbol.
        symbol: SymbolIndex,
    },
    /// The linker makes it.
    Synthetic(Synthetic),
    /// An address given on the command line.
    Address(u64),
    /// A function that traps.
    Trap(Trap),
    /// Given on the command line, not yet looked up. Never after resolution.
    Alias,
}

/// A symbol's type, as far as it has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SymbolType {
    /// Data; or not known.
    None,
    /// A function's or tag's.
    Signature(SignatureId),
    /// A global's.
    Global(GlobalType),
    /// A table's element type.
    Table(u8),
}

impl SymbolType {
    /// The signature, if it is one.
    pub fn signature(self) -> Option<SignatureId> {
        match self {
            SymbolType::Signature(signature) => Some(signature),
            _ => None,
        }
    }
}

/// A symbol that objects share.
#[derive(Debug, Clone)]
pub struct GlobalSymbol {
    /// Its name.
    pub name: NameId,
    /// What it stands for. Means nothing while it is [lazy](Definition::Lazy).
    pub kind: SymbolKind,
    /// The flags of its definition; if nothing defines it, of its references taken together.
    pub flags: SymbolFlags,
    /// What it means.
    pub definition: Definition,
    /// Its type.
    pub ty: SymbolType,
    /// The object that defines it or, if none does, refers to it first.
    pub object: Option<ObjectId>,
    /// The module it is to be imported from; [`NameId::NONE`] if nobody says.
    pub import_module: NameId,
    /// The name it is to be imported under, if that is not its own.
    pub import_name: NameId,
    /// Whether an object refers to it or defines it.
    pub used_in_object: bool,
    /// Whether an object calls it, as an undefined function.
    pub called_directly: bool,
    /// Whether it is exported because the command line or a stub library says so.
    pub force_export: bool,
    /// Whether it is imported because a stub library says so.
    pub force_import: bool,
}

impl GlobalSymbol {
    fn new(name: NameId) -> GlobalSymbol {
        GlobalSymbol {
            name,
            ..GlobalSymbol::ABSENT
        }
    }

    /// One that an object brings, and nobody has named before.
    fn brought(new: &Incoming, definition: Definition, import: ImportAs) -> GlobalSymbol {
        GlobalSymbol {
            kind: new.kind,
            flags: new.flags,
            definition,
            ty: new.ty,
            object: new.object,
            import_module: import.module,
            import_name: import.name,
            used_in_object: true,
            ..GlobalSymbol::new(new.name)
        }
    }

    /// Whether nothing defines it.
    pub fn is_undefined(&self) -> bool {
        self.definition == Definition::Undefined
    }

    /// Whether a file that was not needed would define it.
    pub fn is_lazy(&self) -> bool {
        matches!(self.definition, Definition::Lazy(_))
    }

    /// Takes a symbol that a file would define for one that nothing defines, so that what was said of it is compared with
    /// what comes.
    fn give_up_lazy(&mut self) {
        if self.is_lazy() {
            self.definition = Definition::Undefined;
        }
    }

    /// Whether something defines it.
    pub fn is_defined(&self) -> bool {
        !self.is_undefined() && !self.is_lazy()
    }

    /// Whether another definition could have taken its place, or none been needed.
    pub fn is_weak(&self) -> bool {
        self.flags.has(SymbolFlags::WEAK)
    }

    /// Whether it is a function whose address is zero although it can be called.
    pub fn is_stub(&self) -> bool {
        matches!(self.definition, Definition::Trap(_))
    }

    /// The object's symbol that defines it, if one does.
    pub fn place(&self) -> Option<(ObjectId, SymbolIndex)> {
        match self.definition {
            Definition::Object { object, symbol } => Some((object, symbol)),
            _ => None,
        }
    }
}

/// A definition or reference that an object brings.
pub(super) struct Incoming {
    pub(super) name: NameId,
    pub(super) kind: SymbolKind,
    pub(super) flags: SymbolFlags,
    pub(super) ty: SymbolType,
    /// `None` for the linker itself.
    pub(super) object: Option<ObjectId>,
}

/// How an undefined symbol is to be imported.
#[derive(Clone, Copy)]
pub(super) struct ImportAs {
    pub(super) module: NameId,
    pub(super) name: NameId,
}

impl ImportAs {
    pub(super) const UNSAID: ImportAs = ImportAs {
        module: NameId::NONE,
        name: NameId::NONE,
    };
}

/// What messages need to know beside the table.
pub(super) struct Context<'a> {
    pub(super) names: &'a Names,
    pub(super) signatures: &'a Signatures,
    /// What messages call an object.
    pub(super) display: &'a dyn Fn(Option<ObjectId>) -> String,
    pub(super) demangle: bool,
    pub(super) allow_multiple_definition: bool,
}

const NOWHERE: u32 = u32::MAX;

/// Symbols that one thread looks at at a time.
const RUN: usize = 4096;

/// Symbols with consecutive numbers that are in one part.
const PART_RUN: usize = 256;

/// Some of the symbols, for one thread.
pub(super) struct Part<'a> {
    number: usize,
    /// There are two to the power of this many parts.
    bits: u32,
    runs: Vec<&'a mut [GlobalSymbol]>,
}

impl Part<'_> {
    /// A symbol, if it is in this part.
    #[inline]
    pub(super) fn get_mut(&mut self, id: SymbolId) -> Option<&mut GlobalSymbol> {
        let run = id.index() / PART_RUN;
        if run & ((1 << self.bits) - 1) != self.number {
            return None;
        }
        let symbols = &mut self.runs[run >> self.bits];
        Some(&mut symbols[id.index() % PART_RUN])
    }
}

/// The table.
#[derive(Debug)]
pub struct SymbolTable {
    pub(super) symbols: Log<GlobalSymbol>,
    /// How many of them have no number yet: the last ones.
    unnumbered: usize,
    /// The symbol of each name, in the order in which the names came up.
    pub(super) order: Log<SymbolId>,
    by_name: NameMap<u32>,
    /// How many symbols there were when the transaction that is open began.
    begun_with: usize,
    /// Symbols that others have taken the names of, with those.
    renamed: HashMap<SymbolId, SymbolId>,
    /// Functions of one name and several signatures.
    variants: HashMap<NameId, Vec<SymbolId>>,
    /// Their names, with when each came up.
    mismatched: Vec<(u64, NameId)>,
    /// Which mention is seen to, in the order of all.
    pub(super) now: u64,
    pub(super) diagnostics: Diagnostics,
}

/// What a transaction may do is change symbols and insert names that are new: names change hands only while symbols are
/// resolved, when no transaction is open.
impl Transaction for SymbolTable {
    fn begin(&mut self) {
        self.symbols.begin();
        self.order.begin();
        self.begun_with = self.symbols.len();
    }

    fn commit(&mut self) {
        self.symbols.commit();
        self.order.commit();
    }

    fn rollback(&mut self) {
        for symbol in &self.symbols[self.begun_with..] {
            self.by_name.set(symbol.name, NOWHERE);
        }
        self.symbols.rollback();
        self.order.rollback();
    }
}

impl SymbolTable {
    /// An empty table, with room for the names that there are.
    pub(super) fn new(names: &Names) -> SymbolTable {
        let mut symbols = Vec::new();
        match names.len() {
            few @ ..=RUN => symbols.resize(few, GlobalSymbol::ABSENT),
            // Most of that is memory which is touched for the first time.
            many => parallel::evenly(many.div_ceil(RUN), || {
                let all = (0..many).into_par_iter().with_min_len(RUN);
                all.map(|_| GlobalSymbol::ABSENT)
                    .collect_into_vec(&mut symbols);
            }),
        }
        SymbolTable {
            unnumbered: symbols.len(),
            symbols: symbols.into(),
            order: Vec::with_capacity(names.len()).into(),
            by_name: NameMap::sized(names, NOWHERE),
            begun_with: 0,
            renamed: HashMap::default(),
            variants: HashMap::default(),
            mismatched: Vec::new(),
            now: 0,
            diagnostics: Diagnostics::default(),
        }
    }

    /// All symbols; those whose name another symbol has taken over are among them.
    pub fn symbols(&self) -> &[GlobalSymbol] {
        &self.symbols
    }

    /// The symbols that have a name of their own, in the order in which the names came up.
    pub fn order(&self) -> &[SymbolId] {
        &self.order
    }

    /// The symbol of a name.
    pub fn find(&self, name: NameId) -> Option<SymbolId> {
        match self.by_name.get(name) {
            NOWHERE => None,
            id => Some(SymbolId(id)),
        }
    }

    pub(super) fn get_mut(&mut self, id: SymbolId) -> &mut GlobalSymbol {
        self.symbols.edit(id.index())
    }

    /// A symbol.
    pub fn get(&self, id: SymbolId) -> &GlobalSymbol {
        &self.symbols[id.index()]
    }

    fn push(&mut self, symbol: GlobalSymbol) -> SymbolId {
        let number = self.symbols.len() - self.unnumbered;
        match self.unnumbered {
            0 => self.symbols.push(symbol),
            _ => {
                self.symbols.set(number, symbol);
                self.unnumbered -= 1;
            }
        }
        SymbolId(number as u32)
    }

    /// The number of a name's symbol, of which something is said only [later](Self::in_parts).
    #[inline]
    pub(super) fn number(&mut self, name: NameId) -> SymbolId {
        if let Some(id) = self.find(name) {
            return id;
        }
        let id = match self.unnumbered {
            0 => self.push(GlobalSymbol::ABSENT),
            unnumbered => SymbolId((self.symbols.len() - unnumbered) as u32),
        };
        self.unnumbered = self.unnumbered.saturating_sub(1);
        self.by_name.set(name, id.0);
        self.order.push(id);
        id
    }

    /// The symbols, cut into so many parts (a power of two) that different threads can work on.
    pub(super) fn in_parts(&mut self, count: usize) -> Vec<Part<'_>> {
        let bits = count.trailing_zeros();
        let part = |number| Part {
            number,
            bits,
            runs: Vec::new(),
        };
        let mut parts: Vec<Part<'_>> = (0..count).map(part).collect();
        for (number, run) in self.symbols.items_mut().chunks_mut(PART_RUN).enumerate() {
            parts[number % count].runs.push(run);
        }
        parts
    }

    /// Lets go of what has no number.
    pub(super) fn end_numbering(&mut self) {
        let len = self.symbols.len() - self.unnumbered;
        self.symbols.items_mut().truncate(len);
        self.unnumbered = 0;
    }

    /// The symbol of a name, and whether it is new.
    pub(super) fn insert(&mut self, name: NameId) -> (SymbolId, bool) {
        match self.find(name) {
            Some(id) => (id, false),
            None => (self.insert_new(GlobalSymbol::new(name)), true),
        }
    }

    /// Adds a symbol whose name is new.
    fn insert_new(&mut self, symbol: GlobalSymbol) -> SymbolId {
        let name = symbol.name;
        let id = self.push(symbol);
        self.by_name.set(name, id.0);
        self.order.push(id);
        id
    }

    /// The symbols that have a name of their own and of which something holds, in their order: found by all threads.
    pub fn select(&self, holds: impl Fn(SymbolId, &GlobalSymbol) -> bool + Sync) -> Vec<SymbolId> {
        parallel::select(&self.order, |id| holds(id, self.get(id)))
    }

    /// All symbols of which something holds, in the order of their numbers: found by all threads.
    pub fn select_all(
        &self,
        holds: impl Fn(SymbolId, &GlobalSymbol) -> bool + Sync,
    ) -> Vec<SymbolId> {
        let select = |(run, symbols): (usize, &[GlobalSymbol])| {
            let numbered = (run * RUN..).zip(symbols);
            let numbered = numbered.map(|(number, symbol)| (SymbolId(number as u32), symbol));
            let held = numbered.filter(|(id, symbol)| holds(*id, symbol));
            task(|| held.map(|(id, _)| id).collect())
        };
        let runs = self.symbols.par_chunks(RUN).enumerate();
        let runs: Vec<Vec<SymbolId>> = region(|| runs.map(select).collect());
        runs.concat()
    }

    /// Lets a name mean another symbol, which takes the old one's place in the order.
    fn rename(&mut self, name: NameId, old: SymbolId, new: SymbolId) {
        self.by_name.set(name, new.0);
        if old != new {
            self.renamed.insert(old, new);
            // It may have had the name before. So that who follows the renaming always comes to an end: at the symbol
            // that has the name now.
            self.renamed.remove(&new);
        }
    }

    /// Gives all objects other numbers.
    pub(super) fn renumber_objects(&mut self, numbers: &[u32]) {
        let renumber = |symbols: &mut [GlobalSymbol]| {
            for symbol in symbols {
                if let Definition::Object { object, .. } = &mut symbol.definition {
                    object.0 = numbers[object.index()];
                }
                if let Some(object) = &mut symbol.object {
                    object.0 = numbers[object.index()];
                }
            }
        };
        let runs = self.symbols.items_mut().par_chunks_mut(RUN);
        region(|| runs.for_each(|run| task(|| renumber(run))));
    }

    /// Puts symbols that have taken others' names into their places in the order.
    pub(super) fn settle_order(&mut self) {
        let renamed = std::mem::take(&mut self.renamed);
        if renamed.is_empty() {
            return;
        }
        for id in self.order.items_mut() {
            while let Some(new) = renamed.get(id) {
                *id = *new;
            }
        }
    }

    /// Swaps what names mean: whoever looks up `real` finds what `name` meant, and `name` means what `wrap` does.
    pub(super) fn wrap(&mut self, name: NameId, real: NameId, wrap: NameId) {
        let (meant, target) = (self.by_name.get(name), self.by_name.get(wrap));
        self.by_name.set(real, meant);
        self.by_name.set(name, target);
    }

    /// Gives a symbol a definition or, undefined, another beginning. What was said of it from outside stays.
    pub(super) fn replace(&mut self, id: SymbolId, new: &Incoming, definition: Definition) {
        self.symbols.edit(id.index()).replace(new, definition);
    }

    /// Adds a symbol that the linker makes.
    pub(super) fn add_synthetic(
        &mut self,
        name: NameId,
        kind: SymbolKind,
        ty: SymbolType,
        synthetic: Synthetic,
    ) -> SymbolId {
        let (id, _) = self.insert(name);
        let flags = match kind {
            SymbolKind::Data => SymbolFlags::HIDDEN.with(SymbolFlags::ABSOLUTE),
            _ => SymbolFlags::HIDDEN,
        };
        let new = Incoming {
            name,
            kind,
            flags,
            ty,
            object: None,
        };
        self.replace(id, &new, Definition::Synthetic(synthetic));
        id
    }

    /// A symbol that only its own object can refer to, and nothing defines.
    pub(super) fn add_undefined_local(&mut self, new: &Incoming, import: ImportAs) -> SymbolId {
        self.push(GlobalSymbol::brought(new, Definition::Undefined, import))
    }

    /// Adds an object's definition; returns the symbol that it belongs to, whether or not it prevails.
    pub(super) fn add_defined(
        &mut self,
        new: &Incoming,
        definition: Definition,
        cx: &Context<'_>,
    ) -> SymbolId {
        let Some(id) = self.find(new.name) else {
            let symbol = GlobalSymbol::brought(new, definition, ImportAs::UNSAID);
            return self.insert_new(symbol);
        };
        let symbol = self.symbols.edit(id.index());
        match symbol.define_plainly(new, definition) {
            true => id,
            false => self.define(id, new, definition, cx),
        }
    }

    /// A definition meets a symbol, plainly or not.
    fn define(
        &mut self,
        id: SymbolId,
        new: &Incoming,
        definition: Definition,
        cx: &Context<'_>,
    ) -> SymbolId {
        let symbol = self.symbols.edit(id.index());
        symbol.used_in_object = true;
        symbol.give_up_lazy();
        if !self.check_kind(id, new, cx) {
            return id;
        }
        if new.kind == SymbolKind::Function {
            let symbol = &self.symbols[id.index()];
            let counts = !symbol.is_undefined() || symbol.called_directly;
            if counts
                && let (Some(old), Some(signature)) = (symbol.ty.signature(), new.ty.signature())
                && old != signature
            {
                let (variant, is_new) = self.variant(id, signature);
                if is_new || self.should_replace(id, new, cx) {
                    self.replace(variant, new, definition);
                }
                self.rename(new.name, id, variant);
                return variant;
            }
        }
        self.check_type(id, new, cx);
        if self.should_replace(id, new, cx) {
            self.replace(id, new, definition);
        }
        id
    }

    /// Adds an object's reference. If a file must be linked for it, says which one.
    pub(super) fn add_undefined(
        &mut self,
        new: &Incoming,
        import: ImportAs,
        called_directly: bool,
        cx: &Context<'_>,
    ) -> (SymbolId, Option<LazyId>) {
        let Some(id) = self.find(new.name) else {
            let symbol = GlobalSymbol::referred_to(new, import, called_directly);
            return (self.insert_new(symbol), None);
        };
        let symbol = self.symbols.edit(id.index());
        match symbol.refer_plainly(new, import, called_directly) {
            true => (id, None),
            false => self.refer(id, new, import, called_directly, cx),
        }
    }

    /// A reference meets a symbol, plainly or not.
    fn refer(
        &mut self,
        id: SymbolId,
        new: &Incoming,
        import: ImportAs,
        called_directly: bool,
        cx: &Context<'_>,
    ) -> (SymbolId, Option<LazyId>) {
        let symbol = self.symbols.edit(id.index());
        symbol.used_in_object = true;
        let is_weak = new.flags.has(SymbolFlags::WEAK);
        let Definition::Lazy(lazy) = symbol.definition else {
            let meant = self.refer_to_known(id, new, import, called_directly, cx);
            return (meant, None);
        };
        let may_wait = matches!(new.kind, SymbolKind::Function | SymbolKind::Data);
        let is_unmet = !symbol.is_weak();
        if is_weak && may_wait && is_unmet {
            symbol.flags = symbol.flags.with(SymbolFlags::WEAK);
            symbol.kind = new.kind;
            symbol.called_directly = called_directly;
            symbol.object = new.object;
            if new.kind == SymbolKind::Function {
                symbol.ty = new.ty;
            }
            return (id, None);
        }
        // What is asked for is remembered: the file that is linked for it may define something else.
        let meant = if is_unmet {
            self.begin_undefined(id, new, import, called_directly);
            id
        } else {
            symbol.give_up_lazy();
            self.refer_to_known(id, new, import, called_directly, cx)
        };
        let is_wanted = !is_weak || !may_wait;
        if !is_wanted {
            self.symbols.edit(id.index()).definition = Definition::Lazy(lazy);
        }
        (meant, is_wanted.then_some(lazy))
    }

    /// A reference to a symbol that is known already, and that no file is linked for.
    fn refer_to_known(
        &mut self,
        id: SymbolId,
        new: &Incoming,
        import: ImportAs,
        called_directly: bool,
        cx: &Context<'_>,
    ) -> SymbolId {
        if new.kind == SymbolKind::Function {
            return self.refer_to_function(id, new, import, called_directly, cx);
        }
        if self.symbols[id.index()].is_defined() {
            if self.check_kind(id, new, cx) {
                self.check_type(id, new, cx);
            }
        } else {
            self.refer_again(id, new, import, cx);
        }
        id
    }

    fn begin_undefined(
        &mut self,
        id: SymbolId,
        new: &Incoming,
        import: ImportAs,
        called_directly: bool,
    ) {
        self.replace(id, new, Definition::Undefined);
        let symbol = self.symbols.edit(id.index());
        symbol.import_module = import.module;
        symbol.import_name = import.name;
        symbol.called_directly = called_directly;
    }

    /// A reference to a function that is known already.
    fn refer_to_function(
        &mut self,
        id: SymbolId,
        new: &Incoming,
        import: ImportAs,
        called_directly: bool,
        cx: &Context<'_>,
    ) -> SymbolId {
        if !self.check_kind(id, new, cx) {
            return id;
        }
        let symbol = self.symbols.edit(id.index());
        if symbol.ty == SymbolType::None {
            symbol.ty = new.ty;
        }
        let was_undefined = symbol.is_undefined();
        let mut meant = id;
        if called_directly
            && let (Some(old), Some(signature)) = (symbol.ty.signature(), new.ty.signature())
            && old != signature
        {
            if was_undefined && !symbol.called_directly {
                // So far only its address was taken: what it is called as counts more.
                self.begin_undefined(id, new, import, called_directly);
            } else {
                let (variant, is_new) = self.variant(id, signature);
                if is_new {
                    self.begin_undefined(variant, new, import, called_directly);
                    self.symbols.edit(variant.index()).used_in_object = true;
                }
                meant = variant;
            }
        }
        if was_undefined {
            self.refer_again(id, new, import, cx);
            self.symbols.edit(id.index()).called_directly |= called_directly;
        }
        meant
    }

    /// Another reference to an undefined symbol: imports must agree, and the stronger binding counts.
    fn refer_again(&mut self, id: SymbolId, new: &Incoming, import: ImportAs, cx: &Context<'_>) {
        let symbol = self.symbols.edit(id.index());
        let conflict = symbol.conflict(import);
        symbol.refer_again(new, import);
        if let Some((what, old, said)) = conflict {
            let text = format!(
                "import {what} mismatch: `{}` in {}, `{}` in {}",
                cx.names.text(old),
                (cx.display)(self.symbols[id.index()].object),
                cx.names.text(said),
                (cx.display)(new.object)
            );
            self.report(id, text, cx);
        }
    }

    /// The symbol of the same name with this signature, and whether it had to be made.
    fn variant(&mut self, id: SymbolId, signature: SignatureId) -> (SymbolId, bool) {
        let name = self.symbols[id.index()].name;
        let known = self.variants.entry(name).or_insert_with(|| {
            self.mismatched.push((self.now, name));
            vec![id]
        });
        let found = known
            .iter()
            .copied()
            .find(|id| self.symbols[id.index()].ty == SymbolType::Signature(signature));
        if let Some(variant) = found {
            return (variant, false);
        }
        let variant = self.push(GlobalSymbol::new(name));
        if let Some(known) = self.variants.get_mut(&name) {
            known.push(variant);
        }
        self.symbols.edit(variant.index()).used_in_object = true;
        (variant, true)
    }

    /// Whether a new definition takes the place of what there is.
    fn should_replace(&mut self, id: SymbolId, new: &Incoming, cx: &Context<'_>) -> bool {
        let symbol = &self.symbols[id.index()];
        if !symbol.is_defined() {
            return true;
        }
        if new.flags.has(SymbolFlags::WEAK) {
            return false;
        }
        if symbol.is_weak() {
            return true;
        }
        if cx.allow_multiple_definition {
            return false;
        }
        let text = format!(
            "duplicate symbol: defined in {} and in {}",
            (cx.display)(symbol.object),
            (cx.display)(new.object)
        );
        self.report(id, text, cx);
        true
    }

    fn check_kind(&mut self, id: SymbolId, new: &Incoming, cx: &Context<'_>) -> bool {
        let symbol = &self.symbols[id.index()];
        if symbol.kind == new.kind {
            return true;
        }
        let text = format!(
            "symbol type mismatch: {} in {}, {} in {}",
            symbol.kind.word(),
            (cx.display)(symbol.object),
            new.kind.word(),
            (cx.display)(new.object)
        );
        self.report(id, text, cx);
        false
    }

    /// Compares the types of globals, tables and tags.
    fn check_type(&mut self, id: SymbolId, new: &Incoming, cx: &Context<'_>) {
        let symbol = &self.symbols[id.index()];
        if symbol.ty == new.ty || new.kind == SymbolKind::Function || new.kind == SymbolKind::Data {
            return;
        }
        let show = |ty: SymbolType| match ty {
            SymbolType::None => "nothing".to_owned(),
            SymbolType::Signature(signature) => cx.signatures.text(signature),
            SymbolType::Global(ty) => {
                let mutable = if ty.mutable { "mutable " } else { "" };
                format!("{mutable}{}", value_type(ty.value))
            }
            SymbolType::Table(element) => format!("table of {}", value_type(element)),
        };
        let text = format!(
            "{} type mismatch: {} in {}, {} in {}",
            new.kind.word(),
            show(symbol.ty),
            (cx.display)(symbol.object),
            show(new.ty),
            (cx.display)(new.object)
        );
        match new.kind {
            SymbolKind::Tag => {
                let warning = self.message(id, text, cx);
                self.diagnostics.warn(warning);
            }
            _ => self.report(id, text, cx),
        }
    }

    /// A symbol that a lazy file defines; says whether the file must be linked for it.
    pub(super) fn add_lazy(&mut self, name: NameId, lazy: LazyId) -> bool {
        let (id, is_new) = self.insert(name);
        let symbol = self.symbols.edit(id.index());
        if is_new {
            symbol.definition = Definition::Lazy(lazy);
            return false;
        }
        if !symbol.is_undefined() {
            return false;
        }
        if !symbol.is_weak() {
            return true;
        }
        let ty = match symbol.kind {
            SymbolKind::Function => symbol.ty,
            _ => SymbolType::None,
        };
        symbol.definition = Definition::Lazy(lazy);
        symbol.flags = SymbolFlags::WEAK;
        symbol.ty = ty;
        false
    }

    /// Replaces all but one of the functions that have one name and several signatures by ones that trap.
    /// Returns those.
    pub(super) fn settle_variants(&mut self, cx: &Context<'_>) -> Vec<SymbolId> {
        let mut traps = Vec::new();
        let mut mismatched = std::mem::take(&mut self.mismatched);
        mismatched.sort_by_key(|(when, _)| *when);
        for (_, name) in mismatched {
            let Some(variants) = self.variants.remove(&name) else {
                continue;
            };
            let is_defined = |id: &&SymbolId| {
                let symbol = &self.symbols[id.index()];
                symbol.is_defined() && symbol.kind == SymbolKind::Function
            };
            let Some(&defined) = variants.iter().find(is_defined) else {
                // Nobody says which of them is right.
                let text = self.mismatch(variants[0], variants[1], cx);
                self.report(variants[0], text, cx);
                continue;
            };
            for id in variants {
                if id != defined {
                    let text = self.mismatch(id, defined, cx);
                    let warning = self.message(id, text, cx);
                    self.diagnostics.warn(warning);
                    self.make_trap(id, Trap::SignatureMismatch);
                    traps.push(id);
                }
            }
        }
        traps
    }

    fn mismatch(&self, one: SymbolId, other: SymbolId, cx: &Context<'_>) -> String {
        let side = |id: SymbolId| {
            let symbol = &self.symbols[id.index()];
            let signature = symbol.ty.signature();
            let verb = if symbol.is_defined() {
                "defined"
            } else {
                "called"
            };
            format!(
                "{verb} as {} in {}",
                signature.map_or_else(|| "unknown".to_owned(), |id| cx.signatures.text(id)),
                (cx.display)(symbol.object)
            )
        };
        format!(
            "function signature mismatch: {}, {}",
            side(one),
            side(other)
        )
    }

    /// Makes a function one that traps when it is called.
    pub(super) fn make_trap(&mut self, id: SymbolId, trap: Trap) {
        let symbol = &self.symbols[id.index()];
        let flags = match trap {
            // No dummy of a weak function is exported.
            Trap::UndefinedWeak => SymbolFlags::LOCAL.with(SymbolFlags::HIDDEN),
            _ => SymbolFlags::LOCAL,
        };
        let new = Incoming {
            name: symbol.name,
            kind: SymbolKind::Function,
            flags,
            ty: symbol.ty,
            object: None,
        };
        self.replace(id, &new, Definition::Trap(trap));
    }

    fn message(&self, id: SymbolId, text: String, cx: &Context<'_>) -> Error {
        let name = cx.names.text(self.symbols[id.index()].name);
        Error::bad_input(text).with_symbol(shown(name, cx.demangle))
    }

    #[cold]
    fn report(&mut self, id: SymbolId, text: String, cx: &Context<'_>) {
        let error = self.message(id, text, cx);
        self.diagnostics.error(error);
    }
}
