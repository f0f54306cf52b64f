//! Finding the files of a command line, opening them on all cores, and telling them apart.

pub(super) mod build_id;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::hash::HashMap;
use crate::link::command::options::{InputArgument, LinkOptions, symbol_list};
use crate::object::{Access, Archive, FileKind, Input, Member, MemberOffset, Object};
use crate::parallel::{region, task};
use crate::transaction::{Log, Saved, Transaction};

/// A file of the command line.
#[derive(Debug, Clone)]
pub enum InputFile {
    /// An object.
    Object {
        /// The object.
        object: Arc<Object>,
        /// Whether it is linked only if it defines what is needed (`--start-lib`).
        lazy: bool,
    },
    /// An archive.
    Archive(ArchiveFile),
    /// A list of symbols that somebody else will provide.
    Stubs(StubLibrary),
    /// One that would be linked only if it defined what is needed, and of which nobody knows what it defines.
    PassedOver {
        /// The file.
        input: Arc<Input>,
        /// Why that is.
        warning: Error,
    },
}

impl InputFile {
    /// The file's contents as they were read.
    pub fn input(&self) -> &Arc<Input> {
        match self {
            InputFile::Object { object, .. } => object.input(),
            InputFile::Archive(file) => file.archive.input(),
            InputFile::Stubs(stubs) => &stubs.input,
            InputFile::PassedOver { input, .. } => input,
        }
    }

    /// Notes that it is not linked any more: of what was kept of it nothing is read from its file.
    fn give_up(&self) {
        self.input().give_up();
        if let InputFile::Archive(file) = self {
            let members = file.objects();
            members.iter().for_each(|member| member.input().give_up());
        }
    }

    /// Whether it is a thin archive of which a member that was read is another file by now.
    fn has_changed_members(&self) -> bool {
        match self {
            InputFile::Archive(file) if file.archive.is_thin() => {
                let read = file.read();
                let mut members = file.members.iter().chain(read.values());
                members.any(|member| member.input().check_unchanged().is_err())
            }
            _ => false,
        }
    }
}

/// An archive of the command line.
#[derive(Debug, Clone)]
pub struct ArchiveFile {
    /// The archive.
    pub archive: Arc<Archive>,
    /// Members that had to be read at once: all of them, because the whole archive is linked or it has no index.
    pub members: Vec<Arc<Object>>,
    /// Whether all members are linked.
    pub whole: bool,
    /// Symbols that a list beside it says may be undefined; `None` if there is no list.
    pub allowed_undefined: Option<Vec<String>>,
    /// What was noticed when it was opened.
    pub warnings: Vec<Error>,
    /// Members that were read because they were needed. A link after this one need not read them again.
    read: Arc<Mutex<HashMap<MemberOffset, Arc<Object>>>>,
}

impl ArchiveFile {
    /// The object that a member is; read if it was not yet.
    pub(super) fn object(&self, member: MemberOffset, access: Access) -> Result<Arc<Object>> {
        if let Some(object) = self.read().get(&member) {
            return Ok(object.clone());
        }
        let object = Arc::new(self.archive.member(member, access)?.read()?);
        self.read().insert(member, object.clone());
        Ok(object)
    }

    /// The members that were read.
    pub(super) fn objects(&self) -> Vec<Arc<Object>> {
        let read = self.read();
        self.members.iter().chain(read.values()).cloned().collect()
    }

    /// The files of a thin archive's members that were read.
    pub(super) fn member_inputs(&self) -> Vec<Arc<Input>> {
        if !self.archive.is_thin() {
            return Vec::new();
        }
        let members = self.objects();
        members
            .iter()
            .map(|member| member.input().clone())
            .collect()
    }

    /// The members that were read, by their places.
    fn read(&self) -> MutexGuard<'_, HashMap<MemberOffset, Arc<Object>>> {
        let read = self.read.lock();
        read.unwrap_or_else(PoisonError::into_inner)
    }
}

/// A member of an archive that was read, and the one that has taken its place.
pub(super) type ChangedMember = (Arc<Object>, Arc<Object>);

