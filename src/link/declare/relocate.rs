//! From an object's bytes and relocations to a definition's. Bytes stay in the object; relocations name declarations
//! instead of symbols.

use crate::error::{Error, Result};
use crate::hash::HashMap;
use crate::link::command::options::LinkOptions;
use crate::link::declare::known::ObjectDeclarations;
use crate::link::declare::placed::{PlacedByObject, PlacedStrings};
use crate::link::resolve::Resolution;
use crate::link::resolve::units::LinkedObject;
use crate::link::symbols::{ObjectId, SymbolId};
use crate::object::ids::{SegmentIndex, SymbolIndex};
use crate::object::reloc::Target;
use crate::object::{Object, Reloc, RelocField, RelocType, Relocs, Span, SymbolKind};
use crate::program::{Bytes, DeclId, RelocKind, RelocatableBytes, Relocation, TypeId};

/// `call` and `return_call`.
const CALLS: [u8; 2] = [0x10, 0x12];

/// Other data has the address 0 if nothing defines it and that is allowed.
const UNDEFINED_THREAD_DATA: &str = "what each thread has its own copy of must be defined, also where other symbols need not be: \
    link what defines it";

/// What a symbol means in the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ResolvedTarget {
    /// Nothing that anybody refers to.
    Nothing,
    /// A function. Those without an address are at address 0.
    Function {
        id: Option<DeclId>,
        has_address: bool,
    },
    /// A global, a table or a tag.
    Index(DeclId),
    /// A place in an object's segment.
    Segment(ObjectId, SegmentIndex, u32),
    /// A place in data that the linker makes.
    Data(DeclId, i64),
    /// An address, whatever moves.
    Absolute(i64),
    /// Address 0, whatever is added to it.
    Null,
}

impl ResolvedTarget {
    /// The global, table or tag, if it is one.
    fn index(self) -> Option<DeclId> {
        match self {
            ResolvedTarget::Index(id) => Some(id),
            _ => None,
        }
    }
}

/// All that relocations need to know of a link.
pub(crate) struct Converter<'a> {
    pub(crate) options: &'a LinkOptions,
    pub(crate) resolution: &'a Resolution,
    /// By symbol of the program.
    pub(crate) meanings: &'a [ResolvedTarget],
    /// By object.
    pub(crate) units: &'a [ObjectDeclarations],
    /// By signature.
    pub(crate) types: &'a [TypeId],
    /// Data at address 0.
    pub(crate) zero: DeclId,
    /// Globals that hold addresses.
    pub(crate) got: &'a HashMap<GotKey, DeclId>,
    /// The data that each thread has its own copy of.
    pub(crate) thread_data: Option<DeclId>,
    /// Where strings of debug information stand.
    pub(crate) strings: &'a PlacedByObject,
}

/// What an object's custom section is in the output.
#[derive(Clone, Copy)]
pub(super) enum Section<'a> {
    Nothing,
    Piece(DeclId),
    /// Each of its strings stands somewhere else.
    Strings(&'a PlacedStrings),
}

impl Section<'_> {
    /// What stands at an offset of it.
    #[inline]
    fn at(self, offset: i64) -> Option<(DeclId, i64)> {
        match self {
            Section::Nothing => None,
            Section::Piece(piece) => Some((piece, offset)),
            Section::Strings(strings) => Some(strings.at(offset)),
        }
    }
}

/// What a global holds the address of: a symbol of the program, or one of an object's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum GotKey {
    Global(SymbolId),
    Own(ObjectId, SymbolIndex),
}

