//! All of the layout together, and the place of each declaration in it.

use std::sync::Arc;

use crate::layout::customs::{CustomIndex, CustomSpace, RegionIndex};
use crate::layout::data::DataSpace;
use crate::layout::exports::ExportSpace;
use crate::layout::functions::{FunctionSpace, Ordinal};
use crate::layout::globals::GlobalSpace;
use crate::layout::kinds::SectionKind;
use crate::layout::names::NameSpace;
use crate::layout::raw::RawItems;
use crate::layout::sections::{CodeMustMove, IDENTITY_LEN, Sections, Span};
use crate::layout::slots::{Slot, SlotSpace};
use crate::layout::types::TypeSpace;
use crate::program::DeclId;
use crate::transaction::{Log, LogMap, Saved, Transaction};

/// What decides how things are laid out; the same for the life of a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct LayoutOptions {
    /// Functions are called through a thunk at a fixed index, from the start.
    pub(crate) thunks: bool,
    /// One pool of types for all declarations.
    pub(crate) interned_types: bool,
    /// Function names are written.
    pub(crate) names: bool,
    /// Thunks and forwarders use tail calls, because the program does.
    pub(crate) tail_calls: bool,
    /// Above this many call sites a moved function leaves a forwarder instead of having its callers rewritten.
    pub(crate) fan_in: usize,
    /// The first slot of the table.
    pub(crate) first_slot: u32,
    /// The table of slots is indexed with 64 bits.
    pub(crate) table64: bool,
    /// The table of slots may grow beyond what it has.
    pub(crate) growable_table: bool,
    /// Pieces of custom sections name offsets of code.
    pub(crate) code_offsets: bool,
    /// Instances that run take patches: every function has a slot, and neither slots nor addresses of data are used again.
    pub(crate) live: bool,
    /// Without pads, reserves, slack, spare slots and identity: an output that is not to be patched.
    pub(crate) dense: bool,
}

/// Where a declaration stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Nowhere yet, or no more.
    None,
    /// A function: the ordinal that its references name, the one where its code stands, and its slot.
    Function {
        entry: Ordinal,
        body: Ordinal,
        slot: Option<Slot>,
    },
    /// An imported function.
    ImportedFunction { index: u32, slot: Option<Slot> },
    /// A defined global.
    Global(Ordinal),
    /// An imported global, or a table, memory, tag, element or data segment.
    Index(u32),
    /// Data: its address and the bytes it may take there.
    Data { address: u64, cap: u64 },
    /// A piece of a custom section: which of the sections, and which of its regions.
    Custom {
        section: CustomIndex,
        region: RegionIndex,
    },
}

impl Place {
    /// The function's slot, if it has one.
    pub(crate) fn slot(self) -> Option<Slot> {
        match self {
            Place::Function { slot, .. } | Place::ImportedFunction { slot, .. } => slot,
            _ => None,
        }
    }
}

/// Bytes of the slots' element segment before its entries: flags, table, offset expression, kind, count.
pub(crate) const SLOT_SEGMENT_HEADER: u64 = 1 + 5 + 7 + 1 + 5;

/// Bytes of what is written whole, without headers.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Lens {
    pub(crate) custom_front: u64,
    pub(crate) imports: u64,
    pub(crate) tables: u64,
    pub(crate) memories: u64,
    pub(crate) tags: u64,
    pub(crate) names_tail: u64,
    pub(crate) custom_tail: u64,
}

/// What stands in the name section before the names of defined functions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct NameFront {
    pub(crate) module_name: Option<Box<str>>,
    /// The entries of imported functions, and how many there are.
    pub(crate) imports: Vec<u8>,
    pub(crate) imported: u32,
}

impl NameFront {
    /// Bytes of the module's own name, header included.
    pub(crate) fn module_len(&self) -> u64 {
        let name = self.module_name.as_ref();
        name.map_or(0, |name| 11 + name.len() as u64)
    }
}

