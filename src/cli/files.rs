//! What commands that read and write files have in common.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use wasmend::Error;
use wasmend::inspect::Map;
use wasmend::output::{self, Destination};

/// How a module begins.
const MAGIC: &[u8] = b"\0asm";
/// How a patch begins.
const PATCH_MAGIC: &[u8] = b"\0wmp";
/// The longest module that engines take. What is longer, as a device is that never ends, is none.
const MOST: u64 = 1 << 30;

/// Reads a whole file, if it can be a module or a patch.
pub(crate) fn read(path: &Path) -> wasmend::Result<Vec<u8>> {
    let failed = |error| Error::io("cannot read", path, &error);
    let file = File::open(path).map_err(failed)?;
    let found = file.metadata().map_err(failed)?;
    let is_file = found.is_file();
    let mut bytes = Vec::new();
    let most = if is_file { u64::MAX } else { MOST + 1 };
    let mut start = (&file).take(MAGIC.len() as u64);
    start.read_to_end(&mut bytes).map_err(failed)?;
    // What does not begin as these do is refused by whoever reads it, and says by its beginning what it is.
    if is_file || bytes == MAGIC || bytes == PATCH_MAGIC {
        if is_file {
            // And a byte for finding out that there is no more.
            bytes.reserve_exact(found.len().min(MOST) as usize + 1);
        }
        file.take(most).read_to_end(&mut bytes).map_err(failed)?;
    }
    match !is_file && bytes.len() as u64 > MOST {
        false => Ok(bytes),
        true => Err(Error::bad_input("has no end, or is longer than any module").with_path(path)),
    }
}

/// Where the output stands that is patched in place of another one: that itself, or where links keep their state elsewhere the
/// same version of the same file in that folder.
///
/// # Errors
/// If nothing there is.
pub(crate) fn kept_output(output: &Path, folder: Option<&Path>) -> wasmend::Result<PathBuf> {
    let Some(folder) = folder else {
        return Ok(output.to_path_buf());
    };
    let identity = |path: &Path| {
        let map = Map::read(&read(path).ok()?).ok()?;
        map.identity.map(|found| found.identity)
    };
    let none = || {
        let text = format!(
            "no link keeps its state of this version in {}",
            folder.display()
        );
        Error::bad_input(text).with_path(output)
    };
    let wanted = identity(output).ok_or_else(none)?;
    let cannot = |error: std::io::Error| Error::io("cannot read the folder", folder, &error);
    for entry in std::fs::read_dir(folder).map_err(cannot)? {
        let kept = entry.map_err(cannot)?.path();
        let is_module = kept
            .extension()
            .is_some_and(|extension| extension == "wasm");
        if is_module && kept.is_file() && identity(&kept) == Some(wanted) {
            return Ok(kept);
        }
    }
    Err(none())
}

/// What has to hold of an output that is going to be patched, before anything is done: it is none of `inputs`, it is a
/// file that may be replaced, and its folder is there, which is made if need be.
pub(crate) fn claim_output(
    output: &Path,
    inputs: impl IntoIterator<Item = impl AsRef<Path>>,
    force: Option<bool>,
) -> wasmend::Result<()> {
    output::expect_not_an_input(output, inputs)?;
    if let Some(folder) = output.parent()
        && !folder.as_os_str().is_empty()
    {
        std::fs::create_dir_all(folder)
            .map_err(|error| Error::io("cannot create the folder", folder, &error))?;
    }
    Destination::expect_file(output)?;
    expect_replaceable(output, force)
}

/// Refuses to replace what is neither a module nor empty nor called one, unless told to: whoever names a source or a
/// text has most likely named the wrong file. What is no regular file is not replaced anyway. `force` is `None` where one
/// cannot be told to.
pub(crate) fn expect_replaceable(file: &Path, force: Option<bool>) -> wasmend::Result<()> {
    let is_called_module = file
        .extension()
        .is_some_and(|extension| extension == "wasm");
    if force == Some(true) || is_called_module || !file.is_file() {
        return Ok(());
    }
    let mut start = Vec::new();
    let read =
        File::open(file).and_then(|file| file.take(MAGIC.len() as u64).read_to_end(&mut start));
    let refused = match read {
        Ok(_) if start.is_empty() || start == MAGIC => return Ok(()),
        Ok(_) => Error::bad_input("is there already, and is no WebAssembly module").with_path(file),
        Err(error) => Error::io("cannot see whether this may be replaced", file, &error),
    };
    Err(refused.with_hint(match force {
        Some(_) => "give the output another name, or replace the file with --force",
        None => "give the output another name, or remove the file",
    }))
}
