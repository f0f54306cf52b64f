//! The objects of a link as they are loaded: parsed, their names and types put into the program's tables.

use std::sync::Arc;

use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::link::inputs::{InputFile, Inputs};
use crate::link::symbols::names::{NameId, NameMap, NameSource, Names};
use crate::link::symbols::signatures::{SignatureId, Signatures};
use crate::link::symbols::{LazyId, ObjectId, SymbolId, SymbolType};
use crate::object::archive::ArchiveSymbol;
use crate::object::ids::SymbolIndex;
use crate::object::{MemberOffset, Object, Span, Symbol, SymbolKind};
use crate::parallel::{region, task};

/// What a symbol of an object means in the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SymbolRef(u32);

impl SymbolRef {
    /// What the object itself says: a local definition, or a section.
    pub const OWN: SymbolRef = SymbolRef(u32::MAX);

    pub(in crate::link) fn global(id: SymbolId) -> SymbolRef {
        SymbolRef(id.0)
    }

    /// The program's symbol, unless the object itself says what is meant.
    #[inline]
    pub fn symbol(self) -> Option<SymbolId> {
        (self != SymbolRef::OWN).then_some(SymbolId(self.0))
    }
}

/// An object that is, or may become, a part of the program.
#[derive(Debug, Clone)]
pub struct LinkedObject {
    /// The object.
    pub object: Arc<Object>,
    /// What each of its symbols means.
    pub refs: Vec<SymbolRef>,
    /// The program's number for each of its types.
    pub signatures: Vec<SignatureId>,
    /// For each of its COMDAT groups, whether the program takes it from this object.
    pub kept_comdats: Vec<bool>,
    /// Whether its init functions and retained segments are linked whether or not anything refers to it.
    pub is_live: bool,
    /// Whether it is loaded only if something needs it: a library's member, or what stands between `--start-lib` and `--end-lib`.
    pub is_lazy: bool,
    /// Names of its symbols, then of its COMDAT groups; [`NameId::NONE`] for those that others do not see.
    pub(in crate::link) names: Vec<NameId>,
}

impl LinkedObject {
    /// What a symbol means.
    #[inline]
    pub fn symbol_ref(&self, symbol: SymbolIndex) -> SymbolRef {
        self.refs[symbol.index()]
    }

    /// Whether a function is left out because another object's group of the same name was taken.
    #[inline]
    pub fn is_function_discarded(&self, function: usize) -> bool {
        let comdat = self.object.functions[function].comdat;
        comdat.is_some_and(|comdat| !self.kept_comdats[comdat.index()])
    }

    /// Whether a segment is left out because another object's group of the same name was taken.
    #[inline]
    pub fn is_segment_discarded(&self, segment: usize) -> bool {
        let comdat = self.object.segments[segment].comdat;
        comdat.is_some_and(|comdat| !self.kept_comdats[comdat.index()])
    }

    /// Whether what a symbol of the object stands for in the object itself is left out.
    pub(in crate::link) fn is_discarded(&self, symbol: &Symbol) -> bool {
        if self.kept_comdats.is_empty() {
            return false;
        }
        if let Some(function) = symbol.function() {
            let function = self.object.defined_function(function);
            return function.is_some_and(|function| self.is_function_discarded(function));
        }
        let segment = symbol.segment();
        segment.is_some_and(|segment| self.is_segment_discarded(segment.index()))
    }
}

/// The names of an object: symbols, then COMDAT groups.
struct ObjectNames<'a>(&'a Object);

impl NameSource for ObjectNames<'_> {
    fn count(&self) -> usize {
        self.0.symbols.len() + self.0.comdats.len()
    }

    fn name(&self, place: usize) -> Option<(Span, u64)> {
        match self.0.symbols.get(place) {
            Some(symbol) if symbol.is_local() || symbol.kind == SymbolKind::Section => None,
            Some(symbol) => Some((symbol.name, self.0.hashes[place])),
            None => {
                let comdat = &self.0.comdats[place - self.0.symbols.len()];
                Some((comdat.name, comdat.hash))
            }
        }
    }
}

struct IndexNames<'a>(&'a [ArchiveSymbol]);

