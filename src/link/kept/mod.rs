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
mod changes;
mod files;
mod going;

use std::path::Path;

use crate::error::Error;
use crate::kept::{After, NoState, Opened, Resumed, Stop, Store};
use crate::link::command::options::LinkOptions;
use crate::link::pipeline::Target;
use crate::link::report::{Failed, LinkReport};
use crate::link::session::Linked;
use crate::object::Access;
use crate::output::OutputOptions;

use asked::{asked_of, settled};
use changes::ListChanges;

pub use asked::state_name;
pub use going::KeptLink;

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
    let found = store.find(&|| asked_of(options))?;
    let changes = ListChanges::of(&found, options)?;
    if changes.are_none() {
        store.restore(&found)?;
        let flushed = store.flush(publishing.durability);
        flushed.map_err(|error| cannot_flush(&options.output, &error))?;
        return Ok(Resumed::Unchanged);
    }
    begin();
    let mut link = KeptLink::new();
    match link.open(store, found, changes, options, publishing)? {
        Opened::Unusable(why) => Ok(Resumed::Unusable(why)),
        Opened::Updated(report) => Ok(Resumed::Updated {
            report,
            saved: link.save_for(After::End),
        }),
    }
}

fn cannot_flush(output: &Path, error: &std::io::Error) -> Failed {
    Failed::from(Error::io("cannot flush", output, error))
}

impl Linked {
    /// Links what the options say, as [`Linked::link`] does, and keeps what it knows for the next process ([`resume`]). Also returns
    /// how many bytes were kept, or why nothing could be.
    ///
    /// # Errors
    /// All that went wrong. Nothing is written then.
    pub fn link_kept(
        options: &LinkOptions,
        publishing: OutputOptions,
    ) -> Result<(LinkReport, Result<u64, String>), Failed> {
        let mut link = KeptLink::new();
        match link.begin(options) {
            Ok(store) => {
                let report = link.link_kept(store, options, publishing)?;
                Ok((report, link.save_for(After::End)))
            }
            Err(reason) => link_unkept(options, publishing, &reason),
        }
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
