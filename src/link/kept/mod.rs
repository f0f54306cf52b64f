//! A link that goes on where another process ended: what a linker that is started for each build needs to patch, and what one that goes on
//! leaves for others ([`KeptLink`]).
//!
//! What a link knows is kept in an arena (`kept`), but for the contents of its inputs. [`KeptLink::resume`] looks for that: the options, the
//! program itself, the output, every file that was read. If nothing has changed there is nothing to do; if objects or their list have, the
//! arena is mapped, the link in it is brought up to date as [`Linked::update`] does, and what this changed is written back. In any other
//! case, and whenever something is not as expected, the answer is a [`NoState`], and the caller links from the beginning
//! ([`KeptLink::link_first`]): slower, never different.
//!
//! This says what of the options is to be the same, and which files a link has read; how a state is found and written is not
//! known here.

mod asked;
mod changes;
mod files;
mod going;

use crate::kept::Stop;
use crate::link::report::Failed;

pub use asked::state_name;
pub use going::KeptLink;

impl From<Failed> for Stop<Failed> {
    fn from(failed: Failed) -> Stop<Failed> {
        Stop::Failed(failed)
    }
}
