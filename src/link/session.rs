//! A link, from options to a published file, and what is kept of it to bring the file up to date.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rayon::prelude::*;

use crate::error::{Error, ErrorKind};
use crate::link::command::options::LinkOptions;
use crate::link::declare::{
    AssignContext, LinkDeclarations, MemoryPlan, ObjectDeclarations, Plan, PreviousDeclarations,
    ResolvedTarget, assign, define,
};
use crate::link::diagnostics::Diagnostics;
use crate::link::inputs::build_id::BuildIds;
use crate::link::inputs::{InputFile, Inputs, check_unchanged};
use crate::link::resolve::FUNCTION_TABLE;
use crate::link::resolve::resolve;
use crate::link::symbols::ObjectId;
use crate::link::update::{self, FallbackReason, UpdateError, UpdateIndex};
use crate::module::{ImportType, Module, ModuleOptions, Patch, Redirect, TableType, Types, import};
use crate::object::{Access, Object};
use crate::output::OutputOptions;
use crate::patch::Customs;
use crate::program::{DeclId, DeclKind, Definition, DefinitionKind, Pending, ValType};
use crate::stopwatch::Stopwatch;
use crate::wire::section;

/// Where a link is published.
#[derive(Debug, Clone)]
pub enum Target {
    /// In the file that the options name.
    File(OutputOptions),
    /// In memory; see [`Linked::bytes`].
    Memory,
}

/// FallbackReason a link failed: errors, of which there is at least one, and warnings.
#[derive(Debug)]
pub struct Failed(pub Box<Diagnostics>);

impl From<Error> for Failed {
    fn from(error: Error) -> Failed {
        Failed::from(vec![error])
    }
}

impl From<Vec<Error>> for Failed {
    fn from(errors: Vec<Error>) -> Failed {
        Failed(Box::new(Diagnostics {
            errors,
            warnings: Vec::new(),
        }))
    }
}

/// What came of a link.
#[derive(Debug)]
#[non_exhaustive]
pub struct LinkReport {
    /// What was published.
    pub patch: Patch,
    /// What the user should know.
    pub warnings: Vec<Error>,
    /// How much was linked.
    pub counts: Counts,
    /// FallbackReason all symbols had to be resolved anew, if they had; an update can mostly do without.
    pub resolved_anew: Option<&'static str>,
    /// Which functions differ from the version before.
    pub edits: Edits,
    /// How long each phase took, in order.
    pub phases: Vec<(&'static str, Duration)>,
}

/// How much was linked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Files that were opened.
    pub files: usize,
    /// Objects, members of archives among them.
    pub objects: usize,
    /// Symbols that objects share.
    pub symbols: usize,
    /// Relocations of the objects.
    pub relocations: usize,
    /// Functions of the objects that were linked.
    pub functions: usize,
}

impl Counts {
    fn of(plan: &Plan) -> Counts {
        let resolution = &plan.resolution;
        let relocations = resolution.objects.iter().map(|linked| {
            linked.object.code_relocs.all().len() + linked.object.data_relocs.all().len()
        });
        Counts {
            files: resolution.inputs.len(),
            objects: resolution.objects.len(),
            symbols: resolution.table.order().len(),
            relocations: relocations.sum(),
            functions: plan.live.functions.count(),
        }
    }
}

/// How many functions a version has that are not as they were.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Edits {
    /// Those that were there before and are different now.
    pub changed: u32,
    /// Those that are new.
    pub added: u32,
    /// Those that are gone.
    pub removed: u32,
}

impl Edits {
    /// Counts what the next commit will do.
    pub(super) fn pending(module: &Module) -> Edits {
        let program = module.program();
        let edit = |id: &DeclId| {
            let mut edits = Edits::default();
            let decl = program.decl(*id);
            if decl.kind == DeclKind::Function && !decl.remains {
                match (decl.pending(), decl.current().is_some()) {
                    (Pending::Define(_), true) => edits.changed = 1,
                    (Pending::Define(_), false) => edits.added = 1,
                    (Pending::Remove, true) => edits.removed = 1,
                    _ => {}
                }
            }
            edits
        };
        let sum = |a: Edits, b: Edits| Edits {
            changed: a.changed + b.changed,
            added: a.added + b.added,
            removed: a.removed + b.removed,
        };
        let dirty = program.dirty.par_iter().with_min_len(4096);
        dirty.map(edit).reduce(Edits::default, sum)
    }
}