impl Converter<'_> {
    /// A function's body. `code_relocs` are those of the object's code.
    pub(crate) fn function(
        &self,
        id: ObjectId,
        index: usize,
        code_relocs: &Relocs,
    ) -> Result<RelocatableBytes> {
        let linked = self.resolution.object(id);
        let object = &linked.object;
        let function = &object.functions[index];
        let relocs = function.relocs_of(code_relocs);
        let base = function.body.start - object.code.start;
        let code = object.bytes(function.body);
        let mut out = Vec::with_capacity(relocs.len());
        for reloc in relocs {
            let at = reloc.offset.wrapping_sub(base);
            let before = code.get((at as usize).wrapping_sub(1)).copied();
            let converted = self.convert(id, linked, code_relocs, reloc, at, before);
            out.push(converted.map_err(|error| {
                let name = object.function_name(index).unwrap_or("(unnamed)");
                error.with_symbol(name)
            })?);
        }
        content(object, function.body, out)
    }

    /// A piece of a custom section. What its fields refer to need not be linked.
    pub(crate) fn custom(&self, id: ObjectId, index: usize) -> Result<RelocatableBytes> {
        let object = &self.resolution.object(id).object;
        let custom = &object.custom_sections[index];
        let mut out = Vec::with_capacity(object.custom_reloc_capacity(custom));
        // Most fields name the same section as the one before, and there are millions.
        let mut last = None;
        object.each_custom_reloc(custom, |field| {
            let mut section_of = |symbol: SymbolIndex| match last {
                Some((known, section)) if known == symbol => section,
                _ => {
                    let section = self.section_of(id, object, symbol);
                    last = Some((symbol, section));
                    section
                }
            };
            out.push(self.convert_field(id, object, field, &mut section_of)?);
            Ok(())
        })?;
        content(object, custom.contents, out)
    }

    /// What the custom section is that a symbol of the object's stands for.
    pub(super) fn section_of(
        &self,
        id: ObjectId,
        object: &Object,
        symbol: SymbolIndex,
    ) -> Section<'_> {
        let section = object.symbols[symbol.index()].section();
        let place = section.and_then(|section| {
            let customs = &object.custom_sections;
            let place = customs.binary_search_by_key(&section, |custom| custom.section);
            place.ok()
        });
        let Some(place) = place else {
            return Section::Nothing;
        };
        match self.units[id.index()].customs[place] {
            Some(piece) => Section::Piece(piece),
            None => match self.strings.get(&(id, place)) {
                Some(strings) => Section::Strings(strings),
                None => Section::Nothing,
            },
        }
    }

    pub(super) fn convert_field<'s>(
        &self,
        id: ObjectId,
        object: &Object,
        field: RelocField,
        section_of: &mut impl FnMut(SymbolIndex) -> Section<'s>,
    ) -> Result<Relocation> {
        use RelocType::*;
        let RelocField { offset, addend, .. } = field;
        let fail = |what: &str| {
            let text = format!("relocation {} {what}", field.kind.name());
            Error::bad_input(text)
                .with_path(object.display_name())
                .with_offset(u64::from(offset))
        };
        let unexpected = || fail("cannot be used in a custom section");
        let Some(symbol) = field.symbol() else {
            return Err(unexpected());
        };
        let kind = match field.kind {
            FunctionOffsetI32 => RelocKind::FunctionOffsetI32,
            FunctionOffsetI64 => RelocKind::FunctionOffsetI64,
            SectionOffsetI32 => RelocKind::SectionOffsetI32,
            MemoryAddrI32 => RelocKind::AddressI32,
            MemoryAddrI64 => RelocKind::AddressI64,
            TableIndexI32 => RelocKind::SlotI32,
            TableIndexI64 => RelocKind::SlotI64,
            GlobalIndexI32 => RelocKind::GlobalIndexI32,
            FunctionIndexI32 => RelocKind::FunctionIndexI32,
            _ => return Err(unexpected()),
        };
        let target = match kind {
            RelocKind::SectionOffsetI32 => section_of(symbol).at(addend),
            _ => {
                // What the object says of its own code does not fit another object's code of the same name.
                let linked = self.resolution.object(id);
                let global = linked.symbol_ref(symbol).symbol();
                let place = global.map(|global| self.resolution.table.get(global).place());
                let is_own = matches!(place, None | Some(Some(_)))
                    && place.flatten().is_none_or(|(object, _)| object == id);
                let is_place = matches!(
                    kind,
                    RelocKind::FunctionOffsetI32 | RelocKind::FunctionOffsetI64
                );
                match self.meaning(id, linked, symbol) {
                    _ if is_place && !is_own => None,
                    ResolvedTarget::Function { id, has_address } => {
                        let slot = kind.is_slot();
                        id.filter(|_| has_address || !slot).map(|id| (id, addend))
                    }
                    ResolvedTarget::Index(id) => Some((id, addend)),
                    other if kind.is_address() => self.address(other, addend),
                    _ => None,
                }
            }
        };
        let narrow = |addend: i64| {
            let fits = i32::try_from(addend).or_else(|_| u32::try_from(addend).map(|at| at as i32));
            fits.map_err(|_| fail("has an addend that does not fit"))
        };
        Ok(match target {
            Some((target, addend)) => Relocation::new(kind, offset, target, narrow(addend)?),
            None => Relocation::to_nothing(kind, offset, narrow(addend)?),
        })
    }

    /// A segment's bytes, all of them.
    pub(crate) fn segment(&self, id: ObjectId, segment: SegmentIndex) -> Result<RelocatableBytes> {
        let object = &self.resolution.object(id).object;
        let relocs = self.segment_relocs(id, segment, 0)?;
        content(object, object.segments[segment.index()].data, relocs)
    }

    /// A segment's relocations, for where it begins at an offset of a declaration.
    pub(crate) fn segment_relocs(
        &self,
        id: ObjectId,
        segment: SegmentIndex,
        start: u32,
    ) -> Result<Vec<Relocation>> {
        let linked = self.resolution.object(id);
        let object = &linked.object;
        let relocs = object.segment_relocs(segment);
        let mut out = Vec::with_capacity(relocs.len());
        for reloc in relocs {
            let at = object.offset_in_segment(segment, reloc) + start;
            out.push(self.convert(id, linked, &object.data_relocs, reloc, at, None)?);
        }
        Ok(out)
    }

    #[inline]
    fn meaning(&self, id: ObjectId, linked: &LinkedObject, symbol: SymbolIndex) -> ResolvedTarget {
        match linked.symbol_ref(symbol).symbol() {
            Some(global) => self.meanings[global.index()],
            None => own_meaning(&self.units[id.index()], id, &linked.object, symbol),
        }
    }

    /// `at` is where the field stands in the definition, `before` the byte before it.
    #[inline]
    fn convert(
        &self,
        id: ObjectId,
        linked: &LinkedObject,
        relocs: &Relocs,
        reloc: &Reloc,
        at: u32,
        before: Option<u8>,
    ) -> Result<Relocation> {
        use RelocType::*;
        let object = &*linked.object;
        let symbol = match reloc.target() {
            Target::Type(ty) => {
                let signature = linked.signatures[ty.index()];
                let ty = self.types[signature.index()];
                return Ok(Relocation::to_type(RelocKind::TypeIndex, at, ty));
            }
            Target::Symbol(symbol) => symbol,
        };
        let fail = |what: &str| refused(object, reloc, symbol, at, what);
        let meaning = self.meaning(id, linked, symbol);
        let index = |kind: RelocKind, target: Option<DeclId>| {
            let target = target.ok_or_else(|| fail("is not linked"))?;
            Ok(Relocation::new(kind, at, target, 0))
        };
        let start = self.table_start(reloc.kind());
        let slot = |slot: RelocKind, null: RelocKind| match meaning {
            ResolvedTarget::Function {
                id: Some(id),
                has_address: true,
            } => Ok(Relocation::new(slot, at, id, start)),
            ResolvedTarget::Function { .. } => Ok(Relocation::new(null, at, self.zero, start)),
            _ => Err(fail("is no function")),
        };
        let address = |kind: RelocKind| {
            let place = self.place_in_memory(meaning, relocs.addend(reloc), kind);
            let (target, addend) = place.map_err(&fail)?;
            Ok(Relocation::new(kind, at, target, addend))
        };
        let thread_offset = |kind: RelocKind| {
            if meaning == ResolvedTarget::Null {
                return Err(fail("nothing defines").with_hint(UNDEFINED_THREAD_DATA));
            }
            let offset = self.thread_offset(meaning, relocs.addend(reloc));
            let offset = offset.ok_or_else(|| fail("is not thread-local, or too far away"))?;
            Ok(Relocation::new(kind, at, self.zero, offset))
        };
        match reloc.kind() {
            FunctionIndexLeb => {
                let kind = match before {
                    Some(code) if CALLS.contains(&code) => RelocKind::Call,
                    _ => RelocKind::FunctionIndex,
                };
                match meaning {
                    ResolvedTarget::Function { id, .. } => index(kind, id),
                    _ => Err(fail("is no function")),
                }
            }
            TableIndexSleb | TableIndexRelSleb => slot(RelocKind::SlotSleb, RelocKind::AddressSleb),
            TableIndexI32 => slot(RelocKind::SlotI32, RelocKind::AddressI32),
            TableIndexSleb64 | TableIndexRelSleb64 => {
                slot(RelocKind::SlotSleb64, RelocKind::AddressSleb64)
            }
            TableIndexI64 => slot(RelocKind::SlotI64, RelocKind::AddressI64),
            MemoryAddrLeb => address(RelocKind::AddressLeb),
            MemoryAddrSleb | MemoryAddrRelSleb => address(RelocKind::AddressSleb),
            MemoryAddrI32 => address(RelocKind::AddressI32),
            // Counted from the field, which the engine counts from the data that it is in.
            MemoryAddrLocrelI32 if before.is_none() => {
                let mut distance = address(RelocKind::DistanceI32)?;
                let addend = distance.addend.checked_sub_unsigned(at);
                distance.addend = addend.ok_or_else(|| fail("is too far from an address"))?;
                Ok(distance)
            }
            MemoryAddrLeb64 => address(RelocKind::AddressLeb64),
            MemoryAddrSleb64 | MemoryAddrRelSleb64 => address(RelocKind::AddressSleb64),
            MemoryAddrI64 => address(RelocKind::AddressI64),
            MemoryAddrTlsSleb => thread_offset(RelocKind::AddressSleb),
            MemoryAddrTlsSleb64 => thread_offset(RelocKind::AddressSleb64),
            GlobalIndexLeb => match meaning {
                ResolvedTarget::Index(id) => index(RelocKind::GlobalIndex, Some(id)),
                _ => index(RelocKind::GlobalIndex, self.got_global(id, symbol)),
            },
            TagIndexLeb => index(RelocKind::TagIndex, meaning.index()),
            TableNumberLeb => index(RelocKind::TableIndex, meaning.index()),
            TypeIndexLeb | FunctionOffsetI32 | FunctionOffsetI64 | SectionOffsetI32
            | GlobalIndexI32 | FunctionIndexI32 | MemoryAddrLocrelI32 => {
                Err(fail("cannot be referred to in this way in code and data"))
            }
        }
    }

    /// What a field of this kind that holds an address refers to.
    #[inline]
    fn place_in_memory(
        &self,
        meaning: ResolvedTarget,
        addend: i64,
        kind: RelocKind,
    ) -> std::result::Result<(DeclId, i32), &'static str> {
        let (target, addend) = self.address(meaning, addend).ok_or("is not linked")?;
        // Where threads share memory, the address of what each has a copy of is its distance from the copy's beginning, in
        // whatever way it is asked for.
        let target = match self.options.shared_memory && Some(target) == self.thread_data {
            true => self.zero,
            false => target,
        };
        let fits = i32::try_from(addend).ok();
        // A 32-bit address can be written as a negative number.
        let fits = fits.or_else(|| {
            let narrow = kind.width() < 8;
            (narrow && u32::try_from(addend).is_ok()).then_some(addend as u32 as i32)
        });
        Ok((target, fits.ok_or("is too far from an address")?))
    }

    /// What is added to a function's place in the table: where the place is counted from `__table_base`, whoever reads it adds
    /// that.
    fn table_start(&self, kind: RelocType) -> i32 {
        match kind {
            RelocType::TableIndexRelSleb | RelocType::TableIndexRelSleb64 => {
                self.options.first_slot().cast_signed().wrapping_neg()
            }
            _ => 0,
        }
    }

    /// How far an address is from the beginning of the data that each thread has its own copy of.
    fn thread_offset(&self, meaning: ResolvedTarget, addend: i64) -> Option<i32> {
        let (decl, offset) = self.address(meaning, addend)?;
        let is_own = Some(decl) == self.thread_data;
        i32::try_from(offset).ok().filter(|_| is_own)
    }

    /// The global that holds the address of what an object's symbol means.
    fn got_global(&self, id: ObjectId, symbol: SymbolIndex) -> Option<DeclId> {
        let key = match self.resolution.object(id).symbol_ref(symbol).symbol() {
            Some(global) => GotKey::Global(global),
            None => GotKey::Own(id, symbol),
        };
        self.got.get(&key).copied()
    }

    /// The declaration that an address is in, and the distance to its beginning.
    #[inline]
    pub(crate) fn address(&self, meaning: ResolvedTarget, addend: i64) -> Option<(DeclId, i64)> {
        match meaning {
            ResolvedTarget::Segment(object, segment, value) => {
                let placed = &self.units[object.index()].segments[segment.index()];
                // The symbol says which string of a segment is meant, wherever the addend leads.
                let (decl, offset) = placed.at(i64::from(value))?;
                Some((decl, offset + addend))
            }
            ResolvedTarget::Data(decl, offset) => Some((decl, offset + addend)),
            ResolvedTarget::Absolute(address) => Some((self.zero, address + addend)),
            ResolvedTarget::Null => Some((self.zero, 0)),
            _ => None,
        }
    }
}

