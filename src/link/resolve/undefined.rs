//! Symbols that nothing defines, after it is known what can be reached: imports, traps, or errors that say who needs
//! them and what might have been meant.

use rayon::prelude::*;

use crate::error::Error;
use crate::hash::{HashMap, HashSet};
use crate::link::command::options::{LinkOptions, Unresolved};
use crate::link::command::spelling;
use crate::link::demangle::demangle;
use crate::link::diagnostics::shown;
use crate::link::gc::{Live, init_symbols};
use crate::link::resolve::units::SymbolRef;
use crate::link::resolve::{FUNCTION_TABLE, Resolution};
use crate::link::symbols::{GlobalSymbol, ObjectId, SymbolId, Trap};
use crate::object::ids::{SegmentIndex, SymbolIndex};
use crate::object::{Reloc, SymbolKind};

/// Where in an object a symbol is referred to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Function(u32),
    Segment(u32),
    InitFunctions,
}

/// The references to one symbol.
#[derive(Debug, Clone, Copy)]
struct References {
    first: (ObjectId, Place),
    count: usize,
}

impl Resolution {
    /// Whether the command line, an object or a stub library allows a symbol to be undefined.
    fn may_be_undefined(&self, symbol: &GlobalSymbol, options: &LinkOptions) -> bool {
        has_import(symbol)
            || (symbol.kind == SymbolKind::Function && options.import_undefined)
            || self.allowed_undefined.get(symbol.name)
    }

    /// Whether a symbol becomes an import of the program.
    pub fn is_imported(&self, live: &Live, id: SymbolId, options: &LinkOptions) -> bool {
        let symbol = self.table.get(id);
        symbol.is_undefined()
            && symbol.kind != SymbolKind::Data
            && live.symbols[id.index()]
            && symbol.used_in_object
            && !symbol.is_weak()
            && (options.import_undefined
                || self.allowed_undefined.get(symbol.name)
                || has_import(symbol))
    }

    /// The module and name that a symbol is imported by.
    pub fn import_names(&self, id: SymbolId) -> (&str, &str) {
        let symbol = self.table.get(id);
        let or = |name, other| match name {
            crate::link::symbols::names::NameId::NONE => other,
            name => self.names.text(name),
        };
        (
            or(symbol.import_module, "env"),
            or(symbol.import_name, self.names.text(symbol.name)),
        )
    }
}

fn has_import(symbol: &GlobalSymbol) -> bool {
    symbol.import_name != crate::link::symbols::names::NameId::NONE || symbol.force_import
}

/// Reports undefined symbols that live code or data refers to. Where that is allowed, undefined functions that are not
/// imported become ones that trap: those of one signature share one function, that of the first of them, which is the
/// one listed among the linker's functions.
pub fn settle(resolution: &mut Resolution, live: &Live, options: &LinkOptions) {
    let is_open = |id: SymbolId, symbol: &GlobalSymbol| {
        live.symbols[id.index()]
            && symbol.is_undefined()
            && !symbol.is_weak()
            && !resolution.may_be_undefined(symbol, options)
    };
    let found = resolution.table.select_all(is_open);
    if found.is_empty() {
        return;
    }
    let mut open = vec![false; resolution.table.symbols().len()];
    found.iter().for_each(|id| open[id.index()] = true);
    let references = references(resolution, live, &open);
    let mut found: Vec<(SymbolId, References)> = references.into_iter().collect();
    found.sort_unstable_by_key(|(id, references)| (references.first, *id));
    // All are described before any of them gets a definition, so that none is thought to be meant by another.
    for (id, references) in &found {
        let report = || describe(resolution, *id, references, options);
        match options.unresolved {
            Unresolved::Error => {
                let report = report();
                resolution.diagnostics.error(report);
            }
            Unresolved::Warn => {
                let report = report();
                resolution.diagnostics.warn(report);
            }
            Unresolved::Ignore => {}
        }
    }
    let mut made: HashSet<_> = HashSet::default();
    for (id, _) in found {
        let symbol = resolution.table.get(id);
        if symbol.kind == SymbolKind::Function && symbol.ty.signature().is_some() {
            let signature = symbol.ty.signature();
            resolution.table.make_trap(id, Trap::Undefined);
            if made.insert(signature) {
                resolution.synthetic_functions.push(id);
            }
        }
    }
}

/// Complains about what `--export` names and nothing defines, not even the linker.
pub fn expect_exports(resolution: &mut Resolution, options: &LinkOptions) {
    let mut seen: HashSet<_> = HashSet::default();
    for name in options.exports.iter().filter(|name| seen.insert(*name)) {
        // A function table that an object refers to is made if it is exported.
        let is_defined = |id: SymbolId| resolution.table.get(id).is_defined();
        let found = resolution.find(name);
        if found.is_some_and(|id| name == FUNCTION_TABLE || is_defined(id)) {
            continue;
        }
        let error = Error::bad_input("is to be exported (--export), and nothing defines it")
            .with_symbol(shown(name, options.demangle))
            .with_hint("define it, or export it only if it is defined: --export-if-defined");
        match options.unresolved {
            Unresolved::Error => resolution.diagnostics.error(error),
            Unresolved::Warn => resolution.diagnostics.warn(error),
            Unresolved::Ignore => {}
        }
    }
}

