//! The rows of a unit's line table that are of code in the delta.
//!
//! A line table is a program, with one sequence for each function, and is as long as the whole unit. Where a sequence begins
//! is not said anywhere; but each sets an address early, in a field that is known. So from the field before the one that is
//! looked for, a few bytes are stepped over up to the end of that sequence, and only what follows is run.

use std::ops::Range;

use gimli::write::{Address, FileId, LineProgram};
use gimli::{
    ColumnType, DebugLine, DebugLineOffset, Format, LineProgramHeader, LittleEndian, Reader as _,
    SectionId, constants,
};

use super::files::Files;
use super::sources::{Read, Reader, Sources, Unit};
use crate::program::RelocKind;
use crate::wire::leb;

const LINES: SectionId = SectionId::DebugLine;

/// Copies the rows of code that is in the delta, and returns where that stands.
pub(super) fn copy<'a>(
    unit: &Unit<'a>,
    sources: &Sources<'a>,
    files: &mut Files<'a>,
    out: &mut LineProgram,
) -> Read<Vec<Range<u64>>> {
    let Some(program) = unit.line_program.as_ref() else {
        return Ok(Vec::new());
    };
    let header = program.header();
    let Some(reduced) = reduced(header, sources)? else {
        return Ok(Vec::new());
    };
    let lines = DebugLine::new(&reduced, LittleEndian);
    let size = unit.encoding().address_size;
    let mut rows = lines.program(DebugLineOffset(0), size, None, None)?.rows();
    let mut code = Vec::new();
    let mut sequence: Vec<gimli::LineRow> = Vec::new();
    while let Some((_, row)) = rows.next_row()? {
        sequence.push(*row);
        if row.end_sequence() {
            code.extend(add(&sequence, unit, sources, files, out));
            sequence.clear();
        }
    }
    Ok(code)
}

/// Adds a sequence, if it is of code that is in the delta and goes onward, as sequences must. Returns where it stands.
fn add<'a>(
    sequence: &[gimli::LineRow],
    unit: &Unit<'a>,
    sources: &Sources<'a>,
    files: &mut Files<'a>,
    out: &mut LineProgram,
) -> Option<Range<u64>> {
    let [first, .., last] = sequence else {
        return None;
    };
    let (start, end) = (first.address(), last.address());
    let is_onward = sequence.is_sorted_by_key(gimli::LineRow::address);
    let line = |row: &gimli::LineRow| row.line().map_or(0, |line| line.get());
    let has_lines = sequence.iter().all(|row| line(row) <= u32::MAX.into());
    if !sources.code.has(start) || start == end || !is_onward || !has_lines {
        return None;
    }
    out.begin_sequence(Some(Address::Constant(start)));
    for row in &sequence[..sequence.len() - 1] {
        let file: Option<FileId> = files.get(unit, row.file_index(), out);
        let file = file.unwrap_or_else(|| Files::unknown(out));
        let to = out.row();
        to.address_offset = row.address() - start;
        to.file = file;
        to.line = line(row);
        to.column = match row.column() {
            ColumnType::LeftEdge => 0,
            ColumnType::Column(column) => column.get(),
        };
        to.discriminator = row.discriminator();
        to.is_statement = row.is_stmt();
        to.basic_block = row.basic_block();
        to.prologue_end = row.prologue_end();
        to.epilogue_begin = row.epilogue_begin();
        to.isa = row.isa();
        out.generate_row();
    }
    out.end_sequence(end - start);
    Some(start..end)
}

