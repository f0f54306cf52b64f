//! All that a link consists of, in the order of wasm-ld's output.

use std::sync::Arc;

use crate::error::Error;
use crate::hash::HashSet;
use crate::link::command::options::LinkOptions;
use crate::link::declare::customs::{self, Merged};
use crate::link::diagnostics::Diagnostics;
use crate::link::gc::{InitTarget, Live, is_exported};
use crate::link::order::{self, Entry, OutputSegment};
use crate::link::resolve::Resolution;
use crate::link::resolve::undefined;
use crate::link::symbols::{Definition, SymbolId, SymbolType, Trap};
use crate::object::{Object, Relocs, SymbolKind};
use crate::patch::Customs;
use crate::transaction::Transaction;
use crate::wire::{leb, section};

/// What a link consists of.
pub(crate) struct Plan {
    pub(crate) resolution: Resolution,
    pub(crate) live: Live,
    pub(crate) segments: Vec<OutputSegment>,
    /// Whether code clears those of zeros.
    pub(crate) clears_memory: bool,
    /// Symbols for the bounds of segments.
    pub(crate) bounds: Vec<(SymbolId, usize)>,
    pub(crate) imports: Vec<SymbolId>,
    pub(crate) exports: Vec<SymbolId>,
    /// Functions to call before the program starts.
    pub(crate) inits: Vec<InitTarget>,
    /// Undefined functions that have an address all the same.
    pub(crate) undefined_with_address: HashSet<SymbolId>,
    /// Whether exported functions are wrapped by ones that call constructors and destructors.
    pub(crate) wraps_exports: bool,
    pub(crate) merged: Merged,
}

impl Plan {
    /// Takes the relocations of all objects' code, one for each object; nothing may ask for them any more. Those of
    /// objects that somebody else has too are copied.
    pub(crate) fn take_code_relocs(&mut self) -> Vec<Relocs> {
        let objects = self.resolution.objects.items_mut().iter_mut();
        let relocs = objects.map(|linked| match Arc::get_mut(&mut linked.object) {
            Some(object) => std::mem::take(&mut object.code_relocs),
            None => linked.object.code_relocs.clone(),
        });
        relocs.collect()
    }

    /// Puts what can be reached into its order. What is to be said is added to the resolution's diagnostics; with errors
    /// there, the plan is of no use.
    pub(crate) fn order(mut resolution: Resolution, mut live: Live, options: &LinkOptions) -> Plan {
        let clears_memory = customs::clears_memory(&resolution, options);
        let segments = order::segments(&resolution, &live, options, clears_memory);
        order::define_flag(&mut resolution, &mut live, &segments, options);
        let bounds = order::define_bounds(&mut resolution, &mut live, &segments, options);
        undefined::expect_exports(&mut resolution, options);
        undefined::settle(&mut resolution, &live, options);
        let undefined = Definition::Trap(Trap::Undefined);
        let table = &resolution.table;
        let traps = table.select_all(|_, symbol| symbol.definition == undefined);
        let entries = match !traps.is_empty() {
            true => order::table_entries(&resolution, &live),
            false => Vec::new(),
        };
        let entries = entries.into_iter().filter_map(|entry| match entry {
            Entry::Symbol(id) if resolution.table.get(id).definition == undefined => Some(id),
            _ => None,
        });
        let undefined_with_address = entries.collect();
        let inits = order::init_functions(&resolution, &live);
        let ctors = resolution.table.get(resolution.call_ctors);
        let wraps_exports = !ctors.used_in_object
            && !is_exported(ctors, options)
            && (resolution.call_dtors.is_some() || !inits.is_empty());
        let imports = order::imports(&resolution, &live, options);
        let exports = order::exports(&resolution, &live, options);
        let mut diagnostics = std::mem::take(&mut resolution.diagnostics);
        let uses_tls = segments.iter().any(|segment| segment.is_thread_local);
        let merged = customs::merge(&resolution, uses_tls, options, &mut diagnostics);
        let needs_table_0 = resolution.legacy_table && !options.import_table;
        if needs_table_0 {
            refuse_imported_tables(&resolution, &imports, &mut diagnostics);
        }
        for (list, what) in [(&imports, "imported"), (&exports, "exported")] {
            merged.check_globals(&resolution, list, what, options, &mut diagnostics);
        }
        resolution.diagnostics = diagnostics;
        Plan {
            resolution,
            live,
            segments,
            clears_memory,
            bounds,
            imports,
            exports,
            inits,
            undefined_with_address,
            wraps_exports,
            merged,
        }
    }

