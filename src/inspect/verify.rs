//! Proves from two files alone that an output means the same as a build, declaration by declaration.
//!
//! Imports, exports, the start function and the segments say which declaration is which; what those refer to follows. What is
//! reached from nowhere is found by its name and by all that it says. Two declarations are the same if their bytes are the
//! same once every number is written in one way, and every index refers to the same declaration; types are the same if
//! their structure is. Anything else is a difference, and is named. Debug information, where both files have some, is
//! compared by what it says.
//!
//! Of an output whose data and functions' addresses wasmend has placed, a number can differ from that in a build only because
//! of that. Slots are seen through, and addresses are followed to the data that they name (`moved`). Where that proves
//! nothing, it is a difference, but one of its own, behind all that are real.

use std::collections::{BTreeMap, VecDeque};

use crate::error::{Error, Result};
use crate::hash::{HashMap, HashSet};
use crate::inspect::candidates::Candidates;
use crate::inspect::choices;
use crate::inspect::counted::counted;
use crate::inspect::debug;
use crate::inspect::differing::{differing_bytes, differing_code};
use crate::inspect::fields::{Fields, Written};
use crate::inspect::image::Anchor;
use crate::inspect::language::ends_texts_in_zeros;
use crate::inspect::moved::{Evidence, Finding, Found, Node};
use crate::inspect::places::{self, Numbers, Use};
use crate::inspect::report::{Difference, Report};
use crate::inspect::runs::{Images, Slots};
use crate::inspect::side::{
    DATA, ELEMENTS, FUNCTIONS, GLOBALS, MEMORIES, Side, TABLES, colours, masked, position,
    with_users, word,
};
use crate::program::{DeclKind, DefinitionKind, RelocatableBytes, TypeTable};
use crate::whole::spaces::SPACES;

/// Where a comparison stands.
#[derive(Debug, Clone, Copy)]
struct Mark {
    pairs: usize,
    equal: u32,
    problems: usize,
    differences: usize,
    numbers: usize,
}

/// Compares an output with the build that it should be equal to. Either may be an output of wasmend.
///
/// # Errors
/// If one of them is not a valid module; the error's symbol says which.
pub fn verify(out: &[u8], build: &[u8]) -> Result<Report> {
    let mut types = TypeTable::default();
    let a = Side::of(out, true, &mut types).map_err(|error| whose(error, "output"))?;
    let b = Side::of(build, false, &mut types).map_err(|error| whose(error, "build"))?;
    let seen_through = b.module.identity.is_some();
    let mut b = b;
    if a.slots.is_some() && !seen_through {
        b.see_places();
    }
    let report = Compare::new(&a, &b, &types, out).run(out, build)?;
    if report.is_clean() || !seen_through {
        return Ok(report);
    }
    // The build can itself be an output that was the input, or one that should mean the same.
    let b = Side::of(build, true, &mut types).map_err(|error| whose(error, "build"))?;
    let other = Compare::new(&a, &b, &types, out).run(out, build)?;
    let other_says_less = other.differences.len() <= report.differences.len();
    Ok(if other_says_less { other } else { report })
}

/// An error of one of the two files. What it is about otherwise is forgotten: its offset says that too.
fn whose(error: Error, file: &str) -> Error {
    error.without_symbol().with_symbol(file)
}

/// More differences than this say nothing new.
const MOST_DIFFERENCES: usize = 1000;
/// How often the pairing of what nothing leads to begins anew.
const MOST_ROUNDS: usize = 16;

/// What two numbers in the same place of code are.
enum Place {
    Slots((Node, Node)),
    /// With what speaks for it.
    Address(u32),
}

struct Compare<'a> {
    a: &'a Side,
    b: &'a Side,
    types: &'a TypeTable,
    /// Which declaration of the build each one of the output is, and the reverse.
    of_a: [Vec<Option<u32>>; 7],
    of_b: [Vec<Option<u32>>; 7],
    queue: VecDeque<(Node, Node)>,
    /// How many functions of each side have a name.
    function_names: [HashMap<&'a str, u32>; 2],
    /// All pairs, in the order they were made.
    pairs: Vec<(Node, Node)>,
    /// How many differences there are, listed or not.
    problems: usize,
    /// The bytes of both memories and the slots, where wasmend or a linker has placed them.
    images: Option<Images<'a>>,
    /// How numbers are written in the output's code.
    fields: Fields<'a>,
    /// Slots that were met in data.
    slots_in_data: HashSet<Anchor>,
    /// Numbers that are addresses or slots, each with that of the build and with who names it, and what speaks for it: nothing
    /// for a slot.
    numbers: Vec<(Anchor, Evidence)>,
    report: Report,
}

