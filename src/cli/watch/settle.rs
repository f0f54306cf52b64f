//! When files that somebody else writes are ready to be read: a policy without files and clocks, so that every order of
//! events can be tested.
//!
//! All files are looked at again and again. Once they have looked the same for a while, what looks other than it did when
//! it was last made use of is read; if that turns out to be of no use, nothing is read again until a file looks different.
//! Where files never stand still they are read about once a second all the same. An output that is gone is written again,
//! and trouble that lasts is said once.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// How soon a link that fails is said: objects of one build come in one after the other.
const GRACE: Duration = Duration::from_millis(300);
/// How long files may go on changing before they are read although they do not stand still.
const RESTLESS: Duration = Duration::from_millis(800);
/// How long until trouble that no edit mends, such as a full disk, is looked into again.
const RETRY: Duration = Duration::from_secs(1);
/// The first and the longest pause between two questions whether a file is still open for writing.
const PROBE: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));

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

impl Stamp {
    /// Whether it is the same file with the same contents, whatever it is called by now.
    fn has_same_contents(&self, other: &Stamp) -> bool {
        let changed = self.changed;
        *self == Stamp { changed, ..*other }
    }
}

/// What was found where a file should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Look {
    Missing,
    Present(Stamp),
    /// It cannot be used, for this reason; such as that it is no regular file.
    Refused(String),
}

/// Everything that was looked at, at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Looks {
    pub(crate) files: BTreeMap<PathBuf, FileLook>,
    pub(crate) output: Look,
}

/// A file that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileLook {
    pub(crate) look: Look,
    /// Whether nothing can be done while it is missing.
    pub(crate) is_required: bool,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing, until something happens to a file.
    Idle,
    /// Look again after this time.
    Again(Duration),
    /// Make use of the files. These look other than when that was last done.
    Read(Vec<PathBuf>),
    /// Say what has been in the way for a while.
    Complain(Trouble),
}

/// Why a file cannot be read yet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Obstacle {
    Missing,
    Busy,
    Refused(String),
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Obstacle::Missing => "there is no such file",
            Obstacle::Busy => "is still open for writing",
            Obstacle::Refused(reason) => reason,
        })
    }
}

/// What is in the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// These files. The output is the one without a name.
    Files(Vec<(PathBuf, Obstacle)>),
    /// What the last attempt came to.
    Attempt,
}

/// How long to wait.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// How long files must have looked the same before they are read.
    pub(crate) settle: Duration,
    /// How long trouble may last before it is said.
    pub(crate) complain: Duration,
}

/// How soon it is said that what was read is of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Haste {
    /// At once: more writing will not mend it.
    Now,
    /// Soon: another file that belongs to it may be on its way.
    Soon,
    /// When patience is at its end: it may be half written.
    Patient,
}

/// What came of the last attempt with the files as they look now.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    /// There was none.
    Open,
    /// The files are of no use until one of them changes.
    Useless { haste: Haste, told: bool },
    /// It may work later, without a change of the files. `None` if there is nothing to tell.
    Later { until: Duration, told: Option<bool> },
}

/// A file whose writer is not done.
#[derive(Debug)]
struct Busy {
    file: PathBuf,
    since: Duration,
    probe_at: Duration,
    pause: Duration,
}

/// The state of waiting for files. Times are since an arbitrary start.
#[derive(Debug)]
pub(crate) struct Settle {
    patience: Patience,
    /// What was seen last; for each file since when it looks so.
    files: BTreeMap<PathBuf, (FileLook, Duration)>,
    output: (Look, Duration),
    /// How the files looked when they were last made use of.
    taken: BTreeMap<PathBuf, Look>,
    /// The output as it was last published, and whether that has been missing since.
    published: Option<Look>,
    is_lost: bool,
    verdict: Verdict,
    busy: Option<Busy>,
    /// When files that do not stand still are read all the same.
    read_at: Option<Duration>,
    /// Whether the files have been seen standing still since they last changed.
    stood_still: bool,
    /// Since when nothing but useless attempts were made; whether that was said.
    useless: Option<(Duration, bool)>,
    /// Which files were said to be in the way since all was last well.
    told: BTreeSet<(PathBuf, Obstacle)>,
}

