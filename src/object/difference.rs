//! What of an object's contents differs from a version before that has the same tables: functions, segments and custom
//! sections whose bytes or relocations are others. Bytes under relocations of code and data carry no meaning.

use std::ops::Range;

use crate::object::ids::{SegmentIndex, SymbolIndex};
use crate::object::kept::Kept;
use crate::object::linking::MARKED;
use crate::object::reloc::{Reloc, RelocType, Relocs};
use crate::object::span::Span;
use crate::object::tables::{CustomSection, Object};
use crate::wire::differences::Differences;
use crate::wire::source::Later;

/// An object of so many bytes is compared by two threads.
const MANY_BYTES: u32 = 1 << 20;

/// What differs between two versions of an object.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Difference {
    /// Defined functions.
    pub(crate) functions: Vec<usize>,
    pub(crate) segments: Vec<SegmentIndex>,
    /// Custom sections, by their places among them.
    pub(crate) customs: Vec<usize>,
    /// Symbols that are called directly now and were not, or the other way round.
    pub(crate) called: Vec<SymbolIndex>,
}

impl Object {
    /// What differs from a version before, if that has the same tables. Equal relocations name equal symbols then.
    pub(crate) fn difference(&self, before: &Object) -> Option<Difference> {
        if !self.has_tables_of(before) {
            return None;
        }
        let contents = || {
            (
                self.changed_functions(before),
                self.changed_segments(before),
            )
        };
        let ((functions, segments), customs) = match self.span().len < MANY_BYTES {
            true => (contents(), self.changed_customs(before)),
            false => rayon::join(contents, || self.changed_customs(before)),
        };
        let symbols = self.symbols.iter().zip(&before.symbols).enumerate();
        let called = symbols.filter(|(_, (now, was))| now.called_directly != was.called_directly);
        Some(Difference {
            functions,
            segments,
            customs,
            called: called.map(|(at, _)| SymbolIndex(at as u32)).collect(),
        })
    }

    fn changed_functions(&self, before: &Object) -> Vec<usize> {
        let (now, was) = (Chunks::of(self), Chunks::of(before));
        let functions = self.functions.iter().zip(&before.functions).enumerate();
        let changed = functions.filter(|(_, (new, old))| {
            let now = now.chunk(new.body, self.code.start, self.function_relocs(new));
            let was = was.chunk(old.body, before.code.start, before.function_relocs(old));
            !now.is_same(&self.code_relocs, &was, &before.code_relocs)
        });
        changed.map(|(index, _)| index).collect()
    }

    fn changed_segments(&self, before: &Object) -> Vec<SegmentIndex> {
        let (now, was) = (Chunks::of(self), Chunks::of(before));
        let segments = self.segments.iter().zip(&before.segments);
        let segments = (0..).map(SegmentIndex).zip(segments);
        let changed = segments.filter(|(index, (new, old))| {
            let relocs = self.segment_relocs(*index);
            let now = now.chunk(new.data, self.data.start, relocs);
            let relocs = before.segment_relocs(*index);
            let was = was.chunk(old.data, before.data.start, relocs);
            !now.is_same(&self.data_relocs, &was, &before.data_relocs)
        });
        changed.map(|(index, _)| index).collect()
    }

    fn changed_customs(&self, before: &Object) -> Vec<usize> {
        let customs = self.custom_sections.iter().zip(&before.custom_sections);
        let changed = customs.enumerate().filter(|(_, (new, old))| {
            let has_same_relocs = self.custom_reloc_bytes(new) == before.custom_reloc_bytes(old);
            if let Some(marks) = old.reloc_marks.get().filter(|_| has_same_relocs) {
                let _ = new.reloc_marks.set(marks.clone());
            }
            !has_same_relocs || !before.had_custom(old, self.bytes(new.contents))
        });
        changed.map(|(index, _)| index).collect()
    }

    /// Whether these are the bytes of a custom section.
    fn had_custom(&self, custom: &CustomSection, bytes: &[u8]) -> bool {
        let kept = self.kept_elsewhere();
        match kept.and_then(|kept| kept.blocks(custom.contents.start)) {
            // What is under relocations means nothing, but they are not looked at here.
            Some(_) => false,
            None => self.bytes(custom.contents) == bytes,
        }
    }

    /// The entries of a custom section's relocations, as they stand in the file.
    pub(crate) fn custom_reloc_bytes(&self, custom: &CustomSection) -> &[u8] {
        self.bytes(custom.relocs)
    }
}

