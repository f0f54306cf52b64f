//! A link that goes on where another process ended: what a linker that is started for each build needs to patch.
//!
//! All that a link knows stands in an arena (`heap`), whose pages are in a file beside the output, `NAME.heap`; a second one,
//! `NAME.state`, is its head and says what must be so for it to be of use. [`resume`] looks at that: the options, the
//! program itself, the output, every file that was read. If nothing has changed there is nothing to do; if objects have, the
//! arena is mapped, the link in it is brought up to date as [`Linked::update`] does, and the pages that this changed are
//! written back. In any other case, and whenever something is not as expected, the answer is a [`NoState`], and the caller links
//! from the beginning ([`Linked::link_kept`]): slower, never different.
//!
//! The head is removed before the arena's file is written and comes back when it is; it names the output by its times and
//! its identity. So a process that is killed at any point leaves a state that fits its output, or none that is used.

mod asked;
mod examine;
mod head;
mod log;
mod reason;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::{Error, ErrorKind};
use crate::halves::in_halves;
use crate::hash::{HashMap, HashSet};
use crate::heap::{self, Image};
use crate::link::command::options::{InputArgument, LinkOptions};
use crate::link::inputs::{InputFile, find_libraries, symbols_beside};
use crate::link::pipeline::Target;
use crate::link::report::{Failed, LinkReport};
use crate::link::session::Linked;
use crate::object::{Access, Input};
use crate::output::{self, OutputOptions, Sighting, StateFolder, suffix};
use crate::patch::BuildIdentity;

use asked::{Asked, Key, key_of};
use head::{Head, KeptFile, KeptFiles, Role};

pub use examine::{Examination, NextLink, StateFile, examine};
pub use log::{append_log, read_log};
pub use reason::NoState;

/// No head is longer: that of a link of a million files.
const LONGEST_HEAD: u64 = 512 << 20;

/// What is wrong with a heap whose file has other times than it was saved with.
const NOT_THE_HEAP: &str = "its heap is not what was written";

/// How much may pass between two times that files have, at most: the slowest clock of a Linux kernel, twice.
const STEP_NANOS: i128 = 20_000_000;

/// What came of going on with a link.
#[derive(Debug)]
pub enum Resumed {
    /// Nothing has changed: the output is what it has to be.
    Unchanged,
    /// The output was brought up to date.
    Updated {
        /// What was published.
        report: Box<LinkReport>,
        /// How many bytes of the state were written for the next process; if it could not be, why.
        saved: Result<u64, String>,
    },
    /// All has to be linked.
    No(NoState),
    /// All has to be linked, by another process: this one has found out too late.
    Unusable(String),
}

/// What the arena keeps.
struct Root {
    linked: Linked,
}

/// Goes on with the link that an earlier process did for these options, if there is one.
///
/// From here on the process may allocate in the arena of that link: it is to be called once, and the process should end
/// soon after. `begin` is called before anything is written or shared out to threads, if there is anything to do.
///
/// # Errors
/// What the link says of its inputs; the output is as it was then, and so is what is kept.
pub fn resume(
    options: &LinkOptions,
    publishing: OutputOptions,
    begin: impl FnOnce(),
) -> Result<Resumed, Failed> {
    match try_resume(options, publishing, begin) {
        Ok(resumed) => Ok(resumed),
        Err(Stop::No(reason)) => Ok(Resumed::No(reason)),
        Err(Stop::Failed(failed)) => Err(failed),
    }
}

enum Stop {
    No(NoState),
    Failed(Failed),
}

impl From<Failed> for Stop {
    fn from(failed: Failed) -> Stop {
        Stop::Failed(failed)
    }
}

impl From<NoState> for Stop {
    fn from(reason: NoState) -> Stop {
        Stop::No(reason)
    }
}

