//! Files that are cut short while they are mapped. Whoever reads a byte that the file has no more is ended by the system
//! (SIGBUS): nothing is left to go on with, but what happened can be said, and what is temporary removed.
//!
//! The signal comes to the thread that reads, which can do next to nothing in it: it wakes another thread with the address,
//! and waits for the end of the process. Nothing is caught, and nothing remembered, unless somebody asked for it.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::os::fd::IntoRawFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Mutex, PoisonError};

/// Where the signal's handler writes addresses; negative while nobody listens.
static TO_LISTENER: AtomicI32 = AtomicI32::new(-1);
/// What is mapped: the first address, the length, the file.
static MAPPED: Mutex<BTreeMap<usize, (usize, PathBuf)>> = Mutex::new(BTreeMap::new());

/// Lets `tell` know of the next file that is cut short while it is mapped; `None` if what could not be read is none of
/// those. It runs on a thread of its own and must end the process, which cannot go on. To be asked for once, before files
/// are opened.
///
/// # Errors
/// If there are no more threads or descriptors to be had: then the system ends the process without a word.
pub fn when_cut_short(tell: impl Fn(Option<&Path>) + Send + 'static) -> io::Result<()> {
    let (mut reader, writer) = io::pipe()?;
    let listen = move || {
        let mut address = [0; size_of::<usize>()];
        if reader.read_exact(&mut address).is_ok() {
            tell(file_at(usize::from_ne_bytes(address)).as_deref());
        }
    };
    std::thread::Builder::new().spawn(listen)?;
    // It stays open until the process ends.
    TO_LISTENER.store(writer.into_raw_fd(), Ordering::SeqCst);
    signal::catch()
}

/// Remembers what is mapped, if somebody would want to know.
pub(super) fn remember(start: usize, len: usize, path: &Path) {
    if TO_LISTENER.load(Ordering::Relaxed) >= 0 {
        let file = (len, path.to_path_buf());
        mapped().insert(start, file);
    }
}

/// Forgets what is mapped no longer.
pub(super) fn forget(start: usize) {
    if TO_LISTENER.load(Ordering::Relaxed) >= 0 {
        mapped().remove(&start);
    }
}

fn mapped() -> std::sync::MutexGuard<'static, BTreeMap<usize, (usize, PathBuf)>> {
    MAPPED.lock().unwrap_or_else(PoisonError::into_inner)
}

fn file_at(address: usize) -> Option<PathBuf> {
    let mapped = mapped();
    let (start, (len, path)) = mapped.range(..=address).next_back()?;
    // The last page is mapped as a whole.
    let end = start + len.next_multiple_of(PAGE);
    (address < end).then(|| path.clone())
}

/// No page is larger than this.
const PAGE: usize = 64 << 10;

#[allow(unsafe_code)]
mod signal {
    use std::io;
    use std::sync::atomic::Ordering;

    use super::TO_LISTENER;

    pub(super) fn catch() -> io::Result<()> {
        let handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) =
            on_signal;
        // SAFETY: all zeros is a valid `sigaction`, whose fields are set before it is used; the handler is of the kind that
        // SA_SIGINFO says, and calls nothing but what may be called in a handler.
        let result = unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = handler as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
            libc::sigemptyset(&raw mut action.sa_mask);
            libc::sigaction(libc::SIGBUS, &raw const action, std::ptr::null_mut())
        };
        match result {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    extern "C" fn on_signal(_: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
        // SAFETY: the kernel hands a handler of this kind a valid `siginfo_t`; `write` and `pause` may be called in a
        // handler, and what is written is on this stack.
        unsafe {
            let address = ((*info).si_addr() as usize).to_ne_bytes();
            let to = TO_LISTENER.load(Ordering::SeqCst);
            libc::write(to, address.as_ptr().cast(), address.len());
            loop {
                libc::pause();
            }
        }
    }
}
