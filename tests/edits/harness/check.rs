//! Runs a script: the one helper that every case goes through.
//!
//! After each commit everything that must hold of the published file is checked; a commit that must fail has to leave
//! the file as it is and the edits pending.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use wasmend as w;
use wasmend::output::{OutputOptions, Publish};
use wasmend::{ErrorKind, Outcome, Patch, Redirect, RelinkReason};
use wasmparser::{Validator, WasmFeatures};

use super::answers::{self, Published};
use super::copies::Copies;
use super::drive::{Driver, Owner};
use super::equal;
use super::fresh;
use super::generate::{self, Choices, Shape};
use super::model::{BUDGET, Bound, Def, Ent, Kind, MEMORY, Model, Name, f};
use super::ranges;
use super::repair;
use super::rival::{self, Calls};
use super::run::{self, Runner};
use super::script::Edit;
use super::walk::walk;

/// How a module is made and how thoroughly it is checked.
#[derive(Debug, Clone)]
pub struct Config {
    pub redirect: Redirect,
    pub types: w::Types,
    pub names: bool,
    pub fan_in: usize,
    /// Where the module is published, if not in memory.
    pub publish: Option<Publish>,
    /// Every how many commits exported functions are run and the dense output compared.
    pub run_every: usize,
    /// Whether patches of one body are held to [`MOST_OVERHEAD`].
    pub measure: bool,
    /// What becomes of the pending edits when a commit must fail: `true` to discard them or mend them and go on,
    /// `false` to leave that to the script.
    pub recover: bool,
    /// Whether instances that run take in what commits change.
    pub live: bool,
}

impl Config {
    /// In memory, with all checks.
    pub fn new(redirect: Redirect, types: w::Types) -> Config {
        Config {
            redirect,
            types,
            names: true,
            fan_in: w::ModuleOptions::default().fan_in,
            publish: None,
            run_every: 1,
            measure: true,
            recover: true,
            live: false,
        }
    }

    /// All combinations of redirection and types.
    pub fn all() -> Vec<Config> {
        let mut all = Vec::new();
        for redirect in [Redirect::Table, Redirect::TableThunks, Redirect::Direct] {
            for types in [w::Types::PerDeclaration, w::Types::Interned] {
                all.push(Config::new(redirect, types));
            }
        }
        all
    }

    fn options(&self) -> w::ModuleOptions {
        w::ModuleOptions {
            redirect: self.redirect,
            types: self.types,
            names: self.names,
            fan_in: self.fan_in,
            live: self.live,
            undo: self.live,
            output: OutputOptions::new(self.publish.unwrap_or_default()),
            ..w::ModuleOptions::default()
        }
    }
}

/// What was seen in a run.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    pub edits: usize,
    pub commits: usize,
    pub patches: usize,
    pub failures: usize,
    pub relinks: BTreeMap<&'static str, usize>,
    /// How many edits of each kind.
    pub kinds: BTreeMap<&'static str, usize>,
    /// Calls with another signature than the callee's, in commits that were refused.
    pub stale_calls: usize,
    /// How often an id was tried that names nothing.
    pub stale_ids: usize,
    /// Fresh builds that came to the same.
    pub fresh_builds: usize,
    /// Bytes beyond the body, of patches that change nothing but one function's body.
    pub overheads: Vec<u64>,
    /// The same, of patches for which a section had to be moved.
    pub with_room: Vec<u64>,
}

impl Seen {
    /// Adds what another run saw.
    pub fn add(&mut self, other: Seen) {
        self.edits += other.edits;
        self.commits += other.commits;
        self.patches += other.patches;
        self.failures += other.failures;
        self.overheads.extend(other.overheads);
        self.with_room.extend(other.with_room);
        for (reason, count) in other.relinks {
            *self.relinks.entry(reason).or_default() += count;
        }
        for (kind, count) in other.kinds {
            *self.kinds.entry(kind).or_default() += count;
        }
        self.stale_calls += other.stale_calls;
        self.stale_ids += other.stale_ids;
        self.fresh_builds += other.fresh_builds;
    }

    /// The overhead that so many of a thousand patches stay within.
    pub fn overhead(&self, of_thousand: usize) -> u64 {
        let mut all = self.overheads.clone();
        all.sort_unstable();
        let at = (all.len() * of_thousand / 1000).min(all.len().saturating_sub(1));
        all.get(at).copied().unwrap_or(0)
    }
}