fn try_resume(
    options: &LinkOptions,
    publishing: OutputOptions,
    begin: impl FnOnce(),
) -> Result<Resumed, Stop> {
    let folder = StateFolder::beside(&options.output)
        .map_err(|error| NoState::Unsupported(format!("the folder `.wasmend`: {error}")))?;
    let this = Process::this()?;
    let key = key_of(options);
    let expected = |head: &Head| {
        if head.key != key {
            return Err(NoState::OtherOptions(difference(&folder, head, options)));
        }
        expect_process(head, &this)?;
        expect_output(head, &folder, &options.output)
    };
    // A build system may have taken the first name away.
    let restore = |is_there: bool| match is_there {
        true => Ok(()),
        false => folder.restore_output(suffix::LAST).map_err(|error| {
            let what = format!("it is gone, and cannot have its name again: {error}");
            other_output(&options.output, &what)
        }),
    };
    let bytes = read_head(&folder)?;
    let mut head = decode_head(&bytes)?;
    let mut is_there = expected(&head)?;
    let named = named_files(options);
    let here = Path::new("");
    let mut changes = Changes::of(&head, &named, here)?;
    if changes.files.is_empty() {
        restore(is_there)?;
        return Ok(Resumed::Unchanged);
    }
    begin();
    output::expect_not_an_input(&options.output, &changes.files).map_err(Failed::from)?;
    // From here on no other process writes the arena's file. One may have, up to here.
    let file = lock_image(&folder)?;
    let bytes_now = read_head(&folder)?;
    if bytes_now != bytes {
        head = decode_head(&bytes_now)?;
        is_there = expected(&head)?;
        changes = Changes::of(&head, &named, here)?;
    }
    if head.has_grown() {
        return Err(NoState::Grown(head.image_len, head.first_len).into());
    }
    restore(is_there)?;
    // A file with two names could not be written once it is the older copy.
    let _ = folder.remove(suffix::LAST);
    let seen = rustix::fs::stat(&options.output).map(|stat| Sighting::of_stat(&stat));
    let seen = seen.ok().filter(|seen| head.output.is_other_name_of(seen));
    let seen = seen.ok_or_else(|| other_output(&options.output, "it was written since"))?;
    let image = open_image(file, &head)?;
    let began = now();
    let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        #[allow(unsafe_code)]
        // SAFETY: the arena is what a process of this very program, at the same address, has saved, and what it saved at
        // this address is a `Root`; nobody else has it.
        let root = unsafe { &mut *(heap::root() as *mut Root) };
        let linked = &mut root.linked;
        linked.resume_output(publishing, seen)?;
        linked.rename_inputs(options, &changes.renamed);
        let report = linked.update(&changes.files)?;
        Ok::<_, Failed>((linked, report))
    }));
    let (linked, report) = match done {
        Ok(Ok(done)) => done,
        Ok(Err(failed)) if failed.0.errors.iter().all(is_of_output) => {
            return Ok(Resumed::Unusable(failed.to_string()));
        }
        Ok(Err(failed)) => return Err(Stop::Failed(failed)),
        Err(panic) => {
            let why = panic.downcast_ref::<Error>().map(Error::to_string);
            let why = why.unwrap_or_else(|| "something unexpected happened".to_owned());
            return Ok(Resumed::Unusable(why));
        }
    };
    let kept = linked.keep_objects(Some(&changes.places));
    Input::forget_mapped_again();
    // What only the head needs is not to be kept.
    let _paused = heap::pause();
    // What was looked at once is not looked at again, for that would be most of what this process touches; unless a link from
    // the inputs has read other members.
    let files = match report.resolved_anew {
        None => files_after(&head.files, linked, &changes.places, began),
        Some(_) => all_files(linked, began),
    };
    let basis = Basis {
        key: head.key,
        process: this,
        first_len: head.first_len,
        files,
        absent: head.absent,
    };
    let saved = kept.map_err(|error| std::io::Error::other(error.to_string()));
    let saved = saved.and_then(|()| save(linked, &folder, &image, basis));
    let saved = saved.inspect_err(|_| remove_all(&folder));
    Ok(Resumed::Updated {
        report: Box::new(report),
        saved: saved.map_err(|error| error.to_string()),
    })
}

fn is_of_output(error: &Error) -> bool {
    error.kind() == ErrorKind::OutputChanged
}

