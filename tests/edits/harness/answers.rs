//! What a module says of its declarations: held against the program, against the published file, against what it said
//! before, and, in words, against what other modules say.

use std::collections::{BTreeSet, HashMap};

use wasmend as w;
use wasmend::{Declaration, PendingEdit};

use super::drive::{Driver, kind};
use super::entries::{Same, equal, resolve, role};
use super::equal::{Pairs, Space, masked};
use super::model::{Def, Ent, Entity, Kind, Model, Program, Ty, signature};
use super::rival::Indices;
use super::walk::{Code, File};

/// A published file, and which of its indices are those of the rival's file.
pub struct Published<'a> {
    pub file: &'a File<'a>,
    pub at: &'a Indices,
    pub pairs: &'a Pairs,
}

/// A signature in wasmend's words.
fn describe(def: &Def) -> Option<String> {
    let (params, results) = signature(def.sig()?);
    let side = |types: &[Ty]| {
        let words = types.iter().map(|ty| format!("{ty:?}").to_lowercase());
        words.collect::<Vec<_>>().join(", ")
    };
    let results = match def.kind() {
        Kind::Tag => &[],
        _ => results,
    };
    Some(format!("({}) -> ({})", side(params), side(results)))
}

/// What a declaration is, without what it refers to: holds between commits too.
fn nature(decl: &Declaration<'_>, thing: &Entity) -> Same {
    let key = thing.has_key().then(|| thing.name.to_string());
    let def = thing.bound.as_ref().map(|bound| &*bound.def);
    equal("kind", decl.kind(), kind(thing.name.0))?;
    equal("key", decl.key(), key.as_deref())?;
    equal("name", decl.name(), key.as_deref())?;
    equal("whether it is defined", decl.is_defined(), def.is_some())?;
    let is_import = def.is_some_and(Def::is_import);
    equal("whether it is imported", decl.is_import(), is_import)?;
    equal("signature", decl.signature(), def.and_then(describe))?;
    equal("owner", decl.owner().is_some(), thing.owner.is_some())?;
    let len = decl.len();
    equal("whether it is empty", decl.is_empty(), len == 0)?;
    match def {
        None => equal("length", len, 0),
        Some(Def::Data(blob)) => equal("length", len, blob.size().into()),
        Some(_) => equal("whether it is empty", decl.is_empty(), false),
    }
}

/// Asks of all that is pending.
pub fn while_pending(module: &w::Module, driver: &Driver, model: &Model) -> Same {
    let about = |ent: Ent, thing: &Entity| {
        let decl = module.declaration(driver.id(ent));
        let decl = decl.map_err(|error| error.to_string())?;
        nature(&decl, thing)?;
        // Other edits can come to the same bytes.
        match decl.pending() {
            PendingEdit::None => Ok(()),
            PendingEdit::Define if model.dirty.contains(&ent) => Ok(()),
            other => Err(format!("is pending: {other:?}")),
        }
    };
    for (ent, thing) in &model.pending.things {
        about(*ent, thing).map_err(|error| format!("{}, pending: {error}", thing.name))?;
    }
    for (ent, thing) in &model.committed.things {
        if model.pending.things.contains_key(ent) {
            continue;
        }
        let removed = module.declaration(driver.id(*ent));
        let removed = removed.map_err(|error| format!("{} was removed: {error}", thing.name))?;
        equal("what was removed", removed.pending(), PendingEdit::Remove)?;
    }
    Ok(())
}

/// Asks of all that is committed, and looks in the file whether it is so.
pub fn against_file(driver: &Driver, program: &Program, published: &Published<'_>) -> Same {
    let module = &driver.module;
    for (ent, thing) in &program.things {
        let decl = module.declaration(driver.id(*ent));
        let decl = decl.map_err(|error| error.to_string())?;
        let said = nature(&decl, thing).and_then(|()| published.holds(&decl, *ent, program));
        said.map_err(|error| format!("{}, as {decl:?}: {error}", thing.name))?;
    }
    let all: BTreeSet<w::DeclId> = module.iter().map(|decl| decl.id()).collect();
    let known: BTreeSet<w::DeclId> = program.things.keys().map(|ent| driver.id(*ent)).collect();
    equal("declarations", all, known)?;
    disjoint(driver, program)
}