impl<'a> Compare<'a> {
    fn new(a: &'a Side, b: &'a Side, types: &'a TypeTable, out: &'a [u8]) -> Self {
        let imported = a.module.spaces[FUNCTIONS].iter();
        let imported = imported.take_while(|item| item.import.is_some()).count();
        let none =
            |side: &Side| std::array::from_fn(|space| vec![None; side.module.spaces[space].len()]);
        Compare {
            a,
            b,
            types,
            of_a: none(a),
            of_b: none(b),
            queue: VecDeque::new(),
            function_names: [a, b].map(|side| {
                let mut names: HashMap<_, _> = HashMap::default();
                for at in side.seen(FUNCTIONS) {
                    if let Some(name) = side.item((FUNCTIONS, at)).name.as_deref() {
                        *names.entry(name).or_default() += 1;
                    }
                }
                names
            }),
            pairs: Vec::new(),
            problems: 0,
            images: (a.slots.is_some() && b.slots.is_some()).then(|| Images {
                a: a.image(),
                b: b.image(),
                ends_texts: true,
            }),
            fields: match a.slots.is_some() {
                true => Fields::of(out, imported as u32),
                false => Fields::default(),
            },
            slots_in_data: HashSet::default(),
            numbers: Vec::new(),
            report: Report::default(),
        }
    }

    fn run(mut self, out: &[u8], build: &[u8]) -> Result<Report> {
        let images = self.images.iter_mut();
        images.for_each(|images| images.ends_texts = ends_texts_in_zeros(build));
        self.imports();
        self.exports();
        self.start();
        self.segments();
        self.follow();
        self.follow_data();
        self.unreached();
        let found = self.follow_data();
        self.slots_in_doubt(found.as_ref());
        self.names();
        self.customs();
        self.debug(out, build)?;
        self.slots();
        self.data(found);
        Ok(self.report)
    }

    fn differ(&mut self, what: impl Into<String>, how: impl Into<String>) {
        self.problems += 1;
        if self.report.differences.len() < MOST_DIFFERENCES {
            self.report.differences.push(Difference {
                what: what.into(),
                how: how.into(),
            });
        }
    }

    /// Notes that two declarations must be the same.
    fn pair(&mut self, a: Node, b: Node, why: &dyn Fn(&Self) -> String) {
        if self.are_of_other_names(a, b) {
            let what = why(self);
            return self.differ(what, refers(self.a, a, self.b, b));
        }
        let known_a = self.of_a[a.0][a.1 as usize];
        let known_b = self.of_b[b.0][b.1 as usize];
        match (known_a, known_b) {
            (None, None) if a.0 == b.0 => {
                self.of_a[a.0][a.1 as usize] = Some(b.1);
                self.of_b[b.0][b.1 as usize] = Some(a.1);
                self.queue.push_back((a, b));
                self.pairs.push((a, b));
            }
            (Some(same), _) if a.0 == b.0 && same == b.1 => {}
            _ => {
                let what = why(self);
                self.differ(what, refers(self.a, a, self.b, b));
            }
        }
    }

    /// Whether two functions have names, and that of one is another's on the other side.
    fn are_of_other_names(&self, a: Node, b: Node) -> bool {
        let name = |side: &'a Side, node: Node| side.item(node).name.as_deref();
        let (Some(name_a), Some(name_b)) = (name(self.a, a), name(self.b, b)) else {
            return false;
        };
        let is_one = |names: &HashMap<&str, u32>, name| names.get(name) == Some(&1);
        let [names_a, names_b] = &self.function_names;
        (a.0, b.0) == (FUNCTIONS, FUNCTIONS)
            && name_a != name_b
            && is_one(names_a, name_a)
            && is_one(names_b, name_b)
            && (is_one(names_b, name_a) || is_one(names_a, name_b))
    }

    fn imports(&mut self) {
        for space in 0..SPACES.len() {
            let mut keys: HashMap<_, (Vec<u32>, Vec<u32>)> = HashMap::default();
            for at in self.a.seen(space) {
                if let Some(import) = self.a.item((space, at)).import.as_deref() {
                    keys.entry(import).or_default().0.push(at);
                }
            }
            for at in self.b.seen(space) {
                if let Some(import) = self.b.item((space, at)).import.as_deref() {
                    keys.entry(import).or_default().1.push(at);
                }
            }
            let mut keys: Vec<_> = keys.into_iter().collect();
            keys.sort_unstable();
            for ((module, field), (of_a, of_b)) in keys {
                let what = format!("import {module}.{field}");
                if of_a.len() != of_b.len() {
                    self.differ(
                        &what,
                        format!(
                            "is there {}, not {}",
                            counted(of_a.len(), "time"),
                            of_b.len()
                        ),
                    );
                }
                // The same name can be imported several times: in the same order on both sides.
                for (a, b) in of_a.into_iter().zip(of_b) {
                    self.pair((space, a), (space, b), &|_| what.clone());
                }
            }
        }
        let order = |side: &Side| -> Vec<String> {
            let imports = side.module.imports.iter();
            let imports = imports.filter_map(|node| {
                let (module, field) = side.item(*node).import.as_deref()?;
                Some(format!("{} {module}.{field}", word(node.0)))
            });
            imports.collect()
        };
        self.order("imports", order(self.a), order(self.b));
    }

