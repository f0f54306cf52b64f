//! Debug information for deltas, which costs more than most commits: so it is made for who asks.

use std::sync::Arc;

use crate::delta::{self, Delta, LiveStep, Pieces};
use crate::error::{Error, Result};
use crate::module::Module;

impl Module {
    /// The same step, with debug information in its deltas: for each function that is in them what the pieces of the custom
    /// sections `.debug_info`, `.debug_line` and their kin say of its name, its lines and what was inlined into it, so that
    /// stack traces through a delta read as through the file. Without such pieces nothing is added.
    ///
    /// It is to be asked for behind the commit that the step is of, and before the next one. That takes time which grows
    /// with the debug information of what changed (about a millisecond for each of its megabytes), and none is spent on it
    /// without being asked.
    ///
    /// ```
    /// use wasmend::{LiveStep, Module, ModuleOptions};
    ///
    /// # fn main() -> wasmend::Result<()> {
    /// # let mut module = Module::in_memory(ModuleOptions { live: true, ..ModuleOptions::default() })?;
    /// # module.commit()?;
    /// # let f = module.declare(wasmend::DeclKind::Function, "f")?;
    /// # module.define_function(f, wasmend::FunctionBuilder::new(module.body_style(), &[], &[]).finish()?)?;
    /// let mut patch = module.commit()?;
    /// if let Some(step) = patch.live {
    ///     patch.live = Some(module.describe(step)?);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If the step is not of the last commit.
    pub fn describe(&mut self, step: LiveStep) -> Result<LiveStep> {
        let LiveStep::Delta { delta, undo } = step else {
            return Ok(step);
        };
        if delta.to != self.identity {
            let error = Error::bad_edit("the delta is not of the last commit");
            return Err(error.with_hint("ask for its debug information before the next one"));
        }
        if self.program.sections().is_empty() {
            return Ok(LiveStep::Delta { delta, undo });
        }
        self.index();
        let nothing = Default::default();
        let last = Pieces {
            program: &self.program,
            references: self.references.as_ref().unwrap_or(&nothing),
            displaced: None,
        };
        let before = Pieces {
            displaced: Some(&self.displaced),
            ..last
        };
        let describe = |delta: Arc<Delta>, pieces| Arc::new(delta::describe(&delta, pieces));
        let (delta, undo) = rayon::join(
            || describe(delta, last),
            || undo.map(|undo| describe(undo, before)),
        );
        Ok(LiveStep::Delta { delta, undo })
    }
}
