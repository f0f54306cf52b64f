//! What the server has to tell: the versions that were published, what brings an instance from one to the next, and what is
//! wrong just now. It knows nothing of HTTP, and nothing of what makes the versions.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use base64::prelude::{BASE64_STANDARD, Engine};
use serde::Serialize;
use tokio::sync::watch;
use wasmend::{LiveStep, Outcome, Patch};

use crate::cli::report::micros;

/// So many bytes of deltas are kept for those who were away, and so many versions are remembered.
const MOST_BYTES: usize = 64 << 20;
const MOST_VERSIONS: usize = 10_000;

/// Deltas of up to so many bytes are sent with the news of them.
const MOST_INLINE: usize = 16 << 10;

/// What is sent to a page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub(super) enum Event {
    /// The version that there is.
    Current {
        version: String,
        generation: u64,
        module: String,
    },
    /// What brings an instance from one version to the next.
    Delta {
        from: String,
        to: String,
        generation: u64,
        url: String,
        undo: Option<String>,
        module: String,
        /// Bytes of it.
        size: usize,
        /// The bytes themselves, in base64, if they are few: asking for them takes a page longer than all else.
        data: Option<String>,
    },
    /// A version that instances of the one before cannot be brought to.
    Refused {
        from: String,
        to: String,
        generation: u64,
        code: String,
        message: String,
        symbol: Option<String>,
        module: String,
    },
    /// The changes since the version that was asked for are not kept any more.
    Gone { module: String },
    /// A command makes a new build.
    Building,
    /// There is no new version, because of this.
    Error { message: String },
}

/// What a published version is for instances of the one before.
#[derive(Debug, Clone)]
enum Step {
    /// The first one.
    First,
    Delta {
        delta: Arc<[u8]>,
        undo: Option<Arc<[u8]>>,
    },
    Refused {
        code: String,
        message: String,
        symbol: Option<String>,
    },
}

/// A version, as the status page shows it.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Version {
    pub(super) id: String,
    pub(super) generation: u64,
    /// Milliseconds since 1970.
    pub(super) at: u64,
    /// `created`, `patched` or `rebuilt`.
    pub(super) outcome: &'static str,
    /// Why the file was rebuilt.
    pub(super) reason: Option<&'static str>,
    pub(super) declarations: u32,
    pub(super) bytes_written: u64,
    pub(super) file_bytes: u64,
    pub(super) micros: f64,
    pub(super) delta_bytes: Option<usize>,
    pub(super) functions: Option<u32>,
    pub(super) refused: Option<String>,
    /// Offset and length of what was written.
    pub(super) ranges: Vec<(u64, u64)>,
}

#[derive(Debug, Clone)]
struct Entry {
    from: String,
    version: Version,
    step: Step,
}

#[derive(Debug, Default)]
struct State {
    entries: VecDeque<Entry>,
    /// How many entries have been dropped from the front.
    dropped: u64,
    bytes: usize,
    is_building: bool,
    problem: Option<String>,
    /// Changes with each change of what is wrong.
    problems: u64,
}

/// What there is to tell, shared by who makes versions and who serves them.
#[derive(Debug)]
pub(super) struct Site {
    state: Mutex<State>,
    news: watch::Sender<()>,
    module: String,
}

/// How far a listener has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Heard {
    entries: u64,
    problems: u64,
}

impl Site {
    /// Of a module that has this path on the server.
    pub(super) fn new(module: String) -> Site {
        Site {
            state: Mutex::default(),
            news: watch::Sender::new(()),
            module,
        }
    }

    /// The path of the module.
    pub(super) fn module(&self) -> &str {
        &self.module
    }