impl Settle {
    pub(crate) fn new(patience: Patience) -> Self {
        Settle {
            patience,
            files: BTreeMap::new(),
            output: (Look::Missing, Duration::ZERO),
            taken: BTreeMap::new(),
            published: None,
            is_lost: false,
            verdict: Verdict::Open,
            busy: None,
            read_at: None,
            stood_still: false,
            useless: None,
            told: BTreeSet::new(),
        }
    }

    /// Takes note of a look at everything.
    pub(crate) fn look(&mut self, now: Duration, looks: Looks) -> Step {
        self.note(now, looks);
        let in_the_way = self.in_the_way();
        if !in_the_way.is_empty() {
            self.read_at = None;
            self.busy = None;
            return self.complain_of(now, in_the_way);
        }
        let changed = self.changed();
        if changed.is_empty() && self.published.is_some() && !self.is_lost {
            self.forget_trouble();
            return Step::Idle;
        }
        if changed.is_empty() && self.is_lost {
            // Whoever deletes it may be about to delete its folder as well, which must be empty then.
            let at = self.output.1 + GRACE;
            if now < at {
                return Step::Again(at - now);
            }
        }
        match self.verdict {
            Verdict::Open => {}
            Verdict::Useless { haste, told } => return self.complain_of_attempt(now, haste, told),
            Verdict::Later {
                until,
                ref mut told,
            } => {
                if *told == Some(false) {
                    *told = Some(true);
                    return Step::Complain(Trouble::Attempt);
                }
                if now < until {
                    return Step::Again(until - now);
                }
            }
        }
        if let Some(busy) = &self.busy {
            let (file, since, probe_at) = (busy.file.clone(), busy.since, busy.probe_at);
            let trouble = vec![(file, Obstacle::Busy, since)];
            if let step @ Step::Complain(_) = self.complain_of(now, trouble) {
                return step;
            }
            if now < probe_at {
                return Step::Again(probe_at - now);
            }
        }
        let restless = RESTLESS.max(2 * self.patience.settle);
        let read_at = *self.read_at.get_or_insert(now + restless);
        let still_at = self.since() + self.patience.settle;
        match still_at.min(read_at).saturating_sub(now) {
            Duration::ZERO => Step::Read(changed),
            left => Step::Again(left),
        }
    }

    /// Whether what was published is gone, so that it has to be written anew.
    pub(crate) fn is_lost(&self) -> bool {
        self.is_lost
    }

    /// Something happened to a file: whoever had it open may have closed it.
    pub(crate) fn woken(&mut self, now: Duration) {
        if let Some(busy) = &mut self.busy {
            busy.probe_at = busy.probe_at.min(now);
            busy.pause = PROBE.0;
        }
    }

    /// The files were made use of, as they looked last. The output looks like this now.
    pub(crate) fn done(&mut self, output: Look) {
        let looks = self.files.iter();
        self.taken = looks
            .map(|(file, (found, _))| (file.clone(), found.look.clone()))
            .collect();
        self.published = Some(output.clone());
        self.is_lost = !matches!(output, Look::Present(_));
        self.output.0 = output;
        self.forget_trouble();
    }

    /// What was read is of no use.
    pub(crate) fn refused(&mut self, now: Duration, haste: Haste) {
        self.attempted(now);
        self.useless.get_or_insert((now, false));
        self.verdict = Verdict::Useless { haste, told: false };
    }

    /// What was begun at `start` did not work, but may later. If it `is_new`, it is said.
    pub(crate) fn failed(&mut self, start: Duration, now: Duration, is_new: bool) {
        self.attempted(now);
        // What takes long is not to take all the time there is.
        let pause = RETRY.max(2 * now.saturating_sub(start));
        self.verdict = Verdict::Later {
            until: now + pause,
            told: Some(!is_new),
        };
    }

    /// A file changed while it was read.
    pub(crate) fn overtaken(&mut self, now: Duration) {
        self.attempted(now);
        self.verdict = Verdict::Later {
            until: now + self.patience.settle.max(PROBE.0),
            told: None,
        };
    }

    /// A file that is to be read is still open for writing.
    pub(crate) fn busy(&mut self, now: Duration, file: PathBuf) {
        let busy = match self.busy.take() {
            Some(busy) if busy.file == file => Busy {
                probe_at: now + busy.pause,
                pause: (2 * busy.pause).min(PROBE.1),
                ..busy
            },
            _ => Busy {
                file,
                since: now,
                probe_at: now + PROBE.0,
                pause: PROBE.0,
            },
        };
        self.busy = Some(busy);
    }

