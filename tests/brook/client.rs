//! An editor: it has a document, sends its edits as they would be typed, and keeps what the server says.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::example;

/// Longer than anything takes on a machine that does other things too.
const PATIENCE: Duration = Duration::from_secs(60);

pub const URI: &str = "file:///tmp/a%20program.brook";

pub struct Client {
    child: Child,
    input: ChildStdin,
    output: Receiver<Value>,
    requests: i64,
    /// The document, as the server should have it.
    pub text: String,
    version: i64,
    /// What was said last of the document: line, and message.
    pub diagnostics: Vec<(u64, String)>,
    /// The same, whole.
    pub raw_diagnostics: Vec<Value>,
    /// What each edit did.
    pub statuses: Vec<Value>,
    pub log: Vec<String>,
    pub refreshes: usize,
}

impl Client {
    /// A server that has been initialized.
    pub fn start() -> Client {
        let mut client = Client::silent();
        let capabilities = json!({ "workspace": { "inlayHint": { "refreshSupport": true } } });
        let params = json!({ "processId": null, "rootUri": null, "capabilities": capabilities,
            "initializationOptions": { "status": true } });
        let answer = client.request("initialize", params).unwrap();
        assert_eq!(answer["capabilities"]["inlayHintProvider"], true);
        client.notify("initialized", json!({}));
        client
    }

    /// A server to which nothing has been said.
    pub fn silent() -> Client {
        let mut child = Command::new(example::program("brook"))
            .arg("lsp")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the example can be run");
        let input = child.stdin.take().unwrap();
        let mut reader = BufReader::new(child.stdout.take().unwrap());
        let (sender, output) = channel();
        thread::spawn(move || {
            while let Some(message) = read(&mut reader) {
                if sender.send(message).is_err() {
                    return;
                }
            }
        });
        Client {
            child,
            input,
            output,
            requests: 0,
            text: String::new(),
            version: 0,
            diagnostics: Vec::new(),
            raw_diagnostics: Vec::new(),
            statuses: Vec::new(),
            log: Vec::new(),
            refreshes: 0,
        }
    }

    /// Sends bytes as they are.
    pub fn send_raw(&mut self, bytes: &[u8]) {
        self.input.write_all(bytes).expect("the server lives");
        self.input.flush().expect("the server lives");
    }

    pub fn send(&mut self, message: &Value) {
        let text = message.to_string();
        let frame = format!("Content-Length: {}\r\n\r\n{text}", text.len());
        self.send_raw(frame.as_bytes());
    }

    pub fn notify(&mut self, method: &str, params: Value) {
        self.send(&json!({ "jsonrpc": "2.0", "method": method, "params": params }));
    }

    /// What comes next, whatever it is.
    pub fn receive(&mut self) -> Value {
        let message = self.output.recv_timeout(PATIENCE);
        let message = message.expect("the server says something");
        self.note(&message);
        message
    }

    /// Asks something, and notes what the server says until it answers.
    pub fn request(&mut self, method: &str, params: Value) -> Result<Value, Value> {
        self.requests += 1;
        let id = self.requests;
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        loop {
            let message = self.receive();
            if message["id"] == id && message.get("method").is_none() {
                return match message.get("error") {
                    Some(error) => Err(error.clone()),
                    None => Ok(message["result"].clone()),
                };
            }
        }
    }

    fn note(&mut self, message: &Value) {
        let params = &message["params"];
        match message["method"].as_str() {
            Some("textDocument/publishDiagnostics") => {
                if params["uri"] != URI {
                    return;
                }
                self.raw_diagnostics = params["diagnostics"].as_array().unwrap().clone();
                let all = self.raw_diagnostics.iter().map(|it| {
                    let line = it["range"]["start"]["line"].as_u64().unwrap();
                    (line, it["message"].as_str().unwrap().to_owned())
                });
                self.diagnostics = all.collect();
            }
            Some("brook/status") => self.statuses.push(params.clone()),
            Some("window/logMessage") => {
                self.log
                    .push(params["message"].as_str().unwrap().to_owned());
            }
            Some("workspace/inlayHint/refresh") => {
                self.refreshes += 1;
                let answer = json!({ "jsonrpc": "2.0", "id": message["id"], "result": null });
                self.send(&answer);
            }
            _ => {}
        }
    }