/// A script that is being run.
pub struct Session {
    pub config: Config,
    pub model: Model,
    pub driver: Driver,
    pub seen: Seen,
    /// What the last commit did.
    pub last: Option<Patch>,
    runner: Runner,
    copies: Copies,
    /// The file as it must be.
    pub(super) mirror: Vec<u8>,
    relink_asked: bool,
    /// What the module said of everything at the last commit.
    said: Vec<String>,
    /// Ids that must name nothing any more.
    pub(super) stale: Vec<w::DeclId>,
    path: Option<PathBuf>,
    _folder: Option<tempfile::TempDir>,
}

/// What is wrong, in words.
pub type Checked<T = ()> = Result<T, String>;

/// The most that a patch of one function's body may write beyond the body.
pub const MOST_OVERHEAD: u64 = 256;

pub fn words(doing: &str) -> impl Fn(w::Error) -> String + '_ {
    move |error| format!("{doing}: {error}")
}

impl Session {
    /// Begins with an empty program that has a memory.
    pub fn new(config: Config) -> Checked<Session> {
        let options = config.options();
        let (module, folder, path) = match config.publish {
            None => (w::Module::in_memory(options), None, None),
            Some(_) => {
                let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
                let path = folder.path().join("out.wasm");
                (w::Module::create(&path, options), Some(folder), Some(path))
            }
        };
        let module = module.map_err(words("create"))?;
        let mut model = Model::default();
        let (memory, _) = model.declare(MEMORY, None, true);
        Ok(Session {
            driver: Driver::new(module, memory).map_err(words("declare"))?,
            copies: Copies::new(config.publish.is_some())?,
            config,
            model,
            seen: Seen::default(),
            last: None,
            runner: Runner::default(),
            mirror: Vec::new(),
            relink_asked: false,
            said: Vec::new(),
            stale: Vec::new(),
            path,
            _folder: folder,
        })
    }

    pub(super) fn declare(&mut self, name: Name, owner: Owner, named: bool) -> Checked<Ent> {
        // Names of other things than functions stand behind those, and count as overhead.
        let named = named && (name.0 == Kind::Function || !self.config.measure);
        let one = match owner {
            Owner::One(owner) => Some(owner),
            Owner::Nothing | Owner::Shared(_) | Owner::Unsaid => None,
        };
        let (ent, new) = self.model.declare(name, one, named);
        if new {
            let how = (named, ent.is_multiple_of(3));
            let declared = self.driver.declare(ent, name, owner, how);
            declared.map_err(words("declare"))?;
            if let Owner::Shared(owner) = owner {
                self.model.share(ent);
                self.model.pending.shares.insert((ent, owner));
            }
        } else if self.model.pending.things[&ent].has_key() {
            let found = self.driver.find(ent, name);
            found.map_err(words("find"))?;
        }
        Ok(ent)
    }

    /// Defines a thing that is declared.
    pub(super) fn define(&mut self, ent: Ent, def: Def) -> Checked {
        for name in def.names() {
            self.declare(name, Owner::Nothing, true)?;
        }
        let bound = self.model.bound(def);
        self.bind(ent, bound)
    }

    fn bind(&mut self, ent: Ent, bound: Bound) -> Checked {
        let name = self.model.pending.things[&ent].name;
        self.model.bind(ent, bound.clone());
        let defined = self.driver.define(ent, name, &bound);
        defined.map_err(words(&format!("define {name}")))
    }