impl Linked {
    /// Links what the options say, as [`Linked::link`] does, and keeps what it knows for the next process ([`resume`]). From here
    /// on the process allocates in an arena. Also returns how many bytes were kept, or why nothing could be.
    ///
    /// # Errors
    /// All that went wrong. Nothing is written then.
    pub fn link_kept(
        options: &LinkOptions,
        publishing: OutputOptions,
    ) -> Result<(LinkReport, Result<u64, String>), Failed> {
        let began = now();
        let process = match Process::this() {
            Ok(found) => found,
            Err(reason) => return link_unkept(options, publishing, &reason),
        };
        let unsupported = |error: std::io::Error| NoState::Unsupported(error.to_string());
        // Nobody else may use it, or know of it, before the link is done.
        let begun = StateFolder::beside(&options.output).and_then(|folder| {
            let file = folder.begin(suffix::HEAP)?;
            let image = Image::new(file.file().try_clone()?);
            heap::enter(file.file().try_clone()?)?;
            Ok((folder, file, image))
        });
        let (folder, file, image) = match begun.map_err(unsupported) {
            Ok(begun) => begun,
            Err(reason) => return link_unkept(options, publishing, &reason),
        };
        // What is kept must stand in the arena: the options that were made before do not.
        let target = Target::File(publishing);
        let (linked, report) = Linked::link(options.clone(), Access::Keep, target)?;
        let kept = linked.keep_objects(None);
        let root = Box::leak(Box::new(Root { linked }));
        heap::set_root((&raw const *root).addr());
        // What only the head needs is not to be kept.
        let _paused = heap::pause();
        let asked = Asked::of(options);
        let basis = Basis {
            key: asked.key,
            process,
            first_len: 0,
            files: all_files(&root.linked, began),
            absent: absent_files(&root.linked),
        };
        let kept = kept.map_err(|error| std::io::Error::other(error.to_string()));
        let saved = kept.and_then(|()| {
            folder.remove(suffix::STATE)?;
            // Only words for people: the link before is understood without.
            let _ = folder.write(suffix::OPTIONS, &asked.encode());
            file.publish()?;
            save(&root.linked, &folder, &image, basis)
        });
        let saved = saved.inspect_err(|_| remove_all(&folder));
        Ok((report, saved.map_err(|error| error.to_string())))
    }
}

fn link_unkept(
    options: &LinkOptions,
    publishing: OutputOptions,
    reason: &NoState,
) -> Result<(LinkReport, Result<u64, String>), Failed> {
    let (module, report) = Linked::link_once(options, Access::Map, Target::File(publishing))?;
    std::mem::forget(module);
    Ok((report, Err(reason.to_string())))
}

/// What a head has that is known before the heap is written.
struct Basis {
    key: Key,
    process: Process,
    /// 0 for a new one.
    first_len: u64,
    /// `None` if one of them cannot be told from others.
    files: Option<KeptFiles>,
    absent: Vec<PathBuf>,
}

/// The files that the arguments name or find, in order; `None` for libraries, which are looked for.
fn named_files(options: &LinkOptions) -> Vec<Option<&Path>> {
    let inputs = options.inputs.iter();
    let files = inputs.filter_map(|input| match input {
        InputArgument::File(path) => Some(Some(&**path)),
        InputArgument::Library(_) => Some(None),
        _ => None,
    });
    files.collect()
}

/// A name for what is kept of a link somewhere else than beside its output: the same for the same options and inputs, wherever
/// an output of that name goes.
pub fn state_name(options: &LinkOptions) -> String {
    let output = options.output.file_name().map(PathBuf::from);
    let options = LinkOptions {
        output: output.unwrap_or_default(),
        ..options.clone()
    };
    let key = key_of(&options);
    key[..12].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What must be the same for addresses to mean what they meant, and for files to be what they were.
struct Process {
    /// The program that runs, as a file.
    program: Sighting,
    /// Where it stands.
    address: u64,
    boot: Vec<u8>,
}

impl Process {
    fn this() -> Result<Process, NoState> {
        let unsupported = |what: &str| NoState::Unsupported(what.to_owned());
        let address = heap::program_address()
            .ok_or_else(|| unsupported("the program does not stand at a fixed address"))?;
        let stat = rustix::fs::stat("/proc/self/exe")
            .map_err(|_| unsupported("the program cannot be told from others without /proc"))?;
        let boot = output::boot_id()
            .map_err(|_| unsupported("one start of the system cannot be told from another"))?;
        Ok(Process {
            program: Sighting::of_stat(&stat),
            address: address as u64,
            boot,
        })
    }
}

fn expect_process(head: &Head, this: &Process) -> Result<(), NoState> {
    if head.address != this.address || !head.program.is_still(&this.program) {
        return Err(NoState::OtherProgram);
    }
    match head.boot == this.boot {
        true => Ok(()),
        false => Err(NoState::OtherBoot),
    }
}

fn now() -> (i64, u64) {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = now.unwrap_or_default();
    (now.as_secs() as i64, u64::from(now.subsec_nanos()))
}

fn read_head(folder: &StateFolder) -> Result<Vec<u8>, NoState> {
    let bytes = folder.read(suffix::STATE, LONGEST_HEAD);
    bytes.map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => NoState::None,
        _ => NoState::Damaged(format!("its head cannot be read: {error}")),
    })
}

