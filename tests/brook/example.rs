//! Where the example's program is. Cargo builds examples before it runs all tests, but not for a test on its own.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::SystemTime;
use std::{env, fs};

/// The program, built if it is not there or older than its sources; or the one that `WASMEND_BROOK` names.
pub fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        if let Some(named) = env::var_os("WASMEND_BROOK") {
            return named.into();
        }
        // This test is `target/PROFILE/deps/brook-HASH`.
        let test = env::current_exe().expect("a test knows where it is");
        let profile = test
            .ancestors()
            .nth(2)
            .expect("it is in a folder of Cargo's");
        let program = profile.join("examples").join("brook");
        let home = Path::new(env!("CARGO_MANIFEST_DIR"));
        let built = modified(&program);
        let sources = ["src", "examples/brook"].map(|folder| newest(&home.join(folder)));
        if built.is_none() || sources.iter().any(|source| *source > built) {
            build(profile);
        }
        assert!(program.is_file(), "{} is not there", program.display());
        program
    })
}

/// Cargo knows whether there is anything to build.
fn build(profile: &Path) {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
    cargo.args(["build", "--quiet", "--example", "brook", "--target-dir"]);
    cargo.arg(
        profile
            .parent()
            .expect("a profile's folder is in another one"),
    );
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    let status = cargo.status().expect("cargo can be run");
    assert!(status.success(), "the example cannot be built");
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|it| it.modified()).ok()
}

/// When the newest file within a folder was written.
fn newest(folder: &Path) -> Option<SystemTime> {
    let entries = fs::read_dir(folder).expect("sources are there");
    let times = entries.map(|entry| {
        let path = entry.expect("it can be read").path();
        match path.is_dir() {
            true => newest(&path),
            false => modified(&path),
        }
    });
    times.max().flatten()
}
