//! Archives: `ar` files with a GNU or BSD index, thin ones included, and `.rlib`s.
//!
//! Opening reads the index and the table of long names, both of which stand in front: no byte of a member is touched
//! until it is asked for.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::hash::{Entry, HashMap, HashSet};
use crate::object::kind::FileKind;
use crate::object::map::{Access, Input};
use crate::object::span::Span;
use crate::object::tables::{Object, hash_name};

const MAGIC_LEN: usize = 8;
const HEADER_LEN: usize = 60;
/// Bytes of a member's name in the table of long names, at most: those of a path.
const LONGEST_NAME: usize = 4096;
/// How many times the bytes of an archive the names of its index may have, each counted where it is used.
const SHARED_NAMES: usize = 4;

/// A member: the offset of its header in the archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberOffset(pub u32);

/// A symbol that a member defines, as the index says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArchiveSymbol {
    /// Its name.
    pub name: Span,
    /// The name's hash, as [`hash_name`] computes it.
    pub hash: u64,
    /// The member that defines it.
    pub member: MemberOffset,
}

/// A member that was asked for.
#[derive(Debug, Clone)]
pub struct Member {
    /// Its name, without folders in thin archives.
    pub name: String,
    /// Where its bytes are: the archive, or a file of its own if the archive is thin.
    pub input: Arc<Input>,
    /// Its bytes in that input.
    pub span: Span,
    /// Its place in the archive.
    pub offset: MemberOffset,
    archive: Arc<Input>,
    /// Whether an object that is read of it is to stay what it is when the archive has changed.
    is_kept: bool,
}

impl Member {
    /// What messages call it: `libfoo.a(bar.o)`, for members of thin archives too.
    pub fn display_name(&self) -> String {
        format!("{}({})", self.archive.path().display(), self.name)
    }

    /// Reads it as an object.
    ///
    /// # Errors
    /// As [`Object::read`].
    pub fn read(&self) -> Result<Object> {
        let (input, span) = self.source();
        Object::read_part(input, span, Some(&self.name), self.display_name())
    }

    /// Reads it as a later version of an object.
    ///
    /// # Errors
    /// As [`Object::read`].
    pub(crate) fn read_after(&self, before: &Object) -> Result<Object> {
        let (input, span) = self.source();
        let name = Some(&*self.name);
        Object::read_part_after(input, span, name, self.display_name(), before)
    }

    /// Whether an object is what this member is. If it is, and its file may be gone, it is to be found here from now on.
    pub(crate) fn is_still(&self, object: &Object) -> bool {
        match object.input().is_part_with(self.bytes()) {
            None => self.bytes() == object.bytes(object.span()),
            Some(false) => false,
            Some(true) => {
                object.input().move_to(&self.input, self.span.start);
                true
            }
        }
    }

    /// What an object is read from.
    fn source(&self) -> (Arc<Input>, Span) {
        match self.is_kept {
            false => (self.input.clone(), self.span),
            true => {
                let len = self.span.len;
                (
                    Input::of_part(&self.input, self.span),
                    Span { start: 0, len },
                )
            }
        }
    }

    /// The member's bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.input.bytes()[self.span.range()]
    }

    /// Whether it is there for other tools than linkers, such as rustc's metadata.
    pub fn is_foreign(&self) -> bool {
        self.name == "lib.rmeta" || self.name.ends_with(".rmeta")
    }
}

/// An archive, opened by its index.
#[derive(Debug)]
pub struct Archive {
    input: Arc<Input>,
    thin: bool,
    has_index: bool,
    symbols: Vec<ArchiveSymbol>,
    /// Names of members that the index names, and that are for other tools or other machines.
    passed_over: Vec<String>,
    /// The table of names that do not fit a header.
    long_names: Span,
    /// Offset of the first header behind the index and the table.
    first_member: usize,
}

/// A header, taken apart.
struct Header<'a> {
    /// The name as it stands there, without the spaces behind it.
    name: &'a [u8],
    /// What follows the header.
    contents: Span,
}

