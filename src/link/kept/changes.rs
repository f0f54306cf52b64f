//! What is asked for, or stands in files, that did not when a link was kept, as far as an update can follow it.

use std::path::Path;

use super::asked::{expect_alike, is_named_as_object, list_of};
use crate::error::{Error, ErrorKind};
use crate::kept::{Changes, Found, NoState};
use crate::link::command::options::{InputArgument, LinkOptions};
use crate::link::inputs::find_libraries;
use crate::output;

/// What is asked for that was not, as far as an update can follow it.
pub(super) struct ListChanges {
    /// Files that are not what they were, or are called otherwise.
    pub(super) files: Changes,
    /// Whether other files are linked, or in another order.
    pub(super) is_other_list: bool,
}

impl ListChanges {
    pub(super) fn of(found: &Found, options: &LinkOptions) -> Result<ListChanges, NoState> {
        let head = &found.head;
        let is_other_list = head.list != list_of(options);
        // In another list places mean nothing.
        let named = match is_other_list {
            true => {
                expect_alike(head, options)?;
                Vec::new()
            }
            false => named_files(options),
        };
        Ok(ListChanges {
            files: Changes::of(head, &named, Path::new(""), options.compare)?,
            is_other_list,
        })
    }

    pub(super) fn are_none(&self) -> bool {
        self.files.files.is_empty() && !self.is_other_list
    }

    /// Whether files are called otherwise beside which others are looked for.
    pub(super) fn moves_libraries(&self) -> bool {
        let mut renamed = self.files.renamed.iter();
        renamed.any(|(_, path)| !is_named_as_object(path))
    }

    /// The output is none of the files that are to be read.
    pub(super) fn expect_no_output(&self, options: &LinkOptions) -> crate::Result<()> {
        output::expect_not_an_input(&options.output, &self.files.files)?;
        if !self.is_other_list {
            return Ok(());
        }
        let libraries = find_libraries(options).filter_map(|library| library.found);
        let named = options.files().map(Path::to_path_buf);
        output::expect_not_an_input(&options.output, libraries.chain(named))
    }
}

pub(super) fn is_of_output(error: &Error) -> bool {
    error.kind() == ErrorKind::OutputChanged
}

/// The files that the arguments name or find, in order; `None` for libraries, which are looked for.
fn named_files(options: &LinkOptions) -> Vec<Option<&Path>> {
    let inputs = options.inputs.iter();
    let files = inputs.filter_map(|input| match input {
        InputArgument::File(path) => Some(Some(&**path)),
        InputArgument::Library(_) => Some(None),
        _ => None,
    });
    files.collect()
}
