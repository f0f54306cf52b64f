//! Symbols of changed objects: what they mean in the tables that are there, and whether that concerns others.

use std::sync::Arc;

use crate::hash::HashMap;
use crate::link::command::options::LinkOptions;
use crate::link::declare::{
    ResolvedTarget, engine_type, finds_addresses_in_globals, wants_wide_table,
};
use crate::link::order::{holds_zeros, output_name};
use crate::link::resolve::units::{LinkedObject, SymbolRef, symbol_type};
use crate::link::symbols::signatures::SignatureId;
use crate::link::symbols::{Definition, ObjectId, SymbolId, SymbolType};
use crate::link::update::fallback::{FallbackReason, UpdateResult, fall_back};
use crate::link::update::index::{Owner, decl_of};
use crate::link::update::{Change, SymbolBefore, Update};
use crate::object::ids::{SegmentIndex, SymbolIndex};
use crate::object::{Object, SegmentFlags, SymbolFlags, SymbolKind};
use crate::program::DeclId;

impl Update<'_> {
    /// Compares what does not concern single symbols.
    pub(super) fn compare(&mut self, id: ObjectId, new: &Arc<Object>) -> UpdateResult<()> {
        let before = self.resolution().object(id).object.clone();
        if let Some(difference) = new.difference(&before) {
            return self.compare_contents(id, new, difference);
        }
        let signatures = self.link.plan.resolution.signatures.add_object(new);
        let known = &self.link.plan.resolution.signatures;
        let types = &mut self.link.declarations.types;
        for at in types.len()..known.len() {
            types.push(engine_type(known.at(at), self.link.module.program_mut())?);
        }
        let linked = self.resolution().object(id);
        let old = &linked.object;
        let comdats = |object: &Object| -> Vec<String> {
            let names = object.comdats.iter();
            names
                .map(|comdat| object.str(comdat.name).to_owned())
                .collect()
        };
        let inits = |object: &Object| -> Vec<(u32, String)> {
            let inits = object.init_functions.iter();
            inits
                .map(|init| (init.priority, object.symbol_name(init.symbol).to_owned()))
                .collect()
        };
        let exports = |object: &Object| -> Vec<(Option<String>, String)> {
            let exports = object.exported_functions.iter();
            exports
                .map(|(function, name)| {
                    let function = object.defined_function(*function);
                    let function = function.and_then(|at| object.function_name(at));
                    (function.map(str::to_owned), object.str(*name).to_owned())
                })
                .collect()
        };
        if old.is_64() != new.is_64()
            || old.features_bytes() != new.features_bytes()
            || old.producers_bytes() != new.producers_bytes()
        {
            return fall_back(FallbackReason::Target);
        }
        if comdats(old) != comdats(new) {
            return fall_back(FallbackReason::Comdats);
        }
        if inits(old) != inits(new) {
            return fall_back(FallbackReason::InitFunctions);
        }
        if exports(old) != exports(new) {
            return fall_back(FallbackReason::ExportedNames);
        }
        let is_wide = self.link.module.options().table64;
        if wants_wide_table(new).is_some_and(|wanted| wanted != is_wide) {
            return fall_back(FallbackReason::Target);
        }
        if old.globals.len() != new.globals.len()
            || old.tags.len() != new.tags.len()
            || old.tables.len() != new.tables.len()
            || [old, new]
                .into_iter()
                .any(|object| lacks_table_symbol(object))
            || [old, new]
                .into_iter()
                .any(|object| finds_addresses_in_globals(object))
        {
            return fall_back(FallbackReason::Globals);
        }
        let options = &self.link.options;
        if defines_wrapped(old, options) || defines_wrapped(new, options) {
            return fall_back(FallbackReason::Wrapped);
        }
        self.expect_no_merged_data([old, new])?;
        self.changes.push(Change {
            id,
            object: new.clone(),
            signatures,
            refs: Vec::new(),
            contents: None,
        });
        Ok(())
    }

    /// No data of these objects is in one piece with others'.
    pub(super) fn expect_no_merged_data<'o>(
        &self,
        objects: impl IntoIterator<Item = &'o Arc<Object>>,
    ) -> UpdateResult<()> {
        let (plan, options) = (&self.link.plan, &self.link.options);
        let merged: Vec<&str> = plan
            .segments
            .iter()
            .zip(&self.link.declarations.merged)
            .filter(|(_, merged)| merged.is_some())
            .map(|(segment, _)| segment.name.as_str())
            .collect();
        let is_merged = |object: &Object, index: usize| {
            let is_named =
                !merged.is_empty() && merged.contains(&output_name(object, index, options));
            is_named || plan.clears_memory && holds_zeros(object, SegmentIndex(index as u32))
        };
        for object in objects {
            for (index, segment) in object.segments.iter().enumerate() {
                if segment.flags.has(SegmentFlags::TLS) || is_merged(object, index) {
                    return fall_back(FallbackReason::MergedData);
                }
            }
        }
        Ok(())
    }

    /// Finds out what the symbols of the changed objects mean.
    pub(super) fn look_up(&mut self) -> UpdateResult<()> {
        let mut changes = std::mem::take(&mut self.changes);
        let mut new_symbols = Vec::new();
        for (at, change) in changes.iter_mut().enumerate() {
            if change.contents.is_some() {
                continue;
            }
            self.look_up_known(at, change, &mut new_symbols)?;
        }
        for (at, index) in new_symbols {
            let change = &mut changes[at];
            let symbol = &change.object.symbols[index.index()];
            let name = change.object.str(symbol.name);
            let ty = symbol_type(&change.object, &change.signatures, symbol);
            let resolution = &mut self.link.plan.resolution;
            let known = resolution.find(name);
            let id = if symbol.is_undefined() {
                let Some(id) = known else {
                    return fall_back(FallbackReason::SymbolIsUnknown);
                };
                let known = resolution.table.get(id);
                if known.kind != symbol.kind || (symbol.kind != SymbolKind::Data && known.ty != ty)
                {
                    return fall_back(FallbackReason::SymbolOfAnotherKind);
                }
                let is_made = matches!(known.definition, Definition::Synthetic(_))
                    && known.kind != SymbolKind::Function
                    && self.link.declarations.meanings[id.index()] != ResolvedTarget::Nothing;
                if known.place().is_none() && !is_made {
                    return fall_back(FallbackReason::SymbolIsUndefined);
                }
                id
            } else {
                if known.is_some() {
                    return fall_back(FallbackReason::SymbolIsKnown);
                }
                let options = &self.link.options;
                if options.export_all
                    || options.export_dynamic
                    || options.names_symbol(name)
                    || symbol.flags.is_kept()
                    || symbol.kind != SymbolKind::Function && symbol.kind != SymbolKind::Data
                {
                    return fall_back(FallbackReason::NewSymbolIsExported);
                }
                let name = resolution.names.add_text(name);
                let (id, _) = resolution.table.insert(name);
                let new = resolution.table.get_mut(id);
                new.kind = symbol.kind;
                new.flags = symbol.flags;
                new.ty = ty;
                new.object = Some(change.id);
                new.used_in_object = true;
                new.definition = Definition::Object {
                    object: change.id,
                    symbol: index,
                };
                self.link
                    .declarations
                    .meanings
                    .push(ResolvedTarget::Nothing);
                id
            };
            change.refs[index.index()] = SymbolRef::global(id);
        }
        self.changes = changes;
        Ok(())
    }

    /// Compares symbols that other objects see with those of the object before. What is new is listed, definitions
    /// first.
    pub(super) fn look_up_known(
        &mut self,
        at: usize,
        change: &mut Change,
        new_symbols: &mut Vec<(usize, SymbolIndex)>,
    ) -> UpdateResult<()> {
        let old = self.link.plan.resolution.object(change.id).clone();
        let mut known = known_symbols(&old)?;
        // Whether a definition counts depends on the groups, which are the same.
        let probe = LinkedObject {
            object: change.object.clone(),
            refs: Vec::new(),
            signatures: Vec::new(),
            kept_comdats: old.kept_comdats.clone(),
            is_live: old.is_live,
            is_lazy: old.is_lazy,
            names: Vec::new(),
        };
        let object = &change.object;
        change.refs.reserve_exact(object.symbols.len());
        for (index, symbol) in object.symbols.iter().enumerate() {
            let index = SymbolIndex(index as u32);
            if symbol.is_local() || symbol.kind == SymbolKind::Section {
                if symbol.is_undefined() {
                    return fall_back(FallbackReason::LocalIsUndefined);
                }
                change.refs.push(SymbolRef::OWN);
                continue;
            }
            let new = facts(object, &change.signatures, &probe, index);
            match known.remove(object.str(symbol.name)) {
                Some((old, reference)) => {
                    if !self.means_the_same(&old, &new, reference) {
                        return fall_back(FallbackReason::SymbolChanged);
                    }
                    change.refs.push(reference);
                }
                None => {
                    if !new.is_defined && !symbol.is_undefined() {
                        return fall_back(FallbackReason::DiscardedSymbolIsNew);
                    }
                    change.refs.push(SymbolRef::OWN);
                    let place = match symbol.is_undefined() {
                        true => new_symbols.len(),
                        false => 0,
                    };
                    new_symbols.insert(place, (at, index));
                }
            }
        }
        self.forget(change.id, known.into_values())
    }

    /// Whether what an object says of a symbol makes no difference to what it said before.
    pub(super) fn means_the_same(
        &self,
        old: &SymbolFacts<'_>,
        new: &SymbolFacts<'_>,
        reference: SymbolRef,
    ) -> bool {
        let resolution = &self.link.plan.resolution;
        // How it is called, and how it would be imported, is of interest only while nothing defines it.
        let settled =
            |facts: &SymbolFacts<'_>| (facts.is_defined, facts.kind, facts.flags, facts.ty);
        let is_settled = reference.symbol().is_some_and(|id| {
            let symbol = resolution.table.get(id);
            symbol.place().is_some() && symbol.ty == new.ty
        });
        // Tables are not dropped: it does not matter whether they are to be kept, unless that decides about an import.
        let is_table = new.kind == SymbolKind::Table
            && old.kind == SymbolKind::Table
            && old.import == new.import
            && (old.flags == new.flags || !self.link.options.import_table)
            && reference.symbol().is_some_and(|id| {
                self.link.declarations.meanings[id.index()] != ResolvedTarget::Nothing
            });
        old == new || is_table || (is_settled && settled(old) == settled(new))
    }

    /// Forgets what an object does not say any more, if nobody needs it.
    fn forget<'o>(
        &mut self,
        object: ObjectId,
        unsaid: impl Iterator<Item = (SymbolFacts<'o>, SymbolRef)>,
    ) -> UpdateResult<()> {
        let resolution = &self.link.plan.resolution;
        let mut gone = Vec::new();
        let mut forgets_member = false;
        for (said, reference) in unsaid {
            let Some(id) = reference.symbol() else {
                continue;
            };
            let symbol = resolution.table.get(id);
            if !said.is_defined {
                // What the linker makes only because somebody asks for it is not made any more; whether anybody calls the
                // constructors decides whether exports do.
                let is_made = matches!(symbol.definition, Definition::Synthetic(_))
                    && symbol.kind != SymbolKind::Function
                    && !self.link.options.names_symbol(resolution.name(id));
                let stays = symbol.place().is_some() || is_made;
                if !stays {
                    return fall_back(FallbackReason::UndefinedIsNotNeeded);
                }
                let definer = symbol.place().map(|(definer, _)| definer);
                forgets_member |= definer.is_some_and(|id| resolution.object(id).is_lazy);
                continue;
            }
            if symbol.place().is_none_or(|(owner, _)| owner != object) {
                continue;
            }
            let is_wanted = symbol.force_export
                || symbol.flags.is_kept()
                || self.link.options.export_all
                || self.link.options.export_dynamic
                || resolution.entry == Some(id)
                || resolution.call_dtors == Some(id);
            // References of another type trap because of what is gone; without it they would for another reason.
            let mut made = resolution.synthetic_functions.iter();
            let is_mistaken = made.any(|it| resolution.table.get(*it).name == symbol.name);
            if is_wanted || is_mistaken || self.has_users(object, id) {
                return fall_back(FallbackReason::SymbolIsGone);
            }
            gone.push(id);
        }
        self.forgets_member |= forgets_member;
        for id in gone {
            // Other objects' dead code may still name it. Whoever reaches that code finds out.
            let symbol = self.link.plan.resolution.table.get_mut(id);
            symbol.definition = Definition::Undefined;
            symbol.flags = SymbolFlags::UNDEFINED;
            let meanings = &mut self.link.declarations.meanings;
            meanings.set(id.index(), ResolvedTarget::Nothing);
        }
        Ok(())
    }

    /// Whether anything outside of an object, and of the others that changed, refers to what a symbol means.
    pub(super) fn has_users(&self, object: ObjectId, id: SymbolId) -> bool {
        let declarations = &self.link.declarations;
        let decl = decl_of(declarations, declarations.meanings[id.index()]);
        decl.is_some_and(|decl| self.is_used_outside(object, decl))
    }

    pub(super) fn is_used_outside(&self, object: ObjectId, decl: DeclId) -> bool {
        if self.index.roots.contains(&decl) {
            return true;
        }
        let module = &self.link.module;
        let sources = module.sources_of(decl);
        sources
            .iter()
            .any(|source| match self.index.owner(*source) {
                Owner::Function(other, _) | Owner::Segment(other, _) => other != object,
                Owner::Linker => true,
                Owner::String => false,
            })
    }

    /// Where the symbols that changed objects define stood.
    pub(super) fn meant_before(&self) -> Vec<SymbolBefore> {
        let mut meant = Vec::new();
        for change in &self.changes {
            if let Some(contents) = &change.contents {
                meant.extend(self.meant_in_contents(change, contents));
                continue;
            }
            let linked = self.resolution().object(change.id);
            for (index, reference) in linked.refs.iter().enumerate() {
                let symbol = &linked.object.symbols[index];
                if let Some(id) = reference.symbol()
                    && !symbol.is_undefined()
                {
                    meant.push((change.id, id, self.place_of(id)));
                }
            }
        }
        meant
    }

    pub(super) fn place_of(&self, id: SymbolId) -> Option<(DeclId, i64)> {
        let declarations = &self.link.declarations;
        match declarations.meanings[id.index()] {
            ResolvedTarget::Segment(object, segment, value) => {
                let unit = &declarations.known.units[object.index()];
                unit.segments[segment.index()].at(value.into())
            }
            other => decl_of(declarations, other).map(|id| (id, 0)),
        }
    }

    /// Puts the changed objects in the place of those before.
    pub(super) fn install(&mut self) {
        for change in &mut self.changes {
            let resolution = &mut self.link.plan.resolution;
            let old = resolution.object(change.id);
            let linked = LinkedObject {
                object: change.object.clone(),
                refs: std::mem::take(&mut change.refs),
                signatures: std::mem::take(&mut change.signatures),
                // Groups are the same, and names are only asked for while symbols are resolved.
                kept_comdats: old.kept_comdats.clone(),
                is_live: old.is_live,
                is_lazy: old.is_lazy,
                names: Vec::new(),
            };
            if change.contents.is_some() {
                resolution.objects.set(change.id.index(), linked);
                continue;
            }
            for (index, symbol) in linked.object.symbols.iter().enumerate() {
                let Some(id) = linked.refs[index].symbol() else {
                    continue;
                };
                if symbol.is_undefined() || linked.is_discarded(symbol) {
                    continue;
                }
                let index = SymbolIndex(index as u32);
                if let Some((object, before)) = resolution.table.get(id).place()
                    && object == change.id
                    && before != index
                {
                    resolution.table.get_mut(id).definition = Definition::Object {
                        object,
                        symbol: index,
                    };
                }
            }
            resolution.objects.set(change.id.index(), linked);
            self.touched.insert(change.id);
        }
    }
}

