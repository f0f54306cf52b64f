//! What the files of a state folder are called behind the output's name. What is in them is not known here.

/// Locked by the one writer of the output.
pub(super) const LOCK: &str = ".lock";
/// The output one version ago, which the next patch is made on.
pub(crate) const SHADOW: &str = ".shadow";
/// Behind the name of an output, or of another file: what is to take its place.
pub(crate) const NEW: &str = ".new";
/// What an in-place commit overwrites.
pub(crate) const JOURNAL: &str = ".journal";

/// The heap of a link that is kept.
pub(crate) const HEAP: &str = ".heap";
/// The same while a first link makes it.
pub(crate) const HEAP_NEW: &str = ".heap.new";
/// The head of what is kept.
pub(crate) const STATE: &str = ".state";
/// A second name of the output: build systems remove what is to be made anew.
pub(crate) const LAST: &str = ".last";
/// What was asked for, in words.
pub(crate) const OPTIONS: &str = ".options";
/// A line for each link.
pub(crate) const LOG: &str = ".log";
/// The log before the one that is written.
pub(crate) const LOG_OLD: &str = ".log.old";
/// Where the process can be asked that has what is kept in memory.
pub(crate) const SOCKET: &str = ".sock";
/// One of these that is being written as a whole.
pub(crate) const UNFINISHED: &str = ".fresh";

/// All of them.
pub(super) const ALL: [&str; 13] = [
    LOCK, SHADOW, NEW, JOURNAL, HEAP, HEAP_NEW, STATE, LAST, OPTIONS, LOG, LOG_OLD, UNFINISHED,
    SOCKET,
];
