//! Many links one after the other, some of them killed, while others read the output: each version that is seen is whole, and what a
//! link leaves that was not killed is right. `WASMEND_LINKS` says how many, `WASMEND_SEED` makes them others, `WASMEND_PROGRAM`
//! names another build of wasmend.
//!
//! Run: `wasmend ld --state main.o twice.o pick.o -o out.wasm`, killed at random times.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::command::text;
use crate::support::smith::Rng;
use crate::watching::{answer, pick, program, replace};

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

fn command(folder: &Path) -> Command {
    let mut command = Command::new(crate::support::command::program());
    command.args(["--verbose", "ld", "--state", "main.o", "twice.o", "pick.o"]);
    command.args(["-o", "out.wasm"]).current_dir(folder);
    command.env_remove("WASMEND_STATE_UNUSABLE");
    command
}

#[test]
fn links_that_are_killed_at_random_leave_nothing_that_is_wrong() {
    let links = number("WASMEND_LINKS", 50);
    let mut rng = Rng::new(number("WASMEND_SEED", 1));
    let folder = program(1);
    let folder = folder.path();
    let output = folder.join("out.wasm");
    assert!(command(folder).output().unwrap().status.success());
    // What has been asked for, and the last of it that is known to have been visible.
    let edits = Mutex::new(vec![161]);
    let known = AtomicUsize::new(0);
    let is_over = AtomicBool::new(false);
    let seen = AtomicUsize::new(0);
    let mut counts = [0u64; 4];
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !is_over.load(Ordering::SeqCst) {
                    let oldest = known.load(Ordering::SeqCst);
                    let found = answer(&output);
                    let allowed = edits.lock().unwrap()[oldest..].to_vec();
                    assert!(allowed.contains(&found), "{found}: {allowed:?}");
                    seen.fetch_add(1, Ordering::SeqCst);
                    std::thread::sleep(Duration::from_millis(1));
                }
            });
        }
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for link in 0..links {
                let added = 1 + rng.below(60) as u8;
                let now = 160 + i32::from(added);
                edits.lock().unwrap().push(now);
                replace(&folder.join("pick.o"), pick(added));
                let mut command = command(folder);
                if rng.once_in(2) {
                    let mut child = command.stderr(Stdio::null()).spawn().unwrap();
                    std::thread::sleep(Duration::from_micros(rng.below(12_000) as u64));
                    let _ = child.kill();
                    child.wait().unwrap();
                    counts[0] += 1;
                    continue;
                }
                let ran = command.output().unwrap();
                let said = text(&ran.stderr);
                let is_well = ran.status.success() && !said.contains("panicked");
                assert!(is_well, "link {link}: {said}");
                assert_eq!(answer(&output), now, "link {link}: {said}");
                known.store(edits.lock().unwrap().len() - 1, Ordering::SeqCst);
                counts[1] += u64::from(said.contains("patched"));
                counts[2] += u64::from(said.contains("nothing has changed"));
                counts[3] += u64::from(said.contains("all is linked"));
            }
        }));
        is_over.store(true, Ordering::SeqCst);
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
    let [killed, patched, unchanged, linked] = counts;
    let seen = seen.load(Ordering::SeqCst);
    println!(
        "{links} links: {killed} killed, {patched} patched, {unchanged} with nothing to do, {linked} from nothing; {seen} looks at the output"
    );
    assert!(patched > 0 && seen > 0);
    let doctor = || {
        let mut command = Command::new(crate::support::command::program());
        command
            .args(["doctor", "out.wasm"])
            .current_dir(folder)
            .output()
            .unwrap()
    };
    assert!(command(folder).output().unwrap().status.success());
    assert!(doctor().status.success(), "{}", text(&doctor().stdout));
}
