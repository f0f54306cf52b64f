//! Which declaration stands for what of a link, from one link to the next: objects' functions and segments, what the
//! linker makes, strings. It gives every thing of a new link the declaration that it had before, if there was one.

use std::cmp::Reverse;
use std::sync::Arc;

use crate::error::Result;
use crate::hash::{HashMap, HashSet};
use crate::object::Object;
use crate::object::ids::{FunctionIndex, SymbolIndex};
use crate::program::{DeclId, DeclKind, Definition, Program, SectionId};
use crate::transaction::{Log, LogMap, Transaction};

/// What is to be defined: a declaration, its kind, and what it is to be.
pub(crate) type Item = (DeclId, DeclKind, Definition);

/// Where a segment of an object stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SegmentPlacement {
    /// Nowhere: it is not linked.
    Nowhere,
    /// At an offset of a declaration of data.
    Part(DeclId, u32),
    /// Each of its strings is a declaration, which others may share.
    Strings(Arc<[MergedString]>),
}

/// A string of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MergedString {
    /// Where in the segment it begins.
    pub(crate) start: u32,
    /// The declaration that has it, and where: in a dense output, strings that another one ends with are parts of that.
    pub(crate) decl: DeclId,
    pub(crate) offset: u32,
}

impl SegmentPlacement {
    /// The declaration that stands at an offset of the segment, and the offset in it.
    #[inline]
    pub(crate) fn at(&self, offset: i64) -> Option<(DeclId, i64)> {
        match self {
            SegmentPlacement::Nowhere => None,
            SegmentPlacement::Part(decl, start) => Some((*decl, offset + i64::from(*start))),
            SegmentPlacement::Strings(pieces) => {
                let next = pieces.partition_point(|piece| i64::from(piece.start) <= offset);
                let piece = pieces[next.saturating_sub(1)];
                let offset = offset - i64::from(piece.start) + i64::from(piece.offset);
                Some((piece.decl, offset))
            }
        }
    }
}

/// The declarations of an object's contents; `None` for what is not linked.
#[derive(Debug, Clone)]
pub(crate) struct ObjectDeclarations {
    pub(crate) functions: Vec<Option<DeclId>>,
    pub(crate) segments: Vec<SegmentPlacement>,
    pub(crate) globals: Vec<Option<DeclId>>,
    pub(crate) tags: Vec<Option<DeclId>>,
    pub(crate) tables: Vec<Option<DeclId>>,
    /// Pieces of custom sections.
    pub(crate) customs: Vec<Option<DeclId>>,
    /// Pieces with strings of its debug information that no object before it had when they were made. Others may name them,
    /// so that they can be there when nothing else of the object is; `customs` has none for their sections.
    pub(crate) strings: Vec<StringPiece>,
}

/// A piece of a custom section that consists of strings which several objects may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StringPiece {
    pub(crate) section: SectionId,
    pub(crate) decl: DeclId,
}

impl ObjectDeclarations {
    pub(crate) fn new(object: &Object) -> ObjectDeclarations {
        ObjectDeclarations {
            functions: vec![None; object.functions.len()],
            segments: vec![SegmentPlacement::Nowhere; object.segments.len()],
            globals: vec![None; object.globals.len()],
            tags: vec![None; object.tags.len()],
            tables: vec![None; object.tables.len()],
            customs: vec![None; object.custom_sections.len()],
            strings: Vec::new(),
        }
    }

    /// Whether anything of the object is linked.
    pub(crate) fn is_live(&self) -> bool {
        let any = |list: &[Option<DeclId>]| list.iter().any(Option::is_some);
        any(&self.functions)
            || self
                .segments
                .iter()
                .any(|placed| *placed != SegmentPlacement::Nowhere)
            || any(&self.globals)
            || any(&self.tags)
            || any(&self.tables)
    }
}

/// What makes an object of one link the same as one of another: what messages call it, and how many of that name stand
/// before it.
pub(crate) type UnitKey = (Box<str>, u32);

/// A string that is shared: its alignment and its bytes.
pub(crate) type StringKey = (u8, Box<[u8]>);

/// The declaration of a string.
pub(crate) struct KnownString {
    pub(crate) decl: DeclId,
    /// Whether nothing in this link had the string before.
    pub(crate) is_first: bool,
    /// Whether it has to be defined: the last link had none.
    pub(crate) is_new: bool,
}

