//! What is kept beside one output, step by step: looking for a state that fits, mapping it, writing it. What it holds is its
//! user's.

use std::fmt::Debug;
use std::fs::File;
use std::marker::PhantomData;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::asked::{Asked, Key, key_of};
use super::head::{Head, KeptFiles};
use super::process::Process;
use super::reason::NoState;
use crate::error::Error;
use crate::heap::{self, Image};
use crate::output::{Durability, Sighting, StateFolder, Unfinished, suffix};
use crate::patch::BuildIdentity;

/// No head is longer: that of a link of a million files.
const LONGEST_HEAD: u64 = 512 << 20;

/// How long another process may write the arena's file.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is kept beside one output: a `T`, for a process that asks for this and nothing else.
pub(crate) struct Store<T> {
    folder: StateFolder,
    output: PathBuf,
    process: Process,
    key: Key,
    kept: PhantomData<fn() -> T>,
}

/// A state that fits, as far as its head and the output tell.
pub(crate) struct Found {
    bytes: Vec<u8>,
    pub(crate) head: Head,
    /// Whether the output is where it has to be; otherwise it has its second name.
    is_there: bool,
}

/// The arena's file, which no other process writes while this is held.
pub(crate) struct Locked(File);

/// The arena of this process, and its file. There is one of them in a process, whatever becomes of what is kept in it.
pub(crate) struct Arena {
    image: Image,
    /// The file, as long as it has no name: nobody else may use it, or know of it, before it does.
    unfinished: Option<Unfinished>,
    /// Its length when what it keeps was new; 0 if it has not been saved since.
    first_len: u64,
    /// Whether it keeps something else than it did when it was opened or saved.
    is_of_other: bool,
    /// Whether this process keeps others from opening the file, which they must not while it is written.
    is_locked: bool,
    /// Why it cannot be saved any more, once that has failed.
    problem: Option<String>,
    /// The head of what it keeps, while others may go on from there and this process does nothing with it.
    left: Option<Vec<u8>>,
}

/// Whether the process that saves an arena goes on with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    /// It ends: the output may get a second name.
    End,
    /// It does nothing for a while, in which others may do what they may at its end, and will [see](Store::wake) whether they have.
    Rest,
    /// It goes on, and will patch the output, which for that has one name only.
    GoOn,
}

/// What a head has that is known before the heap is written.
pub(crate) struct Basis {
    /// `None` if one of them cannot be told from others.
    pub(crate) files: Option<KeptFiles>,
    /// Where files would be read that were not there.
    pub(crate) absent: Vec<PathBuf>,
    /// See [`Head::list`].
    pub(crate) list: Key,
}

/// What the arena keeps, with the key that it was kept under, which says of what type it is.
#[repr(C)]
struct Root<T> {
    key: Key,
    value: T,
}

impl Arena {
    fn of(image: Image, unfinished: Option<Unfinished>) -> Arena {
        Arena {
            image,
            unfinished,
            first_len: 0,
            is_of_other: true,
            is_locked: true,
            problem: None,
            left: None,
        }
    }

    /// Whether what was found is what this process keeps, and has left to others.
    pub(crate) fn has_left(&self, found: &Found) -> bool {
        self.left.as_ref() == Some(&found.bytes)
    }

    /// Lets other processes open the file until it is written next: they find out who holds the output, which they would wait for
    /// otherwise.
    pub(crate) fn let_others_look(&mut self) {
        // A file without a name is to be nobody's but this process's.
        if self.unfinished.is_none() && self.is_locked {
            self.is_locked = self.image.file().unlock().is_err();
        }
    }

    /// Lets something else be kept in it than before, which is not kept any more.
    pub(crate) fn renew(&mut self) {
        self.first_len = 0;
        self.is_of_other = true;
    }
}

