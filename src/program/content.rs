//! A declaration's bytes and the relocations in them. The bytes stay where they came from and are copied once, into
//! the output. Nothing here knows where anything stands in the output.

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use crate::error::{Error, Result};
use crate::heap;
use crate::program::ids::{DeclId, TypeId};
use crate::wire::differences::Differences;
use crate::wire::leb;
use crate::wire::source::{Later, Source};

/// What a relocation's field holds and how it is encoded. All fields are of fixed width.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum RelocKind {
    /// Function index in a `call` or `return_call`; five bytes, unsigned.
    Call,
    /// Function index elsewhere (`ref.func`, element entries); five bytes, unsigned.
    FunctionIndex,
    /// Type index; five bytes, unsigned.
    TypeIndex,
    /// Type index as a heap or block type; five bytes, signed.
    HeapType,
    /// Global index; five bytes, unsigned.
    GlobalIndex,
    /// Table index; five bytes, unsigned.
    TableIndex,
    /// Table index in one byte, for engines that know one table only, whose index is a single zero.
    TableByte,
    /// How many entries the table of functions' addresses has, in the entry of the import that it is; five bytes, unsigned.
    TableLen,
    /// Tag index; five bytes, unsigned.
    TagIndex,
    /// Element segment index; five bytes, unsigned.
    ElementIndex,
    /// Data segment index; five bytes, unsigned.
    DataIndex,
    /// Memory index; one byte, because not every engine takes a padded one.
    MemoryIndex,
    /// A function's table slot in an `i32.const`; five bytes, signed.
    SlotSleb,
    /// A function's table slot in data; four bytes, little-endian.
    SlotI32,
    /// A function's table slot in an `i64.const`; ten bytes, signed.
    SlotSleb64,
    /// A function's table slot in data; eight bytes, little-endian.
    SlotI64,
    /// Address of data plus addend in a memory argument; five bytes, unsigned.
    AddressLeb,
    /// Address of data plus addend in an `i32.const`; five bytes, signed.
    AddressSleb,
    /// Address of data plus addend in data; four bytes, little-endian.
    AddressI32,
    /// Address of data plus addend in a memory argument; ten bytes, unsigned.
    AddressLeb64,
    /// Address of data plus addend in an `i64.const`; ten bytes, signed.
    AddressSleb64,
    /// Address of data plus addend in data; eight bytes, little-endian.
    AddressI64,
    /// Distance of data plus addend from the beginning of the data that the field is in; four bytes, little-endian.
    DistanceI32,
    /// Function index in a custom section; four bytes, little-endian.
    FunctionIndexI32,
    /// Global index in a custom section; four bytes, little-endian.
    GlobalIndexI32,
    /// Where a function's body stands, from the beginning of the code section's contents to its local declarations,
    /// plus addend; four bytes, little-endian.
    FunctionOffsetI32,
    /// The same in eight bytes.
    FunctionOffsetI64,
    /// Where a piece of a custom section stands in that section's contents, plus addend; four bytes, little-endian.
    SectionOffsetI32,
}

impl RelocKind {
    /// Width of the field in bytes.
    pub fn width(self) -> usize {
        use RelocKind::*;
        match self {
            MemoryIndex | TableByte => 1,
            SlotI32 | AddressI32 | DistanceI32 | FunctionIndexI32 | GlobalIndexI32
            | FunctionOffsetI32 | SectionOffsetI32 => 4,
            SlotI64 | AddressI64 | FunctionOffsetI64 => 8,
            SlotSleb64 | AddressLeb64 | AddressSleb64 => 10,
            _ => 5,
        }
    }

    /// How many of the field's first bytes can differ between two values. Engines take a million functions and globals:
    /// of the five bytes of an index, the last two are always the same.
    pub(crate) fn varies(self) -> usize {
        match self {
            RelocKind::Call | RelocKind::FunctionIndex | RelocKind::GlobalIndex => 3,
            _ => self.width(),
        }
    }

