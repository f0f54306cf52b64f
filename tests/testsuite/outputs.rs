//! What wasmend makes of a module, in every way that there is.

use wasmend::inspect::{finish, verify};
use wasmend::{Redirect, WholeModule, WholeOptions};

/// The kinds of outputs, in the order in which they are made.
pub const VARIANTS: [&str; 8] = [
    "table",
    "finished table",
    "direct",
    "finished direct",
    "patched table",
    "finished patched table",
    "patched direct",
    "finished patched direct",
];

const MODES: [Redirect; 2] = [Redirect::TableThunks, Redirect::Direct];

/// The outputs of one file's modules: each is made anew, and patched from the one before it.
#[derive(Default)]
pub struct Outputs {
    chains: [Option<WholeModule>; 2],
    pub updates: usize,
    pub patches: usize,
}

fn options(redirect: Redirect) -> WholeOptions {
    WholeOptions {
        redirect,
        ..WholeOptions::default()
    }
}

impl Outputs {
    /// Every kind of output of a module.
    pub fn of(&mut self, module: &[u8]) -> wasmend::Result<Vec<Vec<u8>>> {
        let mut outputs = Vec::new();
        for redirect in MODES {
            let (whole, _) = WholeModule::in_memory(options(redirect), module)?;
            let output = whole.bytes()?;
            let dense = finish(&output)?;
            outputs.extend([output, dense]);
        }
        for (chain, redirect) in self.chains.iter_mut().zip(MODES) {
            match chain {
                Some(whole) => {
                    let update = whole.update(module)?;
                    self.updates += 1;
                    self.patches += usize::from(update.patch.relink_reason().is_none());
                }
                None => *chain = Some(WholeModule::in_memory(options(redirect), module)?.0),
            }
            if let Some(whole) = chain {
                let output = whole.bytes()?;
                let dense = finish(&output)?;
                outputs.extend([output, dense]);
            }
        }
        Ok(outputs)
    }
}

/// In what an output differs from its module, if it does.
pub fn difference(output: &[u8], module: &[u8]) -> Option<String> {
    match verify(output, module) {
        Ok(report) => report.differences.first().map(ToString::to_string),
        Err(error) => Some(error.to_string()),
    }
}