impl Published<'_> {
    /// Whether a declaration stands where it says.
    fn holds(&self, decl: &Declaration<'_>, ent: Ent, program: &Program) -> Same {
        equal("what is pending", decl.pending(), PendingEdit::None)?;
        let exported = program.exports.iter().filter(|(_, it)| *it == ent);
        let exported: BTreeSet<&str> = exported.map(|(name, _)| &**name).collect();
        equal("exports", decl.exports().collect(), exported)?;
        let Some(def) = program.def(ent) else {
            let places = (decl.index(), decl.slot(), decl.addresses());
            return equal("places of nothing", places, (None, None, None));
        };
        match def.kind() {
            Kind::Function => self.function(decl, ent),
            Kind::Global => self.index(decl, Space::Global, self.at.globals[&ent]),
            Kind::Table => self.index(decl, Space::Table, self.at.tables[&ent]),
            Kind::Tag => self.index(decl, Space::Tag, self.at.tags[&ent]),
            Kind::Memory => equal("index", decl.index(), Some(0)),
            Kind::Data => self.data(decl, ent, def),
            Kind::Piece => equal("places", (decl.index(), decl.slot()), (None, None)),
        }
    }

    fn index(&self, decl: &Declaration<'_>, space: Space, dense: u32) -> Same {
        // What nothing leads to cannot be found in the file.
        match self.pairs.indices.get(&(space, dense)) {
            Some(index) => equal("index", decl.index(), Some(*index)),
            None => equal("whether it has an index", decl.index().is_some(), true),
        }
    }

    fn function(&self, decl: &Declaration<'_>, ent: Ent) -> Same {
        let index = decl.index().ok_or("has no index")?;
        let body = resolve(self.file, index)?;
        let dense = self.at.functions[&ent];
        if let Some(found) = self.pairs.indices.get(&(Space::Function, dense)) {
            equal("body", body, *found)?;
        }
        let named = self.file.function_names.iter();
        let named = named.filter(|(index, _)| *index == body);
        for (_, name) in named {
            equal(
                "name in the file",
                decl.name(),
                Some(name.trim_end_matches(' ')),
            )?;
        }
        if let Code::Body(code) = &self.file.functions[body as usize].code {
            equal("role of the body", role(code.as_bytes()), None)?;
            equal("length", true, decl.len() <= code.as_bytes().len() as u64)?;
        }
        let entries = self.file.entries.iter();
        let entries = entries.filter(|(_, function)| resolve(self.file, **function) == Ok(body));
        let mut slots: Vec<u32> = entries.map(|((_, slot), _)| *slot).collect();
        slots.dedup();
        equal("slots", slots, decl.slot().into_iter().collect())
    }

    fn data(&self, decl: &Declaration<'_>, ent: Ent, def: &Def) -> Same {
        let at = decl.addresses().ok_or("has no addresses")?;
        let Def::Data(blob) = def else {
            return Err("is no data".into());
        };
        equal("size", at.end - at.start, blob.size().into())?;
        if let Some((_, address)) = self.pairs.data.get(&ent) {
            equal("address", at.start, u64::from(*address))?;
        }
        let there = masked(blob, &self.file.memory(at.start, blob.size()));
        let bytes = blob.bytes().unwrap_or(vec![0; blob.size() as usize]);
        equal("bytes", there, masked(blob, &bytes))
    }
}

/// All data has addresses of its own, and the end of data is behind it.
fn disjoint(driver: &Driver, program: &Program) -> Same {
    let read = |ent: &Ent| driver.module.declaration(driver.id(*ent)).ok();
    let all = program.things.keys().filter_map(read);
    let mut ranges: Vec<_> = all.filter_map(|decl| decl.addresses()).collect();
    ranges.sort_unstable_by_key(|range| (range.start, range.end));
    if let Some(pair) = ranges.windows(2).find(|pair| pair[1].start < pair[0].end) {
        return Err(format!("data overlaps: {pair:x?}"));
    }
    let memory = program.things.iter();
    let mut memory = memory.filter(|(_, thing)| thing.name.0 == Kind::Memory);
    let end = memory.find_map(|(ent, _)| read(ent)?.data_end());
    match ranges.last().is_none_or(|last| Some(last.end) <= end) {
        true => Ok(()),
        false => Err(format!("data ends at {end:x?}, not behind {ranges:x?}")),
    }
}

/// All that a module says of what a program consists of, in words that are the same for the same answers of another module:
/// whatever ids stand for. Without `places`, leaves out what depends on the history.
pub fn in_words(driver: &Driver, program: &Program, places: bool) -> Vec<String> {
    let things = program.things.keys();
    let things: HashMap<w::DeclId, Ent> = things.map(|ent| (driver.id(*ent), *ent)).collect();
    let named = |ids: &mut dyn Iterator<Item = w::DeclId>| -> BTreeSet<Option<Ent>> {
        ids.map(|id| things.get(&id).copied()).collect()
    };
    let words = |ent: &Ent| {
        let Ok(decl) = driver.module.declaration(driver.id(*ent)) else {
            return format!("{ent} is not there");
        };
        let (owners, parts) = (named(&mut decl.owners()), named(&mut decl.parts()));
        let known = decl
            .key()
            .map(|key| driver.module.lookup(key) == Some(decl.id()));
        let exports: BTreeSet<&str> = decl.exports().collect();
        let what = format!(
            "{ent}: {} {:?} {:?}, known {known:?}, defined {}, imported {}, {:?}, {:?}, {} bytes, of {owners:?}, \
             with {parts:?}, as {exports:?}",
            decl.kind(),
            decl.key(),
            decl.name(),
            decl.is_defined(),
            decl.is_import(),
            decl.pending(),
            decl.signature(),
            decl.len(),
        );
        match places {
            false => what,
            true => format!(
                "{what}, at {:?} {:?} {:?} {:?}",
                decl.index(),
                decl.slot(),
                decl.addresses(),
                decl.data_end()
            ),
        }
    };
    program.things.keys().map(words).collect()
}

/// That two modules say the same.
pub fn same(what: &str, ours: &[String], theirs: &[String]) -> Same {
    let differ = ours.iter().zip(theirs).find(|(a, b)| a != b);
    match differ {
        None => equal(what, ours.len(), theirs.len()),
        Some((a, b)) => Err(format!("{what}: {a}\n  against {b}")),
    }
}