    /// Since when all files look as they do.
    fn since(&self) -> Duration {
        let since = self.files.values().map(|(_, since)| *since);
        since.max().unwrap_or_default()
    }

    fn note(&mut self, now: Duration, looks: Looks) {
        let mut is_other = self.files.len() != looks.files.len();
        let files = looks.files.into_iter().map(|(file, found)| {
            let since = match self.files.get(&file) {
                Some((before, since)) if before.look == found.look => *since,
                _ => {
                    is_other = true;
                    now
                }
            };
            (file, (found, since))
        });
        self.files = files.collect();
        if is_other && self.stood_still {
            // These are other changes than those that were waited for before.
            self.read_at = None;
        }
        self.stood_still = !is_other && self.since() + self.patience.settle <= now;
        let is_output_other = looks.output != self.output.0;
        if is_output_other {
            self.output = (looks.output, now);
            match (&self.published, &self.output.0) {
                (Some(Look::Present(published)), Look::Present(found)) => {
                    self.is_lost &= !published.has_same_contents(found);
                }
                (Some(_), _) => self.is_lost = true,
                (None, _) => {}
            }
        }
        let is_useless = matches!(self.verdict, Verdict::Useless { .. });
        if is_other || (is_output_other && !is_useless) {
            self.verdict = Verdict::Open;
        }
        self.busy = self.busy.take().filter(|busy| {
            let found = self.files.get(&busy.file);
            found.is_some_and(|(found, _)| matches!(found.look, Look::Present(_)))
        });
    }

    /// What keeps files from being read, and since when.
    fn in_the_way(&self) -> Vec<(PathBuf, Obstacle, Duration)> {
        let mut found = Vec::new();
        for (file, (at, since)) in &self.files {
            let obstacle = match &at.look {
                Look::Missing if at.is_required => Obstacle::Missing,
                Look::Refused(reason) => Obstacle::Refused(reason.clone()),
                Look::Missing | Look::Present(_) => continue,
            };
            found.push((file.clone(), obstacle, *since));
        }
        if let (Some(_), (Look::Refused(reason), since)) = (&self.published, &self.output) {
            found.push((PathBuf::new(), Obstacle::Refused(reason.clone()), *since));
        }
        found
    }

    /// The files that look other than when they were last made use of.
    fn changed(&self) -> Vec<PathBuf> {
        let changed = self.files.iter().filter(|(file, (found, _))| {
            // What is not there, and was not before, is as it was.
            let before = self.taken.get(*file);
            match (before, found.is_required) {
                (None, false) => found.look != Look::Missing,
                (before, _) => before != Some(&found.look),
            }
        });
        changed.map(|(file, _)| file.clone()).collect()
    }

    fn complain_of(&mut self, now: Duration, files: Vec<(PathBuf, Obstacle, Duration)>) -> Step {
        let wait = |obstacle: &Obstacle| match obstacle {
            Obstacle::Missing | Obstacle::Busy => self.patience.complain,
            Obstacle::Refused(_) => GRACE.min(self.patience.complain),
        };
        let mut next: Option<Duration> = None;
        let mut untold = Vec::new();
        for (file, obstacle, since) in files {
            let at = since + wait(&obstacle);
            let entry = (file, obstacle);
            if !self.told.contains(&entry) {
                next = Some(next.map_or(at, |next| next.min(at)));
                untold.push(entry);
            }
        }
        match next.map(|at| at.saturating_sub(now)) {
            None => Step::Idle,
            Some(Duration::ZERO) => {
                // All at once, also those that have not been there for as long: it is one state of affairs.
                self.told.extend(untold.iter().cloned());
                Step::Complain(Trouble::Files(untold))
            }
            Some(left) => Step::Again(left),
        }
    }

    fn complain_of_attempt(&mut self, now: Duration, haste: Haste, told: bool) -> Step {
        if told {
            return Step::Idle;
        }
        let wait = match haste {
            Haste::Now => Duration::ZERO,
            Haste::Soon => GRACE.min(self.patience.complain),
            Haste::Patient => self.patience.complain,
        };
        let mut at = self.since() + wait;
        if let Some((since, false)) = self.useless {
            at = at.min(since + self.patience.complain);
        }
        match at.saturating_sub(now) {
            Duration::ZERO => {
                self.verdict = Verdict::Useless { haste, told: true };
                self.useless = Some((now, true));
                Step::Complain(Trouble::Attempt)
            }
            left => Step::Again(left),
        }
    }

