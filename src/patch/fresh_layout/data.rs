//! Where data goes.

use crate::error::{Error, Result};
use crate::layout::DataSpace;
use crate::patch::fresh_layout::request::Request;
use crate::patch::images::new_image;
use crate::program::{DeclId, DefinitionKind};

/// Gives data its addresses; returns these, and the bytes that stand there.
pub(super) fn place_data(
    request: &Request<'_>,
    images: &mut DataSpace,
    data: &[DeclId],
) -> Result<Vec<(DeclId, u64, u64)>> {
    let mut addresses = Vec::with_capacity(data.len());
    for &id in data {
        let decl = request.program.decl(id);
        let Some(definition) = decl.next() else {
            continue;
        };
        let DefinitionKind::Data {
            align_log2,
            size,
            memory,
        } = definition.shape
        else {
            continue;
        };
        let image = match images.image_of(memory) {
            Some(image) => image,
            None => images.add_image(new_image(request.program, request.data_ranges, memory)?),
        };
        let zero = definition.is_bss();
        let address = images.place(image, size, align_log2, zero).map_err(|_| {
            let image = images.image(image);
            Error::bad_edit(format!(
                "does not fit the addresses {:#x}..{:#x} that data may take",
                image.base, image.limit
            ))
            .with_symbol(decl.label())
            .with_hint("reserve more of the memory for data")
        })?;
        addresses.push((id, address, size));
    }
    for image in images.indices() {
        let cap = images.image(image).top - images.image(image).base;
        images.set_cap(image, cap);
    }
    Ok(addresses)
}