impl NameSource for IndexNames<'_> {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn name(&self, place: usize) -> Option<(Span, u64)> {
        Some((self.0[place].name, self.0[place].hash))
    }
}

/// A file that is linked only if it defines what is needed.
#[derive(Debug)]
pub(in crate::link) struct LazyFile {
    /// Which file of the command line it is or is in.
    file: u32,
    /// Its place in the archive, if it is there.
    member: Option<MemberOffset>,
    /// The object, once it was read.
    unit: Option<ObjectId>,
    /// Whether it is a part of the program.
    pub(in crate::link) extracted: bool,
}

/// What a file of the command line becomes.
#[derive(Debug)]
pub(in crate::link) enum Step {
    /// Objects that are linked, whatever they define.
    Eager(Vec<ObjectId>),
    /// Definitions that are linked if they are needed: by name, the file that has them.
    Lazy(Vec<(NameId, LazyId)>),
}

/// The type of an object's symbol, if it is of a kind that has one. `signatures` are the program's numbers for the object's
/// types.
pub(in crate::link) fn symbol_type(
    object: &Object,
    signatures: &[SignatureId],
    symbol: &Symbol,
) -> SymbolType {
    match symbol.kind {
        SymbolKind::Function => symbol.function().map_or(SymbolType::None, |id| {
            SymbolType::Signature(signatures[object.function_type(id).index()])
        }),
        SymbolKind::Global => symbol.global().map_or(SymbolType::None, |id| {
            SymbolType::Global(object.global_type(id))
        }),
        SymbolKind::Table => symbol.table().map_or(SymbolType::None, |id| {
            SymbolType::Table(object.table_type(id).element)
        }),
        SymbolKind::Tag => symbol.tag().map_or(SymbolType::None, |id| {
            SymbolType::Signature(signatures[object.tag_type(id).index()])
        }),
        SymbolKind::Data | SymbolKind::Section => SymbolType::None,
    }
}

/// All objects that were loaded, and the files that could be.
#[derive(Debug)]
pub(in crate::link) struct LoadedObjects {
    pub(in crate::link) units: Vec<LinkedObject>,
    pub(in crate::link) lazies: Vec<LazyFile>,
    pub(in crate::link) names: Names,
    pub(in crate::link) signatures: Signatures,
    /// Where members come from.
    inputs: Inputs,
    /// Whether all objects are live that are loaded.
    all_live: bool,
}

impl LoadedObjects {
    /// Loads what the command line names; `all_live` says that nothing of what is loaded will be dropped. Returns what is to
    /// be done with each file, in order.
    pub(in crate::link) fn load(inputs: Inputs, all_live: bool) -> (LoadedObjects, Vec<Step>) {
        let mut units = LoadedObjects {
            units: Vec::new(),
            lazies: Vec::new(),
            names: Names::default(),
            signatures: Signatures::default(),
            inputs: Inputs::default(),
            all_live,
        };
        let mut objects: Vec<(Arc<Object>, bool)> = Vec::new();
        for file in inputs.files() {
            match file {
                InputFile::Object { object, .. } => objects.push((object.clone(), true)),
                InputFile::Archive(file) => {
                    objects.extend(
                        file.members
                            .iter()
                            .map(|member| (member.clone(), file.whole)),
                    );
                }
                InputFile::Stubs(_) | InputFile::PassedOver { .. } => {}
            }
        }
        let index_names = units.add(&objects, &inputs);
        let mut next = (0..objects.len() as u32).map(ObjectId);
        let mut index_names = index_names.into_iter();
        let mut steps = Vec::with_capacity(inputs.files.len());
        for (number, file) in inputs.files.iter().enumerate() {
            let number = number as u32;
            let step = match file {
                InputFile::Object { lazy: false, .. } => {
                    Step::Eager(next.by_ref().take(1).collect())
                }
                InputFile::Object { lazy: true, .. } => match next.next() {
                    Some(unit) => Step::Lazy(units.lazy_unit(number, unit)),
                    None => continue,
                },
                InputFile::Archive(file) if file.whole => {
                    Step::Eager(next.by_ref().take(file.members.len()).collect())
                }
                InputFile::Archive(file) if !file.archive.has_index() => {
                    let members = next.by_ref().take(file.members.len());
                    Step::Lazy(
                        members
                            .flat_map(|unit| units.lazy_unit(number, unit))
                            .collect(),
                    )
                }
                InputFile::Archive(file) => {
                    let names = index_names.next().unwrap_or_default();
                    Step::Lazy(units.lazy_members(number, file.archive.symbols(), &names))
                }
                InputFile::Stubs(_) | InputFile::PassedOver { .. } => Step::Eager(Vec::new()),
            };
            steps.push(step);
        }
        units.inputs = inputs;
        (units, steps)
    }

