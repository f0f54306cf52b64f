//! Modules made at random, with every proposal that the generator knows. The same seed gives the same module.

// Each test that includes this uses a part of it.
#![allow(dead_code)]

use arbitrary::Unstructured;

/// A generator of pseudo-random numbers: the same everywhere, for ever.
#[derive(Clone)]
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Rng(seed)
    }

    /// The next number (SplitMix64).
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    }

    /// A number below `limit`, which is not 0.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    /// True once in `n` times.
    pub fn once_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(len + 8);
        while bytes.len() < len {
            bytes.extend_from_slice(&self.next().to_le_bytes());
        }
        bytes.truncate(len);
        bytes
    }
}

/// How many cases a property test runs: `everyday`, times what `WASMEND_CASES` says.
pub fn cases(everyday: usize) -> u64 {
    let factor = std::env::var("WASMEND_CASES").ok();
    let factor = factor.and_then(|factor| factor.parse::<usize>().ok());
    (everyday * factor.unwrap_or(1)) as u64
}

/// Everything on; sizes kept small, so that many modules can be tried.
pub fn config(rng: &mut Rng) -> wasm_smith::Config {
    let plain = rng.once_in(4);
    wasm_smith::Config {
        compact_imports_enabled: !plain,
        custom_descriptors_enabled: !plain,
        custom_page_sizes_enabled: !plain,
        shared_everything_threads_enabled: rng.once_in(2),
        acquire_release_atomics_enabled: !plain,
        multibyte_array_access_enabled: !plain,
        gc_enabled: !plain,
        max_memories: if rng.once_in(2) { 1 } else { 4 },
        max_tables: 4,
        max_funcs: 12,
        max_globals: 12,
        max_imports: 10,
        max_exports: 12,
        max_types: 16,
        max_tags: 4,
        max_data_segments: 6,
        max_element_segments: 6,
        max_elements: 8,
        // Recursion groups may be empty, and with none but such the generator would never have enough types.
        min_types: if plain { rng.below(12) } else { 0 },
        min_funcs: rng.below(10),
        min_globals: rng.below(6),
        min_exports: rng.below(4),
        min_imports: rng.below(4),
        min_tables: rng.below(3) as u32,
        min_memories: rng.below(2) as u32,
        min_element_segments: rng.below(3),
        min_data_segments: rng.below(3),
        min_uleb_size: if rng.once_in(4) { 5 } else { 1 },
        generate_custom_sections: rng.once_in(3),
        export_everything: rng.once_in(2),
        ..wasm_smith::Config::default()
    }
}

/// A module, and the bytes that it was made from.
pub fn module(rng: &mut Rng) -> (Vec<u8>, wasm_smith::Config, Vec<u8>) {
    loop {
        let config = config(rng);
        let len = 512 << rng.below(7);
        let dna = rng.bytes(len);
        if let Some(wasm) = from(&config, &dna) {
            return (wasm, config, dna);
        }
    }
}

/// The module that comes of these bytes, if one does and it is valid.
pub fn from(config: &wasm_smith::Config, dna: &[u8]) -> Option<Vec<u8>> {
    let module = wasm_smith::Module::new(config.clone(), &mut Unstructured::new(dna)).ok()?;
    let wasm = module.to_bytes();
    let mut validator = wasmparser::Validator::new_with_features(wasmparser::WasmFeatures::all());
    // The generator is ahead of the validator, or behind, in proposals that still change.
    validator.validate_all(&wasm).ok()?;
    Some(wasm)
}