/// Where everything stands.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    pub(crate) options: LayoutOptions,
    pub(crate) types: TypeSpace,
    pub(crate) functions: FunctionSpace,
    pub(crate) globals: GlobalSpace,
    pub(crate) slots: SlotSpace,
    pub(crate) data: DataSpace,
    pub(crate) names: NameSpace,
    pub(crate) customs: CustomSpace,
    pub(crate) exports: ExportSpace,
    /// In the order of the import section.
    pub(crate) imports: Log<DeclId>,
    /// Defined tables, memories and tags in order.
    pub(crate) tables: Log<DeclId>,
    pub(crate) memories: Log<DeclId>,
    pub(crate) tags: Log<DeclId>,
    /// The program's own segments in order.
    pub(crate) elements: RawItems,
    pub(crate) data_segments: RawItems,
    /// Whether code names data segments: only then their number stands before the code.
    pub(crate) data_count: Saved<bool>,
    /// The table whose slots are handed out here.
    pub(crate) slot_table: Option<DeclId>,
    /// The function that unused slots point at.
    pub(crate) trap: Saved<Option<Ordinal>>,
    name_front: Saved<Arc<NameFront>>,
    pub(crate) start: Saved<Option<DeclId>>,
    /// Lengths of what is written whole.
    pub(crate) lens: Saved<Lens>,
    pub(crate) sections: Sections,
    places: Log<Place>,
    /// How many fields hold the address of each function, where thunks have slots too; without those that none does.
    addresses: LogMap<DeclId, u32, foldhash::fast::FixedState>,
    /// What got another place in this transaction, and where it stood: for the pieces of custom sections that name it.
    /// Empty if there were none.
    pub(crate) displaced: Vec<(DeclId, Place)>,
    /// Whether that is noted.
    notes_displaced: bool,
}

/// Bytes of the code section's contents before its first entry: the count.
const CODE_COUNT: u64 = 5;
/// Bytes of a code entry before the body: its size.
const CODE_SIZE: u64 = 5;

impl Layout {
    pub(crate) fn new(options: LayoutOptions) -> Self {
        Layout {
            options,
            types: TypeSpace::new(options.interned_types, options.dense),
            functions: FunctionSpace::new(),
            globals: GlobalSpace::default(),
            slots: SlotSpace::new(options.first_slot, options.live),
            data: DataSpace::new(options.live),
            names: NameSpace::default(),
            customs: CustomSpace::default(),
            exports: ExportSpace::default(),
            imports: Log::default(),
            tables: Log::default(),
            memories: Log::default(),
            tags: Log::default(),
            elements: RawItems::default(),
            data_segments: RawItems::default(),
            data_count: Saved::default(),
            slot_table: None,
            trap: Saved::default(),
            name_front: Saved::default(),
            start: Saved::default(),
            lens: Saved::default(),
            sections: Sections::default(),
            places: Log::default(),
            addresses: LogMap::default(),
            displaced: Vec::new(),
            notes_displaced: false,
        }
    }

    /// Where a declaration stands.
    pub(crate) fn place(&self, id: DeclId) -> Place {
        self.places.get(id.index()).copied().unwrap_or(Place::None)
    }

    /// Makes room for the places of so many declarations.
    pub(crate) fn reserve_places(&mut self, count: usize) {
        self.places.reserve(count);
    }

    pub(crate) fn set_place(&mut self, id: DeclId, place: Place) {
        while self.places.len() <= id.index() {
            self.places.push(Place::None);
        }
        if self.notes_displaced {
            self.displaced.push((id, self.place(id)));
        }
        self.places.set(id.index(), place);
    }

    /// Notes that a piece of a custom section stands elsewhere in its section than before, though its region counts as it did.
    pub(crate) fn note_shifted(&mut self, id: DeclId) {
        if self.notes_displaced {
            self.displaced.push((id, Place::None));
        }
    }

    /// Where the body in an ordinal's place begins, from the beginning of the code section's contents.
    pub(crate) fn code_offset(&self, ordinal: Ordinal) -> u64 {
        let offset = self.functions.slot(ordinal).offset;
        u64::from(offset) - self.code_front() + CODE_COUNT + CODE_SIZE
    }

    /// Whether the first code entry must begin where it does, because custom sections may name offsets of code.
    pub(crate) fn keeps_code_front(&self) -> bool {
        self.options.code_offsets
    }

