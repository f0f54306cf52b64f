//! Successive builds of a whole module, each published as a patch of the one before.

use std::path::Path;

use crate::error::{Error, Result};
use crate::heap;
use crate::module::{Module, ModuleOptions, Patch, Redirect, Types};
use crate::output::{OutputOptions, Sighting, no_check};
use crate::patch::BuildIdentity;
use crate::program::emit::Style;
use crate::program::{DeclId, DeclKind, Definition, Relocation, TypeTable};
use crate::whole::decode::{Decoded, decode, decode_bodies};
use crate::whole::matching::{Known, KnownItem, Matching, match_builds};
use crate::whole::print::{Print, Sketch};
use crate::whole::spaces::{SPACES, target_space};

/// Options of a [`WholeModule`].
#[derive(Debug, Clone)]
pub struct WholeOptions {
    /// How calls reach functions that move: directly, or, where updates also make deltas ([`live`](WholeOptions::live)), through
    /// thunks. ([`Redirect::Table`] means [`Redirect::TableThunks`], since the code's calls are what they are.) Default:
    /// [`Redirect::TableThunks`].
    pub redirect: Redirect,
    /// Who owns types that builds bring. Default: [`Types::Interned`].
    pub types: Types,
    /// Whether updates also make deltas for instances that run; see [`ModuleOptions::live`]. Default: no.
    pub live: bool,
    /// How the file is published.
    pub output: OutputOptions,
}

impl Default for WholeOptions {
    fn default() -> Self {
        WholeOptions {
            redirect: Redirect::TableThunks,
            types: Types::Interned,
            live: false,
            output: OutputOptions::default(),
        }
    }
}

/// What came of a build.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Update {
    /// What was published, or why everything was.
    pub patch: Patch,
    /// Functions that were there before and are different now.
    pub functions_changed: u32,
    /// Functions that are new.
    pub functions_added: u32,
    /// Functions that are gone.
    pub functions_removed: u32,
    /// What the user should know, in sentences. Each is given once.
    pub warnings: Vec<String>,
}

/// A patchable output that is kept equal to successive builds of a module.
///
/// ```
/// use wasmend::{WholeModule, WholeOptions};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let build = |number| wat::parse_str(format!("(module (func (export \"f\") (result i32) i32.const {number}))"));
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("out.wasm");
/// let (mut module, _) = WholeModule::create(&path, WholeOptions::default(), &build(1)?)?;
/// let update = module.update(&build(2)?)?;
/// assert_eq!(update.functions_changed, 1);
/// assert!(update.patch.bytes_written() < 64);
/// # Ok(())
/// # }
/// ```
pub struct WholeModule {
    module: Module,
    known: Known,
    /// The hashes of the last build.
    print: Option<Print>,
    /// What has been warned of.
    dropped: Vec<String>,
    /// Whether it is all that a process keeps for the next one.
    is_kept: bool,
}

impl WholeModule {
    /// Publishes a first build at `path`.
    ///
    /// # Errors
    /// If the build is not a valid module, another writer holds the output, or it cannot be written.
    pub fn create(
        path: impl AsRef<Path>,
        options: WholeOptions,
        build: &[u8],
    ) -> Result<(WholeModule, Update)> {
        let path = path.as_ref();
        Self::first(build, options.live, |tail_calls| {
            Module::create(path, module_options(options, tail_calls))
        })
    }

    /// Keeps the output in memory; see [`WholeModule::bytes`].
    ///
    /// # Errors
    /// If the build is not a valid module.
    pub fn in_memory(options: WholeOptions, build: &[u8]) -> Result<(WholeModule, Update)> {
        Self::first(build, options.live, |tail_calls| {
            Module::in_memory(module_options(options, tail_calls))
        })
    }

    fn first(
        build: &[u8],
        live: bool,
        make: impl FnOnce(bool) -> Result<Module>,
    ) -> Result<(WholeModule, Update)> {
        // Nothing is opened for a build that is not valid. A module knows one type from the start.
        let mut types = TypeTable::default();
        types.function(&[], &[])?;
        let decoded = decode_build(build, live, &mut types)?;
        let mut module = make(decoded.tail_calls)?;
        module.program_mut().types = types;
        let mut whole = WholeModule {
            module,
            known: Known::default(),
            print: None,
            dropped: Vec::new(),
            is_kept: false,
        };
        let update = whole.publish(decoded)?;
        whole.print = Sketch::of(build).as_ref().map(Print::of);
        Ok((whole, update))
    }

