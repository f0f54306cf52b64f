//! Edits that a person might make, one by one.

use serde_json::json;

use super::client::{Client, URI};

fn hint(client: &mut Client, line: u64) -> Option<String> {
    client.hints().remove(&line)
}

fn ranges(client: &Client) -> Vec<(u64, u64, u64)> {
    let all = client.raw_diagnostics.iter().map(|it| {
        let (start, end) = (&it["range"]["start"], &it["range"]["end"]);
        assert_eq!(start["line"], end["line"]);
        let number = |value: &serde_json::Value| value.as_u64().unwrap();
        (
            number(&start["line"]),
            number(&start["character"]),
            number(&end["character"]),
        )
    });
    all.collect()
}

#[test]
fn one_function_is_edited_and_the_value_follows() {
    let mut client = Client::start();
    client.open("fn twice(x) { x + x }\nshow twice(21)\n");
    assert_eq!(hint(&mut client, 1).as_deref(), Some("= 42"));
    client.edit("fn twice(x) { x + x + 1 }\nshow twice(21)\n");
    assert_eq!(hint(&mut client, 1).as_deref(), Some("= 43"));
    let status = client.statuses.last().unwrap();
    assert_eq!(status["took"], "Delta");
    assert!(status["bytes"].as_u64().unwrap() < 300, "{status}");
    client.end();
}

#[test]
fn several_mistakes_are_told_at_their_places_and_go_when_they_are_mended() {
    let mut client = Client::start();
    let right = "var ä = 2\nfn f(x) { x * ä }\nshow f(4)\n";
    client.open(right);
    assert_eq!(hint(&mut client, 2).as_deref(), Some("= 8"));
    client.edit(&format!("{right}let = 7\n"));
    // Behind the crab each letter stands two units on.
    client.edit("var ä = 2\nfn f(x) { x * äh }\nfn g() { \"🦀\" + 1 }\nshow f(4)\nlet = 7\n");
    assert_eq!(
        hint(&mut client, 3).as_deref(),
        Some("= 8"),
        "what was last good runs on"
    );
    assert_eq!(ranges(&client), [(1, 14, 16), (2, 16, 17), (4, 4, 5)]);
    let messages: Vec<_> = client
        .diagnostics
        .iter()
        .map(|(_, message)| &**message)
        .collect();
    assert_eq!(messages[0], "there is no `äh`");
    client.edit("var ä = 2\nfn f(x) { x * äh }\nfn g() { \"🦀\" + 1 }\nshow f(4)\n");
    client.edit("var ä = 2\nfn f(x) { x * ä + 1 }\nfn g() { 🦀 }\nshow f(4)\n");
    assert_eq!(hint(&mut client, 3).as_deref(), Some("= 8"));
    assert_eq!(ranges(&client), [(2, 9, 11)]);
    client.edit("var ä = 2\nfn f(x) { x * ä + 1 }\nshow f(4)\n");
    assert_eq!(hint(&mut client, 2).as_deref(), Some("= 9"));
    assert_eq!(client.diagnostics, []);
    client.end();
}

#[test]
fn a_program_that_never_ends_is_stopped_and_the_next_edit_is_taken() {
    let mut client = Client::start();
    client.open("var n = 1\nfn f() { while true { n = n + 1 } }\nshow f()\nshow n\n");
    assert_eq!(
        hint(&mut client, 3).as_deref(),
        Some("= 1"),
        "what it changed is taken back"
    );
    assert_eq!(
        client.diagnostics,
        [(2, "this has stopped: it takes too long".to_owned())]
    );
    assert_eq!(client.run("f"), Err("it takes too long".to_owned()));
    client.edit("var n = 1\nfn f() { f() + 1 }\nshow f()\nshow n\n");
    client.hints();
    assert_eq!(
        client.diagnostics,
        [(2, "this has stopped: it calls itself too deep".to_owned())]
    );
    client.edit("var n = 1\nfn f() { len(array(7000000)) + f() }\nshow f()\nshow n\n");
    client.hints();
    assert_eq!(
        client.diagnostics,
        [(2, "this has stopped: there is no memory left".to_owned())]
    );
    client.edit("var n = 1\nfn f() { 5 }\nshow f()\nshow n\n");
    assert_eq!(hint(&mut client, 2).as_deref(), Some("= 5"));
    assert_eq!(client.diagnostics, []);
    client.end();
}

