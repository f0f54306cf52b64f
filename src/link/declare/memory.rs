//! Where things stand in memory: data, stack and heap, as wasm-ld orders them. Data may take any address of an area that
//! is larger than what there is now, so that it can grow; what is behind it does not move then.
//!
//! Knows sizes, not declarations.

use crate::error::{Error, Result};
use crate::link::command::options::LinkOptions;

const STACK_ALIGN: u64 = 16;
const HEAP_ALIGN: u64 = 16;

/// Addresses that the linker decides on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MemoryPlan {
    /// The first address of data.
    pub(crate) data_start: u64,
    /// The address behind the last one that data may take.
    pub(crate) data_end: u64,
    pub(crate) stack_low: u64,
    pub(crate) stack_high: u64,
    pub(crate) heap_base: u64,
    pub(crate) heap_end: u64,
    /// Pages of the memory at the start.
    pub(crate) pages: u64,
    /// Pages at most.
    pub(crate) maximum: Option<u64>,
}

impl MemoryPlan {
    /// Plans for data that needs the addresses from `data_base` to before the one that `data_end` answers with.
    pub(crate) fn new(
        options: &LinkOptions,
        is_64: bool,
        data_end: impl FnOnce(u64) -> u64,
    ) -> Result<MemoryPlan> {
        let mut at = 0u64;
        let mut stack = (0, 0);
        let mut place_stack = |at: &mut u64| {
            let low = at.next_multiple_of(STACK_ALIGN);
            *at = low.saturating_add(options.stack_size);
            stack = (low, *at);
        };
        if options.stack_first {
            place_stack(&mut at);
            if let Some(base) = options.global_base {
                if base < at {
                    return Err(Error::bad_input(
                        "--global-base: the stack stands there, because of --stack-first",
                    ));
                }
                at = base;
            }
        } else {
            at = options.data_base();
        }
        let data_start = at;
        at = data_end(at);
        let data_end = at;
        if !options.stack_first {
            place_stack(&mut at);
        }
        at = at.next_multiple_of(HEAP_ALIGN);
        let heap_base = at;
        let page = options.page_size;
        let most = if is_64 { 1 << 34 } else { 1 << 32 };
        let whole_pages = |option: &str, bytes: u64| match bytes {
            _ if !bytes.is_multiple_of(page) => Err(Error::bad_input(format!(
                "{option}: not a multiple of the page size, {page}"
            ))),
            _ if bytes > most => Err(Error::bad_input(format!(
                "{option}: more than {most} bytes"
            ))),
            _ => Ok(bytes),
        };
        if let Some(heap) = options.initial_heap {
            at = at.saturating_add(whole_pages("--initial-heap", heap)?);
        }
        if let Some(initial) = options.initial_memory {
            if at > whole_pages("--initial-memory", initial)? {
                return Err(Error::bad_input(format!(
                    "--initial-memory: too small, {at} bytes are needed"
                )));
            }
            at = initial;
        }
        at = at.next_multiple_of(page);
        if at > most {
            return Err(Error::limit(format!(
                "data, stack and heap need {at} bytes; memory has at most {most}"
            )));
        }
        let heap_end = at;
        let maximum = match options.max_memory {
            Some(maximum) => {
                if at > whole_pages("--max-memory", maximum)? {
                    return Err(Error::bad_input(format!(
                        "--max-memory: too small, {at} bytes are needed"
                    )));
                }
                Some(maximum)
            }
            None if options.no_growable_memory || options.shared_memory => Some(at),
            None => None,
        };
        Ok(MemoryPlan {
            data_start,
            data_end,
            stack_low: stack.0,
            stack_high: stack.1,
            heap_base,
            heap_end,
            pages: heap_end / page,
            maximum: maximum.map(|maximum| maximum / page),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(change: impl FnOnce(&mut LinkOptions), size: u64) -> Result<MemoryPlan> {
        let mut options = LinkOptions::default();
        change(&mut options);
        MemoryPlan::new(&options, false, |base| base + size)
    }

    #[test]
    fn data_stack_heap() {
        let plan = plan(|_| (), 100).unwrap();
        assert_eq!((plan.data_start, plan.data_end), (1024, 1124));
        assert_eq!((plan.stack_low, plan.stack_high), (1136, 1136 + 65536));
        assert_eq!((plan.heap_base, plan.heap_end), (66672, 131072));
        assert_eq!((plan.pages, plan.maximum), (2, None));
    }

    #[test]
    fn stack_first() {
        let first = plan(|options| options.stack_first = true, 100).unwrap();
        assert_eq!((first.stack_low, first.stack_high), (0, 65536));
        assert_eq!((first.data_start, first.heap_base), (65536, 65648));
        let options = |options: &mut LinkOptions| {
            options.stack_first = true;
            options.global_base = Some(1024);
        };
        assert!(plan(options, 100).is_err());
    }

    #[test]
    fn sizes_are_checked() {
        assert!(plan(|options| options.initial_memory = Some(65536), 100).is_err());
        assert!(plan(|options| options.initial_memory = Some(131072 + 1), 100).is_err());
        let large = plan(|options| options.initial_memory = Some(655_360), 100).unwrap();
        assert_eq!((large.pages, large.heap_end), (10, 655_360));
        assert!(plan(|options| options.max_memory = Some(65536), 100).is_err());
        assert!(plan(|_| (), 1 << 32).is_err());
    }
}
