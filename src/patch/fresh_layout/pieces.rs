//! Where pieces of custom sections go.

use crate::error::{Error, Result};
use crate::layout::{CustomSpace, Layout, Place};
use crate::patch::images::has_wide_addresses;
use crate::patch::lengths::{first_piece_slack, piece_slack};
use crate::program::{DeclId, Definition, Program, SectionId};

/// Places pieces of custom sections: the sections in the order of their ids, or by name in a dense output.
pub(super) fn place_pieces(
    program: &Program,
    layout: &mut Layout,
    pieces: &[DeclId],
) -> Result<()> {
    if pieces.is_empty() {
        return Ok(());
    }
    let next = |id: DeclId| program.decl(id).next();
    let wide = program
        .iter()
        .any(|(_, decl)| decl.next().is_some_and(has_wide_addresses));
    layout.customs = CustomSpace::new(wide, layout.options.dense);
    let section_of = |id: &DeclId| next(*id).and_then(Definition::section);
    let mut sections: Vec<SectionId> = pieces.iter().filter_map(section_of).collect();
    sections.sort_unstable();
    sections.dedup();
    let name = |id: SectionId| &*program.sections()[id.index()];
    if layout.options.dense {
        sections.sort_by_key(|id| name(*id));
    }
    for id in sections {
        let at = layout.customs.add(id, name(id), program.filler(id));
        layout
            .sections
            .add_custom(layout.customs.section(at).header_len());
    }
    // The last piece of a section can grow where it stands. What the largest leaves when it moves would be most of a
    // section, so that is the one; but not where readers may care for the order.
    let mut largest: Vec<(u32, Option<DeclId>)> = vec![(0, None); program.sections().len()];
    for &id in pieces.iter().filter(|_| !layout.options.dense) {
        if let Some(definition) = next(id)
            && let Some(section) = definition.section()
            && name(section).starts_with(".debug_")
        {
            let len = definition.content.len() as u32;
            let most = &mut largest[section.index()];
            *most = (*most).max((len, Some(id)));
        }
    }
    let last: Vec<DeclId> = largest.into_iter().filter_map(|(_, id)| id).collect();
    let others = pieces.iter().filter(|id| !last.contains(id));
    for &id in others.chain(&last) {
        let decl = program.decl(id);
        let Some(definition) = decl.next() else {
            continue;
        };
        let section = definition.section().and_then(|id| layout.customs.find(id));
        let Some(section) = section else { continue };
        let custom = layout.customs.section_mut(section);
        let len = definition.content.len() as u32;
        // Strings stay as they are: what edits bring stands elsewhere.
        let changes = custom.name.starts_with(".debug_") && !custom.name.contains("str");
        let slack = match decl.edited {
            _ if layout.options.dense => 0,
            true => piece_slack(&custom.filler, len),
            false if changes => first_piece_slack(&custom.filler, len),
            false => 0,
        };
        let full = || {
            Error::limit("a custom section would exceed 4 GiB").with_symbol(decl.label().to_owned())
        };
        let cap = len.checked_add(slack).ok_or_else(full)?;
        let region = custom.append(cap, id).map_err(|_| full())?;
        layout.set_place(id, Place::Custom { section, region });
    }
    Ok(())
}
