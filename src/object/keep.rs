//! Makes what is kept of an object that another process may go on with: names and tables as they stand in its file, hashes of
//! code, data, debug information and relocations.

use std::ops::Range;

use rayon::prelude::*;

use crate::error::Result;
use crate::object::cursor::Cursor;
use crate::object::difference::entry_end;
use crate::object::kept::{Blocks, Digest, Kept, Section, digest, digest_blocks, digest_without};
use crate::object::map::Check;
use crate::object::read::rest;
use crate::object::reloc::{Reloc, RelocType};
use crate::object::span::Span;
use crate::object::tables::{CustomSection, Object, SegmentFlags};
use crate::parallel::{join, region, task};
use crate::wire::{dwarf, leb};

/// What is to be kept of objects of so many bytes is found out by all threads. For fewer none is started.
pub(crate) const WORTH_SHARING: u32 = 256 << 10;

/// The sections of an object, if they can be told apart.
pub(super) fn sections(input: &[u8], span: Span) -> Option<Vec<Section>> {
    input.get(span.range())?;
    let mut cursor = Cursor::new(input, span);
    cursor.skip(8).ok()?;
    let mut sections = Vec::new();
    while !cursor.is_at_end() {
        let id = cursor.byte().ok()?;
        let len = cursor.u32().ok()?;
        let mut part = cursor.part(len).ok()?;
        let name = match id {
            0 => part.name().ok()?,
            _ => Span::default(),
        };
        let contents = rest(&part);
        sections.push(Section { id, name, contents });
    }
    Some(sections)
}

impl Object {
    /// Whether what tells later versions of the object from this one is to be kept, for processes in which its file has changed,
    /// and is not yet. An object that is not mapped is kept as it is, and so is a part of an input; and what was not read by
    /// this process is not opened for it.
    fn is_to_be_kept(&self) -> bool {
        let input = self.input();
        let whole = input.mapped_here().filter(|_| input.is_to_be_kept());
        whole.is_some_and(|whole| self.span().range() == (0..whole.len()))
    }

    /// Keeps it, if it is to be kept.
    ///
    /// # Errors
    /// If its file has changed already.
    pub(crate) fn keep(&self, check: Check) -> Result<()> {
        match self.is_to_be_kept() {
            true => self.input().keep(check, || self.kept()),
            false => Ok(()),
        }
    }

    fn kept(&self) -> Kept {
        let input = self.input().bytes();
        let sections = sections(input, self.span()).unwrap_or_default();
        let mut kept = Keeper::default();
        let mut hashed: Vec<(Span, Option<&CustomSection>)> = Vec::new();
        let mut at = self.span().start;
        for section in &sections {
            // What stands in front of the contents says what they are.
            kept.keep(at..section.contents.start);
            at = section.contents.end() as u32;
            let name = &input[section.name.range()];
            match section.id {
                10 | 11 => {}
                0 if name == b"name" => {}
                0 if name.starts_with(b"reloc.") && !self.is_of_custom(section.contents) => {
                    hashed.push((section.contents, None));
                }
                0 if let Some(custom) = self.custom_of(section) => {
                    hashed.push((section.contents, Some(custom)));
                }
                _ => kept.keep(section.contents.start..at),
            }
        }
        for segment in &self.segments {
            if segment.flags.has(SegmentFlags::STRINGS) {
                kept.keep(segment.data.start..segment.data.end() as u32);
            }
        }
        let blocks = |(span, custom)| self.blocks(span, custom);
        let ((whole, digests), blocks) = match self.span().len < WORTH_SHARING {
            true => (
                (digest(input), self.digests()),
                hashed.into_iter().map(blocks).collect(),
            ),
            false => join(
                || join(|| digest(input), || self.digests()),
                || {
                    let hashed = hashed.into_par_iter();
                    region(|| hashed.map(|it| task(|| blocks(it))).collect())
                },
            ),
        };
        kept.finish(input, sections, whole, digests, blocks)
    }

