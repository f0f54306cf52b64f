//! What a link has to say: errors and warnings, with names as people wrote them.

use crate::error::Error;
use crate::link::demangle::demangle;

/// Errors and warnings of a link, in the order in which they were found.
#[derive(Debug, Default)]
pub struct Diagnostics {
    /// What makes the link fail.
    pub errors: Vec<Error>,
    /// What does not.
    pub warnings: Vec<Error>,
}

impl Diagnostics {
    /// Notes an error.
    pub fn error(&mut self, error: Error) {
        self.errors.push(error);
    }

    /// Notes a warning.
    pub fn warn(&mut self, warning: Error) {
        self.warnings.push(warning);
    }

    /// Appends what others have to say.
    pub fn extend(&mut self, other: Diagnostics) {
        self.errors.extend(other.errors);
        self.warnings.extend(other.warnings);
    }
}

/// A name for messages and the name section: demangled unless the command line says otherwise.
pub fn shown(name: &str, demangled: bool) -> String {
    // Compilers rename a `main` with arguments, because callers' and callee's signatures must be the same.
    if name == "__main_argc_argv" {
        return "main".to_owned();
    }
    demangled
        .then(|| demangle(name))
        .flatten()
        .unwrap_or_else(|| name.to_owned())
}
