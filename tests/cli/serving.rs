//! `wasmend serve`, asked as browsers ask, and as others may try to.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use base64::prelude::Engine;
use serde_json::Value as Json;

use crate::support::command::wasmend;
use crate::watching::{Watching, pick, program};

const LONG: Duration = Duration::from_secs(20);

/// A program that counts in memory, and says so many more than it has counted.
fn counter(more: u32) -> Vec<u8> {
    let text = format!(
        r#"(module (memory (export "memory") 1) (func (export "count") (result i32)
            (i32.store (i32.const 16) (i32.add (i32.load (i32.const 16)) (i32.const 1)))
            (i32.add (i32.load (i32.const 16)) (i32.const {more}))))"#
    );
    wat::parse_str(text).expect("valid text")
}

struct Serving {
    watching: Watching,
    port: u16,
}

/// An answer: its status, its headers in small letters, its body.
struct Answer {
    status: u16,
    headers: String,
    body: Vec<u8>,
}

impl Serving {
    fn start(more: &[&str]) -> Serving {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("web")).expect("a folder");
        fs::write(folder.path().join("web/index.html"), "<title>page</title>").expect("written");
        fs::write(folder.path().join("secret.txt"), "secret").expect("written");
        fs::write(folder.path().join("web/app.wasm"), counter(0)).expect("written");
        Serving::spawn(folder, &[&["web/app.wasm", "--root", "web"], more].concat())
    }

    fn spawn(folder: tempfile::TempDir, arguments: &[&str]) -> Serving {
        let mut command = Command::new(wasmend());
        command
            .args(["--json", "serve", "--port", "0"])
            .args(arguments);
        let mut watching = Watching::spawn(folder, command);
        let url = watching.expect("serving")["url"].clone();
        let url = url.as_str().expect("text").trim_end_matches('/');
        let port = url.rsplit(':').next().and_then(|port| port.parse().ok());
        Serving {
            watching,
            port: port.expect("a port"),
        }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).expect("listens");
        stream.set_read_timeout(Some(LONG)).expect("can be set");
        stream
    }

    fn ask(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.request("GET", path, headers, "")
    }

    fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut stream = self.connect();
        let host = format!("localhost:{}", self.port);
        let has_host = headers.iter().any(|(name, _)| *name == "host");
        let mut text = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\n");
        if !has_host {
            text += &format!("host: {host}\r\n");
        }
        for (name, value) in headers {
            text += &format!("{name}: {value}\r\n");
        }
        if !body.is_empty() {
            text += &format!("content-length: {}\r\n", body.len());
        }
        // Who refuses it does not read all of it.
        let _ = stream.write_all((text + "\r\n" + body).as_bytes());
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("an answer");
        let end = answer
            .windows(4)
            .position(|part| part == b"\r\n\r\n")
            .expect("a head");
        let head = String::from_utf8_lossy(&answer[..end]).to_lowercase();
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        Answer {
            status: status.expect("a status"),
            headers: head.clone(),
            body: answer[end + 4..].to_vec(),
        }
    }

    fn listen(&self, from: Option<&str>) -> Listening {
        let mut stream = self.connect();
        let query = from.map_or_else(String::new, |from| format!("?from={from}"));
        let text = format!(
            "GET /__wasmend/events{query} HTTP/1.1\r\nhost: localhost:{}\r\n\r\n",
            self.port
        );
        stream.write_all(text.as_bytes()).expect("is read");
        Listening(BufReader::new(stream))
    }

    fn save(&self, more: u32) {
        self.watching.replace("web/app.wasm", counter(more));
    }
}

/// Events as they come.
struct Listening(BufReader<TcpStream>);

impl Listening {
    fn next(&mut self) -> Json {
        let end = Instant::now() + LONG;
        loop {
            // What keeps the connection alive is no event.
            assert!(Instant::now() < end, "no event came");
            let mut line = String::new();
            assert_ne!(
                self.0.read_line(&mut line).expect("an event in time"),
                0,
                "the stream has ended"
            );
            if let Some(data) = line.strip_prefix("data:") {
                return serde_json::from_str(data).expect("json");
            }
        }
    }