    /// Whoever gives imports or takes exports by position needs them in the same order. What one side has and the other has
    /// not is a difference of its own.
    fn order(&mut self, what: &str, of_a: Vec<String>, of_b: Vec<String>) {
        let of_both: HashSet<String> = {
            let of_a: HashSet<&String> = of_a.iter().collect();
            of_b.iter()
                .filter(|name| of_a.contains(name))
                .cloned()
                .collect()
        };
        let mut of_a = of_a.into_iter().filter(|name| of_both.contains(name));
        let mut of_b = of_b.into_iter().filter(|name| of_both.contains(name));
        let mut at = 0;
        while let (Some(a), Some(b)) = (of_a.next(), of_b.next()) {
            if a != b {
                let how = format!("stand in another order: at {at} is {a}, not {b}");
                return self.differ(what, how);
            }
            at += 1;
        }
    }

    fn exports(&mut self) {
        let of = |side: &'a Side| -> HashMap<&'a str, Node> {
            let exports = side.module.exports.iter();
            exports
                .map(|export| (&*export.name, side.meant((export.space, export.index))))
                .collect()
        };
        let (of_a, of_b) = (of(self.a), of(self.b));
        for export in &self.b.module.exports {
            let name = &*export.name;
            let what = format!("export \"{name}\"");
            match of_a.get(name) {
                None => self.differ(what, "is missing"),
                Some(a) => {
                    let b = of_b[name];
                    if a.0 == b.0 {
                        self.pair(*a, b, &|_| what.clone());
                    } else {
                        self.differ(what, format!("is a {}, not a {}", word(a.0), word(b.0)));
                    }
                }
            }
        }
        for export in &self.a.module.exports {
            if !of_b.contains_key(&*export.name) {
                self.differ(format!("export \"{}\"", export.name), "is not in the build");
            }
        }
        let order = |side: &Side| -> Vec<String> {
            let exports = side.module.exports.iter();
            exports
                .map(|export| format!("\"{}\"", export.name))
                .collect()
        };
        self.order("exports", order(self.a), order(self.b));
    }

    fn start(&mut self) {
        let of = |side: &Side| side.module.start.map(|at| side.meant((FUNCTIONS, at)));
        match (of(self.a), of(self.b)) {
            (Some(a), Some(b)) => self.pair(a, b, &|_| "start".to_owned()),
            (None, None) => {}
            (Some(_), None) => self.differ("start", "is not in the build"),
            (None, Some(_)) => self.differ("start", "is missing"),
        }
    }

    /// Segments are applied in order, so they must be there in order.
    fn segments(&mut self) {
        for kind in [DeclKind::ElementSegment, DeclKind::DataSegment] {
            let space = position(kind);
            let of_a: Vec<u32> = self.seen(self.a, space).collect();
            let of_b: Vec<u32> = self.seen(self.b, space).collect();
            if of_a.len() != of_b.len() {
                self.differ(
                    format!("{kind}s"),
                    format!("{}, not {}", of_a.len(), of_b.len()),
                );
            }
            for (at_a, at_b) in of_a.into_iter().zip(of_b) {
                self.pair((space, at_a), (space, at_b), &|_| format!("{kind} {at_b}"));
            }
        }
    }

    /// Compares what has been paired, and pairs what it refers to.
    fn follow(&mut self) {
        while let Some((a, b)) = self.queue.pop_front() {
            self.compare(a, b);
        }
    }

