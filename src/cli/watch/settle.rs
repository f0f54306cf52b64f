//! When a file that somebody else writes is ready to be read: a policy without files and clocks, so that every order of
//! events can be tested.
//!
//! The file is looked at again and again. Once it has looked the same for a while it is read; if what was read turns
//! out to be torn, nothing is read again until the file looks different. Trouble that lasts is said once.

use std::time::Duration;

/// What tells one version of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) device: u64,
    pub(crate) inode: u64,
    pub(crate) len: u64,
    /// Times of the last change of the contents and of the file, in nanoseconds.
    pub(crate) modified: i128,
    pub(crate) changed: i128,
}

/// What was found where the file should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Look {
    Missing,
    Present(Stamp),
    /// It cannot be looked at, for this reason.
    Refused(String),
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing, until something happens to the file.
    Idle,
    /// Look again after this time.
    Again(Duration),
    /// Read the file; it should still have this stamp afterwards.
    Read(Stamp),
    /// Say what has been wrong for a while.
    Complain(String),
}

/// How long to wait.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// How long the file must have looked the same before it is read.
    pub(crate) settle: Duration,
    /// How long trouble may last before it is said.
    pub(crate) complain: Duration,
}

/// The state of waiting for one file. Times are since an arbitrary start.
#[derive(Debug)]
pub(crate) struct Settle {
    patience: Patience,
    look: Look,
    since: Duration,
    verdict: Verdict,
    /// Whether the trouble with this look has been said.
    told: bool,
    /// The version that was last made use of.
    done: Option<Stamp>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    /// Not read yet.
    Open,
    /// Read, and of no use.
    Torn(String),
    /// Read and made use of.
    Done,
}

impl Settle {
    /// Waiting begins at `now`, with a file that has not been looked at.
    pub(crate) fn new(patience: Patience, now: Duration) -> Self {
        Settle {
            patience,
            look: Look::Missing,
            since: now,
            verdict: Verdict::Open,
            told: false,
            done: None,
        }
    }

    /// Takes note of a look at the file.
    pub(crate) fn look(&mut self, now: Duration, look: Look) -> Step {
        if look != self.look {
            let done = matches!(&look, Look::Present(stamp) if self.done == Some(*stamp));
            self.verdict = if done { Verdict::Done } else { Verdict::Open };
            self.look = look;
            self.since = now;
            self.told = false;
        }
        let trouble = match (&self.look, &self.verdict) {
            (_, Verdict::Done) => return Step::Idle,
            (Look::Present(stamp), Verdict::Open) => {
                return match self.left(self.patience.settle, now) {
                    Duration::ZERO => Step::Read(*stamp),
                    left => Step::Again(left),
                };
            }
            (Look::Missing, _) => "there is no such file",
            (Look::Refused(reason), _) => reason.as_str(),
            (Look::Present(_), Verdict::Torn(reason)) => reason.as_str(),
        };
        if self.told {
            return Step::Idle;
        }
        match self.left(self.patience.complain, now) {
            Duration::ZERO => {
                self.told = true;
                Step::Complain(trouble.to_owned())
            }
            left => Step::Again(left),
        }
    }

    /// What was read is not a whole module.
    pub(crate) fn torn(&mut self, reason: String) {
        self.verdict = Verdict::Torn(reason);
    }

    /// What was read was made use of, or trouble with it has been said already.
    pub(crate) fn done(&mut self) {
        if let Look::Present(stamp) = self.look {
            self.done = Some(stamp);
        }
        self.verdict = Verdict::Done;
    }

