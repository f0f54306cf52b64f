//! What wakes the loop up: events of the file system, and signals that ask the process to end. Events say that it is worth
//! looking, never what there is to see, so that one too many does nothing and one too few costs a second.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use notify::Watcher;

use crate::cli::report::Reporter;
use crate::cli::signals;
use crate::cli::watch::looks;

/// How often files are looked at when nothing is heard of them: some file systems tell nothing.
const IDLE: Duration = Duration::from_secs(1);
/// How often where there are no events.
const BLIND: Duration = Duration::from_millis(250);

/// Why the loop was woken up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wake {
    /// Something happened to a file.
    Event,
    /// The time is over.
    Time,
    /// The process was asked to end.
    Stop,
}

/// Which folder stands under a name.
type FolderId = (u64, u64, Option<SystemTime>);

/// Listens to the folders of files. A file that is replaced is another file, so that listening to the file itself would
/// end with the first rename; and so it is with folders, whose parents are listened to while they are missing.
pub(super) struct Wakes {
    wakes: Receiver<Wake>,
    watcher: Option<notify::RecommendedWatcher>,
    /// The folders of the files.
    wanted: BTreeSet<PathBuf>,
    /// The folders that are listened to.
    heard: BTreeMap<PathBuf, FolderId>,
    shared: Arc<Shared>,
    /// Whether there is a folder that cannot be listened to; whether that was said.
    is_blind: bool,
    is_said: bool,
    reporter: Reporter,
}

/// What the thread that hears events knows.
#[derive(Default)]
struct Shared {
    /// The last parts of the paths that matter.
    names: Mutex<HashSet<OsString>>,
    /// Folders that went away, and are not listened to any more.
    gone: Mutex<HashSet<PathBuf>>,
}

impl Wakes {
    /// Listens to signals, and to no files yet.
    pub(super) fn new(reporter: Reporter) -> anyhow::Result<Wakes> {
        let (sender, wakes) = mpsc::channel();
        stop_on_signals(sender.clone())?;
        let shared = Arc::new(Shared::default());
        let mut created = Wakes {
            wakes,
            watcher: None,
            wanted: BTreeSet::new(),
            heard: BTreeMap::new(),
            shared: shared.clone(),
            is_blind: false,
            is_said: false,
            reporter,
        };
        match notify::recommended_watcher(move |event| hear(event, &sender, &shared)) {
            Ok(watcher) => created.watcher = Some(watcher),
            Err(error) => created.blind(&error),
        }
        Ok(created)
    }

