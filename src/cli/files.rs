//! What commands that read and write files have in common.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use wasmend::Error;

/// Reads a whole file.
pub(crate) fn read(path: &Path) -> wasmend::Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| Error::io("cannot read", path, &error))
}

/// Refuses an output that is also what is read: it would be gone.
pub(crate) fn expect_other_file(output: &Path, input: &Path) -> wasmend::Result<()> {
    let same = match (std::fs::metadata(output), std::fs::metadata(input)) {
        (Ok(output), Ok(input)) => (output.dev(), output.ino()) == (input.dev(), input.ino()),
        // One of them does not exist yet.
        _ => std::path::absolute(output).ok() == std::path::absolute(input).ok(),
    };
    if same {
        let error = Error::bad_edit("is both what is read and what is to be written");
        return Err(error
            .with_path(output)
            .with_hint("give the output another name"));
    }
    Ok(())
}
