//! Names, each once. A name is hashed where it is read and from then on is a number.
//!
//! Names stay in the inputs they came from. The table is split by hash so that all names of a program can be put in at
//! once, on all cores; the numbers do not depend on how many cores there are.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use rayon::prelude::*;

use crate::hash::HashTable;
use crate::object::tables::hash_name;
use crate::object::{Input, Span};
use crate::parallel::{region, task};

const SHARD_BITS: u32 = 5;
const SHARDS: usize = 1 << SHARD_BITS;

/// Below this many names, putting them in one after the other is faster.
const WORTH_SPLITTING: usize = 4096;

/// A name of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NameId(u32);

impl NameId {
    /// No name at all, for tables that need a value.
    pub const NONE: NameId = NameId(u32::MAX);

    fn new(shard: usize, place: usize) -> NameId {
        NameId((place as u32) << SHARD_BITS | shard as u32)
    }

    fn shard(self) -> usize {
        self.0 as usize % SHARDS
    }

    fn place(self) -> usize {
        (self.0 >> SHARD_BITS) as usize
    }
}

/// An input that names are in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InputId(u32);

#[derive(Debug, Clone, Copy)]
struct Entry {
    hash: u64,
    input: InputId,
    span: Span,
}

#[derive(Debug, Default)]
struct Shard {
    table: HashTable<u32>,
    entries: Vec<Entry>,
}

/// All names of a program.
#[derive(Debug)]
pub struct Names {
    shards: Vec<Shard>,
    inputs: Vec<Arc<Input>>,
}

/// Names to be put in together: those of one object or archive.
pub trait NameSource: Sync {
    /// How many places for names there are.
    fn count(&self) -> usize;
    /// The name at a place, and its hash; `None` if that place has no name for others to see.
    fn name(&self, place: usize) -> Option<(Span, u64)>;
}

/// A name on its way into the table.
struct Item {
    source: u32,
    place: u32,
    span: Span,
    hash: u64,
}

impl Default for Names {
    fn default() -> Self {
        Names {
            shards: (0..SHARDS).map(|_| Shard::default()).collect(),
            inputs: Vec::new(),
        }
    }
}

fn shard_of(hash: u64) -> usize {
    // The table uses the other end of the hash.
    (hash >> 40) as usize % SHARDS
}

fn bytes_of(inputs: &[Arc<Input>], input: InputId, span: Span) -> &[u8] {
    inputs[input.0 as usize].part(span)
}

impl Shard {
    fn reserve(&mut self, count: usize) {
        let entries = &self.entries;
        self.table
            .reserve(count, |place| entries[*place as usize].hash);
        self.entries.reserve(count);
    }

    fn add(&mut self, inputs: &[Arc<Input>], input: InputId, span: Span, hash: u64) -> usize {
        let name = bytes_of(inputs, input, span);
        let entries = &mut self.entries;
        let is_same = |place: &u32| {
            let entry = &entries[*place as usize];
            entry.hash == hash && bytes_of(inputs, entry.input, entry.span) == name
        };
        if let Some(place) = self.table.find(hash, is_same) {
            return *place as usize;
        }
        let place = entries.len();
        entries.push(Entry { hash, input, span });
        self.table
            .insert_unique(hash, place as u32, |place| entries[*place as usize].hash);
        place
    }
}

impl Names {
    /// Makes an input known, so that names in it can be put in.
    pub fn add_input(&mut self, input: Arc<Input>) -> InputId {
        self.inputs.push(input);
        InputId(self.inputs.len() as u32 - 1)
    }

    /// Puts in a name that is a part of an input.
    pub fn add(&mut self, input: InputId, span: Span, hash: u64) -> NameId {
        let shard = shard_of(hash);
        let place = self.shards[shard].add(&self.inputs, input, span, hash);
        NameId::new(shard, place)
    }

    /// Puts in a name that stands nowhere yet.
    pub fn add_text(&mut self, text: &str) -> NameId {
        if let Some(name) = self.find(text) {
            return name;
        }
        let input = self.add_input(Input::from_bytes("<names>", text.as_bytes()));
        let span = Span {
            start: 0,
            len: text.len() as u32,
        };
        self.add(input, span, hash_name(text.as_bytes()))
    }

    /// A name that was put in.
    pub fn find(&self, text: &str) -> Option<NameId> {
        let hash = hash_name(text.as_bytes());
        let shard = shard_of(hash);
        let entries = &self.shards[shard].entries;
        let place = self.shards[shard].table.find(hash, |place| {
            let entry = &entries[*place as usize];
            entry.hash == hash && bytes_of(&self.inputs, entry.input, entry.span) == text.as_bytes()
        })?;
        Some(NameId::new(shard, *place as usize))
    }

    /// The name itself.
    pub fn text(&self, name: NameId) -> &str {
        let entry = self.shards[name.shard()].entries[name.place()];
        let bytes = bytes_of(&self.inputs, entry.input, entry.span);
        // Objects' names were checked; an archive's index may say anything.
        std::str::from_utf8(bytes).unwrap_or("(not UTF-8)")
    }

    /// How many names there are.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.entries.len()).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Every name, in no order that means anything.
    pub fn all(&self) -> impl Iterator<Item = NameId> {
        self.shards.iter().enumerate().flat_map(|(shard, names)| {
            (0..names.entries.len()).map(move |place| NameId::new(shard, place))
        })
    }

