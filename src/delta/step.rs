//! What a commit gives to instances that run, and how it is made from the commit.

use std::sync::Arc;

use crate::delta::artifact::{Delta, Header};
use crate::delta::collect::{Contents, Sides, is_called_directly};
use crate::delta::module;
use crate::delta::policy::{Refusal, RefusalReason};
use crate::delta::view::{Places, View};
use crate::layout::{Layout, Place};
use crate::patch::{BuildIdentity, RelinkReason};
use crate::program::{DeclId, Declaration, Pending, Program, References};

/// What a commit means for instances that run.
#[derive(Debug, Clone)]
pub enum LiveStep {
    /// They can take it in.
    Delta {
        /// What brings them to the new version.
        delta: Arc<Delta>,
        /// What takes it back, if that can be.
        undo: Option<Arc<Delta>>,
    },
    /// They cannot; the file has been written all the same. Deltas of later commits are for instances of that file.
    Refused(Vec<Refusal>),
}

/// How things were before a commit.
#[derive(Debug, Default)]
pub(crate) struct Before {
    places: Places,
}

impl Before {
    /// To be called before anything gets another place.
    pub(crate) fn of(program: &Program, layout: &Layout) -> Before {
        let dirty = program.dirty.iter();
        let places = dirty.map(|id| (*id, layout.place(*id))).collect();
        Before { places }
    }
}

/// A commit that has been published and is not current yet.
pub(crate) struct Commit<'a> {
    pub(crate) program: &'a Program,
    pub(crate) references: &'a References,
    pub(crate) from: BuildIdentity,
    pub(crate) to: BuildIdentity,
    /// Where things stand now.
    pub(crate) layout: &'a Layout,
    /// Where they stood.
    pub(crate) before: OldPlaces<'a>,
    /// Why everything was laid out anew, if it was.
    pub(crate) relink: Option<RelinkReason>,
    /// The start function before and after it.
    pub(crate) starts: [Option<DeclId>; 2],
    /// Whether what takes it back is asked for.
    pub(crate) undo: bool,
}

/// Where things stood before a commit.
#[derive(Clone, Copy)]
pub(crate) enum OldPlaces<'a> {
    /// As now, but for these.
    But(&'a Before),
    /// As this layout says, since everything was laid out anew.
    Other(&'a Layout),
}

/// Makes the delta of a commit.
pub(crate) fn make(commit: &Commit<'_>) -> LiveStep {
    let program = commit.program;
    let after = View {
        program,
        layout: commit.layout,
        places: None,
        is_before: false,
    };
    let before = View {
        is_before: true,
        ..after
    };
    let before = match commit.before {
        OldPlaces::But(places) => View {
            places: Some(&places.places),
            ..before
        },
        OldPlaces::Other(layout) => View { layout, ..before },
    };
    if program.thaws() {
        let changed = program.dirty.iter().copied();
        let changed =
            changed.filter(|id| is_called_directly(before, *id) && after.definition(*id).is_some());
        let refusals = changed.map(|id| Refusal {
            reason: RefusalReason::Library,
            symbol: program.decl(id).label().to_owned(),
        });
        return LiveStep::Refused(refusals.collect());
    }
    if let Some(reason) = commit.relink
        && let Some(refusal) = moved(before, after, reason)
    {
        return LiveStep::Refused(vec![refusal]);
    }
    let sides = Sides {
        before,
        after,
        references: commit.references,
        undoes: false,
    };
    let mut contents = Contents::between(sides, &program.dirty);
    if let [old, Some(new)] = commit.starts
        && old != Some(new)
    {
        let symbol = program.decl(new).label().to_owned();
        let reason = RefusalReason::Start;
        contents.refusals.push(Refusal { reason, symbol });
    }
    if !contents.refusals.is_empty() {
        contents.refusals.sort_by_key(|refusal| refusal.reason);
        return LiveStep::Refused(contents.refusals);
    }
    let write = |view, contents: &Contents, from, to| {
        let header = Header { from, to };
        module::write(view, contents, header).map(Arc::new)
    };
    let delta = match write(after, &contents, commit.from, commit.to) {
        Ok(delta) => delta,
        Err(refusal) => return LiveStep::Refused(vec![refusal]),
    };
    let undo = || {
        let sides = Sides {
            before: after,
            after: before,
            undoes: true,
            ..sides
        };
        let contents = Contents::between(sides, &program.dirty);
        let can_be = contents.refusals.is_empty();
        let undo = can_be.then(|| write(before, &contents, commit.to, commit.from));
        undo.and_then(Result::ok)
    };
    LiveStep::Delta {
        delta,
        undo: commit.undo.then(undo).flatten(),
    }
}

/// What has not changed and yet has another slot or address, since everything was laid out anew. Where slots and addresses
/// were not kept, also what is new: it may have been given what something else had, and nobody knows what is there now.
fn moved(before: View<'_>, after: View<'_>, reason: RelinkReason) -> Option<Refusal> {
    let address = |place| match place {
        Place::Data { address, .. } => Some(address),
        _ => None,
    };
    let has_moved = |id: DeclId| {
        let (old, new) = (before.place(id), after.place(id));
        let slot = old.slot().is_some() && old.slot() != new.slot();
        slot || address(old) != address(new)
    };
    let program = after.program;
    let unchanged = |decl: &Declaration| {
        decl.current().is_some() && matches!(decl.pending(), Pending::None) && !decl.is_orphan
    };
    let (reason, kept) = match reason {
        RelinkReason::ReserveFull | RelinkReason::DataArea => (RefusalReason::Reserve, false),
        reason => (RefusalReason::Moved, reason != RelinkReason::Requested),
    };
    let is_new = |id: DeclId, decl: &Declaration| {
        let (old, new) = (before.place(id), after.place(id));
        let slot = new.slot().is_some() && old.slot() != new.slot();
        let address = address(new).is_some() && address(old) != address(new);
        decl.next().is_some() && !decl.is_orphan && (slot || address)
    };
    let mut all = program.iter();
    let (_, decl) = all.find(|(id, decl)| match unchanged(decl) {
        true => has_moved(*id),
        false => !kept && is_new(*id, decl),
    })?;
    Some(Refusal {
        reason,
        symbol: decl.label().to_owned(),
    })
}
