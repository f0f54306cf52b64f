//! Custom sections: names become those of the declarations, some sections are kept, and those that would be wrong
//! once code has moved are dropped and said to be.

use wasmparser::{BinaryReader, IndirectNameMap, Name, NameMap, NameSectionReader};

use crate::patch::{BuildIdentity, Customs};
use crate::program::DeclKind;
use crate::whole::spaces::{Item, Items, space};
use crate::wire::section::{self, IDENTITY_NAME, PAD_NAME};

/// What came of a module's custom sections.
#[derive(Debug, Default)]
pub(crate) struct CustomSections<'a> {
    pub(crate) kept: Customs,
    /// What had to be dropped, by the name it is known by.
    pub(crate) dropped: Vec<String>,
    /// Set if the module is an output of wasmend.
    pub(crate) identity: Option<BuildIdentity>,
    /// Whether a name section was there.
    pub(crate) has_names: bool,
    names: Vec<(DeclKind, u32, Box<str>)>,
    tail: Vec<(String, &'a [u8])>,
}

impl<'a> CustomSections<'a> {
    /// Takes in one section; `data_offset` is where its contents stand in the file.
    pub(crate) fn add(&mut self, name: &str, data: &'a [u8], data_offset: u64) {
        match name {
            "name" => self.add_names(BinaryReader::new(data, data_offset)),
            IDENTITY_NAME => {
                self.identity = BuildIdentity::read(data).map(|(_, identity)| identity)
            }
            "dylink" | "dylink.0" => section::push_custom(&mut self.kept.front, name, data),
            _ if goes_wrong(name) => self.drop_once(name.to_owned()),
            _ => self.tail.push((name.to_owned(), data)),
        }
    }

    /// Keeps what is to be kept, once all sections are known: in an output of wasmend, pads are not.
    pub(crate) fn finish(&mut self) {
        let is_output = self.identity.is_some();
        for (name, data) in self.tail.drain(..) {
            // A pad too small for its name has none.
            if !is_output || (name != PAD_NAME && !name.is_empty()) {
                section::push_custom(&mut self.kept.tail, &name, data);
            }
        }
    }

    fn drop_once(&mut self, what: String) {
        if !self.dropped.contains(&what) {
            self.dropped.push(what);
        }
    }

    /// Takes what it can of a name section: what is malformed in it ends it, as engines do.
    fn add_names(&mut self, reader: BinaryReader<'_>) {
        self.has_names = true;
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
        for naming in map {
            match naming {
                Ok(naming) => self.names.push((kind, naming.index, naming.name.into())),
                Err(_) => {
                    self.drop_once("the malformed rest of the name section".to_owned());
                    return;
                }
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
            // An imported function is called what it is imported as.
            let is_named = |item: &&mut Item| kind != DeclKind::Function || item.import.is_none();
            // Trailing blanks fill up space in outputs of wasmend.
            let text = name.trim_end_matches(' ');
            if let Some(item) = item.filter(is_named).filter(|_| !text.is_empty()) {
                item.name.get_or_insert_with(|| text.into());
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
