//! All that a link consists of, in the order of wasm-ld's output.

use std::sync::Arc;

use hashbrown::HashSet;

use crate::error::Error;
use crate::link::command::options::LinkOptions;
use crate::link::declare::customs::{self, Merged};
use crate::link::gc::{Live, is_exported, mark};
use crate::link::order::{self, Entry, OutputSegment};
use crate::link::resolve::Resolution;
use crate::link::resolve::undefined;
use crate::link::symbols::{Definition, ObjectId, SymbolId, Trap};
use crate::object::ids::SymbolIndex;
use crate::object::{Input, Relocs};

/// What a link consists of.
pub(crate) struct Plan {
    pub(crate) resolution: Resolution,
    pub(crate) live: Live,
    pub(crate) segments: Vec<OutputSegment>,
    /// Symbols for the bounds of segments.
    pub(crate) bounds: Vec<(SymbolId, usize)>,
    pub(crate) imports: Vec<SymbolId>,
    pub(crate) exports: Vec<SymbolId>,
    /// Functions to call before the program starts.
    pub(crate) inits: Vec<(ObjectId, SymbolIndex)>,
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
        let objects = self.resolution.objects.iter_mut();
        let relocs = objects.map(|linked| match Arc::get_mut(&mut linked.object) {
            Some(object) => std::mem::take(&mut object.code_relocs),
            None => linked.object.code_relocs.clone(),
        });
        relocs.collect()
    }

    /// The files that were opened, what is still to be said, and the rest.
    pub(crate) fn into_inputs(mut self) -> (Vec<Arc<Input>>, Vec<Error>, Plan) {
        let inputs = std::mem::take(&mut self.resolution.inputs);
        let warnings = std::mem::take(&mut self.resolution.diagnostics.warnings);
        (inputs, warnings, self)
    }

    /// Finds out what can be reached and in which order it stands. What is to be said is added to the resolution's
    /// diagnostics; with errors there, the plan is of no use.
    pub(crate) fn new(mut resolution: Resolution, options: &LinkOptions) -> Plan {
        let mut live = mark(&mut resolution, options);
        let segments = order::segments(&resolution, &live, options);
        let bounds = order::define_bounds(&mut resolution, &mut live, &segments, options);
        undefined::settle(&mut resolution, &live, options);
        let undefined = Definition::Trap(Trap::Undefined);
        let symbols = resolution.table.symbols();
        let any_undefined = symbols.iter().any(|symbol| symbol.definition == undefined);
        let entries = match any_undefined {
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
        let is_live = |id: ObjectId| live.objects[id.index()];
        let merged = customs::merge(&resolution, is_live, options, &mut diagnostics);
        resolution.diagnostics = diagnostics;
        Plan {
            resolution,
            live,
            segments,
            bounds,
            imports,
            exports,
            inits,
            undefined_with_address,
            wraps_exports,
            merged,
        }
    }
}
