//! The source files that a unit's new line table names: those that something in the delta names, and no others.

use crate::hash::HashMap;
use gimli::write::{FileId, LineProgram, LineString};
use gimli::{Reader as _, UnitSectionOffset};

use super::sources::{Dwarf, Read, Unit};

/// From the numbers of files in line tables that are read to those in the one that is written.
pub(super) struct Files<'a> {
    dwarf: &'a Dwarf<'a>,
    /// The folder in which the unit was compiled.
    folder: Vec<u8>,
    /// By the unit that a number is said in, and the number.
    known: HashMap<(UnitSectionOffset, u64), Option<FileId>, foldhash::fast::FixedState>,
}

/// What stands for a file that no table has.
const UNKNOWN: &[u8] = b"<unknown>";

impl<'a> Files<'a> {
    pub(super) fn new(dwarf: &'a Dwarf<'a>, folder: Vec<u8>) -> Files<'a> {
        Files {
            dwarf,
            folder,
            known: HashMap::default(),
        }
    }

    /// The file with this number in a unit.
    pub(super) fn get(
        &mut self,
        unit: &Unit<'a>,
        index: u64,
        out: &mut LineProgram,
    ) -> Option<FileId> {
        let key = (unit.header.offset(), index);
        if let Some(known) = self.known.get(&key) {
            return *known;
        }
        let file = self.add(unit, index, out).ok().flatten();
        self.known.insert(key, file);
        file
    }

    fn add(&self, unit: &Unit<'a>, index: u64, out: &mut LineProgram) -> Read<Option<FileId>> {
        // Before version 5, 0 is no file.
        let Some(program) = unit.line_program.as_ref() else {
            return Ok(None);
        };
        let header = program.header();
        if header.version() < 5 && index == 0 {
            return Ok(None);
        }
        let Some(file) = header.file(index) else {
            return Ok(None);
        };
        let text = |value| {
            self.dwarf
                .attr_string(unit, value)?
                .to_slice()
                .map(Vec::from)
        };
        let name = text(file.path_name())?;
        let folder = match file.directory(header) {
            Some(folder) => text(folder)?,
            None => Vec::new(),
        };
        // Readers put the unit's folder before all others, but not before that one.
        let is_own = folder.is_empty() || (file.directory_index() == 0 && folder == self.folder);
        let folder = match is_own {
            true => out.default_directory(),
            false => out.add_directory(LineString::String(folder)),
        };
        if name.is_empty() {
            return Ok(None);
        }
        Ok(Some(out.add_file(LineString::String(name), folder, None)))
    }

    /// What rows are of whose file is not known.
    pub(super) fn unknown(out: &mut LineProgram) -> FileId {
        let folder = out.default_directory();
        out.add_file(LineString::String(UNKNOWN.to_vec()), folder, None)
    }
}
