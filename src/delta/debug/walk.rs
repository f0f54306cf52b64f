//! Steps over the entries of a unit. There are a hundred thousand of them in a large one, of which a delta wants a few: so
//! what each kind of entry is and how long it is, where that can be said, is found out once for each kind.

use gimli::{Abbreviation, Abbreviations, AttributeSpecification, DwForm, UnitHeader, constants};

use super::sources::{Read, Reader};
use crate::wire::leb;

/// An entry that may be of code.
pub(super) struct Found<'a> {
    /// Where it stands, from the beginning of the unit.
    pub(super) offset: usize,
    /// Behind its attributes.
    pub(super) end: usize,
    pub(super) depth: isize,
    pub(super) abbreviation: &'a Abbreviation,
}

/// What is known of all entries of one kind.
#[derive(Clone, Copy)]
struct Shape<'a> {
    abbreviation: &'a Abbreviation,
    /// Bytes of the attributes, if they are always as many.
    len: Option<usize>,
    is_of_code: bool,
}

/// The entries of a unit, one after the other.
pub(super) struct Walk<'a> {
    /// The unit, header included.
    bytes: &'a [u8],
    at: usize,
    depth: isize,
    header: &'a UnitHeader<Reader<'a>>,
    abbreviations: &'a Abbreviations,
    /// By the number of the kind.
    shapes: Vec<Option<Shape<'a>>>,
}

/// Kinds with larger numbers are looked up each time. Compilers number them from 1.
const MOST_SHAPES: usize = 1 << 14;

impl<'a> Walk<'a> {
    /// The entries of the unit that `bytes` are, header included.
    pub(super) fn new(
        bytes: &'a [u8],
        header: &'a UnitHeader<Reader<'a>>,
        abbreviations: &'a Abbreviations,
    ) -> Walk<'a> {
        Walk {
            bytes,
            at: header.header_size(),
            depth: 0,
            header,
            abbreviations,
            shapes: Vec::new(),
        }
    }

    /// The next entry of a function or of inlined code that says where its code is.
    pub(super) fn next(&mut self) -> Read<Option<Found<'a>>> {
        while self.at < self.bytes.len() {
            let offset = self.at;
            let code = self.number()?;
            if code == 0 {
                self.depth -= 1;
                continue;
            }
            let shape = self.shape(code)?;
            match shape.len {
                Some(len) => self.skip(len)?,
                None => {
                    for attribute in shape.abbreviation.attributes() {
                        self.skip_attribute(attribute)?;
                    }
                }
            }
            let depth = self.depth;
            self.depth += isize::from(shape.abbreviation.has_children());
            if shape.is_of_code {
                return Ok(Some(Found {
                    offset,
                    end: self.at,
                    depth,
                    abbreviation: shape.abbreviation,
                }));
            }
        }
        Ok(None)
    }

    fn shape(&mut self, code: u64) -> Read<Shape<'a>> {
        let at = usize::try_from(code).unwrap_or(usize::MAX);
        if let Some(Some(shape)) = self.shapes.get(at) {
            return Ok(*shape);
        }
        let abbreviation = self.abbreviations.get(code);
        let abbreviation = abbreviation.ok_or(gimli::Error::UnknownAbbreviation(code))?;
        let mut sizes = abbreviation.attributes().iter();
        let len = sizes.try_fold(0, |sum, it| Some(sum + it.size(self.header)?));
        let is_of_code = matches!(
            abbreviation.tag(),
            constants::DW_TAG_subprogram | constants::DW_TAG_inlined_subroutine
        );
        let shape = Shape {
            abbreviation,
            len,
            is_of_code: is_of_code && says_where(abbreviation),
        };
        if at < MOST_SHAPES {
            if self.shapes.len() <= at {
                self.shapes.resize(at + 1, None);
            }
            self.shapes[at] = Some(shape);
        }
        Ok(shape)
    }

    fn rest(&self) -> Read<&'a [u8]> {
        let rest = self.bytes.get(self.at..);
        rest.ok_or(gimli::Error::OffsetOutOfBounds)
    }

    fn number(&mut self) -> Read<u64> {
        let number = leb::read_unsigned(self.rest()?);
        let (number, width) = number.ok_or(gimli::Error::BadUnsignedLeb128)?;
        self.at += width;
        Ok(number)
    }

    fn skip(&mut self, len: usize) -> Read<()> {
        let at = self
            .at
            .checked_add(len)
            .filter(|at| *at <= self.bytes.len());
        self.at = at.ok_or(gimli::Error::OffsetOutOfBounds)?;
        Ok(())
    }

    /// Skips up to the first byte that `ends` says is the last one.
    fn skip_to(&mut self, ends: impl Fn(u8) -> bool) -> Read<()> {
        let last = self.rest()?.iter().position(|byte| ends(*byte));
        self.skip(last.ok_or(gimli::Error::OffsetOutOfBounds)? + 1)
    }

    fn skip_attribute(&mut self, attribute: &AttributeSpecification) -> Read<()> {
        match attribute.size(self.header) {
            Some(len) => self.skip(len),
            None => self.skip_form(attribute.form()),
        }
    }

    /// Skips a value whose length it says itself.
    fn skip_form(&mut self, form: DwForm) -> Read<()> {
        let len = match form {
            constants::DW_FORM_block | constants::DW_FORM_exprloc => self.number()?,
            constants::DW_FORM_block1 => self.little_endian(1)?,
            constants::DW_FORM_block2 => self.little_endian(2)?,
            constants::DW_FORM_block4 => self.little_endian(4)?,
            constants::DW_FORM_string => return self.skip_to(|byte| byte == 0),
            constants::DW_FORM_udata
            | constants::DW_FORM_sdata
            | constants::DW_FORM_ref_udata
            | constants::DW_FORM_strx
            | constants::DW_FORM_addrx
            | constants::DW_FORM_loclistx
            | constants::DW_FORM_rnglistx
            | constants::DW_FORM_GNU_addr_index
            | constants::DW_FORM_GNU_str_index => return self.skip_to(|byte| byte & 0x80 == 0),
            form => return Err(gimli::Error::UnknownForm(form)),
        };
        self.skip(usize::try_from(len).unwrap_or(usize::MAX))
    }

    fn little_endian(&mut self, width: usize) -> Read<u64> {
        let bytes = self.rest()?.get(..width);
        let bytes = bytes.ok_or(gimli::Error::OffsetOutOfBounds)?;
        self.at += width;
        let number = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        Ok(bytes.iter().rev().fold(0, number))
    }
}

/// Whether entries of this kind say where code is.
fn says_where(abbreviation: &Abbreviation) -> bool {
    let mut attributes = abbreviation.attributes().iter();
    attributes.any(|attribute| {
        matches!(
            attribute.name(),
            constants::DW_AT_low_pc | constants::DW_AT_ranges
        )
    })
}