/// Everything that the last link declared. An update in place changes its objects and strings only.
#[derive(Debug, Default)]
pub(crate) struct PreviousDeclarations {
    /// By object of the link.
    pub(crate) units: Log<ObjectDeclarations>,
    /// What these are of; `None` if there will be no other link to compare it with.
    pub(crate) objects: Log<Option<Arc<Object>>>,
    pub(crate) keys: HashMap<UnitKey, usize>,
    /// What the linker made, by a key that says what for.
    pub(crate) synthetic: HashMap<Box<str>, DeclId>,
    pub(crate) strings: LogMap<StringKey, DeclId, foldhash::fast::FixedState>,
    pub(crate) exports: Vec<(Box<str>, DeclId)>,
}

impl Transaction for PreviousDeclarations {
    fn begin(&mut self) {
        self.units.begin();
        self.objects.begin();
        self.strings.begin();
    }

    fn commit(&mut self) {
        self.units.commit();
        self.objects.commit();
        self.strings.commit();
    }

    fn rollback(&mut self) {
        self.units.rollback();
        self.objects.rollback();
        self.strings.rollback();
    }
}

/// Gives things their declarations.
pub(crate) struct DeclarationReuse<'a> {
    pub(crate) program: &'a mut Program,
    old: &'a PreviousDeclarations,
    pub(crate) new: PreviousDeclarations,
    /// By id: whether it is among what is known from before and still there.
    kept: Vec<bool>,
}

