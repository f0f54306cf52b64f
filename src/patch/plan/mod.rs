//! The plan of a commit: where everything stands once it is published, and what must be written for that.
//!
//! Planning has four phases, and each is a type that is made from the one before and nothing else. An order that would be
//! wrong does not compile: who follows references to what moved has a [`place::Placed`] in hand, in which nothing can be
//! placed any more; who gives sections their bytes has a [`measure::Measured`], in which no item can change its length.
//!
//! The layout is changed inside a transaction that the caller opened; the caller rolls it back if the commit cannot
//! be a patch. Nothing is encoded here: see `patch::write_patch`.

mod allocate;
mod context;
mod fixed;
mod follow;
mod measure;
mod place;
mod writes;

pub(crate) use context::{PlanContext, PlanError};
pub(crate) use writes::{OrphanSite, Site, Writes, WrittenItems};

use crate::layout::Layout;

/// Plans the pending edits as a patch.
pub(crate) fn plan(context: PlanContext<'_>, layout: &mut Layout) -> Result<Writes, PlanError> {
    // From here on everything has the place that it will be published at, and it is known what moved for that. Nothing
    // is placed after this.
    let placed = place::place(context, layout)?;
    // From here on every field that names something which moved is among what is written. Nothing is rewritten after this
    // but whole sections.
    let followed = placed.follow();
    // From here on the layout knows the length of every section. No item changes after this.
    let measured = followed.measure();
    // From here on every section stands where it will be in the file, and offsets in it mean something.
    measured.allocate()
}