    fn expect(&mut self, kind: &str) -> Json {
        loop {
            let event = self.next();
            if event["type"] == kind {
                return event;
            }
        }
    }
}

fn text(event: &Json, field: &str) -> String {
    event[field]
        .as_str()
        .unwrap_or_else(|| panic!("{event} has no {field}"))
        .to_owned()
}

#[test]
fn pages_get_files_of_the_folder_and_nothing_else() {
    let serving = Serving::start(&[]);
    let folder = serving.watching.folder.path();
    std::os::unix::fs::symlink("../secret.txt", folder.join("web/out.txt")).expect("a link");
    std::os::unix::fs::symlink("index.html", folder.join("web/in.html")).expect("a link");
    serving.listen(None).expect("current");
    let page = serving.ask("/", &[]);
    assert_eq!(
        (page.status, &page.body[..]),
        (200, &b"<title>page</title>"[..])
    );
    assert!(
        page.headers.contains("content-type: text/html"),
        "{}",
        page.headers
    );
    assert!(
        page.headers.contains("cache-control: no-store"),
        "{}",
        page.headers
    );
    assert_eq!(serving.ask("/in.html", &[]).status, 200);
    let module = serving.ask("/app.wasm", &[]);
    assert!(
        module.headers.contains("content-type: application/wasm"),
        "{}",
        module.headers
    );
    // Not the build, but what is kept up to date for it.
    assert!(wasmend::inspect::is_output(&module.body));
    assert!(
        serving
            .ask("/__wasmend/", &[])
            .body
            .starts_with(b"<!doctype html>")
    );
    let client = serving.ask("/__wasmend/client/index.js", &[]);
    assert!(
        client.headers.contains("content-type: text/javascript"),
        "{}",
        client.headers
    );
    for path in [
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "/..%5csecret.txt",
        "//secret.txt/../../secret.txt",
        "/out.txt",
        "/%00",
        "/%ff",
        "/%",
        "/nothing",
        "/__wasmend/client/../site.rs",
        "/__wasmend/client/secret",
    ] {
        let answer = serving.ask(path, &[]);
        assert_eq!(answer.status, 404, "{path}");
        assert!(
            !answer
                .body
                .windows(6)
                .any(|part| part == b"secret" && answer.body.len() == 6),
            "{path}"
        );
    }
    assert_eq!(serving.ask("/app.wasm?v=00", &[]).status, 410);
}

#[test]
fn only_who_asks_by_a_name_of_ours_and_from_our_pages_is_answered() {
    let serving = Serving::start(&["--allow-host", "Dev.Example", "--isolated"]);
    serving.listen(None).expect("current");
    let own = format!("http://localhost:{}", serving.port);
    for (headers, status) in [
        (&[("host", "evil.example")][..], 403),
        (&[("host", "localhost.evil.example:80")], 403),
        (&[("host", "dev.example:80")], 200),
        (&[("host", "127.0.0.1")], 200),
        (&[("host", "[::1]:80")], 200),
        (&[("host", "app.localhost")], 200),
        (&[("origin", "http://evil.example")], 403),
        (&[("origin", "null")], 403),
        (&[("origin", &own)], 200),
        (&[("sec-fetch-site", "cross-site")], 403),
        (&[("sec-fetch-site", "same-site")], 403),
        (&[("sec-fetch-site", "same-origin")], 200),
    ] {
        let answer = serving.ask("/__wasmend/status.json", headers);
        assert_eq!(answer.status, status, "{headers:?}");
    }
    assert_eq!(
        serving
            .ask("/index.html", &[("host", "evil.example")])
            .status,
        403
    );
    let page = serving.ask("/index.html", &[]);
    assert!(
        page.headers
            .contains("cross-origin-embedder-policy: require-corp"),
        "{}",
        page.headers
    );
    assert!(
        page.headers
            .contains("cross-origin-opener-policy: same-origin"),
        "{}",
        page.headers
    );
}