impl Archive {
    /// Opens an archive.
    ///
    /// # Errors
    /// If it is none, or its index is malformed.
    pub fn open(input: Arc<Input>) -> Result<Archive> {
        let thin = match FileKind::of(input.bytes()) {
            FileKind::Archive => false,
            FileKind::ThinArchive => true,
            _ => return Err(Error::bad_input("not an archive").with_path(input.path())),
        };
        let mut archive = Archive {
            input: input.clone(),
            thin,
            has_index: false,
            symbols: Vec::new(),
            passed_over: Vec::new(),
            long_names: Span::default(),
            first_member: MAGIC_LEN,
        };
        archive
            .read_front()
            .map_err(|error| error.with_path(input.path()))?;
        Ok(archive)
    }

    /// Opens an archive whose members are read with this access. If they are kept, so is the index: both stay what they are
    /// when the file has changed.
    ///
    /// # Errors
    /// As [`open`](Archive::open), and if the file has changed already.
    pub fn open_to_read(input: Arc<Input>, access: Access) -> Result<Archive> {
        let archive = Archive::open(input)?;
        if access == Access::Keep {
            archive.input.keep_front(archive.first_member)?;
        }
        Ok(archive)
    }

    /// The archive's file.
    pub fn input(&self) -> &Arc<Input> {
        &self.input
    }

    /// Whether it has an index that names anything. Without one, its members must be read to find symbols.
    pub fn has_index(&self) -> bool {
        self.has_index
    }

    /// What the members define, by member in the order of the archive.
    pub fn symbols(&self) -> &[ArchiveSymbol] {
        &self.symbols
    }

    /// Where each member that defines something stands in another archive, if that one's members define the same, in the same
    /// order.
    pub fn members_like(&self, other: &Archive) -> Option<HashMap<MemberOffset, MemberOffset>> {
        if self.symbols.len() != other.symbols.len() {
            return None;
        }
        let mut members: HashMap<MemberOffset, MemberOffset> = HashMap::default();
        let mut taken: HashSet<MemberOffset> = HashSet::default();
        for (own, their) in self.symbols.iter().zip(&other.symbols) {
            if self.name(own) != other.name(their) {
                return None;
            }
            match members.entry(own.member) {
                Entry::Occupied(known) if *known.get() == their.member => {}
                Entry::Vacant(new) if taken.insert(their.member) => {
                    new.insert(their.member);
                }
                _ => return None,
            }
        }
        Some(members)
    }

    /// Members that the index names and no linker of WebAssembly reads. What they define does not count.
    pub fn passed_over(&self) -> &[String] {
        &self.passed_over
    }

    /// The name of a symbol.
    pub fn name(&self, symbol: &ArchiveSymbol) -> &[u8] {
        self.input.part(symbol.name)
    }

    /// Whether members are files of their own.
    pub fn is_thin(&self) -> bool {
        self.thin
    }

    /// The member at an offset. Members of thin archives are opened.
    ///
    /// # Errors
    /// If there is none, or its file cannot be opened.
    pub fn member(&self, offset: MemberOffset, access: Access) -> Result<Member> {
        let member = read_header(self.input.bytes(), offset.0 as usize)
            .and_then(|header| self.open_member(&header, offset, access));
        member.map_err(|error| error.with_path(self.input.path()))
    }

    /// All members, without those that are there for other tools. Reads every header.
    ///
    /// # Errors
    /// If a header is malformed, or a file of a thin archive cannot be opened.
    pub fn members(&self, access: Access) -> Result<Vec<Member>> {
        let mut members = Vec::new();
        self.for_each_header(|header, offset| {
            let member = self.open_member(header, offset, access)?;
            if !member.is_foreign() {
                members.push(member);
            }
            Ok(())
        })?;
        Ok(members)
    }

    /// The files that the members of a thin archive are. None of them is opened.
    ///
    /// # Errors
    /// If a header is malformed.
    pub fn member_files(&self) -> Result<BTreeSet<PathBuf>> {
        let mut files = BTreeSet::new();
        self.for_each_header(|header, offset| {
            if self.thin {
                files.insert(self.member_file(&self.name_and_contents(header, offset)?.0));
            }
            Ok(())
        })?;
        Ok(files)
    }

