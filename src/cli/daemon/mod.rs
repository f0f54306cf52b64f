//! `wasmend ld --daemon`: a process that stays for an output, keeps in memory what its links know, and does them for the processes
//! that are started for each build.
//!
//! A process that is to link asks the one that stays, over a socket in the output's state folder, and starts one if there is
//! none. It sends what it was called with and lends its folder and its standard streams, so that what is done and said is what it would
//! have done and said. What stays is its program at the same place, by the same user: everything else links for itself, as it does
//! whenever it gets no answer.
//!
//! Between links the process that stays holds nothing that others could want: what it knows is saved, and it goes on from memory only if
//! that is still what is saved ([`KeptLink::rest`](wasmend::link::KeptLink::rest)). So nothing depends on it, and it may end at any time: when nobody has asked
//! for some minutes, when it takes much memory, or when all is to be linked anew, for which another one is started.
//!
//! How a link is done is not known here: that is `ld_state`'s.

mod channel;
mod client;
mod request;
mod server;

use wasmend::link::LinkOptions;
use wasmend::output::Durability;

use crate::cli::args::General;
use crate::cli::kept;

pub(crate) use client::{ask, end, staying};
pub(crate) use server::serve;

/// What a process was called with that is to link.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) arguments: &'a [String],
    pub(crate) general: General,
    pub(crate) durability: Durability,
}

/// Whether a process is to be asked that stays. One that was started in the place of another one is to link itself.
pub(crate) fn is_wanted(options: &LinkOptions) -> bool {
    options.state != Some(false)
        && kept::is_to_stay(options.daemon)
        && kept::why_started_again().is_none()
}
