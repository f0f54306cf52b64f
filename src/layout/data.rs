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

/// The position of an image among all of them, which is that of its segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ImageIndex(pub(crate) usize);

/// A range of addresses that is free.
#[derive(Debug, Clone, Copy)]
struct Free {
    image: ImageIndex,
    zero: bool,
    address: u64,
    len: u64,
}

/// The reserve of a memory has no room left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReserveFull;

/// All images.
#[derive(Debug, Clone, Default)]
pub(crate) struct DataSpace {
    images: Saved<Vec<Image>>,
    free: Log<Free>,
    /// Whether addresses that were given back are never given to other data: somebody may still hold them.
    keeps: bool,
}

/// A gap that alignment leaves is filled with other data from this length on.
const WORTH_FILLING: u64 = 16;

/// Data that is to be placed: how long, how it is aligned, and whether it is all zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DataItem {
    pub(crate) size: u64,
    pub(crate) align_log2: u8,
    pub(crate) is_zero: bool,
}

/// Sorts data for packing. What has bytes grows upwards, the most aligned first; zeros grow down from the end of the area,
/// the least aligned first: so the gaps are few. What stands where depends on nothing but lengths and alignments.
pub(crate) fn sort_for_packing<T>(items: &mut [T], item: impl Fn(&T) -> DataItem) {
    items.sort_by_key(|it| {
        let DataItem {
            size,
            align_log2,
            is_zero,
        } = item(it);
        match is_zero {
            false => (false, u8::MAX - align_log2, u64::MAX - size),
            true => (true, align_log2, size),
        }
    });
}

/// The smallest end of an area from `base` on in which all items have room if they are packed.
pub(crate) fn packed_end(base: u64, mut items: Vec<DataItem>) -> u64 {
    sort_for_packing(&mut items, |item| *item);
    let mut space = DataSpace::default();
    let image = space.add_image(Image {
        memory: DeclId(0),
        is_64: true,
        base,
        top: base,
        zero: u64::MAX,
        limit: u64::MAX,
        cap: 0,
    });
    let zeros = items.partition_point(|item| !item.is_zero);
    for item in &items[..zeros] {
        // There is room without end.
        let _ = space.pack(image, *item);
    }
    // Upwards from the most aligned one they take what they take downwards in the other order.
    let mut end = space.image(image).top;
    for item in items[zeros..].iter().rev() {
        end = end.next_multiple_of(1 << item.align_log2) + item.size;
    }
    end
}

impl DataSpace {
    /// No images; with `keeps`, each address is for one piece of data only.
    pub(crate) fn new(keeps: bool) -> Self {
        DataSpace {
            keeps,
            ..DataSpace::default()
        }
    }

    /// The same addresses for a layout from nothing: whatever is placed in it takes others.
    pub(crate) fn kept(&self) -> DataSpace {
        DataSpace {
            images: Saved::from(self.images.to_vec()),
            free: Log::from(self.free.to_vec()),
            keeps: self.keeps,
        }
    }

    pub(crate) fn images(&self) -> &[Image] {
        &self.images
    }

    pub(crate) fn image(&self, index: ImageIndex) -> &Image {
        &self.images[index.0]
    }

    /// The positions of all images.
    pub(crate) fn indices(&self) -> impl Iterator<Item = ImageIndex> + use<> {
        (0..self.images.len()).map(ImageIndex)
    }

    pub(crate) fn image_of(&self, memory: DeclId) -> Option<ImageIndex> {
        let at = self.images.iter().position(|image| image.memory == memory);
        at.map(ImageIndex)
    }

    pub(crate) fn add_image(&mut self, image: Image) -> ImageIndex {
        self.images.push(image);
        ImageIndex(self.images.len() - 1)
    }

    /// Offset of an image's segment header from the data section's anchor.
    pub(crate) fn offset(&self, image: ImageIndex) -> u64 {
        self.images[..image.0]
            .iter()
            .map(|image| image.header_len() + image.cap)
            .sum()
    }

    /// Bytes that all images take in the file.
    pub(crate) fn len(&self) -> u64 {
        self.offset(ImageIndex(self.images.len()))
    }

    /// Sets how many bytes an image has in the file.
    pub(crate) fn set_cap(&mut self, image: ImageIndex, cap: u64) {
        self.images[image.0].cap = cap;
    }

    /// As `place`, in a fresh layout: what alignment leaves out can be taken by what comes later. (In a patch such a gap is
    /// written as one, so nothing else may be.)
    pub(crate) fn pack(&mut self, image: ImageIndex, item: DataItem) -> Result<u64, ReserveFull> {
        let top = self.image(image).top;
        let address = self.place(image, item.size, item.align_log2, item.is_zero)?;
        if !item.is_zero && address >= top + WORTH_FILLING {
            self.free.push(Free {
                image,
                zero: false,
                address: top,
                len: address - top,
            });
        }
        Ok(address)
    }

    /// An address for `size` bytes; with `zero` in the zero area.
    pub(crate) fn place(
        &mut self,
        image: ImageIndex,
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
        let image = &mut self.images[image.0];
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
    pub(crate) fn free(&mut self, image: ImageIndex, address: u64, len: u64) {
        if len == 0 || self.keeps {
            return;
        }
        let zero = address >= self.images[image.0].zero;
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn items() -> impl Strategy<Value = Vec<DataItem>> {
        let item =
            (0u64..300, 0u8..10, any::<bool>()).prop_map(|(size, align_log2, is_zero)| DataItem {
                size,
                align_log2,
                is_zero,
            });
        prop::collection::vec(item, 0..60)
    }

    proptest! {
        /// What is packed has room in exactly the area that was counted for it, and nothing overlaps.
        #[test]
        fn packed_data_has_room_in_the_area_that_was_counted(items in items(), base in 0u64..5000) {
            let limit = packed_end(base, items.clone());
            let mut space = DataSpace::default();
            let image = space.add_image(Image {
                memory: DeclId(0),
                is_64: false,
                base,
                top: base,
                zero: limit,
                limit,
                cap: 0,
            });
            let mut items = items;
            sort_for_packing(&mut items, |item| *item);
            let mut taken: Vec<(u64, u64)> = Vec::new();
            for item in items {
                let start = space.pack(image, item);
                prop_assert!(start.is_ok(), "{item:?}");
                let start = start.unwrap_or_default();
                prop_assert_eq!(start % (1 << item.align_log2), 0);
                prop_assert!(start >= base && start + item.size <= limit);
                if item.size > 0 {
                    taken.push((start, start + item.size));
                }
            }
            taken.sort_unstable();
            for pair in taken.windows(2) {
                prop_assert!(pair[0].1 <= pair[1].0, "{pair:?}");
            }
        }
    }
}