impl<T: 'static> Store<T> {
    /// What is kept beside an output under a key, which is one of a `T` ([`key_of`]); the folder is made if there is none.
    pub(crate) fn of(output: &Path, asked: &dyn Debug) -> Result<Store<T>, NoState> {
        let folder = StateFolder::beside(output)
            .map_err(|error| NoState::Unsupported(format!("the folder `.wasmend`: {error}")))?;
        Ok(Store {
            folder,
            output: output.to_path_buf(),
            process: Process::this()?,
            key: key_of::<T>(asked),
            kept: PhantomData,
        })
    }

    /// Looks for a state that fits. `asked` is what this process asks for, in words.
    pub(crate) fn find(&self, asked: &dyn Fn() -> Asked) -> Result<Found, NoState> {
        self.found(read_head(&self.folder)?, asked)
    }

    /// The same by a process that has nothing in an arena yet. If another one is saving, which has published the output and has its
    /// state in between, it is waited for.
    pub(crate) fn find_saved(&self, asked: &dyn Fn() -> Asked) -> Result<Found, NoState> {
        match self.find(asked) {
            Err(NoState::None | NoState::OtherOutput(_)) if self.wait_for_other() => {
                self.find(asked)
            }
            found => found,
        }
    }

    /// Whether another process had the arena's file, and has it no more.
    fn wait_for_other(&self) -> bool {
        let Ok(file) = self.folder.open(suffix::HEAP) else {
            return false;
        };
        let is_held = matches!(file.try_lock(), Err(std::fs::TryLockError::WouldBlock));
        is_held && lock(&file).is_ok()
    }

    /// Looks again, now that no other process writes it: what fits, if that is another one than was found.
    pub(crate) fn find_other(
        &self,
        found: &Found,
        asked: &dyn Fn() -> Asked,
    ) -> Result<Option<Found>, NoState> {
        let bytes = read_head(&self.folder)?;
        match bytes == found.bytes {
            true => Ok(None),
            false => self.found(bytes, asked).map(Some),
        }
    }

    fn found(&self, bytes: Vec<u8>, asked: &dyn Fn() -> Asked) -> Result<Found, NoState> {
        let head = decode_head(&bytes)?;
        if head.key != self.key {
            return Err(NoState::OtherOptions(self.difference(&head, asked)));
        }
        self.process.expect(&head.process)?;
        let is_there = expect_output(&head, &self.folder, &self.output)?;
        Ok(Found {
            bytes,
            head,
            is_there,
        })
    }

    /// What is asked for now that was not when the state was written, if that is known.
    fn difference(&self, head: &Head, asked: &dyn Fn() -> Asked) -> Option<String> {
        let before = read_asked(&self.folder)?;
        let is_its = before.key == head.key;
        is_its.then(|| asked().differs_from(&before))?
    }

    /// Gives the output its name again: a build system may have taken it away.
    pub(crate) fn restore(&self, found: &Found) -> Result<(), NoState> {
        if found.is_there {
            return Ok(());
        }
        self.folder.restore_output(suffix::LAST).map_err(|error| {
            let what = format!("it is gone, and cannot have its name again: {error}");
            other_output(&self.output, &what)
        })
    }

    /// The same, if nothing has changed: what is kept is noted to go with the output as it looks now that it has its name again. `left` is
    /// what this process has left to others, if it has.
    pub(crate) fn restore_unchanged(
        &self,
        mut found: Found,
        left: Option<&mut Arena>,
    ) -> Result<(), NoState> {
        self.restore(&found)?;
        if found.is_there {
            return Ok(());
        }
        // Otherwise all is made anew next time, for the file's times do not tell any more that nobody has written it.
        let Ok(_locked) = self.lock() else {
            return Ok(());
        };
        let seen = rustix::fs::stat(&self.output).map(|stat| Sighting::of_stat(&stat));
        let seen = seen
            .ok()
            .filter(|seen| found.head.output.is_other_name_of(seen));
        let is_its = read_head(&self.folder).is_ok_and(|bytes| bytes == found.bytes);
        if let (Some(seen), true) = (seen, is_its) {
            found.head.output = seen;
            let bytes = found.head.encode();
            let is_written = self.folder.write(suffix::STATE, &bytes).is_ok();
            if let Some(arena) = left.filter(|_| is_written) {
                arena.left = Some(bytes);
            }
        }
        Ok(())
    }

    /// Keeps an output that was just published, whatever becomes of its name until it is [saved](Store::save) with what is known
    /// of it by a process that [rests](After::Rest).
    pub(crate) fn keep_output(&self) {
        // Where there cannot be two names, it has to stay where it is.
        let _ = self.folder.keep_output(suffix::LAST);
    }

    /// Makes sure that an output that is what it has to be survives what it is to survive: who has written it may not have asked
    /// for that.
    pub(crate) fn flush(&self, durability: Durability) -> std::io::Result<()> {
        match durability {
            Durability::ProcessKill => Ok(()),
            Durability::Power => self.folder.sync_output(),
        }
    }

    /// Keeps other processes from writing the arena's file. One may have, up to here.
    pub(crate) fn lock(&self) -> Result<Locked, NoState> {
        let file = self.folder.open(suffix::HEAP).map_err(no_heap)?;
        lock(&file)?;
        Ok(Locked(file))
    }

    /// Maps the arena, in which everything is allocated from here on (but see [`heap::rest`]), and returns what was kept, and how the
    /// output looks. To be done once in a process.
    pub(crate) fn open(
        &self,
        locked: Locked,
        found: &Found,
    ) -> Result<(Arena, &'static mut T, Sighting), NoState> {
        let head = &found.head;
        let seen = self.take_output(&locked, found)?;
        let unsupported = |error: std::io::Error| NoState::Unsupported(error.to_string());
        let image = Image::new(locked.0);
        let is_its = image.begins_root(&self.key, size_of::<Root<T>>());
        if !is_its.map_err(unsupported)? {
            return Err(NoState::Damaged("its heap keeps something else".to_owned()));
        }
        image.open(head.image_len as usize).map_err(unsupported)?;
        #[allow(unsafe_code)]
        // SAFETY: the arena is what a process of this very program, at the same address, has saved, and what it saved at
        // this address is a `Root` that begins with this key, which is made of the name of `T`; nobody else has it.
        let root = unsafe { &mut *(heap::root() as *mut Root<T>) };
        let arena = Arena {
            first_len: head.first_len,
            is_of_other: false,
            ..Arena::of(image, None)
        };
        Ok((arena, &mut root.value, seen))
    }

    /// Goes on with what this process [has left](Arena::has_left) and still keeps, and returns how the output looks.
    pub(crate) fn wake(
        &self,
        arena: &mut Arena,
        locked: Locked,
        found: &Found,
    ) -> Result<Sighting, NoState> {
        let seen = self.take_output(&locked, found)?;
        arena.image.reopened(locked.0);
        arena.is_locked = true;
        arena.left = None;
        Ok(seen)
    }

    /// Gives the output the one name that it has while it is patched, and returns how it looks. The heap is what was found, too.
    fn take_output(&self, locked: &Locked, found: &Found) -> Result<Sighting, NoState> {
        let head = &found.head;
        expect_not_grown(head)?;
        self.restore(found)?;
        // A file with two names could not be written once it is the older copy.
        let _ = self.folder.remove(suffix::LAST);
        let seen = rustix::fs::stat(&self.output).map(|stat| Sighting::of_stat(&stat));
        let seen = seen.ok().filter(|seen| head.output.is_other_name_of(seen));
        let seen = seen.ok_or_else(|| other_output(&self.output, "it was written since"))?;
        expect_image(head, &locked.0)?;
        Ok(seen)
    }

    /// Keeps a value in the arena that was begun: it stands there, and so does all that it owns.
    pub(crate) fn keep(&self, value: T) -> &'static mut T {
        let key = self.key;
        let root = Box::leak(Box::new(Root { key, value }));
        heap::set_root((&raw const *root).addr());
        &mut root.value
    }

    /// Takes apart what is kept, so that something else can take its place in the arena.
    pub(crate) fn discard(&self, value: &'static mut T) {
        heap::set_root(0);
        #[allow(unsafe_code)]
        // SAFETY: it was handed out by `open` or `keep`, which nobody else has, and the caller has it no more; what it stands in
        // is not found any more.
        unsafe {
            std::ptr::drop_in_place(value);
        }
    }

    /// Begins an arena, in which everything is allocated from here on (but see [`heap::rest`]). To be done once in a process.
    pub(crate) fn begin(&self) -> Result<Arena, NoState> {
        let begun = || -> std::io::Result<Arena> {
            let file = self.folder.begin(suffix::HEAP)?;
            let image = Image::new(file.file().try_clone()?);
            heap::enter(file.file().try_clone()?)?;
            Ok(Arena::of(image, Some(file)))
        };
        begun().map_err(|error| NoState::Unsupported(error.to_string()))
    }

    /// Writes what the arena holds now, and the head that goes with it. `published` is the output as this process has published it,
    /// `asked` what it was asked for, in words. Returns how many bytes were written.
    pub(crate) fn save(
        &self,
        arena: &mut Arena,
        published: Option<Sighting>,
        basis: Basis,
        asked: &dyn Fn() -> Asked,
        after: After,
    ) -> Result<u64, String> {
        if let Some(problem) = &arena.problem {
            return Err(problem.clone());
        }
        if !arena.is_locked {
            lock(arena.image.file()).map_err(|reason| reason.to_string())?;
            arena.is_locked = true;
        }
        let (head, visible) = match self.head_of(published, basis, after) {
            Ok(found) => found,
            // Nothing has been touched; what is there fits no output any more.
            Err(error) => {
                if after != After::GoOn {
                    self.remove_all();
                }
                return Err(error.to_string());
            }
        };
        let saved = self.write(arena, head, &visible, asked, after);
        if after != After::End {
            arena.image.go_on();
            arena.let_others_look();
        }
        saved.map_err(|error| {
            self.remove_all();
            let problem = error.to_string();
            arena.problem = Some(problem.clone());
            problem
        })
    }

    /// The head, as far as it is known before the arena is written, and the output.
    fn head_of(
        &self,
        published: Option<Sighting>,
        basis: Basis,
        after: After,
    ) -> std::io::Result<(Head, File)> {
        let gone = || std::io::Error::other("an input or the output is gone");
        let output = published.ok_or_else(gone)?;
        let kept = match after {
            After::Rest => self.folder.open_to_read(suffix::LAST).ok(),
            _ => None,
        };
        let visible = kept.map_or_else(|| File::open(&self.output), Ok)?;
        if !output.is_still(&Sighting::of_file(&visible)?) {
            return Err(gone());
        }
        let head = Head {
            key: self.key,
            process: self.process.clone(),
            output: Sighting::of_file(&visible)?,
            identity: read_identity(&visible)?,
            image: output,
            image_len: 0,
            first_len: 0,
            files: basis.files.ok_or_else(gone)?,
            absent: basis.absent,
            list: basis.list,
        };
        Ok((head, visible))
    }

    fn write(
        &self,
        arena: &mut Arena,
        mut head: Head,
        visible: &File,
        asked: &dyn Fn() -> Asked,
        after: After,
    ) -> std::io::Result<u64> {
        head.first_len = arena.first_len;
        self.folder.remove(suffix::STATE)?;
        if std::mem::take(&mut arena.is_of_other) {
            // Only words for people: the state is understood without.
            let _ = self.folder.write(suffix::OPTIONS, &asked().encode());
        }
        if let Some(unfinished) = arena.unfinished.take() {
            unfinished.publish()?;
        }
        if after == After::End && self.folder.keep_output(suffix::LAST).is_ok() {
            head.output = Sighting::of_file(visible)?;
        }
        let saved = arena.image.save(head.first_len == 0)?;
        head.image = Sighting::of_file(arena.image.file())?;
        head.image_len = saved.len as u64;
        if head.first_len == 0 {
            head.first_len = saved.len as u64;
            arena.first_len = head.first_len;
        }
        let bytes = head.encode();
        self.folder.write(suffix::STATE, &bytes)?;
        let written = saved.written + bytes.len() as u64;
        arena.left = (after == After::Rest).then_some(bytes);
        Ok(written)
    }

    /// What is of no use without a head takes no room, which may be what was lacking.
    fn remove_all(&self) {
        for name in [
            suffix::STATE,
            suffix::HEAP,
            suffix::LAST,
            suffix::OPTIONS,
            suffix::SHADOW,
        ] {
            // The next process removes what is left.
            let _ = self.folder.remove(name);
        }
    }
}