    /// Offset of the first code entry, from the section's anchor.
    pub(crate) fn code_front(&self) -> u64 {
        let first = self.functions.slots_from(self.functions.first()).first();
        first
            .map_or(self.functions.end_offset(), |first| first.offset)
            .into()
    }

    /// Whether a function's slot is its address for some other declaration, where slots are for thunks too.
    pub(crate) fn is_address_taken(&self, id: DeclId) -> bool {
        self.addresses.contains_key(&id)
    }

    /// Counts the fields that hold a function's address; returns whether it is taken now and was not, or the reverse.
    pub(crate) fn count_addresses(&mut self, id: DeclId, by: i64) -> bool {
        let before = self.addresses.get(&id).copied().unwrap_or(0);
        let after = u32::try_from(i64::from(before) + by).unwrap_or(0);
        match after {
            0 => self.addresses.remove(&id),
            after => self.addresses.insert(id, after),
        }
        (before == 0) != (after == 0)
    }

    /// What stands in the name section before the names of defined functions.
    pub(crate) fn name_front(&self) -> &NameFront {
        &self.name_front
    }

    /// Sets that. The names behind it keep their places: it is the front of the section that moves.
    pub(crate) fn set_name_front(&mut self, front: NameFront) {
        let len = front.module_len() + front.imports.len() as u64;
        self.sections.set_name_front(len);
        *self.name_front = Arc::new(front);
    }

    /// Bytes of the slots' element segment, its header included.
    pub(crate) fn slot_segment_len(&self) -> u64 {
        if self.slot_table.is_some() {
            SLOT_SEGMENT_HEADER + 5 * u64::from(self.slots.len())
        } else {
            0
        }
    }

    /// The index of the program's first element segment: behind the slots' own.
    pub(crate) fn first_element(&self) -> u32 {
        u32::from(self.slot_table.is_some())
    }

    /// The index of the program's first data segment: behind the images of placed data.
    pub(crate) fn first_data_segment(&self) -> u32 {
        self.data.images().len() as u32
    }

    /// Where something that has an index stands among its like, of which the first has the index `first`.
    pub(crate) fn position(&self, id: DeclId, first: u32) -> Option<usize> {
        match self.place(id) {
            Place::Index(index) => index.checked_sub(first).map(|at| at as usize),
            _ => None,
        }
    }

    /// Index of a function, as references name it.
    pub(crate) fn function_index(&self, id: DeclId) -> Option<u32> {
        match self.place(id) {
            Place::Function { entry, .. } => Some(self.functions.index(entry)),
            Place::ImportedFunction { index, .. } => Some(index),
            _ => None,
        }
    }

    /// What a section needs now, or `None` if it is not there.
    pub(crate) fn span(&self, kind: SectionKind) -> Option<Span> {
        let whole = |len: u64, value: usize| {
            (len > 0).then_some(Span {
                front: 0,
                end: len,
                value: value as u32,
            })
        };
        let lens = *self.lens;
        match kind {
            SectionKind::CustomFront => whole(lens.custom_front, 0),
            SectionKind::Type => Some(Span {
                front: 0,
                end: self.types.end_offset().into(),
                value: self.types.entries(),
            }),
            SectionKind::Import => whole(lens.imports, self.imports.len()),
            SectionKind::Function => {
                let (first, end) = (self.functions.first().0, self.functions.end().0);
                Some(Span {
                    front: 5 * u64::from(first),
                    end: 5 * u64::from(end),
                    value: self.functions.count(),
                })
            }
            SectionKind::Table => whole(lens.tables, self.tables.len()),
            SectionKind::Memory => whole(lens.memories, self.memories.len()),
            SectionKind::Tag => whole(lens.tags, self.tags.len()),
            SectionKind::Global => (self.globals.count() > 0).then(|| Span {
                front: self.globals.slot(self.globals.first()).offset.into(),
                end: self.globals.end_offset().into(),
                value: self.globals.count(),
            }),
            SectionKind::Export => whole(self.exports.byte_len(), self.exports.count() as usize),
            SectionKind::Start => {
                let value = (*self.start).and_then(|start| self.function_index(start))?;
                Some(Span {
                    front: 0,
                    end: 0,
                    value,
                })
            }
            SectionKind::Element => {
                let len = self.slot_segment_len() + self.elements.byte_len();
                whole(
                    len,
                    self.elements.len() + usize::from(self.slot_table.is_some()),
                )
            }
            SectionKind::DataCount => {
                let value = (self.data.images().len() + self.data_segments.len()) as u32;
                (*self.data_count && value > 0).then_some(Span {
                    front: 0,
                    end: 0,
                    value,
                })
            }
            SectionKind::Code => Some(Span {
                front: self.code_front(),
                end: self.functions.end_offset().into(),
                value: self.functions.count(),
            }),
            SectionKind::Custom(at) => whole(self.customs.section(at).end().into(), 0),
            SectionKind::Data => whole(
                self.data.len() + self.data_segments.byte_len(),
                self.data.images().len() + self.data_segments.len(),
            ),
            SectionKind::Name => self.options.names.then(|| Span {
                front: self.names.first_offset().into(),
                end: u64::from(self.names.end_offset()) + lens.names_tail,
                value: self.names.named() + self.name_front.imported,
            }),
            SectionKind::CustomTail => whole(lens.custom_tail, 0),
            SectionKind::Identity => Some(Span {
                front: 0,
                end: IDENTITY_LEN,
                value: 0,
            }),
        }
    }

