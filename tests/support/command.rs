//! The command `wasmend`: running it, and reading what it says.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// The program.
pub fn wasmend() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_wasmend"))
}

/// The program, or another build of it that `WASMEND_PROGRAM` names: for measuring, and for many links.
pub fn program() -> PathBuf {
    std::env::var_os("WASMEND_PROGRAM").map_or(wasmend().to_path_buf(), PathBuf::from)
}

/// Runs a program to its end, whatever that is.
pub fn run(program: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(program);
    command.args(arguments).output().expect("it can be run")
}

/// Runs `wasmend` with these arguments to its end, whatever that is.
pub fn run_wasmend(arguments: &[&str]) -> Output {
    run(wasmend(), arguments)
}

/// A command that runs a script in a user's namespace of its own, so that it may mount and change what holds there; what is
/// added as arguments is `$0`, `$1` and so on.
pub fn unshared(script: &str) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script]);
    command
}

/// What a stream said.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("output is text")
}

/// A path as an argument.
pub fn arg(path: &Path) -> &str {
    path.to_str().expect("paths of tests are text")
}

/// An event, which must be an object of the known version.
pub fn event(line: &str) -> Value {
    let event: Value =
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line}"));
    assert_eq!(event["version"], 1, "{line}");
    assert!(event["event"].is_string(), "{line}");
    event
}

/// The events on standard output, one a line.
pub fn events(output: &Output) -> Vec<Value> {
    text(&output.stdout).lines().map(event).collect()
}
