//! What stands where no piece of a custom section does: bytes that a reader walking the section steps over.
//!
//! Each section of debug information has a grammar of its own, and so a filler of its own: a unit that describes
//! nothing, a line table without rows, empty lists and strings. Not every length can be filled. Sections that are not
//! known here bear no gaps at all.
//!
//! The layouts are those of the DWARF specification, versions 2 to 5, in its 32-bit format.

/// What a section consists of, as far as a reader that walks it must understand it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Grammar {
    /// Not known: no gaps.
    Opaque,
    /// `.debug_info`: units of entries.
    Units,
    /// `.debug_types`: units of entries that describe a type each.
    TypeUnits,
    /// `.debug_frame`: how to unwind the stack.
    Frames,
    /// `.debug_line`: line tables.
    LineTables,
    /// Zeros of any number mean nothing: empty strings, empty tables of abbreviations.
    Zeros,
    /// `.debug_ranges`: pairs of addresses, up to a pair of zeros.
    RangeLists,
    /// `.debug_loc`: pairs of addresses with expressions, up to a pair of zeros.
    LocationLists,
    /// `.debug_rnglists` and `.debug_loclists`: tables of lists, of which zeros are empty ones.
    ListTables,
    /// `.debug_addr`: tables of addresses.
    AddressTables,
    /// `.debug_str_offsets`: tables of offsets.
    OffsetTables,
    /// `.debug_aranges`: sets of ranges of addresses.
    AddressRanges,
    /// `.debug_pubnames` and its kin: sets of names.
    Names {
        /// Entries have a byte of flags.
        gnu: bool,
    },
}

/// How gaps in a custom section are filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Filler {
    grammar: Grammar,
    /// Bytes of an address.
    address: u32,
}

/// The abbreviations of filler in `.debug_info`, at the beginning of `.debug_abbrev`: a unit without
/// children, as it is and with a block of bytes that has no meaning.
const ABBREVIATIONS: [u8; 14] = [
    1,
    COMPILE_UNIT,
    0,
    0,
    0, // code, tag, no children, no attributes
    2,
    COMPILE_UNIT,
    0,
    0x80,
    0x40,
    BLOCK4,
    0,
    0, // one attribute: the first that users may define
    0,
];
/// `DW_TAG_compile_unit`: verifiers take no other one for the root of a unit of version 4.
const COMPILE_UNIT: u8 = 0x11;
/// `DW_FORM_block4`.
const BLOCK4: u8 = 0x04;
/// Bytes of a unit's header and the code of its only entry.
const UNIT: u32 = 11 + 1;
/// Bytes of a type unit's header and the code of its only entry.
const TYPE_UNIT: u32 = 23 + 1;
/// Bytes of an entry of `.debug_frame` that others could share, without instructions.
const FRAME: u32 = 13;
/// Bytes of a line table's header, of the oldest version.
const LINE_TABLE: u32 = 17;
/// `DW_LNE_lo_user`: an opcode that readers skip.
const USER_OPCODE: u8 = 0x80;
/// `DW_OP_nop`.
const NOP: u8 = 0x96;
/// What stands for the address of code that is not there.
const NO_ADDRESS: u8 = 0xff;

impl Filler {
    /// The filler of the section of this name in a module whose addresses are `wide`, of eight bytes.
    pub(crate) fn of(name: &str, wide: bool) -> Filler {
        let grammar = match name {
            ".debug_info" => Grammar::Units,
            ".debug_types" => Grammar::TypeUnits,
            ".debug_frame" => Grammar::Frames,
            ".debug_line" => Grammar::LineTables,
            ".debug_abbrev" | ".debug_str" | ".debug_line_str" | ".debug_macinfo" => Grammar::Zeros,
            ".debug_ranges" => Grammar::RangeLists,
            ".debug_loc" => Grammar::LocationLists,
            ".debug_rnglists" | ".debug_loclists" => Grammar::ListTables,
            ".debug_addr" => Grammar::AddressTables,
            ".debug_str_offsets" => Grammar::OffsetTables,
            ".debug_aranges" => Grammar::AddressRanges,
            ".debug_pubnames" | ".debug_pubtypes" => Grammar::Names { gnu: false },
            ".debug_gnu_pubnames" | ".debug_gnu_pubtypes" => Grammar::Names { gnu: true },
            _ => Grammar::Opaque,
        };
        let address = if wide { 8 } else { 4 };
        Filler { grammar, address }
    }