    /// Applies one edit.
    pub fn apply(&mut self, edit: &Edit) -> Checked {
        let edit_failed = |error| format!("{edit:?}: {error}");
        *self.seen.kinds.entry(edit.word()).or_default() += 1;
        match edit {
            Edit::Define(name, def) => {
                self.seen.edits += 1;
                let ent = self.declare(*name, Owner::Nothing, true)?;
                self.define(ent, def.clone())?;
            }
            Edit::Part(owner, name, def, named) => {
                self.seen.edits += 1;
                let owner = self.declare(*owner, Owner::Nothing, true)?;
                let ent = self.declare(*name, Owner::One(owner), *named)?;
                self.define(ent, def.clone())?;
            }
            Edit::Remove(name) => {
                self.seen.edits += 1;
                if let Some(ent) = self.model.lookup(*name) {
                    self.model.remove(ent);
                    let removed = self.driver.edit(|module, ids| module.remove(ids.of(ent)));
                    removed.map_err(words("remove")).map_err(edit_failed)?;
                }
            }
            Edit::Shared(..)
            | Edit::Disown(..)
            | Edit::Revert(..)
            | Edit::Reserve(_)
            | Edit::Clone => {
                self.seen.edits += 1;
                self.apart(edit).map_err(edit_failed)?;
            }
            Edit::Export(field, name) => {
                self.seen.edits += 1;
                let ent = self.declare(*name, Owner::Nothing, true)?;
                self.model.export(field, ent);
                let exported = self
                    .driver
                    .edit(|module, ids| module.export(field, ids.of(ent)));
                exported.map_err(words("export")).map_err(edit_failed)?;
            }
            Edit::Unexport(field) => {
                self.seen.edits += 1;
                self.model.unexport(field);
                let done = self.driver.edit(|module, _| {
                    module.unexport(field);
                    Ok(())
                });
                done.map_err(words("unexport"))?;
            }
            Edit::Start(name) => {
                self.seen.edits += 1;
                let ent = name
                    .map(|name| self.declare(name, Owner::Nothing, true))
                    .transpose()?;
                self.start(ent)?;
            }
            Edit::Relink => {
                let done = self.driver.edit(|module, _| {
                    module.request_relink();
                    Ok(())
                });
                done.map_err(words("ask"))?;
                self.relink_asked = true;
            }
            Edit::Discard => self.discard()?,
            Edit::Commit => return self.commit(),
        }
        Ok(())
    }

    fn start(&mut self, ent: Option<Ent>) -> Checked {
        self.model.set_start(ent);
        let done = self
            .driver
            .edit(|module, ids| module.set_start(ent.map(|ent| ids.of(ent))));
        done.map_err(words("start"))
    }

    fn discard(&mut self) -> Checked {
        answers::while_pending(&self.driver.module, &self.driver, &self.model)?;
        self.forget(&self.model.pending.clone(), &self.model.committed.clone());
        self.model.discard();
        let (memory, _) = self.model.declare(MEMORY, None, true);
        self.driver.discard(memory).map_err(words("discard"))?;
        self.relink_asked = false;
        if self.seen.commits == 0 {
            return Ok(());
        }
        let said = answers::in_words(&self.driver, &self.model.committed, true);
        answers::same("discarded", &said, &self.said)?;
        self.questions()
    }

    /// Rebuilds what is stale in ways that wasmend cannot see.
    fn make_sound(&mut self) -> Checked {
        // What is rebuilt for one reason is held to all others.
        loop {
            let stale = repair::sound(&self.model);
            if stale.is_empty() {
                break;
            }
            for (ent, bound) in stale {
                self.bind(ent, bound)?;
            }
        }
        if repair::start_is_wrong(&self.model) {
            self.start(None)?;
        }
        Ok(())
    }

    fn commit(&mut self) -> Checked {
        self.make_sound()?;
        answers::while_pending(&self.driver.module, &self.driver, &self.model)?;
        let Err(reason) = self.model.verdict() else {
            return self.good_commit();
        };
        self.bad_commit(&reason)?;
        if !self.config.recover {
            return Ok(());
        }
        if self.seen.failures % 2 == 1 && self.model.next_exports().is_ok() {
            for (ent, bound) in repair::mend(&self.model) {
                self.bind(ent, bound)?;
            }
            for (field, _) in repair::broken_exports(&self.model) {
                self.apply(&Edit::Unexport(field))?;
            }
            if repair::start_is_gone(&self.model) {
                self.start(None)?;
            }
            self.make_sound()?;
            return match self.model.verdict() {
                Ok(()) => self.good_commit(),
                Err(reason) => Err(format!("the test cannot mend this: {reason}")),
            };
        }
        self.apply(&Edit::Discard)
    }

