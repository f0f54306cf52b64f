//! When files that somebody else writes are ready to be read: a policy without files and clocks, so that every order of
//! events can be tested.
//!
//! All files are looked at again and again. What looks other than it did when it was last made use of is read as soon as it
//! is proved complete: nobody has it open for writing, and whoever writes it again will be seen. Where that cannot be known,
//! or is not to be relied on, files must have looked the same for a while. If what was read turns out to be of no use,
//! nothing is read again until a file looks different. Where files never stand still they are read about once a second all
//! the same. An output that is gone is written again, and trouble that lasts is said once.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How soon a link that fails is said: objects of one build come in one after the other.
const GRACE: Duration = Duration::from_millis(300);
/// How long files may go on changing before they are read although they do not stand still.
const RESTLESS: Duration = Duration::from_millis(800);
/// How long until trouble that no edit mends, such as a full disk, is looked into again.
const RETRY: Duration = Duration::from_secs(1);
/// The first and the longest pause between two questions whether a file is still open for writing.
const PROBE: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));

/// The path by which a file is looked at. Paths are compared part by part, which takes long for thousands at each look; these
/// are compared as they are spelled.
#[derive(Debug, Clone)]
pub(crate) struct FileName(Arc<Path>);

impl FileName {
    pub(crate) fn new(path: &Path) -> FileName {
        FileName(Arc::from(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Borrow<OsStr> for FileName {
    fn borrow(&self) -> &OsStr {
        self.0.as_os_str()
    }
}

impl PartialEq for FileName {
    fn eq(&self, other: &FileName) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.as_os_str() == other.0.as_os_str()
    }
}

impl Eq for FileName {}

impl Ord for FileName {
    fn cmp(&self, other: &FileName) -> Ordering {
        self.0.as_os_str().cmp(other.0.as_os_str())
    }
}

impl PartialOrd for FileName {
    fn partial_cmp(&self, other: &FileName) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

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
    pub(crate) files: BTreeMap<FileName, FileLook>,
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
    /// Find out whether these files are complete, and say so: [`Settle::complete`], [`Settle::incomplete`] or
    /// [`Settle::busy`].
    Prove(Vec<PathBuf>),
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
    /// Whether those that are proved complete are read before that.
    pub(crate) trusts_proofs: bool,
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

/// What is known of the completeness of the files that changed, as they look now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Proof {
    /// Nobody has tried to find out.
    Open,
    /// They are complete, or have stood still for as long as can be asked for.
    Given,
    /// It cannot be known.
    None,
    /// It can be known from this time on.
    At(Duration),
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
    files: BTreeMap<FileName, (FileLook, Duration)>,
    output: (Look, Duration),
    /// How the files looked when they were last made use of.
    taken: BTreeMap<FileName, Look>,
    /// The output as it was last published, and whether that has been missing since.
    published: Option<Look>,
    is_lost: bool,
    verdict: Verdict,
    proof: Proof,
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
            proof: Proof::Open,
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
        self.step(now)
    }

    /// What is to be done by what is known now.
    pub(crate) fn step(&mut self, now: Duration) -> Step {
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
        self.read_at.get_or_insert(now + restless);
        let wait = self.due_at().saturating_sub(now);
        match self.proof {
            Proof::Given => Step::Read(changed),
            // What was known of writers when it had not stood still for long may have become untrue.
            _ if wait.is_zero() => Step::Prove(changed),
            Proof::Open if self.patience.trusts_proofs => Step::Prove(changed),
            Proof::At(at) if at <= now => Step::Prove(changed),
            Proof::At(at) => Step::Again(wait.min(at - now)),
            Proof::Open | Proof::None => Step::Again(wait),
        }
    }

    /// How a file looked last.
    pub(crate) fn seen(&self, file: &Path) -> Option<&Look> {
        self.files
            .get(file.as_os_str())
            .map(|(found, _)| &found.look)
    }

    /// Whether the files look as they did last.
    pub(crate) fn has_seen(&self, looks: &Looks) -> bool {
        let seen = self.files.iter().map(|(file, (found, _))| (file, found));
        seen.eq(&looks.files)
    }

    /// From when on files are read that cannot be proved complete.
    fn due_at(&self) -> Duration {
        let still_at = self.since() + self.patience.settle;
        self.read_at.map_or(still_at, |at| at.min(still_at))
    }

    /// The files that changed are complete.
    pub(crate) fn complete(&mut self) {
        self.busy = None;
        self.proof = Proof::Given;
    }

    /// Nobody is known to write the files that changed, but they cannot be proved complete: not before the time `at`, or not
    /// at all.
    pub(crate) fn incomplete(&mut self, now: Duration, at: Option<Duration>) {
        self.busy = None;
        self.proof = match at {
            // They have stood still, which is all that there is to go by.
            _ if self.due_at() <= now => Proof::Given,
            Some(at) => Proof::At(at),
            None => Proof::None,
        };
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
        self.proof = Proof::Open;
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
        self.proof = Proof::Open;
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
        if is_other {
            self.proof = Proof::Open;
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
            let found = self.files.get(busy.file.as_os_str());
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
            found.push((file.path().to_path_buf(), obstacle, *since));
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
        changed.map(|(file, _)| file.path().to_path_buf()).collect()
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
        self.proof = Proof::Open;
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