#[test]
fn each_build_is_told_and_what_was_missed_is_caught_up() {
    let mut serving = Serving::start(&[]);
    let mut page = serving.listen(None);
    let first = text(&page.expect("current"), "version");
    serving.watching.expect("update");
    serving.save(10);
    let delta = page.expect("delta");
    assert_eq!(text(&delta, "from"), first);
    let second = text(&delta, "to");
    let answer = serving.ask(&text(&delta, "url"), &[]);
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.body.len() as u64,
        delta["size"].as_u64().expect("a number")
    );
    assert_eq!(serving.ask(&text(&delta, "undo"), &[]).status, 200);
    serving.save(20);
    let third = text(&page.expect("delta"), "to");

    // Somebody who was away: with the first version, with the last one, with one that nobody knows.
    let mut away = serving.listen(Some(&first));
    assert_eq!(
        [text(&away.next(), "to"), text(&away.next(), "to")],
        [second, third.clone()]
    );
    assert_eq!(text(&serving.listen(Some(&third)).next(), "version"), third);
    assert_eq!(serving.listen(Some("00")).next()["type"], "gone");

    // The status page knows them all, the newest first.
    let status = serving.ask("/__wasmend/status.json", &[]);
    let status: Json = serde_json::from_slice(&status.body).expect("json");
    let versions = status["versions"].as_array().expect("a list");
    assert_eq!((versions.len(), text(&versions[0], "id")), (3, third));
    assert!(
        status["layout"]["parts"]
            .as_array()
            .is_some_and(|parts| parts.len() > 5)
    );
    assert_eq!(serving.ask("/__wasmend/delta/00.wasm", &[]).status, 410);
}

#[test]
fn a_small_delta_comes_with_the_news_of_it() {
    let serving = Serving::start(&[]);
    let mut page = serving.listen(None);
    page.expect("current");
    serving.save(10);
    let delta = page.expect("delta");
    let served = serving.ask(&text(&delta, "url"), &[]).body;
    let sent = base64::prelude::BASE64_STANDARD.decode(text(&delta, "data"));
    assert_eq!(sent.expect("base64"), served);
}

#[test]
fn the_demo_is_edited_while_it_runs() {
    let folder = tempfile::tempdir().expect("a folder");
    let serving = Serving::spawn(folder, &["--demo"]);
    let mut page = serving.listen(None);
    page.expect("current");
    let body = |answer: Answer| String::from_utf8(answer.body).expect("text");
    let motion = body(serving.ask("/motion.txt", &[]));
    assert!(body(serving.ask("/", &[])).contains("<textarea"));
    let save = |text: &str| {
        serving
            .request("PUT", "/__wasmend/source", &[], text)
            .status
    };
    // One function is another one: that alone is in the delta.
    let stormy = motion.replace("0.97", "0.999");
    assert_ne!(stormy, motion);
    assert_eq!(save(&stormy), 204);
    let delta = page.expect("delta");
    let bytes = serving.ask(&text(&delta, "url"), &[]).body;
    assert!(bytes.len() < 600, "{}", bytes.len());
    assert_eq!(body(serving.ask("/motion.txt", &[])), stormy);
    // What is wrong is said with its place, and what is there goes on.
    for (line, wrong) in [
        ("wave(x) = sin(x", "`)` is missing"),
        ("wave(x) = 1 + y", "`y` is no value of this function"),
    ] {
        assert_eq!(save(&format!("{stormy}{line}\n")), 204);
        let error = text(&page.expect("error"), "message");
        assert!(
            error.starts_with("15:") && error.ends_with(wrong),
            "{error}"
        );
    }
    assert_eq!(save("drag() = 1"), 204);
    let error = text(&page.expect("error"), "message");
    assert!(error.contains("push_x(x, y, t, n)"), "{error}");
    // As it was: no new version, and nothing is wrong any more.
    assert_eq!(save(&stormy), 204);
    assert_eq!(text(&page.expect("current"), "version"), text(&delta, "to"));
    // Functions come and go, and are called otherwise.
    let more = stormy.replace("= 1.2 + 1.6 * n", "= beat(t, n)") + "beat(t, n) = n * abs(cos(t))\n";
    assert_eq!(save(&more), 204);
    page.expect("delta");
    let less = more
        .replace("beat(t, n)", "beat(n)")
        .replace("abs(cos(t))", "2");
    assert_eq!(save(&less), 204);
    page.expect("delta");
    assert_eq!(save(&motion), 204);
    page.expect("delta");
    // Nobody else's pages edit it, and there is a limit.
    let elsewhere = [
        ("origin", "http://example.org"),
        ("sec-fetch-site", "cross-site"),
    ];
    let answer = serving.request("PUT", "/__wasmend/source", &elsewhere, "drag() = 1");
    assert_eq!(answer.status, 403);
    assert_eq!(save(&"#".repeat(70_000)), 413);
    assert_eq!(body(serving.ask("/motion.txt", &[])), motion);
    // Nothing can be edited where there is no demo.
    let other = Serving::start(&[]);
    assert_eq!(
        other
            .request("PUT", "/__wasmend/source", &[], "text")
            .status,
        404
    );
}

