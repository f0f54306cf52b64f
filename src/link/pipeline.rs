//! A link from open files to a published output, once for all who link: the first link, one of which nothing is kept, an
//! update that resolves everything anew, and the fresh link that an output is compared with.
//!
//! [`run`] is the table of contents. What each phase decides is in the folder of its name; nothing is decided here.

use crate::error::Error;
use crate::link::command::options::LinkOptions;
use crate::link::declare::{
    AssignContext, LinkDeclarations, MemoryPlan, Plan, PreviousDeclarations, assign, define,
    define_interface, settle_places,
};
use crate::link::gc;
use crate::link::inputs::{Inputs, check_unchanged};
use crate::link::release;
use crate::link::report::{Counts, Edits, Failed, PhaseTimes, PublishedPatch};
use crate::link::resolve::{Resolution, resolve};
use crate::link::threads;
use crate::module::{DenseStyle, Module, ModuleOptions, Patch, Redirect, Types};
use crate::object::Input;
use crate::output::{OutputOptions, expect_not_an_input, expect_not_opened};
use std::path::PathBuf;
use std::sync::Arc;

/// Where a link is published.
#[derive(Debug, Clone)]
pub enum Target {
    /// In the file that the options name.
    File(OutputOptions),
    /// In memory; see [`Linked::bytes`](super::Linked::bytes).
    Memory,
}

/// What a link is made from, beside its inputs.
pub(super) struct LinkRequest<'a> {
    pub(super) options: &'a LinkOptions,
    /// What the link before declared, and where it stood in memory.
    pub(super) previous: &'a PreviousDeclarations,
    pub(super) memory_before: Option<MemoryPlan>,
    pub(super) build_id: &'a [u8],
    /// Whether anything is asked for after the link. If not, all of it is dropped as soon as it is of no use any more.
    pub(super) keeps: bool,
    pub(super) written: Written<'a>,
}

/// What a link writes.
#[derive(Clone, Copy)]
pub(super) enum Written<'a> {
    /// A file that can be patched.
    Patchable,
    /// A dense one, in this way.
    Dense(&'a OutputOptions),
    /// Nothing yet: who asked for the link decides when, and what.
    Nothing,
}

/// The module that a link is published in.
pub(super) enum Destination<'a> {
    /// A new one.
    New(Target),
    /// The one of the link before, which becomes equal to this one.
    Existing(&'a mut Module),
}

/// A link that has been published.
pub(super) struct Finished {
    /// The module, if it is a new one.
    pub(super) module: Option<Module>,
    /// What an update needs, if it was to be kept.
    pub(super) kept: Option<(Plan, LinkDeclarations)>,
    pub(super) published: PublishedPatch,
    pub(super) counts: Counts,
    pub(super) warnings: Vec<Error>,
}

/// Links what was opened.
///
/// # Errors
/// All that went wrong. Nothing is published then, and an existing module is as it was.
pub(super) fn run(
    request: &LinkRequest<'_>,
    inputs: Inputs,
    destination: Destination<'_>,
    times: &mut PhaseTimes,
) -> Result<Finished, Failed> {
    let options = request.options;
    check_options(options)?;
    threads::are_needed();
    let beside: Vec<PathBuf> = read_beside(&inputs, options).collect();

    // Every symbol of every object gets its meaning. No file is read after this, and no symbol added but the linker's own
    // for the function table and the bounds of segments.
    let mut resolution = resolve(inputs, options);
    stop_at_errors(&mut resolution)?;
    times.lap("resolve");

    // What can be reached is known. Nothing becomes live after this.
    let live = gc::mark(&mut resolution, options);
    // What is linked stands in the order of the output. No symbols after this, and no complaints about them.
    let mut plan = Plan::order(resolution, live, options);
    make_warnings_fatal(&mut plan.resolution, options);
    stop_at_errors(&mut plan.resolution)?;
    times.lap("mark and order");

    let mut new = None;
    let module = match destination {
        Destination::Existing(module) => {
            expect_table_as_wide(&plan, module)?;
            module
        }
        Destination::New(target) => {
            if matches!(
                (request.written, &target),
                (Written::Dense(_), _) | (_, Target::File(_))
            ) {
                expect_no_input(options, &plan, &beside)?;
            }
            new.insert(create(options, &plan, target)?)
        }
    };
    let counts = Counts::of(&plan);
    match edit_and_publish(request, plan, module, times) {
        Ok((kept, published, warnings)) => Ok(Finished {
            module: new,
            kept,
            published,
            counts,
            warnings,
        }),
        Err(error) => {
            module.discard();
            Err(error.into())
        }
    }
}

/// What came of the phases that change a module: what an update needs, what was published, what is to be said.
type Published = (Option<(Plan, LinkDeclarations)>, PublishedPatch, Vec<Error>);

