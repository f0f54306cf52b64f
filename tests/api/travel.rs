//! Patches that travel: what a copy elsewhere takes in, and what it refuses.
//!
//! Run: `Envelope` and `Replica`, on a module in memory with two functions and data. That copies stay equal whatever is edited is
//! shown by the random edits of `tests/edits`.

use wasm_encoder::Instruction;
use wasmend::output::{OutputOptions, Publish};
use wasmend::{
    Data, DeclId, DeclKind, Envelope, ErrorKind, FunctionBuilder, LiveStep, Module, ModuleOptions,
    Patch, Replica, ValType,
};

/// A module that grows as it is asked to.
struct Program {
    module: Module,
    function: DeclId,
    data: DeclId,
    memory: DeclId,
}

impl Program {
    fn new(options: ModuleOptions) -> (Program, Patch) {
        let mut module = Module::in_memory(options).expect("is made");
        let function = module.declare(DeclKind::Function, "f").expect("is new");
        let memory = module.declare(DeclKind::Memory, "memory").expect("is new");
        let ty = wasmend::MemoryType {
            minimum: 1,
            maximum: None,
            shared: false,
            is_64: false,
        };
        module.define_memory(memory, ty).expect("is a memory");
        let data = module.declare(DeclKind::Data, "d").expect("is new");
        let mut program = Program {
            module,
            function,
            data,
            memory,
        };
        program.module.export("f", function).expect("is declared");
        program.write(b"data");
        let patch = program.edit(1);
        (program, patch)
    }

    /// Another constant in the function.
    fn edit(&mut self, number: i32) -> Patch {
        let mut body = FunctionBuilder::new(self.module.body_style(), &[], &[ValType::I32]);
        body.op(&Instruction::I32Const(number));
        let body = body.finish().expect("a body");
        let defined = self.module.define_function(self.function, body);
        defined.expect("is a function");
        self.module.commit().expect("is published")
    }

    fn write(&mut self, bytes: &[u8]) {
        let data = Data::new(bytes, 0);
        let defined = self.module.define_data(self.data, self.memory, data);
        defined.expect("is data");
    }

    fn bytes(&self) -> Vec<u8> {
        self.module.bytes().expect("is published")
    }

    fn envelope(&self, patch: &Patch) -> Envelope {
        let made = Envelope::of(patch, || self.module.bytes());
        made.expect("is made").expect("something changed")
    }
}

/// A program, its bytes at two versions, and what leads from one to the other.
fn two_versions(options: ModuleOptions) -> (Vec<u8>, Vec<u8>, Envelope) {
    let (mut program, _) = Program::new(options);
    let before = program.bytes();
    let patch = program.edit(70_000);
    (before, program.bytes(), program.envelope(&patch))
}

fn live() -> ModuleOptions {
    ModuleOptions {
        live: true,
        undo: true,
        ..ModuleOptions::default()
    }
}

#[test]
fn a_copy_that_takes_every_envelope_is_equal() {
    let (mut program, first) = Program::new(ModuleOptions::default());
    let mut copy = Vec::new();
    let first = program.envelope(&first);
    assert_eq!((first.base(), first.ranges().is_none()), (None, true));
    first.apply(&mut copy).expect("a first version is taken");
    for number in 2..40 {
        if number % 10 == 0 {
            program.module.request_relink();
        }
        program.write(&vec![7; 100 * number as usize]);
        let patch = program.edit(number << (number % 25));
        let envelope = program.envelope(&patch);
        assert_eq!(envelope.ranges().is_none(), patch.ranges().is_none());
        assert_eq!(envelope.base(), Some(patch.base));
        let sent = envelope.to_bytes();
        let received = Envelope::from_bytes(&sent).expect("is whole");
        received.apply(&mut copy).expect("is for this version");
        assert!(copy == program.bytes());
    }
    let patch = program.module.commit().expect("nothing to do");
    let nothing = Envelope::of(&patch, || panic!("nobody asks for the file"));
    assert!(nothing.expect("no trouble").is_none());
}