    fn compare(&mut self, node_a: Node, node_b: Node) {
        let (item_a, item_b) = (self.a.item(node_a), self.b.item(node_b));
        let (a, b) = (&item_a.definition, &item_b.definition);
        if item_a.import.is_some() != item_b.import.is_some() {
            let how = match item_a.import.as_deref() {
                Some((module, field)) => format!("is imported as {module}.{field}, not defined"),
                None => "is defined, not imported".to_owned(),
            };
            return self.differ(label(self.b, node_b), how);
        }
        let types_differ = match (a.shape, b.shape) {
            (DefinitionKind::Function { ty: a }, DefinitionKind::Function { ty: b })
            | (DefinitionKind::Tag { ty: a }, DefinitionKind::Tag { ty: b }) => a != b,
            _ => false,
        };
        if types_differ {
            return self.differ(label(self.b, node_b), "has another type");
        }
        let written = match node_b.0 == FUNCTIONS {
            true => self.fields.of_function(node_a.1).unwrap_or_default(),
            false => Vec::new(),
        };
        let same = masked(&a.content) == masked(&b.content)
            || self.is_placed((node_a, node_b))
            || self.is_address(node_b, &a.content, &b.content);
        // Also numbers that are equal can be addresses.
        let in_places = self.differ_in_places(node_b, (&a.content, &b.content), &written);
        if !same && !in_places {
            let how = if node_b.0 == FUNCTIONS && item_b.import.is_none() {
                differing_code(&a.content, &b.content, &written, &|numbers| {
                    self.is_other_place(numbers)
                })
            } else {
                differing_bytes(&a.content, &b.content)
            };
            return self.differ(label(self.b, node_b), how);
        }
        self.report.equal += 1;
        for (reloc_a, reloc_b) in a.content.relocs().iter().zip(b.content.relocs()) {
            if let (Some(target_a), Some(target_b)) =
                (self.a.target(reloc_a), self.b.target(reloc_b))
            {
                self.pair(target_a, target_b, &|compare| label(compare.b, node_b));
            }
        }
    }

    /// Whether two declarations hold nothing but places, which both sides have of their own, or how large a memory is for
    /// them.
    fn is_placed(&self, (a, b): (Node, Node)) -> bool {
        let (item_a, item_b) = (self.a.item(a), self.b.item(b));
        if self.images.is_none() {
            return false;
        }
        match b.0 {
            MEMORIES => return choices::memories_agree(item_a, item_b),
            TABLES if choices::imported_tables_agree(item_a, item_b) => return true,
            _ => {}
        }
        self.a.is_place(a) && self.b.is_place(b)
    }