impl ArchiveFile {
    /// Takes the place of an archive as it was before: members that are as they were need not be read again. Returns those that
    /// were read and are others; `None` if the archive as a whole is another one, because members define other symbols than
    /// before.
    ///
    /// # Errors
    /// If a member cannot be read.
    pub(super) fn follow(
        &self,
        old: &ArchiveFile,
        access: Access,
    ) -> Result<Option<Vec<ChangedMember>>> {
        let followed = self.follow_members(old, access);
        if !matches!(followed, Ok(Some(_))) {
            self.find_members_of(old, access);
        }
        followed
    }

    /// Members that were read from the file of before, which is gone, are found in this one from now on if they are here with the same
    /// contents: what has been made of them still needs these.
    fn find_members_of(&self, old: &ArchiveFile, access: Access) {
        // Otherwise what was read stays in memory, or has a file of its own.
        let is_sought = access == Access::Keep && !old.archive.is_thin() && !self.archive.is_thin();
        let members = is_sought.then(|| self.archive.members(access).ok());
        let members = members.flatten().unwrap_or_default();
        for object in old.objects() {
            if !members.iter().any(|member| member.is_still(&object)) {
                object.input().give_up();
            }
        }
    }

    fn follow_members(
        &self,
        old: &ArchiveFile,
        access: Access,
    ) -> Result<Option<Vec<ChangedMember>>> {
        let is_simple = |file: &ArchiveFile| file.archive.has_index() && !file.whole;
        let is_thin = self.archive.is_thin();
        let is_same = is_simple(old)
            && is_simple(self)
            && old.archive.is_thin() == is_thin
            // What a mapping of its file showed before is not known.
            && (!is_thin || access != Access::Map)
            && old.allowed_undefined == self.allowed_undefined
            && old.archive.passed_over() == self.archive.passed_over();
        let (Some(before), true) = (old.archive.members_like(&self.archive), is_same) else {
            return Ok(None);
        };
        let read = old.read().clone();
        let mut changed = Vec::new();
        for (offset, object) in read {
            let Some(now) = before.get(&offset) else {
                return Ok(None);
            };
            // Where others were looked at before, times are as good as contents, and a member that is kept is not opened for nothing.
            let is_still = is_thin && access == Access::Keep;
            if is_still && self.archive.is_still(*now, &object) {
                self.read().insert(*now, object);
                continue;
            }
            let member = self.archive.member(*now, access)?;
            let is_same = match is_thin {
                true => object.input().is_written_again(&member.input),
                false => member.is_still(&object),
            };
            let mut current = object.clone();
            if !is_same {
                if access == Access::Keep {
                    object.input().give_up();
                }
                current = Arc::new(member.read_after(&object)?);
                changed.push((object, current.clone()));
            }
            self.read().insert(*now, current);
        }
        Ok(Some(changed))
    }
}

/// Symbols that somebody else will provide, and what these need to be exported for it.
#[derive(Debug, Clone)]
pub struct StubLibrary {
    /// The file.
    pub input: Arc<Input>,
    /// Each symbol with its needs.
    pub symbols: StubSymbols,
}

/// Symbols with what each of them needs.
pub type StubSymbols = Vec<(String, Vec<String>)>;

/// The files of a command line.
#[derive(Debug, Clone, Default)]
pub struct Inputs {
    /// The files, in the order of the command line.
    pub(super) files: Log<InputFile>,
    /// What the file of `--allow-undefined-file` lists.
    allow_list: Saved<Vec<String>>,
    /// How members are opened later.
    access: Option<Access>,
}

/// A file to open.
struct Wanted {
    path: PathBuf,
    lazy: bool,
    whole: bool,
}

impl Transaction for Inputs {
    fn begin(&mut self) {
        self.files.begin();
        self.allow_list.begin();
    }

    fn commit(&mut self) {
        self.files.commit();
        self.allow_list.commit();
    }

    fn rollback(&mut self) {
        self.files.rollback();
        self.allow_list.rollback();
    }
}

