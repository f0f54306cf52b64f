//! The log of an output's links: a line for each, in a file beside its state. It is for people: nothing is decided by it, and a
//! line that cannot be written is not written. What a line says is not this file's.

use std::path::Path;

use crate::error::{Error, Result};
use crate::output::StateFolder;
use crate::output::suffix::{LOG, LOG_OLD};

/// So long a log is before another one is begun. There are two of them at most.
const MOST: u64 = 128 << 10;

/// Adds a line to the log of an output.
///
/// # Errors
/// If it cannot be written.
pub fn append_log(output: &Path, line: &str) -> Result<()> {
    let line = format!("{line}\n");
    // Whoever has linked has made the folder.
    let folder = StateFolder::existing(output);
    let written = folder.and_then(|folder| folder.append(LOG, LOG_OLD, MOST, line.as_bytes()));
    written.map_err(|error| Error::io("cannot write the log of links of", output, &error))
}

/// The lines of an output's log, oldest first. There are none where there is no log.
pub fn read_log(output: &Path) -> Vec<String> {
    let Ok(folder) = StateFolder::existing(output) else {
        return Vec::new();
    };
    let text = [LOG_OLD, LOG].map(|name| {
        // As it is added to meanwhile, and a line may be longer than the rest.
        let bytes = folder.read(name, 2 * MOST).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    });
    text.iter()
        .flat_map(|text| text.lines().map(str::to_owned))
        .collect()
}
