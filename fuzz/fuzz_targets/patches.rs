//! Arbitrary bytes as patches that travel: as they are, and as changes of ones that were made, with a checksum that is right. A
//! copy becomes the version that the patch leads to, or stays what it was.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use wasmend::{ConstExpr, DeclKind, Envelope, LiveStep, Module, ModuleOptions, ValType};

/// A version, the one behind it, and the patch between them without its checksum.
type Step = (Vec<u8>, Vec<u8>, Vec<u8>);

/// A patch, one with a checksum of its result, and a whole version.
static STEPS: LazyLock<Vec<Step>> = LazyLock::new(|| {
    let options = ModuleOptions {
        live: true,
        undo: true,
        ..ModuleOptions::default()
    };
    let mut module = Module::in_memory(options).expect("is made");
    let global = module.declare(DeclKind::Global, "g").expect("is new");
    let mut before = Vec::new();
    let mut steps = Vec::new();
    for number in 0..4 {
        let init = ConstExpr::I32(number);
        let defined = module.define_global(global, ValType::I32, true, init);
        defined.expect("is a global");
        if number == 3 {
            module.request_relink();
        }
        let patch = module.commit().expect("is published");
        let after = module.bytes().expect("is published");
        let made = Envelope::of(&patch, || Ok(after.clone()));
        let mut envelope = made.expect("is made").expect("something changed");
        assert!(
            number == 0
                || matches!(
                    envelope.live(),
                    Some(LiveStep::Delta { .. } | LiveStep::Refused(_))
                )
        );
        if number == 2 {
            envelope = envelope.with_checksum_of(&after).expect("is the result");
        }
        let mut said = envelope.to_bytes();
        said.truncate(said.len() - 32);
        steps.push((std::mem::replace(&mut before, after.clone()), after, said));
    }
    steps
});

fuzz_target!(|data: &[u8]| {
    let _ = Envelope::from_bytes(data);
    let [which, changes @ ..] = data else {
        return;
    };
    let (before, after, said) = &STEPS[*which as usize % STEPS.len()];
    let mut said = said.clone();
    for change in changes.chunks_exact(3) {
        let at = usize::from(u16::from_le_bytes([change[0], change[1]])) % said.len();
        said[at] ^= change[2];
    }
    let sum = blake3::hash(&said);
    said.extend_from_slice(sum.as_bytes());
    let Ok(envelope) = Envelope::from_bytes(&said) else {
        return;
    };
    let mut copy = before.clone();
    match envelope.apply(&mut copy) {
        Ok(()) if envelope.ranges().is_some() => assert!(copy == *after),
        Ok(()) => assert_eq!(copy.len() as u64, envelope.file_len()),
        Err(_) => assert!(copy == *before),
    }
});