    /// Wakes up whenever there is something new.
    pub(super) fn news(&self) -> watch::Receiver<()> {
        self.news.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // What is behind the lock is whole after each step.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of a published version. One that changes nothing ends what was wrong.
    pub(super) fn publish(&self, patch: &Patch) {
        let mut state = self.lock();
        state.settle();
        if let Some(entry) = Entry::of(patch, state.entries.back()) {
            state.bytes += entry.len();
            state.entries.push_back(entry);
            while state.entries.len() > 1
                && (state.bytes > MOST_BYTES || state.entries.len() > MOST_VERSIONS)
            {
                let Some(dropped) = state.entries.pop_front() else {
                    break;
                };
                state.bytes -= dropped.len();
                state.dropped += 1;
            }
        }
        drop(state);
        self.news.send_replace(());
    }

    /// Takes note of why there is no new version.
    pub(super) fn fail(&self, message: String) {
        let mut state = self.lock();
        state.is_building = false;
        if state.problem.as_ref() != Some(&message) {
            state.problem = Some(message);
            state.problems += 1;
        }
        drop(state);
        self.news.send_replace(());
    }

    /// Takes note that a command makes a new build, or that it has ended well.
    pub(super) fn building(&self, is_building: bool) {
        let mut state = self.lock();
        match is_building {
            true => {
                state.is_building = true;
                state.problems += 1;
            }
            false => state.settle(),
        }
        drop(state);
        self.news.send_replace(());
    }

    /// The version that there is.
    pub(super) fn current(&self) -> Option<String> {
        self.lock()
            .entries
            .back()
            .map(|entry| entry.version.id.clone())
    }

    /// A delta, or what takes it back, by the version that it leads to or from.
    pub(super) fn delta(&self, to: &str, takes_back: bool) -> Option<Arc<[u8]>> {
        let state = self.lock();
        let entry = state
            .entries
            .iter()
            .rev()
            .find(|entry| entry.version.id == to)?;
        match &entry.step {
            Step::Delta { delta, .. } if !takes_back => Some(delta.clone()),
            Step::Delta { undo, .. } => undo.clone(),
            _ => None,
        }
    }

    /// What a page that has a version needs to hear first.
    pub(super) fn catch_up(&self, from: Option<&str>) -> (Vec<Event>, Heard) {
        let state = self.lock();
        let heard = state.heard();
        let mut events = Vec::new();
        if let Some(last) = state.entries.back() {
            let known = state
                .entries
                .iter()
                .position(|entry| Some(entry.version.id.as_str()) == from);
            match (from, known) {
                (None, _) => events.push(self.current_event(last)),
                (Some(_), Some(at)) => {
                    let later = state.entries.iter().skip(at + 1);
                    events.extend(later.map(|entry| self.event(entry)));
                    if events.is_empty() {
                        events.push(self.current_event(last));
                    }
                }
                (Some(_), None) => events.push(Event::Gone {
                    module: self.module.clone(),
                }),
            }
        }
        events.extend(state.problem_events());
        (events, heard)
    }

    /// What has come since.
    pub(super) fn since(&self, heard: Heard) -> (Vec<Event>, Heard) {
        let state = self.lock();
        let mut events = Vec::new();
        let now = state.heard();
        match heard.entries.checked_sub(state.dropped) {
            // Whoever is that slow begins anew.
            None => events.push(Event::Gone {
                module: self.module.clone(),
            }),
            Some(known) => {
                let new = state.entries.iter().skip(known as usize);
                events.extend(new.map(|entry| self.event(entry)));
            }
        }
        if heard.problems != now.problems {
            let is_well = state.problem.is_none() && !state.is_building;
            match state.entries.back() {
                Some(last) if is_well && events.is_empty() => events.push(self.current_event(last)),
                _ => events.extend(state.problem_events()),
            }
        }
        (events, now)
    }

    /// The versions that are remembered, oldest first, and what is wrong.
    pub(super) fn status(&self) -> (Vec<Version>, Option<String>, bool) {
        let state = self.lock();
        let versions = state.entries.iter().map(|entry| entry.version.clone());
        (versions.collect(), state.problem.clone(), state.is_building)
    }

    fn current_event(&self, entry: &Entry) -> Event {
        Event::Current {
            version: entry.version.id.clone(),
            generation: entry.version.generation,
            module: self.module.clone(),
        }
    }

    fn event(&self, entry: &Entry) -> Event {
        let (from, to) = (entry.from.clone(), entry.version.id.clone());
        let (generation, module) = (entry.version.generation, self.module.clone());
        match &entry.step {
            Step::First => self.current_event(entry),
            Step::Delta { delta, undo } => Event::Delta {
                url: format!("/__wasmend/delta/{to}.wasm"),
                undo: undo.as_ref().map(|_| format!("/__wasmend/undo/{to}.wasm")),
                from,
                to,
                generation,
                module,
                size: delta.len(),
                data: (delta.len() <= MOST_INLINE).then(|| BASE64_STANDARD.encode(delta)),
            },
            Step::Refused {
                code,
                message,
                symbol,
            } => Event::Refused {
                from,
                to,
                generation,
                code: code.clone(),
                message: message.clone(),
                symbol: symbol.clone(),
                module,
            },
        }
    }
}

impl State {
    fn heard(&self) -> Heard {
        Heard {
            entries: self.dropped + self.entries.len() as u64,
            problems: self.problems,
        }
    }

    /// Nothing is wrong any more.
    fn settle(&mut self) {
        let was_well = self.problem.take().is_none() && !self.is_building;
        self.is_building = false;
        self.problems += u64::from(!was_well);
    }