    /// Puts objects and the indices of archives into the tables. Returns the names of each index.
    fn add(&mut self, objects: &[(Arc<Object>, bool)], inputs: &Inputs) -> Vec<Vec<NameId>> {
        let object_names: Vec<ObjectNames<'_>> = objects
            .iter()
            .map(|(object, _)| ObjectNames(object))
            .collect();
        let archives: Vec<_> = inputs
            .files
            .iter()
            .filter_map(|file| match file {
                InputFile::Archive(file) if !file.whole && file.archive.has_index() => {
                    Some((file.archive.input(), IndexNames(file.archive.symbols())))
                }
                _ => None,
            })
            .collect();
        let mut sources: Vec<(_, &dyn NameSource)> = Vec::new();
        for ((object, _), names) in objects.iter().zip(&object_names) {
            sources.push((self.names.add_input(object.input().clone()), names));
        }
        for (input, names) in &archives {
            sources.push((self.names.add_input((*input).clone()), names));
        }
        let mut names = self.names.add_all(&sources);
        let index_names = names.split_off(objects.len());
        self.units.reserve(objects.len());
        for ((object, is_live), names) in objects.iter().zip(names) {
            self.units.push(LinkedObject {
                object: object.clone(),
                refs: Vec::new(),
                signatures: self.signatures.add_object(object),
                kept_comdats: Vec::new(),
                is_live: *is_live || self.all_live,
                is_lazy: !is_live,
                names,
            });
        }
        index_names
    }

    /// What an object that was read already defines for others.
    fn lazy_unit(&mut self, file: u32, unit: ObjectId) -> Vec<(NameId, LazyId)> {
        let lazy = LazyId(self.lazies.len() as u32);
        self.lazies.push(LazyFile {
            file,
            member: None,
            unit: Some(unit),
            extracted: false,
        });
        let linked = &mut self.units[unit.index()];
        linked.is_lazy = true;
        let symbols = linked.object.symbols.iter().zip(&linked.names);
        symbols
            .filter(|(symbol, _)| !symbol.is_local() && !symbol.is_undefined())
            .map(|(_, name)| (*name, lazy))
            .collect()
    }

    /// What an archive's index says its members define. The index is sorted by member.
    fn lazy_members(
        &mut self,
        file: u32,
        symbols: &[ArchiveSymbol],
        names: &[NameId],
    ) -> Vec<(NameId, LazyId)> {
        let mut last = None;
        let mut entries = Vec::with_capacity(names.len());
        for (symbol, name) in symbols.iter().zip(names) {
            if last != Some(symbol.member) {
                last = Some(symbol.member);
                self.lazies.push(LazyFile {
                    file,
                    member: Some(symbol.member),
                    unit: None,
                    extracted: false,
                });
            }
            entries.push((*name, LazyId(self.lazies.len() as u32 - 1)));
        }
        entries
    }

    fn read_lazy(inputs: &Inputs, file: u32, member: MemberOffset) -> Result<Arc<Object>> {
        let InputFile::Archive(archive) = &inputs.files[file as usize] else {
            return Err(Error::bad_input("not an archive"));
        };
        archive.object(member, inputs.access())
    }

    /// The object of a lazy file, read if it was not yet.
    pub(in crate::link) fn extract(&mut self, lazy: LazyId) -> Result<ObjectId> {
        let LazyFile {
            file, member, unit, ..
        } = self.lazies[lazy.0 as usize];
        let (None, Some(member)) = (unit, member) else {
            return unit.ok_or_else(|| Error::bad_input("a file without an object"));
        };
        let object = LoadedObjects::read_lazy(&self.inputs, file, member)?;
        let unit = ObjectId(self.units.len() as u32);
        self.add(&[(object, false)], &Inputs::default());
        self.lazies[lazy.0 as usize].unit = Some(unit);
        Ok(unit)
    }