/// What a symbol means that only its object sees.
pub(crate) fn own_meaning(
    unit: &ObjectDeclarations,
    id: ObjectId,
    object: &Object,
    symbol: SymbolIndex,
) -> ResolvedTarget {
    let symbol = &object.symbols[symbol.index()];
    let index = |list: &[Option<DeclId>], index: Option<usize>| {
        let id = index.and_then(|index| list[index]);
        id.map_or(ResolvedTarget::Nothing, ResolvedTarget::Index)
    };
    match symbol.kind {
        SymbolKind::Function => {
            let function = symbol.function().and_then(|id| object.defined_function(id));
            ResolvedTarget::Function {
                id: function.and_then(|function| unit.functions[function]),
                has_address: true,
            }
        }
        SymbolKind::Data => match symbol.segment() {
            Some(segment) => ResolvedTarget::Segment(id, segment, symbol.value),
            None => ResolvedTarget::Absolute(i64::from(symbol.value)),
        },
        SymbolKind::Global => {
            let global = symbol.global().and_then(|id| object.defined_global(id));
            index(&unit.globals, global)
        }
        SymbolKind::Tag => {
            let tag = symbol.tag().and_then(|id| object.defined_tag(id));
            index(&unit.tags, tag)
        }
        SymbolKind::Table => {
            let table = symbol.table().and_then(|id| object.defined_table(id));
            index(&unit.tables, table)
        }
        SymbolKind::Section => ResolvedTarget::Nothing,
    }
}

fn content(object: &Object, span: Span, relocs: Vec<Relocation>) -> Result<RelocatableBytes> {
    let bytes = Bytes::Shared {
        input: object.input().clone(),
        start: span.start,
        len: span.len,
    };
    RelocatableBytes::new(bytes, relocs).map_err(|error| error.with_path(object.display_name()))
}

/// Why a field of code or data cannot be converted.
#[cold]
fn refused(object: &Object, reloc: &Reloc, symbol: SymbolIndex, at: u32, what: &str) -> Error {
    let name = object.symbol_name(symbol);
    let kind = reloc.kind().name();
    Error::bad_input(format!("relocation {kind} against `{name}`, which {what}"))
        .with_path(object.display_name())
        .with_offset(u64::from(at))
}
