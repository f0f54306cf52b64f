//! The one error type: bad input, input/output failures, and edits that make no sense.
//!
//! An error names what it is about (a file, a declaration, a byte offset) and what to do. A relink is not an
//! error: see [`RelinkReason`](crate::RelinkReason). This file knows nothing of the engine.

use std::fmt;
use std::path::{Path, PathBuf};

/// What kind of thing went wrong; decides the exit code of the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A module, body or definition is malformed or asks for something that is not supported.
    BadInput,
    /// An edit contradicts the program: an undefined reference, a wrong kind, a duplicate name.
    BadEdit,
    /// Reading or writing a file failed; the previous output is intact.
    Io,
    /// Another writer holds the output.
    Locked,
    /// The output file was deleted, replaced or modified by somebody else; it has to be written whole again.
    OutputChanged,
    /// An output does not say what it should.
    Verification,
    /// A limit of WebAssembly engines would be exceeded.
    Limit,
}

/// An error with all that is known about its place. One word wide, so that `Result`s stay small.
#[derive(Clone)]
pub struct Error(Box<Inner>);

#[derive(Debug, Clone)]
struct Inner {
    kind: ErrorKind,
    message: String,
    path: Option<PathBuf>,
    symbol: Option<String>,
    offset: Option<u64>,
    hint: Option<String>,
    os_error: Option<i32>,
    others: Vec<Error>,
}

/// How many of the others a message names.
const MOST_SHOWN: usize = 8;

/// The crate's result type.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A new error of `kind`.
    #[cold]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Error(Box::new(Inner {
            kind,
            message: message.into(),
            path: None,
            symbol: None,
            offset: None,
            hint: None,
            os_error: None,
            others: Vec::new(),
        }))
    }

    /// Malformed or unsupported input.
    #[cold]
    pub fn bad_input(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::BadInput, message)
    }

    /// An edit that contradicts the program.
    #[cold]
    pub fn bad_edit(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::BadEdit, message)
    }

    /// An engine limit that would be exceeded.
    #[cold]
    pub fn limit(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Limit, message)
    }

    /// A failed operation on `path`; `doing` reads like "cannot write".
    #[cold]
    pub fn io(doing: &str, path: &Path, source: &std::io::Error) -> Self {
        let mut error = Self::new(ErrorKind::Io, format!("{doing}: {source}")).with_path(path);
        error.0.os_error = source.raw_os_error();
        error
    }

    /// Adds the operating system's error number.
    #[must_use]
    pub(crate) fn with_os_error(mut self, code: i32) -> Self {
        self.0.os_error.get_or_insert(code);
        self
    }

    /// Adds the file that the error is about.
    #[must_use]
    pub fn with_path(mut self, path: impl AsRef<Path>) -> Self {
        self.0
            .path
            .get_or_insert_with(|| path.as_ref().to_path_buf());
        self
    }

    /// Adds the declaration that the error is about.
    #[must_use]
    pub fn with_symbol(mut self, symbol: impl Into<String>) -> Self {
        self.0.symbol.get_or_insert_with(|| symbol.into());
        self
    }

    /// Takes away what the error is about, for who says it in another way.
    #[must_use]
    pub fn without_symbol(mut self) -> Self {
        self.0.symbol = None;
        self
    }

    /// Adds the byte offset (in the named file, or in the declaration's bytes) that the error is about.
    #[must_use]
    pub fn with_offset(mut self, offset: u64) -> Self {
        self.0.offset.get_or_insert(offset);
        self
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint.get_or_insert_with(|| hint.into());
        self
    }

    /// Adds errors that were found beside this one.
    #[must_use]
    pub(crate) fn with_others(mut self, others: Vec<Error>) -> Self {
        self.0.others = others;
        self
    }

    /// All errors as one, if there are any.
    pub(crate) fn all_of(mut errors: Vec<Error>) -> Result<()> {
        if errors.is_empty() {
            return Ok(());
        }
        let first = errors.remove(0);
        Err(first.with_others(errors))
    }

    /// Errors that were found beside this one, where a commit finds several at once.
    pub fn others(&self) -> &[Error] {
        &self.0.others
    }

    /// What kind of error this is.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The message alone, without place and hint.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The file that the error is about, if known.
    pub fn path(&self) -> Option<&Path> {
        self.0.path.as_deref()
    }

    /// The declaration that the error is about, if known.
    pub fn symbol(&self) -> Option<&str> {
        self.0.symbol.as_deref()
    }

    /// The byte offset that the error is about, if known.
    pub fn offset(&self) -> Option<u64> {
        self.0.offset
    }

    /// What to do about it, if something can be done.
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// The operating system's error number, for [`ErrorKind::Io`].
    pub fn raw_os_error(&self) -> Option<i32> {
        self.0.os_error
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.0;
        if let Some(path) = &inner.path {
            write!(f, "{}: ", path.display())?;
        }
        if let Some(symbol) = &inner.symbol {
            write!(f, "`{symbol}`: ")?;
        }
        f.write_str(&inner.message)?;
        if let Some(offset) = inner.offset {
            write!(f, " (at offset {offset:#x})")?;
        }
        if let Some(hint) = &inner.hint {
            write!(f, "; {hint}")?;
        }
        for other in inner.others.iter().take(MOST_SHOWN) {
            write!(f, "\n{other}")?;
        }
        match inner.others.len().saturating_sub(MOST_SHOWN) {
            0 => Ok(()),
            more => write!(f, "\nand {more} more"),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Error {}

impl From<wasmparser::BinaryReaderError> for Error {
    #[cold]
    fn from(error: wasmparser::BinaryReaderError) -> Self {
        Error::bad_input(error.message()).with_offset(error.offset())
    }
}