    /// Reads the members that will probably be needed, on all cores: what is extracted is decided later, one by one,
    /// in the order that the rules demand. `wanted` are names that will be looked for in any case. Members that turn
    /// out to be malformed are left for later, when it is sure that they are needed.
    pub(in crate::link) fn read_ahead(&mut self, steps: &[Step], wanted: &[NameId]) {
        if self.lazies.is_empty() {
            return;
        }
        const NOBODY: u32 = u32::MAX;
        const DEFINED: u32 = u32::MAX - 1;
        let mut provider = NameMap::sized(&self.names, NOBODY);
        for step in steps {
            match step {
                Step::Eager(units) => {
                    for unit in units {
                        self.units[unit.index()]
                            .each_definition(|name| provider.set(name, DEFINED));
                    }
                }
                Step::Lazy(entries) => {
                    for (name, lazy) in entries {
                        if provider.get(*name) == NOBODY {
                            provider.set(*name, lazy.0);
                        }
                    }
                }
            }
        }
        let mut asked = vec![false; self.lazies.len()];
        let mut found: Vec<LazyId> = Vec::new();
        let mut ask = |name: NameId, found: &mut Vec<LazyId>| {
            let lazy = provider.get(name);
            if lazy < DEFINED && !std::mem::replace(&mut asked[lazy as usize], true) {
                found.push(LazyId(lazy));
            }
        };
        for name in wanted {
            ask(*name, &mut found);
        }
        for step in steps {
            if let Step::Eager(units) = step {
                for unit in units {
                    self.units[unit.index()].each_need(|name| ask(name, &mut found));
                }
            }
        }
        while !found.is_empty() {
            found.sort_unstable();
            let read = |lazy: &LazyId| {
                let lazy = &self.lazies[lazy.0 as usize];
                LoadedObjects::read_lazy(&self.inputs, lazy.file, lazy.member?).ok()
            };
            let read: Vec<Option<Arc<Object>>> =
                region(|| found.par_iter().map(|lazy| task(|| read(lazy))).collect());
            let mut objects = Vec::new();
            let mut new = Vec::new();
            for (lazy, object) in found.drain(..).zip(read) {
                let file = &mut self.lazies[lazy.0 as usize];
                if let Some(object) = object {
                    file.unit = Some(ObjectId((self.units.len() + objects.len()) as u32));
                    objects.push((object, false));
                }
                new.extend(file.unit);
            }
            self.add(&objects, &Inputs::default());
            for unit in new {
                self.units[unit.index()].each_need(|name| ask(name, &mut found));
            }
        }
    }

    /// The files of the command line.
    pub(in crate::link) fn inputs(&self) -> &Inputs {
        &self.inputs
    }

    /// What messages call a lazy file.
    pub(in crate::link) fn lazy_name(&self, lazy: LazyId) -> String {
        let file = &self.lazies[lazy.0 as usize];
        if let Some(unit) = file.unit {
            return self.units[unit.index()].object.display_name().to_owned();
        }
        match (&self.inputs.files[file.file as usize], file.member) {
            (InputFile::Archive(archive), Some(offset)) => {
                let archive = &archive.archive;
                let member = archive.member(offset, self.inputs.access());
                let name = member.map_or_else(|_| offset.0.to_string(), |member| member.name);
                format!("{}({name})", archive.input().path().display())
            }
            _ => String::new(),
        }
    }
}

impl LinkedObject {
    fn each_definition(&self, mut f: impl FnMut(NameId)) {
        for (symbol, name) in self.object.symbols.iter().zip(&self.names) {
            if !symbol.is_local() && !symbol.is_undefined() {
                f(*name);
            }
        }
    }

    fn each_need(&self, mut f: impl FnMut(NameId)) {
        for (symbol, name) in self.object.symbols.iter().zip(&self.names) {
            if !symbol.is_local() && symbol.is_undefined() && !symbol.is_weak() {
                f(*name);
            }
        }
    }
}
