//! Whole modules: created from one build, patched to the next, equal to it each time.

use wasmend::{Redirect, Types, WholeModule, WholeOptions};

#[path = "support/smith.rs"]
mod smith;
mod support;

use support::FAMILIES;

const MODES: [Redirect; 2] = [Redirect::TableThunks, Redirect::Direct];

fn options(redirect: Redirect) -> WholeOptions {
    WholeOptions {
        redirect,
        ..WholeOptions::default()
    }
}

#[test]
fn builds_of_real_compilers() {
    for family in FAMILIES {
        for redirect in MODES {
            let versions = family.versions();
            let (mut whole, first) =
                WholeModule::in_memory(options(redirect), &versions[0]).expect("valid");
            println!(
                "{} {redirect:?}: {} of {} {:?}",
                family.name,
                first.patch.file_len,
                versions[0].len(),
                first.warnings
            );
            let mut order: Vec<usize> = (0..versions.len()).collect();
            order.push(0);
            for at in order {
                let update = whole.update(&versions[at]).expect("valid");
                let out = whole.bytes().expect("in memory");
                support::validate(&out).expect("valid");
                println!(
                    "  v{}: {} changed {} added {} removed, {} of {} bytes, {:?}",
                    at + 1,
                    update.functions_changed,
                    update.functions_added,
                    update.functions_removed,
                    update.patch.bytes_written(),
                    update.patch.file_len,
                    update.patch.relink_reason()
                );
                #[cfg(feature = "engine")]
                if family.runs() {
                    assert_eq!(
                        support::run::observe(family, &out),
                        support::run::observe(family, &versions[at])
                    );
                }
            }
        }
    }
}