    /// Puts in all names of several sources; returns, for each source, the names by place.
    pub fn add_all(&mut self, sources: &[(InputId, &dyn NameSource)]) -> Vec<Vec<NameId>> {
        let total: usize = sources.iter().map(|(_, source)| source.count()).sum();
        if total < WORTH_SPLITTING {
            return sources
                .iter()
                .map(|(input, source)| {
                    (0..source.count())
                        .map(|place| match source.name(place) {
                            Some((span, hash)) => self.add(*input, span, hash),
                            None => NameId::NONE,
                        })
                        .collect()
                })
                .collect();
        }
        // The order of the names within a shard is that of the sources, however they are shared out.
        let chunk = sources.len().div_ceil(CHUNKS).max(1);
        let chunks = sources.par_chunks(chunk).enumerate();
        let split = |(index, sources): (usize, &[(InputId, &dyn NameSource)])| {
            task(|| by_shard(index * chunk, sources))
        };
        let buckets: Vec<Vec<Vec<Item>>> = region(|| chunks.map(split).collect());
        let nameless = |(_, source): &(InputId, &dyn NameSource)| {
            let count = source.count();
            (0..count).map(|_| AtomicU32::new(NameId::NONE.0)).collect()
        };
        let ids: Vec<Vec<AtomicU32>> = sources.iter().map(nameless).collect();
        let inputs = &self.inputs;
        let fill = |(number, shard): (usize, &mut Shard)| {
            let items = || buckets.iter().flat_map(|buckets| &buckets[number]);
            // Each name is seen a few times.
            let len: usize = buckets.iter().map(|buckets| buckets[number].len()).sum();
            shard.reserve(len / 3);
            for item in items() {
                let (input, _) = sources[item.source as usize];
                let place = shard.add(inputs, input, item.span, item.hash);
                let id = NameId::new(number, place);
                ids[item.source as usize][item.place as usize].store(id.0, Ordering::Relaxed);
            }
        };
        let shards = self.shards.par_iter_mut().enumerate();
        region(|| shards.for_each(|shard| task(|| fill(shard))));
        let ids = ids.into_iter();
        let named = |ids: Vec<AtomicU32>| ids.into_iter().map(|id| NameId(id.into_inner()));
        ids.map(|ids| named(ids).collect()).collect()
    }
}

/// Parts that sources are put in together in, at most.
const CHUNKS: usize = 64;

/// The names of some sources, of which the first has this number, by shard.
fn by_shard(first: usize, sources: &[(InputId, &dyn NameSource)]) -> Vec<Vec<Item>> {
    // Counted first: growing would cost more.
    let mut counts = [0; SHARDS];
    for (_, names) in sources {
        let places = 0..names.count();
        for (_, hash) in places.filter_map(|place| names.name(place)) {
            counts[shard_of(hash)] += 1;
        }
    }
    let mut buckets: Vec<Vec<Item>> = counts.into_iter().map(Vec::with_capacity).collect();
    for (number, (_, source)) in (first..).zip(sources) {
        for place in 0..source.count() {
            if let Some((span, hash)) = source.name(place) {
                buckets[shard_of(hash)].push(Item {
                    source: number as u32,
                    place: place as u32,
                    span,
                    hash,
                });
            }
        }
    }
    buckets
}

/// A value for each name.
#[derive(Debug, Clone)]
pub struct NameMap<T> {
    shards: Vec<Vec<T>>,
    default: T,
}

impl<T: Copy> NameMap<T> {
    /// `default` for every name.
    pub fn new(default: T) -> Self {
        NameMap {
            shards: vec![Vec::new(); SHARDS],
            default,
        }
    }

    /// `default` for every name, with room for those that there are.
    pub fn sized(names: &Names, default: T) -> Self {
        let shards = names.shards.iter();
        NameMap {
            shards: shards
                .map(|shard| vec![default; shard.entries.len()])
                .collect(),
            default,
        }
    }

    /// The value of a name.
    #[inline]
    pub fn get(&self, name: NameId) -> T {
        let values = &self.shards[name.shard()];
        values.get(name.place()).copied().unwrap_or(self.default)
    }

    /// Gives a name a value.
    #[inline]
    pub fn set(&mut self, name: NameId, value: T) {
        let values = &mut self.shards[name.shard()];
        if values.len() <= name.place() {
            values.resize((name.place() + 1).next_power_of_two(), self.default);
        }
        values[name.place()] = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    struct List(Vec<(Span, u64)>);

    impl NameSource for List {
        fn count(&self) -> usize {
            self.0.len()
        }

        fn name(&self, place: usize) -> Option<(Span, u64)> {
            (place % 7 != 3).then(|| self.0[place])
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        /// Equal names get equal numbers, others do not, and it does not matter how many are put in at once.
        #[test]
        fn numbers_are_names(words in prop::collection::vec("[ab]{0,3}", 1..20), repeat in 1usize..600) {
            let mut names = Names::default();
            let mut sources = Vec::new();
            for _ in 0..repeat {
                let text: String = words.concat();
                let input = names.add_input(Input::from_bytes("x", text.as_bytes()));
                let mut start = 0;
                let list = words.iter().map(|word| {
                    let span = Span { start, len: word.len() as u32 };
                    start += span.len;
                    (span, hash_name(word.as_bytes()))
                });
                sources.push((input, List(list.collect())));
            }
            let sources: Vec<(InputId, &dyn NameSource)> =
                sources.iter().map(|(input, list)| (*input, list as &dyn NameSource)).collect();
            let ids = names.add_all(&sources);
            for list in ids {
                for (place, id) in list.into_iter().enumerate() {
                    if place % 7 == 3 {
                        prop_assert_eq!(id, NameId::NONE);
                    } else {
                        prop_assert_eq!(names.text(id), &words[place]);
                        prop_assert_eq!(names.find(&words[place]), Some(id));
                    }
                }
            }
        }
    }
}