#[test]
fn another_base_is_refused_and_both_are_named() {
    let (mut program, first) = Program::new(ModuleOptions::default());
    let first = program.envelope(&first);
    let before = program.bytes();
    let second = program.edit(2);
    let third = program.edit(3);
    for (patch, base) in [(&third, &before), (&second, &program.bytes())] {
        let mut copy = base.clone();
        let refused = program.envelope(patch).apply(&mut copy);
        let refused = refused.expect_err("it is another version");
        assert_eq!(refused.kind(), ErrorKind::OutputChanged);
        for version in [patch.base.to_string(), version_of(base).to_string()] {
            assert!(refused.to_string().contains(&version), "{refused}");
        }
        assert!(&copy == base);
    }
    // Neither another module with the same number of versions, nor what is none.
    let (other, _) = Program::new(live());
    for base in [other.bytes(), b"text".to_vec(), Vec::new()] {
        let mut copy = base.clone();
        let refused = program.envelope(&second).apply(&mut copy);
        assert_eq!(
            refused.expect_err("foreign").kind(),
            ErrorKind::OutputChanged
        );
        assert!(copy == base);
        first.apply(&mut copy).expect("a first version is for all");
        assert!(copy == before);
    }
    // Who has missed some gets the whole.
    let whole = Envelope::whole(program.bytes()).expect("is an output");
    let mut copy = before;
    whole.apply(&mut copy).expect("is for all");
    assert!(copy == program.bytes());
    assert!(Envelope::whole(b"\0asm\x01\0\0\0".to_vec()).is_err());
}

fn version_of(file: &[u8]) -> wasmend::BuildIdentity {
    let found = wasmend::BuildIdentity::of_file(file);
    found.expect("is an output").1
}

#[test]
fn a_damaged_base_is_found_out_by_a_checksum() {
    let (before, after, plain) = two_versions(ModuleOptions::default());
    let sealed = plain
        .clone()
        .with_checksum_of(&after)
        .expect("is the result");
    let sealed = Envelope::from_bytes(&sealed.to_bytes()).expect("is whole");
    let written = |at: usize| {
        let ranges = plain.ranges().expect("is a patch").iter();
        let at = at as u64;
        ranges
            .into_iter()
            .any(|(range, _)| (range.offset..range.offset + u64::from(range.len)).contains(&at))
    };
    let mut copy = before.clone();
    sealed.apply(&mut copy).expect("is for this version");
    assert!(copy == after);
    for at in (0..before.len()).step_by(3) {
        let mut damaged = before.clone();
        damaged[at] ^= 0x10;
        let mut copy = damaged.clone();
        match sealed.apply(&mut copy) {
            // What is damaged is overwritten.
            Ok(()) => assert!(written(at) && copy == after),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::OutputChanged);
                assert!(copy == damaged);
            }
        }
    }
    assert!(plain.with_checksum_of(&before).is_err());
}

/// Patches of all kinds: with and without a delta, with a refusal, with a checksum, and whole.
fn all_kinds() -> Vec<(Vec<u8>, Vec<u8>, Envelope)> {
    let mut all = vec![two_versions(ModuleOptions::default()), two_versions(live())];
    let (before, after, plain) = all[0].clone();
    let sealed = plain.with_checksum_of(&after).expect("is the result");
    all.push((before, after, sealed));
    // Data that the program may have written to has another size.
    let (mut program, _) = Program::new(live());
    let before = program.bytes();
    program.write(b"longer data");
    let patch = program.edit(1);
    let refused = program.envelope(&patch);
    assert!(matches!(refused.live(), Some(LiveStep::Refused(all)) if !all.is_empty()));
    all.push((before, program.bytes(), refused));
    let before = program.bytes();
    program.module.request_relink();
    let patch = program.edit(2);
    let relink = program.envelope(&patch);
    assert!(relink.ranges().is_none());
    all.push((before, program.bytes(), relink));
    all
}

#[test]
fn truncated_and_flipped_envelopes_are_refused() {
    for (_, _, envelope) in all_kinds() {
        let sent = envelope.to_bytes();
        for len in 0..sent.len() {
            assert!(Envelope::from_bytes(&sent[..len]).is_err(), "{len} bytes");
        }
        let longer = [&sent[..], &[0]].concat();
        assert!(Envelope::from_bytes(&longer).is_err());
        for bit in 0..8 * sent.len() {
            let mut flipped = sent.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(Envelope::from_bytes(&flipped).is_err(), "bit {bit}");
        }
    }
}

