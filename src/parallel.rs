//! Work for all cores. Whoever shares some out says so ([`region`], [`task`]). Where one thread does all of it
//! ([`set_alone`]), it is noted how long that takes and how long the longest way through it is: from that follows what any
//! number of cores would need.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rayon::prelude::*;

/// What was shared out within some time.
#[cfg(any(feature = "link", test))]
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SharedWork {
    /// How long this thread was in regions, whoever did their tasks.
    pub(crate) elapsed: Duration,
    /// With one thread, its regions.
    regions: Option<Vec<Region>>,
}

/// Tasks of which none waits for another.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Region {
    /// All tasks, one after the other: of processors.
    work: Duration,
    /// The longest way through one of them, its own regions taken apart as well.
    longest: Duration,
}

#[cfg(any(feature = "link", test))]
impl SharedWork {
    /// How much of it there was to share, if one thread did all of it.
    pub(crate) fn of_one(&self) -> Option<Duration> {
        let regions = self.regions.as_ref()?;
        Some(regions.iter().map(|region| region.work).sum())
    }

    /// What so many cores would save at least, if one thread did all of it: whoever never leaves a core idle that could do
    /// something needs no longer than this (Graham's bound).
    pub(crate) fn saved_by(&self, cores: u32) -> Option<Duration> {
        let saved = |region: &Region| {
            let rest = region.work.saturating_sub(region.longest);
            rest - rest / cores.max(1)
        };
        Some(self.regions.as_ref()?.iter().map(saved).sum())
    }
}

/// What is being done: a region, or a task of one with what its own regions take.
enum Frame {
    Region(Region),
    Task { within: Region },
}

/// What one thread does. The one that waits for it does nothing in the meantime, so that both are one here.
#[derive(Default)]
struct Recorder {
    frames: Vec<Frame>,
    done: Vec<Region>,
}

static IS_ALONE: AtomicBool = AtomicBool::new(false);
static RECORDER: Mutex<Recorder> = Mutex::new(Recorder {
    frames: Vec::new(),
    done: Vec::new(),
});

thread_local! {
    /// How long this thread has been in regions, and whether it is in one.
    static IN_REGIONS: Cell<(Duration, bool)> = const { Cell::new((Duration::ZERO, false)) };
}

/// Says whether there is one thread only for all that is shared out, in the whole process.
#[cfg(any(feature = "link", test))]
pub(crate) fn set_alone(is_alone: bool) {
    IS_ALONE.store(is_alone, Ordering::Relaxed);
}

fn recorder() -> Option<MutexGuard<'static, Recorder>> {
    let is_alone = IS_ALONE.load(Ordering::Relaxed);
    is_alone.then(|| RECORDER.lock().unwrap_or_else(PoisonError::into_inner))
}

/// What all threads of this process have had of the processors.
#[cfg(feature = "link")]
pub(crate) fn processor_time() -> Duration {
    time_of(libc::CLOCK_PROCESS_CPUTIME_ID)
}

/// What a clock of processors says. (rustix would look for it where valgrind lets nobody look.)
#[allow(unsafe_code)]
fn time_of(clock: libc::clockid_t) -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the pointer is to a live value, and nothing else is written to.
    match unsafe { libc::clock_gettime(clock, &raw mut time) } {
        0 => Duration::new(time.tv_sec as u64, time.tv_nsec as u32),
        _ => Duration::ZERO,
    }
}

/// What has been shared out since the last time.
#[cfg(any(feature = "link", test))]
pub(crate) fn take() -> SharedWork {
    let (elapsed, is_in_one) = IN_REGIONS.get();
    IN_REGIONS.set((Duration::ZERO, is_in_one));
    SharedWork {
        elapsed,
        regions: recorder().map(|mut recorder| std::mem::take(&mut recorder.done)),
    }
}

/// Does what consists of tasks that any thread may take.
pub(crate) fn region<T>(work: impl FnOnce() -> T) -> T {
    region_of(work, |region| region.longest)
}

/// Sorts `len` things by quicksort, whose parts are sorted by any threads: a way through it goes through all of them, then
/// through half, and so on.
pub(crate) fn sorting<T>(len: usize, sort: impl FnOnce() -> T) -> T {
    let halvings = len.max(4).ilog2();
    region_of(|| task(sort), |region| region.work * 2 / halvings)
}

/// Does what any threads do in so many parts, of which none is longer than another.
#[cfg(any(feature = "link", test))]
pub(crate) fn evenly<T: Send>(parts: usize, work: impl FnOnce() -> T + Send) -> T {
    // Begun by one of these threads: what others do is no time of the one that waits.
    let work = || rayon::scope(|_| task(work));
    region_of(work, |region| region.work / parts.max(1) as u32)
}