impl<'a> DeclarationReuse<'a> {
    pub(crate) fn new(
        program: &'a mut Program,
        old: &'a PreviousDeclarations,
    ) -> DeclarationReuse<'a> {
        let kept = vec![false; program.capacity()];
        DeclarationReuse {
            program,
            old,
            new: PreviousDeclarations::default(),
            kept,
        }
    }

    /// A new declaration.
    fn declare(&mut self, kind: DeclKind) -> Result<DeclId> {
        self.program.declare(kind, None, None)
    }

    fn keep(&mut self, id: DeclId) -> DeclId {
        if let Some(kept) = self.kept.get_mut(id.index()) {
            *kept = true;
        }
        id
    }

    /// The declaration for something that the linker makes.
    pub(crate) fn synthetic(&mut self, kind: DeclKind, key: &str) -> Result<DeclId> {
        self.synthetic_behind(kind, key, None)
    }

    /// The same for what is listed in the order of declaration: one that stands before `first` is given up for a new one, so
    /// that the order is that of a fresh link.
    pub(crate) fn synthetic_behind(
        &mut self,
        kind: DeclKind,
        key: &str,
        first: Option<DeclId>,
    ) -> Result<DeclId> {
        let mut key: Box<str> = key.into();
        while self.new.synthetic.contains_key(&key) {
            key = format!("{key}'").into();
        }
        let known = self.old.synthetic.get(&key).copied();
        let first = first.map(|id| self.program.decl(id).serial);
        let known = known.filter(|id| {
            let decl = self.program.decl(*id);
            decl.kind == kind && first.is_none_or(|first| first < decl.serial)
        });
        let id = match known {
            Some(id) => self.keep(id),
            None => self.declare(kind)?,
        };
        self.new.synthetic.insert(key, id);
        Ok(id)
    }

    /// The declaration of a string. Its definition is the same for as long as it is there.
    pub(crate) fn string(&mut self, align_log2: u8, bytes: &[u8]) -> Result<KnownString> {
        let key: StringKey = (align_log2, bytes.into());
        if let Some(decl) = self.new.strings.get(&key) {
            return Ok(KnownString {
                decl: *decl,
                is_first: false,
                is_new: false,
            });
        }
        let (decl, is_new) = match self.old.strings.get(&key) {
            Some(decl) => (self.keep(*decl), false),
            None => (self.declare(DeclKind::Data)?, true),
        };
        self.new.strings.insert(key, decl);
        Ok(KnownString {
            decl,
            is_first: true,
            is_new,
        })
    }

    /// Which of the objects that are new by name stand for which of the old link: compilers name a library's members anew in
    /// each build. Equal ones belong together, and else those that define the same.
    pub(crate) fn renamed(&self, objects: &[(UnitKey, &Arc<Object>)]) -> HashMap<UnitKey, usize> {
        let mut pairs: HashMap<_, _> = HashMap::default();
        let is_new = |key: &UnitKey| !self.old.keys.contains_key(key);
        let new: Vec<_> = objects.iter().filter(|(key, _)| is_new(key)).collect();
        if self.old.units.is_empty() || new.is_empty() {
            return pairs;
        }
        let named: HashSet<&UnitKey> = objects.iter().map(|(key, _)| key).collect();
        let gone = self.old.keys.iter().filter(|(key, _)| !named.contains(key));
        let gone = gone.filter_map(|(_, at)| Some((*at, self.old.objects[*at].as_ref()?)));
        let mut gone: Vec<(usize, &Arc<Object>)> = gone.collect();
        gone.sort_unstable_by_key(|(at, _)| *at);
        let mut definers: HashMap<&[u8], usize> = HashMap::default();
        let mut equals: HashMap<&[u8], Vec<usize>> = HashMap::default();
        for (at, object) in gone.into_iter().rev() {
            if object.has_bytes() {
                let equal = equals.entry(object.bytes(object.span()));
                equal.or_default().push(at);
            }
            definers.extend(definitions(object).map(|name| (name, at)));
        }
        let mut taken: HashSet<_> = HashSet::default();
        let mut open = Vec::new();
        for (key, object) in new {
            match equals
                .get_mut(object.bytes(object.span()))
                .and_then(Vec::pop)
            {
                Some(at) => {
                    taken.insert(at);
                    pairs.insert(key.clone(), at);
                }
                None => open.push((key, object)),
            }
        }
        for (key, object) in open {
            let mut votes: HashMap<usize, usize> = HashMap::default();
            let known = definitions(object).filter_map(|name| definers.get(name));
            for at in known.filter(|at| !taken.contains(*at)) {
                *votes.entry(*at).or_default() += 1;
            }
            let most = votes
                .into_iter()
                .max_by_key(|(at, votes)| (*votes, Reverse(*at)));
            if let Some((at, _)) = most {
                taken.insert(at);
                pairs.insert(key.clone(), at);
            }
        }
        pairs
    }

    /// What was known of an object, or of one that has come in its place: the one of its name, or `renamed`.
    pub(crate) fn unit(
        &mut self,
        key: &UnitKey,
        renamed: Option<usize>,
        object: &Arc<Object>,
    ) -> Match<'a> {
        let at = self.old.keys.get(key).copied().or(renamed);
        let Some(at) = at else {
            return Match::New;
        };
        let (old, before) = (&self.old.units[at], self.old.objects[at].as_ref());
        match before.is_some_and(|before| Arc::ptr_eq(before, object)) {
            true => Match::Same(old),
            false => Match::Changed(Box::new(Names::of(old, before.map(|it| &**it)))),
        }
    }

    /// The declaration that one of an object's functions had.
    pub(crate) fn known_function(
        &mut self,
        of: &mut Match<'_>,
        index: usize,
        name: &str,
    ) -> Option<DeclId> {
        let known = match of {
            Match::New => None,
            Match::Same(old) => old.functions[index],
            Match::Changed(names) => take_name(&mut names.functions, name),
        };
        known.map(|id| self.keep(id))
    }

    /// The declaration that one of an object's segments had, if it had one to itself.
    pub(crate) fn known_segment(
        &mut self,
        of: &mut Match<'_>,
        index: usize,
        name: &str,
    ) -> Option<DeclId> {
        let known = match of {
            Match::New => None,
            Match::Same(old) => match old.segments[index] {
                SegmentPlacement::Part(id, 0) => Some(id),
                _ => None,
            },
            Match::Changed(names) => take_name(&mut names.segments, name),
        };
        // What was made for something else is not the segment's.
        let known = known.filter(|id| !self.kept.get(id.index()).is_some_and(|kept| *kept));
        known.map(|id| self.keep(id))
    }

    /// The declaration for one of an object's pieces of custom sections.
    pub(crate) fn custom(
        &mut self,
        of: &mut Match<'_>,
        index: usize,
        name: &str,
    ) -> Result<DeclId> {
        let known = match of {
            Match::New => None,
            Match::Same(old) => old.customs[index],
            Match::Changed(names) => take_name(&mut names.customs, name),
        };
        self.known_or_new(known, DeclKind::Custom)
    }

    /// The declaration for one of an object's globals, tags or tables.
    pub(crate) fn other(&mut self, of: &Match<'_>, kind: DeclKind, index: usize) -> Result<DeclId> {
        let unit = match of {
            Match::New => None,
            Match::Same(old) => Some(*old),
            Match::Changed(names) => Some(names.old),
        };
        let known = unit.and_then(|unit| {
            let list = match kind {
                DeclKind::Global => &unit.globals,
                DeclKind::Tag => &unit.tags,
                _ => &unit.tables,
            };
            list.get(index).copied().flatten()
        });
        self.known_or_new(known, kind)
    }

    /// A new piece of a custom section, of an object of this name.
    pub(crate) fn new_piece(&mut self, name: &str) -> Result<DeclId> {
        let decl = self.declare(DeclKind::Custom)?;
        self.program.set_name(decl, Some(name))?;
        Ok(decl)
    }

    /// Goes on with a piece of strings, for an object of the new link.
    pub(crate) fn keep_strings(&mut self, object: usize, piece: StringPiece) {
        self.keep(piece.decl);
        self.new.units.edit(object).strings.push(piece);
    }

    fn known_or_new(&mut self, known: Option<DeclId>, kind: DeclKind) -> Result<DeclId> {
        match known {
            Some(id) => Ok(self.keep(id)),
            None => self.declare(kind),
        }
    }

    /// What was known and is not there any more.
    pub(crate) fn gone(&self) -> Vec<DeclId> {
        let mut gone = Vec::new();
        let mut visit = |id: DeclId| {
            if !self.kept[id.index()] {
                gone.push(id);
            }
        };
        for unit in self.old.units.iter() {
            unit.functions.iter().flatten().for_each(|id| visit(*id));
            for list in [&unit.globals, &unit.tags, &unit.tables, &unit.customs] {
                list.iter().flatten().for_each(|id| visit(*id));
            }
            for segment in &unit.segments {
                if let SegmentPlacement::Part(id, _) = segment {
                    visit(*id);
                }
            }
            unit.strings.iter().for_each(|piece| visit(piece.decl));
        }
        self.old.synthetic.values().for_each(|id| visit(*id));
        self.old.strings.values().for_each(|id| visit(*id));
        gone.sort_unstable();
        gone.dedup();
        gone
    }
}

