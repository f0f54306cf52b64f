//! What an instance that runs can take in: the one table of it, which `design/live-policy.md` shows. Each row says what becomes
//! of a declaration that was like this before a commit and is like that after it.
//!
//! It knows nothing of how a delta is written, and changes nothing.

use std::fmt;

use crate::layout::Place;
use crate::program::{DeclKind, Definition, DefinitionKind, Relocation, TypeId};

/// Why an instance that runs cannot be patched. The numbers never change their meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum RefusalReason {
    /// The output was laid out anew, and what the instance relies on stands elsewhere.
    Moved,
    /// Data that the program may have written to has another size, or stands elsewhere.
    DataLayout,
    /// The addresses that data may take are used up, or are others now.
    Reserve,
    /// A memory is another one.
    Memory,
    /// A table is another one.
    Table,
    /// Another function runs at the start.
    Start,
    /// A function has another signature, and somebody may still call it with the old one.
    Signature,
    /// A function changed that cannot be called through a slot.
    NoSlot,
    /// A segment that the program itself describes changed, or changed code names one.
    Segment,
    /// A global that the program may have written to is of another type, or somebody else's.
    Global,
    /// The values of a tag are others.
    Tag,
    /// Where whole modules are compared: what the instance may have written to would be overwritten.
    State,
    /// A function of a library changes for the first time, and those of the instance call it directly.
    Library,
    /// A function that is exported was the host's, and has a body or is another one of the host's now.
    Import,
}

impl RefusalReason {
    /// All reasons, in the order of their numbers.
    pub const ALL: [RefusalReason; 14] = [
        RefusalReason::Moved,
        RefusalReason::DataLayout,
        RefusalReason::Reserve,
        RefusalReason::Memory,
        RefusalReason::Table,
        RefusalReason::Start,
        RefusalReason::Signature,
        RefusalReason::NoSlot,
        RefusalReason::Segment,
        RefusalReason::Global,
        RefusalReason::Tag,
        RefusalReason::State,
        RefusalReason::Library,
        RefusalReason::Import,
    ];

    /// Its number, from 1.
    pub fn number(self) -> u32 {
        self.text().0
    }

    /// Its name, for programs.
    pub fn name(self) -> &'static str {
        self.text().1
    }

    /// What to do about it.
    pub fn hint(self) -> &'static str {
        self.text().3
    }

    /// Number, name, what is wrong, what to do.
    fn text(self) -> (u32, &'static str, &'static str, &'static str) {
        use RefusalReason::*;
        const RESTART: &str = "restart it, or carry its state over to an instance of the new file";
        match self {
            Moved => (
                1,
                "moved",
                "stands elsewhere since the output was laid out anew",
                RESTART,
            ),
            DataLayout => (
                2,
                "data-layout",
                "is data that the running program may have changed, and has another size or place now",
                "restart it; data that is only read can be declared constant, and may change then",
            ),
            Reserve => (
                3,
                "reserve",
                "does not fit the addresses that are kept for data",
                "restart it, and keep more addresses for data",
            ),
            Memory => (
                4,
                "memory",
                "is a memory that was changed, added or removed",
                RESTART,
            ),
            Table => (
                5,
                "table",
                "is a table that was changed, added or removed",
                RESTART,
            ),
            Start => (6, "start", "runs at the start, which is over", RESTART),
            Signature => (
                7,
                "signature",
                "has another signature, but its address has been taken: who holds it would call it with the old one",
                "restart it, or give the function another name",
            ),
            NoSlot => (
                8,
                "no-slot",
                "is called without a slot of the table",
                RESTART,
            ),
            Segment => (
                9,
                "segment",
                "names a segment that only the instance it came with has",
                RESTART,
            ),
            Global => (
                10,
                "global",
                "is a global that the running program may have changed, and is another one now",
                RESTART,
            ),
            Tag => (11, "tag", "is a tag whose values are others now", RESTART),
            Library => (
                13,
                "library",
                "is code of a library, which is called directly until it changes for the first time",
                "restart it; from then on the library's functions are patched as others are",
            ),
            State => (
                12,
                "state",
                "is memory that the running program may have changed",
                RESTART,
            ),
            Import => (
                14,
                "import",
                "was the host's and is another function now, but is exported: who holds the export would call the old one",
                RESTART,
            ),
        }
    }
}