#[test]
fn envelopes_that_are_wrong_and_sealed_again_do_no_harm() {
    for (before, after, envelope) in all_kinds() {
        let sent = envelope.to_bytes();
        let (said, _) = sent.split_last_chunk::<32>().expect("a checksum");
        let sealed = |said: &[u8]| [said, blake3::hash(said).as_bytes()].concat();
        assert_eq!(sealed(said), sent);
        for len in 0..said.len() {
            assert!(Envelope::from_bytes(&sealed(&said[..len])).is_err());
        }
        for bit in 0..8 * said.len() {
            let mut flipped = said.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let Ok(read) = Envelope::from_bytes(&sealed(&flipped)) else {
                continue;
            };
            // What can be changed without anybody knowing is what is said of the delta, what stands in a file that comes whole, and
            // the checksum of the result.
            let mut copy = before.clone();
            match read.apply(&mut copy) {
                Ok(()) if read.ranges().is_some() => assert!(copy == after, "bit {bit}"),
                Ok(()) => assert_eq!(version_of(&copy), version_of(&after), "bit {bit}"),
                Err(_) => assert!(copy == before, "bit {bit}"),
            }
        }
    }
}

#[test]
fn deltas_travel_along() {
    let (_, _, envelope) = two_versions(live());
    let received = Envelope::from_bytes(&envelope.to_bytes()).expect("is whole");
    let (
        Some(LiveStep::Delta { delta, undo }),
        Some(LiveStep::Delta {
            delta: sent,
            undo: sent_undo,
        }),
    ) = (received.live(), envelope.live())
    else {
        panic!("a delta");
    };
    assert_eq!(
        (&delta.bytes, delta.from, delta.to),
        (&sent.bytes, sent.from, sent.to)
    );
    assert_eq!(
        (delta.functions, &delta.conditional),
        (sent.functions, &sent.conditional)
    );
    delta.check().expect("is whole");
    let bytes =
        |undo: &Option<std::sync::Arc<wasmend::Delta>>| undo.as_ref().map(|it| it.bytes.clone());
    assert!(undo.is_some() && bytes(undo) == bytes(sent_undo));
}

#[test]
fn a_copy_in_a_file_is_published_as_outputs_are() {
    for publish in [Publish::Atomic, Publish::InPlace] {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("copy.wasm");
        let options = OutputOptions::new(publish);
        let (mut program, first) = Program::new(ModuleOptions::default());
        let mut copy = Replica::open(&path, options.clone()).expect("can be written");
        assert_eq!(copy.identity(), None);
        copy.apply(&program.envelope(&first))
            .expect("a first version");
        let locked = Replica::open(&path, options.clone()).expect_err("there is one writer");
        assert_eq!(locked.kind(), ErrorKind::Locked);
        let patch = program.edit(2);
        copy.apply(&program.envelope(&patch)).expect("the next one");
        assert_eq!(copy.identity(), Some(patch.identity));
        // Another process goes on with it.
        drop(copy);
        let mut copy = Replica::open(&path, options.clone()).expect("can be written");
        assert_eq!(copy.identity(), Some(patch.identity));
        let patch = program.edit(3);
        let third = program.envelope(&patch);
        copy.apply(&third).expect("the next one");
        assert!(std::fs::read(&path).expect("is there") == program.bytes());
        let again = copy.apply(&third).expect_err("it has it already");
        assert_eq!(again.path(), Some(&*path));
        // Somebody else writes it.
        let mut foreign = program.bytes();
        foreign[8] ^= 1;
        std::fs::remove_file(&path).expect("can be removed");
        std::fs::write(&path, &foreign).expect("can be written");
        let patch = program.edit(4);
        let changed = copy
            .apply(&program.envelope(&patch))
            .expect_err("was changed");
        assert_eq!(changed.kind(), ErrorKind::OutputChanged);
        assert_eq!(std::fs::read(&path).expect("is there"), foreign);
        let whole = Envelope::whole(program.bytes()).expect("is an output");
        copy.apply(&whole).expect("is for all");
        let patch = program.edit(5);
        copy.apply(&program.envelope(&patch)).expect("the next one");
        assert!(std::fs::read(&path).expect("is there") == program.bytes());
    }
}