#[test]
fn a_text_that_a_variable_holds_does_not_change_when_its_source_is_edited() {
    let mut client = Client::start();
    let program =
        |word: &str| format!("var held = \"\"\nfn hold() {{ held = \"{word}\" }}\nshow held\n");
    client.open(&program("one"));
    client.hints();
    client.run("hold").unwrap();
    assert_eq!(hint(&mut client, 2).as_deref(), Some("= \"one\""));
    assert_eq!(client.refreshes, 1);
    for word in ["two", "six"] {
        client.edit(&program(word));
        assert_eq!(hint(&mut client, 2).as_deref(), Some("= \"one\""));
    }
    client.run("hold").unwrap();
    assert_eq!(hint(&mut client, 2).as_deref(), Some("= \"six\""));
    client.end();
}

#[test]
fn a_function_that_is_exported_begins_the_program_anew_when_its_signature_changes() {
    let mut client = Client::start();
    let program = |params: &str| {
        format!("var n = 0\nexport fn f({params}) {{ n }}\nfn step() {{ n = n + 1 }}\n")
    };
    client.open(&program("a"));
    client.hints();
    client.run("step").unwrap();
    assert_eq!(hint(&mut client, 0).as_deref(), Some("is 1"));
    client.edit(&program("a, b"));
    assert_eq!(hint(&mut client, 0).as_deref(), Some("is 0"));
    assert_eq!(client.log.len(), 1, "{:?}", client.log);
    assert!(client.log[0].contains("L07"), "{:?}", client.log);
    client.end();
}

#[test]
fn a_variable_of_another_type_is_another_variable() {
    let mut client = Client::start();
    client.open("var a = 1\nshow a + 1\n");
    assert_eq!(hint(&mut client, 1).as_deref(), Some("= 2"));
    client.edit("var a = \"x\"\nshow a + \"1\"\n");
    assert_eq!(hint(&mut client, 1).as_deref(), Some("= \"x1\""));
    client.edit("var a = [1, 2]\nshow a[1]\n");
    assert_eq!(hint(&mut client, 1).as_deref(), Some("= 2"));
    client.edit("var a = [1, 2, 3]\nshow a\n");
    assert_eq!(hint(&mut client, 1).as_deref(), Some("= [1, 2, 3]"));
    assert_eq!(client.log, [""; 0]);
    client.end();
}

#[test]
fn names_say_what_they_are_and_functions_can_be_run() {
    let mut client = Client::start();
    client.open(
        "var n = 6\nfn f(a, b: text): list { [a] }\nfn g() { n = n * 7\n n }\nshow sqrt(n)\n",
    );
    let hover = |client: &mut Client, line: u64, character: u64| {
        let params = json!({ "textDocument": { "uri": URI }, "position": { "line": line, "character": character } });
        client.request("textDocument/hover", params).unwrap()
    };
    let value = |hover: serde_json::Value| hover["contents"]["value"].as_str().unwrap().to_owned();
    assert_eq!(
        value(hover(&mut client, 0, 4)),
        "```brook\nvar n: number, is 6\n```"
    );
    assert_eq!(
        value(hover(&mut client, 1, 3)),
        "```brook\nfn f(number, text): list\n```"
    );
    assert_eq!(
        value(hover(&mut client, 4, 7)),
        "```brook\nfn sqrt(number): number\n```"
    );
    assert!(hover(&mut client, 1, 0).is_null());
    let params = json!({ "textDocument": { "uri": URI } });
    let lenses = client.request("textDocument/codeLens", params).unwrap();
    assert_eq!(lenses[0]["command"]["arguments"], json!([URI, "g"]));
    assert_eq!(lenses.as_array().unwrap().len(), 1);
    assert_eq!(client.run("g"), Ok("42".to_owned()));
    assert_eq!(hint(&mut client, 0).as_deref(), Some("is 42"));
    assert!(client.run("nobody").is_err());
    client.end();
}

#[test]
fn the_tour_has_no_mistakes_and_shows_what_it_says() {
    let tour = include_str!("../../examples/brook/tour.brook");
    let mut client = Client::start();
    client.open(tour);
    let hints: Vec<String> = client.hints().into_values().collect();
    assert_eq!(client.diagnostics, []);
    let shown: Vec<&str> = hints
        .iter()
        .filter_map(|hint| hint.strip_prefix("= "))
        .collect();
    assert_eq!(shown[..3], ["6765", "\"hello, hello, world!\"", "25"]);
    assert_eq!(shown[5], "\"pi is about 3.141593\"");
    assert_eq!(client.run("step"), Ok("1".to_owned()));
    client.end();
}