    fn bad_commit(&mut self, reason: &str) -> Checked {
        self.seen.failures += 1;
        let identity = self.driver.module.identity();
        match self.driver.module.commit() {
            Ok(_) => return Err(format!("a commit succeeded although {reason}")),
            Err(error) if error.kind() != ErrorKind::BadEdit => {
                return Err(format!(
                    "{reason} is reported as {:?}: {error}",
                    error.kind()
                ));
            }
            Err(error) => self.names_all(&error)?,
        }
        if let Some(twin) = &mut self.driver.twin
            && twin.module.commit().is_ok()
        {
            return Err(format!("a commit of the clone succeeded although {reason}"));
        }
        if identity != self.driver.module.identity() {
            return Err(format!("{reason}, but there is a new generation"));
        }
        if self.seen.commits > 0 && self.published()? != self.mirror {
            return Err(format!("{reason}, but the file has changed"));
        }
        Ok(())
    }

    /// Everything that is wrong is named at once.
    fn names_all(&mut self, error: &w::Error) -> Checked {
        let all: Vec<String> = [error]
            .into_iter()
            .chain(error.others())
            .map(|error| {
                let symbol = error.symbol().unwrap_or_default();
                format!("`{symbol}`: {}", error.message())
            })
            .collect();
        let label = |ent: Ent| {
            let thing = self.model.pending.things.get(&ent);
            let thing = thing.or_else(|| self.model.committed.things.get(&ent));
            thing
                .filter(|thing| thing.has_key())
                .map(|thing| thing.name)
        };
        let is_said = |labels: [Option<Name>; 2]| {
            let quoted = labels.into_iter().flatten().map(|name| format!("`{name}`"));
            let quoted: Vec<String> = quoted.collect();
            all.iter()
                .any(|text| quoted.iter().all(|name| text.contains(name)))
        };
        let calls = self.model.stale_calls();
        self.seen.stale_calls += calls.len();
        let wrong = calls.into_iter().chain(self.model.dangling());
        let broken = repair::broken_exports(&self.model).into_iter();
        for (user, of) in wrong {
            if !is_said([label(user), label(of)]) {
                let (user, of) = (label(user), label(of));
                return Err(format!(
                    "{user:?} and {of:?} do not fit, but it says {all:?}"
                ));
            }
        }
        for (name, ent) in broken {
            if !is_said([label(ent), None]) {
                return Err(format!("{name} is no good export, but it says {all:?}"));
            }
        }
        Ok(())
    }

    pub(super) fn published(&self) -> Checked<Vec<u8>> {
        match &self.path {
            None => self.driver.module.bytes().map_err(words("read")),
            Some(path) => std::fs::read(path).map_err(|error| error.to_string()),
        }
    }

    /// The function of which this commit changes the body, if it changes nothing else.
    fn only_body(&self) -> Option<Ent> {
        let model = &self.model;
        let things = |program: &super::model::Program| program.defined().count();
        let same = !model.has_export_edits()
            && model.committed.start == model.pending.start
            && things(&model.committed) == things(&model.pending);
        let ent = *model
            .dirty
            .first()
            .filter(|_| same && model.dirty.len() == 1)?;
        match (model.committed.def(ent), model.pending.def(ent)) {
            (Some(Def::Function(old, _)), Some(Def::Function(new, _))) if old == new => Some(ent),
            _ => None,
        }
    }

