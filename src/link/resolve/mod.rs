//! Resolution: which definition each symbol of each object means, and which members of archives that takes.
//!
//! The rules, and the order in which they are applied, are wasm-ld's: files in the order of the command line, an
//! object's symbols in the order of its table, and a member that is needed at once when it is needed, before whatever
//! comes next. Objects are numbered in the order in which they are done with, which is the order of their contents in
//! the output.
//!
//! What must be done in that order is what decides about members: mentions of names that a library has, too, until an object
//! defines them. All others only get a number for their symbol. What they mean for it is found afterwards, by all threads
//! ([`postponed`]).

mod mention;
mod postponed;
pub mod undefined;
pub(crate) mod units;

use std::sync::Arc;

use crate::error::Error;
use crate::hash::HashSet;
use crate::link::command::options::{DefinedValue, LinkOptions};
use crate::link::diagnostics::{Diagnostics, shown};
use crate::link::inputs::{InputFile, Inputs};
use crate::link::resolve::mention::{Mention, Run, is_undefined_local, plain_import};
use crate::link::resolve::units::{LinkedObject, LoadedObjects, Step, SymbolRef};
use crate::link::symbols::names::{NameId, NameMap, Names};
use crate::link::symbols::signatures::Signatures;
use crate::link::symbols::{
    Context, Definition, ImportAs, Incoming, LazyId, ObjectId, SymbolId, SymbolTable, SymbolType,
    Synthetic, Trap,
};
use crate::object::ids::SymbolIndex;
use crate::object::{GlobalType, Input, Object, SymbolFlags, SymbolKind};
use crate::transaction::{Log, Transaction};

/// Why an archive's member was linked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extraction {
    /// The object, or the option, that needed it.
    pub reference: String,
    /// The member.
    pub file: String,
    /// What it defines that was needed.
    pub symbol: String,
}

/// What resolution found. Objects' own tables say what the symbols stand for.
#[derive(Debug)]
pub struct Resolution {
    /// The objects of the program, in the order of their contents.
    pub(in crate::link) objects: Log<LinkedObject>,
    /// The symbols that objects share.
    pub table: SymbolTable,
    /// All names.
    pub names: Names,
    /// All function types.
    pub signatures: Signatures,
    /// Whether memory is indexed with 64 bits.
    pub is_64: bool,
    /// Functions that the linker makes, in their order.
    pub synthetic_functions: Vec<SymbolId>,
    /// Globals that the linker makes, in their order.
    pub synthetic_globals: Vec<SymbolId>,
    /// The function that the program starts with.
    pub entry: Option<SymbolId>,
    /// The function that calls the init functions.
    pub call_ctors: SymbolId,
    /// The library's function that runs at the end of a command.
    pub call_dtors: Option<SymbolId>,
    /// The stack pointer.
    pub stack_pointer: SymbolId,
    /// Whether an object uses the function table without saying where.
    pub legacy_table: bool,
    /// Names that may be undefined: they become imports.
    pub allowed_undefined: NameMap<bool>,
    /// The objects in the order in which they were taken up.
    pub trace: Vec<ObjectId>,
    /// Why members were linked.
    pub extractions: Vec<Extraction>,
    /// What `--trace-symbol` asks for.
    pub symbol_trace: Vec<String>,
    /// What is to be said.
    pub diagnostics: Diagnostics,
    /// Every file that was opened.
    pub inputs: Vec<Arc<Input>>,
}

/// Names are no part of a transaction: one that nobody uses means nothing.
impl Transaction for Resolution {
    fn begin(&mut self) {
        self.objects.begin();
        self.table.begin();
        self.signatures.begin();
    }

    fn commit(&mut self) {
        self.objects.commit();
        self.table.commit();
        self.signatures.commit();
    }

    fn rollback(&mut self) {
        self.objects.rollback();
        self.table.rollback();
        self.signatures.rollback();
    }
}

impl Resolution {
    /// The objects of the program, in the order of their contents.
    pub fn objects(&self) -> &[LinkedObject] {
        &self.objects
    }