    /// Whether the target is a type; otherwise it is a declaration.
    pub fn targets_type(self) -> bool {
        matches!(self, RelocKind::TypeIndex | RelocKind::HeapType)
    }

    /// Whether the field holds a table slot.
    pub fn is_slot(self) -> bool {
        use RelocKind::*;
        matches!(self, SlotSleb | SlotI32 | SlotSleb64 | SlotI64)
    }

    /// Whether the field holds a function's index.
    pub fn is_function_index(self) -> bool {
        matches!(self, RelocKind::Call | RelocKind::FunctionIndex)
    }

    /// Whether the field is little-endian, as the fields of custom sections are.
    pub fn is_little_endian(self) -> bool {
        use RelocKind::*;
        matches!(
            self,
            SlotI32 | SlotI64 | AddressI32 | AddressI64 | DistanceI32
        ) || self.is_of_customs()
    }

    /// Writes a value into a field of this kind.
    #[inline]
    pub(crate) fn write(self, value: i64, field: &mut [u8]) {
        use RelocKind::*;
        match self {
            HeapType | SlotSleb64 | AddressSleb64 => leb::write_signed(field, value),
            MemoryIndex | TableByte => field[0] = value as u8,
            SlotSleb | AddressSleb => leb::write_signed(field, i64::from(value as i32)),
            SlotI32 | AddressI32 | DistanceI32 | FunctionIndexI32 | GlobalIndexI32
            | FunctionOffsetI32 | SectionOffsetI32 => {
                field.copy_from_slice(&(value as u32).to_le_bytes())
            }
            SlotI64 | AddressI64 | FunctionOffsetI64 => {
                field.copy_from_slice(&value.to_le_bytes());
            }
            AddressLeb64 => leb::write_unsigned(field, value as u64),
            _ => leb::write_unsigned(field, u64::from(value as u32)),
        }
    }

    /// Whether only custom sections have such fields.
    pub fn is_of_customs(self) -> bool {
        use RelocKind::*;
        matches!(
            self,
            FunctionIndexI32
                | GlobalIndexI32
                | FunctionOffsetI32
                | FunctionOffsetI64
                | SectionOffsetI32
        )
    }

    /// Whether the field holds an offset of code.
    pub(crate) fn is_code_offset(self) -> bool {
        matches!(
            self,
            RelocKind::FunctionOffsetI32 | RelocKind::FunctionOffsetI64
        )
    }

    /// Whether the field holds an address of data, or a distance to one.
    pub fn is_address(self) -> bool {
        use RelocKind::*;
        matches!(
            self,
            AddressLeb
                | AddressSleb
                | AddressI32
                | AddressLeb64
                | AddressSleb64
                | AddressI64
                | DistanceI32
        )
    }
}

/// The target of a relocation that refers to nothing. There are never as many declarations.
const NOTHING: u32 = u32::MAX;

/// A place in a declaration's bytes that holds another declaration's index, slot or address, or a type's index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Relocation {
    /// Offset of the field from the start of the declaration's bytes.
    pub offset: u32,
    /// Added to an address.
    pub addend: i32,
    pub(crate) target: u32,
    /// What the field holds.
    pub kind: RelocKind,
}

impl Relocation {
    /// A relocation against a declaration.
    pub fn new(kind: RelocKind, offset: u32, target: DeclId, addend: i32) -> Self {
        debug_assert!(!kind.targets_type());
        Relocation {
            offset,
            addend,
            target: target.0,
            kind,
        }
    }

    /// A relocation against a type.
    pub fn to_type(kind: RelocKind, offset: u32, target: TypeId) -> Self {
        debug_assert!(kind.targets_type());
        Relocation {
            offset,
            addend: 0,
            target: target.0,
            kind,
        }
    }

    /// A relocation of a custom section whose target does not exist: the field gets what says so.
    pub fn to_nothing(kind: RelocKind, offset: u32, addend: i32) -> Self {
        Relocation {
            offset,
            addend,
            target: NOTHING,
            kind,
        }
    }