/// A linked program whose output can be brought up to date.
pub struct Linked {
    pub(super) options: LinkOptions,
    pub(super) module: Module,
    pub(super) plan: Plan,
    pub(super) assigned: LinkDeclarations,
    /// The files as they were read last.
    pub(super) inputs: Inputs,
    /// What the build id is made from.
    build_id: BuildIds,
    /// What quick updates know; made when the first one comes, and gone after one that was none.
    quick: Option<UpdateIndex>,
    /// Set if a quick update failed half-way: tables of the plan may say what is not so.
    is_stale: bool,
}

/// What was published, and which functions differ.
pub(super) type Done = (Patch, Edits);

/// How long each phase took, in order.
struct PhaseTimes {
    stopwatch: Stopwatch,
    phases: Vec<(&'static str, Duration)>,
}

impl PhaseTimes {
    fn start() -> PhaseTimes {
        PhaseTimes {
            stopwatch: Stopwatch::start(),
            phases: Vec::new(),
        }
    }

    fn lap(&mut self, name: &'static str) {
        self.phases.push((name, self.stopwatch.lap()));
    }
}

impl Linked {
    /// Links what the options say, and publishes it.
    ///
    /// # Errors
    /// All that went wrong. Nothing is written then.
    pub fn link(
        options: LinkOptions,
        access: Access,
        target: Target,
    ) -> Result<(Linked, LinkReport), Failed> {
        let mut times = PhaseTimes::start();
        let inputs = Inputs::open(&options, access)?;
        times.lap("open");
        Linked::start(inputs, options, target, times)
    }

    /// Links what was opened before, or never was a file, with what else the options say.
    ///
    /// # Errors
    /// All that went wrong. Nothing is written then.
    pub fn of_inputs(
        inputs: Inputs,
        options: LinkOptions,
        target: Target,
    ) -> Result<(Linked, LinkReport), Failed> {
        Linked::start(inputs, options, target, PhaseTimes::start())
    }

    /// Links what the options say, publishes it, and keeps nothing for an update: as [`Linked::link`], but in less memory.
    /// Also returns what was published; whoever is about to end the process can forget it, which is quicker than to have it
    /// taken apart.
    ///
    /// # Errors
    /// All that went wrong. Nothing is written then.
    pub fn link_once(
        options: &LinkOptions,
        access: Access,
        target: Target,
    ) -> Result<(Module, LinkReport), Failed> {
        let mut times = PhaseTimes::start();
        let inputs = Inputs::open(options, access)?;
        times.lap("open");
        let build_id = BuildIds::default().bytes(&inputs, options);
        let mut plan = plan(inputs, options, &mut times)?;
        let mut module = make_module(options, &plan, target)?;
        let counts = Counts::of(&plan);
        let job = LinkRequest {
            options,
            known: &PreviousDeclarations::default(),
            before: None,
            build_id: &build_id,
            keeps: false,
        };
        let assigned = edit(&job, &mut plan, &mut module, &mut Vec::new(), &mut times)?;
        let table = TableImport::of(&plan, options);
        // What is still wanted of the plan; all else makes room for what is written.
        let (inputs, warnings, rest) = plan.into_inputs();
        let (patch, edits) = std::thread::scope(|scope| {
            // If there is no other thread to be had, it is dropped here and now.
            let beside = std::thread::Builder::new();
            let _ = beside.spawn_scoped(scope, move || drop((rest, assigned)));
            commit(table.as_ref(), &mut module, &mut times)
        })?;
        check_unchanged(&inputs)?;
        let phases = times.phases;
        let report = LinkReport {
            patch,
            edits,
            counts,
            warnings,
            resolved_anew: None,
            phases,
        };
        Ok((module, report))
    }

