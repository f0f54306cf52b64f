//! What stands in a module's memory when it begins. This knows no declarations.

/// An address of each side, of the same data.
pub(super) type Anchor = (u64, u64);

/// The bytes that a module puts into its memory when it begins.
#[derive(Debug, Default)]
pub(super) struct Image<'a> {
    /// Start and bytes of each segment, in the order of addresses.
    pub(super) parts: Vec<(u64, &'a [u8])>,
    /// Bytes of an address.
    pub(super) word: u64,
    /// Bytes of the memory at the beginning.
    pub(super) memory: u64,
}

impl<'a> Image<'a> {
    /// The byte at an address.
    pub(super) fn byte(&self, at: u64) -> u8 {
        let behind = self.parts.partition_point(|(start, _)| *start <= at);
        let Some((start, bytes)) = behind.checked_sub(1).map(|part| self.parts[part]) else {
            return 0;
        };
        bytes.get((at - start) as usize).copied().unwrap_or(0)
    }

    /// The bytes from an address on, up to where no segment says what they are or another one begins.
    pub(super) fn bytes(&self, at: u64) -> &'a [u8] {
        let behind = self.parts.partition_point(|(start, _)| *start <= at);
        let Some((start, bytes)) = behind.checked_sub(1).map(|part| self.parts[part]) else {
            return &[];
        };
        let next = self.parts.get(behind).map_or(u64::MAX, |part| part.0);
        let bytes = &bytes[..bytes.len().min((next - start) as usize)];
        bytes.get((at - start) as usize..).unwrap_or_default()
    }

    pub(super) fn word(&self, at: u64) -> u64 {
        (0..self.word).fold(0, |word, byte| {
            word | u64::from(self.byte(at + byte)) << (8 * byte)
        })
    }

    /// The address of the first byte.
    pub(super) fn start(&self) -> u64 {
        self.parts.first().map_or(0, |(start, _)| *start)
    }

    /// The address behind the last byte.
    pub(super) fn end(&self) -> u64 {
        let last = self.parts.last();
        last.map_or(0, |(start, bytes)| start + bytes.len() as u64)
    }

    /// Whether a number can be the address of data, or of what is behind it.
    pub(super) fn is_address(&self, number: u64) -> bool {
        /// Below this linkers place nothing unless they are told to.
        const LOWEST: u64 = 1024;
        let lowest = self.parts.first().map_or(LOWEST, |(start, _)| *start);
        (lowest.min(LOWEST)..=self.memory).contains(&number)
    }
}
