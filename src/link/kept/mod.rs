//! A link that goes on where another process ended: what a linker that is started for each build needs to patch.
//!
//! All that a link knows is kept in an arena (`kept`). [`resume`] looks for that: the options, the program itself, the output,
//! every file that was read. If nothing has changed there is nothing to do; if objects have, the arena is mapped, the link in it is
//! brought up to date as [`Linked::update`] does, and what this changed is written back. In any other case, and whenever something
//! is not as expected, the answer is a [`NoState`], and the caller links from the beginning ([`Linked::link_kept`]): slower,
//! never different.
//!
//! This says what of the options is to be the same, and which files a link has read; how a state is found and written is not
//! known here.

mod asked;
mod files;

use std::path::Path;

use crate::error::{Error, ErrorKind};
use crate::heap;
use crate::kept::{Basis, Changes, Found, NoState, Resumed, Stop, Store, caught};
use crate::link::command::options::{InputArgument, LinkOptions};
use crate::link::inputs::find_libraries;
use crate::link::pipeline::Target;
use crate::link::report::{Failed, LinkReport};
use crate::link::session::Linked;
use crate::object::{Access, Input};
use crate::output::{self, OutputOptions};

use asked::{asked_of, expect_alike, is_named_as_object, list_of, settled};
use files::{Reading, absent_files, all_files, files_after};

pub use asked::state_name;

/// Goes on with the link that an earlier process did for these options, if there is one.
///
/// From here on the process may allocate in the arena of that link: it is to be called once, and the process should end
/// soon after. `begin` is called before anything is written or shared out to threads, if there is anything to do.
///
/// # Errors
/// What the link says of its inputs; the output is as it was then, and so is what is kept.
pub fn resume(
    options: &LinkOptions,
    publishing: OutputOptions,
    begin: impl FnOnce(),
) -> Result<Resumed<LinkReport>, Failed> {
    Stop::ended(try_resume(options, publishing, begin))
}

impl From<Failed> for Stop<Failed> {
    fn from(failed: Failed) -> Stop<Failed> {
        Stop::Failed(failed)
    }
}

fn try_resume(
    options: &LinkOptions,
    publishing: OutputOptions,
    begin: impl FnOnce(),
) -> Result<Resumed<LinkReport>, Stop<Failed>> {
    let store = Store::<Linked>::of(&options.output, &settled(options))?;
    let asked = || asked_of(options);
    let mut found = store.find(&asked)?;
    let mut changes = ListChanges::of(&found, options)?;
    if changes.are_none() {
        store.restore(&found)?;
        return Ok(Resumed::Unchanged);
    }
    begin();
    // From here on no other process writes the arena's file. One may have, up to here.
    let locked = store.lock()?;
    if let Some(other) = store.find_other(&found, &asked)? {
        changes = ListChanges::of(&other, options)?;
        found = other;
    }
    changes.expect_no_output(options).map_err(Failed::from)?;
    let (image, linked, seen) = store.open(locked, &found)?;
    let began = output::now();
    let done = caught(|| {
        linked.resume_output(publishing, seen)?;
        if changes.is_other_list {
            return linked.update_list(options, &changes.files.files);
        }
        linked.rename_inputs(options, &changes.files.renamed);
        linked.update(&changes.files.files)
    });
    let report = match done {
        Ok(Ok(report)) => report,
        Ok(Err(failed)) if failed.0.errors.iter().all(is_of_output) => {
            return Ok(Resumed::Unusable(failed.to_string()));
        }
        Ok(Err(failed)) => return Err(Stop::Failed(failed)),
        Err(why) => return Ok(Resumed::Unusable(why)),
    };
    // What was looked at once is not looked at again, for that would be most of what this process touches; unless a link from
    // the inputs has read other members, or libraries are looked for elsewhere.
    let is_as_before = report.resolved_anew.is_none() && !changes.moves_libraries();
    let kept = linked.keep_objects(is_as_before.then_some(&changes.files.places));
    Input::forget_mapped_again();
    // What only the head needs is not to be kept.
    let _paused = heap::pause();
    let head = found.head;
    let reading = Reading {
        began,
        compare: options.compare,
    };
    let (files, absent) = match is_as_before {
        true => {
            let files = files_after(&head.files, linked, &changes.files.places, reading);
            (files, head.absent)
        }
        false => (all_files(linked, reading), absent_files(linked)),
    };
    let basis = Basis {
        first_len: head.first_len,
        files: files.filter(|_| kept.is_ok()),
        absent,
        list: list_of(options),
    };
    let saved = store.save(&image, linked.state.module.published(), basis);
    Ok(Resumed::Updated {
        report: Box::new(report),
        saved,
    })
}