impl fmt::Display for RefusalReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "L{:02} {}", self.number(), self.name())
    }
}

/// What cannot be taken in, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub reason: RefusalReason,
    /// What it is about, as the program calls it.
    pub symbol: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (_, _, text, hint) = self.reason.text();
        write!(f, "{}: `{}` {text} ({hint})", self.reason, self.symbol)
    }
}

/// A declaration at one side of a commit.
#[derive(Clone, Copy)]
pub(super) struct Side<'a> {
    pub(super) definition: Option<&'a Definition>,
    pub(super) place: Place,
}

/// What a delta does about a declaration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    /// Nothing: what the instance has will do, or nobody will ask for it.
    Keep,
    /// Functions: the code goes into the delta, and its slot is set to that.
    Code,
    /// Functions: the slot is set to the import.
    Imported,
    /// Data: the bytes are written, whatever stands there.
    Write,
    /// Data and globals: what changed is written where the instance still has what it began with.
    WriteUnchanged,
    /// Data segments: what they make of memory is compared, and what differs is written if memory is as it was.
    Compare,
    /// Data and globals: what it took is made zero, since a change is taken back.
    Clear,
    /// Globals and tags: the delta has it, or imports it, and exports it for later ones.
    Own,
    /// Nothing of the kind.
    Refuse(RefusalReason),
}

/// Whether what names a declaration must be given the new one, because it was given the old one for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) decision: Decision,
    pub(super) restates_users: bool,
}

impl Verdict {
    fn only(decision: Decision) -> Verdict {
        Verdict {
            decision,
            restates_users: false,
        }
    }

    fn with_users(decision: Decision) -> Verdict {
        Verdict {
            decision,
            restates_users: true,
        }
    }

    fn refuse(reason: RefusalReason) -> Verdict {
        Verdict::only(Decision::Refuse(reason))
    }
}

/// What is done about a declaration of this kind. `undoes` says that the change is one that is taken back.
pub(super) fn decide(kind: DeclKind, before: Side<'_>, after: Side<'_>, undoes: bool) -> Verdict {
    match kind {
        DeclKind::Function => function(before, after),
        DeclKind::Data => data(before, after, undoes),
        DeclKind::Global => global(before, after),
        DeclKind::Tag => match (before.definition, after.definition) {
            (None, Some(_)) => Verdict::only(Decision::Own),
            (Some(_), None) => Verdict::only(Decision::Keep),
            _ => Verdict::refuse(RefusalReason::Tag),
        },
        DeclKind::Memory => Verdict::refuse(RefusalReason::Memory),
        DeclKind::Table => Verdict::refuse(RefusalReason::Table),
        DeclKind::DataSegment => Verdict::only(Decision::Compare),
        DeclKind::ElementSegment => Verdict::refuse(RefusalReason::Segment),
        // What tools read is not a part of what runs.
        DeclKind::Custom => Verdict::only(Decision::Keep),
    }
}

fn function(before: Side<'_>, after: Side<'_>) -> Verdict {
    let was_import = before.definition.is_some_and(Definition::is_import);
    match after.definition {
        // Who still holds its address can call it until it returns.
        None => Verdict::only(Decision::Keep),
        // Calls of imports go to what the instance was given.
        Some(after) if after.is_import() && before.definition.is_none() => {
            Verdict::only(Decision::Imported)
        }
        Some(after) if after.is_import() => Verdict::with_users(Decision::Imported),
        Some(_) if was_import => Verdict::with_users(Decision::Code),
        Some(_) => Verdict::only(Decision::Code),
    }
}

/// Whether the program says that it never writes to it.
fn is_constant(definition: &Definition) -> bool {
    matches!(
        definition.shape,
        DefinitionKind::Data { constant: true, .. }
    )
}