    /// The hashes of a custom section, or of other relocations.
    fn blocks(&self, span: Span, custom: Option<&CustomSection>) -> Blocks {
        let bytes = &self.input().bytes()[span.range()];
        Blocks {
            start: span.start,
            len: span.len,
            fields: custom.map_or(0, |custom| custom.reloc_count),
            digests: match custom {
                Some(custom) => digest_blocks(bytes, self.custom_fields(custom)).collect(),
                None => [digest(bytes)].into(),
            },
        }
    }

    /// The custom section that this is, if it holds what an edit changes. Strings of debug information stay where they are once they
    /// are linked.
    fn custom_of(&self, section: &Section) -> Option<&CustomSection> {
        let mut customs = self.custom_sections.iter();
        let custom = customs.find(|custom| custom.contents == section.contents)?;
        (!dwarf::is_of_strings(self.str(custom.name))).then_some(custom)
    }

    /// Where the relocations of a custom section stand, as far as they are any. There are many: none is put anywhere.
    fn custom_fields(&self, custom: &CustomSection) -> impl Iterator<Item = Range<usize>> {
        let mut rest = self.custom_reloc_bytes(custom);
        std::iter::from_fn(move || {
            let (offset, width) = next_field(&mut rest)?;
            Some(offset..offset + width)
        })
    }

    /// Whether these are relocations of a custom section. They are compared one by one, for which they must be at hand.
    fn is_of_custom(&self, contents: Span) -> bool {
        let mut customs = self.custom_sections.iter();
        customs.any(|custom| custom.relocs.len > 0 && custom.relocs.end() == contents.end())
    }

    /// Functions and segments: where they stand, and their hashes without what is relocated.
    fn digests(&self) -> Vec<(u32, Digest)> {
        let input = self.input().bytes();
        let hashed = |span: Span, section: Span, relocs: &[Reloc]| {
            let fields = relocs.iter().map(|reloc| {
                let start = (section.start + reloc.offset - span.start) as usize;
                start..start + reloc.kind().width() as usize
            });
            (span.start, digest_without(&input[span.range()], fields))
        };
        let functions = self
            .functions
            .iter()
            .map(|function| hashed(function.body, self.code, self.function_relocs(function)));
        let segments = self.segments.iter();
        let segments = segments.filter(|segment| !segment.flags.has(SegmentFlags::STRINGS));
        let segments = segments
            .filter(|segment| segment.data.len > 0)
            .map(|segment| {
                let relocs = self.data_relocs.range(segment.relocs.clone());
                hashed(segment.data, self.data, relocs)
            });
        functions.chain(segments).collect()
    }
}

/// Where the next relocation of these stands, and how wide it is.
fn next_field(rest: &mut &[u8]) -> Option<(usize, usize)> {
    let facts = RelocType::facts(*rest.first()?)?;
    let (offset, _) = leb::read_unsigned(&rest[1..])?;
    *rest = &rest[entry_end(rest, 0)?..];
    Some((offset as usize, usize::from(facts.width)))
}

#[derive(Default)]
struct Keeper {
    parts: Vec<Span>,
}

impl Keeper {
    fn keep(&mut self, range: Range<u32>) {
        match self.parts.last_mut() {
            Some(last) if last.end() as u32 == range.start => last.len = range.end - last.start,
            _ => self.parts.push(Span {
                start: range.start,
                len: range.end - range.start,
            }),
        }
    }