/// Does something whose longest way is known when it is done.
fn region_of<T>(work: impl FnOnce() -> T, longest: impl FnOnce(Region) -> Duration) -> T {
    let is_recorded = recorder().map(|mut recorder| {
        recorder.frames.push(Frame::Region(Region::default()));
    });
    let (before, is_within) = IN_REGIONS.get();
    IN_REGIONS.set((before, true));
    let start = Instant::now();
    let result = work();
    IN_REGIONS.set(match is_within {
        true => (before, true),
        false => (before + start.elapsed(), false),
    });
    if let (Some(()), Some(mut recorder)) = (is_recorded, recorder()) {
        recorder.end_region(longest);
    }
    result
}

/// Does one of the tasks of a region.
pub(crate) fn task<T>(work: impl FnOnce() -> T) -> T {
    let is_recorded = recorder().is_some_and(|mut recorder| recorder.begin_task());
    if !is_recorded {
        return work();
    }
    let clock = libc::CLOCK_THREAD_CPUTIME_ID;
    let start = time_of(clock);
    let result = work();
    let elapsed = time_of(clock).saturating_sub(start);
    if let Some(mut recorder) = recorder() {
        recorder.end_task(elapsed);
    }
    result
}

/// What tasks use one after the other, such as buffers: as many as there are tasks at a time. What a task leaves in one is
/// there for the next.
#[derive(Default)]
pub(crate) struct Spares<T>(Mutex<Vec<T>>);

impl<T: Default> Spares<T> {
    /// Has one of them for as long as `work` takes.
    pub(crate) fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        let spares = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let spare = spares().pop();
        let mut spare = spare.unwrap_or_default();
        let result = work(&mut spare);
        spares().push(spare);
        result
    }
}

/// Those of which something holds, in their order: found by all threads if there are many.
pub(crate) fn select<T: Copy + Send + Sync>(
    items: &[T],
    holds: impl Fn(T) -> bool + Sync,
) -> Vec<T> {
    /// Items that one thread looks at at a time.
    const RUN: usize = 4096;
    let select = |run: &[T]| -> Vec<T> { run.iter().copied().filter(|it| holds(*it)).collect() };
    match items.len() <= RUN {
        true => select(items),
        false => {
            let runs = items.par_chunks(RUN);
            let runs: Vec<Vec<T>> = region(|| runs.map(|run| task(|| select(run))).collect());
            runs.concat()
        }
    }
}

/// Does two things, each of which any thread may take.
pub(crate) fn join<A: Send, B: Send>(
    first: impl FnOnce() -> A + Send,
    second: impl FnOnce() -> B + Send,
) -> (A, B) {
    region(|| rayon::join(|| task(first), || task(second)))
}

impl Recorder {
    fn begin_task(&mut self) -> bool {
        let is_in_region = matches!(self.frames.last(), Some(Frame::Region(_)));
        if is_in_region {
            let within = Region::default();
            self.frames.push(Frame::Task { within });
        }
        is_in_region
    }

    fn end_task(&mut self, elapsed: Duration) {
        let Some(Frame::Task { within }) = self.frames.pop() else {
            return;
        };
        if let Some(Frame::Region(region)) = self.frames.last_mut() {
            let own = elapsed.saturating_sub(within.work);
            region.work += elapsed;
            region.longest = region.longest.max(own + within.longest);
        }
    }

    fn end_region(&mut self, longest: impl FnOnce(Region) -> Duration) {
        let Some(Frame::Region(mut region)) = self.frames.pop() else {
            return;
        };
        region.longest = longest(region);
        match self.frames.last_mut() {
            Some(Frame::Task { within }) => {
                within.work += region.work;
                within.longest += region.longest;
            }
            Some(Frame::Region(around)) => {
                around.work += region.work;
                around.longest = around.longest.max(region.longest);
            }
            None => self.done.push(region),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    #[test]
    fn cores_save_what_is_beside_the_longest_task() {
        let mut recorder = Recorder::default();
        let begin_region = |recorder: &mut Recorder| {
            recorder.frames.push(Frame::Region(Region::default()));
        };
        // No task of any region.
        assert!(!recorder.begin_task());
        begin_region(&mut recorder);
        for took in [20, 30] {
            assert!(recorder.begin_task());
            recorder.end_task(ms(took));
        }
        // A task with tasks of its own, of which one is as long as two others.
        assert!(recorder.begin_task());
        begin_region(&mut recorder);
        for took in [10, 10, 20] {
            assert!(recorder.begin_task());
            recorder.end_task(ms(took));
        }
        recorder.end_region(|region| region.longest);
        recorder.end_task(ms(45));
        recorder.end_region(|region| region.longest);
        let work = SharedWork {
            elapsed: ms(100),
            regions: Some(std::mem::take(&mut recorder.done)),
        };
        // The longest way: 5 ms of its own, and 20.
        let region = Region {
            work: ms(95),
            longest: ms(30),
        };
        assert_eq!(work.regions, Some(vec![region]));
        assert_eq!(work.of_one(), Some(ms(95)));
        assert_eq!(work.saved_by(1), Some(Duration::ZERO));
        assert_eq!(work.saved_by(5), Some(ms(52)));
        assert!(recorder.frames.is_empty());
    }
}