impl Object {
    /// The relocations of a custom section that are not what they were in a version with the same tables, with their numbers
    /// among all. `None` if that does not show without reading all of them.
    pub(crate) fn changed_custom_relocs(
        &self,
        custom: &CustomSection,
        before: &Object,
        old: &CustomSection,
    ) -> Option<(Vec<usize>, Relocs)> {
        let (bytes, old_bytes) = (
            self.custom_reloc_bytes(custom),
            before.custom_reloc_bytes(old),
        );
        let marks = old.reloc_marks.get()?;
        if bytes.len() != old_bytes.len() || custom.reloc_count != old.reloc_count {
            return None;
        }
        let mut changed = (Vec::new(), Relocs::default());
        // An entry begins here in both versions, and so many are before it.
        let (mut at, mut number) = (0, 0);
        let mut differences = Differences::new(old_bytes, bytes);
        while let Some(difference) = differences.next() {
            let mark = marks.partition_point(|mark| *mark as usize <= difference);
            let mark = mark.checked_sub(1)?;
            if marks[mark] as usize > at {
                (at, number) = (marks[mark] as usize, mark * MARKED);
            }
            let mut end = entry_end(old_bytes, at)?;
            while end <= difference {
                (at, number) = (end, number + 1);
                end = entry_end(old_bytes, at)?;
            }
            // Unless both end at the same place, what follows is not in step.
            if self.read_custom_reloc(custom, at, &mut changed.1)? != end {
                return None;
            }
            changed.0.push(number);
            (at, number) = (end, number + 1);
            differences.skip_to(end);
        }
        let _ = custom.reloc_marks.set(marks.clone());
        Some(changed)
    }
}

/// Where an entry ends of relocations that have been read before.
pub(super) fn entry_end(bytes: &[u8], start: usize) -> Option<usize> {
    let facts = RelocType::facts(*bytes.get(start)?)?;
    let mut numbers = 2 + usize::from(facts.addend);
    let mut end = start + 1;
    while numbers > 0 {
        numbers -= usize::from(*bytes.get(end)? < 0x80);
        end += 1;
    }
    Some(end)
}

/// Where the chunks of an object stand.
struct Chunks<'a> {
    /// All bytes, or what is kept of them.
    input: Result<&'a [u8], &'a Kept>,
    /// What is kept of them in any case.
    kept: Option<&'a Kept>,
}

/// The bytes of a function or segment, and its relocations, whose offsets count from elsewhere.
struct Chunk<'a> {
    /// The bytes, or what is known of them.
    bytes: Result<&'a [u8], &'a Kept>,
    kept: Option<&'a Kept>,
    span: Span,
    /// Where the bytes begin, as relocations count.
    start: u32,
    relocs: &'a [Reloc],
}

impl<'a> Chunks<'a> {
    fn of(object: &'a Object) -> Chunks<'a> {
        let input = match object.kept_elsewhere() {
            Some(kept) => Err(kept),
            None => Ok(object.input().bytes()),
        };
        let kept = object.input().kept();
        Chunks { input, kept }
    }

    fn chunk(&self, span: Span, section: u32, relocs: &'a [Reloc]) -> Chunk<'a> {
        let bytes = self.input.map(|input| &input[span.range()]);
        Chunk {
            start: span.start - section,
            bytes: bytes.or_else(|kept| kept.part(span).ok_or(kept)),
            kept: self.kept,
            span,
            relocs,
        }
    }
}

impl Chunk<'_> {
    /// Whether both have the same relocations and, outside of them, the same bytes.
    fn is_same(&self, relocs: &Relocs, other: &Chunk<'_>, of: &Relocs) -> bool {
        if self.span.len != other.span.len || self.relocs.len() != other.relocs.len() {
            return false;
        }
        let mut both = self.relocs.iter().zip(other.relocs);
        let is_same = |(a, b): (&Reloc, &Reloc)| {
            a.offset - self.start == b.offset - other.start && relocs.names_the_same(a, of, b)
        };
        both.all(is_same) && self.has_bytes_of(other)
    }

    fn has_bytes_of(&self, other: &Chunk<'_>) -> bool {
        match (self.bytes, other.bytes) {
            (Ok(own), Ok(others)) => own == others || self.differs_under_relocs_only(own, others),
            (Ok(own), Err(kept)) => {
                let later = &mut Later {
                    bytes: own,
                    fields: &mut self.fields(),
                    hashes: self.kept.and_then(|kept| kept.hash(self.span.start)),
                };
                own.is_empty() || kept.had(other.span.start, later)
            }
            (Err(_), _) => false,
        }
    }

    /// Where the relocations stand in the bytes.
    fn fields(&self) -> impl Iterator<Item = Range<usize>> {
        self.relocs.iter().map(|reloc| {
            let field = (reloc.offset - self.start) as usize;
            field..field + reloc.kind().width() as usize
        })
    }

    fn differs_under_relocs_only(&self, own: &[u8], others: &[u8]) -> bool {
        let mut at = 0;
        for field in self.fields() {
            if own[at..field.start] != others[at..field.start] {
                return false;
            }
            at = field.end;
        }
        own[at..] == others[at..]
    }
}
