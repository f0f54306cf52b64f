//! What comes before and after the files: the linker's own symbols, what the command line asks for, and what becomes
//! of symbols that are still open.

use std::path::Path;

use super::*;
use crate::link::command::options::DefinedSymbol;
use crate::link::inputs::StubSymbols;
use crate::link::symbols::GlobalSymbol;

/// `i32` and `i64`.
const I32: u8 = 0x7f;
const I64: u8 = 0x7e;

/// Data symbols that the linker defines if somebody refers to them.
const OPTIONAL_DATA: [(&str, Synthetic); 9] = [
    ("__dso_handle", Synthetic::DsoHandle),
    ("__data_end", Synthetic::DataEnd),
    ("__stack_low", Synthetic::StackLow),
    ("__stack_high", Synthetic::StackHigh),
    ("__global_base", Synthetic::GlobalBase),
    ("__heap_base", Synthetic::HeapBase),
    ("__heap_end", Synthetic::HeapEnd),
    ("__memory_base", Synthetic::MemoryBase),
    ("__table_base", Synthetic::TableBase),
];

/// A symbol of `--wrap`.
struct Wrapped {
    name: SymbolId,
    real: SymbolId,
    wrap: SymbolId,
    /// How objects refer to `real`, if any does.
    asked: Option<SymbolFlags>,
}