    /// For a section without gaps.
    pub(crate) fn none(self) -> Filler {
        Filler {
            grammar: Grammar::Opaque,
            ..self
        }
    }

    /// Whether a section bears no gaps.
    pub(crate) fn is_none(self) -> bool {
        self.grammar == Grammar::Opaque
    }

    /// What stands at the beginning of a section of this name, for filler in another one to refer to.
    pub(crate) fn prefix(name: &str) -> &'static [u8] {
        match name {
            ".debug_abbrev" => &ABBREVIATIONS,
            _ => &[],
        }
    }

    /// The section whose [`Filler::prefix`] this filler refers to.
    pub(crate) fn needs(self) -> Option<&'static str> {
        let is_units = matches!(self.grammar, Grammar::Units | Grammar::TypeUnits);
        is_units.then_some(".debug_abbrev")
    }

    /// Whether a gap of `len` bytes can be filled.
    pub(crate) fn fits(self, len: u32) -> bool {
        let tuple = 2 * self.address;
        let table = |header: u32, of: u32| len >= header && (len - header).is_multiple_of(of);
        len == 0
            || match self.grammar {
                Grammar::Opaque => false,
                Grammar::Units => len >= UNIT,
                Grammar::TypeUnits => len == TYPE_UNIT || len >= TYPE_UNIT + 4,
                Grammar::Frames => len >= FRAME,
                // A line table's program is nothing, or three bytes at least.
                Grammar::LineTables => len >= LINE_TABLE + 3,
                Grammar::Zeros => true,
                Grammar::RangeLists => len.is_multiple_of(tuple),
                Grammar::LocationLists => len.is_multiple_of(tuple) || len >= 2 * tuple + 2,
                Grammar::ListTables => len >= 12,
                Grammar::AddressTables => table(8, self.address),
                Grammar::OffsetTables => table(8, 4),
                Grammar::AddressRanges => table(16 + tuple, tuple),
                // An entry needs an offset, flags, a name of one byte and its end.
                Grammar::Names { .. } => len == 18 || len >= 18 + 7,
            }
    }

    /// The shortest gap of `len` bytes or more that can be filled; none if the section bears no gaps.
    pub(crate) fn at_least(self, len: u32) -> u32 {
        let lengths = len..len.saturating_add(128);
        lengths.into_iter().find(|len| self.fits(*len)).unwrap_or(0)
    }

    /// Fills a gap of `len` bytes, which must fit: calls `put` with the runs of bytes that must be written, each with
    /// its offset in the gap, in order. What is between the runs may keep any value.
    pub(crate) fn fill(self, len: u32, mut put: impl FnMut(u32, &[u8])) {
        debug_assert!(self.fits(len));
        if len == 0 {
            return;
        }
        let tuple = 2 * self.address;
        let mut out: Vec<u8> = Vec::new();
        match self.grammar {
            Grammar::Opaque => return,
            Grammar::Units => {
                out.extend((len - 4).to_le_bytes());
                out.extend(4u16.to_le_bytes());
                // The abbreviations stand at the beginning of their section.
                out.extend(0u32.to_le_bytes());
                out.push(self.address as u8);
                if len < UNIT + 4 {
                    out.push(1);
                    out.resize(len as usize, 0);
                } else {
                    out.push(2);
                    out.extend((len - UNIT - 4).to_le_bytes());
                }
            }
            Grammar::TypeUnits => {
                out.extend((len - 4).to_le_bytes());
                out.extend(4u16.to_le_bytes());
                out.extend(0u32.to_le_bytes());
                out.push(self.address as u8);
                // The signature of no type, and where its entry is: behind the header.
                out.extend([0; 8]);
                out.extend((TYPE_UNIT - 1).to_le_bytes());
                if len == TYPE_UNIT {
                    out.push(1);
                } else {
                    out.push(2);
                    out.extend((len - TYPE_UNIT - 4).to_le_bytes());
                }
            }
            Grammar::Frames => {
                out.extend((len - 4).to_le_bytes());
                // What others share says so instead of naming what it shares; of version 3, for nothing in particular.
                out.extend(u32::MAX.to_le_bytes());
                out.extend([3, 0, 1, 1, 0]);
                // Instructions that do nothing.
                out.resize(len as usize, 0);
            }
            Grammar::LineTables => {
                out.extend((len - 4).to_le_bytes());
                out.extend(2u16.to_le_bytes());
                // From behind this field: length of instructions, whether they are statements, the base and range of
                // line numbers, the first special opcode, no folders, no files.
                out.extend(7u32.to_le_bytes());
                out.extend([1, 1, 0, 1, 1, 0, 0]);
                // One extended opcode, whose length takes as many bytes as there are to take.
                let rest = len - LINE_TABLE;
                let width = if rest > 32 { 5 } else { 1 };
                out.push(0);
                let at = out.len();
                out.resize(at + width, 0);
                crate::wire::leb::write_unsigned(
                    &mut out[at..],
                    u64::from(rest) - 1 - width as u64,
                );
                out.push(USER_OPCODE);
            }
            Grammar::Zeros | Grammar::RangeLists => out.resize(len as usize, 0),
            Grammar::LocationLists if len < 2 * tuple + 2 => out.resize(len as usize, 0),
            Grammar::LocationLists => {
                let mut rest = len - tuple;
                while rest > 0 {
                    // What is left for the next expression must be enough for one.
                    let head = tuple + 2;
                    let block = (rest - head).min(u32::from(u16::MAX));
                    let left = rest - head - block;
                    let block = if left > 0 && left < head {
                        block - head
                    } else {
                        block
                    };
                    out.resize(out.len() + tuple as usize, NO_ADDRESS);
                    // One less than that means a base of addresses.
                    let low = out.len() - tuple as usize;
                    out[low] = NO_ADDRESS - 1;
                    out[low + self.address as usize] = NO_ADDRESS - 1;
                    out.extend((block as u16).to_le_bytes());
                    out.resize(out.len() + block as usize, NOP);
                    rest -= head + block;
                }
                out.resize(len as usize, 0);
            }
            Grammar::ListTables | Grammar::AddressTables => {
                out.extend((len - 4).to_le_bytes());
                out.extend(5u16.to_le_bytes());
                out.push(self.address as u8);
                out.resize(len as usize, 0);
            }
            Grammar::OffsetTables => {
                out.extend((len - 4).to_le_bytes());
                out.extend(5u16.to_le_bytes());
                out.resize(len as usize, 0);
            }
            Grammar::AddressRanges => {
                out.extend((len - 4).to_le_bytes());
                out.extend(2u16.to_le_bytes());
                // Of no unit.
                out.extend(u32::MAX.to_le_bytes());
                out.extend([self.address as u8, 0]);
                out.resize(16, 0);
                while (out.len() as u32) < len - tuple {
                    out.resize(out.len() + self.address as usize, NO_ADDRESS);
                    out.resize(out.len() + self.address as usize, 0);
                }
                out.resize(len as usize, 0);
            }
            Grammar::Names { gnu } => {
                out.extend((len - 4).to_le_bytes());
                out.extend(2u16.to_le_bytes());
                out.extend([0; 8]);
                if len > 18 {
                    out.extend(1u32.to_le_bytes());
                    out.resize(out.len() + usize::from(gnu), 0);
                    out.resize(len as usize - 5, b' ');
                }
                out.resize(len as usize, 0);
            }
        }
        put(0, &out);
    }

    /// Whether a unit of `.debug_info` or a table of `.debug_line` at the beginning of `bytes` is filler; its length.
    pub(crate) fn filler_len(self, bytes: &[u8]) -> Option<u32> {
        let len = u32::from_le_bytes(*bytes.first_chunk()?).checked_add(4)?;
        if len as usize > bytes.len() || !self.fits(len) {
            return None;
        }
        let mut same = true;
        self.fill(len, |at, run| same &= bytes[at as usize..].starts_with(run));
        same.then_some(len)
    }

    /// Bytes of filler in a whole section, as far as it can be told apart.
    pub(crate) fn filler_in(self, contents: &[u8]) -> u64 {
        let is_told = matches!(
            self.grammar,
            Grammar::Units
                | Grammar::TypeUnits
                | Grammar::Frames
                | Grammar::LineTables
                | Grammar::AddressRanges
                | Grammar::Names { .. }
                | Grammar::ListTables
                | Grammar::AddressTables
        );
        let (mut at, mut filler) = (0usize, 0u64);
        while let Some(len) = contents
            .get(at..)
            .and_then(|rest| rest.first_chunk())
            .filter(|_| is_told)
        {
            if let Some(len) = self.filler_len(&contents[at..]) {
                filler += u64::from(len);
            }
            at = at
                .saturating_add(4)
                .saturating_add(u32::from_le_bytes(*len) as usize);
        }
        filler
    }
}