    /// What is seen of an index space, but for places.
    fn seen<'s>(&self, side: &'s Side, space: usize) -> impl Iterator<Item = u32> + use<'s> {
        // A table that code or an export names is found from there.
        let holds_places = self.images.is_some() && matches!(space, TABLES | ELEMENTS | DATA);
        side.seen(space)
            .filter(move |at| !(holds_places && side.is_place((space, *at))))
    }

    /// Whether two globals hold addresses of what both sides have placed, such as the end of the stack.
    fn is_address(&mut self, node: Node, a: &RelocatableBytes, b: &RelocatableBytes) -> bool {
        let Some(images) = self.images.as_ref().filter(|_| node.0 == GLOBALS) else {
            return false;
        };
        let Some((a, b)) = places::constants(a, b) else {
            return false;
        };
        let are_addresses = images.a.is_address(a) && images.b.is_address(b);
        if are_addresses {
            self.note((a, b), node, 2);
        }
        are_addresses
    }

    fn note(&mut self, numbers: Anchor, named_by: Node, weight: u32) {
        self.numbers.push((numbers, Evidence { named_by, weight }));
    }

    /// The functions whose slots two numbers are.
    fn in_slots(&self, numbers: Anchor) -> Option<(Node, Node)> {
        let of = |side: &Side, number: u64| {
            let slot = u32::try_from(number).ok()?;
            let function = *side.slots.as_ref()?.get(&slot)?;
            Some(side.meant((FUNCTIONS, function)))
        };
        Some((of(self.a, numbers.0)?, of(self.b, numbers.1)?))
    }

    /// What two numbers are as slots.
    fn as_slots(&self, numbers: Anchor) -> Slots {
        match self.in_slots(numbers) {
            None => Slots::None,
            Some((a, b)) if self.can_be_same(a, b) => Slots::Same,
            Some(_) => Slots::Others,
        }
    }

    /// Whether two functions are known to be the same, or nothing is known and they are alike.
    fn can_be_same(&self, a: Node, b: Node) -> bool {
        match (self.of_a[a.0][a.1 as usize], self.of_b[b.0][b.1 as usize]) {
            (Some(same), _) => same == b.1,
            (None, Some(_)) => false,
            (None, None) => {
                let (item_a, item_b) = (self.a.item(a), self.b.item(b));
                let (of_a, of_b) = (&item_a.definition, &item_b.definition);
                let is_named_alike = item_a.name.is_some() && item_a.name == item_b.name;
                !self.are_of_other_names(a, b)
                    && of_a.ty() == of_b.ty()
                    && (is_named_alike
                        || places::numbers(&of_a.content, &of_b.content, &[]).is_some())
            }
        }
    }

    /// Whether two functions differ in nothing but where things are placed. Functions whose addresses they name in the same
    /// place are paired.
    fn differ_in_places(
        &mut self,
        node: Node,
        (a, b): (&RelocatableBytes, &RelocatableBytes),
        written: &[Written],
    ) -> bool {
        if self.images.is_none() || node.0 != FUNCTIONS {
            return false;
        }
        let Some(numbers) = places::numbers(a, b, written) else {
            return false;
        };
        let (mut functions, mut addresses) = (Vec::new(), Vec::new());
        for number in numbers {
            let numbers = (number.a, number.b);
            match self.meaning(&number) {
                Some(Place::Slots(pair)) => functions.push((numbers, pair)),
                Some(Place::Address(weight)) => addresses.push((numbers, weight)),
                None if number.a == number.b => {}
                None => return false,
            }
        }
        for (numbers, weight) in addresses {
            self.note(numbers, node, weight);
        }
        for (numbers, (a, b)) in functions {
            self.note(numbers, node, 0);
            self.pair(a, b, &|compare| label(compare.b, node));
        }
        true
    }

    /// What two numbers in the same place of code are. Where they can be slots and addresses, they are slots if the functions
    /// can be the same.
    fn meaning(&self, number: &Numbers) -> Option<Place> {
        let images = self.images.as_ref()?;
        let numbers = (number.a, number.b);
        let are_addresses = images.are_addresses(numbers);
        let is_field = number.written == Written::Field;
        let slots = self
            .in_slots(numbers)
            .filter(|(a, b)| match number.used_as {
                _ if !is_field && number.a == number.b => false,
                Use::Offset => false,
                _ if self.can_be_same(*a, *b) => true,
                Use::Slot => true,
                Use::Unknown => !are_addresses,
                // Also where something stands in a thread's own data is a number in a field.
                Use::Address | Use::Added => !are_addresses && number.a != number.b,
            });
        match slots {
            Some(pair) => Some(Place::Slots(pair)),
            // A field's number can point before all data.
            None if is_field && (are_addresses || number.a != number.b) => Some(Place::Address(2)),
            None if are_addresses && number.a != number.b => match number.used_as {
                Use::Address | Use::Offset => Some(Place::Address(2)),
                _ => Some(Place::Address(1)),
            },
            None => None,
        }
    }

    /// Whether two numbers are taken for the same thing in another place.
    fn is_other_place(&self, numbers: Anchor) -> bool {
        self.images.as_ref().is_some_and(|images| {
            self.in_slots(numbers).is_some()
                || (images.a.is_address(numbers.0) && images.b.is_address(numbers.1))
        })
    }

    /// Follows the addresses that are known to the data that they name, and what that names in its turn.
    fn follow_data(&mut self) -> Option<Found> {
        loop {
            let images = self.images.as_ref()?;
            let mut anchors: BTreeMap<Anchor, Evidence> = BTreeMap::new();
            for (numbers, evidence) in self.numbers.iter().filter(|(_, it)| it.weight > 0) {
                let known = anchors.entry(*numbers).or_insert(Evidence {
                    weight: 0,
                    ..*evidence
                });
                known.weight += evidence.weight;
            }
            let found = images.compare(&anchors, &|numbers| self.as_slots(numbers));
            let known = self.numbers.len();
            let beside = found.beside.iter();
            for (numbers, named_by) in beside.filter(|(at, _)| !anchors.contains_key(at)) {
                self.note(*numbers, *named_by, 1);
            }
            for (numbers, named_by) in &found.slots {
                let is_new = self.slots_in_data.insert(*numbers);
                if let Some((a, b)) = self.in_slots(*numbers).filter(|_| is_new) {
                    self.note(*numbers, *named_by, 0);
                    self.pair(a, b, &|compare| named_data(compare.b, *named_by));
                }
            }
            self.follow();
            if self.numbers.len() == known {
                return Some(found);
            }
        }
    }

    /// Says which slots in data are those of other functions.
    fn slots_in_doubt(&mut self, found: Option<&Found>) {
        for finding in found.into_iter().flat_map(|found| &found.findings) {
            let Finding::Slots { numbers, named_by } = finding else {
                continue;
            };
            if let Some((a, b)) = self.in_slots(*numbers) {
                let how = refers(self.a, a, self.b, b);
                self.differ(named_data(self.b, *named_by), how);
            }
        }
    }

    /// The same functions have slots, and one that has another slot was met by both.
    fn slots(&mut self) {
        if self.images.is_none() {
            return;
        }
        let of = |side: &Side| {
            let mut slots: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
            for (slot, function) in side.slots.iter().flatten() {
                let function = side.meant((FUNCTIONS, *function)).1;
                slots.entry(function).or_default().push(*slot);
            }
            slots
        };
        let (in_a, in_b) = (of(self.a), of(self.b));
        let is_same_so_far = self.problems == 0;
        let numbers: HashSet<Anchor> = self.numbers.iter().map(|(numbers, _)| *numbers).collect();
        for (function, slots) in &in_b {
            let what = || label(self.b, (FUNCTIONS, *function));
            let Some(other) = self.of_b[FUNCTIONS][*function as usize] else {
                continue;
            };
            let Some(others) = in_a.get(&other) else {
                self.differ(what(), "has no slot in the table");
                continue;
            };
            let mut both = others
                .iter()
                .flat_map(|a| slots.iter().map(move |b| (u64::from(*a), u64::from(*b))));
            if is_same_so_far && !both.any(|slots| slots.0 == slots.1 || numbers.contains(&slots)) {
                let how = format!(
                    "has slot {} where the build has {}, and nothing names it by that",
                    others[0], slots[0]
                );
                self.differ(what(), how);
            }
        }
    }

    /// Says what is not the same of the data, or is not known to be.
    fn data(&mut self, found: Option<Found>) {
        let Some((found, images)) = found.zip(self.images.take()) else {
            return;
        };
        let is_same_so_far = self.problems == 0;
        let (mut unproved, mut unmet) = (Vec::new(), None);
        for finding in found.findings {
            match finding {
                Finding::Bytes {
                    at: (a, b),
                    named_by,
                } => {
                    let (byte_a, byte_b) = (images.a.byte(a), images.b.byte(b));
                    let how = format!(
                        "at {a:#x} is {byte_a:#04x}, not {byte_b:#04x} as at {b:#x} of the build"
                    );
                    self.differ(named_data(self.b, named_by), how);
                }
                // These have been said.
                Finding::Slots { .. } => {}
                // What differs may be all that names it.
                Finding::Missing { .. } if !is_same_so_far => {}
                Finding::Missing { at, len } => {
                    let how = format!("{} at {at:#x} are not in the output", counted(len, "byte"));
                    self.differ("data of the build", how);
                }
                Finding::Unmet { at, len } => {
                    unmet.get_or_insert((at, len));
                }
                Finding::Unproved { named_by, .. } => unproved.push(named_by),
            }
        }
        if let Some((at, len)) = unmet.filter(|_| self.problems == 0) {
            let how = format!(
                "{} at {at:#x} stand in the output, but may or may not be what is named there: ask with replay-ld --verify",
                counted(len, "byte")
            );
            self.differ("data of the build", how);
        }
        let [first, others @ ..] = &unproved[..] else {
            return;
        };
        if self.problems > 0 {
            return;
        }
        let what = match others.len() {
            0 => label(self.b, *first),
            more => format!("{} and {more} more", label(self.b, *first)),
        };
        self.differ(
            what,
            "name other numbers, which may or may not be addresses of the same data: ask with replay-ld --verify",
        );
    }

    /// Pairs what nothing has led to: by all that it says, and by name where that leaves a choice.
    fn unreached(&mut self) {
        let of_build: [Vec<Option<u32>>; 7] = std::array::from_fn(|space| {
            let pairs = self.of_b[space].iter().enumerate();
            pairs.map(|(at, other)| other.map(|_| at as u32)).collect()
        });
        let colours_a = colours(self.a, &self.of_a, self.types);
        let colours_b = colours(self.b, &of_build, self.types);
        // Where that leaves a choice, what refers to a declaration helps; but not code that was left behind.
        let said_by = |colours: &[Vec<u64>; 7], open: &[Node]| -> HashSet<u64> {
            let colours = open.iter().map(|(space, at)| colours[*space][*at as usize]);
            colours.collect()
        };
        let open_a = self.open(self.a, &self.of_a);
        let open_b = self.open(self.b, &self.of_b);
        let users_a = with_users(
            self.a,
            &self.of_a,
            &colours_a,
            &said_by(&colours_b, &open_b),
        );
        let users_b = with_users(self.b, &of_build, &colours_b, &said_by(&colours_a, &open_a));
        // All that counts of the output must be found in the build, and the reverse; but a release may leave out what nothing
        // leads to, and an output may hold code that was left behind. So the side that has no more than it must decides.
        let by_build = self.a.is_output;
        let (driver, others) = if by_build {
            (self.b, open_a)
        } else {
            (self.a, open_b)
        };
        let (driver_colours, other_colours) = ordered(by_build, &colours_a, &colours_b);
        let (driver_users, other_users) = ordered(by_build, &users_a, &users_b);
        let other = if by_build { self.a } else { self.b };
        let mut candidates = Candidates::default();
        for (space, at) in others {
            let colour = other_colours[space][at as usize];
            let users = other_users[space][at as usize];
            let name = other.item((space, at)).name.as_deref();
            candidates.add(space, at, colour, users, name);
        }
        let order = self.roots_first(driver, by_build);
        let begin = self.mark();
        // Those for which nothing was left that fits: they choose first in the next round.
        let mut urgent: Vec<Node> = Vec::new();
        let mut at_node = 0;
        while at_node < urgent.len() + order.len() {
            let node = match at_node.checked_sub(urgent.len()) {
                Some(at) => order[at],
                None => urgent[at_node],
            };
            at_node += 1;
            let (space, at) = node;
            let (paired, taken) = ordered(by_build, &self.of_a[space], &self.of_b[space]);
            if paired[at as usize].is_some() {
                continue;
            }
            let name = driver.item(node).name.as_deref();
            let is_free = |other: u32| taken[other as usize].is_none();
            let colour = driver_colours[space][at as usize];
            let users = driver_users[space][at as usize];
            let same = candidates.best((space, colour, users, name), is_free);
            // Something of this name that says something else shows best what is wrong.
            let named = candidates.named(space, name, is_free);
            let Some(first) = same.first().copied().or(named) else {
                continue;
            };
            let pair = |other: u32| {
                let other = (space, other);
                if by_build {
                    (other, node)
                } else {
                    (node, other)
                }
            };
            // What says the same can still refer to something that is known to be another: try the next.
            if !same.iter().any(|other| self.try_pair(pair(*other))) {
                // Of several that say the same, one that chose before may have taken the wrong one.
                if !same.is_empty() && urgent.len() < MOST_ROUNDS && !urgent.contains(&node) {
                    self.back_to(begin);
                    candidates.begin_anew();
                    urgent.insert(0, node);
                    at_node = 0;
                    continue;
                }
                let (a, b) = pair(first);
                self.pair(a, b, &|compare| label(compare.b, b));
                self.follow();
            }
        }
        self.unreached_places();
        for node in self.open(self.b, &self.of_b) {
            // The build can itself be an output that holds code which was left behind.
            let may_be_left_out = !by_build || self.b.is_output;
            if may_be_left_out && matches!(node.0, FUNCTIONS | GLOBALS) {
                self.report.left_out += 1;
            } else {
                self.differ(label(self.b, node), "is missing");
            }
        }
        for node in self.open(self.a, &self.of_a) {
            let remains = by_build && node.0 == FUNCTIONS;
            let filler = by_build && node.0 == GLOBALS && self.a.is_filler_global(node.1);
            if !remains && !filler {
                self.differ(label(self.a, node), "is not in the build");
            }
        }
    }

    /// Pairs globals that nothing has led to and that hold addresses, such as that of a stack which nothing uses.
    fn unreached_places(&mut self) {
        if self.images.is_none() {
            return;
        }
        let globals = |(space, _): &Node| *space == GLOBALS;
        for node in self.open(self.b, &self.of_b).into_iter().filter(globals) {
            let others = self.open(self.a, &self.of_a).into_iter().filter(globals);
            let mut others = others.take(MOST_ROUNDS);
            let _ = others.any(|other| self.try_pair((other, node)));
        }
    }

    /// All that is seen of one side and is not paired.
    fn open(&self, side: &Side, paired: &[Vec<Option<u32>>; 7]) -> Vec<Node> {
        let nodes =
            (0..SPACES.len()).flat_map(|space| self.seen(side, space).map(move |at| (space, at)));
        nodes
            .filter(|(space, at)| paired[*space][*at as usize].is_none())
            .collect()
    }

    /// What is left of a side: what nothing refers to comes first, since it decides what the rest is.
    fn roots_first(&self, side: &Side, is_build: bool) -> Vec<Node> {
        let paired = if is_build { &self.of_b } else { &self.of_a };
        let mut open = self.open(side, paired);
        let mut referred: HashSet<Node> = HashSet::default();
        for node in &open {
            let relocs = side.item(*node).definition.content.relocs().iter();
            let targets = relocs.filter_map(|reloc| side.target(reloc));
            referred.extend(targets.filter(|target| target != node));
        }
        // Functions come last: nothing at all leads to them.
        open.sort_by_key(|node| (referred.contains(node), node.0 == FUNCTIONS));
        open
    }

    /// Pairs two declarations if nothing speaks against it.
    fn try_pair(&mut self, (a, b): (Node, Node)) -> bool {
        let begin = self.mark();
        self.pair(a, b, &|_| String::new());
        self.follow();
        let fits = self.problems == begin.problems;
        if !fits {
            self.back_to(begin);
        }
        fits
    }

    /// Where the comparison stands, to come back to.
    fn mark(&self) -> Mark {
        Mark {
            pairs: self.pairs.len(),
            equal: self.report.equal,
            problems: self.problems,
            differences: self.report.differences.len(),
            numbers: self.numbers.len(),
        }
    }

    /// Forgets what was found since then.
    fn back_to(&mut self, mark: Mark) {
        for (a, b) in self.pairs.drain(mark.pairs..) {
            self.of_a[a.0][a.1 as usize] = None;
            self.of_b[b.0][b.1 as usize] = None;
        }
        self.report.equal = mark.equal;
        self.report.differences.truncate(mark.differences);
        self.problems = mark.problems;
        self.numbers.truncate(mark.numbers);
    }

    fn names(&mut self) {
        for space in 0..SPACES.len() {
            for at in 0..self.of_b[space].len() {
                let (item, Some(other)) = (self.b.item((space, at as u32)), self.of_b[space][at])
                else {
                    continue;
                };
                let got = self.a.item((space, other)).name.as_deref();
                // Of segments a linker calls those that it fills as it likes.
                if space == DATA && got.is_none() && self.images.is_some() {
                    continue;
                }
                if got != item.name.as_deref() {
                    let how = match (got, &item.name) {
                        (Some(got), None) => format!("is called `{got}`, not nothing"),
                        (Some(got), _) => format!("is called `{got}`"),
                        (None, _) => "has no name".to_owned(),
                    };
                    self.differ(label(self.b, (space, at as u32)), how);
                }
            }
        }
        let (a, b) = (&self.a.module.customs, &self.b.module.customs);
        // Linkers call a module as its file.
        if a.module_name != b.module_name && self.images.is_none() {
            let how = format!("{:?}, not {:?}", a.module_name, b.module_name);
            self.differ("the module's name", how);
        }
    }

    fn customs(&mut self) {
        let (a, b) = (&self.a.module.customs, &self.b.module.customs);
        let (mut of_a, mut of_b) = (a.tail.clone(), b.tail.clone());
        if self.images.is_some() {
            let (without_a, id_a) = choices::without_build_id(&a.tail);
            let (without_b, id_b) = choices::without_build_id(&b.tail);
            if id_a == id_b {
                (of_a, of_b) = (without_a, without_b);
            }
        }
        if a.front != b.front || of_a != of_b {
            self.differ("custom sections", "are not those of the build");
        }
    }
}