    fn start(
        inputs: Inputs,
        options: LinkOptions,
        target: Target,
        mut times: PhaseTimes,
    ) -> Result<(Linked, LinkReport), Failed> {
        let mut plan = plan(inputs.clone(), &options, &mut times)?;
        let mut module = make_module(&options, &plan, target)?;
        let mut build_id = BuildIds::default();
        let job = LinkRequest {
            options: &options,
            known: &PreviousDeclarations::default(),
            before: None,
            build_id: &build_id.bytes(&inputs, &options),
            keeps: true,
        };
        let (assigned, patch) = publish(&job, &mut plan, &mut module, &mut times)?;
        plan.resolution.check_inputs()?;
        let mut linked = Linked {
            options,
            module,
            plan,
            assigned,
            inputs,
            build_id,
            quick: None,
            is_stale: false,
        };
        let report = linked.report(patch, times);
        Ok((linked, report))
    }

    /// The files that the link was made of, in the order of the command line; libraries where they were found.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.inputs.inputs().map(|input| input.path())
    }

    /// Does what the next update would otherwise do before anything else; to be called when nobody waits.
    pub fn prepare(&mut self) {
        self.module.prepare();
        if self.quick.is_none() {
            self.quick = Some(UpdateIndex::of(self));
        }
    }

    /// The files that are not what they were when they were read.
    pub fn changed_files(&self) -> Vec<PathBuf> {
        let inputs = self.inputs.inputs();
        let changed = inputs.filter(|input| input.check_unchanged().is_err());
        changed.map(|input| input.path().to_path_buf()).collect()
    }

    /// Compares the program with the same files linked anew.
    ///
    /// # Errors
    /// If they are not equivalent, or the files cannot be linked.
    pub fn verify(&self) -> Result<(), Failed> {
        let anew = self.linked_anew()?;
        match self.finish()? == anew.finish()? {
            true => Ok(()),
            false => {
                let text = "is not equivalent to a link of the same files from nothing";
                let error = Error::new(ErrorKind::Verification, text);
                Err(error.with_path(&self.options.output).into())
            }
        }
    }

    /// Brings the output up to date with these files, which may have changed. What has not costs next to nothing.
    ///
    /// # Errors
    /// All that went wrong. The output stays as it was, and the next update starts from there.
    pub fn update<P: AsRef<Path>>(&mut self, changed: &[P]) -> Result<LinkReport, Failed> {
        let mut times = PhaseTimes::start();
        self.module.index();
        let state = match self.quick.take() {
            Some(state) => state,
            None => UpdateIndex::of(self),
        };
        let mut before = Vec::new();
        let mut errors = Vec::new();
        for path in changed {
            for &file in state.files.get(path.as_ref()).into_iter().flatten() {
                match self.inputs.reopen(file) {
                    Ok(None) => {}
                    Ok(Some(old)) => before.push((file, old)),
                    Err(error) => errors.push(error),
                }
            }
        }
        times.lap("open");
        let done = match errors.is_empty() {
            true => self.follow(state, &before, &mut times),
            false => {
                self.quick = Some(state);
                Err(errors.into())
            }
        };
        match done {
            Ok((patch, reason)) => {
                let mut report = self.report(patch, times);
                report.resolved_anew = reason;
                Ok(report)
            }
            Err(failed) => {
                for (file, old) in before {
                    self.inputs.files[file] = old;
                }
                Err(failed)
            }
        }
    }

    /// Brings the output up to date with files that were opened again; says why all had to be resolved anew, if it had.
    fn follow(
        &mut self,
        mut state: UpdateIndex,
        before: &[(usize, InputFile)],
        times: &mut PhaseTimes,
    ) -> Result<(Done, Option<&'static str>), Failed> {
        let mut fresh = Vec::new();
        let reason = match self.changed_objects(&state, before) {
            Err(FallbackReason(reason)) => reason,
            Ok(changed) => match update::update(self, &mut state, &changed, &mut fresh) {
                Ok(patch) => {
                    times.lap("update");
                    self.quick = Some(state);
                    return Ok((patch, None));
                }
                Err(stop) => {
                    take_back(&mut self.module, fresh)?;
                    self.is_stale = true;
                    match stop {
                        UpdateError::Fallback(FallbackReason(reason)) => reason,
                        UpdateError::Error(error) if error.kind() == ErrorKind::Io => {
                            return Err(error.into());
                        }
                        // Whatever it is, it will be said in the words of a link.
                        UpdateError::Error(_) => "an edit was refused",
                    }
                }
            },
        };
        times.lap("compare");
        let mut plan = plan(self.inputs.clone(), &self.options, times)?;
        for (file, _) in before {
            self.inputs.files[*file].input().check_unchanged()?;
        }
        let job = LinkRequest {
            options: &self.options,
            known: &self.assigned.known,
            before: Some(self.assigned.memory_plan),
            build_id: &self.build_id.bytes(&self.inputs, &self.options),
            keeps: true,
        };
        let (assigned, patch) = publish(&job, &mut plan, &mut self.module, times)?;
        self.plan = plan;
        self.assigned = assigned;
        self.is_stale = false;
        Ok((patch, Some(reason)))
    }