/// Who refers to the symbols that are marked.
fn references(
    resolution: &Resolution,
    live: &Live,
    marked: &[bool],
) -> HashMap<SymbolId, References> {
    let mut all: HashMap<SymbolId, References> = HashMap::default();
    let by_object: Vec<Vec<(SymbolId, References)>> = resolution
        .objects
        .par_iter()
        .enumerate()
        .map(|(index, linked)| {
            let is_marked =
                |reference: &SymbolRef| reference.symbol().is_some_and(|id| marked[id.index()]);
            if !linked.refs.iter().any(is_marked) {
                return Vec::new();
            }
            let id = ObjectId(index as u32);
            let object = &linked.object;
            let mut found: Vec<(SymbolId, References)> = Vec::new();
            let mut visit = |place: Place, symbols: &mut dyn Iterator<Item = SymbolIndex>| {
                for symbol in symbols {
                    let symbol = Some(linked.symbol_ref(symbol)).filter(is_marked);
                    let Some(symbol) = symbol.and_then(|id| id.symbol()) else {
                        continue;
                    };
                    match found.iter_mut().find(|(known, _)| *known == symbol) {
                        Some((_, references)) => references.count += 1,
                        None => found.push((
                            symbol,
                            References {
                                first: (id, place),
                                count: 1,
                            },
                        )),
                    }
                }
            };
            for (index, function) in object.functions.iter().enumerate() {
                if live.functions.get(id, index) {
                    let place = Place::Function(index as u32);
                    let relocs = object.function_relocs(function).iter();
                    visit(place, &mut relocs.filter_map(Reloc::symbol));
                }
            }
            for index in 0..object.segments.len() {
                if live.segments.get(id, index) {
                    let segment = SegmentIndex(index as u32);
                    let relocs = object.segment_relocs(segment).iter();
                    let place = Place::Segment(segment.0);
                    visit(place, &mut relocs.filter_map(Reloc::symbol));
                }
            }
            if live.objects[id.index()] {
                visit(Place::InitFunctions, &mut init_symbols(linked));
            }
            found
        })
        .collect();
    for (id, references) in by_object.into_iter().flatten() {
        all.entry(id)
            .and_modify(|known| known.count += references.count)
            .or_insert(references);
    }
    all
}

fn describe(
    resolution: &Resolution,
    id: SymbolId,
    references: &References,
    options: &LinkOptions,
) -> Error {
    let name = resolution.name(id);
    let (object, place) = references.first;
    let object = &resolution.object(object).object;
    let place = match place {
        Place::InitFunctions => "init functions".to_owned(),
        Place::Function(function) => match object.function_name(function as usize) {
            Some(name) => shown(name, options.demangle),
            None => format!("function {function}"),
        },
        Place::Segment(segment) => {
            format!(
                "data {}",
                object.str(object.segments[segment as usize].name)
            )
        }
    };
    let others = match references.count {
        1 => String::new(),
        2 => " and in one other place".to_owned(),
        count => format!(" and in {} other places", count - 1),
    };
    let text = format!(
        "undefined symbol, needed by `{place}` in {}{others}",
        object.display_name()
    );
    let error = Error::bad_input(text).with_symbol(shown(name, options.demangle));
    match near_miss(resolution, name, options) {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

/// What might have been meant.
fn near_miss(resolution: &Resolution, name: &str, options: &LinkOptions) -> Option<String> {
    let table = &resolution.table;
    let known = || {
        table.order().iter().filter_map(|id| {
            let symbol = table.get(*id);
            (!symbol.is_undefined()).then(|| resolution.names.text(symbol.name))
        })
    };
    // The same name in C and in C++.
    let mangled = format!("_Z{}{name}", name.len());
    if let Some(other) = known().find(|other| other.starts_with(&mangled)) {
        let other = shown(other, true);
        return Some(format!(
            "`{other}` is defined: declare it as extern \"C\" there"
        ));
    }
    let plain = demangle(name);
    let plain = plain.as_deref().map(|name| name.split(['(', '<']).next());
    if let Some(Some(plain)) = plain
        && known().any(|other| other == plain)
    {
        return Some(format!(
            "`{plain}` is defined in C: declare it as extern \"C\" here"
        ));
    }
    if options.wrap.iter().any(|wrapped| wrapped == name) {
        return Some(format!(
            "`__real_{name}` alone links no library's member: if one defines `{name}`, pass --undefined={name}"
        ));
    }
    let near = spelling::nearest(name, known())?;
    let id = resolution.find(near)?;
    let place = match table.get(id).object {
        Some(object) => format!(
            ", which {} defines",
            resolution.object(object).object.display_name()
        ),
        None => String::new(),
    };
    Some(format!(
        "did you mean `{}`{place}?",
        shown(near, options.demangle)
    ))
}
