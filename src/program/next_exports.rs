//! What the next commit makes of the exports. Behind those that the user asked for come the ones that a delta reaches a
//! running instance by, where there are deltas.

use crate::error::{Error, Result};
use crate::hash::{HashMap, HashSet};
use crate::parallel::select;
use crate::program::declaration::{DeclKind, Declaration, Pending};
use crate::program::exports::{Export, ExportChanges, ExportEdit, ExportId, ExportTable};
use crate::program::ids::DeclId;
use crate::program::store::Program;

/// The most exports that engines take.
const MOST_EXPORTS: usize = 1_000_000;

/// The name under which the table of slots is exported to deltas.
const SLOT_TABLE_NAME: &str = "__wasmend_table";
/// What the other names begin with. A letter for the kind and the serial number of the declaration follow.
const LIVE_PREFIX: &str = "__wasmend_";

/// Whether an export is one that deltas reach an instance by.
pub(crate) fn is_live_name(name: &str) -> bool {
    if name == SLOT_TABLE_NAME {
        return true;
    }
    let rest = name.strip_prefix(LIVE_PREFIX).map(str::as_bytes);
    matches!(rest, Some([b'g' | b'm' | b't' | b'x', serial @ ..])
        if !serial.is_empty() && serial.iter().all(u8::is_ascii_digit))
}

/// The letter that stands for a kind in such a name; what has none is not exported to deltas.
fn letter(kind: DeclKind) -> Option<char> {
    match kind {
        DeclKind::Global => Some('g'),
        DeclKind::Memory => Some('m'),
        DeclKind::Table => Some('t'),
        DeclKind::Tag => Some('x'),
        _ => None,
    }
}

impl Program {
    /// The name under which deltas find something in an instance: that of its export.
    pub(crate) fn live_name(&self, id: DeclId) -> Option<String> {
        let decl = self.get(id)?;
        match self.live_slots {
            Some(table) if table == id => Some(SLOT_TABLE_NAME.to_owned()),
            _ => letter(decl.kind).map(|letter| format!("{LIVE_PREFIX}{letter}{}", decl.serial)),
        }
    }

    /// Lets instances take deltas: what these need of an instance is exported. `slots` is the table of slots.
    pub(crate) fn go_live(&mut self, slots: DeclId) {
        self.live_slots = Some(slots);
    }

    /// Whether an export is one that the user asked for.
    pub(crate) fn is_said(&self, export: &Export) -> bool {
        self.live_slots.is_none() || !is_live_name(&export.name)
    }

    /// The exports that the user asked for, as of the last commit.
    pub(crate) fn said_exports(&self) -> impl Iterator<Item = (ExportId, &Export)> {
        let exports = self.exports.iter();
        exports.filter(|(_, export)| self.is_said(export))
    }

    /// Those of a declaration.
    pub(crate) fn said_exports_of(&self, id: DeclId) -> impl Iterator<Item = &Export> {
        let exports = self.exports.of(id).iter();
        let exports = exports.filter_map(|id| self.exports.get(*id));
        exports.filter(|export| self.is_said(export))
    }

    /// What the next commit makes of the exports, if anything. Adds what is wrong with them.
    pub(super) fn next_exports(&self, wrong: &mut Vec<Error>) -> Option<ExportChanges> {
        let live = self.live_changes();
        let mut draft = Draft::of(&self.exports);
        match self.pending_exports() {
            Some(all) => {
                let kept: HashSet<&str> = all.iter().map(|export| &*export.name).collect();
                for (_, export) in self.said_exports() {
                    if !kept.contains(&*export.name) {
                        draft.set(&export.name, None);
                    }
                }
                for export in all {
                    draft.set(&export.name, Some(export.decl));
                }
            }
            None => {
                for edit in &self.pending.exports {
                    wrong.extend(draft.edit(edit).err());
                }
            }
        }
        self.check_exports(&draft, wrong);
        for (name, id) in &live {
            draft.set(name, *id);
        }
        if draft.names.is_empty() && self.pending_exports().is_none() {
            return None;
        }
        draft.changes(self.pending_exports(), |export| self.is_said(export))
    }

