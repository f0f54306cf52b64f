//! The custom sections that a linker merges: `producers` and `target_features`. They are read when asked for: nearly
//! all objects of a program have the same ones, which their bytes show faster.

use crate::error::{Error, Result};
use crate::object::cursor::Cursor;
use crate::object::span::Span;
use crate::object::tables::Object;

/// A feature that an object uses, or that must not be used together with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Feature {
    /// `+` for used, `-` for disallowed, `=` for used and required of all other objects.
    pub prefix: char,
    /// Its name.
    pub name: Span,
}

/// An entry of the `producers` section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Producer {
    /// What it is: `language`, `processed-by` or `sdk`.
    pub field: Span,
    /// Its name.
    pub name: Span,
    /// Its version.
    pub version: Span,
}

impl Object {
    /// The bytes of the `target_features` section: equal bytes mean equal features.
    pub fn features_bytes(&self) -> &[u8] {
        self.bytes(self.features)
    }

    /// The bytes of the `producers` section: equal bytes mean equal producers.
    pub fn producers_bytes(&self) -> &[u8] {
        self.bytes(self.producers)
    }

    /// The features of the `target_features` section.
    ///
    /// # Errors
    /// If the section is malformed.
    pub fn features(&self) -> Result<Vec<Feature>> {
        self.entries(self.features, |cursor, features| {
            for _ in 0..cursor.u32()? {
                let prefix = match cursor.byte()? {
                    prefix @ (b'+' | b'-' | b'=') => char::from(prefix),
                    _ => return Err(cursor.error("an unknown prefix of a target feature")),
                };
                let name = cursor.name()?;
                features.push(Feature { prefix, name });
            }
            Ok(())
        })
    }

    /// The entries of the `producers` section.
    ///
    /// # Errors
    /// If the section is malformed.
    pub fn producers(&self) -> Result<Vec<Producer>> {
        self.entries(self.producers, |cursor, producers| {
            for _ in 0..cursor.u32()? {
                let field = cursor.name()?;
                for _ in 0..cursor.u32()? {
                    producers.push(Producer {
                        field,
                        name: cursor.name()?,
                        version: cursor.name()?,
                    });
                }
            }
            Ok(())
        })
    }

    fn entries<T>(
        &self,
        span: Span,
        read: impl FnOnce(&mut Cursor<'_>, &mut Vec<T>) -> Result<()>,
    ) -> Result<Vec<T>> {
        let mut entries = Vec::new();
        if span.is_empty() {
            return Ok(entries);
        }
        let mut cursor = Cursor::new(self.input().bytes(), span);
        read(&mut cursor, &mut entries)
            .and_then(|()| cursor.finish("a custom section"))
            .map_err(|error: Error| error.with_path(self.display_name()))?;
        Ok(entries)
    }
}
