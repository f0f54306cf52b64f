//! The policy of `settle`, played through without files and clocks.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::time::Duration;

use proptest::prelude::*;

use super::settle::*;

const PATIENCE: Patience = Patience {
    settle: Duration::from_millis(25),
    trusts_proofs: true,
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
    known: Known,
    /// How often it was to be found out.
    probes: u32,
}

/// What can be found out of the writers of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    Nothing,
    Complete,
    /// Known to be complete from this millisecond on.
    CompleteAt(u64),
    /// Somebody writes.
    Busy,
}

impl World {
    fn of<const N: usize>(files: [(&str, u64); N]) -> World {
        let files = files.map(|(name, at)| {
            let look = version(at);
            let is_required = true;
            (FileName::new(name.as_ref()), FileLook { look, is_required })
        });
        World {
            settle: Settle::new(PATIENCE),
            looks: Looks {
                files: files.into(),
                output: Look::Missing,
            },
            now: ms(0),
            known: Known::Nothing,
            probes: 0,
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
        self.looks.files.get_mut(OsStr::new(name)).unwrap().look = look;
    }

    /// The step at a time, after what can be known of the files has been found out.
    fn at(&mut self, millis: u64) -> Step {
        self.now = ms(millis);
        let mut step = self.settle.look(self.now, self.looks.clone());
        if let Step::Prove(files) = step {
            self.probes += 1;
            match self.known {
                Known::Nothing => self.settle.incomplete(self.now, None),
                Known::CompleteAt(at) if ms(at) > self.now => {
                    self.settle.incomplete(self.now, Some(ms(at)));
                }
                Known::Complete | Known::CompleteAt(_) => self.settle.complete(),
                Known::Busy => match files.first() {
                    Some(file) => self.settle.busy(self.now, file.clone()),
                    None => self.settle.complete(),
                },
            }
            step = self.settle.step(self.now);
        }
        let is_prove = matches!(step, Step::Prove(_));
        assert!(!is_prove, "what has been found out is asked for again");
        step
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
fn what_is_proved_complete_is_read_at_once() {
    let mut world = World::published([("a", 1), ("b", 1)]);
    world.known = Known::Complete;
    world.set("a", 2);
    assert_eq!(world.at(100), read(["a"]));
    world.publish();
    assert_eq!(world.at(100), Step::Idle);
    // What follows closely is another change.
    world.set("b", 2);
    assert_eq!(world.at(101), read(["b"]));
    world.settle.refused(ms(101), Haste::Soon);
    assert_eq!(world.at(102), Step::Again(ms(299)));
    world.set("a", 3);
    assert_eq!(world.at(110), read(["a", "b"]));
    world.publish();
    // Its next change might look like this one until then.
    world.known = Known::CompleteAt(204);
    world.set("a", 4);
    assert_eq!(world.at(200), Step::Again(ms(4)));
    assert_eq!(world.at(203), Step::Again(ms(1)));
    assert_eq!(world.at(204), read(["a"]));
    world.publish();
    // A time that lies far ahead is that of another clock.
    world.known = Known::CompleteAt(1_000_000);
    world.set("a", 5);
    assert_eq!(world.at(300), Step::Again(ms(25)));
    assert_eq!(world.at(325), read(["a"]));
}

#[test]
fn proofs_are_not_asked_for_where_they_are_not_relied_on() {
    let mut world = World::of([("a", 1)]);
    world.settle = Settle::new(Patience {
        trusts_proofs: false,
        ..PATIENCE
    });
    world.known = Known::Complete;
    assert_eq!(world.at(0), Step::Again(ms(25)));
    assert_eq!(world.at(25), read(["a"]));
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
    let optional = FileName::new("optional".as_ref());
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
    world.known = Known::Busy;
    world.set("a", 2);
    let (mut at, mut complaints) = (100, 0);
    while at < 10_000 {
        match world.at(at) {
            Step::Again(wait) => at += wait.as_millis() as u64,
            Step::Complain(trouble) => {
                assert_eq!(trouble, Trouble::Files(vec![("a".into(), Obstacle::Busy)]));
                assert!(at >= 2100, "{at}");
                complaints += 1;
            }
            step => panic!("{step:?} of a file that is open"),
        }
    }
    assert_eq!(complaints, 1);
    assert!((20..40).contains(&world.probes), "{}", world.probes);
    // Whoever closes it wakes the loop up.
    world.known = Known::Complete;
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
        if self.world.looks.files[OsStr::new(name)].look != version(to) {
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
                    let is_proved = match self.world.known {
                        Known::Nothing => false,
                        Known::Complete => true,
                        Known::CompleteAt(at) => at <= self.now,
                        Known::Busy => files.is_empty(),
                    };
                    assert!(is_proved || is_still || self.now - self.restless_since >= 800);
                    assert!(!files.is_empty() || self.world.settle.is_lost());
                    let now = ms(self.now);
                    let settle = &mut self.world.settle;
                    match outcome {
                        0 => settle.refused(now, Haste::Patient),
                        1 => settle.failed(now, now, false),
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
                Step::Prove(_) => unreachable!("it has been answered"),
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
    /// Whatever happens to several files and the output: nothing is read before all is there and is proved complete, or stands still (or has
    /// been restless for long), nothing is said twice while it lasts, what is published is not read again, and once
    /// all stands still it is read.
    #[test]
    fn reads_only_what_is_complete_or_stood_still(
        events in prop::collection::vec((1u64..60, 0usize..5, 0u64..6, 0u8..6), 1..300),
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
                None if which == 4 => driver.world.known = match to {
                    0 | 1 => Known::Nothing,
                    2 | 3 => Known::Complete,
                    4 => Known::Busy,
                    _ => Known::CompleteAt(driver.now + to),
                },
                None if to == 0 => driver.world.looks.output = Look::Missing,
                None => {}
            }
        }
        if driver.world.known == Known::Busy {
            driver.world.known = Known::Nothing;
        }
        for name in NAMES {
            driver.set(name, 99);
        }
        driver.run(driver.now + 3000, 5);
        prop_assert_eq!(&driver.read, &NAMES.map(PathBuf::from).to_vec());
        prop_assert_eq!(driver.world.at(driver.now), Step::Idle);
    }
}