    fn finish(
        mut self,
        input: &[u8],
        sections: Vec<Section>,
        whole: Digest,
        mut digests: Vec<(u32, Digest)>,
        mut blocks: Vec<Blocks>,
    ) -> Kept {
        self.parts.sort_unstable_by_key(|part| part.start);
        blocks.sort_unstable_by_key(|blocks| blocks.start);
        digests.sort_unstable_by_key(|(start, _)| *start);
        let mut text = Vec::with_capacity(self.parts.iter().map(|part| part.len as usize).sum());
        let parts = self.parts.into_iter().map(|part| {
            let at = text.len() as u32;
            text.extend_from_slice(&input[part.range()]);
            (part, at)
        });
        Kept {
            whole,
            whole_len: input.len() as u32,
            parts: parts.collect(),
            sections: sections.into(),
            starts: digests.iter().map(|(start, _)| *start).collect(),
            digests: digests.into_iter().map(|(_, digest)| digest).collect(),
            blocks: blocks.into(),
            text: text.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::object::{Access, Input};
    use crate::wire::source::{Later, Source};

    fn contents(name: &str) -> Vec<u8> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/objects");
        fs::read(folder.join(name)).unwrap()
    }

    /// An object whose file has changed since another process has linked it.
    fn gone(bytes: &[u8]) -> Object {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.o");
        fs::write(&path, bytes).unwrap();
        let object = Object::read(Input::open(path, Access::Keep).unwrap()).unwrap();
        for custom in &object.custom_sections {
            object.custom_relocs(custom.section).unwrap();
        }
        object.keep(Check::Now).unwrap();
        object.input().give_up();
        object
    }

    /// Where contents stand, and whether a field is there that is relocated.
    fn contents_of(object: &Object) -> Vec<(Span, Vec<Range<usize>>)> {
        let fields = |relocs: &[Reloc], section: Span| -> Vec<Range<usize>> {
            let fields = relocs.iter().map(|reloc| {
                let start = (section.start + reloc.offset) as usize;
                start..start + reloc.kind().width() as usize
            });
            fields.collect()
        };
        let functions = object.functions.iter().map(|function| {
            let relocs = object.function_relocs(function);
            (function.body, fields(relocs, object.code))
        });
        let segments = object.segments.iter().map(|segment| {
            let relocs = object.data_relocs.range(segment.relocs.clone());
            (segment.data, fields(relocs, object.data))
        });
        let customs = object.custom_sections.iter().map(|custom| {
            let fields = object.custom_fields(custom);
            let start = custom.contents.start as usize;
            let fields = fields.map(|field| field.start + start..field.end + start);
            (custom.contents, fields.collect())
        });
        functions.chain(segments).chain(customs).collect()
    }

    #[test]
    fn what_is_kept_tells_the_same_differences_as_all_bytes() {
        for name in ["main.o", "main64.o", "debug.o", "threads.o", "relative.o"] {
            let bytes = contents(name);
            let kept = gone(&bytes);
            let whole = Object::read(Input::from_bytes("a.o", bytes.clone())).unwrap();
            let mut changed = 0;
            for (span, fields) in contents_of(&whole) {
                for at in span.range() {
                    let mut new = bytes.clone();
                    new[at] ^= 1;
                    let input = Input::from_bytes("a.o", new);
                    let read = |before: &Object| {
                        let now = Object::read_after(input.clone(), before).unwrap();
                        let difference = now.difference(before);
                        (now, difference.expect("the tables are the same"))
                    };
                    let ((now, seen), (_, expected)) = (read(&kept), read(&whole));
                    // What was found out of both versions tells the same as all bytes of the later one.
                    now.input().keep(Check::Later, || now.kept()).unwrap();
                    assert_eq!(now.difference(&kept).as_ref(), Some(&seen), "{name} {at}");
                    assert_eq!(seen.functions, expected.functions, "{name} {at}");
                    assert_eq!(seen.segments, expected.segments, "{name} {at}");
                    assert_eq!(seen.called, expected.called, "{name} {at}");
                    // What differs in a custom section is found out when it is defined.
                    assert!(expected.customs.iter().all(|it| seen.customs.contains(it)));
                    let olds = kept.custom_sections.iter().zip(&whole.custom_sections);
                    for (new, (old, same)) in now.custom_sections.iter().zip(olds) {
                        let bytes = now.bytes(new.contents);
                        let had = |hashes| {
                            let later = &mut Later {
                                bytes,
                                fields: &mut whole.custom_fields(same),
                                hashes,
                            };
                            kept.input().had(old.contents.start, later)
                        };
                        // Whether the hashes are made for this or were made before is all the same.
                        let made = now.blocks(new.contents, Some(new));
                        let hashes = Some(&*made.digests);
                        let is_text = kept.input().has(old.contents.start, old.contents.len);
                        assert!(is_text || had(None) == had(hashes), "{name} {at}");
                        let had = had(None);
                        let is_changed = span == old.contents;
                        let is_field = fields.iter().any(|field| field.contains(&at));
                        assert_eq!(had, !is_text && (!is_changed || is_field), "{name} {at}");
                    }
                    changed += expected.functions.len() + expected.segments.len();
                }
            }
            assert!(changed > 0 || name == "relative.o", "{name}");
        }
    }

    #[test]
    fn relocations_that_changed_are_found_without_those_before() {
        let bytes = contents("debug.o");
        let whole = Object::read(Input::from_bytes("a.o", bytes.clone())).unwrap();
        let kept = gone(&bytes);
        let with_relocs = whole.custom_sections.iter().enumerate();
        let with_relocs = with_relocs.filter(|(_, custom)| custom.has_relocs());
        let mut found = 0;
        for (index, custom) in with_relocs {
            // The last byte of an entry is one of its target's number or addend.
            let mut new = bytes.clone();
            let last = custom.relocs.end() - 1;
            new[last] ^= 1;
            let input = Input::from_bytes("a.o", new);
            let now = Object::read_after(input, &kept).unwrap();
            let (new, old) = (&now.custom_sections[index], &kept.custom_sections[index]);
            assert_ne!(now.custom_reloc_bytes(new), kept.custom_reloc_bytes(old));
            let Some((numbers, relocs)) = now.changed_custom_relocs(new, &kept, old) else {
                continue;
            };
            let all = now.custom_relocs(new.section).unwrap();
            for (number, reloc) in numbers.iter().zip(relocs.all()) {
                assert_eq!(*reloc, all.all()[*number]);
            }
            assert!(numbers.contains(&(custom.reloc_count() - 1)));
            found += 1;
        }
        assert!(found > 0);
    }

    #[test]
    fn names_are_kept_and_contents_are_refused() {
        let bytes = contents("debug.o");
        let whole = Object::read(Input::from_bytes("a.o", bytes.clone())).unwrap();
        let kept = gone(&bytes);
        for (of_kept, of_whole) in kept.symbols.iter().zip(&whole.symbols) {
            assert_eq!(kept.bytes(of_kept.name), whole.bytes(of_whole.name));
        }
        assert!(!kept.has_bytes());
        let code = kept.functions[0].body;
        assert_eq!(Source::part(&**kept.input(), code.start, code.len), None);
        let refused = catch_unwind(AssertUnwindSafe(|| kept.bytes(code).len()));
        assert!(refused.is_err());
    }

    #[test]
    fn a_file_that_was_written_while_it_was_linked_is_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.o");
        let mut bytes = contents("main.o");
        fs::write(&path, &bytes).unwrap();
        let times = fs::metadata(&path).unwrap();
        let object = Object::read(Input::open(&path, Access::Keep).unwrap()).unwrap();
        // The length and, if it is within one step of the clock, all times are the same.
        let at = object.functions[0].body.end() - 2;
        bytes[at] ^= 1;
        fs::write(&path, &bytes).unwrap();
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(times.modified().unwrap()).unwrap();
        assert!(object.keep(Check::Now).is_err());
        let unchanged: Arc<Input> = Input::open(&path, Access::Keep).unwrap();
        Object::read(unchanged).unwrap().keep(Check::Now).unwrap();
    }
}
