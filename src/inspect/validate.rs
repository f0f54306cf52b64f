//! Whether a file is a valid module, its code included. What stands where is the map's.

use wasmparser::{Validator, WasmFeatures};

use crate::error::{Error, Result};

/// Finds out whether engines that know all proposals take a module.
///
/// # Errors
/// What is wrong with it, and where.
pub fn validate(bytes: &[u8]) -> Result<()> {
    let mut validator = Validator::new_with_features(WasmFeatures::all());
    match validator.validate_all(bytes) {
        Ok(_) => Ok(()),
        Err(error) => {
            let offset = error.offset();
            Err(Error::bad_input(error.message().to_owned()).with_offset(offset))
        }
    }
}