    /// Gives all sections their places anew, each with a pad behind it; a larger one where a section has grown.
    pub(crate) fn lay_out_sections(&mut self, growth: Option<Growth<'_>>) {
        let mut sections = std::mem::take(&mut self.sections);
        sections.lay_out(
            |kind| self.span(kind),
            |kind| growth?.of(kind, self.span(kind)?, &self.customs),
        );
        self.sections = sections;
    }

    /// Gives every section the bytes that it needs now, from the pads between them. Returns the sections that moved.
    pub(crate) fn make_room(&mut self) -> Result<Vec<SectionKind>, CodeMustMove> {
        let mut sections = std::mem::take(&mut self.sections);
        let moved = sections.make_room(|kind| self.span(kind));
        self.sections = sections;
        moved
    }

    fn each(&mut self, mut f: impl FnMut(&mut dyn Transaction)) {
        f(&mut self.types);
        f(&mut self.functions);
        f(&mut self.globals);
        f(&mut self.slots);
        f(&mut self.data);
        f(&mut self.names);
        f(&mut self.customs);
        f(&mut self.exports);
        f(&mut self.imports);
        f(&mut self.tables);
        f(&mut self.memories);
        f(&mut self.tags);
        f(&mut self.elements);
        f(&mut self.data_segments);
        f(&mut self.data_count);
        f(&mut self.name_front);
        f(&mut self.start);
        f(&mut self.trap);
        f(&mut self.lens);
        f(&mut self.sections);
        f(&mut self.places);
        f(&mut self.addresses);
    }
}

/// By how much the sections of an output have grown that is laid out anew.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Growth<'a> {
    pub(crate) before: &'a Layout,
    /// Whether it is laid out anew because sections have grown.
    pub(crate) is_reason: bool,
}

impl Growth<'_> {
    /// How long a section was at first, and what room it has to have for its growth. Before the code nothing else can make
    /// room; behind it sections can go elsewhere, until that is too much to write.
    fn of(self, kind: SectionKind, span: Span, customs: &CustomSpace) -> Option<(u64, u64)> {
        let kind_before = match kind {
            SectionKind::Custom(at) => {
                let before = self.before.customs.find(customs.section(at).id);
                SectionKind::Custom(before?)
            }
            kind => kind,
        };
        let before = self.before.sections.get(kind_before);
        let len = span.end - span.front;
        let room = match kind {
            SectionKind::Identity => 0,
            kind if kind < SectionKind::Code => before.grown().min(len / 2),
            _ if self.is_reason => (before.grown() / 2).min(len / 12),
            _ => 0,
        };
        before.present.then_some((before.first_len, room))
    }
}

impl Transaction for Layout {
    fn begin(&mut self) {
        self.displaced.clear();
        self.notes_displaced = !self.customs.sections().is_empty();
        self.each(|part| part.begin());
    }

    fn commit(&mut self) {
        self.each(|part| part.commit());
    }

    fn rollback(&mut self) {
        self.each(|part| part.rollback());
    }
}
