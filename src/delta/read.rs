//! Deltas that come from elsewhere, as bytes. It knows what a delta is made of, and not how one is made.

use std::sync::Arc;

use wasmparser::{KnownCustom, Name, Parser, Payload, TypeRef};

use crate::delta::artifact::{Delta, read_header};
use crate::error::{Error, Result};

impl Delta {
    /// A delta that was sent as its bytes. How many functions are in it is known by their names, and is 0 where the output has
    /// none; data that is written on a condition has no names here ([`Delta::conditional`]).
    ///
    /// # Errors
    /// If they are damaged, or no delta.
    pub fn read(bytes: &[u8]) -> Result<Delta> {
        let (from, to) = read_header(bytes)?;
        let parts = Parts::of(bytes).map_err(|error| {
            let offset = error.offset();
            Error::bad_input(format!("the delta is no module: {}", error.message()))
                .with_offset(offset)
        })?;
        // Functions that changed come last, behind what they need, and only they have names.
        let unnamed = parts
            .first_named
            .map(|first| first.saturating_sub(parts.imported));
        let bodies = &parts.bodies[unnamed
            .unwrap_or(parts.bodies.len())
            .min(parts.bodies.len())..];
        Ok(Delta {
            bytes: Arc::from(bytes),
            from,
            to,
            functions: bodies.len() as u32,
            function_bytes: bodies.iter().sum(),
            data_bytes: parts.data,
            conditional: Vec::new(),
            bodies: Arc::from([]),
            // What would describe it is where it came from.
            is_described: true,
        })
    }
}

/// What is counted.
#[derive(Default)]
struct Parts {
    imported: usize,
    /// The length of each body.
    bodies: Vec<u64>,
    /// The index of the first function with a name.
    first_named: Option<usize>,
    data: u64,
}

impl Parts {
    fn of(bytes: &[u8]) -> wasmparser::Result<Parts> {
        let mut parts = Parts::default();
        for payload in Parser::new(0).parse_all(bytes) {
            match payload? {
                Payload::ImportSection(imports) => {
                    for import in imports.into_imports() {
                        let ty = import?.ty;
                        parts.imported += usize::from(matches!(ty, TypeRef::Func(_)));
                    }
                }
                Payload::CodeSectionEntry(body) => {
                    let range = body.range();
                    parts.bodies.push(range.end - range.start);
                }
                Payload::DataSection(segments) => {
                    for segment in segments {
                        parts.data += segment?.data.len() as u64;
                    }
                }
                Payload::CustomSection(section) => {
                    let KnownCustom::Name(names) = section.as_known() else {
                        continue;
                    };
                    for name in names {
                        if let Name::Function(functions) = name? {
                            let first = functions.into_iter().next().transpose()?;
                            parts.first_named = first.map(|naming| naming.index as usize);
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(parts)
    }
}
