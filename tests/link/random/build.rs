//! Programs compiled, many files for each run of the compiler, and linked by wasm-ld.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::program::{Place, Program};
use crate::support::toolchain::run;

/// A program at each of its steps: what was said of the step, and where each unit's object is.
pub struct Steps {
    pub program: Program,
    pub folder: PathBuf,
    pub all: Vec<(String, Vec<PathBuf>)>,
}

impl Steps {
    pub fn new(folder: PathBuf, program: &Program) -> Steps {
        Steps {
            program: program.clone(),
            folder,
            all: Vec::new(),
        }
    }

    /// Writes what is new in this version, and adds it to what must be compiled, by flags.
    pub fn add(
        &mut self,
        what: String,
        program: &Program,
        work: &mut BTreeMap<Vec<&'static str>, Vec<PathBuf>>,
    ) {
        let step = self.all.len();
        let folder = self.folder.join(step.to_string());
        fs::create_dir_all(&folder).unwrap();
        let mut objects = Vec::new();
        for (at, unit) in program.units.iter().enumerate() {
            let text = program.text(at);
            let name = format!("u{at}.{}", if unit.is_cpp { "cpp" } else { "c" });
            if let Some((_, last)) = self.all.last()
                && fs::read_to_string(last[at].with_file_name(&name)).unwrap() == text
            {
                objects.push(last[at].clone());
                continue;
            }
            let path = folder.join(&name);
            fs::write(&path, text).unwrap();
            objects.push(path.with_extension("o"));
            let target: &[&str] = match program.is_64 {
                true => &["-triple", "wasm64-unknown-unknown"],
                false => &["-triple", "wasm32-unknown-unknown"],
            };
            work.entry([target, &unit.flags].concat())
                .or_default()
                .push(path);
        }
        self.all.push((what, objects));
    }

    /// What both linkers are told.
    pub fn arguments(&self, folder: &Path) -> Vec<String> {
        let object = |at: usize| folder.join(format!("u{at}.o")).display().to_string();
        let units = || self.program.units.iter().enumerate();
        let at = |place: Place| units().filter(move |(_, unit)| unit.place == place);
        let mut arguments = self.program.options.clone();
        arguments.extend(at(Place::Object).map(|(at, _)| object(at)));
        arguments.push("--start-lib".to_owned());
        arguments.extend(at(Place::Lib).map(|(at, _)| object(at)));
        arguments.push("--end-lib".to_owned());
        for archive in 0..2 {
            if at(Place::Archive(archive)).next().is_some() {
                let path = folder.join(format!("lib{archive}.a")).display().to_string();
                match self.program.is_whole && archive == 0 {
                    true => arguments.extend(
                        ["--whole-archive", &path, "--no-whole-archive"].map(str::to_owned),
                    ),
                    false => arguments.push(path),
                }
            }
        }
        arguments
    }

    /// Puts the objects of a step where the linkers look for them; the files that have changed.
    pub fn install(&self, step: usize, folder: &Path) -> Vec<PathBuf> {
        let mut changed = Vec::new();
        let mut archives = Vec::new();
        let objects = &self.all[step].1;
        for (at, unit) in self.program.units.iter().enumerate() {
            if step > 0 && self.all[step - 1].1[at] == objects[at] {
                continue;
            }
            let path = folder.join(format!("u{at}.o"));
            fs::copy(&objects[at], &path).unwrap();
            match unit.place {
                Place::Archive(archive) if archives.contains(&archive) => {}
                Place::Archive(archive) => archives.push(archive),
                Place::Object | Place::Lib => changed.push(path),
            }
        }
        for archive in archives {
            let path = folder.join(format!("lib{archive}.a"));
            let _ = fs::remove_file(&path);
            let units = self.program.units.iter().enumerate();
            let members = units.filter(|(_, unit)| unit.place == Place::Archive(archive));
            let members = members.map(|(at, _)| folder.join(format!("u{at}.o")));
            run(Command::new("llvm-ar-19")
                .arg("crs")
                .arg(&path)
                .args(members));
            changed.push(path);
        }
        changed
    }
}

/// Compiles everything, each list with its flags.
pub fn compile(work: &BTreeMap<Vec<&'static str>, Vec<PathBuf>>) {
    for (flags, files) in work {
        for is_cpp in [false, true] {
            let files: Vec<&PathBuf> = files
                .iter()
                .filter(|path| path.extension().is_some_and(|it| it == "cpp") == is_cpp)
                .collect();
            if files.is_empty() {
                continue;
            }
            let mut clang = Command::new("clang-19");
            clang.args([
                "-cc1",
                "-triple",
                "wasm32-unknown-unknown",
                "-emit-obj",
                "-w",
            ]);
            clang.args(["-ffreestanding", "-fno-builtin"]);
            if is_cpp {
                clang.arg("-std=c++20");
            }
            run(clang.args(flags).args(files));
        }
    }
}

/// What wasm-ld makes of it, or says; `None` when it crashes.
pub fn wasm_ld(arguments: &[String], output: &Path) -> Option<Result<Vec<u8>, String>> {
    let done = Command::new("wasm-ld-19")
        .arg("--threads=1")
        .args(arguments)
        .arg("-o")
        .arg(output)
        .output()
        .expect("wasm-ld-19 can be run");
    match done.status.code()? {
        0 => Some(Ok(fs::read(output).unwrap())),
        _ => Some(Err(String::from_utf8_lossy(&done.stderr).into_owned())),
    }
}