/// Whether a section of this name consists of strings that fields of other sections name, and of which one is as good as
/// another of the same characters.
pub(crate) fn is_of_strings(name: &str) -> bool {
    matches!(name, ".debug_str" | ".debug_str.dwo" | ".debug_line_str")
}

/// What stands in a section of this name for a place that does not exist; `None` if the addend alone stands there.
/// As wasm-ld has it: ranges end in 0 and -1 begins a new base, so that there it is -2.
pub(crate) fn tombstone(name: &str) -> Option<u64> {
    match name {
        ".debug_ranges" | ".debug_loc" => Some(u64::MAX - 1),
        _ if name.starts_with(".debug_") || name.starts_with("llvm.func_attr.") => Some(u64::MAX),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 20] = [
        ".debug_info",
        ".debug_types",
        ".debug_frame",
        ".debug_line",
        ".debug_abbrev",
        ".debug_str",
        ".debug_line_str",
        ".debug_ranges",
        ".debug_loc",
        ".debug_rnglists",
        ".debug_loclists",
        ".debug_addr",
        ".debug_str_offsets",
        ".debug_aranges",
        ".debug_pubnames",
        ".debug_pubtypes",
        ".debug_gnu_pubnames",
        ".debug_gnu_pubtypes",
        ".debug_macinfo",
        ".debug_names",
    ];

    #[test]
    fn every_length_that_fits_is_filled_and_no_more() {
        for name in NAMES {
            for wide in [false, true] {
                let filler = Filler::of(name, wide);
                for len in (0..400).chain(70_000..70_100).chain(131_000..131_200) {
                    if !filler.fits(len) {
                        continue;
                    }
                    let mut end = 0;
                    filler.fill(len, |at, bytes| {
                        assert!(at >= end, "{name} {len}");
                        end = at + bytes.len() as u32;
                    });
                    assert!(end <= len, "{name} {len}: {end}");
                    let least = filler.at_least(len);
                    assert!(least >= len && filler.fits(least), "{name} {len}: {least}");
                }
            }
        }
    }

    #[test]
    fn units_and_tables_say_how_long_they_are() {
        for name in [
            ".debug_info",
            ".debug_types",
            ".debug_frame",
            ".debug_line",
            ".debug_aranges",
            ".debug_rnglists",
            ".debug_addr",
            ".debug_pubnames",
        ] {
            let filler = Filler::of(name, false);
            for len in (1..200).filter(|len| filler.fits(*len)) {
                let mut bytes = vec![0xaa; len as usize + 7];
                filler.fill(len, |at, run| {
                    bytes[at as usize..][..run.len()].copy_from_slice(run)
                });
                assert_eq!(filler.filler_len(&bytes), Some(len), "{name} {len}");
            }
        }
    }

    #[test]
    fn what_is_not_known_bears_no_gap() {
        // An index of names covers one unit at least, and no unit twice.
        for name in [".debug_names", "sourceMappingURL"] {
            let filler = Filler::of(name, false);
            assert!(filler.fits(0) && (1..1000).all(|len| !filler.fits(len)));
            assert_eq!(filler.at_least(100), 0);
        }
    }
}