    /// What becomes of the exports that deltas reach an instance by: each name, and what it names.
    fn live_changes(&self) -> Vec<(String, Option<DeclId>)> {
        if self.live_slots.is_none() {
            return Vec::new();
        }
        let named = |id: DeclId| {
            let decl = self.get(id)?;
            letter(decl.kind)?;
            let is_there = decl.next().is_some().then_some(id);
            Some((decl.serial, self.live_name(id)?, is_there))
        };
        let mut changes: Vec<_> = match self.exports.len() {
            // What is there from the beginning has never been edited.
            0 => self.iter().filter_map(|(id, _)| named(id)).collect(),
            _ => {
                let comes_or_goes = |id: &DeclId| {
                    let decl = self.decl(*id);
                    decl.current().is_some() != decl.next().is_some()
                };
                let dirty = self.dirty.iter().copied();
                dirty.filter(comes_or_goes).filter_map(named).collect()
            }
        };
        changes.sort_unstable_by_key(|(serial, ..)| *serial);
        let changes = changes.into_iter();
        changes.map(|(_, name, decl)| (name, decl)).collect()
    }

    /// What is exported must be there, and what goes must not be exported.
    fn check_exports(&self, draft: &Draft<'_>, wrong: &mut Vec<Error>) {
        let said = draft.names.iter();
        let said = said.filter_map(|(name, decl)| Some((*name, (*decl)?)));
        let is_own = |name: &str| self.live_slots.is_some() && is_live_name(name);
        let own = said.clone().filter(|(name, _)| is_own(name));
        wrong.extend(
            own.map(|(name, _)| Error::bad_edit(format!("the name \"{name}\" is wasmend's own"))),
        );
        let count = draft.count();
        if count > MOST_EXPORTS {
            wrong.push(Error::limit(format!(
                "the output would have {count} exports; engines take {MOST_EXPORTS}"
            )));
        }
        for (name, id) in said {
            let decl = self.get(id);
            if decl.is_none_or(|decl| matches!(decl.pending(), Pending::Remove)) {
                wrong.push(self.exported(name, id));
                continue;
            }
            let is_there = self.live(id);
            let is_there =
                is_there.map_err(|error| error.with_hint("only what is defined can be exported"));
            wrong.extend(is_there.err());
        }
        let goes = |id: DeclId| matches!(self.decl(id).pending(), Pending::Remove);
        for id in select(&self.dirty, goes) {
            let stays = |name: &str| draft.decl(name) == Some(id) && !draft.speaks_of(name);
            let exports = self.said_exports_of(id);
            let exports = exports.filter(|export| stays(&export.name));
            wrong.extend(exports.map(|export| self.exported(&export.name, id)));
        }
    }

    #[cold]
    fn exported(&self, name: &str, id: DeclId) -> Error {
        let label = self.get(id).map_or("(gone)", Declaration::label);
        Error::bad_edit(format!("cannot be removed: it is exported as \"{name}\""))
            .with_symbol(label.to_owned())
            .with_hint("remove the export in the same commit")
    }
}

/// The exports that edits speak of, and what they make of them.
struct Draft<'a> {
    table: &'a ExportTable,
    /// Each name once, in the order in which they were first spoken of, and what it names now.
    names: Vec<(&'a str, Option<DeclId>)>,
    places: HashMap<&'a str, usize, foldhash::fast::FixedState>,
}

impl<'a> Draft<'a> {
    fn of(table: &'a ExportTable) -> Self {
        Draft {
            table,
            names: Vec::new(),
            places: HashMap::default(),
        }
    }

    /// What a name names as of the last commit.
    fn before(&self, name: &str) -> Option<DeclId> {
        let id = self.table.find(name)?;
        self.table.get(id).map(|export| export.decl)
    }

    /// Whether an edit speaks of a name.
    fn speaks_of(&self, name: &str) -> bool {
        self.places.contains_key(name)
    }

    /// What a name names.
    fn decl(&self, name: &str) -> Option<DeclId> {
        match self.places.get(name) {
            Some(at) => self.names[*at].1,
            None => self.before(name),
        }
    }