impl Inputs {
    /// Finds and opens the files of a command line.
    ///
    /// # Errors
    /// All that went wrong, in the order of the command line.
    pub fn open(options: &LinkOptions, access: Access) -> Result<Inputs, Vec<Error>> {
        let wanted = find_all(options)?;
        let open = |wanted: &Wanted| task(|| open_file(wanted, access));
        let opened: Vec<Result<InputFile>> = region(|| wanted.par_iter().map(open).collect());
        let mut inputs = Inputs {
            access: Some(access),
            ..Inputs::default()
        };
        let mut errors = Vec::new();
        for file in opened {
            match file {
                Ok(file) => inputs.files.push(file),
                Err(error) => errors.push(error),
            }
        }
        if let Some(path) = &options.allow_undefined_file {
            match symbol_list(path) {
                Ok(symbols) => *inputs.allow_list = symbols,
                Err(error) => errors.push(error),
            }
        }
        match errors.is_empty() {
            true => Ok(inputs),
            false => Err(errors),
        }
    }

    /// Objects that are there already, all of them linked: for tests of single phases.
    pub fn of_objects(objects: impl IntoIterator<Item = Arc<Object>>) -> Inputs {
        let files = objects.into_iter().map(|object| InputFile::Object {
            object,
            lazy: false,
        });
        Inputs {
            files: files.collect::<Vec<InputFile>>().into(),
            ..Inputs::default()
        }
    }

    /// Opens one of the files again, as it is now; says whether anything has changed.
    ///
    /// # Errors
    /// If it cannot be read, or is not what a linker reads.
    pub(super) fn reopen(&mut self, file: usize) -> Result<bool> {
        let (lazy, whole) = match &self.files[file] {
            InputFile::Object { lazy, .. } => (*lazy, false),
            InputFile::Archive(archive) => (false, archive.whole),
            InputFile::Stubs(_) => (false, false),
            InputFile::PassedOver { .. } => (true, false),
        };
        let before = self.files[file].input();
        let path = before.path().to_path_buf();
        let fresh = Input::open(&path, self.access())?;
        if before.has_become(&fresh) {
            let text =
                "was written in its place while it was mapped: what it was is not known any more";
            return Err(Error::bad_input(text).with_path(&path).with_hint(
                "read what is to be followed (Access::Read), or replace files as a whole",
            ));
        }
        let is_same_list = match &self.files[file] {
            InputFile::Archive(archive) => archive.allowed_undefined == list_beside(&path)?,
            _ => true,
        };
        let is_same = before.is_written_again(&fresh);
        if is_same && is_same_list && !self.files[file].has_changed_members() {
            return Ok(false);
        }
        before.give_up();
        let now = match (&self.files[file], FileKind::of(fresh.bytes())) {
            (InputFile::Object { object, lazy }, FileKind::Wasm) => InputFile::Object {
                object: Arc::new(Object::read_after(fresh, object)?),
                lazy: *lazy,
            },
            _ => open_input(fresh, &Wanted { path, lazy, whole }, self.access())?,
        };
        self.files.set(file, now);
        Ok(true)
    }

    /// The files of another command line: those that are among them now and were before are not opened again, but for what
    /// `changed` names.
    ///
    /// # Errors
    /// All that went wrong.
    pub(super) fn relisted(
        &self,
        options: &LinkOptions,
        changed: &[PathBuf],
    ) -> Result<Inputs, Vec<Error>> {
        let wanted = find_all(options)?;
        let mut inputs = self.clone();
        let mut known: HashMap<PathBuf, Vec<usize>> = HashMap::default();
        for (at, file) in self.files.iter().enumerate().rev() {
            let path = file.input().path().to_path_buf();
            known.entry(path).or_default().push(at);
        }
        let mut places: Vec<Option<usize>> = Vec::with_capacity(wanted.len());
        for wanted in &wanted {
            let places_before = known.get_mut(&wanted.path);
            let place = places_before.and_then(|places| places.pop());
            places.push(place.filter(|at| wanted.fits(&self.files[*at])));
        }
        let mut errors = Vec::new();
        for (at, file) in self.files.iter().enumerate() {
            match places.contains(&Some(at)) {
                false => file.give_up(),
                true if changed.iter().any(|path| path == file.input().path()) => {
                    errors.extend(inputs.reopen_in_list(at, file).err());
                }
                true => {}
            }
        }
        let mut files = Vec::with_capacity(wanted.len());
        for (wanted, place) in wanted.iter().zip(&places) {
            let file = match place {
                Some(at) => Ok(inputs.files[*at].clone()),
                None => open_file(wanted, self.access()),
            };
            match file {
                Ok(file) => files.push(file),
                Err(error) => errors.push(error),
            }
        }
        inputs.files = files.into();
        match errors.is_empty() {
            true => Ok(inputs),
            false => Err(errors),
        }
    }