    /// Sets the custom sections to what the plan says now.
    pub(super) fn set_customs(&mut self) {
        let id = self.build_id.bytes(&self.inputs, &self.options);
        let customs = customs(&self.plan, &self.options, &id);
        self.module.set_customs(customs);
    }

    /// The objects among the files that changed, if these are all.
    fn changed_objects(
        &self,
        state: &UpdateIndex,
        before: &[(usize, InputFile)],
    ) -> Result<Vec<(ObjectId, Arc<Object>)>, FallbackReason> {
        if self.is_stale {
            return Err(FallbackReason("the last update failed"));
        }
        let changed = before.iter().map(|(file, _)| {
            match (&self.inputs.files[*file], state.objects[*file]) {
                (InputFile::Object { object, .. }, Some(id)) => Ok((id, object.clone())),
                (InputFile::Object { .. }, None) => {
                    Err(FallbackReason("a file changed that was not needed"))
                }
                _ => Err(FallbackReason("a library changed")),
            }
        });
        changed.collect()
    }

    /// The published file.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn bytes(&self) -> crate::Result<Vec<u8>> {
        self.module.bytes()
    }

    /// The program without all that patching needs: what is to be released.
    ///
    /// # Errors
    /// If a limit of engines would be exceeded.
    pub fn finish(&self) -> crate::Result<Vec<u8>> {
        self.module.finish()
    }

    /// The same files linked anew, in memory: what this output should be equivalent to. Where the stack and the heap
    /// begin is as it is here.
    ///
    /// # Errors
    /// All that went wrong.
    pub fn linked_anew(&self) -> Result<Linked, Failed> {
        let mut times = PhaseTimes::start();
        let mut plan = plan(self.inputs.clone(), &self.options, &mut times)?;
        let mut module = make_module(&self.options, &plan, Target::Memory)?;
        let mut build_id = BuildIds::default();
        let job = LinkRequest {
            options: &self.options,
            known: &PreviousDeclarations::default(),
            before: Some(self.assigned.memory_plan),
            build_id: &build_id.bytes(&self.inputs, &self.options),
            keeps: true,
        };
        let published = publish(&job, &mut plan, &mut module, &mut times)?;
        Ok(Linked {
            options: self.options.clone(),
            module,
            plan,
            assigned: published.0,
            inputs: self.inputs.clone(),
            build_id,
            quick: None,
            is_stale: false,
        })
    }

    /// The module that is published: what is in it, and how it is laid out.
    pub fn module(&self) -> &Module {
        &self.module
    }

    fn report(&mut self, done: Done, times: PhaseTimes) -> LinkReport {
        let (patch, edits) = done;
        LinkReport {
            patch,
            edits,
            counts: Counts::of(&self.plan),
            warnings: std::mem::take(&mut self.plan.resolution.diagnostics.warnings),
            resolved_anew: None,
            phases: times.phases,
        }
    }
}

/// Sets how many threads work at once, for the whole process.
///
/// # Errors
/// If that has been decided before.
pub fn use_threads(threads: usize) -> Result<(), String> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
    pool.build_global().map_err(|error| error.to_string())
}