    fn set(&mut self, name: &'a str, decl: Option<DeclId>) {
        match self.places.get(name) {
            Some(at) => self.names[*at].1 = decl,
            None => {
                self.places.insert(name, self.names.len());
                self.names.push((name, decl));
            }
        }
    }

    fn edit(&mut self, edit: &'a ExportEdit) -> Result<()> {
        let (name, decl) = match edit {
            ExportEdit::Add(export) => (&export.name, Some(export.decl)),
            ExportEdit::Remove(name) => (name, None),
        };
        let before = self.decl(name);
        if before.is_some() && decl.is_some() && before != decl {
            let message = format!("the name \"{name}\" is exported twice");
            return Err(Error::bad_edit(message));
        }
        if before.is_none() && decl.is_none() {
            return Err(Error::bad_edit(format!(
                "nothing is exported as \"{name}\""
            )));
        }
        if before != decl {
            self.set(name, decl);
        }
        Ok(())
    }

    /// How many exports there are.
    fn count(&self) -> usize {
        let (mut new, mut gone) = (0, 0);
        for (name, decl) in &self.names {
            match (self.before(name), decl) {
                (None, Some(_)) => new += 1,
                (Some(_), None) => gone += 1,
                _ => {}
            }
        }
        self.table.len() + new - gone
    }

    /// What a commit makes of all this, with `all` in their order, if that is set.
    fn changes(
        self,
        all: Option<&[Export]>,
        is_said: impl Fn(&Export) -> bool,
    ) -> Option<ExportChanges> {
        let (mut slots, mut gone, mut new) = (Vec::new(), Vec::new(), Vec::new());
        for (name, decl) in &self.names {
            let before = self.table.find(name);
            let export = decl.map(|decl| Export {
                name: (*name).into(),
                decl,
            });
            match (before, export) {
                (None, None) => {}
                (None, Some(export)) => new.push(export),
                (Some(id), None) => gone.push(id),
                (Some(id), export) => {
                    if self.table.get(id) != export.as_ref() {
                        slots.push((id, export));
                    }
                }
            }
        }
        let is_ordered = all.is_some() || self.table.order().is_some();
        // Where an order is kept, what is new seldom stands where something went.
        let reused: &[ExportId] = if is_ordered { &[] } else { &gone };
        let new: Vec<(ExportId, Export)> = self.table.spare(reused).zip(new).collect();
        let left = gone.iter().skip(if is_ordered { 0 } else { new.len() });
        slots.extend(left.map(|id| (*id, None)));
        let order = is_ordered.then(|| self.order(all, &gone, &new, is_said));
        let order = order.filter(|order| self.table.order() != Some(order));
        slots.extend(new.into_iter().map(|(id, export)| (id, Some(export))));
        (!slots.is_empty() || order.is_some()).then(|| ExportChanges::new(slots, order))
    }

    /// The order in which they stand: `all`, if it is set, and behind these what deltas need; what is new comes last.
    fn order(
        &self,
        all: Option<&[Export]>,
        gone: &[ExportId],
        new: &[(ExportId, Export)],
        is_said: impl Fn(&Export) -> bool,
    ) -> Vec<ExportId> {
        let gone: HashSet<ExportId> = gone.iter().copied().collect();
        let stay = self.table.iter().filter(|(id, _)| !gone.contains(id));
        let news = new.iter().map(|(id, export)| (*id, export));
        let ids = |(id, _)| id;
        let Some(all) = all else {
            return stay.chain(news).map(ids).collect();
        };
        let new_ids: HashMap<&str, ExportId> = news
            .clone()
            .map(|(id, export)| (&*export.name, id))
            .collect();
        let id_of = |export: &Export| {
            let new = new_ids.get(&*export.name).copied();
            new.or_else(|| self.table.find(&export.name))
        };
        let said = all.iter().filter_map(id_of);
        let unsaid = stay.chain(news).filter(|(_, export)| !is_said(export));
        said.chain(unsaid.map(ids)).collect()
    }
}