    fn problem_events(&self) -> Vec<Event> {
        let building = self.is_building.then_some(Event::Building);
        let problem = self.problem.clone().filter(|_| !self.is_building);
        let problem = problem.map(|message| Event::Error { message });
        building.into_iter().chain(problem).collect()
    }
}

impl Entry {
    /// What a patch is for those who have the version before it. `None` if it changes nothing.
    fn of(patch: &Patch, last: Option<&Entry>) -> Option<Entry> {
        let (outcome, reason) = match &patch.outcome {
            Outcome::Unchanged => return None,
            Outcome::Patched(_) => ("patched", None),
            Outcome::Relinked(reason) if last.is_some() => ("rebuilt", Some(reason.word())),
            Outcome::Relinked(_) => ("created", None),
        };
        let step = match (&patch.live, last) {
            (_, None) => Step::First,
            (Some(LiveStep::Delta { delta, undo }), _) => Step::Delta {
                delta: delta.bytes.clone(),
                undo: undo.as_ref().map(|undo| undo.bytes.clone()),
            },
            (Some(LiveStep::Refused(refusals)), _) => {
                let first = refusals.first();
                let lines: Vec<String> = refusals.iter().map(ToString::to_string).collect();
                Step::Refused {
                    code: first.map_or_else(String::new, |refusal| {
                        format!("L{:02}", refusal.reason.number())
                    }),
                    message: lines.join("\n"),
                    symbol: first.map(|refusal| refusal.symbol.clone()),
                }
            }
            (None, Some(_)) => Step::Refused {
                code: "created".to_owned(),
                message: "the output was written anew, as the first version of another one"
                    .to_owned(),
                symbol: None,
            },
        };
        let functions = match &patch.live {
            Some(LiveStep::Delta { delta, .. }) => Some(delta.functions),
            _ => None,
        };
        let ranges = patch.ranges().map_or_else(Vec::new, |ranges| {
            let ranges = ranges.iter();
            ranges
                .map(|(range, bytes)| (range.offset, bytes.len() as u64))
                .collect()
        });
        let version = Version {
            id: patch.identity.hex(),
            generation: patch.identity.generation,
            at: milliseconds(SystemTime::now()),
            outcome,
            reason,
            declarations: patch.changed,
            bytes_written: patch.bytes_written(),
            file_bytes: patch.file_len,
            micros: micros(patch.phases.total()),
            delta_bytes: match &step {
                Step::Delta { delta, .. } => Some(delta.len()),
                _ => None,
            },
            functions,
            refused: match &step {
                Step::Refused { message, .. } => Some(message.clone()),
                _ => None,
            },
            ranges,
        };
        let from = last.map_or_else(String::new, |entry| entry.version.id.clone());
        Some(Entry {
            from,
            version,
            step,
        })
    }

    /// Bytes that are kept for it.
    fn len(&self) -> usize {
        match &self.step {
            Step::Delta { delta, undo } => delta.len() + undo.as_ref().map_or(0, |undo| undo.len()),
            _ => 0,
        }
    }
}

fn milliseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}

#[cfg(test)]
mod tests {
    use wasmend::{DeclKind, FunctionBuilder, Instruction, Module, ModuleOptions, ValType};

    use super::*;

    #[test]
    fn ten_thousand_versions_are_told_in_order_and_what_is_kept_of_them_is_bounded() {
        let options = ModuleOptions {
            live: true,
            undo: true,
            ..ModuleOptions::default()
        };
        let mut module = Module::in_memory(options).expect("options that fit");
        let function = module.declare(DeclKind::Function, "f").expect("a new key");
        module.export("f", function).expect("is declared");
        let mut commit = |number| {
            let mut body = FunctionBuilder::new(module.body_style(), &[], &[ValType::I32]);
            body.op(&Instruction::I32Const(number));
            let body = body.finish().expect("names nothing");
            module.define_function(function, body).expect("a good body");
            module.commit().expect("a good edit")
        };
        let site = Site::new("/app.wasm".to_owned());
        site.publish(&commit(0));
        let first = site.current().expect("a version");
        let (_, mut heard) = site.catch_up(Some(&first));
        let mut version = first.clone();
        for number in 1..=MOST_VERSIONS as i32 {
            site.publish(&commit(number));
            let (events, now) = site.since(heard);
            heard = now;
            let [Event::Delta { from, to, .. }] = &events[..] else {
                panic!("{events:?}")
            };
            assert_eq!(*from, version);
            version.clone_from(to);
            assert!(site.delta(&version, false).is_some() && site.delta(&version, true).is_some());
        }
        assert!(site.lock().entries.len() <= MOST_VERSIONS && site.lock().bytes <= MOST_BYTES);
        // The first one is not known any more.
        let (events, _) = site.catch_up(Some(&first));
        assert!(matches!(events[..], [Event::Gone { .. }]), "{events:?}");
        assert!(site.delta(&first, false).is_none());
        let (events, _) = site.catch_up(Some(&version));
        assert!(matches!(events[..], [Event::Current { .. }]), "{events:?}");
    }

    #[test]
    fn an_error_is_told_once_and_goes_with_the_next_build() {
        let site = Site::new("/app.wasm".to_owned());
        let (events, heard) = site.catch_up(None);
        assert!(events.is_empty());
        site.fail("bad".to_owned());
        let (events, heard) = site.since(heard);
        assert_eq!(
            events,
            [Event::Error {
                message: "bad".to_owned()
            }]
        );
        site.fail("bad".to_owned());
        let (events, heard) = site.since(heard);
        assert!(events.is_empty());
        site.building(true);
        let (events, _) = site.since(heard);
        assert_eq!(events, [Event::Building]);
    }
}