/// How many bytes data takes.
pub(super) fn size_of(definition: &Definition) -> Option<u64> {
    match definition.shape {
        DefinitionKind::Data { size, .. } => Some(size),
        _ => None,
    }
}

fn data(before: Side<'_>, after: Side<'_>, undoes: bool) -> Verdict {
    let (was, is) = match (before.definition, after.definition) {
        (None, None) => return Verdict::only(Decision::Keep),
        // What was removed and comes back has been there all the time.
        (None, Some(_)) if undoes => return Verdict::only(Decision::Keep),
        // Nothing has ever stood there.
        (None, Some(is)) if is.is_bss() || size_of(is).is_none() => {
            return Verdict::only(Decision::Keep);
        }
        (None, Some(_)) => return Verdict::only(Decision::Write),
        (Some(was), None) if undoes && size_of(was).is_some() => {
            return Verdict::only(Decision::Clear);
        }
        (Some(_), None) => return Verdict::only(Decision::Keep),
        (Some(was), Some(is)) => (was, is),
    };
    let address = |place| match place {
        Place::Data { address, .. } => Some(address),
        _ => None,
    };
    let moved = address(before.place) != address(after.place);
    match (is_constant(was) && is_constant(is), moved) {
        (true, false) => Verdict::only(Decision::Write),
        (true, true) => Verdict::with_users(Decision::Write),
        // An address that somebody gave is no place of its own.
        (false, true) if size_of(was).is_none() && size_of(is).is_none() => {
            Verdict::with_users(Decision::Keep)
        }
        (false, false) if size_of(was) == size_of(is) => Verdict::only(Decision::WriteUnchanged),
        (false, _) => Verdict::refuse(RefusalReason::DataLayout),
    }
}

fn global(before: Side<'_>, after: Side<'_>) -> Verdict {
    let (was, is) = match (before.definition, after.definition) {
        (_, None) => return Verdict::only(Decision::Keep),
        (None, Some(_)) => return Verdict::only(Decision::Own),
        (Some(was), Some(is)) => (was, is),
    };
    let (Some(old), Some(new)) = (global_type(was), global_type(is)) else {
        return Verdict::refuse(RefusalReason::Global);
    };
    if (old.flags | new.flags) & 1 == 0 {
        return Verdict::with_users(Decision::Own);
    }
    match old == new && !was.is_import() && !is.is_import() {
        true => Verdict::only(Decision::WriteUnchanged),
        false => Verdict::refuse(RefusalReason::Global),
    }
}

/// A global's type, as it is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct GlobalType<'a> {
    /// What stands before a type that is named, if one is; or else the whole value type.
    pub(super) value: &'a [u8],
    /// The type that is named.
    pub(super) named: Option<TypeId>,
    /// Mutability, and what else is said of it.
    pub(super) flags: u8,
}

/// The type of a global that is defined or imported so.
pub(super) fn global_type(definition: &Definition) -> Option<GlobalType<'_>> {
    let is_one = definition.shape == DefinitionKind::Global || definition.is_import();
    let start = definition.type_start().filter(|_| is_one)?;
    let content = &definition.content;
    let bytes = content.bytes().get(start..)?;
    let mut len = match bytes.first()? {
        0x63 | 0x64 => 1,
        _ => {
            let (value, flags) = (&bytes[..1], *bytes.get(1)?);
            return Some(GlobalType {
                value,
                named: None,
                flags,
            });
        }
    };
    len += usize::from(bytes.get(len) == Some(&0x65));
    let mut relocs = content.relocs().iter();
    let named = relocs.find(|reloc| reloc.offset as usize == start + len);
    let width = named.map_or(1, |reloc| reloc.kind.width());
    len += usize::from(named.is_none());
    let behind = len + width * usize::from(named.is_some());
    Some(GlobalType {
        value: bytes.get(..len)?,
        named: named.and_then(Relocation::ty),
        flags: *bytes.get(behind)?,
    })
}
