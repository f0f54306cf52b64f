//! What a process that is ended leaves behind. Alone in its process, since it removes what is temporary in all of it.

use std::fs;
use std::path::Path;

use wasmend::output::{Output, OutputOptions, remove_temporaries, write_file};
use wasmend::{Error, RangeList, Reason};

fn unfinished(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.ends_with(".tmp")).collect()
}

#[test]
fn whoever_ends_the_process_can_remove_what_is_temporary() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.wasm");
    let shadow = folder.path().join(".wasmend/out.wasm.shadow");
    let fresh = folder.path().join(".wasmend/out.wasm.new");
    let patched = {
        let mut output = Output::file(&path, OutputOptions::default()).unwrap();
        let fill = |bytes: &mut [u8]| {
            bytes.fill(1);
            Ok(())
        };
        output.publish_whole(100, fill).unwrap();
        let mut patch = RangeList::new(100);
        patch.push(3, b"patched", Reason::Data);
        patch.finish(100);
        output.publish_patch(patch).unwrap();
        assert!(shadow.exists());
        drop(remove_temporaries());
        assert!(!shadow.exists());
        let patched = fs::read(&path).unwrap();
        assert!(patched.windows(7).any(|window| window == b"patched"));
        let interrupted = |bytes: &mut [u8]| {
            bytes.fill(2);
            assert!(fresh.exists());
            drop(remove_temporaries());
            Ok(())
        };
        output.publish_whole(100, interrupted).unwrap_err();
        assert!(!fresh.exists());
        patched
    };
    assert_eq!(fs::read(&path).unwrap(), patched);

    // A file that is written once has a random name until it is finished.
    let mut seen = Vec::new();
    for _ in 0..3 {
        let names = std::cell::RefCell::new(Vec::new());
        let interrupted = || {
            names.replace(unfinished(folder.path()));
            drop(remove_temporaries());
            assert_eq!(unfinished(folder.path()), [""; 0]);
            Err(Error::bad_input("interrupted"))
        };
        let options = OutputOptions::default();
        write_file(&path, &options, b"new", &interrupted).unwrap_err();
        seen.extend(names.into_inner());
    }
    assert_eq!(seen.len(), 3);
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 3, "{seen:?}");
    assert_eq!(fs::read(&path).unwrap(), patched);
}
