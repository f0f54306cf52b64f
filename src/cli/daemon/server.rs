//! The side that stays: it links for whoever asks, one after the other, saves when they have their answer, and rests.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::Mode;
use wasmend::kept::Socket;
use wasmend::link::{KeptLink, LinkOptions};

use super::channel::{self, Answer};
use super::request::{Request, Surroundings};
use crate::cli::kept::variable;
use crate::cli::ld_state::{Ended, Job, Leaves};
use crate::cli::report::{self, Reporter};
use crate::cli::{ld, signals};

/// For how many seconds nobody need ask before it ends.
const IDLE: &str = "WASMEND_DAEMON_IDLE";
/// More memory than this, in MiB, it does not keep.
const MEMORY: &str = "WASMEND_DAEMON_MEMORY";

const USUAL_IDLE: u64 = 600;
/// Of the machine's memory it usually keeps no more than one part of so many.
const USUAL_SHARE: u64 = 8;
/// How often it looks whether it is still the one whom others find.
const LOOK: Duration = Duration::from_secs(10);
/// Its own files are nobody else's.
const PRIVATE: Mode = Mode::from_bits_retain(0o077);

/// Stays for an output, and links first for the process at the other end of standard input.
pub(crate) fn serve(output: &Path) -> anyhow::Result<()> {
    let first = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    // Whoever has started it is not to be kept: its terminal, its pipes, its folder.
    let nothing = File::options().read(true).write(true).open("/dev/null")?;
    close_others([first.as_fd(), nothing.as_fd()]);
    let _ = rustix::process::setsid();
    let mut daemon = Daemon {
        socket: Socket::beside(output)?,
        surroundings: Surroundings::of_this()?,
        link: KeptLink::new(),
        nothing: nothing.into(),
        has_begun: false,
    };
    daemon.take_leave()?;
    rustix::process::chdir("/")?;
    signals::clean_up_when_ended();
    // Where nobody can find it, it links once.
    let listener = daemon.socket.listen();
    let mut goes_on = daemon.link_for(&first);
    drop(first);
    while goes_on
        && let Ok(listener) = &listener
        && let Some(stream) = daemon.wait(listener)
    {
        goes_on = daemon.link_for(&stream);
    }
    daemon.end();
}

struct Daemon {
    socket: Socket,
    surroundings: Surroundings,
    link: KeptLink,
    /// What stands for the standard streams when nobody has lent any.
    nothing: OwnedFd,
    /// Whether what a link prepares in its process was prepared.
    has_begun: bool,
}

/// What is to become of the process behind an answer.
enum Next {
    Rest,
    Stay,
    End,
}

