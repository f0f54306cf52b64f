//! Work for all cores. Whoever shares some out says so ([`region`], [`task`]), and it is noted how long it took and how
//! long the longest way through it is. From what was noted on one thread follows what any number of cores would need.
//!
//! What is noted belongs to the thread that asked for it: tasks that others take from it are not seen.

use std::cell::RefCell;
use std::time::{Duration, Instant};

/// What was done in parallel within some time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SharedWork {
    /// How long this thread was in regions.
    pub(crate) elapsed: Duration,
    regions: Vec<Region>,
}

/// Tasks of which none waits for another.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Region {
    /// All tasks of this thread, one after the other.
    work: Duration,
    /// The longest way through one of them, its own regions taken apart as well.
    longest: Duration,
}

impl SharedWork {
    /// What so many cores would save at least, if all of it was done by one: whoever never leaves a core idle that could
    /// do something needs no longer than this (Graham's bound).
    pub(crate) fn saved_by(&self, cores: u32) -> Duration {
        let saved = |region: &Region| {
            let rest = region.work.saturating_sub(region.longest);
            rest - rest / cores.max(1)
        };
        self.regions.iter().map(saved).sum()
    }
}

/// What is being done: a region, or a task of one with what its own regions take.
enum Frame {
    Region(Region),
    Task { within: Region },
}

#[derive(Default)]
struct Recorder {
    frames: Vec<Frame>,
    done: SharedWork,
}

thread_local! {
    static RECORDER: RefCell<Option<Recorder>> = const { RefCell::new(None) };
}

/// Begins to note what this thread shares out.
pub(crate) fn record() {
    RECORDER.with_borrow_mut(|recorder| *recorder = Some(Recorder::default()));
}

/// What has been shared out since the last time, or since it was begun to be noted.
pub(crate) fn take() -> SharedWork {
    RECORDER.with_borrow_mut(|recorder| {
        recorder
            .as_mut()
            .map(|recorder| std::mem::take(&mut recorder.done))
            .unwrap_or_default()
    })
}

/// Does what consists of tasks that any thread may take.
pub(crate) fn region<T>(work: impl FnOnce() -> T) -> T {
    if !begin(|_| Some(Frame::Region(Region::default()))) {
        return work();
    }
    let start = Instant::now();
    let result = work();
    end(start.elapsed());
    result
}

/// Does one of the tasks of a region.
pub(crate) fn task<T>(work: impl FnOnce() -> T) -> T {
    let frame = |top: Option<&Frame>| match top {
        Some(Frame::Region(_)) => Some(Frame::Task {
            within: Region::default(),
        }),
        _ => None,
    };
    if !begin(frame) {
        return work();
    }
    let start = Instant::now();
    let result = work();
    end(start.elapsed());
    result
}

/// Pushes what `frame` makes of the innermost frame, if it makes something and anything is noted.
fn begin(frame: impl FnOnce(Option<&Frame>) -> Option<Frame>) -> bool {
    RECORDER.with_borrow_mut(|recorder| {
        let Some(recorder) = recorder else {
            return false;
        };
        let frame = frame(recorder.frames.last());
        let begins = frame.is_some();
        recorder.frames.extend(frame);
        begins
    })
}

/// Ends the innermost frame, and adds it to the one around it.
fn end(elapsed: Duration) {
    RECORDER.with_borrow_mut(|recorder| {
        let Some(recorder) = recorder else { return };
        match (recorder.frames.pop(), recorder.frames.last_mut()) {
            (Some(Frame::Region(region)), Some(Frame::Task { within })) => {
                within.work += region.work;
                within.longest += region.longest;
            }
            (Some(Frame::Region(region)), Some(Frame::Region(around))) => {
                around.work += region.work;
                around.longest = around.longest.max(region.longest);
            }
            (Some(Frame::Region(region)), None) => {
                recorder.done.elapsed += elapsed;
                recorder.done.regions.push(region);
            }
            (Some(Frame::Task { within }), Some(Frame::Region(region))) => {
                let own = elapsed.saturating_sub(within.work);
                region.work += elapsed;
                region.longest = region.longest.max(own + within.longest);
            }
            _ => {}
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn busy(milliseconds: u64) {
        std::thread::sleep(Duration::from_millis(milliseconds));
    }

    #[test]
    fn cores_save_what_is_beside_the_longest_task() {
        record();
        region(|| {
            task(|| busy(20));
            task(|| busy(40));
            // A task with tasks of its own.
            task(|| {
                busy(10);
                region(|| (0..4).for_each(|_| task(|| busy(10))));
            });
        });
        let work = take();
        let region = work.regions[0];
        assert_eq!(work.regions.len(), 1);
        assert!(region.work >= Duration::from_millis(110), "{region:?}");
        assert!(region.longest >= Duration::from_millis(40), "{region:?}");
        assert!(region.longest < region.work, "{region:?}");
        assert_eq!(work.saved_by(1), Duration::ZERO);
        let rest = region.work - region.longest;
        assert_eq!(work.saved_by(4), rest - rest / 4);
        assert!(work.elapsed >= region.work);
        assert_eq!(take(), SharedWork::default());
    }
}