fn decode_head(bytes: &[u8]) -> Result<Head, NoState> {
    Head::decode(bytes).ok_or_else(|| match Head::is_of_other_version(bytes) {
        true => NoState::OtherProgram,
        false => NoState::Damaged("its head is cut short or damaged".to_owned()),
    })
}

/// What is asked for now that was not when the state was written, if that is known.
fn difference(folder: &StateFolder, head: &Head, options: &LinkOptions) -> Option<String> {
    let before = Asked::decode(&folder.read(suffix::OPTIONS, LONGEST_HEAD).ok()?)?;
    let is_its = before.key == head.key;
    is_its.then(|| Asked::of(options).differs_from(&before))?
}

fn other_output(output: &Path, what: &str) -> NoState {
    NoState::OtherOutput(format!("{}: {what}", output.display()))
}

/// The output is the one that was written, as far as its times and its last section tell. Says whether it is where it has to
/// be; if there is nothing, it may still have its second name.
fn expect_output(head: &Head, folder: &StateFolder, output: &Path) -> Result<bool, NoState> {
    let other = |what: &str| other_output(output, what);
    let (file, is_there) = match std::fs::File::open(output) {
        Ok(file) => (file, true),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let kept = folder.open_to_read(suffix::LAST);
            (kept.map_err(|_| other("it is gone"))?, false)
        }
        Err(error) => return Err(other(&format!("it cannot be read: {error}"))),
    };
    let cannot = |error: std::io::Error| other(&format!("it cannot be looked at: {error}"));
    let found = Sighting::of_file(&file).map_err(cannot)?;
    let is_it = match is_there {
        true => head.output.is_still(&found),
        // A name was taken away, and others may have come: that accounts for the time of the last change.
        false => head.output.is_other_name_of(&found),
    };
    if !is_it {
        return Err(other(&head.output.difference(&found)));
    }
    match read_identity(&file).map_err(cannot)? == head.identity {
        true => Ok(is_there),
        false => Err(other("its last section says that it is another version")),
    }
}

/// The last bytes of an output, which say what version it is.
fn read_identity(file: &std::fs::File) -> std::io::Result<Vec<u8>> {
    use std::os::unix::fs::FileExt;
    let len = BuildIdentity::SECTION_LEN;
    let start = file.metadata()?.len().saturating_sub(len);
    let mut bytes = vec![0; len as usize];
    file.read_exact_at(&mut bytes, start)?;
    Ok(bytes)
}

/// So many files are looked at before a second thread is worth starting.
const WORTH_A_THREAD: usize = 256;

/// What is not as it was.
struct Changes {
    /// The objects to look at again.
    files: Vec<PathBuf>,
    /// Those of them that are called otherwise, by their places among the files of the command line.
    renamed: Vec<(usize, PathBuf)>,
    /// The places of all of them.
    places: HashSet<u32>,
}