    /// Opens one of the files again, with what is as it was of the members of an archive, which is `before`.
    fn reopen_in_list(&mut self, at: usize, before: &InputFile) -> Result<()> {
        self.reopen(at)?;
        if let (InputFile::Archive(now), InputFile::Archive(before)) = (&self.files[at], before)
            && !Arc::ptr_eq(&now.archive, &before.archive)
        {
            now.follow(before, self.access())?;
        }
        Ok(())
    }

    /// One of the files as it was when this transaction began, if it has changed since.
    pub(super) fn before(&self, file: usize) -> Option<&InputFile> {
        let mut before = self.files.before();
        before.find(|(at, _)| *at == file).map(|(_, file)| file)
    }

    /// Reads the list of `--allow-undefined-file` again; says whether it has changed.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(super) fn reread_allow_list(&mut self, path: &Path) -> Result<bool> {
        let symbols = symbol_list(path)?;
        let is_changed = symbols != *self.allow_list;
        *self.allow_list = symbols;
        Ok(is_changed)
    }

    /// The files of the command line, in its order.
    pub fn files(&self) -> &[InputFile] {
        &self.files
    }

    /// Symbols that may be undefined: they become imports.
    pub(super) fn allowed_undefined(&self) -> impl Iterator<Item = &String> {
        let archives = self.archives();
        archives
            .flat_map(|archive| archive.allowed_undefined.iter().flatten())
            .chain(self.allow_list.iter())
    }

    /// What was noticed when the files were opened.
    pub(super) fn warnings(&self) -> impl Iterator<Item = &Error> {
        self.files.iter().flat_map(|file| match file {
            InputFile::Archive(archive) => &archive.warnings[..],
            InputFile::PassedOver { warning, .. } => std::slice::from_ref(warning),
            _ => &[],
        })
    }

    fn archives(&self) -> impl Iterator<Item = &ArchiveFile> {
        self.files.iter().filter_map(|file| match file {
            InputFile::Archive(archive) => Some(archive),
            _ => None,
        })
    }

    /// How members of archives are opened.
    pub(super) fn access(&self) -> Access {
        self.access.unwrap_or(Access::Map)
    }

    /// The lists of symbols beside archives.
    pub(super) fn lists(&self) -> impl Iterator<Item = PathBuf> {
        let with_list = self
            .archives()
            .filter(|archive| archive.allowed_undefined.is_some());
        with_list.map(|archive| symbols_beside(archive.archive.input().path()))
    }

    /// Every input that was opened, but for members of thin archives.
    pub fn inputs(&self) -> impl Iterator<Item = &Arc<Input>> {
        self.files.iter().map(InputFile::input)
    }
}