    /// Says which files matter.
    pub(super) fn listen_for<'a>(&mut self, files: impl Iterator<Item = &'a Path>) {
        let mut names = HashSet::new();
        self.wanted.clear();
        for file in files {
            let targets = [std::path::absolute(file).ok(), linked_to(file)];
            for target in targets.into_iter().flatten() {
                names.extend(target.file_name().map(OsString::from));
                self.wanted.insert(looks::folder(&target).to_path_buf());
            }
        }
        // A folder that is missing, too, is noticed by its name when it comes back.
        for folder in &self.wanted {
            names.extend(folder.components().map(|part| part.as_os_str().to_owned()));
        }
        *lock(&self.shared.names) = names;
    }

    /// Listens to the folders that stand there now. To be called before each look: what happens behind it is heard.
    pub(super) fn refresh(&mut self) {
        let Some(watcher) = &mut self.watcher else {
            return;
        };
        let gone = std::mem::take(&mut *lock(&self.shared.gone));
        self.heard.retain(|folder, _| !gone.contains(folder));
        let standing = self.wanted.iter().filter_map(|folder| stands(folder));
        let standing: BTreeMap<PathBuf, FolderId> = standing.collect();
        self.heard.retain(|folder, id| {
            let stays = standing.get(folder) == Some(id);
            if !stays {
                // One that is gone has been forgotten already.
                let _ = watcher.unwatch(folder);
            }
            stays
        });
        let mut trouble = None;
        for (folder, id) in standing {
            if self.heard.contains_key(&folder) {
                continue;
            }
            match watcher.watch(&folder, notify::RecursiveMode::NonRecursive) {
                Ok(()) => {
                    self.heard.insert(folder, id);
                }
                // It went away just now, which the next look will show.
                Err(error) if matches!(error.kind, notify::ErrorKind::PathNotFound) => {}
                Err(error) => trouble = Some(error),
            }
        }
        match trouble {
            Some(error) => self.blind(&error),
            None => self.is_blind = false,
        }
    }

    /// Waits until something happens, for `wait` at most.
    pub(super) fn wait(&mut self, wait: Option<Duration>) -> Wake {
        let idle = if self.is_blind { BLIND } else { IDLE };
        let wait = wait.map_or(idle, |wait| wait.min(idle));
        let mut found = match self.wakes.recv_timeout(wait) {
            Ok(wake) => wake,
            Err(RecvTimeoutError::Timeout) => Wake::Time,
            Err(RecvTimeoutError::Disconnected) => {
                std::thread::sleep(wait);
                Wake::Time
            }
        };
        // A compiler's save is many events: one look answers all that have come in.
        while let Ok(wake) = self.wakes.try_recv() {
            if wake == Wake::Stop {
                found = wake;
            }
        }
        found
    }

    fn blind(&mut self, error: &notify::Error) {
        self.is_blind = true;
        if !std::mem::replace(&mut self.is_said, true) {
            let often = BLIND.as_millis();
            let text = format!("files are looked at every {often} ms, since events fail: {error}");
            self.reporter.note(&text);
        }
    }
}

/// The file that a symbolic link leads to.
fn linked_to(file: &Path) -> Option<PathBuf> {
    let is_link = std::fs::symlink_metadata(file).is_ok_and(|found| found.is_symlink());
    is_link.then(|| std::fs::canonicalize(file).ok()).flatten()
}

/// The folder, or the nearest one above it that exists.
fn stands(folder: &Path) -> Option<(PathBuf, FolderId)> {
    folder.ancestors().find_map(|folder| {
        let found = std::fs::metadata(folder).ok()?;
        let id = (found.dev(), found.ino(), found.created().ok());
        found.is_dir().then(|| (folder.to_path_buf(), id))
    })
}

fn hear(event: notify::Result<notify::Event>, sender: &Sender<Wake>, shared: &Shared) {
    use notify::event::{EventKind, ModifyKind, RemoveKind};
    let matters = match &event {
        Err(_) => true,
        Ok(event) if event.need_rescan() || event.paths.is_empty() => true,
        Ok(event) if is_reading(event) => false,
        Ok(event) => {
            let is_folder = matches!(
                event.kind,
                EventKind::Remove(RemoveKind::Folder | RemoveKind::Other)
                    | EventKind::Modify(ModifyKind::Name(_))
            );
            if is_folder {
                lock(&shared.gone).extend(event.paths.iter().cloned());
            }
            let names = lock(&shared.names);
            let mut paths = event.paths.iter();
            paths.any(|path| path.file_name().is_none_or(|name| names.contains(name)))
        }
    };
    if matters {
        // The loop may have ended already.
        let _ = sender.send(Wake::Event);
    }
}

/// Whether a file was opened, read or closed without having been written: so are they when the loop looks.
fn is_reading(event: &notify::Event) -> bool {
    use notify::event::{AccessKind, AccessMode, EventKind};
    match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => false,
        EventKind::Access(_) => true,
        _ => false,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whoever held it left a set behind, whose members are all that matters.
    mutex
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Turns signals that end the process into a request to end.
fn stop_on_signals(sender: Sender<Wake>) -> anyhow::Result<()> {
    let mut signals = signals::take_over()?;
    std::thread::Builder::new().spawn(move || {
        for _ in signals.forever() {
            if sender.send(Wake::Stop).is_err() {
                break;
            }
        }
    })?;
    Ok(())
}
