//! Where exports stand. What they name is no concern of their entries' places.

use crate::patch::plan::place::Placing;
use crate::program::{Export, ExportId};

impl Placing<'_> {
    /// Gives exports that come or have another name a place, and closes that of those which go.
    pub(super) fn place_exports(&mut self) {
        let exports = self.context.exports;
        let Some(changes) = exports.changes() else {
            return;
        };
        let name_len = |export: &Export| export.name.len() as u32;
        let space = &mut self.layout.exports;
        if let Some(order) = changes.order() {
            let named = |id: &ExportId| exports.get(*id).map(|export| (*id, name_len(export)));
            let order: Vec<(ExportId, u32)> = order.iter().filter_map(named).collect();
            space.become_order(&order);
        } else {
            let gone = changes.slots().iter().filter(|(_, next)| next.is_none());
            gone.for_each(|(id, _)| space.remove(*id));
            for (id, next) in changes.slots() {
                match next {
                    Some(next) if space.entry(*id).is_some() => space.rename(*id, name_len(next)),
                    Some(next) => space.append(*id, name_len(next)),
                    None => {}
                }
            }
        }
        let writes = &mut self.writes.exports;
        for (id, next) in changes.slots() {
            let Some(next) = next else { continue };
            let before = exports.before(*id);
            writes.insert(*id, before.is_none_or(|before| before.name != next.name));
        }
        writes.extend(self.layout.exports.touched().map(|id| (id, true)));
    }
}
