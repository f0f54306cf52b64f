//! Where data goes.

use crate::layout::{Place, SectionKind};
use crate::patch::images::new_image;
use crate::patch::plan::context::Planned;
use crate::patch::plan::place::Placing;
use crate::patch::relink::RelinkReason;
use crate::program::{DeclId, Definition, DefinitionKind};

impl Placing<'_> {
    pub(super) fn place_data(&mut self, id: DeclId) -> Planned<Place> {
        let new = self.context.next(id);
        let DefinitionKind::Data {
            align_log2,
            size,
            memory,
            ..
        } = new.shape
        else {
            unreachable!("data has the shape of data")
        };
        let image = match self.layout.data.image_of(memory) {
            Some(image) => image,
            None => {
                if !self.layout.data_segments.is_empty() {
                    return Err(RelinkReason::DataArea.into());
                }
                self.whole.insert(SectionKind::Data);
                self.layout.data.add_image(new_image(
                    self.context.program,
                    self.context.data_ranges,
                    memory,
                )?)
            }
        };
        let zero = new.is_bss();
        let hot = self.context.program.decl(id).current().is_some();
        let cap = if hot { size + size / 4 } else { size };
        let address = self.layout.data.place(image, cap, align_log2, zero)?;
        let at = self.layout.data.image(image);
        let (held, base) = (at.base + at.cap, at.base);
        let end = address + cap;
        if !zero && end > held {
            let last = image.0 + 1 == self.layout.data.images().len()
                && self.layout.data_segments.is_empty();
            if !last {
                self.whole.insert(SectionKind::Data);
            }
            self.layout.data.set_cap(image, end - base);
            self.writes.images.insert(image);
            if held < address {
                self.writes.data_gaps.push((image, held..address));
            }
            if address + size < end {
                self.writes.data_gaps.push((image, address + size..end));
            }
        }
        if !zero {
            self.writes.data.insert(id);
        }
        Ok(Place::Data { address, cap })
    }

    pub(super) fn redefine_data(
        &mut self,
        id: DeclId,
        old: &Definition,
        address: u64,
        cap: u64,
    ) -> Planned {
        let new = self.context.next(id);
        if matches!(old.shape, DefinitionKind::Address(_))
            || matches!(new.shape, DefinitionKind::Address(_))
        {
            if let DefinitionKind::Data { memory, .. } = old.shape
                && let Some(image) = self.layout.data.image_of(memory)
            {
                self.layout.data.free(image, address, cap);
            }
            self.place_new(id, None)?;
            self.moved.insert(id);
            return Ok(());
        }
        let (
            DefinitionKind::Data { memory: before, .. },
            DefinitionKind::Data {
                align_log2,
                size,
                memory,
                ..
            },
        ) = (old.shape, new.shape)
        else {
            unreachable!("data has the shape of data")
        };
        let aligned = address.is_multiple_of(1 << align_log2);
        let same_area = before == memory && old.is_bss() == new.is_bss();
        if size <= cap && aligned && same_area {
            if !new.is_bss() {
                self.writes.data.insert(id);
            }
            return Ok(());
        }
        if let Some(image) = self.layout.data.image_of(before) {
            self.layout.data.free(image, address, cap);
        }
        self.writes.data.remove(&id);
        let place = self.place_data(id)?;
        self.layout.set_place(id, place);
        self.moved.insert(id);
        Ok(())
    }
}
