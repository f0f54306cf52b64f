//! The exports after the next commit. Behind those that the user asked for stand the ones that a delta reaches a running
//! instance by, where there are deltas.

use hashbrown::HashMap;

use crate::error::{Error, Result};
use crate::program::declaration::{DeclKind, Declaration, Pending};
use crate::program::exports::{Export, ExportEdit};
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

    /// The exports that the user asked for, as of the last commit.
    pub(crate) fn said_exports(&self) -> &[Export] {
        let said = match self.live_slots {
            None => self.exports.len(),
            Some(_) => self
                .exports
                .partition_point(|export| !is_live_name(&export.name)),
        };
        &self.exports[..said]
    }

    /// The exports after the next commit, if they change.
    pub(super) fn next_exports(&self) -> Result<Option<Vec<Export>>> {
        let said = self.next_said_exports()?;
        if self.live_slots.is_none() {
            return Ok(said);
        }
        let comes_or_goes = |id: &DeclId| {
            let decl = self.decl(*id);
            letter(decl.kind).is_some() && decl.current().is_some() != decl.next().is_some()
        };
        if said.is_none() && !self.exports.is_empty() && !self.dirty.iter().any(comes_or_goes) {
            return Ok(None);
        }
        let mut exports = said.unwrap_or_else(|| self.said_exports().to_vec());
        if let Some(export) = exports.iter().find(|export| is_live_name(&export.name)) {
            let message = format!("the name \"{}\" is wasmend's own", export.name);
            return Err(Error::bad_edit(message));
        }
        let mut own: Vec<(u32, Export)> = self.live_exports().collect();
        own.sort_unstable_by_key(|(serial, _)| *serial);
        exports.extend(own.into_iter().map(|(_, export)| export));
        Ok(Some(exports))
    }

    /// What is exported to deltas, each with its serial number.
    fn live_exports(&self) -> impl Iterator<Item = (u32, Export)> {
        let ids = (0u32..).map(DeclId).zip(&self.kinds);
        let ids = ids.filter(|(_, kind)| kind.is_some_and(|kind| letter(kind).is_some()));
        ids.filter_map(|(id, _)| {
            let decl = self.get(id).filter(|decl| decl.next().is_some())?;
            let name = self.live_name(id)?.into();
            Some((decl.serial, Export { name, decl: id }))
        })
    }

    fn next_said_exports(&self) -> Result<Option<Vec<Export>>> {
        let removed = |id: DeclId| {
            self.get(id)
                .is_none_or(|decl| matches!(decl.pending(), Pending::Remove))
        };
        let removes = self
            .dirty
            .iter()
            .any(|id| matches!(self.decl(*id).pending(), Pending::Remove));
        let current = self.said_exports();
        if let Some(exports) = self.pending_exports() {
            self.check_exports(exports)?;
            return Ok(Some(exports.to_vec()));
        }
        if self.pending.exports.is_empty() {
            if removes && let Some(export) = current.iter().find(|export| removed(export.decl)) {
                return Err(self.exported(export));
            }
            return Ok(None);
        }
        let mut exports: Vec<Option<Export>> = current.iter().cloned().map(Some).collect();
        let mut by_name: HashMap<Box<str>, usize> = HashMap::with_capacity(exports.len());
        for (index, export) in current.iter().enumerate() {
            by_name.insert(export.name.clone(), index);
        }
        for edit in &self.pending.exports {
            match edit {
                ExportEdit::Add(export) => {
                    let known = by_name
                        .get(&export.name)
                        .and_then(|at| exports[*at].as_ref());
                    if known == Some(export) {
                        continue;
                    }
                    if by_name.insert(export.name.clone(), exports.len()).is_some() {
                        return Err(Error::bad_edit(format!(
                            "the name \"{}\" is exported twice",
                            export.name
                        )));
                    }
                    exports.push(Some(export.clone()));
                }
                ExportEdit::Remove(name) => {
                    let Some(index) = by_name.remove(name) else {
                        return Err(Error::bad_edit(format!(
                            "nothing is exported as \"{name}\""
                        )));
                    };
                    exports[index] = None;
                }
            }
        }
        let exports: Vec<Export> = exports.into_iter().flatten().collect();
        self.check_exports(&exports)?;
        Ok(Some(exports))
    }

    fn check_exports(&self, exports: &[Export]) -> Result<()> {
        if exports.len() > MOST_EXPORTS {
            return Err(Error::limit(format!(
                "the output would have {} exports; engines take {MOST_EXPORTS}",
                exports.len()
            )));
        }
        for export in exports {
            let decl = self.get(export.decl);
            if decl.is_none_or(|decl| matches!(decl.pending(), Pending::Remove)) {
                return Err(self.exported(export));
            }
            self.live(export.decl)
                .map_err(|error| error.with_hint("only what is defined can be exported"))?;
        }
        Ok(())
    }

    #[cold]
    fn exported(&self, export: &Export) -> Error {
        let label = self.get(export.decl).map_or("(gone)", Declaration::label);
        Error::bad_edit(format!(
            "cannot be removed: it is exported as \"{}\"",
            export.name
        ))
        .with_symbol(label.to_owned())
        .with_hint("remove the export in the same commit")
    }
}
