//! Why a process cannot go on where another one ended: each reason is a sentence that names the file or the option, and has a
//! number, which `design/state-format.md` explains. This decides nothing.

use std::fmt;
use std::path::PathBuf;

/// Why a process cannot go on where another one ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum NoState {
    /// There is none.
    None,
    /// It is not whole, or not what was written: which file, and what is wrong with it.
    Damaged(String),
    /// It was written by another program, or by another version of this one.
    OtherProgram,
    /// The system was started anew since: what it had not written by then is lost.
    OtherBoot,
    /// The options or the inputs are others: what is different, if that is known.
    OtherOptions(Option<String>),
    /// The output is not the one that was written: which it is, and what is different.
    OtherOutput(String),
    /// This file has changed, and is not one that an update can follow.
    FileChanged(PathBuf),
    /// This file is there now, and would be read; it was not when it was looked for.
    FileAppeared(PathBuf),
    /// This file is gone, or cannot be looked at.
    FileGone(PathBuf),
    /// It has grown beyond what a new one takes: how long the heap is, and how long it was.
    Grown(u64, u64),
    /// Another process has held it for too long.
    Held(String),
    /// The system does not give what is needed.
    Unsupported(String),
    /// What went wrong while it was used.
    Failed(String),
    /// Files are to be told apart by what is in them, and that of this one is not known.
    NoHash(PathBuf),
}

impl NoState {
    /// The reason's number, as listed in `design/state-format.md`.
    pub fn number(&self) -> u8 {
        match self {
            NoState::None => 1,
            NoState::Damaged(_) => 2,
            NoState::OtherProgram => 3,
            NoState::OtherOptions(_) => 4,
            NoState::OtherOutput(_) => 5,
            NoState::FileChanged(_) => 6,
            NoState::FileAppeared(_) => 7,
            NoState::FileGone(_) => 8,
            NoState::Grown(..) => 9,
            NoState::Held(_) => 10,
            NoState::Unsupported(_) => 11,
            NoState::Failed(_) => 12,
            NoState::OtherBoot => 13,
            NoState::NoHash(_) => 14,
        }
    }

    /// One of each, in the order of their numbers.
    pub fn examples() -> [NoState; 14] {
        let (file, what) = (PathBuf::from("main.o"), String::new);
        [
            NoState::None,
            NoState::Damaged(what()),
            NoState::OtherProgram,
            NoState::OtherOptions(None),
            NoState::OtherOutput(what()),
            NoState::FileChanged(file.clone()),
            NoState::FileAppeared(file.clone()),
            NoState::FileGone(file.clone()),
            NoState::Grown(0, 0),
            NoState::Held(what()),
            NoState::Unsupported(what()),
            NoState::Failed(what()),
            NoState::OtherBoot,
            NoState::NoHash(file),
        ]
    }

    /// The reason's short name, used in listings and in JSON.
    pub fn word(&self) -> &'static str {
        match self {
            NoState::None => "no-state",
            NoState::Damaged(_) => "state-damaged",
            NoState::OtherProgram => "other-program",
            NoState::OtherOptions(_) => "other-options",
            NoState::OtherOutput(_) => "other-output",
            NoState::FileChanged(_) => "input-not-followed",
            NoState::FileAppeared(_) => "input-appeared",
            NoState::FileGone(_) => "input-gone",
            NoState::Grown(..) => "state-grown",
            NoState::Held(_) => "state-held",
            NoState::Unsupported(_) => "not-supported",
            NoState::Failed(_) => "state-failed",
            NoState::OtherBoot => "other-boot",
            NoState::NoHash(_) => "no-hash",
        }
    }
}

impl fmt::Display for NoState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoState::None => f.write_str("there is no state from before"),
            NoState::Damaged(what) => {
                write!(f, "the state from before is not whole: {what}")
            }
            NoState::OtherBoot => {
                f.write_str("the system was started anew since the state was written")
            }
            NoState::OtherProgram => {
                f.write_str("another version of the program has written the state")
            }
            NoState::OtherOptions(None) => {
                f.write_str("the options or the list of inputs are others")
            }
            NoState::OtherOptions(Some(what)) => {
                write!(f, "the options or the list of inputs are others: {what}")
            }
            NoState::OtherOutput(what) => write!(
                f,
                "the output is not the one that was written before: {what}"
            ),
            NoState::FileChanged(path) => write!(
                f,
                "{} has changed, and cannot be followed: it is a list of symbols, or a thin archive's member that looks as it did",
                path.display()
            ),
            NoState::FileAppeared(path) => write!(
                f,
                "{} is there now, and was not when it was looked for before",
                path.display()
            ),
            NoState::FileGone(path) => {
                write!(
                    f,
                    "{} is not there any more, or cannot be read",
                    path.display()
                )
            }
            NoState::Grown(now, first) => write!(
                f,
                "the state has grown from {first} to {now} bytes, which is more than twice its size and 16 MiB"
            ),
            NoState::Held(what) => write!(f, "another process holds the state: {what}"),
            NoState::Unsupported(what) => write!(f, "no state can be used here: {what}"),
            NoState::NoHash(path) => write!(
                f,
                "it is not known what was in {}, which is to be told from what it was by its contents (--check=content)",
                path.display()
            ),
            NoState::Failed(what) => write!(f, "the state could not be used: {what}"),
        }
    }
}
