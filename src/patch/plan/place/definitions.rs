//! What is removed, defined and redefined, whatever its kind.

use crate::layout::{Place, SectionKind, Slot};
use crate::patch::lengths::entry_len;
use crate::patch::plan::context::Planned;
use crate::patch::plan::place::Placing;
use crate::patch::plan::writes::entity_section;
use crate::patch::relink::RelinkReason;
use crate::program::{DeclId, DeclKind, Definition, DefinitionKind};

impl Placing<'_> {
    /// Gives up the place of something that is removed.
    pub(super) fn remove(&mut self, id: DeclId) -> Planned {
        let decl = self.context.program.decl(id);
        let Some(old) = decl.current() else {
            return Ok(());
        };
        if let Some(slot) = self.layout.place(id).slot() {
            self.layout.slots.free(slot);
            self.writes.slots.insert(self.layout.slots.entry(slot));
        }
        // It may have had a name, if it has none now.
        if (decl.name.is_some() || decl.renamed) && decl.kind != DeclKind::Function {
            self.names_tail_is_stale = true;
        }
        if old.is_import() {
            self.remove_import(id)?
        } else {
            self.unplace(id, old)?
        }
        self.layout.set_place(id, Place::None);
        Ok(())
    }

    /// Gives up the place of something that was defined; its slot stays.
    fn unplace(&mut self, id: DeclId, old: &Definition) -> Planned {
        match self.layout.place(id) {
            Place::Function { entry, body, .. } => {
                self.vacate_body(id, body);
                if entry != body {
                    self.free_code(entry);
                }
            }
            Place::Global(ordinal) => self.free_global(ordinal)?,
            Place::Custom { section, region } => self.free_piece(section, region),
            Place::Data { address, cap } => {
                if let DefinitionKind::Data { memory, .. } = old.shape
                    && let Some(image) = self.layout.data.image_of(memory)
                {
                    self.layout.data.free(image, address, cap);
                }
            }
            Place::Index(_) => match self.context.program.decl(id).kind {
                DeclKind::Table => return Err(RelinkReason::TableIndices.into()),
                DeclKind::Memory => return Err(RelinkReason::MemoryIndices.into()),
                DeclKind::Tag => self.tags.remove(id),
                DeclKind::ElementSegment => self.elements.remove(id),
                _ => self.data_segments.remove(id),
            },
            Place::None | Place::ImportedFunction { .. } => {}
        }
        Ok(())
    }

    /// Places what has a new definition.
    pub(super) fn define(&mut self, id: DeclId) -> Planned {
        let decl = self.context.program.decl(id);
        let new = self.context.next(id);
        if decl.name.is_some() && decl.kind != DeclKind::Function && decl.current().is_none() {
            self.names_tail_is_stale = true;
        }
        match (decl.current(), new.is_import()) {
            (None, true) => self.add_import(id, None),
            (None, false) => self.place_new(id, None),
            (Some(old), true) if old.is_import() => {
                self.whole.insert(SectionKind::Import);
                Ok(())
            }
            (Some(old), false) if !old.is_import() => self.redefine(id, old),
            (Some(old), to_import) => {
                let slot = self.layout.place(id).slot();
                self.moved.insert(id);
                if to_import {
                    self.unplace(id, old)?;
                    self.add_import(id, slot)?;
                } else {
                    self.remove_import(id)?;
                    self.place_new(id, slot)?;
                }
                self.write_slot(slot);
                Ok(())
            }
        }
    }

    /// Places what stood nowhere, or as something else.
    pub(super) fn place_new(&mut self, id: DeclId, slot: Option<Slot>) -> Planned {
        let new = self.context.next(id);
        let len = new.content.len() as u32;
        let place = match new.shape {
            DefinitionKind::Function { ty } => {
                let body = self.place_body(id, entry_len(new.content.len()))?;
                let (options, program) = (self.layout.options, self.context.program);
                let thunk = options.thunks
                    && !program.is_frozen(program.decl(id))
                    && program.types.can_pass_on(ty);
                let (entry, slot) = if thunk {
                    let entry = self.place_thunk(id)?;
                    let slot = slot.unwrap_or_else(|| self.layout.slots.take(id));
                    self.write_slot(Some(slot));
                    (entry, Some(slot))
                } else {
                    let slot = match options.live {
                        true => Some(slot.unwrap_or_else(|| self.layout.slots.take(id))),
                        false => slot,
                    };
                    self.write_slot(slot);
                    (body, slot)
                };
                Place::Function { entry, body, slot }
            }
            DefinitionKind::Global => Place::Global(self.place_global(id, len)),
            DefinitionKind::Data { .. } => self.place_data(id)?,
            DefinitionKind::Address(address) => Place::Data { address, cap: 0 },
            DefinitionKind::Custom { section } => self.place_piece(id, section)?,
            DefinitionKind::Table | DefinitionKind::SlotTable => {
                self.layout.tables.push(id);
                self.whole.insert(SectionKind::Table);
                Place::Index(self.imported(DeclKind::Table) + self.layout.tables.len() as u32 - 1)
            }
            DefinitionKind::Memory { .. } => {
                self.layout.memories.push(id);
                self.whole.insert(SectionKind::Memory);
                Place::Index(
                    self.imported(DeclKind::Memory) + self.layout.memories.len() as u32 - 1,
                )
            }
            // What has its index by its place in a list gets it when it is known what is in the list.
            DefinitionKind::Tag { .. } => {
                self.tags.add(id);
                return Ok(());
            }
            DefinitionKind::ElementSegment => {
                self.elements.add(id);
                return Ok(());
            }
            DefinitionKind::DataSegment => {
                self.data_segments.add(id);
                return Ok(());
            }
            DefinitionKind::Import { .. } => unreachable!("imports are placed with the imports"),
        };
        self.layout.set_place(id, place);
        Ok(())
    }

    /// Places a new definition of what has a place.
    fn redefine(&mut self, id: DeclId, old: &Definition) -> Planned {
        let new = self.context.next(id);
        let len = new.content.len() as u32;
        match self.layout.place(id) {
            Place::Function { .. } => self.redefine_function(id, old.ty() != new.ty()),
            Place::Global(ordinal) => {
                if self.layout.globals.slot(ordinal).len == len {
                    self.writes.globals.insert(ordinal);
                } else {
                    self.free_global(ordinal)?;
                    let place = Place::Global(self.place_global(id, len));
                    self.layout.set_place(id, place);
                    self.moved.insert(id);
                }
                Ok(())
            }
            Place::Data { address, cap } => self.redefine_data(id, old, address, cap),
            Place::Custom { section, region } => self.redefine_piece(id, old, section, region),
            Place::Index(_) => {
                match self.context.program.decl(id).kind {
                    DeclKind::ElementSegment | DeclKind::DataSegment => {
                        self.redefine_segment(id, old);
                    }
                    kind => {
                        self.expect_room_for_data(id, new)?;
                        self.whole.insert(entity_section(kind));
                    }
                }
                Ok(())
            }
            place => unreachable!("a definition at {place:?}"),
        }
    }
    /// Data that stands in a memory must still be in it, by addresses as wide as they were.
    fn expect_room_for_data(&self, id: DeclId, new: &Definition) -> Planned {
        let DefinitionKind::Memory {
            minimum_bytes,
            is_64,
        } = new.shape
        else {
            return Ok(());
        };
        let data = &self.layout.data;
        match data.image_of(id).map(|image| data.image(image)) {
            Some(image) if image.limit > minimum_bytes || image.is_64 != is_64 => {
                Err(RelinkReason::DataArea.into())
            }
            _ => Ok(()),
        }
    }
}