impl Daemon {
    /// Waits for somebody who asks. `None` if nobody does any more.
    fn wait(&self, listener: &UnixListener) -> Option<UnixStream> {
        let idle = number(IDLE).unwrap_or(USUAL_IDLE);
        let until = Instant::now() + Duration::from_secs(idle);
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || !self.socket.stands() {
                return None;
            }
            let timeout = left.min(LOOK);
            let timeout = Timespec {
                tv_sec: timeout.as_secs() as i64,
                tv_nsec: i64::from(timeout.subsec_nanos()),
            };
            let mut asked = [PollFd::new(listener, PollFlags::IN)];
            match poll(&mut asked, Some(&timeout)) {
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                Ok(_) => return listener.accept().ok().map(|(stream, _)| stream),
                Err(_) => return None,
            }
        }
    }

    /// Links for a process, and says whether to go on.
    fn link_for(&mut self, stream: &UnixStream) -> bool {
        let is_heard = channel::expect_same_user(stream).and_then(|_| channel::say_listens(stream));
        if is_heard.is_err() {
            return true;
        }
        let (message, lent) = match channel::receive(stream) {
            Ok(Some(message)) => message,
            Ok(None) => {
                self.socket.leave();
                return false;
            }
            // Somebody who only wants to know whether it is there, or who has ended.
            Err(_) => return true,
        };
        let Ok(request) = Request::decode(&message) else {
            return true;
        };
        if request.surroundings != self.surroundings {
            self.socket.leave();
            let _ = channel::answer(stream, Answer::Elsewhere);
            return false;
        }
        let done = self.borrow(lent, &request).ok().and_then(|()| {
            // What goes wrong here may go well in another process.
            catch_unwind(AssertUnwindSafe(|| self.link(&request))).ok()
        });
        let _ = io::stdout().flush();
        let has_left = self.take_leave().is_ok();
        let next = match done {
            Some((answer, next)) if has_left => {
                if let Answer::Elsewhere = answer {
                    self.socket.leave();
                }
                let _ = channel::answer(stream, answer);
                next
            }
            _ => Next::End,
        };
        let goes_on = match next {
            Next::Stay => true,
            // Files are still called what they are called in the folder of the process that has asked.
            Next::Rest => self.link.rest().is_ok() && !takes_much(),
            Next::End => false,
        };
        goes_on && rustix::process::chdir("/").is_ok()
    }

    /// Takes the place of the process that asks.
    fn borrow(&self, [folder, out, err]: [OwnedFd; 3], request: &Request) -> io::Result<()> {
        rustix::process::fchdir(folder)?;
        rustix::stdio::dup2_stdout(out)?;
        rustix::stdio::dup2_stderr(err)?;
        rustix::process::umask(request.mask());
        Ok(())
    }

    /// Is a process of its own again, which keeps nothing that somebody could wait for.
    fn take_leave(&self) -> io::Result<()> {
        rustix::stdio::dup2_stdin(&self.nothing)?;
        rustix::stdio::dup2_stdout(&self.nothing)?;
        rustix::stdio::dup2_stderr(&self.nothing)?;
        rustix::process::umask(PRIVATE);
        Ok(())
    }

    fn link(&mut self, request: &Request) -> (Answer, Next) {
        let general = request.general();
        let plain = Reporter::new(general.json, general.verbose);
        report::choose_color(general.color);
        let options = match LinkOptions::parse(&request.arguments) {
            Ok(options) => options,
            Err(error) => return failed(&error.into(), plain),
        };
        let reporter = Reporter::new(general.json, general.verbose || options.verbose);
        match self.link_as(request, options, reporter) {
            Ok(Ended::With(code, leaves)) => {
                let next = match leaves {
                    Leaves::AsItWas => Next::Stay,
                    Leaves::News => Next::Rest,
                    Leaves::Nothing => Next::End,
                };
                (Answer::Done(code), next)
            }
            Ok(Ended::Elsewhere(_)) => (Answer::Elsewhere, Next::End),
            Err(error) => failed(&error, reporter),
        }
    }

    fn link_as(
        &mut self,
        request: &Request,
        options: LinkOptions,
        reporter: Reporter,
    ) -> anyhow::Result<Ended> {
        for warning in &options.warnings {
            reporter.warning(warning)?;
        }
        let (threads, has_begun) = (options.threads, &mut self.has_begun);
        let begin = || {
            if !std::mem::replace(has_begun, true) {
                wasmend::link::use_threads_when_needed(threads);
                // Whoever asks links itself then, and says what is wrong.
                let _ = wasmend::link::when_cut_short(|_| process::exit(1));
            }
        };
        let publishing = ld::publishing_of(request.durability(), reporter);
        let tells = ld::teller_of(&options, reporter);
        let job = Job::new(options, publishing, reporter, tells)?;
        job.link_by(&mut self.link, false, begin)
    }

    /// Ends, without taking apart what is kept.
    fn end(&mut self) -> ! {
        self.socket.leave();
        drop(wasmend::output::remove_temporaries());
        process::exit(0)
    }
}

/// What has failed may be in between.
fn failed(error: &anyhow::Error, reporter: Reporter) -> (Answer, Next) {
    let code = report::failed_with(error, reporter);
    (Answer::Done(code), Next::End)
}

fn number(name: &str) -> Option<u64> {
    variable(name)?.to_str()?.parse().ok()
}

/// Whether the process takes more memory than it is to.
fn takes_much() -> bool {
    let most = match number(MEMORY) {
        Some(mebibytes) => mebibytes << 20,
        None => rustix::system::sysinfo().totalram as u64 / USUAL_SHARE,
    };
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = pages.split(' ').nth(1).and_then(|pages| pages.parse().ok());
    let page = rustix::param::page_size() as u64;
    pages.is_none_or(|pages: u64| pages * page > most)
}

/// Closes what the process was started with beside the standard streams, for somebody may wait until it is closed.
fn close_others(kept: [BorrowedFd<'_>; 2]) {
    let kept = kept.map(|kept| kept.as_raw_fd());
    let listed = std::fs::read_dir("/proc/self/fd").into_iter().flatten();
    let names = listed.flatten().map(|entry| entry.file_name());
    let open = names.filter_map(|name| name.to_str()?.parse::<i32>().ok());
    let open: Vec<i32> = open.filter(|fd| *fd > 2 && !kept.contains(fd)).collect();
    for fd in open {
        // The list itself is closed by now.
        if std::fs::symlink_metadata(format!("/proc/self/fd/{fd}")).is_ok() {
            #[allow(unsafe_code)]
            // SAFETY: the process has just been started, and has opened nothing itself but what is kept: it is nobody's.
            drop(unsafe { OwnedFd::from_raw_fd(fd) });
        }
    }
}