/// The phases that change the module: all of their edits are pending until the last one, which publishes them at once.
fn edit_and_publish(
    request: &LinkRequest<'_>,
    mut plan: Plan,
    module: &mut Module,
    times: &mut PhaseTimes,
) -> crate::Result<Published> {
    let options = request.options;
    let cx = AssignContext {
        options,
        slot_table: module.slots(),
        has_slack: options.incremental != Some(false),
        memory_before: request.memory_before,
    };

    // All that is linked has its declaration, which is the one that it had before if there was one.
    let mut declarations = assign(&plan, &cx, module.program_mut(), request.previous)?;
    times.lap("declare");

    // What differs from the version before is pending. Nothing is asked of the objects after this.
    let code_relocs = match request.keeps {
        true => Vec::new(),
        false => {
            declarations.known.objects.items_mut().fill(None);
            settle_places(&mut declarations);
            plan.take_code_relocs()
        }
    };
    let strings = std::mem::take(&mut declarations.debug_strings);
    define(&plan, &declarations, options, module, strings, code_relocs)?;
    for id in &declarations.gone {
        module.program_mut().remove(*id)?;
    }
    define_interface(&plan, &declarations, module);
    module.set_customs(plan.custom_sections(options, request.build_id));
    times.lap("define");

    // The output is written, and shows if its inputs are still what was linked.
    let inputs = std::mem::take(&mut plan.resolution.inputs);
    let warnings = std::mem::take(&mut plan.resolution.diagnostics.warnings);
    let (kept, published) = match request.keeps {
        true => {
            let style = release::style(&plan, options, &declarations.known.exports, true);
            let published = write(request, module, style, &inputs, times)?;
            plan.resolution.inputs = inputs;
            (Some((plan, declarations)), published)
        }
        false => {
            let exports = std::mem::take(&mut declarations.known.exports);
            let style = release::style(&plan, options, &exports, true);
            let rest = (plan, declarations);
            let published = while_dropping(rest, || write(request, module, style, &inputs, times))?;
            (None, published)
        }
    };
    if !matches!(request.written, Written::Nothing) {
        times.lap("write");
    }
    Ok((kept, published, warnings))
}

/// Writes what is asked for, if the inputs are unchanged.
fn write(
    request: &LinkRequest<'_>,
    module: &mut Module,
    style: DenseStyle<'_>,
    inputs: &[Arc<Input>],
    times: &mut PhaseTimes,
) -> crate::Result<PublishedPatch> {
    let edits = Edits::pending(module);
    let file_len = match request.written {
        Written::Patchable => return publish(module, inputs),
        Written::Dense(publishing) => release::with_dense(style, module, |_, dense| {
            times.lap("lay out");
            let check = || check_unchanged(inputs);
            release::write(dense, &request.options.output, publishing, &check)
        })?,
        Written::Nothing => 0,
    };
    let patch = Patch {
        file_len,
        ..module.report_unchanged()
    };
    Ok(PublishedPatch { patch, edits })
}

/// Publishes what is pending, if the inputs are unchanged.
pub(super) fn publish(module: &mut Module, inputs: &[Arc<Input>]) -> crate::Result<PublishedPatch> {
    let edits = Edits::pending(module);
    let patch = module.commit_validated(&|| check_unchanged(inputs))?;
    Ok(PublishedPatch { patch, edits })
}

/// Writes while the rest of the link makes room for what is written.
fn while_dropping<T>(rest: impl Send, write: impl FnOnce() -> T) -> T {
    std::thread::scope(|scope| {
        // If there is no other thread to be had, it is dropped here and now.
        let beside = std::thread::Builder::new();
        let _ = beside.spawn_scoped(scope, move || drop(rest));
        write()
    })
}

/// Refuses options that no link can meet.
fn check_options(options: &LinkOptions) -> Result<(), Failed> {
    match options.page_size {
        PAGE => Ok(()),
        _ => {
            let text = format!("--page-size: memories have pages of {PAGE} bytes");
            Err(Error::bad_input(text).into())
        }
    }
}

/// Refuses objects that want another kind of function table than the output was begun with.
fn expect_table_as_wide(plan: &Plan, module: &Module) -> Result<(), Failed> {
    if plan.has_wide_table() == module.options().table64 {
        return Ok(());
    }
    let error = Error::bad_input(
        "the function table has places of 64 bits in some versions of the objects, and of 32 bits in others",
    );
    let hint = "compile all objects with one version of the compiler, or link from the beginning";
    Err(error.with_hint(hint).into())
}

/// Bytes of a page of memory.
const PAGE: u64 = 65536;

fn make_warnings_fatal(resolution: &mut Resolution, options: &LinkOptions) {
    let diagnostics = &mut resolution.diagnostics;
    if options.fatal_warnings {
        diagnostics.errors.append(&mut diagnostics.warnings);
    }
}

fn stop_at_errors(resolution: &mut Resolution) -> Result<(), Failed> {
    match resolution.diagnostics.errors.is_empty() {
        true => Ok(()),
        false => Err(std::mem::take(&mut resolution.diagnostics).into()),
    }
}

/// What is read beside the inputs: lists of symbols, response files.
pub(super) fn read_beside(inputs: &Inputs, options: &LinkOptions) -> impl Iterator<Item = PathBuf> {
    let named = options.allow_undefined_file.iter();
    let named = named.chain(&options.response_files).cloned();
    let lists: Vec<PathBuf> = inputs.lists().collect();
    named.chain(lists)
}

/// Refuses an output that is an input; `beside` are files that were read beside the inputs.
fn expect_no_input(options: &LinkOptions, plan: &Plan, beside: &[PathBuf]) -> crate::Result<()> {
    // By now it is known which libraries and members of thin archives were read.
    let seen = plan.resolution.inputs.iter();
    let seen = seen.filter_map(|input| Some(input.seen()?.stamp));
    expect_not_opened(&options.output, seen)?;
    expect_not_an_input(&options.output, beside)
}

/// A module for a link, with nothing in it.
fn create(options: &LinkOptions, plan: &Plan, target: Target) -> Result<Module, Failed> {
    let strips = options.strip_all;
    let keeps_names = options.keep_sections.iter().any(|name| name == "name");
    let mut module_options = ModuleOptions {
        redirect: options.redirect.unwrap_or(match options.live {
            true => Redirect::TableThunks,
            false => Redirect::Direct,
        }),
        live: options.live,
        undo: options.live,
        types: Types::Interned,
        names: !strips || keeps_names,
        first_slot: options.first_slot(),
        growable_table: options.growable_table,
        table64: plan.has_wide_table(),
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