    fn left(&self, wait: Duration, now: Duration) -> Duration {
        (self.since + wait).saturating_sub(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PATIENCE: Patience = Patience {
        settle: Duration::from_millis(25),
        complain: Duration::from_millis(2000),
    };

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn file(inode: u64, len: u64, modified: i128) -> Look {
        Look::Present(Stamp {
            device: 1,
            inode,
            len,
            modified,
            changed: modified,
        })
    }

    fn stamp(look: &Look) -> Stamp {
        match look {
            Look::Present(stamp) => *stamp,
            _ => panic!("no file in {look:?}"),
        }
    }

    #[test]
    fn a_file_is_read_once_it_has_stood_still() {
        let mut settle = Settle::new(PATIENCE, ms(0));
        let old = file(1, 100, 5);
        assert_eq!(settle.look(ms(0), old.clone()), Step::Again(ms(25)));
        assert_eq!(settle.look(ms(24), old.clone()), Step::Again(ms(1)));
        assert_eq!(settle.look(ms(25), old.clone()), Step::Read(stamp(&old)));
        settle.done();
        assert_eq!(settle.look(ms(9999), old), Step::Idle);
    }

    #[test]
    fn truncate_and_write_waits_for_the_last_write() {
        let mut settle = Settle::new(PATIENCE, ms(0));
        settle.look(ms(0), file(1, 100, 5));
        settle.look(ms(30), file(1, 100, 5));
        settle.done();
        for at in 0..10 {
            // Each write changes the length or the time, so the wait begins anew.
            assert_eq!(
                settle.look(ms(100 + at * 20), file(1, at * 10, 50 + i128::from(at))),
                Step::Again(ms(25))
            );
        }
        let last = file(1, 90, 59);
        assert_eq!(settle.look(ms(305), last.clone()), Step::Read(stamp(&last)));
    }

    #[test]
    fn a_rename_is_another_file_even_with_the_same_length_and_time() {
        let mut settle = Settle::new(PATIENCE, ms(0));
        settle.look(ms(0), file(1, 100, 5));
        settle.look(ms(25), file(1, 100, 5));
        settle.done();
        let new = file(2, 100, 5);
        assert_eq!(settle.look(ms(50), new.clone()), Step::Again(ms(25)));
        assert_eq!(settle.look(ms(75), new.clone()), Step::Read(stamp(&new)));
    }

    #[test]
    fn a_torn_file_is_not_read_again_until_it_changes_and_is_said_once() {
        let mut settle = Settle::new(PATIENCE, ms(0));
        let half = file(1, 50, 5);
        settle.look(ms(0), half.clone());
        assert_eq!(settle.look(ms(25), half.clone()), Step::Read(stamp(&half)));
        settle.torn("a section ends behind the end of the file".into());
        assert_eq!(settle.look(ms(30), half.clone()), Step::Again(ms(1970)));
        assert_eq!(
            settle.look(ms(2000), half.clone()),
            Step::Complain("a section ends behind the end of the file".into())
        );
        assert_eq!(settle.look(ms(5000), half), Step::Idle);
        // Watching goes on.
        let whole = file(1, 100, 6);
        assert_eq!(settle.look(ms(6000), whole.clone()), Step::Again(ms(25)));
        assert_eq!(
            settle.look(ms(6025), whole.clone()),
            Step::Read(stamp(&whole))
        );
    }

    #[test]
    fn a_deletion_is_waited_out() {
        let mut settle = Settle::new(PATIENCE, ms(0));
        settle.look(ms(0), file(1, 100, 5));
        settle.look(ms(25), file(1, 100, 5));
        settle.done();
        assert_eq!(settle.look(ms(100), Look::Missing), Step::Again(ms(2000)));
        assert!(matches!(
            settle.look(ms(2100), Look::Missing),
            Step::Complain(_)
        ));
        assert_eq!(settle.look(ms(60_000), Look::Missing), Step::Idle);
        // The same file, moved away and back, is nothing new.
        assert_eq!(settle.look(ms(60_001), file(1, 100, 5)), Step::Idle);
    }

    proptest! {
        /// Whatever happens: nothing is read that has not looked the same for the whole time, every version that stands
        /// long enough is read, and no trouble is said twice.
        #[test]
        fn reads_only_what_stood_still(events in prop::collection::vec((0u64..60, 0u64..6, any::<bool>()), 1..200)) {
            let mut settle = Settle::new(PATIENCE, ms(0));
            let mut now = ms(0);
            let mut same_since = (ms(0), Look::Missing);
            let mut complaints_with_this_look = 0;
            for (pause, version, torn) in events {
                now += ms(pause);
                let look = if version == 0 { Look::Missing } else { file(version, version, i128::from(version)) };
                if look != same_since.1 {
                    same_since = (now, look.clone());
                    complaints_with_this_look = 0;
                }
                match settle.look(now, look.clone()) {
                    Step::Read(found) => {
                        prop_assert_eq!(found, stamp(&look));
                        prop_assert!(now - same_since.0 >= PATIENCE.settle);
                        if torn { settle.torn("torn".into()) } else { settle.done() }
                    }
                    Step::Again(wait) => prop_assert!(wait > Duration::ZERO && wait <= PATIENCE.complain),
                    Step::Complain(_) => {
                        complaints_with_this_look += 1;
                        prop_assert_eq!(complaints_with_this_look, 1);
                    }
                    Step::Idle => {}
                }
            }
            // A new version that stands still is always read in the end.
            let last = file(99, 99, 99);
            settle.look(now, last.clone());
            prop_assert_eq!(settle.look(now + PATIENCE.settle, last.clone()), Step::Read(stamp(&last)));
        }
    }
}
