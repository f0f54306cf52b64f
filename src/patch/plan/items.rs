//! Where globals and data go.

use super::*;

impl Planner<'_> {
    pub(super) fn place_global(&mut self, id: DeclId, len: u32) -> Ordinal {
        let ordinal = self.layout.globals.place(len, id);
        self.writes.globals.insert(ordinal);
        ordinal
    }

    pub(super) fn free_global(&mut self, ordinal: Ordinal) -> Planned {
        let len = self.layout.globals.slot(ordinal).len as usize;
        unused_global(&mut vec![0; len]).ok_or(RelinkReason::GlobalFiller)?;
        self.layout.globals.free(ordinal);
        self.writes.globals.insert(ordinal);
        Ok(())
    }

    pub(super) fn place_data(&mut self, id: DeclId) -> Planned<Place> {
        let new = self.next(id);
        let DefinitionKind::Data {
            align_log2,
            size,
            memory,
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
                self.writes.whole.insert(SectionKind::Data);
                self.layout.data.add_image(new_image(
                    self.from.program,
                    self.from.data_ranges,
                    memory,
                )?)
            }
        };
        let zero = new.content.is_empty();
        let hot = self.from.program.decl(id).current().is_some();
        let cap = if hot { size + size / 4 } else { size };
        let address = self.layout.data.place(image, cap, align_log2, zero)?;
        let at = &self.layout.data.images()[image];
        let (held, base) = (at.base + at.cap, at.base);
        let end = address + cap;
        if !zero && end > held {
            let last = image + 1 == self.layout.data.images().len()
                && self.layout.data_segments.is_empty();
            if !last {
                self.writes.whole.insert(SectionKind::Data);
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
        let new = self.next(id);
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
            },
        ) = (old.shape, new.shape)
        else {
            unreachable!("data has the shape of data")
        };
        let aligned = address.is_multiple_of(1 << align_log2);
        let same_area = before == memory && old.content.is_empty() == new.content.is_empty();
        if size <= cap && aligned && same_area {
            if !new.content.is_empty() {
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

    /// Globals may name earlier ones only: those that are new here or went to another place must still stand in order.
    pub(super) fn check_global_order(&self) -> Planned {
        let program = self.from.program;
        let in_order = |id: DeclId| {
            let Place::Global(ordinal) = self.layout.place(id) else {
                return true;
            };
            let relocs = program.decl(id).next().map(|next| next.content.relocs());
            relocs
                .into_iter()
                .flatten()
                .filter_map(|reloc| reloc.decl())
                .all(|target| match self.layout.place(target) {
                    Place::Global(target) => target < ordinal,
                    _ => true,
                })
        };
        let touched = program.dirty.iter().chain(&self.moved).copied();
        for id in touched.filter(|id| program.decl(*id).kind == DeclKind::Global) {
            let sources = self.from.references.of(program, id);
            let globals = sources
                .into_iter()
                .filter(|source| program.decl(*source).kind == DeclKind::Global);
            if !std::iter::once(id).chain(globals).all(in_order) {
                return Err(RelinkReason::GlobalOrder.into());
            }
        }
        Ok(())
    }
}