impl Resolver<'_> {
    /// Adds the symbols that every program has.
    pub(super) fn add_own_symbols(&mut self) {
        let nothing = SymbolType::Signature(self.units.signatures.add(&[], &[]));
        self.add_function("__wasm_call_ctors", nothing, Synthetic::CallCtors);
        self.add_global("__stack_pointer", true, Synthetic::StackPointer);
        if self.options.shared_memory {
            self.add_global("__tls_base", true, Synthetic::TlsBase);
            self.add_global("__tls_size", false, Synthetic::TlsSize);
            self.add_global("__tls_align", false, Synthetic::TlsAlign);
            let pointer = if self.is_64 { I64 } else { I32 };
            let ty = SymbolType::Signature(self.units.signatures.add(&[pointer], &[]));
            self.add_function("__wasm_init_tls", ty, Synthetic::InitTls);
        }
        for symbol in &self.options.defined_symbols {
            let name = self.units.names.add_text(&symbol.name);
            let (id, _) = self.table.insert(name);
            self.table.get_mut(id).definition = Definition::Alias;
        }
    }

    fn add_function(&mut self, name: &str, ty: SymbolType, synthetic: Synthetic) {
        let name = self.units.names.add_text(name);
        let id = self
            .table
            .add_synthetic(name, SymbolKind::Function, ty, synthetic);
        self.synthetic_functions.push(id);
    }

    fn add_global(&mut self, name: &str, mutable: bool, synthetic: Synthetic) {
        let name = self.units.names.add_text(name);
        let value = if self.is_64 { I64 } else { I32 };
        let ty = SymbolType::Global(GlobalType { value, mutable });
        let id = self
            .table
            .add_synthetic(name, SymbolKind::Global, ty, synthetic);
        self.synthetic_globals.push(id);
    }

    fn own(&self, name: &str) -> Option<SymbolId> {
        self.table.find(self.units.names.find(name)?)
    }

    /// After the files: does what the command line asks for and settles what is open.
    pub(super) fn finish(mut self) -> Resolution {
        let options = self.options;
        for name in &options.undefined {
            self.look_up(name, "--undefined");
        }
        let exported = || options.exports.iter().chain(&options.exports_if_defined);
        for name in exported() {
            self.look_up(name, "--export");
        }
        let entry = self.find_entry();
        let call_dtors = self.find_call_dtors();
        let wrapped = self.add_wrapped();
        for symbol in &options.defined_symbols {
            self.settle_defined(symbol);
        }
        self.use_stubs();
        self.table.settle_order();
        self.add_optional();
        let traps = with_context!(self, |table, cx| table.settle_variants(&cx));
        self.synthetic_functions.extend(traps);
        self.wrap(&wrapped);
        for name in exported() {
            if let Some(id) = self.own(name) {
                let symbol = self.table.get_mut(id);
                symbol.force_export |= symbol.is_defined();
            }
        }
        self.settle_weak();
        if let Some(entry) = entry {
            let symbol = self.table.get_mut(entry);
            symbol.flags = symbol.flags.without(SymbolFlags::HIDDEN);
        }
        self.settle_lazy();
        let allowed: Vec<String> = self.units.inputs().allowed_undefined().cloned().collect();
        for name in &allowed {
            let name = self.units.names.add_text(name);
            self.allowed_undefined.set(name, true);
        }
        self.into_resolution(entry, call_dtors)
    }

    fn find_entry(&mut self) -> Option<SymbolId> {
        let options = self.options;
        let name = options.entry.name()?;
        let id = self.look_up(name, "--entry");
        match id.filter(|id| self.table.get(*id).is_defined()) {
            Some(id) => {
                self.table.get_mut(id).force_export = true;
                Some(id)
            }
            None => {
                let error = Error::bad_input("the entry function is not defined")
                    .with_symbol(shown(name, options.demangle))
                    .with_hint("define it, name another with --entry, or pass --no-entry");
                self.error(error);
                None
            }
        }
    }

    /// The function that runs a command's destructors, if exports are to be wrapped: unless the program calls its
    /// constructors itself.
    fn find_call_dtors(&mut self) -> Option<SymbolId> {
        let options = self.options;
        const CTORS: &str = "__wasm_call_ctors";
        let is_named = options.entry.name() == Some(CTORS)
            || options.exports.iter().any(|name| name == CTORS)
            || options.exports_if_defined.iter().any(|name| name == CTORS);
        let ctors = self.own(CTORS)?;
        if is_named || self.table.get(ctors).used_in_object {
            return None;
        }
        let id = self.look_up("__wasm_call_dtors", "<internal>")?;
        let symbol = self.table.get(id);
        if !symbol.is_defined() || symbol.kind != SymbolKind::Function {
            self.error(
                Error::bad_input("must be a function that is defined")
                    .with_symbol("__wasm_call_dtors"),
            );
            return None;
        }
        let signature = symbol
            .ty
            .signature()
            .map(|id| self.units.signatures.get(id));
        if signature.is_some_and(|ty| !ty.params.is_empty() || !ty.results.is_empty()) {
            self.error(
                Error::bad_input("must have neither parameters nor results")
                    .with_symbol("__wasm_call_dtors"),
            );
        }
        Some(id)
    }

    fn add_wrapped(&mut self) -> Vec<Wrapped> {
        let options = self.options;
        let mut seen = HashSet::new();
        let mut wrapped = Vec::new();
        for name in &options.wrap {
            let Some(id) = self.own(name).filter(|_| seen.insert(name)) else {
                continue;
            };
            let real_before = self.own(&format!("__real_{name}"));
            let asked = real_before.map(|id| self.table.get(id));
            let asked = asked
                .filter(|symbol| symbol.used_in_object && symbol.is_undefined())
                .map(|symbol| symbol.flags);
            let mut refer = |prefix: &str| {
                let name = self.units.names.add_text(&format!("{prefix}{name}"));
                let new = Incoming {
                    name,
                    kind: SymbolKind::Function,
                    flags: SymbolFlags::UNDEFINED,
                    ty: SymbolType::None,
                    object: None,
                };
                let (id, lazy) = with_context!(self, |table, cx| {
                    table.add_undefined(&new, ImportAs::UNSAID, false, &cx)
                });
                if let Some(lazy) = lazy {
                    self.extract(lazy, name, Err("--wrap"));
                    self.work();
                }
                id
            };
            let real = refer("__real_");
            let wrap = refer("__wrap_");
            // Whoever calls it will call the wrapper, which must have the same type, imported or not.
            let ty = self.table.get(id).ty;
            for other in [real, wrap] {
                let other = self.table.get_mut(other);
                if other.is_undefined() && other.ty == SymbolType::None {
                    other.ty = ty;
                }
            }
            self.table.get_mut(id).used_in_object = true;
            self.table.get_mut(real).used_in_object = false;
            wrapped.push(Wrapped {
                name: id,
                real,
                wrap,
                asked,
            });
        }
        wrapped
    }

    /// Lets every object's references to a wrapped symbol mean its wrapper, and those to `__real_` the symbol.
    fn wrap(&mut self, wrapped: &[Wrapped]) {
        if wrapped.is_empty() {
            return;
        }
        for wrapped in wrapped {
            self.settle_wrapped(wrapped);
        }
        for unit in &mut self.units.units {
            for reference in &mut unit.refs {
                let Some(id) = reference.symbol() else {
                    continue;
                };
                for wrapped in wrapped {
                    if id == wrapped.name {
                        *reference = SymbolRef::global(wrapped.wrap);
                    } else if id == wrapped.real {
                        *reference = SymbolRef::global(wrapped.name);
                    }
                }
            }
        }
        for wrapped in wrapped {
            let name = |id| self.table.get(id).name;
            let (plain, real, wrap) = (name(wrapped.name), name(wrapped.real), name(wrapped.wrap));
            self.table.wrap(plain, real, wrap);
        }
    }

    /// As in wasm-ld, a reference to `__real_X` links no file that defines `X`: without another one nothing does.
    fn settle_wrapped(&mut self, wrapped: &Wrapped) {
        let (symbol, real) = (self.table.get(wrapped.name), self.table.get(wrapped.real));
        let Some(flags) = wrapped.asked.filter(|_| symbol.is_lazy()) else {
            return;
        };
        let new = Incoming {
            name: symbol.name,
            kind: real.kind,
            flags,
            ty: real.ty,
            object: real.object,
        };
        self.table
            .replace(wrapped.name, &new, Definition::Undefined);
    }

    /// Gives a symbol of `--defsym` its meaning.
    fn settle_defined(&mut self, defined: &DefinedSymbol) {
        let Some(id) = self.own(&defined.name) else {
            return;
        };
        if self.table.get(id).definition != Definition::Alias {
            // Given twice: the first one counts.
            return;
        }
        let expected = self.table.get(id).ty;
        let mut new = Incoming {
            name: self.table.get(id).name,
            kind: SymbolKind::Data,
            flags: SymbolFlags::ABSOLUTE,
            ty: SymbolType::None,
            object: None,
        };
        let definition = match &defined.value {
            DefinedValue::Address(address) => Definition::Address(*address),
            DefinedValue::Symbol(target) => {
                let target_id = self.look_up(target, "--defsym");
                match target_id
                    .map(|id| self.table.get(id))
                    .filter(|symbol| symbol.is_defined())
                {
                    Some(symbol) if symbol.definition != Definition::Alias => {
                        new.kind = symbol.kind;
                        new.flags = symbol.flags.without(SymbolFlags::EXPORTED);
                        new.ty = symbol.ty;
                        new.object = symbol.object;
                        symbol.definition
                    }
                    _ => {
                        let text = format!("--defsym: `{target}` is not defined");
                        self.error(Error::bad_input(text).with_symbol(&*defined.name));
                        return;
                    }
                }
            }
        };
        if expected != SymbolType::None && expected != new.ty {
            let text = "--defsym: an object refers to it with another type";
            self.error(Error::bad_input(text).with_symbol(&*defined.name));
        }
        self.table.replace(id, &new, definition);
    }

    /// Lets stub libraries provide what is undefined, and links and exports what they need for it.
    fn use_stubs(&mut self) {
        let stubs: Vec<(String, StubSymbols)> = self
            .units
            .inputs()
            .files
            .iter()
            .filter_map(|file| match file {
                InputFile::Stubs(stubs) => Some((
                    stubs.input.path().display().to_string(),
                    stubs.symbols.clone(),
                )),
                _ => None,
            })
            .collect();
        let mut again = !stubs.is_empty();
        while again {
            again = false;
            for (file, symbols) in &stubs {
                for (name, needs) in symbols {
                    let provided = self.provided(name);
                    for id in provided {
                        again |= self.provide(file, id, needs);
                    }
                }
            }
        }
    }

    /// The undefined symbols that a stub of this name provides: by their own name, or by that of their import.
    fn provided(&self, name: &str) -> Vec<SymbolId> {
        let Some(name) = self.units.names.find(name) else {
            return Vec::new();
        };
        let by_name = self.table.find(name).into_iter();
        let by_import = self.table.order().iter().copied();
        by_name
            .chain(by_import.filter(|id| self.table.get(*id).import_name == name))
            .filter(|id| {
                let symbol = self.table.get(*id);
                symbol.is_undefined() && !symbol.force_import
            })
            .collect()
    }

    fn provide(&mut self, file: &str, id: SymbolId, needs: &[String]) -> bool {
        self.table.get_mut(id).force_import = true;
        let mut extracted = false;
        for need in needs {
            let found = self.own(need);
            let is_open = found.is_none_or(|id| self.table.get(id).is_undefined());
            let Some(needed) = found.filter(|_| !is_open) else {
                let name = self.units.names.text(self.table.get(id).name);
                let text = format!("undefined symbol, which `{name}` needs");
                let error = Error::bad_input(text)
                    .with_symbol(need.as_str())
                    .with_path(file);
                self.error(error);
                continue;
            };
            extracted |= self.table.get(needed).is_lazy();
            self.table.get_mut(needed).force_export = true;
            self.look_up(need, file);
        }
        extracted
    }

    fn add_optional(&mut self) {
        let all = self.options.export_all;
        for (name, synthetic) in OPTIONAL_DATA {
            self.add_optional_data(name, synthetic, all);
        }
        // Not exported with everything else: it came later, and hosts of old would not know it.
        self.add_optional_data("__wasm_first_page_end", Synthetic::FirstPageEnd, false);
        // Programs for one thread may contain thread-local data: then there is one copy, which never moves.
        if !self.options.shared_memory && self.is_undefined("__tls_base") {
            self.add_global("__tls_base", false, Synthetic::TlsBase);
        }
    }

    fn add_optional_data(&mut self, name: &str, synthetic: Synthetic, all: bool) {
        if self.is_wanted(name, all) {
            let name = self.units.names.add_text(name);
            self.table
                .add_synthetic(name, SymbolKind::Data, SymbolType::None, synthetic);
        }
    }

    fn is_undefined(&self, name: &str) -> bool {
        let id = self.own(name);
        id.is_some_and(|id| !self.table.get(id).is_defined())
    }

    fn is_wanted(&self, name: &str, all: bool) -> bool {
        match self.own(name) {
            Some(id) => !self.table.get(id).is_defined(),
            None => {
                let options = self.options;
                let mut exports = options.exports.iter().chain(&options.exports_if_defined);
                all || exports.any(|export| export == name)
            }
        }
    }

    /// Weak functions that nothing defines can be called all the same: then they trap.
    fn settle_weak(&mut self) {
        let open = self.table.select(|_, symbol| {
            let is_open = symbol.is_weak() && !symbol.is_defined() && symbol.used_in_object;
            is_open && symbol.ty.signature().is_some()
        });
        for id in open {
            self.table.make_trap(id, Trap::UndefinedWeak);
            self.synthetic_functions.push(id);
        }
    }

    /// What could have been linked and was not needed is undefined.
    fn settle_lazy(&mut self) {
        let open = |_: SymbolId, symbol: &GlobalSymbol| {
            symbol.is_lazy() && symbol.ty.signature().is_some()
        };
        for id in self.table.select(open) {
            let symbol = self.table.get_mut(id);
            symbol.definition = Definition::Undefined;
            symbol.kind = SymbolKind::Function;
            symbol.flags = SymbolFlags::WEAK.with(SymbolFlags::UNDEFINED);
        }
    }

    /// Numbers the objects in the order in which they were done with.
    fn into_resolution(
        mut self,
        entry: Option<SymbolId>,
        call_dtors: Option<SymbolId>,
    ) -> Resolution {
        const NOWHERE: u32 = u32::MAX;
        let mut numbers = vec![NOWHERE; self.units.units.len()];
        for (number, unit) in self.done.iter().enumerate() {
            numbers[unit.index()] = number as u32;
        }
        if self
            .done
            .iter()
            .enumerate()
            .any(|(at, unit)| unit.index() != at)
        {
            self.table.renumber_objects(&numbers);
        }
        let inputs = self.units.inputs().inputs().cloned();
        let mut inputs: Vec<Arc<Input>> = inputs.collect();
        let mut slots: Vec<Option<LinkedObject>> = self.units.units.into_iter().map(Some).collect();
        let mut objects = Vec::with_capacity(self.done.len());
        for unit in &self.done {
            objects.extend(slots[unit.index()].take());
        }
        // Members of thin archives are files of their own. Others may be of an archive that another one has taken the place
        // of: they are as they were.
        let members: Vec<Arc<Input>> = {
            let known: HashSet<&Path> = inputs.iter().map(|input| input.path()).collect();
            let all = objects
                .iter()
                .map(|linked: &LinkedObject| linked.object.input());
            let are_files = all.filter(|input| input.stamp().is_some());
            are_files
                .filter(|input| !known.contains(input.path()))
                .cloned()
                .collect()
        };
        inputs.extend(members);
        let trace = self
            .trace
            .iter()
            .map(|unit| ObjectId(numbers[unit.index()]));
        let trace = trace.filter(|object| object.0 != NOWHERE).collect();
        let (call_ctors, stack_pointer) = (SymbolId(0), SymbolId(1));
        Resolution {
            objects: objects.into(),
            diagnostics: std::mem::take(&mut self.table.diagnostics),
            table: self.table,
            names: self.units.names,
            signatures: self.units.signatures,
            is_64: self.is_64,
            synthetic_functions: self.synthetic_functions,
            synthetic_globals: self.synthetic_globals,
            entry,
            call_ctors,
            call_dtors,
            stack_pointer,
            legacy_table: self.legacy_table,
            allowed_undefined: self.allowed_undefined,
            trace,
            extractions: self.extractions,
            symbol_trace: self.symbol_trace,
            inputs,
        }
    }
}
