//! A link, from options to a published file, and what is kept of it to bring the file up to date.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::link::build::{Assigned, Known, Plan, Setting, assign, define};
use crate::link::diagnostics::Diagnostics;
use crate::link::inputs::Inputs;
use crate::link::options::LinkOptions;
use crate::link::resolve::resolve;
use crate::module::{Module, ModuleOptions, Patch, Redirect, Types};
use crate::object::Access;
use crate::output::OutputOptions;
use crate::program::{DeclId, Export, ExportEdit};

/// Where a link is published.
#[derive(Debug, Clone)]
pub enum Target {
    /// In the file that the options name.
    File(OutputOptions),
    /// In memory; see [`Linked::bytes`].
    Memory,
}

/// Why a link failed: errors, of which there is at least one, and warnings.
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

/// A linked program whose output can be brought up to date.
pub struct Linked {
    pub(super) options: LinkOptions,
    pub(super) module: Module,
    pub(super) plan: Plan,
    pub(super) assigned: Assigned,
    /// The files as they were read last.
    pub(super) inputs: Inputs,
}

/// Measures consecutive phases.
struct Watch {
    last: Instant,
    phases: Vec<(&'static str, Duration)>,
}

impl Watch {
    fn start() -> Watch {
        Watch {
            last: Instant::now(),
            phases: Vec::new(),
        }
    }

    fn lap(&mut self, name: &'static str) {
        let now = Instant::now();
        self.phases.push((name, now - self.last));
        self.last = now;
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
        let mut watch = Watch::start();
        let inputs = Inputs::open(&options, access)?;
        watch.lap("open");
        let plan = plan(inputs.clone(), &options, &mut watch)?;
        let mut module = make_module(&options, &plan, target)?;
        let known = Known::default();
        let (assigned, patch) = publish(&plan, &options, &mut module, &known, None, &mut watch)?;
        plan.resolution.check_inputs()?;
        let mut linked = Linked {
            options,
            module,
            plan,
            assigned,
            inputs,
        };
        let report = linked.report(patch, watch);
        Ok((linked, report))
    }

    /// The files that the link was made of, in the order of the command line; libraries where they were found.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.inputs.inputs().map(|input| input.path())
    }

    /// Brings the output up to date with files that may have changed; those that have not cost next to nothing.
    ///
    /// # Errors
    /// All that went wrong. The output stays as it was, and the next update starts from there.
    pub fn update(&mut self, changed: &[&Path]) -> Result<LinkReport, Failed> {
        let mut watch = Watch::start();
        let mut inputs = self.inputs.clone();
        let mut errors = Vec::new();
        for (index, file) in self.inputs.inputs().enumerate() {
            if changed.contains(&file.path())
                && let Err(error) = inputs.reopen(index)
            {
                errors.push(error);
            }
        }
        if !errors.is_empty() {
            return Err(errors.into());
        }
        watch.lap("open");
        let plan = plan(inputs.clone(), &self.options, &mut watch)?;
        let (assigned, patch) = publish(
            &plan,
            &self.options,
            &mut self.module,
            &self.assigned.known,
            Some(&self.assigned),
            &mut watch,
        )?;
        self.plan = plan;
        self.assigned = assigned;
        self.inputs = inputs;
        Ok(self.report(patch, watch))
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

    /// The module that is published: what is in it, and how it is laid out.
    pub fn module(&self) -> &Module {
        &self.module
    }

    fn report(&mut self, patch: Patch, watch: Watch) -> LinkReport {
        let resolution = &mut self.plan.resolution;
        let relocations = resolution.objects.iter().map(|linked| {
            linked.object.code_relocs.all().len() + linked.object.data_relocs.all().len()
        });
        LinkReport {
            patch,
            counts: Counts {
                files: resolution.inputs.len(),
                objects: resolution.objects.len(),
                symbols: resolution.table.order().len(),
                relocations: relocations.sum(),
                functions: self.plan.live.functions.count(),
            },
            warnings: std::mem::take(&mut resolution.diagnostics.warnings),
            phases: watch.phases,
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
fn plan(inputs: Inputs, options: &LinkOptions, watch: &mut Watch) -> Result<Plan, Failed> {
    let mut resolution = resolve(inputs, options);
    watch.lap("resolve");
    if !resolution.diagnostics.errors.is_empty() {
        return Err(Failed(Box::new(std::mem::take(
            &mut resolution.diagnostics,
        ))));
    }
    let mut plan = Plan::new(resolution, options);
    watch.lap("mark and order");
    let diagnostics = &mut plan.resolution.diagnostics;
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

/// Makes the module equal to a plan, and publishes it.
fn publish(
    plan: &Plan,
    options: &LinkOptions,
    module: &mut Module,
    known: &Known,
    before: Option<&Assigned>,
    watch: &mut Watch,
) -> Result<(Assigned, Patch), Failed> {
    let mut fresh = Vec::new();
    let done = edit(plan, options, module, known, before, &mut fresh, watch);
    let done = done.and_then(|assigned| {
        let patch = module.commit()?;
        watch.lap("write");
        Ok((assigned, patch))
    });
    match done {
        Ok(done) => Ok(done),
        Err(error) => {
            module.discard();
            for id in fresh {
                module.remove(id)?;
            }
            Err(error.into())
        }
    }
}

fn edit(
    plan: &Plan,
    options: &LinkOptions,
    module: &mut Module,
    known: &Known,
    before: Option<&Assigned>,
    fresh: &mut Vec<DeclId>,
    watch: &mut Watch,
) -> crate::Result<Assigned> {
    let setting = Setting {
        options,
        slot_table: module.slot_table(),
        has_slack: options.incremental != Some(false),
        memory_before: before.map(|before| before.memory_plan),
    };
    let assigned = assign(plan, &setting, module.program_mut(), known, fresh)?;
    watch.lap("declare");
    module.program_mut().validated = true;
    define(plan, &assigned, options, module)?;
    for id in &assigned.gone {
        module.program_mut().remove(*id)?;
    }
    edit_exports(module, &assigned.known.exports);
    module.set_customs(crate::patch::Customs {
        front: Vec::new(),
        tail: plan.merged.sections(options),
        module_name: options.module_name.as_deref().map(Into::into),
    });
    watch.lap("define");
    Ok(assigned)
}

/// Adds and takes away only exports that differ.
fn edit_exports(module: &mut Module, exports: &[(Box<str>, DeclId)]) {
    let program = module.program_mut();
    let mut edits = Vec::new();
    let mut there = hashbrown::HashSet::new();
    let wanted: hashbrown::HashMap<&str, DeclId> =
        exports.iter().map(|(name, id)| (&**name, *id)).collect();
    for export in &program.exports {
        match wanted.get(&*export.name) {
            Some(id) if *id == export.decl => {
                there.insert(&*export.name);
            }
            _ => edits.push(ExportEdit::Remove(export.name.clone())),
        }
    }
    for (name, decl) in exports {
        if !there.contains(&**name) {
            edits.push(ExportEdit::Add(Export {
                name: name.clone(),
                decl: *decl,
            }));
        }
    }
    program.export_edits.extend(edits);
}
