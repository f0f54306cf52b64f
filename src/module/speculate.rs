//! A copy of a module, to try edits on.

use crate::error::{Error, ErrorKind, Result};
use crate::module::Module;
use crate::module::validate::BodyValidator;
use crate::output::Output;
use crate::patch::BuildIdentity;

impl Module {
    /// A copy of the module, with all that is pending, to try edits on: a language server compiles what is being typed without
    /// touching what was saved. The copy is in memory, also if this one is bound to a file, which is read for it. Both go
    /// on alone, and the same edits make the same bytes of both.
    ///
    /// Ids of what is declared already name the same in the copy; those of what is declared since then are of the module that
    /// declared it. The cost is that of copying what the module knows, and its output: 0.7 ms for 5,000 functions
    /// (`design/figures.md`).
    ///
    /// # Errors
    /// If the file cannot be read, or was changed by somebody else.
    pub fn try_clone(&self) -> Result<Module> {
        let mut output = Output::memory();
        if self.layout.is_some() {
            let bytes = self.output.read()?;
            let found = BuildIdentity::of_file(&bytes).map(|(_, identity)| identity);
            if found != Some(self.identity) {
                let message = "the output was replaced or modified by somebody else";
                let error = Error::new(ErrorKind::OutputChanged, message);
                return Err(match self.output.path() {
                    Some(path) => error.with_path(path),
                    None => error,
                });
            }
            output = Output::Memory(bytes);
        }
        Ok(Module {
            options: self.options.clone(),
            program: self.program.clone(),
            references: self.references.clone(),
            layout: self.layout.clone(),
            identity: self.identity,
            output,
            dead_type: self.dead_type,
            slot_table: self.slot_table,
            tag: self.tag.of_clone(&self.program),
            settings: self.settings.clone(),
            displaced: self.displaced.clone(),
            pending: self.pending.clone(),
            validator: BodyValidator::default(),
        })
    }
}