/// What is asked for that was not, as far as an update can follow it.
struct ListChanges {
    /// Files that are not what they were, or are called otherwise.
    files: Changes,
    /// Whether other files are linked, or in another order.
    is_other_list: bool,
}

impl ListChanges {
    fn of(found: &Found, options: &LinkOptions) -> Result<ListChanges, NoState> {
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

    fn are_none(&self) -> bool {
        self.files.files.is_empty() && !self.is_other_list
    }

    /// Whether files are called otherwise beside which others are looked for.
    fn moves_libraries(&self) -> bool {
        let mut renamed = self.files.renamed.iter();
        renamed.any(|(_, path)| !is_named_as_object(path))
    }

    /// The output is none of the files that are to be read.
    fn expect_no_output(&self, options: &LinkOptions) -> crate::Result<()> {
        output::expect_not_an_input(&options.output, &self.files.files)?;
        if !self.is_other_list {
            return Ok(());
        }
        let libraries = find_libraries(options).filter_map(|library| library.found);
        let named = options.files().map(Path::to_path_buf);
        output::expect_not_an_input(&options.output, libraries.chain(named))
    }
}

fn is_of_output(error: &Error) -> bool {
    error.kind() == ErrorKind::OutputChanged
}

impl Linked {
    /// Links what the options say, as [`Linked::link`] does, and keeps what it knows for the next process ([`resume`]). From here
    /// on the process allocates in an arena. Also returns how many bytes were kept, or why nothing could be.
    ///
    /// # Errors
    /// All that went wrong. Nothing is written then.
    pub fn link_kept(
        options: &LinkOptions,
        publishing: OutputOptions,
    ) -> Result<(LinkReport, Result<u64, String>), Failed> {
        let began = output::now();
        let store = Store::<Linked>::of(&options.output, &settled(options));
        let begun = store.and_then(|store| Ok((store.begin()?, store)));
        let (begun, store) = match begun {
            Ok(begun) => begun,
            Err(reason) => return link_unkept(options, publishing, &reason),
        };
        // What is kept must stand in the arena: the options that were made before do not.
        let target = Target::File(publishing);
        let (linked, report) = Linked::link(options.clone(), Access::Keep, target)?;
        let kept = linked.keep_objects(None);
        let linked = store.keep(linked);
        // What only the head needs is not to be kept.
        let _paused = heap::pause();
        let reading = Reading {
            began,
            compare: options.compare,
        };
        let basis = Basis {
            first_len: 0,
            files: all_files(linked, reading).filter(|_| kept.is_ok()),
            absent: absent_files(linked),
            list: list_of(options),
        };
        let published = linked.state.module.published();
        let saved = store.save_new(begun, published, basis, &asked_of(options));
        Ok((report, saved))
    }
}

fn link_unkept(
    options: &LinkOptions,
    publishing: OutputOptions,
    reason: &NoState,
) -> Result<(LinkReport, Result<u64, String>), Failed> {
    let (module, report) = Linked::link_once(options, Access::Map, Target::File(publishing))?;
    std::mem::forget(module);
    Ok((report, Err(reason.to_string())))
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