    /// An attempt was made, and was not the last one.
    fn attempted(&mut self, now: Duration) {
        self.busy = None;
        self.read_at = self.read_at.map(|at| at.max(now + self.patience.settle));
    }

    fn forget_trouble(&mut self) {
        self.verdict = Verdict::Open;
        self.busy = None;
        self.read_at = None;
        self.useless = None;
        self.told.clear();
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

    /// A file, or none for version 0.
    fn version(version: u64) -> Look {
        match version {
            0 => Look::Missing,
            _ => Look::Present(Stamp {
                device: 1,
                inode: version,
                len: 100,
                modified: i128::from(version),
                changed: i128::from(version),
            }),
        }
    }

    /// Waiting for files of these names, all of them needed, with the means to look at them.
    struct World {
        settle: Settle,
        looks: Looks,
        now: Duration,
    }

    impl World {
        fn of<const N: usize>(files: [(&str, u64); N]) -> World {
            let files = files.map(|(name, at)| {
                let look = version(at);
                let is_required = true;
                (PathBuf::from(name), FileLook { look, is_required })
            });
            World {
                settle: Settle::new(PATIENCE),
                looks: Looks {
                    files: files.into(),
                    output: Look::Missing,
                },
                now: ms(0),
            }
        }

        /// Files that were read and published.
        fn published<const N: usize>(files: [(&str, u64); N]) -> World {
            let mut world = World::of(files);
            world.at(0);
            assert!(matches!(world.at(25), Step::Read(_)));
            world.publish();
            assert_eq!(world.at(26), Step::Idle);
            world
        }

        fn publish(&mut self) {
            self.looks.output = version(1000);
            self.settle.done(self.looks.output.clone());
        }

        fn set(&mut self, name: &str, at: u64) {
            self.set_look(name, version(at));
        }

        fn set_look(&mut self, name: &str, look: Look) {
            self.looks.files.get_mut(&PathBuf::from(name)).unwrap().look = look;
        }

        /// The step at a time.
        fn at(&mut self, millis: u64) -> Step {
            self.now = ms(millis);
            self.settle.look(self.now, self.looks.clone())
        }
    }

    fn read<const N: usize>(names: [&str; N]) -> Step {
        Step::Read(names.map(PathBuf::from).into())
    }

    fn complaint<const N: usize>(files: [(&str, Obstacle); N]) -> Step {
        let files = files.map(|(name, obstacle)| (PathBuf::from(name), obstacle));
        Step::Complain(Trouble::Files(files.into()))
    }

    #[test]
    fn files_are_read_once_all_have_stood_still() {
        let mut world = World::of([("a", 1), ("b", 1)]);
        assert_eq!(world.at(0), Step::Again(ms(25)));
        world.set("b", 2);
        assert_eq!(world.at(24), Step::Again(ms(25)));
        assert_eq!(world.at(48), Step::Again(ms(1)));
        assert_eq!(world.at(49), read(["a", "b"]));
        world.publish();
        assert_eq!(world.at(9999), Step::Idle);
    }

    #[test]
    fn only_what_changed_is_read_again() {
        let mut world = World::published([("a", 1), ("b", 1), ("c", 1)]);
        world.set("b", 2);
        assert_eq!(world.at(100), Step::Again(ms(25)));
        assert_eq!(world.at(125), read(["b"]));
        world.publish();
        assert_eq!(world.at(126), Step::Idle);
    }

    #[test]
    fn truncate_and_write_waits_for_the_last_write() {
        let mut world = World::published([("a", 1)]);
        for write in 0..10 {
            world.set("a", 2 + write);
            assert_eq!(world.at(100 + write * 20), Step::Again(ms(25)));
        }
        assert_eq!(world.at(305), read(["a"]));
    }

    #[test]
    fn a_rename_is_another_file_even_with_the_same_length_and_time() {
        let mut world = World::published([("a", 1)]);
        let Look::Present(stamp) = version(1) else {
            unreachable!()
        };
        world.set_look("a", Look::Present(Stamp { inode: 7, ..stamp }));
        assert_eq!(world.at(50), Step::Again(ms(25)));
        assert_eq!(world.at(75), read(["a"]));
    }

    #[test]
    fn what_is_of_no_use_is_not_read_again_until_a_file_changes_and_is_said_once() {
        let mut world = World::of([("a", 1), ("b", 1)]);
        world.at(0);
        assert_eq!(world.at(25), read(["a", "b"]));
        world.settle.refused(ms(30), Haste::Patient);
        assert_eq!(world.at(30), Step::Again(ms(1970)));
        assert_eq!(world.at(2000), Step::Complain(Trouble::Attempt));
        assert_eq!(world.at(5000), Step::Idle);
        // Watching goes on, and the next attempt is judged anew.
        world.set("b", 2);
        assert_eq!(world.at(6000), Step::Again(ms(25)));
        assert_eq!(world.at(6025), read(["a", "b"]));
        world.settle.refused(ms(6025), Haste::Soon);
        assert_eq!(world.at(6299), Step::Again(ms(1)));
        assert_eq!(world.at(6300), Step::Complain(Trouble::Attempt));
        world.set("b", 3);
        world.at(7000);
        assert_eq!(world.at(7025), read(["a", "b"]));
        world.settle.refused(ms(7025), Haste::Now);
        assert_eq!(world.at(7025), Step::Complain(Trouble::Attempt));
    }

    #[test]
    fn a_deletion_is_waited_out() {
        let mut world = World::published([("a", 1)]);
        world.set("a", 0);
        assert_eq!(world.at(100), Step::Again(ms(2000)));
        assert_eq!(world.at(2100), complaint([("a", Obstacle::Missing)]));
        assert_eq!(world.at(60_000), Step::Idle);
        // The same file, moved away and back, is nothing new.
        world.set("a", 1);
        assert_eq!(world.at(60_001), Step::Idle);
    }

    #[test]
    fn files_that_a_clean_build_makes_one_by_one_are_said_to_be_missing_once() {
        let mut world = World::published([("a", 1), ("b", 1), ("c", 1)]);
        for name in ["a", "b", "c"] {
            world.set(name, 0);
        }
        let missing = |name| (name, Obstacle::Missing);
        world.at(100);
        assert_eq!(
            world.at(2100),
            complaint([missing("a"), missing("b"), missing("c")])
        );
        for (at, name) in [(4000, "a"), (8000, "b")] {
            world.set(name, 2);
            assert_eq!(world.at(at), Step::Idle);
            assert_eq!(world.at(at + 3000), Step::Idle);
        }
        world.set("c", 2);
        assert_eq!(world.at(12_000), Step::Again(ms(25)));
        assert_eq!(world.at(12_025), read(["a", "b", "c"]));
        world.publish();
        // What is missing after that is another matter.
        world.set("c", 0);
        world.at(20_000);
        assert_eq!(world.at(22_000), complaint([missing("c")]));
    }

    #[test]
    fn what_is_no_file_is_said_and_never_read() {
        let mut world = World::of([("a", 1), ("b", 1)]);
        world.set_look("b", Look::Refused("is a directory".into()));
        assert_eq!(world.at(0), Step::Again(ms(300)));
        let refused = Obstacle::Refused("is a directory".into());
        assert_eq!(world.at(300), complaint([("b", refused)]));
        assert_eq!(world.at(900), Step::Idle);
        world.set("b", 2);
        world.at(1000);
        assert_eq!(world.at(1025), read(["a", "b"]));
    }

    #[test]
    fn a_file_that_need_not_be_there_is_read_when_it_comes_and_when_it_goes() {
        let mut world = World::of([("a", 1), ("optional", 0)]);
        let optional = PathBuf::from("optional");
        world.looks.files.get_mut(&optional).unwrap().is_required = false;
        world.at(0);
        assert_eq!(world.at(25), read(["a"]));
        world.publish();
        for at in [100, 1000] {
            world.set("optional", if at == 100 { 5 } else { 0 });
            world.at(at);
            assert_eq!(world.at(at + 25), read(["optional"]));
            world.publish();
            assert_eq!(world.at(at + 26), Step::Idle);
        }
    }

    #[test]
    fn constant_saves_are_read_within_a_second() {
        let mut world = World::published([("a", 1)]);
        let (mut reads, mut last) = (0, 100);
        for write in 0..500u64 {
            let at = 100 + write * 10;
            world.set("a", 2 + write);
            if let Step::Read(_) = world.at(at) {
                assert!(at - last <= 1000, "{at}");
                (reads, last) = (reads + 1, at);
                world.publish();
            }
        }
        assert!(reads >= 5, "{reads}");
    }

    #[test]
    fn constant_saves_of_no_use_are_said_once() {
        let mut world = World::published([("a", 1)]);
        let mut complaints = 0;
        for write in 0..800u64 {
            let at = 100 + write * 10;
            world.set("a", 2 + write);
            if let Step::Read(_) = world.at(at) {
                world.settle.refused(ms(at), Haste::Patient);
                complaints += u32::from(world.at(at) == Step::Complain(Trouble::Attempt));
            }
        }
        assert_eq!(complaints, 1);
    }

    #[test]
    fn an_edit_long_after_a_useless_one_stands_still_first() {
        let mut world = World::published([("a", 1)]);
        world.set("a", 2);
        world.at(100);
        assert_eq!(world.at(125), read(["a"]));
        world.settle.refused(ms(130), Haste::Now);
        assert_eq!(world.at(130), Step::Complain(Trouble::Attempt));
        assert_eq!(world.at(5000), Step::Idle);
        world.set("a", 3);
        assert_eq!(world.at(9000), Step::Again(ms(25)));
    }

    #[test]
    fn an_open_file_is_asked_for_until_it_is_closed_and_said_once() {
        let mut world = World::published([("a", 1)]);
        world.set("a", 2);
        world.at(100);
        assert_eq!(world.at(125), read(["a"]));
        let (mut at, mut probes, mut complaints) = (125, 1, 0);
        world.settle.busy(ms(at), "a".into());
        while at < 10_000 {
            match world.at(at) {
                Step::Again(wait) => at += wait.as_millis() as u64,
                Step::Read(_) => {
                    probes += 1;
                    world.settle.busy(ms(at), "a".into());
                }
                Step::Complain(trouble) => {
                    assert_eq!(trouble, Trouble::Files(vec![("a".into(), Obstacle::Busy)]));
                    assert!(at >= 2125, "{at}");
                    complaints += 1;
                }
                Step::Idle => panic!("nobody asks any more"),
            }
        }
        assert_eq!(complaints, 1);
        assert!((20..40).contains(&probes), "{probes}");
        // Whoever closes it wakes the loop up.
        world.settle.woken(ms(at));
        assert_eq!(world.at(at), read(["a"]));
        world.publish();
        assert_eq!(world.at(at), Step::Idle);
    }

    #[test]
    fn an_output_that_is_gone_is_written_again_without_an_edit() {
        let mut world = World::published([("a", 1)]);
        world.looks.output = Look::Missing;
        assert_eq!(world.at(5000), Step::Again(ms(300)));
        assert_eq!(world.at(5300), read([]));
        assert!(world.settle.is_lost());
        world.publish();
        assert_eq!(world.at(5301), Step::Idle);
        // One that somebody has put there instead is left alone until the next edit.
        world.looks.output = version(7);
        assert_eq!(world.at(6000), Step::Idle);
        // Moved away and back, it is what it was.
        world.publish();
        let folder_gone = Look::Refused("the folder is gone".into());
        world.looks.output = folder_gone.clone();
        assert_eq!(world.at(7000), Step::Again(ms(300)));
        world.looks.output = version(1000);
        assert_eq!(world.at(7010), Step::Idle);
        // With its folder, it is waited for, and what comes back with the folder is another file.
        world.looks.output = folder_gone;
        world.at(8000);
        let gone = Obstacle::Refused("the folder is gone".into());
        assert_eq!(world.at(8300), complaint([("", gone)]));
        assert_eq!(world.at(9000), Step::Idle);
        world.looks.output = version(8);
        world.at(9500);
        assert_eq!(world.at(9800), read([]));
    }

    #[test]
    fn a_full_disk_is_tried_again_every_second_and_said_once() {
        let mut world = World::published([("a", 1)]);
        world.set("a", 2);
        world.at(100);
        assert_eq!(world.at(125), read(["a"]));
        world.settle.failed(ms(130), ms(130), true);
        assert_eq!(world.at(130), Step::Complain(Trouble::Attempt));
        for attempt in 1..5 {
            let at = 130 + attempt * 1000;
            assert_eq!(world.at(at - 1), Step::Again(ms(1)));
            assert_eq!(world.at(at), read(["a"]));
            world.settle.failed(ms(at), ms(at), false);
        }
        // An edit is tried at once.
        world.set("a", 3);
        world.at(4500);
        assert_eq!(world.at(4525), read(["a"]));
        world.publish();
        assert_eq!(world.at(4526), Step::Idle);
    }

    /// Looks at the world as the loop does, and checks each step.
    struct Driver {
        world: World,
        now: u64,
        /// When a file last changed, and since when none has stood still.
        changed_at: u64,
        restless_since: u64,
        told: BTreeSet<(PathBuf, Obstacle)>,
        /// What the last read was of.
        read: Vec<PathBuf>,
    }

    const NAMES: [&str; 3] = ["a", "b", "c"];

    impl Driver {
        fn is_there(&self) -> bool {
            let mut files = self.world.looks.files.values();
            files.all(|found| found.look != Look::Missing)
        }

        fn set(&mut self, name: &str, to: u64) {
            if self.world.looks.files[&PathBuf::from(name)].look != version(to) {
                if self.now - self.changed_at >= 25 {
                    self.restless_since = self.now;
                }
                self.changed_at = self.now;
                self.world.set(name, to);
            }
        }

        /// Looks until nothing is to be done before `end`; reads come to this outcome.
        fn run(&mut self, end: u64, outcome: u8) {
            loop {
                let step = self.world.at(self.now);
                let wait = match step {
                    Step::Read(files) => {
                        assert!(self.is_there());
                        let is_still = self.now - self.changed_at >= 25;
                        assert!(is_still || self.now - self.restless_since >= 800);
                        assert!(!files.is_empty() || self.world.settle.is_lost());
                        let now = ms(self.now);
                        let settle = &mut self.world.settle;
                        match outcome {
                            0 => settle.refused(now, Haste::Patient),
                            1 => settle.failed(now, now, false),
                            2 if !files.is_empty() => settle.busy(now, files[0].clone()),
                            2 | 3 => settle.overtaken(now),
                            _ => {
                                self.world.publish();
                                self.told.clear();
                                assert_eq!(self.world.at(self.now), Step::Idle);
                            }
                        }
                        self.read = files;
                        continue;
                    }
                    Step::Complain(Trouble::Files(files)) => {
                        for file in files {
                            assert!(self.told.insert(file.clone()), "{file:?} is said twice");
                        }
                        continue;
                    }
                    Step::Complain(Trouble::Attempt) => continue,
                    Step::Again(wait) => {
                        assert!(wait > Duration::ZERO && wait <= PATIENCE.complain);
                        wait.as_millis() as u64
                    }
                    Step::Idle => {
                        if self.is_there() {
                            self.told.clear();
                        }
                        1000
                    }
                };
                if self.now + wait >= end {
                    self.now = end;
                    return;
                }
                self.now += wait;
            }
        }
    }

    proptest! {
        /// Whatever happens to several files and the output: nothing is read before all is there and stands still (or has
        /// been restless for long), nothing is said twice while it lasts, what is published is not read again, and once
        /// all stands still it is read.
        #[test]
        fn reads_only_what_stood_still(
            events in prop::collection::vec((1u64..60, 0usize..4, 0u64..6, 0u8..6), 1..300),
        ) {
            let mut driver = Driver {
                world: World::of(NAMES.map(|name| (name, 1))),
                now: 0,
                changed_at: 0,
                restless_since: 0,
                told: BTreeSet::new(),
                read: Vec::new(),
            };
            for (pause, which, to, outcome) in events {
                driver.run(driver.now + pause, outcome);
                match NAMES.get(which) {
                    Some(name) => driver.set(name, to),
                    None if to == 0 => driver.world.looks.output = Look::Missing,
                    None => {}
                }
            }
            for name in NAMES {
                driver.set(name, 99);
            }
            driver.run(driver.now + 3000, 5);
            prop_assert_eq!(&driver.read, &NAMES.map(PathBuf::from).to_vec());
            prop_assert_eq!(driver.world.at(driver.now), Step::Idle);
        }
    }
}