/// The files that the arguments name, libraries looked up.
fn find_all(options: &LinkOptions) -> Result<Vec<Wanted>, Vec<Error>> {
    let mut wanted = Vec::new();
    let mut errors = Vec::new();
    let (mut whole, mut lazy, mut shared) = (false, false, false);
    for argument in &options.inputs {
        let path = match argument {
            InputArgument::File(path) => path.clone(),
            InputArgument::Library(name) => match find_library(options, name, shared) {
                Ok(path) => path,
                Err(error) => {
                    errors.push(error);
                    continue;
                }
            },
            InputArgument::WholeArchive(on) => {
                whole = *on;
                continue;
            }
            InputArgument::StartLib | InputArgument::EndLib => {
                let start = *argument == InputArgument::StartLib;
                if lazy == start {
                    let text = match start {
                        true => "--start-lib within --start-lib",
                        false => "--end-lib without --start-lib",
                    };
                    errors.push(Error::bad_input(text));
                }
                lazy = start;
                continue;
            }
            InputArgument::SharedLibraries(on) => {
                shared = *on;
                continue;
            }
        };
        wanted.push(Wanted { path, lazy, whole });
    }
    match errors.is_empty() {
        true => Ok(wanted),
        false => Err(errors),
    }
}

/// Where a library is looked for, in order.
fn library_places(
    options: &LinkOptions,
    name: &str,
    shared: bool,
) -> impl Iterator<Item = PathBuf> {
    let files = match name.strip_prefix(':') {
        Some(file) => vec![file.to_owned()],
        None if shared => vec![format!("lib{name}.so"), format!("lib{name}.a")],
        None => vec![format!("lib{name}.a")],
    };
    let folders = options.search_paths.iter();
    folders.flat_map(move |folder| files.clone().into_iter().map(|file| folder.join(file)))
}

/// A library of the command line, looked for.
#[derive(Debug)]
pub(super) struct LookedFor {
    /// Where it would be found instead, were there a file.
    pub(super) absent: Vec<PathBuf>,
    pub(super) found: Option<PathBuf>,
}

/// The libraries of a command line, in order.
pub(super) fn find_libraries(options: &LinkOptions) -> impl Iterator<Item = LookedFor> {
    let mut shared = false;
    options
        .inputs
        .iter()
        .filter_map(move |argument| match argument {
            InputArgument::Library(name) => Some(look_for(options, name, shared)),
            InputArgument::SharedLibraries(on) => {
                shared = *on;
                None
            }
            _ => None,
        })
}

fn look_for(options: &LinkOptions, name: &str, shared: bool) -> LookedFor {
    let mut absent = Vec::new();
    for place in library_places(options, name, shared) {
        if place.exists() {
            let found = Some(place);
            return LookedFor { absent, found };
        }
        absent.push(place);
    }
    let found = None;
    LookedFor { absent, found }
}

fn find_library(options: &LinkOptions, name: &str, shared: bool) -> Result<PathBuf> {
    if let Some(path) = look_for(options, name, shared).found {
        return Ok(path);
    }
    let folders: Vec<String> = options
        .search_paths
        .iter()
        .map(|folder| folder.display().to_string())
        .collect();
    let hint = match folders.is_empty() {
        true => "name folders to look in with -L".to_owned(),
        false => format!("looked in {}", folders.join(", ")),
    };
    Err(Error::bad_input(format!("cannot find library -l{name}")).with_hint(hint))
}

impl Wanted {
    /// Whether a file that was opened is what this says of it.
    fn fits(&self, file: &InputFile) -> bool {
        match file {
            InputFile::Object { lazy, .. } => *lazy == self.lazy,
            InputFile::Archive(archive) => archive.whole == self.whole,
            InputFile::Stubs(_) => true,
            InputFile::PassedOver { .. } => self.lazy,
        }
    }
}

fn open_file(wanted: &Wanted, access: Access) -> Result<InputFile> {
    open_input(Input::open(&wanted.path, access)?, wanted, access)
}

fn open_input(input: Arc<Input>, wanted: &Wanted, access: Access) -> Result<InputFile> {
    match FileKind::of(input.bytes()) {
        FileKind::Archive | FileKind::ThinArchive => open_archive(input, wanted, access),
        FileKind::Stub => {
            let symbols = stub_symbols(&input)?;
            Ok(InputFile::Stubs(StubLibrary { input, symbols }))
        }
        FileKind::Bitcode if wanted.lazy => {
            let warning = bitcode().with_path(input.path());
            Ok(InputFile::PassedOver { input, warning })
        }
        // What is neither is refused by the reader, which says what it is.
        _ => {
            let object = Arc::new(Object::read(input)?);
            let lazy = wanted.lazy;
            Ok(InputFile::Object { object, lazy })
        }
    }
}

