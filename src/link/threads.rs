//! How many threads work at once, in the whole process. Where no more may be started, those work that there are.

use std::num::NonZero;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread;

use crate::error::{Error, Result};
use crate::parallel;

/// Threads at most: more than that wait for one another, however many cores there are.
const MOST: usize = 256;

/// Whether threads are to be started once there is work for several.
static ARE_WANTED: AtomicBool = AtomicBool::new(false);

/// Does what [`use_threads`] does, but not before there is work for more than one: a process that changes one function has none, and
/// starting threads that find nothing to do would be a part of what it costs. If it is said how many, they are started at once.
pub fn use_threads_when_needed(threads: Option<usize>) {
    match threads {
        // It can be set once; there is nothing before this that would have.
        Some(_) => drop(use_threads(threads)),
        None => ARE_WANTED.store(true, Ordering::SeqCst),
    }
}

/// There is work for several threads: a whole link, or much of one object.
pub(super) fn are_needed() {
    static STARTED: Once = Once::new();
    if ARE_WANTED.load(Ordering::SeqCst) {
        // Whoever has set it before has been heard.
        STARTED.call_once(|| drop(use_threads(None)));
    }
}

/// Sets how many threads work at once, for the whole process; `None` for what `RAYON_NUM_THREADS` says, or as many as there are cores. If the system does not
/// let as many be started, there are fewer; if it lets none, this thread does all of the work, and must be the one that
/// links.
///
/// # Errors
/// If that has been decided before.
pub fn use_threads(threads: Option<usize>) -> Result<()> {
    let said = std::env::var("RAYON_NUM_THREADS").ok();
    let said = said
        .and_then(|threads| threads.parse().ok())
        .filter(|threads| *threads > 0);
    let cores = || thread::available_parallelism().map_or(1, NonZero::get);
    let wanted = threads.or(said).unwrap_or_else(cores).clamp(1, MOST);
    // They are started before the pool is made, which cannot be made twice, and are told what to do when it is known how
    // many there are.
    let mut started: Vec<Sender<rayon::ThreadBuilder>> = Vec::new();
    while started.len() < wanted {
        let (sender, receiver) = channel::<rayon::ThreadBuilder>();
        let work = move || {
            if let Ok(worker) = receiver.recv() {
                worker.run();
            }
        };
        match thread::Builder::new().spawn(work) {
            Ok(_) => started.push(sender),
            Err(_) => break,
        }
    }
    parallel::set_alone(started.len() <= 1);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(started.len().max(1));
    let pool = match started.is_empty() {
        true => pool.use_current_thread().build_global(),
        false => pool
            .spawn_handler(|worker| {
                let waiting = started.pop().and_then(|sender| sender.send(worker).ok());
                waiting.ok_or_else(|| std::io::Error::other("a thread has ended"))
            })
            .build_global(),
    };
    pool.map_err(|error| Error::bad_edit(error.to_string()))
}
