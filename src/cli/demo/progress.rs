//! How far the demo is, on one line of the terminal that is drawn over again and leaves nothing behind.

use std::io::{IsTerminal, Write, stderr};
use std::time::{Duration, Instant};

/// The least time between two drawings.
const PAUSE: Duration = Duration::from_millis(100);
const WIDTH: u64 = 30;

/// A bar on standard error, if that is a terminal. It goes when it is dropped, whatever has gone wrong.
pub(super) struct Progress {
    message: &'static str,
    done: u64,
    total: u64,
    drawn: Option<Instant>,
    is_shown: bool,
}

impl Progress {
    /// A bar for `total` edits, which is not shown if `is_quiet`.
    pub(super) fn new(total: u64, is_quiet: bool) -> Progress {
        Progress {
            message: "",
            done: 0,
            total,
            drawn: None,
            is_shown: !is_quiet && stderr().is_terminal(),
        }
    }

    /// Says what is being done.
    pub(super) fn set_message(&mut self, message: &'static str) {
        self.message = message;
        self.draw();
    }

    /// One more edit is done.
    pub(super) fn advance(&mut self) {
        self.done += 1;
        if self.drawn.is_none_or(|drawn| drawn.elapsed() >= PAUSE) {
            self.draw();
        }
    }

    fn draw(&mut self) {
        if self.is_shown {
            let _ = write!(stderr(), "\r{}\x1b[K", self.line());
            self.drawn = Some(Instant::now());
        }
    }

    fn line(&self) -> String {
        let full = (WIDTH * self.done / self.total.max(1)) as usize;
        let bar = "#".repeat(full) + &"-".repeat(WIDTH as usize - full);
        format!(
            "{:6} {bar} {}/{} edits",
            self.message, self.done, self.total
        )
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.is_shown {
            // A terminal that is gone has nothing to clear.
            let _ = write!(stderr(), "\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_is_as_full_as_the_work_is_done() {
        let mut progress = Progress::new(60, true);
        progress.set_message("table");
        let line = |progress: &Progress| progress.line();
        assert_eq!(
            line(&progress),
            "table  ------------------------------ 0/60 edits"
        );
        (0..30).for_each(|_| progress.advance());
        assert_eq!(
            line(&progress),
            "table  ###############--------------- 30/60 edits"
        );
        (0..30).for_each(|_| progress.advance());
        assert_eq!(
            line(&progress),
            "table  ############################## 60/60 edits"
        );
        assert_eq!(
            Progress::new(0, true).line(),
            "       ------------------------------ 0/0 edits"
        );
    }
}