    /// Whether places in the function table have 64 bits: where memory has, unless the objects are of compilers before
    /// LLVM 19, which had tables for 32 bits there.
    pub(crate) fn has_wide_table(&self) -> bool {
        let objects = self.resolution.objects().iter();
        let wanted = objects.filter_map(|linked| wants_wide_table(&linked.object));
        wanted.reduce(|a, b| a | b).unwrap_or(self.resolution.is_64)
    }

    /// The custom sections that are made of what all objects say, and of the build id.
    pub(crate) fn custom_sections(&self, options: &LinkOptions, build_id: &[u8]) -> Customs {
        let mut tail = self.merged.sections(options);
        if !build_id.is_empty() {
            let mut body = Vec::new();
            leb::push_unsigned(&mut body, build_id.len() as u64);
            body.extend_from_slice(build_id);
            section::push_custom(&mut tail, "build_id", &body);
        }
        Customs {
            front: Vec::new(),
            tail,
            module_name: module_name(options),
        }
    }
}

/// Whether an object says that places in the function table have 64 bits; `None` if it says nothing. An object without code
/// does not know: that of LLVM 19 says 32 bits, whatever the target is.
pub(crate) fn wants_wide_table(object: &Object) -> Option<bool> {
    let tables = object.imported_tables.iter();
    let tables = tables.filter(|table| table.ty.element == FUNCREF && !object.functions.is_empty());
    tables
        .map(|table| table.ty.limits.is_64)
        .reduce(|a, b| a | b)
}

/// What the name section calls the module, for backtraces: what the command line says, or the output's file name.
fn module_name(options: &LinkOptions) -> Option<Box<str>> {
    let file = options.output.file_name();
    match &options.module_name {
        Some(name) => Some(name.as_str().into()),
        None => file.map(|name| name.to_string_lossy().as_ref().into()),
    }
}

/// The type of a function table's entries.
const FUNCREF: u8 = 0x70;

/// Complains about imported tables, which have the first indices, where an object calls through table 0 without saying so.
fn refuse_imported_tables(
    resolution: &Resolution,
    imports: &[SymbolId],
    diagnostics: &mut Diagnostics,
) {
    let symbols = imports.iter().map(|id| (id, resolution.table.get(*id)));
    let mut tables = symbols.filter(|(_, symbol)| matches!(symbol.ty, SymbolType::Table(_)));
    if let Some((id, symbol)) = tables.find(|(_, symbol)| symbol.kind == SymbolKind::Table) {
        let text =
            "is an imported table, but an object calls through table 0 without naming its table";
        let error = Error::bad_input(text).with_symbol(resolution.name(*id));
        let error =
            error.with_hint("compile all objects with -mreference-types, or pass --import-table");
        let object = symbol.object.map(|object| resolution.object(object));
        diagnostics.error(match object {
            Some(linked) => error.with_path(linked.object.display_name()),
            None => error,
        });
    }
}

/// An update in place changes symbols and objects. The order stays, and so does what all objects say together.
impl Transaction for Plan {
    fn begin(&mut self) {
        self.resolution.begin();
    }

    fn commit(&mut self) {
        self.resolution.commit();
    }

    fn rollback(&mut self) {
        self.resolution.rollback();
    }
}