    fn good_commit(&mut self) -> Checked {
        let only_body = self.only_body();
        let before = self.driver.module.identity();
        let patch = self.driver.module.commit().map_err(words("commit"))?;
        let old = self.model.committed.clone();
        self.model.commit();
        self.seen.commits += 1;
        let bytes = self.published()?;
        self.commit_twin(&patch, &bytes)?;
        self.forget(&old, &self.model.committed.clone());
        self.questions()?;
        if patch.file_len != bytes.len() as u64 {
            return Err(format!("{} bytes are {}", patch.file_len, bytes.len()));
        }
        let file = walk(&bytes)?;
        match &patch.outcome {
            Outcome::Unchanged => {
                if bytes != self.mirror || before != patch.identity {
                    return Err("nothing was to be done, but something was".into());
                }
            }
            Outcome::Patched(list) => {
                self.seen.patches += 1;
                if self.relink_asked {
                    return Err("a rebuild was asked for, but there was a patch".into());
                }
                ranges::mirror(&self.mirror, list, &bytes)?;
                ranges::check(&file, list).map_err(|error| format!("range {error}"))?;
                if let Some(ent) = only_body.filter(|_| self.config.measure) {
                    let body = self.driver.body_bytes[&ent];
                    // As many fields of debug information as name the function are its own.
                    let debug = list
                        .iter()
                        .filter(|(range, _)| range.reason == w::Reason::CodeOffset)
                        .map(|(range, _)| u64::from(range.len))
                        .sum::<u64>();
                    let overhead = list.bytes().saturating_sub(body + debug);
                    let made_room = list
                        .iter()
                        .any(|(range, _)| range.reason == w::Reason::MakeRoom);
                    if made_room {
                        self.seen.with_room.push(overhead);
                    } else {
                        self.seen.overheads.push(overhead);
                    }
                    if overhead > MOST_OVERHEAD && !made_room {
                        let ranges: Vec<String> = list
                            .iter()
                            .map(|(range, _)| format!("{} {}", range.reason, range.len))
                            .collect();
                        let written = list.bytes();
                        return Err(format!(
                            "a body of {body} bytes made a patch of {written}: {ranges:?}"
                        ));
                    }
                }
            }
            Outcome::Relinked(reason) => {
                let count = self.seen.relinks.entry(reason.word()).or_default();
                *count += 1;
                if *reason == RelinkReason::Fragmented && self.mirror.len() < 1 << 16 {
                    return Err("rebuilt as fragmented, but it was small".into());
                }
            }
        }
        let generation =
            before.generation + u64::from(!matches!(patch.outcome, Outcome::Unchanged));
        if patch.identity.generation != generation
            || self.driver.module.identity() != patch.identity
        {
            return Err(format!(
                "generation {} after {}",
                patch.identity.generation, generation
            ));
        }
        self.relink_asked = false;
        self.driver.body_bytes.clear();
        self.check(&bytes)?;
        self.said = answers::in_words(&self.driver, &self.model.committed, true);
        self.copies.take(&patch, &bytes)?;
        self.mirror = bytes;
        self.last = Some(patch);
        Ok(())
    }

    /// Checks what must hold of a file, however it came to be.
    fn check(&mut self, bytes: &[u8]) -> Checked {
        valid("the published file", bytes)?;
        let program = &self.model.committed;
        let calls = match self.config.redirect {
            Redirect::Table => Calls::Slot,
            Redirect::TableThunks | Redirect::Direct => Calls::Direct,
        };
        let (dense, at) = rival::encode(program, calls);
        valid("the rival's file", &dense)?;
        let dense_file = walk(&dense).map_err(|error| format!("the rival's file: {error}"))?;
        let file = walk(bytes)?;
        let pairs = equal::compare(program, &dense_file, &at, &file)?;
        let published = Published {
            file: &file,
            at: &at,
            pairs: &pairs,
        };
        answers::against_file(&self.driver, program, &published)?;
        if !self.seen.commits.is_multiple_of(self.config.run_every) {
            return Ok(());
        }
        let finished = self.driver.module.finish().map_err(words("finish"))?;
        let in_finished = |error: String| format!("the finished file: {error}");
        let fresh = fresh::build(self.config.options(), program)?;
        let ours = answers::in_words(&self.driver, program, false);
        answers::same(
            "a fresh build says",
            &ours,
            &answers::in_words(&fresh, program, false),
        )?;
        if fresh
            .module
            .finish()
            .map_err(words("finish a fresh build"))?
            != finished
        {
            return Err("the finished file is not that of a fresh build".into());
        }
        self.seen.fresh_builds += 1;
        valid("the finished file", &finished)?;
        let finished_file = walk(&finished).map_err(in_finished)?;
        let finished_pairs = equal::compare(program, &dense_file, &at, &finished_file);
        let finished_pairs = finished_pairs.map_err(in_finished)?;
        if repair::has(program, Kind::Tag) || self.model.lookup(BUDGET).is_none() {
            // The interpreter knows no exceptions.
            return Ok(());
        }
        let ours = self.runner.run(program, &dense);
        let theirs = self.runner.run(program, bytes);
        match (ours, theirs) {
            (Ok(ours), Ok(theirs)) => {
                run::compare(program, &ours, &theirs, &pairs)?;
                let finished = self.runner.run(program, &finished).map_err(in_finished)?;
                run::compare(program, &ours, &finished, &finished_pairs).map_err(in_finished)
            }
            // A start function may trap.
            (Err(ours), Err(theirs)) if ours == theirs => Ok(()),
            (Err(ours), Err(theirs)) => Err(format!("{ours} in the dense module, {theirs}")),
            (Err(error), Ok(_)) => Err(format!("the dense module alone: {error}")),
            (Ok(_), Err(error)) => Err(error),
        }
    }
}

