//! What an object says of one of its symbols to others, as its tables have it, and the order in which such mentions come. It
//! must not know what a symbol means in the program.

use std::ops::Range;

use crate::link::resolve::units::{LinkedObject, symbol_type};
use crate::link::symbols::names::NameId;
use crate::link::symbols::{Definition, ImportAs, Incoming, ObjectId};
use crate::object::ids::SymbolIndex;
use crate::object::{Object, SegmentFlags, Symbol, SymbolFlags, SymbolKind};

/// What an object says of a symbol.
pub(super) enum Mention {
    /// Nothing: it is its own.
    Own,
    /// It defines it.
    Definition(Incoming, Definition),
    /// It refers to it; `called` says that it calls the function.
    Reference { new: Incoming, called: bool },
}

impl Mention {
    /// What an object says of a symbol.
    #[inline]
    pub(super) fn of(linked: &LinkedObject, unit: ObjectId, index: SymbolIndex) -> Mention {
        let object = &*linked.object;
        let symbol = &object.symbols[index.index()];
        if symbol.kind == SymbolKind::Section {
            return Mention::Own;
        }
        let mut new = Incoming {
            name: linked.names[index.index()],
            kind: symbol.kind,
            flags: symbol.flags,
            ty: symbol_type(object, &linked.signatures, symbol),
            object: Some(unit),
        };
        if !symbol.is_undefined() {
            if symbol.is_local() {
                return Mention::Own;
            }
            if !linked.is_discarded(symbol) {
                if let Some(segment) = symbol.segment()
                    && object.segments[segment.index()]
                        .flags
                        .has(SegmentFlags::TLS)
                {
                    new.flags = new.flags.with(SymbolFlags::TLS);
                }
                let definition = Definition::Object {
                    object: unit,
                    symbol: index,
                };
                return Mention::Definition(new, definition);
            }
        }
        new.flags = new.flags.with(SymbolFlags::UNDEFINED);
        let called = symbol.called_directly;
        Mention::Reference { new, called }
    }
}

/// Whether a symbol is one that only its own object can refer to, and that nothing defines.
#[inline]
pub(super) fn is_undefined_local(symbol: &Symbol) -> bool {
    symbol.is_local() && symbol.is_undefined() && symbol.kind != SymbolKind::Section
}

/// How an object wants a symbol to be imported, if that takes no name which might be new.
#[inline]
pub(super) fn plain_import(object: &Object, index: SymbolIndex, env: NameId) -> Option<ImportAs> {
    let symbol = &object.symbols[index.index()];
    if !symbol.is_undefined() || symbol.kind == SymbolKind::Data {
        return Some(ImportAs::UNSAID);
    }
    let Some(import) = object.import_of(index) else {
        return Some(ImportAs::UNSAID);
    };
    let is_plain = import.is_from_env && !symbol.flags.has(SymbolFlags::EXPLICIT_NAME);
    is_plain.then_some(ImportAs {
        module: env,
        name: NameId::NONE,
    })
}

/// Some symbols of an object, one after the other.
#[derive(Debug, Clone)]
pub(super) struct Run {
    pub(super) unit: ObjectId,
    pub(super) symbols: Range<u32>,
}

impl Run {
    /// None yet, from a symbol on.
    pub(super) fn starting(unit: ObjectId, at: usize) -> Run {
        let at = at as u32;
        Run {
            unit,
            symbols: at..at,
        }
    }

    /// Adds those before a symbol to `runs`, and starts behind it.
    pub(super) fn end_at(&mut self, at: usize, runs: &mut Vec<Run>) {
        self.symbols.end = at as u32;
        if !self.symbols.is_empty() {
            runs.push(self.clone());
        }
        *self = Run::starting(self.unit, at + 1);
    }
}

/// When a mention comes, in the order of all: behind so many runs, and behind so many symbols of the next.
pub(super) fn time(runs: usize, symbols: u32) -> u64 {
    (runs as u64) << 32 | u64::from(symbols)
}