    /// Makes the output equal to another build: only declarations that differ are defined anew.
    ///
    /// # Errors
    /// If the build is not a valid module, or the output cannot be written. The output stays as it was, and the next update
    /// starts from there.
    pub fn update(&mut self, build: &[u8]) -> Result<Update> {
        // Most of it will not be kept, and what is kept between processes is to change little.
        let (sketch, changed) = {
            let _paused = self.is_kept.then(heap::pause);
            let sketch = Sketch::of(build);
            let changed = match (&sketch, &self.print) {
                (Some(sketch), Some(before)) => before.changed_bodies(sketch),
                _ => None,
            };
            (sketch, changed)
        };
        let update = match &changed {
            Some(changed) => self.update_bodies(build, changed),
            None => {
                let live = self.module.options().live;
                let types = &mut self.module.program_mut().types;
                let decoded = decode_build(build, live, types);
                decoded.and_then(|decoded| self.publish(decoded))
            }
        };
        let update = update.inspect_err(|_| self.module.discard())?;
        match (changed, &sketch, &mut self.print) {
            (Some(changed), Some(sketch), Some(before)) => before.take_bodies(sketch, &changed),
            (_, sketch, print) => *print = sketch.as_ref().map(Print::of),
        }
        Ok(update)
    }

    /// An update to a build that differs from the last one in the bodies of some functions only.
    fn update_bodies(&mut self, build: &[u8], changed: &[u32]) -> Result<Update> {
        let many_memories = self.known.spaces[3].len() > 1;
        let codes = decode_bodies(build, &self.known.types, many_memories, changed)?;
        let imported = self.known.spaces[0].iter();
        let imported = imported.filter(|item| item.import.is_some()).count();
        if codes.iter().any(|code| code.tail_calls) {
            self.module.use_tail_calls();
        }
        let mut functions_changed = 0;
        for (at, code) in changed.iter().zip(codes) {
            let id = self.known.spaces[0][imported + *at as usize].id;
            let program = self.module.program_mut();
            let Some(current) = program.decl(id).current() else {
                continue;
            };
            let definition = Definition {
                content: code.content.retarget(|reloc| retarget(&self.known, reloc)),
                shape: current.shape,
            };
            functions_changed += u32::from(!current.same_as(&definition));
            program.define(id, DeclKind::Function, definition)?;
        }
        Ok(Update {
            patch: self.module.commit_validated(&no_check)?,
            functions_changed,
            functions_added: 0,
            functions_removed: 0,
            warnings: Vec::new(),
        })
    }

    fn publish(&mut self, mut decoded: Decoded) -> Result<Update> {
        if decoded.tail_calls {
            self.module.use_tail_calls();
        }
        let matching = match_builds(&self.known, self.module.program(), &decoded);
        let dropped = std::mem::take(&mut decoded.dropped);
        let (counts, known) = self.apply(decoded, &matching)?;
        let patch = self.module.commit_validated(&no_check)?;
        self.known = known;
        Ok(Update {
            patch,
            functions_changed: counts[0],
            functions_added: counts[1],
            functions_removed: counts[2],
            warnings: self.warn(dropped),
        })
    }