/// The names that an object defines for others.
fn definitions(object: &Object) -> impl Iterator<Item = &[u8]> {
    let symbols = object.symbols.iter();
    let shared = symbols.filter(|symbol| !symbol.is_local() && !symbol.is_undefined());
    shared.map(|symbol| object.bytes(symbol.name))
}

/// Takes the next declaration of a name.
pub(crate) fn take_name(names: &mut HashMap<Box<str>, Vec<DeclId>>, name: &str) -> Option<DeclId> {
    names.get_mut(name)?.pop()
}

/// What was known of an object.
pub(crate) enum Match<'a> {
    New,
    /// It is the same object.
    Same(&'a ObjectDeclarations),
    /// Another one is in its place.
    Changed(Box<Names<'a>>),
}

impl<'a> Match<'a> {
    /// What was known of the object, or of the one that was in its place.
    pub(crate) fn old(&self) -> Option<&'a ObjectDeclarations> {
        match self {
            Match::New => None,
            Match::Same(old) => Some(old),
            Match::Changed(names) => Some(names.old),
        }
    }
}

/// What an object declared, by name; of several that have one name the first is the last of the list.
pub(crate) struct Names<'a> {
    old: &'a ObjectDeclarations,
    pub(crate) functions: HashMap<Box<str>, Vec<DeclId>>,
    pub(crate) segments: HashMap<Box<str>, Vec<DeclId>>,
    pub(crate) customs: HashMap<Box<str>, Vec<DeclId>>,
}

impl<'a> Names<'a> {
    /// Those of an object's declarations; without the object there are none.
    pub(crate) fn of(old: &'a ObjectDeclarations, object: Option<&Object>) -> Names<'a> {
        let mut functions: HashMap<Box<str>, Vec<DeclId>> = HashMap::default();
        let mut segments: HashMap<Box<str>, Vec<DeclId>> = HashMap::default();
        let mut customs: HashMap<Box<str>, Vec<DeclId>> = HashMap::default();
        let Some(object) = object else {
            return Names {
                old,
                functions,
                segments,
                customs,
            };
        };
        let names = function_names(object);
        for (index, id) in old.functions.iter().enumerate().rev() {
            if let Some(id) = id {
                functions.entry(names[index].into()).or_default().push(*id);
            }
        }
        for (index, placed) in old.segments.iter().enumerate().rev() {
            if let SegmentPlacement::Part(id, 0) = placed {
                let name = object.str(object.segments[index].name);
                segments.entry(name.into()).or_default().push(*id);
            }
        }
        for (index, id) in old.customs.iter().enumerate().rev() {
            if let Some(id) = id {
                let name = object.str(object.custom_sections[index].name);
                customs.entry(name.into()).or_default().push(*id);
            }
        }
        Names {
            old,
            functions,
            segments,
            customs,
        }
    }
}

/// The name of each function that an object defines: that of its first symbol.
pub(crate) fn function_names(object: &Object) -> Vec<&str> {
    let mut names = vec![""; object.functions.len()];
    for (index, symbol) in object.symbols.iter().enumerate() {
        let function: Option<FunctionIndex> = symbol.function();
        if let Some(function) = function.filter(|_| !symbol.is_undefined())
            && let Some(function) = object.defined_function(function)
            && names[function].is_empty()
        {
            names[function] = object.symbol_name(SymbolIndex(index as u32));
        }
    }
    names
}