fn valid(what: &str, bytes: &[u8]) -> Checked {
    let mut validator = Validator::new_with_features(WasmFeatures::all());
    match validator.validate_all(bytes) {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("{what} is invalid: {error}")),
    }
}

/// Runs a script from an empty program; a final commit is added. Panics of the engine are failures too.
pub fn check(config: &Config, script: &[Edit]) -> Checked<Seen> {
    guard(|| {
        let mut session = Session::new(config.clone())?;
        run_all(&mut session, script)?;
        Ok(session.seen)
    })
}

/// Applies all edits and commits.
pub fn run_all(session: &mut Session, script: &[Edit]) -> Checked {
    for (at, edit) in script.iter().enumerate() {
        session
            .apply(edit)
            .map_err(|error| format!("edit {at}: {error}"))?;
    }
    session
        .apply(&Edit::Commit)
        .map_err(|error| format!("at the end: {error}"))
}

/// Runs random edits; on failure returns the script that led there.
pub fn random(
    config: &Config,
    shape: Shape,
    choices: &mut Choices,
    edits: usize,
) -> Result<Seen, (String, Vec<Edit>)> {
    let mut script = Vec::new();
    let result = guard(|| {
        let mut session = Session::new(config.clone())?;
        let mut apply = |session: &mut Session, edit: Edit| {
            script.push(edit.clone());
            session.apply(&edit)
        };
        for edit in generate::prelude() {
            apply(&mut session, edit)?;
        }
        apply(&mut session, Edit::Commit)?;
        while session.seen.edits < edits && choices.has_more() {
            for edit in generate::next(&session.model, shape, choices) {
                apply(&mut session, edit)?;
            }
        }
        apply(&mut session, Edit::Commit)?;
        Ok(session.seen)
    });
    result.map_err(|error| (error, script))
}

fn guard<T>(run: impl FnOnce() -> Checked<T>) -> Checked<T> {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(result) => result,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| text.to_string()));
            Err(format!("panic: {}", text.unwrap_or_default()))
        }
    }
}

/// Leaves edits out for as long as the script still fails; at most so many tries.
pub fn shrink(config: &Config, script: Vec<Edit>, tries: usize) -> (String, Vec<Edit>) {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let mut config = config.clone();
    config.run_every = 1;
    let mut script = script;
    let mut error = check(&config, &script).err().unwrap_or_default();
    let first = kind_of(&error);
    let same = |still: &str| kind_of(still) == first;
    let mut left = tries;
    let mut chunk = script.len().div_ceil(2);
    while chunk > 0 && !error.is_empty() && left > 0 {
        let mut at = 0;
        while at < script.len() && left > 0 {
            let mut shorter = script.clone();
            shorter.drain(at..(at + chunk).min(script.len()));
            left -= 1;
            match check(&config, &shorter) {
                Err(still) if same(&still) => {
                    error = still;
                    script = shorter;
                }
                _ => at += chunk,
            }
        }
        chunk /= 2;
    }
    // Bodies with fewer steps are easier to read.
    for at in 0..script.len() {
        let mut step = 0;
        while let Edit::Define(name, Def::Function(sig, ops)) = &script[at]
            && step < ops.len()
            && left > 0
        {
            let mut ops = ops.clone();
            ops.remove(step);
            let mut shorter = script.clone();
            shorter[at] = Edit::Define(*name, Def::Function(*sig, ops));
            left -= 1;
            match check(&config, &shorter) {
                Err(still) if same(&still) => {
                    error = still;
                    script = shorter;
                }
                _ => step += 1,
            }
        }
    }
    std::panic::set_hook(hook);
    (error, script)
}

/// What kind of failure a message tells of: its words, without numbers.
fn kind_of(error: &str) -> String {
    let error = error.split_once(": ").map_or(error, |(_, rest)| rest);
    let words = error.chars().filter(|c| !c.is_ascii_digit());
    words.take(40).collect()
}

/// How many functions a program has under the numbers below `limit`.
pub fn functions(session: &Session, limit: u16) -> usize {
    (0..limit)
        .filter(|number| session.model.lookup(f(*number)).is_some())
        .count()
}
