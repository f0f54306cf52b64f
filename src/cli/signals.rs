//! Signals that end the process: temporary files go before it does. And what is temporary here: private folders.
//!
//! Every command calls [`clean_up_when_ended`] before it makes anything temporary; one that goes on until it is told to end takes over with
//! [`take_over`]. Signals that the process was started to ignore, as `nohup` has it, stay ignored.

use std::ffi::c_int;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use wasmend::Error;

static TAKEN_OVER: AtomicBool = AtomicBool::new(false);
/// The folders that must not outlive the process.
static FOLDERS: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// How often a folder is removed in which something is just being written.
const ATTEMPTS: u32 = 10;

/// From now on, a signal that ends the process removes its temporary files first.
pub(crate) fn clean_up_when_ended() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(catch_endings);
}

fn catch_endings() {
    let (caught, to_wait_for) = std::sync::mpsc::channel::<Signals>();
    let wait = move || {
        let Ok(mut signals) = to_wait_for.recv() else {
            return;
        };
        for signal in signals.forever() {
            if TAKEN_OVER.load(Ordering::SeqCst) {
                continue;
            }
            let folders = FOLDERS.lock().unwrap_or_else(PoisonError::into_inner);
            // Until the process has ended, nothing new is made.
            let _removed = wasmend::output::remove_temporaries();
            for folder in &*folders {
                let _ = (0..ATTEMPTS).find(|_| std::fs::remove_dir_all(folder).is_ok());
            }
            let _ = signal_hook::low_level::emulate_default_handler(signal);
        }
    };
    // Where no more threads may be started, nothing is caught, and temporary files may stay behind. Where they may, signals are
    // caught from here on, however long it takes the thread to begin.
    if std::thread::Builder::new().spawn(wait).is_ok() {
        let ignored = ignored();
        let ending = [SIGINT, SIGTERM, SIGHUP].into_iter();
        // Nothing is caught if this fails: the process ends as it always would.
        if let Ok(signals) = Signals::new(ending.filter(|signal| !ignored.has(*signal))) {
            let _ = caught.send(signals);
        }
    }
}

/// The signals that ask a command to end by itself, for one that will do so and clean up.
pub(crate) fn take_over() -> std::io::Result<Signals> {
    let mut ending = vec![SIGINT, SIGTERM];
    // That is how a closed terminal says goodbye, unless it is not to be listened to.
    if !ignored().has(SIGHUP) {
        ending.push(SIGHUP);
    }
    let signals = Signals::new(ending)?;
    TAKEN_OVER.store(true, Ordering::SeqCst);
    Ok(signals)
}

/// The signals that the process was started to ignore. To be asked before one is caught.
fn ignored() -> Ignored {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    Ignored(mask.unwrap_or(0))
}

/// A set of signals, a bit each.
struct Ignored(u64);

impl Ignored {
    fn has(&self, signal: c_int) -> bool {
        self.0 & (1 << (signal - 1)) != 0
    }
}

/// A temporary folder that is private to the user, and gone when this is dropped or a signal ends the process.
pub(crate) struct Scratch(tempfile::TempDir);

impl Scratch {
    pub(crate) fn new() -> wasmend::Result<Scratch> {
        let mut folders = FOLDERS.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = tempfile::Builder::new()
            .prefix("wasmend-")
            .permissions(std::fs::Permissions::from_mode(0o700))
            .tempdir();
        let folder = folder.map_err(|error| {
            Error::io("cannot create a folder in", &std::env::temp_dir(), &error)
        })?;
        folders.push(folder.path().to_path_buf());
        Ok(Scratch(folder))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let mut folders = FOLDERS.lock().unwrap_or_else(PoisonError::into_inner);
        folders.retain(|folder| folder != self.0.path());
    }
}