    /// Whether an object is what this thin archive's member at an offset is: it was read from its file, which nobody has written
    /// since, as far as its times tell.
    pub(crate) fn is_still(&self, offset: MemberOffset, object: &Object) -> bool {
        let input = object.input();
        let is_its_file = || -> Result<bool> {
            let header = read_header(self.input.bytes(), offset.0 as usize)?;
            let (name, contents) = self.name_and_contents(&header, offset)?;
            let stamp = input.stamp();
            let is_as_long = stamp.is_some_and(|stamp| stamp.len == u64::from(contents.len));
            Ok(is_as_long && self.member_file(&name) == input.path())
        };
        is_its_file().unwrap_or(false) && input.check_unchanged().is_ok()
    }

    /// The file that a member of a thin archive is.
    fn member_file(&self, name: &str) -> PathBuf {
        let folder = self.input.path().parent().unwrap_or(Path::new(""));
        folder.join(name)
    }

    /// Goes through the members' headers.
    fn for_each_header(
        &self,
        mut then: impl FnMut(&Header<'_>, MemberOffset) -> Result<()>,
    ) -> Result<()> {
        let mut read = || {
            let mut at = self.first_member;
            while at < self.input.bytes().len() {
                let header = read_header(self.input.bytes(), at)?;
                let is_special = is_index(header.name, &[]) || header.name == b"//";
                if !is_special {
                    then(&header, MemberOffset(at as u32))?;
                }
                at = match self.thin && !is_special {
                    true => at + HEADER_LEN,
                    false => next_header(&header),
                };
            }
            Ok(())
        };
        read().map_err(|error: Error| error.with_path(self.input.path()))
    }

    fn read_front(&mut self) -> Result<()> {
        let input = self.input.clone();
        let bytes = input.bytes();
        let mut at = MAGIC_LEN;
        while at < bytes.len() {
            let header = match read_header(bytes, at) {
                Ok(header) => header,
                // A member's, which nobody has asked for yet.
                Err(_) if !self.symbols.is_empty() => break,
                Err(error) => return Err(error),
            };
            let (bsd_name, contents) = bsd_name(bytes, &header)?;
            if header.name == b"//" {
                self.long_names = inside(bytes, at, contents)?;
            } else if is_index(header.name, bsd_name) {
                let index = inside(bytes, at, contents)?;
                let name = if bsd_name.is_empty() {
                    header.name
                } else {
                    bsd_name
                };
                let malformed = || malformed(index.start as usize, "the index is malformed");
                match name {
                    b"/" if self.has_index => {} // The second linker member of Windows' archives.
                    b"/" => self.read_gnu_index(index, 4).ok_or_else(malformed)?,
                    b"/SYM64/" => self.read_gnu_index(index, 8).ok_or_else(malformed)?,
                    _ if name.starts_with(b"__.SYMDEF_64") => {
                        self.read_bsd_index(index, 8).ok_or_else(malformed)?;
                    }
                    _ => self.read_bsd_index(index, 4).ok_or_else(malformed)?,
                }
            } else {
                break;
            }
            at = next_header(&header);
        }
        self.first_member = at;
        self.has_index = !self.symbols.is_empty();
        // wasm-ld goes through the members in their order; some tools sort the index by name.
        if !self.symbols.is_sorted_by_key(|symbol| symbol.member) {
            self.symbols.sort_by_key(|symbol| symbol.member);
        }
        if !self.thin {
            self.pass_over();
        }
        Ok(())
    }

    /// Drops what the index says of members that are neither objects nor bitcode. Those whose header is malformed stay:
    /// whoever needs one of them will be told.
    fn pass_over(&mut self) {
        let mut symbols = std::mem::take(&mut self.symbols);
        let mut last: Option<(MemberOffset, bool)> = None;
        symbols.retain(|symbol| match last {
            Some((member, is_kept)) if member == symbol.member => is_kept,
            _ => {
                let member = self.member(symbol.member, Access::Map);
                let foreign = member.ok().filter(|member| {
                    let kind = FileKind::of(member.bytes());
                    !matches!(kind, FileKind::Wasm | FileKind::Bitcode)
                });
                last = Some((symbol.member, foreign.is_none()));
                let is_kept = foreign.is_none();
                self.passed_over.extend(foreign.map(|member| member.name));
                is_kept
            }
        });
        self.symbols = symbols;
    }

    /// Count, then the members' offsets, big-endian, then the names, each with a zero behind it.
    fn read_gnu_index(&mut self, index: Span, width: usize) -> Option<()> {
        let input = self.input.clone();
        let bytes = &input.bytes()[..index.end()];
        let at = index.start as usize;
        let count = usize::try_from(big_endian(bytes.get(at..at + width)?)).ok()?;
        let offsets = bytes.get(at + width..)?;
        let offsets = offsets.get(..count.checked_mul(width)?)?;
        let mut name_at = at + width + offsets.len();
        self.symbols.reserve_exact(count);
        for offset in offsets.chunks_exact(width) {
            let names = bytes.get(name_at..)?;
            let len = names.iter().position(|byte| *byte == 0)?;
            let offset = big_endian(offset);
            self.add_symbol(name_at, len, u32::try_from(offset).ok()?);
            name_at += len + 1;
        }
        Some(())
    }

    /// Size of the entries, entries of name offset and member offset, size of the names, names; all little-endian.
    fn read_bsd_index(&mut self, index: Span, width: usize) -> Option<()> {
        let input = self.input.clone();
        let bytes = &input.bytes()[..index.end()];
        let at = index.start as usize;
        let size = usize::try_from(little_endian(bytes.get(at..at + width)?)).ok()?;
        let entries = bytes.get(at + width..)?.get(..size)?;
        let names_at = at + 2 * width + size;
        bytes.get(names_at..)?;
        self.symbols.reserve_exact(size / (2 * width));
        // Entries may share a name, but not so that reading all of them takes longer than the file is.
        let mut left = SHARED_NAMES * bytes.len();
        for entry in entries.chunks_exact(2 * width) {
            let name_at = names_at.checked_add(little_endian(&entry[..width]) as usize)?;
            let len = bytes.get(name_at..)?.iter().position(|byte| *byte == 0)?;
            left = left.checked_sub(len)?;
            let offset = u32::try_from(little_endian(&entry[width..])).ok()?;
            self.add_symbol(name_at, len, offset);
        }
        Some(())
    }

    fn add_symbol(&mut self, name_at: usize, len: usize, member: u32) {
        let name = Span {
            start: name_at as u32,
            len: len as u32,
        };
        self.symbols.push(ArchiveSymbol {
            name,
            hash: hash_name(&self.input.bytes()[name.range()]),
            member: MemberOffset(member),
        });
    }

    /// A member's name, and where its contents are.
    fn name_and_contents(
        &self,
        header: &Header<'_>,
        offset: MemberOffset,
    ) -> Result<(String, Span)> {
        let bytes = self.input.bytes();
        let at = offset.0 as usize;
        let name = match header.name {
            [b'/', digits @ ..] if digits.first().is_some_and(u8::is_ascii_digit) => {
                let start = decimal(digits)
                    .ok_or_else(|| malformed(at, "a member's long name is malformed"))?;
                let table = &bytes[self.long_names.range()];
                let rest = table
                    .get(start as usize..)
                    .ok_or_else(|| malformed(at, "a member's long name is missing"))?;
                // Members may share a name too.
                let rest = &rest[..rest.len().min(LONGEST_NAME)];
                let end = rest.iter().position(|byte| matches!(byte, b'\n' | 0));
                &rest[..end.ok_or_else(|| malformed(at, "a member's long name has no end"))?]
            }
            name => name,
        };
        let (bsd_name, contents) = bsd_name(bytes, header)?;
        let name = match bsd_name {
            [] => name.strip_suffix(b"/").unwrap_or(name),
            bsd_name => bsd_name,
        };
        Ok((String::from_utf8_lossy(name).into_owned(), contents))
    }

    fn open_member(
        &self,
        header: &Header<'_>,
        offset: MemberOffset,
        access: Access,
    ) -> Result<Member> {
        let bytes = self.input.bytes();
        let at = offset.0 as usize;
        let (name, contents) = self.name_and_contents(header, offset)?;
        if !self.thin {
            return Ok(Member {
                name,
                input: self.input.clone(),
                span: inside(bytes, at, contents)?,
                offset,
                archive: self.input.clone(),
                is_kept: access == Access::Keep && self.input.is_mapped(),
            });
        }
        let path = self.member_file(&name);
        // Devices and pipes have no size to be told from the one that the archive says, and may never end.
        let is_file = std::fs::metadata(&path)
            .map_err(|error| Error::io("cannot open", &path, &error))?
            .is_file();
        if !is_file {
            return Err(Error::bad_input("a thin archive's member is no file").with_path(&path));
        }
        let input = Input::open(path, access)?;
        let len = input.bytes().len() as u32;
        if len != header.contents.len {
            return Err(
                Error::bad_input("has another size than its thin archive says")
                    .with_path(input.path())
                    .with_hint("make the archive anew"),
            );
        }
        let name = match Path::new(&name).file_name() {
            Some(file) => file.to_string_lossy().into_owned(),
            None => name,
        };
        Ok(Member {
            name,
            input,
            span: Span { start: 0, len },
            offset,
            archive: self.input.clone(),
            is_kept: false,
        })
    }
}

fn read_header(bytes: &[u8], at: usize) -> Result<Header<'_>> {
    let header = bytes
        .get(at..)
        .and_then(|bytes| bytes.get(..HEADER_LEN))
        .ok_or_else(|| malformed(at, "a member's header is cut short"))?;
    if !header.ends_with(b"`\n") {
        return Err(malformed(at, "no member's header stands here"));
    }
    let len = decimal(&header[48..58])
        .ok_or_else(|| malformed(at + 48, "a member's size is no number"))?;
    Ok(Header {
        name: header[..16].trim_ascii_end(),
        contents: Span {
            start: (at + HEADER_LEN) as u32,
            len,
        },
    })
}