    /// An object.
    pub fn object(&self, id: ObjectId) -> &LinkedObject {
        &self.objects[id.index()]
    }

    /// All objects with their numbers.
    pub fn each_object(&self) -> impl Iterator<Item = (ObjectId, &LinkedObject)> {
        let objects = self.objects.iter().enumerate();
        objects.map(|(index, object)| (ObjectId(index as u32), object))
    }

    /// The symbol of a name.
    pub fn find(&self, name: &str) -> Option<SymbolId> {
        self.table.find(self.names.find(name)?)
    }

    /// A symbol's name.
    pub fn name(&self, id: SymbolId) -> &str {
        self.names.text(self.table.get(id).name)
    }

    /// What the name section calls a symbol: traps are called after what they stand in for.
    pub fn debug_name(&self, id: SymbolId, demangled: bool) -> String {
        let symbol = self.table.get(id);
        let name = shown(self.names.text(symbol.name), demangled);
        match symbol.definition {
            Definition::Trap(Trap::UndefinedWeak) => format!("undefined_weak:{name}"),
            Definition::Trap(Trap::SignatureMismatch) => format!("signature_mismatch:{name}"),
            Definition::Trap(Trap::Undefined) => "undefined_stub".to_owned(),
            _ => name,
        }
    }

    /// Checks that no input was changed since it was opened.
    ///
    /// # Errors
    /// If one was.
    pub fn check_inputs(&self) -> crate::Result<()> {
        crate::link::inputs::check_unchanged(&self.inputs)
    }
}

/// Resolves the symbols of a command line's files. What it says is in the result's diagnostics; with errors there, the
/// rest of the result is of no use.
pub fn resolve(inputs: Inputs, options: &LinkOptions) -> Resolution {
    let (mut units, steps) = LoadedObjects::load(inputs, !options.gc_sections);
    units.read_ahead(&steps, &wanted(&units.names, options));
    let mut resolver = Resolver::new(units, options);
    resolver.run(steps);
    resolver.finish()
}

/// Names that are looked for in any case.
fn wanted(names: &Names, options: &LinkOptions) -> Vec<NameId> {
    let lists = [
        &options.undefined,
        &options.exports,
        &options.exports_if_defined,
    ];
    let named = lists.into_iter().flatten().map(String::as_str);
    let all = named
        .chain(options.entry.name())
        .chain(["__wasm_call_dtors"]);
    all.filter_map(|name| names.find(name)).collect()
}

/// Where resolution stands in a file that it has not finished.
enum Frame {
    /// At a symbol of an object.
    Object { unit: ObjectId, at: usize },
    /// At an entry of a list of lazy definitions.
    Lazy {
        entries: Vec<(NameId, LazyId)>,
        at: usize,
    },
}

struct Resolver<'a> {
    options: &'a LinkOptions,
    units: LoadedObjects,
    table: SymbolTable,
    /// Names of which each mention is seen to at once: files may be linked because of them.
    open: NameMap<bool>,
    /// Whether all mentions are seen to at once: what is mentioned late is little.
    is_late: bool,
    /// Mentions that are numbered only, in their order.
    postponed: Vec<Run>,
    /// COMDAT groups that an object has provided.
    comdats: NameMap<bool>,
    /// What is being worked on, innermost last.
    frames: Vec<Frame>,
    /// The objects that are done with.
    done: Vec<ObjectId>,
    trace: Vec<ObjectId>,
    extractions: Vec<Extraction>,
    traced: HashSet<NameId>,
    symbol_trace: Vec<String>,
    synthetic_functions: Vec<SymbolId>,
    synthetic_globals: Vec<SymbolId>,
    env: NameId,
    is_64: bool,
    legacy_table: bool,
    allowed_undefined: NameMap<bool>,
}