/// Resolves symbols, and finds out what is linked and where it stands.
fn plan(inputs: Inputs, options: &LinkOptions, times: &mut PhaseTimes) -> Result<Plan, Failed> {
    if options.page_size != PAGE {
        let text = format!("--page-size: memories have pages of {PAGE} bytes");
        return Err(Error::bad_input(text).into());
    }
    let mut resolution = resolve(inputs, options);
    times.lap("resolve");
    if !resolution.diagnostics.errors.is_empty() {
        return Err(Failed(Box::new(std::mem::take(
            &mut resolution.diagnostics,
        ))));
    }
    let mut plan = Plan::new(resolution, options);
    times.lap("mark and order");
    let diagnostics = &mut plan.resolution.diagnostics;
    if options.fatal_warnings {
        diagnostics.errors.append(&mut diagnostics.warnings);
    }
    if !diagnostics.errors.is_empty() {
        return Err(Failed(Box::new(std::mem::take(diagnostics))));
    }
    Ok(plan)
}

/// A module for a link, with nothing in it.
fn make_module(options: &LinkOptions, plan: &Plan, target: Target) -> Result<Module, Failed> {
    let strips = options.strip_all;
    let keeps_names = options.keep_sections.iter().any(|name| name == "name");
    let mut module_options = ModuleOptions {
        redirect: options.redirect.unwrap_or(Redirect::Direct),
        types: Types::Interned,
        names: !strips || keeps_names,
        first_slot: options.table_base.unwrap_or(1).max(1),
        growable_table: options.growable_table,
        // Objects of compilers before LLVM 19 for 64-bit memories have tables for 32 bits.
        table64: plan.resolution.objects.iter().any(|linked| {
            let mut tables = linked.object.imported_tables.iter();
            tables.any(|table| table.ty.limits.is_64)
        }),
        tail_calls: plan.merged.features.iter().any(|name| name == "tail-call"),
        ..ModuleOptions::default()
    };
    Ok(match target {
        Target::Memory => Module::in_memory(module_options)?,
        Target::File(output) => {
            module_options.output = output;
            Module::create(&options.output, module_options)?
        }
    })
}

/// Bytes of a page of memory.
const PAGE: u64 = 65536;

/// What a link is made from.
struct LinkRequest<'a> {
    options: &'a LinkOptions,
    /// What the last link declared, and where it stood in memory.
    known: &'a PreviousDeclarations,
    before: Option<MemoryPlan>,
    build_id: &'a [u8],
    /// Whether the plan is asked for anything after the link. If not, it loses what is not needed any more on the way.
    keeps: bool,
}

/// Makes the module equal to a plan, and publishes it.
fn publish(
    job: &LinkRequest<'_>,
    plan: &mut Plan,
    module: &mut Module,
    times: &mut PhaseTimes,
) -> Result<(LinkDeclarations, Done), Failed> {
    let mut fresh = Vec::new();
    let done = edit(job, plan, module, &mut fresh, times);
    let done = done.and_then(|assigned| {
        let table = TableImport::of(plan, job.options);
        Ok((assigned, commit(table.as_ref(), module, times)?))
    });
    match done {
        Ok(done) => Ok(done),
        Err(error) => {
            take_back(module, fresh)?;
            Err(error.into())
        }
    }
}

/// Publishes what is pending.
fn commit(
    table: Option<&TableImport>,
    module: &mut Module,
    times: &mut PhaseTimes,
) -> crate::Result<Done> {
    let edits = Edits::pending(module);
    let mut patch = module.commit()?;
    if let Some(again) = fit_table_import(table, module)? {
        patch.identity = again.identity;
    }
    times.lap("write");
    Ok((patch, edits))
}

/// Where the table of functions' addresses is imported from, if it is.
pub(super) struct TableImport {
    from: String,
    name: String,
}

impl TableImport {
    pub(super) fn of(plan: &Plan, options: &LinkOptions) -> Option<TableImport> {
        if !options.import_table {
            return None;
        }
        let id = plan.resolution.find(FUNCTION_TABLE);
        let (from, name) = id.map_or(("env", FUNCTION_TABLE), |id| {
            plan.resolution.import_names(id)
        });
        Some(TableImport {
            from: from.to_owned(),
            name: name.to_owned(),
        })
    }
}

/// Makes the import of the table of functions' addresses ask for as many entries as there are.
pub(super) fn fit_table_import(
    import: Option<&TableImport>,
    module: &mut Module,
) -> crate::Result<Option<Patch>> {
    let (Some(import), Some(table)) = (import, module.slot_table()) else {
        return Ok(None);
    };
    define_table_import(import, module, table)?;
    let is_pending = module.program().has_pending();
    is_pending.then(|| module.commit()).transpose()
}

