//! Custom sections: names become those of the declarations, some sections are kept, and those that would be wrong
//! once code has moved are dropped and said to be.

use wasmparser::{
    BinaryReader, CustomSectionReader, IndirectNameMap, Name, NameMap, NameSectionReader,
};

use crate::layout::FILLED_NUMBERS;
use crate::patch::Customs;
use crate::program::DeclKind;
use crate::whole::spaces::{Items, space};
use crate::wire::section;

/// What came of a module's custom sections.
#[derive(Debug, Default)]
pub(crate) struct CustomSections {
    pub(crate) kept: Customs,
    /// What had to be dropped, by the name it is known by.
    pub(crate) dropped: Vec<String>,
    /// Whether the module is an output of wasmend.
    is_output: bool,
    /// Whether what is kept goes to a patchable file.
    is_patchable: bool,
    names: Vec<(DeclKind, u32, Box<str>)>,
}

impl CustomSections {
    /// Of a module that is an output of wasmend or not, and becomes a part of a patchable file or not.
    pub(crate) fn new(is_output: bool, is_patchable: bool) -> Self {
        CustomSections {
            is_output,
            is_patchable,
            ..CustomSections::default()
        }
    }

    /// Takes in one section.
    pub(crate) fn add(&mut self, section: &CustomSectionReader<'_>) {
        let (name, data) = (section.name(), section.data());
        let before_data = (section.data_offset() - section.range().start) as usize;
        let push = match self.is_patchable {
            true => section::push_kept,
            false => section::push_custom,
        };
        match name {
            _ if self.is_output && section::is_own(name, before_data - name.len()) => {}
            "name" => self.add_names(BinaryReader::new(data, section.data_offset())),
            "dylink" | "dylink.0" => push(&mut self.kept.front, name, data),
            _ if goes_wrong(name) => self.drop_once(name.to_owned()),
            _ => push(&mut self.kept.tail, name, data),
        }
    }

    fn drop_once(&mut self, what: String) {
        if !self.dropped.contains(&what) {
            self.dropped.push(what);
        }
    }

    /// Takes what it can of a name section: what is malformed in it ends it, as engines do.
    fn add_names(&mut self, reader: BinaryReader<'_>) {
        for name in NameSectionReader::new(reader) {
            let Ok(name) = name else {
                self.drop_once("the malformed rest of the name section".to_owned());
                return;
            };
            use DeclKind::*;
            match name {
                Name::Module { name, .. } => self.kept.module_name = Some(name.into()),
                Name::Function(map) => self.add_map(Function, map),
                Name::Table(map) => self.add_map(Table, map),
                Name::Memory(map) => self.add_map(Memory, map),
                Name::Global(map) => self.add_map(Global, map),
                Name::Element(map) => self.add_map(ElementSegment, map),
                Name::Data(map) => self.add_map(DataSegment, map),
                Name::Tag(map) => self.add_map(Tag, map),
                Name::Local(map) => self.drop_names("local names", map),
                Name::Label(map) => self.drop_names("label names", map),
                Name::Field(map) => self.drop_names("field names", map),
                Name::Parameter(map) | Name::TagParameter(map) => {
                    self.drop_names("parameter names", map);
                }
                Name::Type(map) => {
                    if map.names.clone().next().is_some() {
                        self.drop_once("type names".to_owned());
                    }
                }
                Name::Unknown { ty, .. } => self.drop_once(format!("names of kind {ty}")),
            }
        }
    }

    fn add_map(&mut self, kind: DeclKind, map: NameMap<'_>) {
        let mut names = map.names;
        loop {
            let start = names.original_position();
            let naming = match names.next() {
                Some(Ok(naming)) => naming,
                Some(Err(_)) => {
                    return self.drop_once("the malformed rest of the name section".to_owned());
                }
                None => return,
            };
            let numbers = (names.original_position() - start) as usize - naming.name.len();
            let name = match self.is_output && numbers == FILLED_NUMBERS {
                true => naming.name.trim_end_matches(' '),
                false => naming.name,
            };
            match name {
                "" if !self.is_output => self.drop_once("empty names".to_owned()),
                "" => {}
                name => self.names.push((kind, naming.index, name.into())),
            }
        }
    }

    fn drop_names(&mut self, what: &str, map: IndirectNameMap<'_>) {
        if map.names.clone().next().is_some() {
            self.drop_once(what.to_owned());
        }
    }

    /// Gives the declarations their names.
    pub(crate) fn name(&mut self, spaces: &mut [Items]) {
        for (kind, index, name) in self.names.drain(..) {
            let item = space(kind).and_then(|space| spaces[space].get_mut(index as usize));
            if let Some(item) = item {
                item.name.get_or_insert(name);
            }
        }
    }
}

/// Whether a section holds offsets or indices that are wrong once code moves.
pub(crate) fn goes_wrong(name: &str) -> bool {
    matches!(
        name,
        "sourceMappingURL" | "external_debug_info" | "linking" | "coredump" | "compilationHints"
    ) || [".debug_", "reloc.", "metadata.code.", "llvm.func_attr."]
        .iter()
        .any(|prefix| name.starts_with(prefix))
}
