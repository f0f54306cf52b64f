//! A whole file on its way out, piece by piece and from several threads. Nothing of it is kept in memory.

use std::fs::File;
use std::io;
#[cfg(unix)]
use std::os::unix::fs::FileExt;
use std::sync::{Mutex, PoisonError};

use super::sys;
use crate::error::{Error, Result};

/// Where the pieces of a new version go. What no piece covers is zero.
pub struct FileWriter<'a> {
    to: To<'a>,
    len: u64,
}

enum To<'a> {
    File(&'a File),
    /// One that nobody is going to patch.
    LastingFile(&'a File),
    Memory(Mutex<&'a mut [u8]>),
}

impl<'a> FileWriter<'a> {
    /// The writer of a buffer that is all zero.
    pub fn of_buffer(buffer: &'a mut [u8]) -> Self {
        let len = buffer.len() as u64;
        FileWriter {
            to: To::Memory(Mutex::new(buffer)),
            len,
        }
    }

    /// The writer of an empty file that has room for `len` bytes.
    pub(super) fn of_file(file: &'a File, len: u64) -> Self {
        FileWriter {
            to: To::File(file),
            len,
        }
    }

    /// The same for a file that nobody is going to patch: it is written in pieces as long as they come.
    pub(super) fn of_lasting_file(file: &'a File, len: u64) -> Self {
        FileWriter {
            to: To::LastingFile(file),
            len,
        }
    }

    /// Writes one piece. Pieces must not overlap.
    ///
    /// # Errors
    /// If writing fails.
    ///
    /// # Panics
    /// If the piece ends behind the new version's length.
    pub fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        assert!(
            offset + bytes.len() as u64 <= self.len,
            "a piece ends behind the file"
        );
        match &self.to {
            To::File(file) => sys::write_pieces(file, bytes, offset).map_err(|e| failed(&e)),
            To::LastingFile(file) => file.write_all_at(bytes, offset).map_err(|e| failed(&e)),
            To::Memory(buffer) => {
                let mut buffer = buffer.lock().unwrap_or_else(PoisonError::into_inner);
                buffer[offset as usize..][..bytes.len()].copy_from_slice(bytes);
                Ok(())
            }
        }
    }
}

fn failed(error: &io::Error) -> Error {
    let text = format!("cannot write a new output: {error}");
    let failed = Error::new(crate::ErrorKind::Io, text);
    match error.raw_os_error() {
        Some(code) => failed.with_os_error(code),
        None => failed,
    }
}