#[test]
fn a_link_is_served_as_a_build_is() {
    let arguments = ["main.o", "twice.o", "pick.o", "-o", "out.wasm"];
    let serving = Serving::spawn(program(100), &arguments);
    let mut page = serving.listen(None);
    let first = page.expect("current");
    assert_eq!(text(&first, "module"), "/out.wasm");
    serving.watching.replace("pick.o", pick(101));
    let delta = page.expect("delta");
    assert_eq!(text(&delta, "from"), text(&first, "version"));
    assert_eq!(serving.ask(&text(&delta, "url"), &[]).status, 200);
}

#[test]
fn what_instances_cannot_take_in_is_told_with_a_number() {
    let serving = Serving::start(&[]);
    let mut page = serving.listen(None);
    page.expect("current");
    let other = wat::parse_str(
        r#"(module (memory (export "memory") 3) (func (export "count") (result i32) i32.const 1))"#,
    );
    serving
        .watching
        .replace("web/app.wasm", other.expect("valid text"));
    let refused = page.expect("refused");
    assert_eq!(text(&refused, "code"), "L04", "{refused}");
    assert!(text(&refused, "message").contains("memory"), "{refused}");
}

#[test]
fn a_command_is_run_for_each_change_and_its_errors_are_told_until_they_are_mended() {
    let run = "grep -q good main.src || { echo 'main.src:1: not good' >&2; exit 1; }; cp build.bin web/app.wasm";
    let folder_of_sources = ["--run", run, "--sources", "."];
    let serving = Serving::start(&folder_of_sources);
    let mut page = serving.listen(None);
    let error = page.expect("error");
    assert!(
        text(&error, "message").contains("main.src:1: not good")
            || text(&error, "message").contains("main.src"),
        "{error}"
    );
    serving.watching.write("build.bin", counter(7));
    serving.watching.write("main.src", "good");
    let delta = page.expect("delta");
    assert!(delta["size"].as_u64() > Some(0));
    serving.watching.write("main.src", "bad");
    let error = page.expect("error");
    assert!(
        text(&error, "message").contains("main.src:1: not good"),
        "{error}"
    );
    // A page that comes now hears of it as well.
    serving.listen(None).expect("error");
    serving.watching.write("main.src", "good again");
    page.expect("current");
}

#[test]
fn many_pages_hear_each_version_and_one_that_does_not_listen_holds_up_nobody() {
    const PAGES: usize = 500;
    let serving = Serving::start(&[]);
    let mut pages: Vec<Listening> = (0..PAGES).map(|_| serving.listen(None)).collect();
    pages
        .iter_mut()
        .for_each(|page| drop(page.expect("current")));
    // It asks, and never reads.
    let _deaf = serving.listen(None);
    let start = Instant::now();
    for round in 1..=3 {
        serving.save(round);
        let versions: Vec<String> = pages
            .iter_mut()
            .map(|page| text(&page.expect("delta"), "to"))
            .collect();
        assert!(versions.iter().all(|version| *version == versions[0]));
    }
    assert!(start.elapsed() < LONG, "{:?}", start.elapsed());
}
