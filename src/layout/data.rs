//! Data addresses: each memory has a flat image that grows from its base, and a zero area that grows down from the
//! limit of the reserve and takes no bytes in the file.

use crate::program::DeclId;
use crate::transaction::{Log, Saved, Transaction};

/// How many freed ranges are looked at.
const SCAN: usize = 64;

/// The address space that a memory's data is placed in.
#[derive(Debug, Clone)]
pub(crate) struct Image {
    pub(crate) memory: DeclId,
    pub(crate) is_64: bool,
    /// The first address.
    pub(crate) base: u64,
    /// The address behind the last byte that is placed.
    pub(crate) top: u64,
    /// The first address of the zero area.
    pub(crate) zero: u64,
    /// The address behind the reserve.
    pub(crate) limit: u64,
    /// Bytes that the segment has in the file; at least `top - base`.
    pub(crate) cap: u64,
}

impl Image {
    /// Bytes of the segment's header: flags, memory, offset expression, size.
    pub(crate) fn header_len(&self) -> u64 {
        // `02 memory i32.const(5) end size(5)`, or `i64.const(10)`.
        if self.is_64 {
            1 + 1 + 1 + 10 + 1 + 5
        } else {
            1 + 1 + 1 + 5 + 1 + 5
        }
    }
}

/// A range of addresses that is free.
#[derive(Debug, Clone, Copy)]
struct Free {
    image: usize,
    zero: bool,
    address: u64,
    len: u64,
}

/// The reserve of a memory has no room left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReserveFull;

/// All images.
#[derive(Debug, Default)]
pub(crate) struct DataSpace {
    images: Saved<Vec<Image>>,
    free: Log<Free>,
}

impl DataSpace {
    pub(crate) fn images(&self) -> &[Image] {
        &self.images
    }

    pub(crate) fn image_of(&self, memory: DeclId) -> Option<usize> {
        self.images.iter().position(|image| image.memory == memory)
    }

    pub(crate) fn add_image(&mut self, image: Image) -> usize {
        self.images.push(image);
        self.images.len() - 1
    }

    /// Offset of an image's segment header from the data section's anchor.
    pub(crate) fn offset(&self, image: usize) -> u64 {
        self.images[..image]
            .iter()
            .map(|image| image.header_len() + image.cap)
            .sum()
    }

    /// Bytes that all images take in the file.
    pub(crate) fn len(&self) -> u64 {
        self.offset(self.images.len())
    }

    /// Sets how many bytes an image has in the file.
    pub(crate) fn set_cap(&mut self, image: usize, cap: u64) {
        self.images[image].cap = cap;
    }

    /// An address for `size` bytes; with `zero` in the zero area.
    pub(crate) fn place(
        &mut self,
        image: usize,
        size: u64,
        align_log2: u8,
        zero: bool,
    ) -> Result<u64, ReserveFull> {
        let align = 1u64 << align_log2;
        let fits = |free: &Free| {
            let start = free.address.next_multiple_of(align);
            free.image == image && free.zero == zero && start + size <= free.address + free.len
        };
        let found = self
            .free
            .iter()
            .enumerate()
            .rev()
            .take(SCAN)
            .find(|(_, free)| fits(free))
            .map(|(at, _)| at);
        if let Some(at) = found {
            let free = self.free.swap_remove(at);
            let start = free.address.next_multiple_of(align);
            let end = start + size;
            for (address, end) in [(free.address, start), (end, free.address + free.len)] {
                if end > address {
                    self.free.push(Free {
                        address,
                        len: end - address,
                        ..free
                    });
                }
            }
            return Ok(start);
        }
        let image = &mut self.images[image];
        if zero {
            let start = image.zero.checked_sub(size).ok_or(ReserveFull)? & !(align - 1);
            if start < image.top {
                return Err(ReserveFull);
            }
            image.zero = start;
            Ok(start)
        } else {
            let start = image
                .top
                .checked_next_multiple_of(align)
                .ok_or(ReserveFull)?;
            let end = start
                .checked_add(size)
                .filter(|end| *end <= image.zero)
                .ok_or(ReserveFull)?;
            image.top = end;
            Ok(start)
        }
    }

    /// Gives a range back.
    pub(crate) fn free(&mut self, image: usize, address: u64, len: u64) {
        if len == 0 {
            return;
        }
        let zero = address >= self.images[image].zero;
        // Grow a neighbour instead of keeping crumbs, if one is at hand.
        let near = self.free.iter().enumerate().rev().take(SCAN);
        let near = near.map(|(at, free)| (at, *free)).find(|(_, free)| {
            free.image == image
                && free.zero == zero
                && (free.address + free.len == address || address + len == free.address)
        });
        match near {
            Some((at, free)) => {
                let address = free.address.min(address);
                self.free.set(
                    at,
                    Free {
                        address,
                        len: free.len + len,
                        ..free
                    },
                );
            }
            None => self.free.push(Free {
                image,
                zero,
                address,
                len,
            }),
        }
    }
}

impl Transaction for DataSpace {
    fn begin(&mut self) {
        self.images.begin();
        self.free.begin();
    }

    fn commit(&mut self) {
        self.images.commit();
        self.free.commit();
    }

    fn rollback(&mut self) {
        self.images.rollback();
        self.free.rollback();
    }
}