/// What is to be said of bitcode that may not be needed.
fn bitcode() -> Error {
    Error::bad_input("is LLVM bitcode, whose symbols are not known: nothing of it is linked")
        .with_hint("compile it without -flto if it is needed")
}

/// The file beside an archive that lists what its members need from the host, if there is one.
pub(super) fn symbols_beside(archive: &Path) -> PathBuf {
    archive.with_extension("imports")
}

fn list_beside(archive: &Path) -> Result<Option<Vec<String>>> {
    let list = symbols_beside(archive);
    match list.exists() {
        true => symbol_list(&list).map(Some),
        false => Ok(None),
    }
}

fn open_archive(input: Arc<Input>, wanted: &Wanted, access: Access) -> Result<InputFile> {
    let allowed_undefined = list_beside(input.path())?;
    let archive = Archive::open_to_read(input, access)?;
    let passed_over = archive.passed_over().iter();
    let mut warnings: Vec<Error> = passed_over.map(|name| no_object(&archive, name)).collect();
    let mut members = Vec::new();
    if wanted.whole || !archive.has_index() {
        let all = archive.members(access)?;
        let read = |member: &Member| match FileKind::of(member.bytes()) {
            FileKind::Wasm => member.read().map(Some),
            _ if !wanted.whole => Ok(None),
            _ => member.read().map(Some),
        };
        let read: Result<Vec<Option<Object>>> =
            region(|| all.par_iter().map(|member| task(|| read(member))).collect());
        for (object, member) in read?.into_iter().zip(&all) {
            match (object, FileKind::of(member.bytes())) {
                (Some(object), _) => members.push(Arc::new(object)),
                (None, FileKind::Bitcode) => {
                    warnings.push(bitcode().with_path(member.display_name()));
                }
                (None, _) => warnings.push(no_object(&archive, &member.name)),
            }
        }
        // Some libraries are empty but for what a compiler keeps in them for itself.
        let has_symbols = |object: &Arc<Object>| !object.symbols.is_empty();
        if !wanted.whole && members.iter().any(has_symbols) {
            warnings.push(
                Error::bad_input("an archive without an index: all its members must be read")
                    .with_path(archive.input().path())
                    .with_hint("add one with llvm-ranlib"),
            );
        }
    }
    let file = ArchiveFile {
        archive: Arc::new(archive),
        members,
        whole: wanted.whole,
        allowed_undefined,
        warnings,
        read: Arc::default(),
    };
    Ok(InputFile::Archive(file))
}

fn no_object(archive: &Archive, member: &str) -> Error {
    Error::bad_input(format!("member {member} is no object of WebAssembly"))
        .with_path(archive.input().path())
}

fn stub_symbols(input: &Input) -> Result<StubSymbols> {
    let text = std::str::from_utf8(input.bytes())
        .map_err(|_| Error::bad_input("a stub library is not UTF-8").with_path(input.path()))?;
    let symbols = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| {
            let (symbol, needs) = line.split_once(':').unwrap_or((line, ""));
            let needs = needs
                .split(',')
                .map(str::trim)
                .filter(|need| !need.is_empty());
            (symbol.trim().to_owned(), needs.map(str::to_owned).collect())
        });
    Ok(symbols.collect())
}

/// Checks that none of the inputs was changed since it was opened.
///
/// # Errors
/// The first, in order, that was.
pub fn check_unchanged<'a>(inputs: impl IntoIterator<Item = &'a Arc<Input>>) -> Result<()> {
    let inputs: Vec<&Arc<Input>> = inputs.into_iter().collect();
    let check = |input: &&Arc<Input>| task(|| input.check_unchanged());
    let results: Vec<Result<()>> = region(|| inputs.par_iter().map(check).collect());
    results.into_iter().collect::<Result<()>>()?;
    Input::check_mapped_again()
}