    /// Whether both stand in the same place, and hold the same.
    #[cfg(any(feature = "link", test))]
    pub(crate) fn stands_like(&self, other: &Relocation) -> bool {
        self.offset == other.offset && self.kind == other.kind
    }

    /// Where the field stands.
    pub(crate) fn field(&self) -> Range<usize> {
        let start = self.offset as usize;
        start..start + self.kind.width()
    }

    /// Forgets the target, which does not exist any more.
    pub(crate) fn forget_target(&mut self) {
        self.target = NOTHING;
    }

    /// Makes a call of `from` a call of `to`.
    pub(crate) fn follow(&mut self, from: DeclId, to: DeclId) {
        if self.kind == RelocKind::Call && self.decl() == Some(from) {
            self.target = to.0;
        }
    }

    /// The declaration that the field refers to, unless it is a type or nothing.
    pub fn decl(&self) -> Option<DeclId> {
        (!self.kind.targets_type() && self.target != NOTHING).then_some(DeclId(self.target))
    }

    /// The type that the field refers to, if it is one.
    pub fn ty(&self) -> Option<TypeId> {
        self.kind.targets_type().then_some(TypeId(self.target))
    }
}

/// Bytes that are owned, or that stay in an input which several declarations share.
#[derive(Clone)]
pub enum Bytes {
    /// Bytes made for this declaration.
    Owned(Box<[u8]>),
    /// A range of a shared input, such as a mapped object file.
    Shared {
        /// The input.
        input: Arc<dyn Source>,
        /// Offset of the first byte in the input.
        start: u32,
        /// Number of bytes.
        len: u32,
    },
}

impl Bytes {
    /// The bytes themselves.
    pub fn as_slice(&self) -> &[u8] {
        match self {
            Bytes::Owned(bytes) => bytes,
            Bytes::Shared { input, start, len } => match input.part(*start, *len) {
                Some(part) => part,
                None => input.refuse(),
            },
        }
    }

    /// Number of bytes.
    fn len(&self) -> usize {
        match self {
            Bytes::Owned(bytes) => bytes.len(),
            Bytes::Shared { len, .. } => *len as usize,
        }
    }

    /// The bytes, unless they stay in an input that is not what it was.
    fn at_hand(&self) -> Option<&[u8]> {
        match self {
            Bytes::Owned(bytes) => Some(bytes),
            Bytes::Shared { input, start, len } => input.part(*start, *len),
        }
    }

    /// Whether both are the same part of the same input.
    fn is_same_part(&self, other: &Bytes) -> bool {
        match (self, other) {
            (
                Bytes::Shared { input, start, len },
                Bytes::Shared {
                    input: other,
                    start: others,
                    len: other_len,
                },
            ) => Arc::ptr_eq(input, other) && (start, len) == (others, other_len),
            _ => false,
        }
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::Owned(bytes.into())
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bytes({})", self.as_slice().len())
    }
}

/// Bytes with their relocations, sorted by offset. The bytes under a relocation carry no meaning.
#[derive(Debug, Clone)]
pub struct RelocatableBytes {
    bytes: Bytes,
    relocs: Fields,
}

/// The relocations of a definition, which others may share.
#[derive(Clone)]
enum Fields {
    Own(Box<[Relocation]>),
    Shared(SharedFields),
    Changed(Box<ChangedFields>),
}

/// Relocations that several definitions have in common.
pub(crate) type SharedFields = Arc<Box<[Relocation]>>;

/// A list of relocations, and what stands in it where another one has other ones, with their numbers.
type FieldChanges<'a> = (&'a [Relocation], &'a [(u32, Relocation)]);

/// Relocations that are those of another definition but for a few, which stand where those do.
#[derive(Clone)]
struct ChangedFields {
    base: SharedFields,
    /// The others, with their numbers, in order.
    changes: Box<[(u32, Relocation)]>,
    /// All of them, if anybody has asked.
    all: OnceLock<Box<[Relocation]>>,
}

