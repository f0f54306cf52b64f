//! The side that asks: it finds the process that stays for an output, or starts one, and passes on what it was called with.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use wasmend::kept::Socket;

use super::Asked;
use super::channel::{self, Answer};
use super::request::Request;
use crate::cli::kept;
use crate::cli::report::Reporter;

/// Has the process that stays for an output link, and returns the exit code. `None` if there is no such process, and none could be
/// started, or if it has ended before it was done: what is to be done then is to link.
pub(crate) fn ask(output: &Path, asked: &Asked<'_>, reporter: Reporter) -> Option<u8> {
    match try_ask(output, asked) {
        Ok(code) => Some(code),
        Err(error) => {
            reporter.note(&format!("no other process links: {error}"));
            None
        }
    }
}

fn try_ask(output: &Path, asked: &Asked<'_>) -> io::Result<u8> {
    let request = Request::of(asked)?.encode()?;
    let stays = Socket::beside(output)?.connect();
    if let Ok(stream) = stays
        && channel::expect_same_user(&stream).is_ok()
        && let Answer::Done(code) = ask_at(&stream, &request)?
    {
        return Ok(code);
    }
    match ask_at(&start(output)?, &request)? {
        Answer::Done(code) => Ok(code),
        Answer::Elsewhere => Err(io::Error::other("the one that was started cannot")),
    }
}

fn ask_at(stream: &UnixStream, request: &[u8]) -> io::Result<Answer> {
    if !channel::wait_listens(stream)? {
        return Ok(Answer::Elsewhere);
    }
    let folder = File::open(".")?;
    let (out, err) = (io::stdout(), io::stderr());
    let lent = [folder.as_fd(), out.as_fd(), err.as_fd()];
    channel::send(stream, request, lent)?;
    channel::wait_answer(stream)
}

/// Starts a process that stays, and is asked over the stream first.
fn start(output: &Path) -> io::Result<UnixStream> {
    let (stream, other) = UnixStream::pair()?;
    let mut command = Command::new("/proc/self/exe");
    command
        .arg0("wasmend")
        .arg("ld-daemon")
        .arg(std::path::absolute(output)?)
        .env_remove(kept::UNUSABLE)
        .stdin(OwnedFd::from(other))
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    // It belongs to nobody who waits for it.
    drop(command.spawn()?);
    Ok(stream)
}

/// Which process stays for an output, if there is one that does.
pub(crate) fn staying(output: &Path) -> Option<u32> {
    let stream = Socket::existing(output).and_then(|socket| socket.connect());
    channel::expect_same_user(&stream.ok()?).ok()
}

/// Ends the process that stays for an output, if there is one.
pub(crate) fn end(output: &Path) {
    let Ok(stream) = Socket::existing(output).and_then(|socket| socket.connect()) else {
        return;
    };
    // Nothing is heard of it any more then.
    if channel::expect_same_user(&stream).is_ok()
        && channel::wait_listens(&stream).is_ok_and(|listens| listens)
        && channel::say_end(&stream).is_ok()
    {
        let _ = channel::wait_listens(&stream);
    }
}