/// Waits until no other process has a file, and keeps others from it.
fn lock(file: &File) -> Result<(), NoState> {
    let began = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
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

/// Does something with what was kept. What it cannot go on with, such as a file that is gone, may end in a panic; that is the
/// reason why the state is of no use then.
pub(crate) fn caught<R>(work: impl FnOnce() -> R) -> Result<R, String> {
    let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
    done.map_err(|panic| {
        let why = panic.downcast_ref::<Error>().map(Error::to_string);
        why.unwrap_or_else(|| "something unexpected happened".to_owned())
    })
}

pub(super) fn read_head(folder: &StateFolder) -> Result<Vec<u8>, NoState> {
    let bytes = folder.read(suffix::STATE, LONGEST_HEAD);
    bytes.map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => NoState::None,
        _ => NoState::Damaged(format!("its head cannot be read: {error}")),
    })
}

pub(super) fn decode_head(bytes: &[u8]) -> Result<Head, NoState> {
    Head::decode(bytes).ok_or_else(|| match Head::is_of_other_version(bytes) {
        true => NoState::OtherProgram,
        false => NoState::Damaged("its head is cut short or damaged".to_owned()),
    })
}

/// What was asked for, in words, if that is known.
pub(super) fn read_asked(folder: &StateFolder) -> Option<Asked> {
    Asked::decode(&folder.read(suffix::OPTIONS, LONGEST_HEAD).ok()?)
}

