//! Whatever a client sends, the server goes on.

use serde_json::{Value, json};

use super::client::{Client, URI};

const RIGHT: &str = "show 6 * 7\n";

/// Whether the server still does what it should.
fn expect_alive(client: &mut Client) {
    client.change(json!([{ "text": RIGHT }]));
    client.text = RIGHT.to_owned();
    assert_eq!(client.hints().remove(&0).as_deref(), Some("= 42"));
}

#[test]
fn what_is_no_message_is_answered_by_an_error() {
    let mut client = Client::start();
    client.open(RIGHT);
    for body in [
        "{",
        "[]",
        "42",
        "null",
        "{\"jsonrpc\":\"2.0\"}",
        "{\"id\":{},\"method\":3}",
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":",
        "\u{fffd}",
        "",
    ] {
        let frame = format!("Content-Length: {}\r\n\r\n{body}", body.len());
        client.send_raw(frame.as_bytes());
        loop {
            let answer = client.receive();
            if answer.get("method").is_none() {
                assert_eq!(answer["error"]["code"], -32700, "{body}: {answer}");
                break;
            }
        }
    }
    for bytes in [
        &b"Content-Length: 4\r\n\r\n\xff\xfe\xfd\xfc"[..],
        b"Nonsense\r\n\r\n",
        b"no header at all\n",
        b"Content-Length: many\r\n\r\n",
        b"content-length: 2\r\nContent-Type: nothing\r\n\r\n{}",
    ] {
        client.send_raw(bytes);
    }
    let long = vec![b'x'; 100_000];
    client.send_raw(&long);
    client.send_raw(b"\r\n");
    expect_alive(&mut client);
    client.end();
}

#[test]
fn a_message_that_is_said_to_be_endless_takes_no_memory() {
    let mut client = Client::start();
    client.open(RIGHT);
    expect_alive(&mut client);
    let before = client.memory();
    client.send_raw(b"Content-Length: 9000000000000000000\r\n\r\n");
    for _ in 0..100 {
        client.send_raw(&vec![b' '; 1 << 20]);
    }
    assert!(client.memory() < before + 16 * 1024);
}

#[test]
fn requests_that_nobody_knows_or_that_say_too_little_are_answered_by_an_error() {
    let mut client = Client::silent();
    let early = client.request("textDocument/hover", json!({})).unwrap_err();
    assert_eq!(early["code"], -32002);
    drop(client);
    let mut client = Client::start();
    client.open(RIGHT);
    let error = client
        .request("textDocument/rename", json!({}))
        .unwrap_err();
    assert_eq!(error["code"], -32601);
    for params in [
        Value::Null,
        json!([]),
        json!({ "textDocument": 3 }),
        json!("x"),
    ] {
        for method in [
            "textDocument/inlayHint",
            "textDocument/hover",
            "textDocument/codeLens",
        ] {
            let error = client.request(method, params.clone()).unwrap_err();
            assert_eq!(error["code"], -32602, "{method} {params}");
        }
        assert!(
            client
                .request("workspace/executeCommand", params.clone())
                .is_err()
        );
        for method in ["didOpen", "didChange", "didClose", "didNothing"] {
            client.notify(&format!("textDocument/{method}"), params.clone());
        }
        client.notify("$/cancelRequest", params.clone());
    }
    for arguments in [
        json!([]),
        json!([1, 2]),
        json!([URI]),
        json!(["file:///x", "f"]),
        json!([URI, "f"]),
    ] {
        let params = json!({ "command": "brook.run", "arguments": arguments });
        assert!(client.request("workspace/executeCommand", params).is_err());
    }
    client.send(&json!({ "jsonrpc": "2.0", "id": "nobody asked", "result": {} }));
    expect_alive(&mut client);
    client.end();
}

#[test]
fn edits_of_what_is_not_open_or_not_there_are_nothing() {
    let mut client = Client::start();
    client.change(json!([{ "text": "show 1" }]));
    let range =
        json!({ "start": { "line": 0, "character": 0 }, "end": { "line": 9, "character": 0 } });
    let params = json!({ "textDocument": { "uri": URI }, "range": range });
    let nothing = client
        .request("textDocument/inlayHint", params.clone())
        .unwrap();
    assert!(nothing.is_null());
    client.open("show 1\nshow \"🦀\"\n");
    client.hints();
    // Ends before it starts, stands behind the end, in the middle of a letter.
    let place = |line: u64, character: u64| json!({ "line": line, "character": character });
    for (start, end) in [
        (place(1, 3), place(0, 2)),
        (place(700, 3), place(4_000_000_000, 4_000_000_000)),
        (place(1, 7), place(1, 7)),
        (place(0, 4_000_000_000), place(0, 0)),
    ] {
        client.change(json!([{ "range": { "start": start, "end": end }, "text": "ß" }]));
    }
    client.notify(
        "textDocument/didClose",
        json!({ "textDocument": { "uri": URI } }),
    );
    client.notify(
        "textDocument/didClose",
        json!({ "textDocument": { "uri": URI } }),
    );
    assert!(
        client
            .request("textDocument/inlayHint", params)
            .unwrap()
            .is_null()
    );
    client.open(RIGHT);
    expect_alive(&mut client);
    client.end();
}

#[test]
fn a_huge_file_and_programs_that_go_too_deep_are_refused() {
    let mut client = Client::start();
    client.open(&"show 1 # and on and on\n".repeat(200_000));
    client.hints();
    assert_eq!(
        client.diagnostics,
        [(0, "a program has at most 1048576 bytes".to_owned())]
    );
    let deep = 20_000;
    for text in [
        format!("show {}1{}\n", "(".repeat(deep), ")".repeat(deep)),
        format!("show {}1\n", "-".repeat(deep)),
        format!("show {}1\n", "not ".repeat(deep)),
        format!("show 1{}\n", " + 1".repeat(deep)),
        format!("show 1{}\n", "[1]".repeat(deep)),
        format!("show {}{}\n", "f(".repeat(deep), ")".repeat(deep)),
        format!("fn f() {{ {} }}\n", "if 1 { 1 } else ".repeat(deep)),
        format!(
            "fn f() {} 1 {}\n",
            "{ while 1 ".repeat(deep),
            "}".repeat(deep)
        ),
        format!("fn f() {{ {}\n", "for i in 0..1 { ".repeat(deep)),
        "fn".repeat(deep),
        "\"".repeat(deep),
        "\u{0}\u{feff}\u{202e}".repeat(deep),
    ] {
        client.change(json!([{ "text": text }]));
        client.text = text;
        client.hints();
        let start: String = client.text.chars().take(20).collect();
        assert!(!client.diagnostics.is_empty(), "{start}");
    }
    // As deep as they may be.
    let chain = format!("show 1{}\n", " + 1".repeat(150));
    client.change(json!([{ "text": chain }]));
    client.text = chain;
    assert_eq!(client.hints().remove(&0).as_deref(), Some("= 151"));
    // More data than there are addresses for.
    let lists: String = (0..4)
        .map(|at| format!("var l{at} = array(60000)\n"))
        .collect();
    client.change(json!([{ "text": lists }]));
    client.text = lists;
    client.hints();
    assert!(!client.diagnostics.is_empty());
    expect_alive(&mut client);
    client.end();
}