/// Makes the table of functions' addresses an import, of as many entries as the last version has.
fn define_table_import(
    from: &TableImport,
    module: &mut Module,
    table: DeclId,
) -> crate::Result<()> {
    let ty = TableType {
        element: ValType::FuncRef,
        minimum: module.slot_table_len(),
        // The host may have made it for a later version, which has more.
        maximum: None,
    };
    let content = import(&from.from, &from.name, &ImportType::Table(ty), None)?;
    let shape = DefinitionKind::Import { ty: None };
    let definition = Definition { content, shape };
    let program = module.program_mut();
    program.define(table, DeclKind::Table, definition)
}

/// Forgets pending edits, and what was declared for them.
fn take_back(module: &mut Module, fresh: Vec<DeclId>) -> crate::Result<()> {
    module.discard();
    for id in fresh {
        module.remove(id)?;
    }
    Ok(())
}

fn edit(
    job: &LinkRequest<'_>,
    plan: &mut Plan,
    module: &mut Module,
    fresh: &mut Vec<DeclId>,
    times: &mut PhaseTimes,
) -> crate::Result<LinkDeclarations> {
    let LinkRequest {
        options,
        known,
        before,
        build_id,
        keeps,
    } = *job;
    let setting = AssignContext {
        options,
        slot_table: module.slot_table(),
        has_slack: options.incremental != Some(false),
        memory_before: before,
    };
    let mut assigned = assign(plan, &setting, module.program_mut(), known, fresh)?;
    times.lap("declare");
    module.program_mut().validated = true;
    let code_relocs = match keeps {
        true => Vec::new(),
        false => {
            let units = assigned.known.units.iter_mut();
            units.for_each(ObjectDeclarations::release_object);
            plan.take_code_relocs()
        }
    };
    define(plan, &assigned, options, module, code_relocs)?;
    let import = TableImport::of(plan, options);
    if let (Some(import), Some(table)) = (import, module.slot_table()) {
        define_table_import(&import, module, table)?;
    }
    for id in &assigned.gone {
        module.program_mut().remove(*id)?;
    }
    module.program_mut().set_exports(&assigned.known.exports);
    let order = import_order(plan, &assigned, module);
    module.program_mut().set_import_order(order);
    module.set_customs(customs(plan, options, build_id));
    times.lap("define");
    Ok(assigned)
}

/// The custom sections of a link.
fn customs(plan: &Plan, options: &LinkOptions, build_id: &[u8]) -> Customs {
    let mut tail = plan.merged.sections(options);
    let is_kept = !options.strip_all || options.keep_sections.iter().any(|name| name == "build_id");
    if !build_id.is_empty() && is_kept {
        let mut body = Vec::new();
        crate::wire::leb::push_unsigned(&mut body, build_id.len() as u64);
        body.extend_from_slice(build_id);
        section::push_custom(&mut tail, "build_id", &body);
    }
    Customs {
        front: Vec::new(),
        tail,
        module_name: options.module_name.as_deref().map(Into::into),
    }
}

/// The imports of a program as wasm-ld orders them, however they came to be there: the memory, then what symbols import.
fn import_order(plan: &Plan, assigned: &LinkDeclarations, module: &Module) -> Vec<DeclId> {
    let program = module.program();
    let mut ranks: hashbrown::HashMap<DeclId, usize> = hashbrown::HashMap::new();
    for (rank, id) in plan.imports.iter().enumerate() {
        let decl = match assigned.meanings[id.index()] {
            ResolvedTarget::Function { id: Some(decl), .. } | ResolvedTarget::Index(decl) => decl,
            _ => continue,
        };
        ranks.entry(decl).or_insert(rank + 1);
    }
    let imports = program
        .iter()
        .filter(|(_, decl)| decl.next().is_some_and(|next| next.is_import()));
    let mut imports: Vec<(usize, u32, DeclId)> = imports
        .map(|(id, decl)| (ranks.get(&id).copied().unwrap_or_default(), decl.serial, id))
        .collect();
    imports.sort_unstable();
    imports.into_iter().map(|(.., id)| id).collect()
}