/// Where the next header stands, if the contents of this one are in the archive.
fn next_header(header: &Header<'_>) -> usize {
    let end = header.contents.end();
    end + end % 2
}

/// Checks that contents are within the archive.
fn inside(bytes: &[u8], at: usize, contents: Span) -> Result<Span> {
    match bytes.get(contents.range()) {
        Some(_) => Ok(contents),
        None => Err(malformed(at, "a member is cut short")),
    }
}

fn is_index(name: &[u8], bsd_name: &[u8]) -> bool {
    name == b"/"
        || name == b"/SYM64/"
        || name.starts_with(b"__.SYMDEF")
        || bsd_name.starts_with(b"__.SYMDEF")
}

/// `#1/LEN`: the name is the first LEN bytes of the contents. Otherwise an empty name, and the contents as they are.
fn bsd_name<'a>(bytes: &'a [u8], header: &Header<'_>) -> Result<(&'a [u8], Span)> {
    let Some(digits) = header.name.strip_prefix(b"#1/") else {
        return Ok((&[], header.contents));
    };
    let contents = header.contents;
    let at = contents.start as usize;
    let name = decimal(digits)
        .filter(|len| *len <= contents.len)
        .and_then(|len| bytes.get(at..at + len as usize))
        .ok_or_else(|| malformed(at, "a member's name is malformed"))?;
    let rest = Span {
        start: contents.start + name.len() as u32,
        len: contents.len - name.len() as u32,
    };
    let end = name
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |last| last + 1);
    Ok((&name[..end], rest))
}

fn decimal(digits: &[u8]) -> Option<u32> {
    let digits = digits.trim_ascii();
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u32, |value, digit| {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit < 10)?;
        value.checked_mul(10)?.checked_add(u32::from(digit))
    })
}

fn big_endian(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0, |value, byte| value << 8 | u64::from(*byte))
}

fn little_endian(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .rev()
        .fold(0, |value, byte| value << 8 | u64::from(*byte))
}

#[cold]
fn malformed(at: usize, what: &str) -> Error {
    Error::bad_input(format!("malformed archive: {what}")).with_offset(at as u64)
}