fn other_output(output: &Path, what: &str) -> NoState {
    NoState::OtherOutput(format!("{}: {what}", output.display()))
}

pub(super) fn no_heap(error: std::io::Error) -> NoState {
    NoState::Damaged(format!("its heap cannot be opened: {error}"))
}

/// What has grown too far is made anew.
pub(super) fn expect_not_grown(head: &Head) -> Result<(), NoState> {
    match head.has_grown() {
        true => Err(NoState::Grown(head.image_len, head.first_len)),
        false => Ok(()),
    }
}

/// The arena's file is as it was when it was written, by its times.
pub(super) fn expect_image(head: &Head, file: &File) -> Result<(), NoState> {
    let found = Sighting::of_file(file).map_err(no_heap)?;
    match head.image.is_still(&found) {
        true => Ok(()),
        false => Err(NoState::Damaged(
            "its heap is not what was written".to_owned(),
        )),
    }
}

/// The output is the one that was written, as far as its times and its last section tell. Says whether it is where it has to
/// be; if there is nothing, it may still have its second name.
pub(super) fn expect_output(
    head: &Head,
    folder: &StateFolder,
    output: &Path,
) -> Result<bool, NoState> {
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
fn read_identity(file: &File) -> std::io::Result<Vec<u8>> {
    let len = BuildIdentity::SECTION_LEN;
    let start = file.metadata()?.len().saturating_sub(len);
    let mut bytes = vec![0; len as usize];
    file.read_exact_at(&mut bytes, start)?;
    Ok(bytes)
}
