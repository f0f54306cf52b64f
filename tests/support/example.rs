//! Where an example's program is. Cargo builds examples before it runs all tests, but not for a test on its own.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;
use std::{env, fs};

/// The program, built if it is not there or older than its sources; or the one that `WASMEND_NAME` names, in capitals.
pub fn program(name: &str) -> PathBuf {
    if let Some(named) = env::var_os(format!("WASMEND_{}", name.to_uppercase())) {
        return named.into();
    }
    // This test is `target/PROFILE/deps/TEST-HASH`.
    let test = env::current_exe().expect("a test knows where it is");
    let profile = test
        .ancestors()
        .nth(2)
        .expect("it is in a folder of Cargo's");
    let program = profile.join("examples").join(name);
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let built = modified(&program);
    let sources = [
        "src".to_owned(),
        format!("examples/{name}"),
        format!("examples/{name}.rs"),
    ];
    let mut sources = sources.iter().map(|source| newest(&home.join(source)));
    if built.is_none() || sources.any(|source| source > built) {
        build(profile, name);
    }
    assert!(program.is_file(), "{} is not there", program.display());
    program
}

/// Cargo knows whether there is anything to build.
fn build(profile: &Path, name: &str) {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
    cargo.args(["build", "--quiet", "--example", name, "--target-dir"]);
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

/// When a file, or the newest one within a folder, was written; nothing if it is not there.
fn newest(path: &Path) -> Option<SystemTime> {
    if !path.is_dir() {
        return modified(path);
    }
    let entries = fs::read_dir(path).expect("sources are there");
    let times = entries.map(|entry| newest(&entry.expect("it can be read").path()));
    times.max().flatten()
}