/// The line table with nothing but the sequences of code in the delta, and with the values of its fields; none if there are
/// no such sequences.
fn reduced(header: &LineProgramHeader<Reader<'_>>, sources: &Sources<'_>) -> Read<Option<Vec<u8>>> {
    let steps = Steps {
        bytes: sources.plain(LINES),
        opcode_base: header.opcode_base(),
        lengths: &header.standard_opcode_lengths().to_slice()?,
    };
    let start = header.offset().0;
    let (length_width, word) = match header.format() {
        Format::Dwarf32 => (4, 4),
        Format::Dwarf64 => (12, 8),
    };
    // Behind the length: the version, from version 5 on the sizes of addresses and segments, and the header's length.
    let before = length_width + 2 + word + if header.version() >= 5 { 2 } else { 0 };
    let program = start + before + header.header_length();
    let end = start + length_width + header.unit_length();
    let wanted = sequences(&steps, program..end, sources);
    if wanted.is_empty() {
        return Ok(None);
    }
    let mut out = Vec::new();
    for range in std::iter::once(start..program).chain(wanted) {
        let Some(bytes) = steps.bytes.get(range.clone()) else {
            return Err(gimli::Error::InvalidAddressRange);
        };
        let base = out.len();
        out.extend_from_slice(bytes);
        for (at, reloc) in sources.fields(LINES, range.clone()) {
            let width = reloc.kind.width();
            let value = sources.value(LINES, reloc).to_le_bytes();
            if let Some(field) = out.get_mut(base + at - range.start..) {
                let width = width.min(field.len()).min(value.len());
                field[..width].copy_from_slice(&value[..width]);
            }
        }
    }
    let length = (out.len() - length_width) as u64;
    out[length_width - word..length_width].copy_from_slice(&length.to_le_bytes()[..word]);
    Ok(Some(out))
}

/// Where the sequences stand that are of code in the delta.
fn sequences(steps: &Steps<'_>, program: Range<usize>, sources: &Sources<'_>) -> Vec<Range<usize>> {
    let is_address = |kind| {
        matches!(
            kind,
            RelocKind::FunctionOffsetI32 | RelocKind::FunctionOffsetI64
        )
    };
    // Behind each field is the next instruction.
    let mut known = vec![program.start];
    let mut found: Vec<Range<usize>> = Vec::new();
    for (at, reloc) in sources.fields(LINES, program.clone()) {
        if !is_address(reloc.kind) {
            continue;
        }
        let is_found = found.last().is_some_and(|last| at < last.end);
        if !is_found && sources.code.has(sources.value(LINES, reloc)) {
            let begins = known.iter().rev().find_map(|from| match *from {
                from if from == program.start => Some(from),
                from => steps.end_of_sequence(from, at),
            });
            // There can be whole sequences between one field and the next: the last of them is that of the field.
            let mut begins = begins.unwrap_or(program.start);
            while let Some(next) = steps.end_of_sequence(begins, at) {
                begins = next;
            }
            if let Some(end) = steps.end_of_sequence(begins, program.end) {
                found.push(begins..end);
            }
        }
        known.push(at + reloc.kind.width());
    }
    found
}

/// Steps over the instructions of a line table.
struct Steps<'a> {
    bytes: &'a [u8],
    opcode_base: u8,
    /// How many numbers follow each standard instruction.
    lengths: &'a [u8],
}

impl Steps<'_> {
    /// Behind the first end of a sequence from an instruction on, if that comes before `limit`.
    fn end_of_sequence(&self, mut at: usize, limit: usize) -> Option<usize> {
        loop {
            let (next, ends) = self.next(at)?;
            if next > limit {
                return None;
            }
            if ends {
                return Some(next);
            }
            at = next;
        }
    }

    /// Behind an instruction, and whether that ends a sequence.
    fn next(&self, at: usize) -> Option<(usize, bool)> {
        let opcode = *self.bytes.get(at)?;
        let mut next = at + 1;
        if opcode >= self.opcode_base {
            return Some((next, false));
        }
        if opcode == 0 {
            let (len, width) = leb::read_unsigned(self.bytes.get(next..)?)?;
            next += width;
            let kind = self.bytes.get(next).copied();
            let end = next.checked_add(usize::try_from(len).ok()?)?;
            let ends = len > 0 && kind == Some(constants::DW_LNE_end_sequence.0);
            return Some((end, ends));
        }
        if opcode == constants::DW_LNS_fixed_advance_pc.0 {
            return Some((next + 2, false));
        }
        for _ in 0..*self.lengths.get(usize::from(opcode) - 1)? {
            let rest = self.bytes.get(next..)?;
            next += 1 + rest.iter().position(|byte| byte & 0x80 == 0)?;
        }
        Some((next, false))
    }
}