/// What an object says of a symbol that others see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SymbolFacts<'o> {
    is_defined: bool,
    kind: SymbolKind,
    flags: SymbolFlags,
    ty: SymbolType,
    called_directly: bool,
    /// The module and name by which it is imported if nothing defines it.
    import: Option<(&'o str, Option<&'o str>)>,
}

/// Symbols of an object that others see, by name: what it says of them, and what they mean.
type KnownSymbols<'o> = HashMap<&'o str, (SymbolFacts<'o>, SymbolRef)>;

fn known_symbols(old: &LinkedObject) -> UpdateResult<KnownSymbols<'_>> {
    let mut known = KnownSymbols::default();
    for (index, symbol) in old.object.symbols.iter().enumerate() {
        if symbol.is_local() {
            if symbol.is_undefined() {
                return fall_back(FallbackReason::LocalIsUndefined);
            }
            continue;
        }
        let said = facts(&old.object, &old.signatures, old, SymbolIndex(index as u32));
        let name = old.object.str(symbol.name);
        if known.insert(name, (said, old.refs[index])).is_some() {
            return fall_back(FallbackReason::NameIsTwice);
        }
    }
    Ok(known)
}

/// Whether an object defines a symbol that another one is put in the place of.
pub(super) fn defines_wrapped(object: &Object, options: &LinkOptions) -> bool {
    if options.wrap.is_empty() {
        return false;
    }
    let shared = object.symbols.iter().filter(|symbol| !symbol.is_local());
    let mut defined = shared.filter(|symbol| !symbol.is_undefined());
    defined.any(|symbol| options.wrap.iter().any(|it| it == object.str(symbol.name)))
}

/// Whether an object uses a table without saying where, as old ones do.
pub(super) fn lacks_table_symbol(object: &Object) -> bool {
    let symbols = object.symbols.iter();
    let symbols = symbols.filter(|symbol| symbol.kind == SymbolKind::Table);
    symbols.count() != object.imported_tables.len() + object.tables.len()
}

pub(super) fn facts<'o>(
    object: &'o Object,
    signatures: &[SignatureId],
    linked: &LinkedObject,
    index: SymbolIndex,
) -> SymbolFacts<'o> {
    let symbol = &object.symbols[index.index()];
    let import = match symbol.is_undefined() {
        true => object.import_of(index),
        false => None,
    };
    let import = import.map(|import| {
        let has_name = symbol.flags.has(SymbolFlags::EXPLICIT_NAME);
        let name = has_name.then(|| object.str(import.name));
        (object.str(import.module), name)
    });
    SymbolFacts {
        is_defined: !symbol.is_undefined() && !linked.is_discarded(symbol),
        kind: symbol.kind,
        flags: symbol.flags,
        ty: symbol_type(object, signatures, symbol),
        called_directly: symbol.called_directly,
        import,
    }
}
