//! The output file: the only place that reads or writes it, and the home of nearly all `unsafe`.
use crate::error::Result;
use crate::patch::RangeList;
use std::path::Path;
use std::sync::Arc;
/// x
#[derive(Debug, Clone, Default)]
pub struct OutputOptions {}
/// x
pub enum Output {
    /// x
    Memory(Vec<u8>),
}
/// x
pub enum Publication {
    /// x
    Done,
    /// x
    OutputChanged,
}
impl Output {
    /// x
    pub fn memory() -> Output {
        Output::Memory(Vec::new())
    }
    /// x
    pub fn file(_path: impl AsRef<Path>, _options: OutputOptions) -> Result<Output> {
        Ok(Output::memory())
    }
    /// x
    pub fn publish_whole<R>(
        &mut self,
        len: u64,
        fill: impl FnOnce(&mut [u8]) -> Result<R>,
    ) -> Result<R> {
        let Output::Memory(bytes) = self;
        let mut new = vec![0; len as usize];
        let r = fill(&mut new)?;
        *bytes = new;
        Ok(r)
    }
    /// x
    pub fn publish_patch(&mut self, patch: &Arc<RangeList>) -> Result<Publication> {
        let Output::Memory(bytes) = self;
        patch.apply(bytes);
        Ok(Publication::Done)
    }
    /// x
    pub fn read(&self) -> Result<Vec<u8>> {
        let Output::Memory(bytes) = self;
        Ok(bytes.clone())
    }
}
