//! Pieces of custom sections of objects whose tables are the same: those that differ are defined anew, at the cost of what
//! differs in them.

use crate::link::declare::{PlacedByObject, kept_customs};
use crate::link::update::fallback::UpdateResult;
use crate::link::update::{Change, Update};
use crate::program::{DeclKind, Definition, DefinitionKind};

impl Update<'_> {
    /// Defines the pieces that differ of an object whose tables are the same, and of which the same is linked. Says whether that
    /// was all there was to do.
    pub(super) fn define_changed_customs(&mut self, change: &Change) -> UpdateResult<bool> {
        let Some(contents) = &change.contents else {
            return Ok(false);
        };
        // What is linked now and was not may be named where nothing could be.
        if !self.added.is_empty() {
            return Ok(false);
        }
        let (id, before) = (change.id, self.object_before(change.id));
        let Some(before) = before else {
            return Ok(false);
        };
        let linked = self.resolution().object(id);
        let is_live = linked.is_live || self.unit(id).is_live();
        let kept = kept_customs(linked, is_live, &self.link.options);
        let changed = kept.filter(|(index, _)| contents.customs.contains(index));
        let changed: Vec<usize> = changed.map(|(index, _)| index).collect();
        let unit = self.unit(id);
        let pieces = changed
            .into_iter()
            .map(|index| Some((index, unit.customs[index]?)));
        let Some(pieces) = pieces.collect::<Option<Vec<_>>>() else {
            return Ok(false);
        };
        for (index, decl) in pieces {
            let program = self.link.module.program_mut();
            let Some((section, fields)) = program.share_fields(decl) else {
                return Ok(false);
            };
            let strings = PlacedByObject::default();
            let converter = self.link.converter(&strings);
            let content = converter.custom_after(id, index, &before, &fields)?;
            let Some(content) = content else {
                return Ok(false);
            };
            let shape = DefinitionKind::Custom { section };
            let program = self.link.module.program_mut();
            program.define(decl, DeclKind::Custom, Definition { content, shape })?;
        }
        Ok(true)
    }
}