/// Runs `f` with the table and what its messages need.
macro_rules! with_context {
    ($resolver:ident, |$table:ident, $cx:ident| $body:expr) => {{
        let units = &$resolver.units.units;
        let display = |object: Option<ObjectId>| match object {
            Some(object) => units[object.index()].object.display_name().to_owned(),
            None => "<internal>".to_owned(),
        };
        let $cx = Context {
            names: &$resolver.units.names,
            signatures: &$resolver.units.signatures,
            display: &display,
            demangle: $resolver.options.demangle,
            allow_multiple_definition: $resolver.options.allow_multiple_definition,
        };
        let $table = &mut $resolver.table;
        $body
    }};
}

mod settle;

impl<'a> Resolver<'a> {
    fn new(mut units: LoadedObjects, options: &'a LinkOptions) -> Resolver<'a> {
        let env = units.names.add_text("env");
        let traced = options.trace_symbols.iter();
        let traced: HashSet<NameId> = traced.map(|name| units.names.add_text(name)).collect();
        let is_64 = options.is_64.unwrap_or(false);
        let table = SymbolTable::new(&units.names);
        let open = NameMap::sized(&units.names, false);
        Resolver {
            options,
            units,
            table,
            open,
            is_late: false,
            postponed: Vec::new(),
            comdats: NameMap::new(false),
            frames: Vec::new(),
            done: Vec::new(),
            trace: Vec::new(),
            extractions: Vec::new(),
            traced,
            symbol_trace: Vec::new(),
            synthetic_functions: Vec::new(),
            synthetic_globals: Vec::new(),
            env,
            is_64,
            legacy_table: false,
            allowed_undefined: NameMap::new(false),
        }
    }

    fn error(&mut self, error: Error) {
        self.table.diagnostics.error(error);
    }

    fn run(&mut self, steps: Vec<Step>) {
        self.add_own_symbols();
        for warning in self.units.inputs().warnings().cloned() {
            self.table.diagnostics.warn(warning);
        }
        self.open_names(&steps);
        for step in steps {
            match step {
                Step::Eager(units) => {
                    for unit in units {
                        self.take_up(unit);
                        self.work();
                    }
                }
                Step::Lazy(entries) => {
                    self.frames.push(Frame::Lazy { entries, at: 0 });
                    self.work();
                }
            }
        }
        self.see_to_postponed();
        self.is_late = true;
        self.table.now = u64::MAX;
    }

    /// Opens the names of which each mention has to be seen to when it comes.
    fn open_names(&mut self, steps: &[Step]) {
        let entries = steps.iter().filter_map(|step| match step {
            Step::Lazy(entries) => Some(entries),
            Step::Eager(_) => None,
        });
        let lazy = entries.flatten().map(|(name, _)| *name);
        // Objects may mention the table without a symbol.
        let table = self.units.names.find(FUNCTION_TABLE);
        for name in lazy.chain(table).chain(self.traced.iter().copied()) {
            self.open.set(name, true);
        }
    }

    /// Works until nothing is left unfinished.
    fn work(&mut self) {
        while let Some(frame) = self.frames.pop() {
            match frame {
                Frame::Object { unit, at } => self.work_on_object(unit, at),
                Frame::Lazy { entries, at } => self.work_on_lazy(entries, at),
            }
        }
    }

    fn work_on_lazy(&mut self, entries: Vec<(NameId, LazyId)>, mut at: usize) {
        while let Some(&(name, lazy)) = entries.get(at) {
            at += 1;
            if self.units.lazies[lazy.0 as usize].extracted {
                continue;
            }
            if !self.traced.is_empty() && self.traced.contains(&name) {
                let line = format!("{}: lazy definition of ", self.units.lazy_name(lazy));
                self.symbol_trace.push(line + self.units.names.text(name));
            }
            if self.table.add_lazy(name, lazy) {
                let reference = self.table.find(name).map(|id| self.table.get(id).object);
                self.frames.push(Frame::Lazy { entries, at });
                self.extract(lazy, name, reference.flatten().ok_or("<internal>"));
                return;
            }
        }
    }

    /// Makes a lazy file a part of the program.
    fn extract(&mut self, lazy: LazyId, name: NameId, reference: Result<ObjectId, &str>) {
        let file = &mut self.units.lazies[lazy.0 as usize];
        if std::mem::replace(&mut file.extracted, true) {
            return;
        }
        match self.units.extract(lazy) {
            Ok(unit) => {
                if self.options.why_extract.is_some() {
                    let symbol = self.units.names.text(name);
                    self.extractions.push(Extraction {
                        reference: match reference {
                            Ok(object) => {
                                let object = &self.units.units[object.index()].object;
                                object.display_name().to_owned()
                            }
                            Err(option) => option.to_owned(),
                        },
                        file: self.units.units[unit.index()]
                            .object
                            .display_name()
                            .to_owned(),
                        symbol: shown(symbol, self.options.demangle),
                    });
                }
                self.take_up(unit);
            }
            Err(error) => self.error(error),
        }
    }

    /// Begins with an object: its COMDAT groups are its own unless another one has them already.
    fn take_up(&mut self, unit: ObjectId) {
        self.trace.push(unit);
        let LinkedObject {
            object,
            names,
            kept_comdats,
            refs,
            ..
        } = &mut self.units.units[unit.index()];
        refs.reserve_exact(object.symbols.len());
        for name in &names[object.symbols.len()..] {
            kept_comdats.push(!self.comdats.get(*name));
            self.comdats.set(*name, true);
        }
        if object.is_64() != self.is_64 {
            let (is, wanted) = match self.is_64 {
                true => ("32", "64"),
                false => ("64", "32"),
            };
            let text = format!("an object for {is}-bit memory in a link for {wanted}-bit memory");
            let error = Error::bad_input(text)
                .with_path(object.display_name())
                .with_hint("compile all objects for the same target, and link with its -m");
            self.error(error);
        }
        self.frames.push(Frame::Object { unit, at: 0 });
    }

    fn work_on_object(&mut self, unit: ObjectId, at: usize) {
        let object = self.units.units[unit.index()].object.clone();
        let mut run = Run::starting(unit, at);
        for (index, symbol) in object.symbols.iter().enumerate().skip(at) {
            let linked = &mut self.units.units[unit.index()];
            let name = linked.names[index];
            if name == NameId::NONE && !is_undefined_local(symbol) {
                linked.refs.push(SymbolRef::OWN);
                continue;
            }
            if name != NameId::NONE && !self.is_late && !self.open.get(name) {
                linked.refs.push(SymbolRef::global(self.table.number(name)));
                continue;
            }
            run.end_at(index, &mut self.postponed);
            if !self.is_late {
                self.table.now = mention::time(self.postponed.len(), 0);
            }
            let (symbol, lazy) = self.add_symbol(unit, &object, SymbolIndex(index as u32));
            self.units.units[unit.index()].refs.push(symbol);
            if let Some((name, lazy)) = lazy {
                // What the symbol means is known: by and by, the member's definition.
                let at = index + 1;
                self.frames.push(Frame::Object { unit, at });
                self.extract(lazy, name, Ok(unit));
                return;
            }
        }
        run.end_at(object.symbols.len(), &mut self.postponed);
        self.add_legacy_table(unit, &object);
        self.done.push(unit);
    }

    /// What one symbol of an object means; and the file that must be linked for it.
    fn add_symbol(
        &mut self,
        unit: ObjectId,
        object: &Object,
        index: SymbolIndex,
    ) -> (SymbolRef, Option<(NameId, LazyId)>) {
        let linked = &self.units.units[unit.index()];
        match Mention::of(linked, unit, index) {
            Mention::Own => (SymbolRef::OWN, None),
            Mention::Definition(new, definition) => {
                self.trace_symbol(&new, "definition");
                let id = with_context!(self, |table, cx| table.add_defined(&new, definition, &cx));
                if !self.traced.contains(&new.name) && self.table.get(id).is_defined() {
                    self.open.set(new.name, false);
                }
                (SymbolRef::global(id), None)
            }
            Mention::Reference {
                mut new, called, ..
            } => {
                let import = self.import_of(object, index);
                if object.symbols[index.index()].is_local() {
                    let text = object.str(object.symbols[index.index()].name);
                    new.name = self.units.names.add_text(text);
                    let id = self.table.add_undefined_local(&new, import);
                    return (SymbolRef::global(id), None);
                }
                self.trace_symbol(&new, "reference");
                let name = new.name;
                let (id, lazy) = with_context!(self, |table, cx| table
                    .add_undefined(&new, import, called, &cx));
                (SymbolRef::global(id), lazy.map(|lazy| (name, lazy)))
            }
        }
    }

    fn trace_symbol(&mut self, new: &Incoming, what: &str) {
        if !self.traced.is_empty()
            && self.traced.contains(&new.name)
            && let Some(object) = new.object
        {
            let file = self.units.units[object.index()].object.display_name();
            let word = if what == "definition" { "of" } else { "to" };
            let name = self.units.names.text(new.name);
            self.symbol_trace
                .push(format!("{file}: {what} {word} {name}"));
        }
    }

    /// How an object wants an undefined symbol to be imported.
    fn import_of(&mut self, object: &Object, index: SymbolIndex) -> ImportAs {
        if let Some(import) = plain_import(object, index, self.env) {
            return import;
        }
        let Some(import) = object.import_of(index) else {
            return ImportAs::UNSAID;
        };
        let symbol = &object.symbols[index.index()];
        let module = match import.is_from_env {
            true => self.env,
            false => self.units.names.add_text(object.str(import.module)),
        };
        let name = match symbol.flags.has(SymbolFlags::EXPLICIT_NAME) {
            true => self.units.names.add_text(object.str(import.name)),
            false => NameId::NONE,
        };
        ImportAs { module, name }
    }

    /// Objects of the first version of WebAssembly have no symbol for the one table that they import: gives them one.
    fn add_legacy_table(&mut self, unit: ObjectId, object: &Object) {
        let tables = object.imported_tables.len() + object.tables.len();
        let symbols = object.symbols.iter();
        let symbols = symbols
            .filter(|symbol| symbol.kind == SymbolKind::Table)
            .count();
        if tables == symbols {
            return;
        }
        let text = match &object.imported_tables[..] {
            _ if symbols != 0 => format!("{tables} tables, but symbols for {symbols} of them"),
            _ if !object.tables.is_empty() => "a table is defined without a symbol".to_owned(),
            [table]
                if object.bytes(table.name) == FUNCTION_TABLE.as_bytes()
                    && table.ty.element == 0x70 =>
            {
                self.legacy_table = true;
                let new = Incoming {
                    name: self.units.names.add_text(FUNCTION_TABLE),
                    kind: SymbolKind::Table,
                    flags: SymbolFlags::UNDEFINED.with(SymbolFlags::NO_STRIP),
                    ty: SymbolType::Table(table.ty.element),
                    object: Some(unit),
                };
                let import = ImportAs {
                    module: self.env,
                    name: NameId::NONE,
                };
                with_context!(self, |table, cx| table
                    .add_undefined(&new, import, false, &cx));
                return;
            }
            _ => "a table is imported without a symbol".to_owned(),
        };
        self.error(Error::bad_input(text).with_path(object.display_name()));
    }

    /// Looks a symbol up as if something referred to it; links the file that defines it.
    fn look_up(&mut self, name: &str, option: &str) -> Option<SymbolId> {
        let name = self.units.names.find(name)?;
        let id = self.table.find(name)?;
        let symbol = self.table.get_mut(id);
        symbol.used_in_object = true;
        if let Definition::Lazy(lazy) = symbol.definition {
            self.extract(lazy, name, Err(option));
            self.work();
        }
        self.table.find(name)
    }
}

/// The name of the table that functions' addresses are places in.
pub const FUNCTION_TABLE: &str = "__indirect_function_table";
