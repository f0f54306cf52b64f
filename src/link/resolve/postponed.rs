//! Mentions of symbols that no file has to be linked for, whatever they say: what they mean is found by all threads at
//! once, each for symbols of its own. What concerns more than one symbol, or has to be told, is left for one thread; so the
//! result does not depend on how many there are.

use rayon::prelude::*;

use super::*;
use crate::link::symbols::Part;
use crate::parallel;

/// Mentions below this number are seen to by one thread.
const WORTH_SHARING: usize = 1 << 14;

/// A symbol of an object: in which run it is, and its number.
type Place = (u32, SymbolIndex);

impl Resolver<'_> {
    /// Finds what those mentions mean that were postponed.
    pub(super) fn see_to_postponed(&mut self) {
        let runs = std::mem::take(&mut self.postponed);
        let count: usize = runs.iter().map(|run| run.symbols.len()).sum();
        let threads = match count < WORTH_SHARING {
            true => 1,
            false => rayon::current_num_threads(),
        };
        let parts = self.table.in_parts(threads.next_power_of_two());
        let (units, env) = (&self.units.units[..], self.env);
        let see = |part| see_to_part(&runs, units, env, part);
        let mut left: Vec<Place> = match count < WORTH_SHARING {
            true => parts.into_iter().flat_map(see).collect(),
            false => parallel::evenly(count.div_ceil(WORTH_SHARING), || {
                parts.into_par_iter().flat_map_iter(see).collect()
            }),
        };
        self.table.end_numbering();
        left.sort_unstable();
        for (run, index) in left {
            let unit = runs[run as usize].unit;
            let object = self.units.units[unit.index()].object.clone();
            self.table.now = mention::time(run as usize, index.0 + 1);
            // No library has it, or it is defined: nothing has to be linked for it.
            let (symbol, _) = self.add_symbol(unit, &object, index);
            self.units.units[unit.index()].refs[index.index()] = symbol;
        }
    }
}

/// Goes through all mentions of the symbols in a part, in their order. Returns those that are not plain, and all that come
/// after them of the same symbols.
fn see_to_part(
    runs: &[Run],
    units: &[LinkedObject],
    env: NameId,
    mut part: Part<'_>,
) -> Vec<Place> {
    let mut left = Vec::new();
    let mut are_left: HashSet<SymbolId> = HashSet::default();
    for (number, run) in runs.iter().enumerate() {
        let linked = &units[run.unit.index()];
        for index in run.symbols.clone() {
            let index = SymbolIndex(index);
            let Some(id) = linked.refs[index.index()].symbol() else {
                continue;
            };
            let Some(symbol) = part.get_mut(id) else {
                continue;
            };
            let is_plain = match Mention::of(linked, run.unit, index) {
                _ if !are_left.is_empty() && are_left.contains(&id) => false,
                Mention::Own => true,
                Mention::Definition(new, definition) => symbol.define_plainly(&new, definition),
                Mention::Reference { new, called } => {
                    let import = plain_import(&linked.object, index, env);
                    import.is_some_and(|import| symbol.refer_plainly(&new, import, called))
                }
            };
            if !is_plain {
                are_left.insert(id);
                left.push((number as u32, index));
            }
        }
    }
    left
}
