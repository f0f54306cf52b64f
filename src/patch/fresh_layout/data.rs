//! Where data goes.

use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::layout::{DataItem, DataSpace, Layout, Place, sort_for_packing};
use crate::parallel::{region, task};
use crate::patch::fresh_layout::request::Request;
use crate::patch::images::new_image;
use crate::patch::order::RUN;
use crate::program::{DeclId, DefinitionKind};

/// Gives data its addresses; returns these, and the bytes that stand there. Data is packed if alignment wastes more than
/// there is room for in the order of the layout.
pub(super) fn place_data(
    request: &Request<'_>,
    images: &mut DataSpace,
    data: &[DeclId],
) -> Result<Vec<(DeclId, u64, u64)>> {
    let place = |&id: &DeclId| {
        let definition = request.program.decl(id).next()?;
        let DefinitionKind::Data {
            align_log2,
            size,
            memory,
            ..
        } = definition.shape
        else {
            return None;
        };
        let is_zero = definition.is_bss();
        let item = DataItem {
            size,
            align_log2,
            is_zero,
        };
        Some((id, memory, item))
    };
    let run = |run: &[DeclId]| task(|| run.iter().filter_map(place).collect());
    let runs = data.par_chunks(RUN);
    let runs: Vec<Vec<(DeclId, DeclId, DataItem)>> = region(|| runs.map(run).collect());
    let mut placed = runs.concat();
    if let Some(kept) = request.kept {
        return place_kept(request, kept, images, placed);
    }
    let is_unplaced = images.images().is_empty();
    let mut addresses = Vec::new();
    let mut placing = place_all(request, images, &placed, &mut addresses);
    if placing.is_err() && is_unplaced {
        *images = DataSpace::new(request.options.live);
        addresses.clear();
        sort_for_packing(&mut placed, |(_, _, item)| *item);
        placing = place_all(request, images, &placed, &mut addresses);
    }
    placing?;
    for image in images.indices() {
        let cap = images.image(image).top - images.image(image).base;
        images.set_cap(image, cap);
    }
    Ok(addresses)
}

/// Gives data the addresses that it has in another layout, as far as it still fits them.
fn place_kept(
    request: &Request<'_>,
    kept: &Layout,
    images: &mut DataSpace,
    mut placed: Vec<(DeclId, DeclId, DataItem)>,
) -> Result<Vec<(DeclId, u64, u64)>> {
    *images = kept.data.kept();
    let mut addresses = Vec::new();
    placed.retain(|&(id, memory, item)| {
        let Place::Data { address, cap } = kept.place(id) else {
            return true;
        };
        let stood_there = request.program.decl(id).current().is_some_and(|old| {
            let its =
                matches!(old.shape, DefinitionKind::Data { memory: its, .. } if its == memory);
            its && old.is_bss() == item.is_zero
        });
        let fits = item.size <= cap && address.is_multiple_of(1 << item.align_log2);
        if stood_there && fits {
            addresses.push((id, address, cap));
        }
        !(stood_there && fits)
    });
    place_all(request, images, &placed, &mut addresses)?;
    for image in images.indices() {
        let cap = images.image(image).top - images.image(image).base;
        images.set_cap(image, cap);
    }
    Ok(addresses)
}

/// Places data in this order.
fn place_all(
    request: &Request<'_>,
    images: &mut DataSpace,
    placed: &[(DeclId, DeclId, DataItem)],
    addresses: &mut Vec<(DeclId, u64, u64)>,
) -> Result<()> {
    addresses.reserve(placed.len());
    for &(id, memory, item) in placed {
        let image = match images.image_of(memory) {
            Some(image) => image,
            None => images.add_image(new_image(request.program, request.data_ranges, memory)?),
        };
        let address = images.pack(image, item);
        let address = address.map_err(|_| {
            let image = images.image(image);
            Error::bad_edit(format!(
                "does not fit the addresses {:#x}..{:#x} that data may take",
                image.base, image.limit
            ))
            .with_symbol(request.program.decl(id).label())
            .with_hint("reserve more of the memory for data")
        })?;
        addresses.push((id, address, item.size));
    }
    Ok(())
}