impl Compare<'_> {
    /// Which function of the build each one of the output is. Code that was left behind can have been taken for one that
    /// nothing refers to, of which debug information knows better; both say the same.
    fn with_twins(&self) -> Vec<Option<u32>> {
        let paired = &self.of_a[FUNCTIONS];
        let says = |at: usize| {
            let item = self.a.item((FUNCTIONS, at as u32));
            (
                &item.name,
                item.definition.ty(),
                masked(&item.definition.content),
            )
        };
        let mut twins: HashMap<_, _> = HashMap::default();
        if paired.iter().any(Option::is_none) {
            let all = paired.iter().enumerate();
            twins.extend(all.filter_map(|(at, other)| Some((says(at), (*other)?))));
        }
        let all = paired.iter().enumerate();
        all.map(|(at, other)| other.or_else(|| twins.get(&says(at)).copied()))
            .collect()
    }

    /// Debug information, if both have some: whole modules lose theirs.
    fn debug(&mut self, out: &[u8], build: &[u8]) -> Result<()> {
        if !debug::is_there(out) || !debug::is_there(build) {
            return Ok(());
        }
        let of_functions = self.with_twins();
        let functions = |at: u32| of_functions.get(at as usize).copied().flatten();
        // Debug information of what is not linked names globals that are not there: these are the same on both sides.
        let globals = |at: u32| {
            self.of_a[GLOBALS]
                .get(at as usize)
                .map_or(Some(at), |it| *it)
        };
        let of_a = debug::Common {
            function: &functions,
            global: &globals,
        };
        let of_b = debug::Common {
            function: &Some,
            global: &Some,
        };
        let (differences, equal) = debug::compare((out, of_a), (build, of_b))?;
        self.report.debug_units = equal;
        for (what, how) in differences {
            self.differ(what, how);
        }
        Ok(())
    }
}

/// What is of the deciding side, then what is of the other one.
fn ordered<T>(by_build: bool, a: T, b: T) -> (T, T) {
    if by_build { (b, a) } else { (a, b) }
}

/// What messages call a declaration.
fn label(side: &Side, node: Node) -> String {
    let item = side.item(node);
    let kind = word(node.0);
    let export = side.export(node);
    match (&item.name, item.import.as_deref(), export) {
        (Some(name), ..) => format!("{kind} `{name}`"),
        (None, Some((module, field)), _) => format!("{kind} import {module}.{field}"),
        (None, None, Some(export)) => format!("{kind} exported as \"{export}\""),
        (None, None, None) => format!("{kind} {}", node.1),
    }
}

/// What messages call data that a declaration leads to.
fn named_data(side: &Side, node: Node) -> String {
    format!("data named by {}", label(side, node))
}

/// What is said of references that lead to different declarations.
fn refers(side_a: &Side, a: Node, side_b: &Side, b: Node) -> String {
    let (a, b) = (label(side_a, a), label(side_b, b));
    format!("refers to {a} where the build refers to {b}")
}