    /// The published file.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn bytes(&self) -> Result<Vec<u8>> {
        self.module.bytes()
    }

    /// Does what the next update would otherwise do before anything else; to be called when nobody waits.
    pub fn prepare(&mut self) {
        self.module.prepare();
    }

    /// Goes on with the output of a process that has ended, whose memory this is.
    pub(super) fn resume_output(&mut self, options: OutputOptions, seen: Sighting) -> Result<()> {
        self.is_kept = true;
        self.module.resume_output(options, seen)
    }

    /// It is to be all that a process keeps for the next one.
    pub(super) fn for_another_process(self) -> WholeModule {
        WholeModule {
            is_kept: true,
            ..self
        }
    }

    /// Gives the output up, which another module of this process is to write.
    pub(super) fn abandon_output(&mut self) {
        self.module.abandon_output();
    }

    /// Removes what only this process needs, and says how the output looks that was published: another process will go on.
    pub(super) fn leave_output(&mut self) -> Option<Sighting> {
        self.module.leave_output()
    }

    /// The module that is published: what is in it, and how it is laid out.
    pub fn module(&self) -> &Module {
        &self.module
    }

    /// One warning for all that was dropped and has not been warned of.
    fn warn(&mut self, mut news: Vec<String>) -> Vec<String> {
        news.retain(|what| !self.dropped.contains(what));
        if news.is_empty() {
            return Vec::new();
        }
        let warning = format!(
            "dropped what would be wrong once code has moved: {}",
            news.join(", ")
        );
        self.dropped.append(&mut news);
        vec![warning]
    }

    /// Turns a build into pending edits. Returns how many functions changed, came and went, and what will be known of the
    /// build.
    fn apply(&mut self, mut decoded: Decoded, matching: &Matching) -> Result<([u32; 3], Known)> {
        let mut counts = [0; 3];
        let mut known = Known {
            types: std::mem::take(&mut decoded.types),
            ..Known::default()
        };
        let program = self.module.program_mut();
        for (space, kind) in SPACES.into_iter().enumerate() {
            known.spaces[space].reserve_exact(decoded.spaces[space].len());
            for (new, item) in decoded.spaces[space].iter_mut().enumerate() {
                let id = match matching.old_of[space][new] {
                    Some(old) => self.known.spaces[space][old as usize].id,
                    None => {
                        counts[1] += u32::from(kind == DeclKind::Function);
                        program.declare(kind, None, None)?
                    }
                };
                program.give_name(id, item.name.take())?;
                known.spaces[space].push(KnownItem {
                    id,
                    import: item.import.take(),
                });
            }
            for (old, item) in self.known.spaces[space].iter().enumerate() {
                if matching.new_of[space][old].is_none() {
                    counts[2] += u32::from(kind == DeclKind::Function);
                    program.remove(item.id)?;
                }
            }
        }
        for (space, kind) in SPACES.into_iter().enumerate() {
            let items = std::mem::take(&mut decoded.spaces[space]);
            for (new, item) in items.into_iter().enumerate() {
                let id = known.spaces[space][new].id;
                let definition = Definition {
                    content: item
                        .definition
                        .content
                        .retarget(|reloc| retarget(&known, reloc)),
                    shape: item.definition.shape,
                };
                let current = program.decl(id).current();
                let differs = current.is_some_and(|current| !current.same_as(&definition));
                counts[0] += u32::from(differs && kind == DeclKind::Function);
                program.define(id, kind, definition)?;
            }
        }
        let named = decoded.exports.into_iter().map(|export| {
            let id = known.spaces[export.space][export.index as usize].id;
            (export.name, id)
        });
        let exports: Vec<(Box<str>, DeclId)> = named.collect();
        let imports = decoded.imports.iter();
        let imports = imports.map(|(space, index)| known.spaces[*space][*index as usize].id);
        let program = self.module.program_mut();
        program.set_exports(&exports);
        program.set_import_order(imports.collect());
        known.exports.extend(exports);
        let start = decoded
            .start
            .map(|start| known.spaces[0][start as usize].id);
        let start = start.map(|start| self.module.handed_out(start));
        self.module.set_start(start)?;
        self.module.set_customs(decoded.customs);
        Ok((counts, known))
    }
}

fn decode_build(build: &[u8], live: bool, types: &mut TypeTable) -> Result<Decoded> {
    // The table of slots comes before the module's own.
    let keeps_tables = !live;
    let decoded = decode(build, Style::Patchable { keeps_tables }, types)?;
    match decoded.identity {
        None => Ok(decoded),
        Some(_) => Err(Error::bad_input("is an output of wasmend, not a build")
            .with_offset(build.len() as u64 - BuildIdentity::SECTION_LEN)
            .with_hint(
                "give the build that it was made from, or what `wasmend finish` makes of it",
            )),
    }
}

/// Makes a relocation against an index of a build one against a declaration.
fn retarget(known: &Known, reloc: &mut Relocation) {
    if let Some(space) = target_space(reloc.kind) {
        reloc.target = known.spaces[space][reloc.target as usize].id.0;
    }
}

fn module_options(options: WholeOptions, tail_calls: bool) -> ModuleOptions {
    let redirect = match options.redirect {
        Redirect::Direct => Redirect::Direct,
        _ => Redirect::TableThunks,
    };
    ModuleOptions {
        redirect,
        types: options.types,
        // Whatever is in the module's own tables stays there; slots are for thunks only, which instances that run need.
        slot_table: options.live,
        output: options.output,
        tail_calls,
        live: options.live,
        undo: options.live,
        ..ModuleOptions::default()
    }
}
