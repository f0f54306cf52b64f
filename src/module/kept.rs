//! A module that outlives its process, for compilers that are started for each build: the next process of the same program finds it with
//! all its declarations.
//!
//! Kept here: nothing of it stands anywhere but in the arena. What users hand in is copied there, wherever it stands, by the program
//! (`RelocatableBytes::adopted`); names are copied in any case; and a module that took the kept one's place is not kept. While the
//! arena is written other threads can do to it what they like (`heap`): what is kept has one owner.

use std::ops::{Deref, DerefMut};
use std::path::Path;

use crate::error::{ErrorKind, Result};
use crate::heap;
use crate::kept::{After, Arena, Asked, Basis, KeptFiles, NO_LIST, NoState, Store, caught};
use crate::module::Module;
use crate::module::options::ModuleOptions;

/// A module that the next process of the same program can go on with: [`Module::open`].
pub struct KeptModule {
    held: Held,
    /// Why it is a new one, if it is.
    reason: Option<NoState>,
}

enum Held {
    /// It stands in the arena.
    Kept(Box<Kept>),
    /// Nothing can be kept of it.
    Unkept(Box<Module>),
}

struct Kept {
    module: &'static mut Module,
    /// What tells it from modules that were put in its place.
    tag: u32,
    store: Store<Module>,
    arena: Arena,
    asked: Asked,
}

/// A module that was found, what was not, or what ends the attempt.
enum Found {
    Module(Box<Kept>),
    Nothing(NoState),
}

impl Module {
    /// The module that an earlier process of this program has published at `path` and [closed](KeptModule::close), with all its
    /// declarations under their keys; or else a new one, as [`Module::create`] makes it, and the
    /// [reason](KeptModule::reason). It is for compilers whose process ends after each build, and to be called once in a process.
    ///
    /// From here until the module is closed all that the process allocates stands in the arena of the state, and stays there: what is not
    /// needed for the module is best allocated before. What a program must do for that stands in [`kept`](crate::kept); where that is
    /// not so, the module is always a new one. Ids are those of one process: declarations are found by their keys
    /// ([`Module::lookup`], [`Module::declare_or_get`]).
    ///
    /// ```no_run
    /// use wasmend::{DeclKind, FunctionBuilder, Instruction, Module, ModuleOptions, ValType};
    ///
    /// #[global_allocator]
    /// static HEAP: wasmend::heap::Heap = wasmend::heap::Heap::new();
    ///
    /// fn main() -> wasmend::Result<()> {
    ///     let mut module = Module::open("out.wasm", ModuleOptions::default())?;
    ///     if let Some(reason) = module.reason() {
    ///         println!("all is compiled: {reason}");
    ///     }
    ///     let answer = module.declare_or_get(DeclKind::Function, "answer")?;
    ///     let mut body = FunctionBuilder::new(module.body_style(), &[], &[ValType::I32]);
    ///     body.op(&Instruction::I32Const(42));
    ///     module.define_function(answer, body.finish()?)?;
    ///     module.commit()?;
    ///     if let Err(problem) = module.close() {
    ///         println!("the next process compiles everything: {problem}");
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// If another writer holds the output, or its folder cannot be written.
    pub fn open(path: impl AsRef<Path>, options: ModuleOptions) -> Result<KeptModule> {
        let path = path.as_ref();
        let mut reason = match find(path, &options)? {
            Found::Module(kept) => {
                return Ok(KeptModule {
                    held: Held::Kept(kept),
                    reason: None,
                });
            }
            Found::Nothing(reason) => reason,
        };
        let asked = asked_of(&options);
        let store = Store::<Module>::of(path, &options);
        let held = match store.and_then(|store| Ok((store.begin()?, store))) {
            Ok((arena, store)) => {
                heap::adopt();
                let module = store.keep(Module::create(path, options)?);
                Held::Kept(Box::new(Kept {
                    tag: module.tag.number(),
                    module,
                    store,
                    arena,
                    asked,
                }))
            }
            Err(why) => {
                reason = why;
                // If this process has an arena, that is of no use to anybody.
                heap::leave();
                Held::Unkept(Box::new(Module::create(path, options)?))
            }
        };
        let reason = Some(reason);
        Ok(KeptModule { held, reason })
    }
}

/// Looks for a module that was kept.
fn find(path: &Path, options: &ModuleOptions) -> Result<Found> {
    let asked = || asked_of(options);
    let opened = Store::<Module>::of(path, options).and_then(|store| {
        let mut found = store.find(&asked)?;
        let locked = store.lock()?;
        if let Some(other) = store.find_other(&found, &asked)? {
            found = other;
        }
        let (arena, module, seen) = store.open(locked, &found)?;
        Ok((store, arena, module, seen))
    });
    let (store, arena, module, seen) = match opened {
        Ok(opened) => opened,
        Err(reason) => return Ok(Found::Nothing(reason)),
    };
    heap::adopt();
    let publishing = options.output.clone();
    match caught(|| module.resume_output(publishing, seen)) {
        Ok(Ok(())) => {}
        Ok(Err(error)) if error.kind() != ErrorKind::OutputChanged => return Err(error),
        Ok(Err(error)) => return Ok(Found::Nothing(NoState::Failed(error.to_string()))),
        Err(why) => return Ok(Found::Nothing(NoState::Failed(why))),
    }
    Ok(Found::Module(Box::new(Kept {
        tag: module.tag.number(),
        module,
        store,
        arena,
        asked: asked(),
    })))
}

fn asked_of(options: &ModuleOptions) -> Asked {
    Asked::of::<Module>(options)
}

impl KeptModule {
    /// Why this is a new module; `None` if it is the one that an earlier process has closed.
    pub fn reason(&self) -> Option<&NoState> {
        self.reason.as_ref()
    }

    /// Keeps the module for the next process, as it was published last: edits that are pending are discarded. Without this the
    /// next process begins with a new one. From here on the process allocates as it did before.
    ///
    /// # Errors
    /// Why nothing is kept, in words; what was published stays. Otherwise how many bytes were written.
    pub fn close(self) -> std::result::Result<u64, String> {
        let kept = match self.held {
            Held::Kept(kept) => *kept,
            Held::Unkept(_) => {
                let why = self.reason.map(|reason| reason.to_string());
                return Err(why.unwrap_or_default());
            }
        };
        let Kept {
            module,
            tag,
            store,
            mut arena,
            asked,
        } = kept;
        if module.tag.number() != tag {
            return Err("another module has taken the place of the one that is kept".to_owned());
        }
        module.discard();
        // What only the head needs is not to be kept.
        let _paused = heap::pause();
        let basis = Basis {
            list: NO_LIST,
            files: Some(KeptFiles::default()),
            absent: Vec::new(),
        };
        let published = module.leave_output();
        let asked = || asked.clone();
        store.save(&mut arena, published, basis, &asked, After::End)
    }
}

impl Deref for KeptModule {
    type Target = Module;

    fn deref(&self) -> &Module {
        match &self.held {
            Held::Kept(kept) => &*kept.module,
            Held::Unkept(module) => module,
        }
    }
}

impl DerefMut for KeptModule {
    fn deref_mut(&mut self) -> &mut Module {
        match &mut self.held {
            Held::Kept(kept) => &mut *kept.module,
            Held::Unkept(module) => module,
        }
    }
}
