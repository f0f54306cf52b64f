//! Random edits, each sent as it would be typed; after each, everything that the server shows is what an interpreter of the
//! text says, with the variables as edits and runs have left them.

use std::collections::BTreeMap;

use super::client::Client;
use super::interpreter::{Interpreter, Stop, Value};
use super::programs::{Dice, Program};
use super::syntax::{DeclarationKind, parse};

/// How many edits there are, unless `WASMEND_EDITS` says otherwise.
const EDITS: usize = 500;

/// How much more memory there may be after all edits than after a hundred, in kilobytes: an instance has two megabytes, and
/// is copied when the program goes over to a fresh one.
const MOST_GROWTH: u64 = 8 * 1024;

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// What should stand beside a text, and what should be complained of, by line.
fn expected(text: &str, interpreter: &Interpreter) -> (BTreeMap<u64, String>, Vec<(u64, String)>) {
    let line = |offset: usize| text[..offset].matches('\n').count() as u64;
    let (mut hints, mut stops, mut shown) = (BTreeMap::new(), Vec::new(), 0);
    for declaration in parse(text).declarations {
        let line = line(declaration.span.end);
        match declaration.kind {
            DeclarationKind::Variable(_) => {
                let name = &declaration.name.text;
                hints.insert(line, format!("is {}", interpreter.variable(name)));
            }
            DeclarationKind::Shown(_) => {
                match interpreter.shown(shown) {
                    Ok(value) => drop(hints.insert(line, format!("= {}", value.show()))),
                    Err(Stop::Fault(why)) => {
                        stops.push((line, format!("this has stopped: {why}")));
                    }
                    Err(Stop::Return(_)) => unreachable!("nothing returns there"),
                }
                shown += 1;
            }
            _ => {}
        }
    }
    (hints, stops)
}

fn text_of(value: Result<Value, Stop>) -> Result<String, String> {
    match value {
        Ok(value) => Ok(value.show()),
        Err(Stop::Fault(why)) => Err(why.to_owned()),
        Err(Stop::Return(_)) => unreachable!("a function ends there"),
    }
}

fn median(mut all: Vec<u64>) -> u64 {
    all.sort_unstable();
    all[all.len() / 2]
}

#[test]
fn values_follow_500_random_edits_and_variables_keep_theirs() {
    let edits = setting("WASMEND_EDITS").map_or(EDITS, |edits| edits as usize);
    let mut program = Program::new(setting("WASMEND_SEED").unwrap_or(1));
    let mut dice = Dice::new(99);
    let mut interpreter = Interpreter::default();
    let mut client = Client::start();
    let mut memory = Vec::new();
    client.open(&program.text());
    for edit in 0..edits {
        if edit > 0 {
            program.edit();
        }
        let text = program.text();
        // Now and then something is wrong meanwhile: what runs stays, and is shown where nobody has edited.
        if edit > 0 && dice.below(10) == 0 {
            let before = client.hints();
            let lines = client.text.matches('\n').count() as u64;
            let broken = format!("{}show nobody +\nfn ( {{\nshow nobody\n", client.text);
            client.edit(&broken);
            assert_eq!(client.hints(), before, "edit {edit}");
            let said: Vec<u64> = client.diagnostics.iter().map(|(line, _)| *line).collect();
            assert_eq!(
                said[..],
                [lines + 1, lines + 1, lines + 2][..],
                "{:?}",
                client.diagnostics
            );
        }
        if client.text != text {
            client.edit(&text);
        }
        interpreter.update(&parse(&text));
        let (hints, stops) = expected(&text, &interpreter);
        assert_eq!(
            client.hints(),
            hints,
            "edit {edit} of\n{text}\n{:?}",
            client.log
        );
        assert_eq!(client.diagnostics, stops, "edit {edit} of\n{text}");
        if dice.below(3) == 0 {
            let name = format!("s{}", dice.below(program.steps.len()));
            let value = text_of(interpreter.run(&name));
            assert_eq!(client.run(&name), value, "edit {edit}: {name} of\n{text}");
            let (hints, _) = expected(&text, &interpreter);
            assert_eq!(
                client.hints(),
                hints,
                "edit {edit}, after {name} of\n{text}"
            );
        }
        memory.push(client.memory());
    }
    let steps: Vec<_> = client
        .statuses
        .iter()
        .filter(|it| it["bytes"].is_u64())
        .collect();
    let took = |wanted: &str| steps.iter().filter(|it| it["took"] == wanted).count();
    // All are patches, of the program that runs too; now and then it goes over to a fresh instance.
    assert!(took("Rebased") >= 3, "{}", took("Rebased"));
    assert_eq!(client.log, [""; 0]);
    let relinked: Vec<_> = steps
        .iter()
        .filter(|it| !it["relinked"].is_null())
        .collect();
    assert!(relinked.len() <= edits / 100, "{relinked:?}");
    let micros = steps.iter().map(|it| it["micros"].as_u64().unwrap());
    let bytes = steps.iter().map(|it| it["bytes"].as_u64().unwrap());
    println!(
        "{} edits: {} us and {} bytes at the median; memory {} KB after 100, {} KB after {edits}",
        steps.len(),
        median(micros.collect()),
        median(bytes.collect()),
        memory[100],
        memory[edits - 1],
    );
    let (early, late) = (memory[100], memory[edits - 1]);
    assert!(late < early + MOST_GROWTH, "{early} KB became {late} KB");
    client.end();
}
