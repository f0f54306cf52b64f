//! The compiler in watch mode: its output is patched, and is at each moment what a fresh compiler would make of the text.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use wasmi::{Engine, Instance, Linker, Module, Store};

use super::example;

struct Watching {
    child: Child,
    lines: Receiver<String>,
}

impl Watching {
    fn start(program: &Path, output: &Path) -> Watching {
        let mut child = Command::new(example::program("brook"))
            .arg("watch")
            .args([program, output])
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("the example can be run");
        let reader = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        thread::spawn(move || {
            reader
                .lines()
                .map_while(Result::ok)
                .try_for_each(|line| sender.send(line))
        });
        Watching { child, lines }
    }

    /// The next line that begins so.
    fn line(&self, start: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(Duration::from_secs(60));
            let line = line.expect("the compiler says something");
            if line.starts_with(start) {
                return line;
            }
        }
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the exported `main` of a file gives, for some numbers.
fn results(file: &Path) -> Vec<f64> {
    let engine = Engine::default();
    let module = Module::new(&engine, fs::read(file).unwrap()).unwrap();
    let mut store = Store::new(&engine, ());
    let instance: Instance = Linker::new(&engine)
        .instantiate_and_start(&mut store, &module)
        .unwrap();
    let main = instance.get_typed_func::<f64, f64>(&store, "main").unwrap();
    let inputs = [0.0, 1.0, 7.5, -3.0];
    inputs
        .map(|input| main.call(&mut store, input).unwrap())
        .to_vec()
}

#[test]
fn what_is_patched_does_what_a_fresh_output_does_and_little_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let (program, output) = (folder.path().join("a.brook"), folder.path().join("a.wasm"));
    let versions: Vec<String> = [
        ("x * 2", "a", ""),
        ("x * 3", "a", ""),
        ("x * 3 + len(word)", "a", ""),
        ("x * 3 + len(word)", "a longer word", ""),
        (
            "helper(x) + len(word)",
            "a longer word",
            "fn helper(x) { if x > 2 { x } else { sqrt(abs(x)) } }",
        ),
        (
            "helper(x, 2)",
            "",
            "fn helper(x, y) { let s = 0\n for i in 0..5 { s = s + x / y }\n s }",
        ),
        ("x", "", ""),
    ]
    .iter()
    .map(|(value, word, more)| {
        format!("var word = \"{word}\"\nexport fn main(x) {{ {value} }}\n{more}\nshow main(1)\n")
    })
    .collect();
    fs::write(&program, &versions[0]).unwrap();
    let watching = Watching::start(&program, &output);
    for (at, version) in versions.iter().enumerate() {
        if at > 0 {
            fs::write(&program, version).unwrap();
        }
        let line = watching.line("patched ");
        let bytes: u64 = line.split(' ').nth(1).unwrap().parse().unwrap();
        assert!(
            bytes < if at == 0 { 4096 } else { 1024 },
            "version {at}: {line}"
        );
        let shown = watching.line("show main(1) = ");
        let fresh = folder.path().join(format!("fresh{at}.wasm"));
        let other = Watching::start(&program, &fresh);
        assert_eq!(other.line("show main(1) = "), shown);
        drop(other);
        wasmparser::validate(&fs::read(&output).unwrap()).unwrap();
        assert_eq!(results(&output), results(&fresh), "version {at}");
    }
    // A mistake leaves the output as it is.
    let before = fs::read(&output).unwrap();
    fs::write(&program, "show nobody\n").unwrap();
    thread::sleep(Duration::from_millis(200));
    fs::write(&program, versions[6].replace("{ x }", "{ x + 0 }")).unwrap();
    watching.line("patched ");
    assert_eq!(results(&output), [0.0, 1.0, 7.5, -3.0]);
    assert_ne!(fs::read(&output).unwrap(), before);
}

#[test]
fn a_program_is_compiled_once_and_its_mistakes_are_said_with_line_and_column() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("a.brook");
    fs::write(&program, "var n = 2\nshow n + 3\n").unwrap();
    let run = || {
        Command::new(example::program("brook"))
            .arg("run")
            .arg(&program)
            .output()
            .unwrap()
    };
    let done = run();
    assert!(done.status.success());
    assert_eq!(
        String::from_utf8_lossy(&done.stdout),
        "n is 2\nshow n + 3 = 5\n"
    );
    fs::write(&program, "show 1 +\n  show m\n").unwrap();
    let done = run();
    assert!(!done.status.success());
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(
        said.contains("a.brook:2:3: there should be an expression here"),
        "{said}"
    );
}