impl Changes {
    /// Looks at all files, whose paths are relative to a folder, `named` being what those on the command line are called now.
    fn of(head: &Head, named: &[Option<&Path>], folder: &Path) -> Result<Changes, NoState> {
        let is_there = |path: &&PathBuf| folder.join(path).exists();
        if let Some(path) = head.absent.iter().find(is_there) {
            return Err(NoState::FileAppeared(path.clone()));
        }
        let now_called = |file: &KeptFile<'_>| -> PathBuf {
            let named = file.position.and_then(|at| *named.get(at as usize)?);
            named.unwrap_or(file.path).to_path_buf()
        };
        let is_changed = |at: &u32| -> Option<bool> {
            let file = head.files.get(*at)?;
            let named = file.position.and_then(|at| *named.get(at as usize)?);
            if named.is_some_and(|named| named != file.path) {
                return Some(true);
            }
            let found = rustix::fs::stat(folder.join(file.path));
            let found = found.map(|stat| Sighting::of_stat(&stat));
            if !found.is_ok_and(|found| file.seen.is_still(&found)) {
                return Some(true);
            }
            Some(match (&file.recent, file.role) {
                (None, _) => false,
                // What an object holds is compared by the update.
                (Some(_), Role::Followed) => true,
                (Some(hash), Role::Other) => {
                    content_hash(&folder.join(file.path)).as_ref() != Some(hash)
                }
            })
        };
        let no_file = || NoState::Damaged("its head names no files".to_owned());
        let places = head.files.places();
        let looked = in_halves(&places, WORTH_A_THREAD, is_changed);
        let mut changes = Changes {
            files: Vec::new(),
            renamed: Vec::new(),
            places: HashSet::default(),
        };
        for (at, is_changed) in places.into_iter().zip(looked) {
            if !is_changed.ok_or_else(no_file)? {
                continue;
            }
            let file = head.files.get(at).ok_or_else(no_file)?;
            let path = now_called(&file);
            match (file.role, file.position) {
                (Role::Followed, Some(at)) => {
                    if path != file.path {
                        changes.renamed.push((at as usize, path.clone()));
                    }
                    changes.files.push(path);
                    changes.places.insert(at);
                }
                _ if !folder.join(file.path).exists() => {
                    return Err(NoState::FileGone(file.path.to_path_buf()));
                }
                _ => return Err(NoState::FileChanged(file.path.to_path_buf())),
            }
        }
        Ok(changes)
    }
}

/// How long another process may write the arena's file.
const PATIENCE: Duration = Duration::from_secs(10);

fn no_heap(error: std::io::Error) -> NoState {
    NoState::Damaged(format!("its heap cannot be opened: {error}"))
}

/// Opens the arena's file, and keeps other processes from writing it.
fn lock_image(folder: &StateFolder) -> Result<std::fs::File, NoState> {
    let file = folder.open(suffix::HEAP).map_err(no_heap)?;
    let began = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(std::fs::TryLockError::WouldBlock) if began.elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_millis(1));
            }
            Err(std::fs::TryLockError::WouldBlock) => {
                let text = format!("it has not ended within {} s", PATIENCE.as_secs());
                return Err(NoState::Held(text));
            }
            Err(error) => return Err(NoState::Unsupported(error.to_string())),
        }
    }
}

fn content_hash(path: &Path) -> Option<[u8; 32]> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(std::fs::File::open(path).ok()?).ok()?;
    Some(*hasher.finalize().as_bytes())
}

/// Maps what was kept, if its file is as it was when it was written.
fn open_image(file: std::fs::File, head: &Head) -> Result<Image, NoState> {
    let unsupported = |error: std::io::Error| NoState::Unsupported(error.to_string());
    let found = Sighting::of_file(&file).map_err(unsupported)?;
    if !head.image.is_still(&found) {
        return Err(NoState::Damaged(NOT_THE_HEAP.to_owned()));
    }
    let image = Image::new(file);
    image.open(head.image_len as usize).map_err(unsupported)?;
    Ok(image)
}

/// Writes what the arena holds now, and the head that goes with it. Returns how many bytes were written.
fn save(
    linked: &Linked,
    folder: &StateFolder,
    image: &Image,
    basis: Basis,
) -> std::io::Result<u64> {
    let gone = || std::io::Error::other("an input or the output is gone");
    let output = linked.state.module.published().ok_or_else(gone)?;
    let visible = std::fs::File::open(&linked.state.options.output)?;
    if !output.is_still(&Sighting::of_file(&visible)?) {
        return Err(gone());
    }
    let mut head = Head {
        key: basis.key,
        boot: basis.process.boot,
        program: basis.process.program,
        address: basis.process.address,
        output: Sighting::of_file(&visible)?,
        identity: read_identity(&visible)?,
        image: output,
        image_len: 0,
        first_len: basis.first_len,
        files: basis.files.ok_or_else(gone)?,
        absent: basis.absent,
    };
    folder.remove(suffix::STATE)?;
    if folder.keep_output(suffix::LAST).is_ok() {
        head.output = Sighting::of_file(&visible)?;
    }
    let saved = image.save(head.first_len == 0)?;
    head.image = Sighting::of_file(image.file())?;
    head.image_len = saved.len as u64;
    if head.first_len == 0 {
        head.first_len = saved.len as u64;
    }
    let bytes = head.encode();
    folder.write(suffix::STATE, &bytes)?;
    Ok(saved.written + bytes.len() as u64)
}

