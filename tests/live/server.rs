//! Programs of this process that hear what a `wasmend serve` of another one publishes.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use wasmend::live::{Live, LiveOptions, News, Server};

use crate::hosts::{Host, in_each_engine};
use crate::program::call;

in_each_engine!(what_a_server_publishes_is_taken_in_and_nothing_is_missed);

/// A server, which ends with this.
struct Serving(Child, String);

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn serve(folder: &Path) -> Serving {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wasmend"));
    command.args(["--json", "serve", "app.wasm", "--port", "0"]);
    let command = command.current_dir(folder).stdout(Stdio::piped());
    let mut child = command.stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let url = lines.find_map(|line| {
        let line: serde_json::Value = serde_json::from_str(&line.unwrap()).unwrap();
        let url = line["url"].as_str().map(str::to_owned);
        url.filter(|_| line["event"] == "serving")
    });
    // Somebody reads what else it says.
    std::thread::spawn(move || lines.for_each(drop));
    Serving(child, url.unwrap())
}

/// Saves a module whose `count` counts in memory by `step`.
fn save(folder: &Path, step: u32, more: &str) {
    let text = format!(
        r#"(module (memory (export "memory") 1) (func (export "count") (result i32)
            (i32.store (i32.const 16) (i32.add (i32.load (i32.const 16)) (i32.const {step})))
            (i32.load (i32.const 16))) {more})"#
    );
    fs::write(folder.join("new"), wat::parse_str(text).unwrap()).unwrap();
    fs::rename(folder.join("new"), folder.join("app.wasm")).unwrap();
}

fn what_a_server_publishes_is_taken_in_and_nothing_is_missed<H: Host>() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    save(folder, 1, "");
    let serving = serve(folder);
    let server = Server::at(&serving.1).unwrap();
    let mut live = Live::load(H::new(), &server.file().unwrap(), LiveOptions::default()).unwrap();
    let mut listener = server.listen(live.identity()).unwrap();
    assert!(matches!(listener.next(live.identity()), Ok(News::Current)));
    let mut expected = 0;
    for step in 1..10 {
        expected += i64::from(step);
        assert_eq!(call(&mut live, "count", &[]), expected);
        save(folder, step + 1, "");
        let News::Delta { delta, .. } = listener.next(live.identity()).unwrap() else {
            panic!("a delta");
        };
        live.apply(&delta).unwrap();
    }
    // A build that is none is said, and it goes on; what cannot be taken in begins anew.
    fs::write(folder.join("new"), "no module").unwrap();
    fs::rename(folder.join("new"), folder.join("app.wasm")).unwrap();
    let News::Failed { message } = listener.next(live.identity()).unwrap() else {
        panic!("an error");
    };
    assert!(message.contains("app.wasm"), "{message}");
    save(folder, 100, "(table 4 funcref)");
    let News::Refused { code, .. } = listener.next(live.identity()).unwrap() else {
        panic!("a refusal");
    };
    assert_eq!(code, "L05");
    live.restart(&server.file().unwrap()).unwrap();
    assert_eq!(call(&mut live, "count", &[]), 100);
    // Whoever was away catches up.
    let before = live.identity();
    drop(listener);
    for step in [200, 300] {
        save(folder, step, "(table 4 funcref)");
        let mut other = server.listen(before).unwrap();
        let wanted = before.generation + u64::from(step / 100) - 1;
        while !matches!(&other.next(before), Ok(News::Delta { delta, .. }) if delta.to.generation == wanted)
        {
        }
    }
    let mut listener = server.listen(live.identity()).unwrap();
    for expected in [300, 600] {
        let News::Delta { delta, undo } = listener.next(live.identity()).unwrap() else {
            panic!("a delta");
        };
        live.apply(&delta).unwrap();
        let undo = server.delta(&undo.unwrap()).unwrap();
        assert_eq!((undo.from, undo.to), (delta.to, delta.from));
        live.apply(&undo).unwrap();
        live.apply(&delta).unwrap();
        assert_eq!(call(&mut live, "count", &[]), expected);
    }
    drop(serving);
    let error = listener.next(live.identity()).unwrap_err();
    assert!(error.to_string().contains("serve"), "{error}");
    let error = Server::at("http://127.0.0.1:1").unwrap_err();
    assert!(error.path().is_some(), "{error}");
}
