//! What commands have in common that keep their state for the next process: where it is kept, handing out what is patched there,
//! the log, and starting anew. What is kept, and how, is not known here.

use std::ffi::OsString;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use wasmend::kept::NoState;
use wasmend::output::{self, OutputOptions, no_check};
use wasmend::{Error, ErrorKind};

use crate::cli::record::{Logged, Record};
use crate::cli::report::{Event, Reporter};

/// What is set where every process is to keep its state, by whatever build system it is started.
const STATE: &str = "WASMEND_STATE";
/// Where every process that keeps its state is to keep it, by whatever build system it is started.
const STATE_FOLDER: &str = "WASMEND_STATE_DIR";
/// What is set where a process is to stay for each output, by whatever build system the others are started.
const DAEMON: &str = "WASMEND_DAEMON";
/// Says to the process that takes another one's place why that one could not go on.
pub(crate) const UNUSABLE: &str = "WASMEND_STATE_UNUSABLE";

/// What the environment says, if that is anything.
pub(crate) fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// Where state is to be kept, if an option or the environment says so.
pub(crate) fn folder_of(option: Option<&Path>) -> Option<PathBuf> {
    let of_environment = || variable(STATE_FOLDER).map(PathBuf::from);
    option.map(Path::to_path_buf).or_else(of_environment)
}

/// Whether state is to be kept, by an option for or against it, by one that says where, or by the environment.
pub(crate) fn is_wanted(option: Option<bool>, folder: Option<&Path>) -> bool {
    let wanted = || is_set(STATE) || is_set(DAEMON) || folder_of(folder).is_some();
    option.unwrap_or_else(wanted)
}

/// Whether a process is to stay that keeps it in memory, by an option for or against it, or by the environment.
pub(crate) fn is_to_stay(option: Option<bool>) -> bool {
    option.unwrap_or_else(|| is_set(DAEMON))
}

fn is_set(name: &str) -> bool {
    variable(name).is_some_and(|value| value != "0")
}

/// The output that is patched, and called so, where it stays with what is known of it: in a folder that nobody else can write in.
pub(crate) fn place_in(folder: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let mut builder = std::fs::DirBuilder::new();
    let made = builder.recursive(true).mode(0o700).create(folder);
    made.map_err(|error| Error::io("cannot be made", folder, &error))?;
    Ok(folder.join(name).with_extension("wasm"))
}

/// Adds what was done to the log of the output that is kept, and tells programs.
pub(crate) fn log(record: Record, kept: &Path, reporter: Reporter) -> anyhow::Result<()> {
    let logged = Logged::now(record);
    let text = serde_json::to_string(&logged)?;
    if let Err(error) = wasmend::kept::append_log(kept, &text) {
        reporter.note(&error.to_string());
    }
    reporter.event(&Event::State(logged.link))
}

/// Writes the output where it was asked for, if that is not where it is kept.
pub(crate) fn hand_out(
    kept: &Path,
    copy: Option<&Path>,
    publishing: &OutputOptions,
) -> anyhow::Result<()> {
    let Some(copy) = copy else { return Ok(()) };
    let bytes = std::fs::read(kept).map_err(|error| Error::io("cannot read", kept, &error))?;
    output::write_file(copy, publishing, &bytes, &no_check)?;
    Ok(())
}

/// Why another process started this one in its place, if one did.
pub(crate) fn why_started_again() -> Option<NoState> {
    std::env::var(UNUSABLE).ok().map(NoState::Failed)
}

/// Whether this process has made something since it was started.
static HAS_DONE_SOMETHING: AtomicBool = AtomicBool::new(false);

/// From now on it is of use to start the process again, also if that was done before.
pub(crate) fn has_done_something() {
    HAS_DONE_SOMETHING.store(true, Ordering::SeqCst);
}

/// Starts this program again in this process's place, to go on from nothing: what this one holds open and has mapped is
/// of no use any more.
pub(crate) fn start_again(why: &str) -> Error {
    if variable(UNUSABLE).is_some() && !HAS_DONE_SOMETHING.load(Ordering::SeqCst) {
        return Error::new(ErrorKind::Io, why);
    }
    let mut arguments = std::env::args_os();
    let called = arguments.next().unwrap_or_default();
    let mut again = Command::new("/proc/self/exe");
    let error = again.arg0(called).args(arguments).env(UNUSABLE, why).exec();
    let text = format!("{why}; and the program could not be started again: {error}");
    Error::new(ErrorKind::Io, text)
}