/// What is of no use without a head takes no room, which may be what was lacking.
fn remove_all(folder: &StateFolder) {
    for name in [
        suffix::STATE,
        suffix::HEAP,
        suffix::LAST,
        suffix::OPTIONS,
        suffix::SHADOW,
    ] {
        // The next link removes what is left.
        let _ = folder.remove(name);
    }
}

/// Every file that the link has read. `None` if one of them cannot be told from others.
fn all_files(linked: &Linked, began: (i64, u64)) -> Option<KeptFiles> {
    let inputs = &linked.state.inputs;
    let mut places: HashMap<_, (Role, u32)> = HashMap::default();
    for (at, file) in inputs.files().iter().enumerate() {
        let role = match file {
            InputFile::Object { .. } => Role::Followed,
            InputFile::Archive(file) if !file.archive.input().is_mapped() => Role::Followed,
            _ => Role::Other,
        };
        places.insert(Arc::as_ptr(file.input()), (role, at as u32));
    }
    // Members of archives are in the archives, but for those of thin ones; what was read of an archive that another one has taken
    // the place of is not read any more.
    let paths: HashSet<&Path> = inputs.inputs().map(|input| input.path()).collect();
    let linked_objects = linked.state.plan.resolution.objects().iter();
    let members = linked_objects.map(|linked| linked.object.input());
    let members = members.filter(|input| !paths.contains(input.path()));
    let mut known: HashSet<_> = HashSet::default();
    let mut files = KeptFiles::default();
    for input in inputs.inputs().chain(members) {
        let at = Arc::as_ptr(input);
        if !known.insert(at) {
            continue;
        }
        let place = places.get(&at);
        let role = place.map_or(Role::Other, |(role, _)| *role);
        files.push(kept_file(input, role, place.map(|(_, at)| *at), began)?);
    }
    let options = &linked.state.options;
    let lists = inputs.lists().chain(options.allow_undefined_file.clone());
    for path in lists {
        let stat = rustix::fs::stat(&path).ok()?;
        let seen = Sighting::of_stat(&stat);
        // What was read of it is not at hand any more.
        if seen.is_within(STEP_NANOS, began) {
            return None;
        }
        files.push(KeptFile {
            path: &path,
            role: Role::Other,
            position: None,
            seen,
            recent: None,
        });
    }
    Some(files)
}

/// An input as it was read.
fn kept_file(
    input: &Input,
    role: Role,
    position: Option<u32>,
    began: (i64, u64),
) -> Option<KeptFile<'_>> {
    let seen = input.seen()?;
    let is_recent = seen.is_within(STEP_NANOS, began);
    let recent = is_recent.then(|| match role {
        Role::Followed => [0; 32],
        Role::Other => *blake3::hash(input.bytes()).as_bytes(),
    });
    Some(KeptFile {
        path: input.path(),
        role,
        position,
        seen,
        recent,
    })
}

/// The files that were read once those at these places of the command line were read again.
fn files_after(
    files: &KeptFiles,
    linked: &Linked,
    places: &HashSet<u32>,
    began: (i64, u64),
) -> Option<KeptFiles> {
    let inputs = linked.state.inputs.files();
    files.renewed(
        |file| file.position.is_some_and(|place| places.contains(&place)),
        |file| {
            let input = inputs.get(file.position? as usize)?.input();
            kept_file(input, file.role, file.position, began)
        },
    )
}

/// Where a link of the same options would read files that are not there now.
fn absent_files(linked: &Linked) -> Vec<PathBuf> {
    let libraries = find_libraries(&linked.state.options);
    let mut absent: Vec<PathBuf> = libraries.flat_map(|library| library.absent).collect();
    for file in linked.state.inputs.files() {
        if let InputFile::Archive(archive) = file
            && archive.allowed_undefined.is_none()
        {
            absent.push(symbols_beside(archive.archive.input().path()));
        }
    }
    absent
}