impl ChangedFields {
    fn all(&self) -> Box<[Relocation]> {
        let mut all = (*self.base).clone();
        for (number, reloc) in &self.changes {
            all[*number as usize] = *reloc;
        }
        all
    }
}

impl Fields {
    #[inline]
    fn as_slice(&self) -> &[Relocation] {
        match self {
            Fields::Own(relocs) => relocs,
            Fields::Shared(relocs) => relocs,
            Fields::Changed(fields) => fields.all.get_or_init(|| fields.all()),
        }
    }

    fn as_mut(&mut self) -> &mut [Relocation] {
        self.settle();
        match self {
            Fields::Own(relocs) => relocs,
            Fields::Shared(relocs) => {
                let relocs: &mut Box<[Relocation]> = Arc::make_mut(relocs);
                relocs
            }
            Fields::Changed(_) => unreachable!("they have just been settled"),
        }
    }

    /// Makes changes in the list that they are of, which is copied if others share it.
    fn settle(&mut self) {
        if let Fields::Changed(fields) = self {
            let mut relocs = std::mem::take(&mut fields.base);
            let all: &mut Box<[Relocation]> = Arc::make_mut(&mut relocs);
            for (number, reloc) in &fields.changes {
                all[*number as usize] = *reloc;
            }
            *self = Fields::Shared(relocs);
        }
    }
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_slice().fmt(f)
    }
}

impl RelocatableBytes {
    /// Bytes with relocations.
    ///
    /// # Errors
    /// If a relocation lies outside the bytes, two overlap, or they are not sorted by offset.
    pub fn new(bytes: impl Into<Bytes>, relocs: impl Into<Box<[Relocation]>>) -> Result<Self> {
        let content = RelocatableBytes {
            bytes: bytes.into(),
            relocs: Fields::Own(relocs.into()),
        };
        let len = content.bytes.len();
        let mut end = 0;
        for reloc in content.relocs() {
            let start = reloc.offset as usize;
            if start < end {
                return Err(Error::bad_edit("relocations overlap or are not sorted")
                    .with_offset(start as u64));
            }
            end = start + reloc.kind.width();
            if end > len {
                return Err(ends_behind(len, start));
            }
        }
        Ok(content)
    }

    /// Changes relocations in their place; neither offset nor kind may change.
    pub(crate) fn relocs_mut(&mut self) -> &mut [Relocation] {
        self.relocs.as_mut()
    }

    /// The same with bytes of its own.
    #[cfg(feature = "link")]
    pub(crate) fn into_owned(self) -> Self {
        RelocatableBytes {
            bytes: Bytes::Owned(self.bytes.as_slice().into()),
            relocs: self.relocs,
        }
    }

    /// The same with nothing in it that stands elsewhere than where things are kept for other processes, if they are.
    pub(crate) fn adopted(mut self) -> Self {
        if !heap::adopts() {
            return self;
        }
        let bytes = self.bytes.as_slice();
        let is_own = matches!(self.bytes, Bytes::Owned(_));
        if !is_own || heap::is_foreign(bytes.as_ptr().addr()) {
            self.bytes = Bytes::Owned(bytes.into());
        }
        let relocs = self.relocs();
        let is_own = matches!(self.relocs, Fields::Own(_));
        if !is_own || heap::is_foreign(relocs.as_ptr().addr()) {
            self.relocs = Fields::Own(relocs.into());
        }
        self
    }

    /// The same with other targets.
    pub(crate) fn retarget(mut self, mut f: impl FnMut(&mut Relocation)) -> Self {
        self.relocs.as_mut().iter_mut().for_each(&mut f);
        self
    }