    pub fn open(&mut self, text: &str) {
        text.clone_into(&mut self.text);
        let document = json!({ "uri": URI, "languageId": "brook", "version": 0, "text": text });
        self.notify("textDocument/didOpen", json!({ "textDocument": document }));
    }

    /// Makes the document this one, by the one edit that does it.
    pub fn edit(&mut self, text: &str) {
        let same = |a: Option<(char, char)>| matches!(a, Some((a, b)) if a == b);
        let (old, new) = (self.text.clone(), text);
        let mut start = 0;
        while same(old[start..].chars().next().zip(new[start..].chars().next())) {
            start += old[start..].chars().next().unwrap().len_utf8();
        }
        let (mut old_end, mut new_end) = (old.len(), new.len());
        while old_end > start
            && new_end > start
            && same(
                old[..old_end]
                    .chars()
                    .next_back()
                    .zip(new[..new_end].chars().next_back()),
            )
        {
            let len = old[..old_end].chars().next_back().unwrap().len_utf8();
            old_end -= len;
            new_end -= len;
        }
        let range = json!({ "start": position(&old, start), "end": position(&old, old_end) });
        self.change(json!([{ "range": range, "text": &new[start..new_end] }]));
        new.clone_into(&mut self.text);
    }

    /// Sends changes of the document as they are.
    pub fn change(&mut self, changes: Value) {
        self.version += 1;
        let document = json!({ "uri": URI, "version": self.version });
        let params = json!({ "textDocument": document, "contentChanges": changes });
        self.notify("textDocument/didChange", params);
    }

    /// Values as they stand beside the text, by line. What was said before of the document has been noted then.
    pub fn hints(&mut self) -> BTreeMap<u64, String> {
        let range = json!({ "start": { "line": 0, "character": 0 }, "end": { "line": 1_000_000, "character": 0 } });
        let params = json!({ "textDocument": { "uri": URI }, "range": range });
        let answer = self.request("textDocument/inlayHint", params).unwrap();
        let hints = answer.as_array().expect("the document is open").iter();
        let hints = hints.map(|hint| {
            let line = hint["position"]["line"].as_u64().unwrap();
            let end = self.text.split('\n').nth(line as usize).unwrap();
            let units: usize = end.chars().map(char::len_utf16).sum();
            assert_eq!(
                hint["position"]["character"], units,
                "a hint stands at the end of {end:?}"
            );
            (line, hint["label"].as_str().unwrap().to_owned())
        });
        hints.collect()
    }

    /// Runs a function of the program's.
    pub fn run(&mut self, name: &str) -> Result<String, String> {
        let params = json!({ "command": "brook.run", "arguments": [URI, name] });
        match self.request("workspace/executeCommand", params) {
            Ok(value) => Ok(value.as_str().unwrap().to_owned()),
            Err(error) => Err(error["message"].as_str().unwrap().to_owned()),
        }
    }

    /// Kilobytes of memory that the server has in use.
    pub fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("the server lives");
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let figure = line.and_then(|line| line.split_whitespace().nth(1));
        figure
            .and_then(|figure| figure.parse().ok())
            .expect("it has memory")
    }

    /// Says goodbye, and expects the server to go.
    pub fn end(mut self) {
        assert_eq!(self.request("shutdown", Value::Null), Ok(Value::Null));
        self.notify("exit", Value::Null);
        let status = self.child.wait().expect("it ends");
        assert!(status.success(), "{status}");
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The place of a byte, in lines and units of UTF-16.
fn position(text: &str, offset: usize) -> Value {
    let before = &text[..offset];
    let line = before.matches('\n').count();
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    let units: usize = before[start..].chars().map(char::len_utf16).sum();
    json!({ "line": line, "character": units })
}

fn read(reader: &mut impl BufRead) -> Option<Value> {
    let mut len = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            line => {
                if let Some(given) = line.strip_prefix("Content-Length: ") {
                    len = given.parse().ok()?;
                }
            }
        }
    }
    let mut body = vec![0; len];
    reader.read_exact(&mut body).ok()?;
    serde_json::from_slice(&body).ok()
}
