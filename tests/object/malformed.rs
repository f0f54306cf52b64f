//! Malformed objects and archives: an error with the file's name, never a panic, never an allocation that the input's
//! size does not explain. One test, because allocations are counted for the whole process.
//!
//! Run: `Object::read` and `Archive::open`, on each file of `tests/objects` cut at every length, with every bit flipped, and with
//! large numbers in it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use support::objects;
use wasmend::internals::object::ids::SegmentIndex;
use wasmend::internals::object::reloc::Target;
use wasmend::internals::object::{Access, Archive, Input, Object, SymbolKind};

#[path = "../support/mod.rs"]
mod support;

/// Remembers the largest request, to show that nothing is allocated because hostile input says so.
struct Largest;

static LARGEST: AtomicUsize = AtomicUsize::new(0);

unsafe impl GlobalAlloc for Largest {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LARGEST.fetch_max(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Largest = Largest;

/// Uses every table of an object, as a linker would. Panics if one refers to what is not there.
fn use_all(object: &Object) {
    for (index, symbol) in object.symbols.iter().enumerate() {
        let _ = object.str(symbol.name);
        match symbol.kind {
            SymbolKind::Function => {
                let ty = object.function_type(symbol.function().unwrap());
                let _ = object.bytes(object.types[ty.index()].params);
            }
            SymbolKind::Global => drop(object.global_type(symbol.global().unwrap())),
            SymbolKind::Table => drop(object.table_type(symbol.table().unwrap())),
            SymbolKind::Tag => drop(object.tag_type(symbol.tag().unwrap())),
            SymbolKind::Section => {
                object.custom_section(symbol.section().unwrap()).unwrap();
            }
            SymbolKind::Data => {
                if let Some(segment) = symbol.segment() {
                    assert!(symbol.value <= object.segments[segment.index()].data.len);
                }
            }
        }
        assert_eq!(object.hashes[index] == 0, symbol.is_local());
    }
    let mut seen = 0;
    for function in &object.functions {
        let _ = object.bytes(function.body);
        let _ = &object.types[function.ty.index()];
        for reloc in object.function_relocs(function) {
            seen += 1;
            let at = object.offset_in_body(function, reloc);
            assert!(at + reloc.kind().width() <= function.body.len);
            match reloc.target() {
                Target::Symbol(symbol) => assert!(symbol.index() < object.symbols.len()),
                Target::Type(ty) => assert!(ty.index() < object.types.len()),
            }
            let _ = object.code_relocs.addend(reloc);
        }
    }
    assert_eq!(seen, object.code_relocs.all().len());
    seen = 0;
    for index in 0..object.segments.len() {
        let segment = SegmentIndex(index as u32);
        let _ = object.str(object.segments[index].name);
        for reloc in object.segment_relocs(segment) {
            seen += 1;
            let at = object.offset_in_segment(segment, reloc);
            assert!(at + reloc.kind().width() <= object.segments[index].data.len);
        }
    }
    assert_eq!(seen, object.data_relocs.all().len());
    for custom in &object.custom_sections {
        let _ = object.str(custom.name);
        let _ = object.bytes(custom.contents);
        if let Ok(relocs) = object.custom_relocs(custom.section) {
            for reloc in relocs.all() {
                assert!(reloc.offset + reloc.kind().width() <= custom.contents.len);
            }
        }
    }
    for init in &object.init_functions {
        assert!(object.symbols[init.symbol.index()].function().is_some());
    }
    for (function, name) in &object.exported_functions {
        object.function_type(*function);
        let _ = object.str(*name);
    }
    for comdat in object
        .functions
        .iter()
        .filter_map(|function| function.comdat)
    {
        let _ = object.str(object.comdats[comdat.index()].name);
    }
    let _ = (object.features(), object.producers());
}

/// Reads bytes that may be malformed; says whether they were accepted.
fn try_object(bytes: Vec<u8>, what: impl FnOnce() -> String) -> bool {
    let len = bytes.len();
    LARGEST.store(0, Ordering::Relaxed);
    let result = catch_unwind(AssertUnwindSafe(|| {
        match Object::read(Input::from_bytes("malformed.o", bytes)) {
            Ok(object) => {
                use_all(&object);
                true
            }
            Err(error) => {
                let text = error.to_string();
                assert!(text.contains("malformed.o"), "{text}");
                false
            }
        }
    }));
    let largest = LARGEST.load(Ordering::Relaxed);
    match result {
        Ok(_) if largest > 16 * len + 4096 => panic!("{}: {largest} bytes asked for", what()),
        Ok(accepted) => accepted,
        Err(_) => panic!("{}", what()),
    }
}

#[test]
fn malformed_objects_are_errors() {
    for path in objects::all() {
        let bytes = fs::read(&path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        for len in 0..bytes.len() {
            // Some sections can be missing: cut where one ends, an object is whole.
            let accepted = try_object(bytes[..len].to_vec(), || format!("{name} cut at {len}"));
            assert!(!accepted || len > bytes.len() / 2, "{name} cut at {len}");
        }
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << bit;
                try_object(flipped, || format!("{name}: bit {bit} of byte {at}"));
            }
            // The largest number where a count, size or index may stand.
            for number in [&[0xff, 0xff, 0xff, 0xff, 0x0f][..], &[0xff, 0xff, 0x7f]] {
                let mut hostile = bytes.clone();
                let end = (at + number.len()).min(hostile.len());
                hostile[at..end].copy_from_slice(&number[..end - at]);
                try_object(hostile, || format!("{name}: a large number at {at}"));
            }
        }
    }
    for path in objects::files(&["a", "rlib"]) {
        let bytes = fs::read(&path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        for len in 0..bytes.len() {
            try_archive(bytes[..len].to_vec(), &path, || {
                format!("{name} cut at {len}")
            });
        }
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << bit;
                try_archive(flipped, &path, || format!("{name}: bit {bit} of byte {at}"));
            }
        }
    }
}

fn try_archive(bytes: Vec<u8>, path: &Path, what: impl FnOnce() -> String) {
    let len = bytes.len();
    LARGEST.store(0, Ordering::Relaxed);
    let result = catch_unwind(AssertUnwindSafe(|| {
        let Ok(archive) = Archive::open(Input::from_bytes(path, bytes)) else {
            return;
        };
        for symbol in archive.symbols() {
            let _ = archive.name(symbol);
            if let Ok(member) = archive.member(symbol.member, Access::Map) {
                let _ = member.read();
            }
        }
        let _ = archive.members(Access::Map);
    }));
    let largest = LARGEST.load(Ordering::Relaxed);
    match result {
        Ok(()) if largest > 16 * len + 4096 => panic!("{}: {largest} bytes asked for", what()),
        Ok(()) => {}
        Err(_) => panic!("{}", what()),
    }
}