    /// The bytes, with unspecified values under the relocations.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.as_slice()
    }

    /// The relocations in order of their offsets.
    pub fn relocs(&self) -> &[Relocation] {
        self.relocs.as_slice()
    }

    /// Number of bytes.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The bytes, unless they stay in an input that is not what it was: only what is current can be such.
    pub(crate) fn bytes_at_hand(&self) -> Option<&[u8]> {
        self.bytes.at_hand()
    }

    /// Whether the bytes are where they were.
    pub(crate) fn is_at_hand(&self) -> bool {
        match &self.bytes {
            Bytes::Shared { input, start, len } => input.has(*start, *len),
            Bytes::Owned(_) => true,
        }
    }

    /// Where the bytes may differ from those of a later version, as far as both go, if they are not at hand. Where fields stand is
    /// left out.
    pub(crate) fn differences_unseen(&self, later: &RelocatableBytes) -> Vec<Range<usize>> {
        let relocs = later.changes_of(self);
        let relocs = relocs.map_or_else(|| later.relocs(), |(relocs, _)| relocs);
        match &self.bytes {
            Bytes::Shared { input, start, len } => {
                later.as_later(relocs, |later| input.differences((*start, *len), later))
            }
            Bytes::Owned(_) => Vec::new(),
        }
    }

    /// What these bytes are, to one that is not at hand; fields stand where those of `relocs` do.
    fn as_later<R>(&self, relocs: &[Relocation], compare: impl FnOnce(&mut Later<'_>) -> R) -> R {
        // They are of all fields that the input has there, some of which may not have become fields here.
        let hashes = match &self.bytes {
            Bytes::Shared { input, start, len } => input.hashes(*start, *len, relocs.len()),
            Bytes::Owned(_) => None,
        };
        compare(&mut Later {
            bytes: self.bytes(),
            fields: &mut relocs.iter().map(Relocation::field),
            hashes,
        })
    }

    /// Takes the same bytes from where they stand now: from a later version of their input, or from anywhere if they are not at hand
    /// where they were.
    pub(crate) fn stand_in(&mut self, bytes: Bytes) {
        let are_of_inputs = matches!(
            (&self.bytes, &bytes),
            (Bytes::Shared { .. }, Bytes::Shared { .. })
        );
        match are_of_inputs && !self.bytes.is_same_part(&bytes) {
            true => self.bytes = bytes,
            false => self.move_to(bytes),
        }
    }

    /// Takes the same bytes from somewhere else, if they are not at hand where they were.
    pub(crate) fn move_to(&mut self, bytes: Bytes) {
        if !self.is_at_hand() {
            self.bytes = bytes;
        }
    }

    /// Where the bytes stand.
    pub(crate) fn into_bytes(self) -> Bytes {
        self.bytes
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes with relocations of a definition.
    ///
    /// # Errors
    /// If a relocation lies outside the bytes.
    #[cfg(any(feature = "link", test))]
    pub(crate) fn with_fields(bytes: Bytes, fields: SharedFields) -> Result<Self> {
        let last = fields.last();
        let end = last.map_or(0, |last| last.offset as usize + last.kind.width());
        let content = RelocatableBytes {
            bytes,
            relocs: Fields::Shared(fields),
        };
        match end <= content.len() {
            true => Ok(content),
            false => Err(ends_behind(content.len(), end)),
        }
    }

    /// The same with a few other relocations, which are given with their numbers, in order: each stands where the one of that
    /// number does.
    ///
    /// # Errors
    /// If a relocation lies outside the bytes.
    ///
    /// # Panics
    /// If one stands elsewhere.
    #[cfg(any(feature = "link", test))]
    pub(crate) fn with_changed_fields(
        bytes: Bytes,
        fields: SharedFields,
        changes: Vec<(u32, Relocation)>,
    ) -> Result<Self> {
        for (number, reloc) in &changes {
            assert!(reloc.stands_like(&fields[*number as usize]));
        }
        let mut content = RelocatableBytes::with_fields(bytes, fields.clone())?;
        if !changes.is_empty() {
            content.relocs = Fields::Changed(Box::new(ChangedFields {
                base: fields,
                changes: changes.into(),
                all: OnceLock::new(),
            }));
        }
        Ok(content)
    }

    /// The relocations, to be shared with other definitions.
    #[cfg(any(feature = "link", test))]
    pub(crate) fn share_fields(&mut self) -> SharedFields {
        self.relocs.settle();
        if let Fields::Own(relocs) = &mut self.relocs {
            self.relocs = Fields::Shared(Arc::new(std::mem::take(relocs)));
        }
        match &self.relocs {
            Fields::Shared(relocs) => relocs.clone(),
            _ => unreachable!("they have just been made so"),
        }
    }

    /// Puts changed relocations into the list that they are of, once nobody else needs that.
    pub(crate) fn settle_fields(&mut self) {
        self.relocs.settle();
    }

    /// Relocations of another definition, and those that are other ones here, with their numbers: if these are all, and the
    /// lists need not be compared. They stand where those do.
    pub(crate) fn changes_of<'a>(
        &'a self,
        other: &'a RelocatableBytes,
    ) -> Option<FieldChanges<'a>> {
        match (&self.relocs, &other.relocs) {
            (Fields::Shared(own), Fields::Shared(other)) if Arc::ptr_eq(own, other) => {
                Some((own, &[]))
            }
            (Fields::Changed(own), Fields::Shared(other)) if Arc::ptr_eq(&own.base, other) => {
                Some((&own.base, &own.changes))
            }
            _ => None,
        }
    }

    /// Whether these bytes, which are not at hand, are those of another one with the same relocations, outside of these.
    fn had(&self, other: &RelocatableBytes) -> bool {
        match &self.bytes {
            Bytes::Shared { input, start, .. } => {
                other.as_later(self.relocs(), |later| input.had(*start, later))
            }
            Bytes::Owned(_) => false,
        }
    }

    /// Whether both have the same relocations and, outside of them, the same bytes.
    pub fn same_as(&self, other: &RelocatableBytes) -> bool {
        if self.len() != other.len() {
            return false;
        }
        // Lists of which one is the other with a few changes need not be written out to be compared.
        match self.changes_of(other).or_else(|| other.changes_of(self)) {
            Some((_, [])) => {}
            Some(_) => return false,
            None if self.relocs() == other.relocs() => {}
            None => return false,
        }
        if self.bytes.is_same_part(&other.bytes) {
            return true;
        }
        let (mine, theirs) = match (self.bytes.at_hand(), other.bytes.at_hand()) {
            (Some(mine), Some(theirs)) => (mine, theirs),
            (None, Some(_)) => return self.had(other),
            (Some(_), None) => return other.had(self),
            (None, None) => return false,
        };
        let mut differences = Differences::new(mine, theirs);
        let mut fields = self.relocs();
        while let Some(at) = differences.next() {
            let Some(end) = skip_to_field(&mut fields, at) else {
                return false;
            };
            differences.skip_to(end);
        }
        true
    }
}

/// Goes on to the last field that begins at a place or before it; if the place is within that field, returns where it ends. The
/// places asked for follow each other, most of them at a short distance.
pub(crate) fn skip_to_field(fields: &mut &[Relocation], at: usize) -> Option<usize> {
    let begins_behind = |index: usize| fields.get(index).is_none_or(|it| it.offset as usize > at);
    let mut step = 1;
    while !begins_behind(step) {
        step *= 2;
    }
    let near = &fields[..step.min(fields.len())];
    let next = near.partition_point(|reloc| reloc.offset as usize <= at);
    *fields = &fields[next.saturating_sub(1)..];
    let field = fields.first().filter(|_| next > 0)?;
    let end = field.offset as usize + field.kind.width();
    (at < end).then_some(end)
}

#[cold]
fn ends_behind(len: usize, at: usize) -> Error {
    let text = format!("a relocation ends behind the {len} bytes of the definition");
    Error::bad_edit(text).with_offset(at as u64)
}
