//! Compiling a file, once or each time that it is saved, and showing what it shows.

use std::path::Path;
use std::time::Duration;
use std::{fs, io, thread};

use crate::positions::Lines;
use crate::session::{Session, Step};

/// How often the file is looked at.
const PAUSE: Duration = Duration::from_millis(20);

/// Compiles a file and shows what it shows; nothing is written. Returns whether it is without mistakes.
pub fn run(program: &Path) -> Result<bool, Box<dyn std::error::Error>> {
    let mut session = Session::new(None)?;
    let text = fs::read_to_string(program)?;
    let step = session.update(&text);
    show(program, &text, &session);
    Ok(step.is_some())
}

/// Compiles a file into another one, and patches that each time the file has changed.
pub fn watch(program: &Path, output: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let mut session = Session::new(Some(output))?;
    let (mut last, mut before) = (None, None);
    loop {
        // Editors empty a file before they write it: what counts is what is there twice.
        let now = fs::read_to_string(program).ok();
        if now == before && now.is_some() && now != last {
            let text = now.as_deref().unwrap_or_default();
            let step = session.update(text);
            if let Some(step) = &step {
                report(step);
            }
            show(program, text, &session);
            last.clone_from(&now);
        }
        before = now;
        thread::sleep(PAUSE);
    }
}

fn report(step: &Step) {
    let (bytes, len) = (step.patch.bytes_written(), step.patch.file_len);
    match step.patch.relink_reason() {
        Some(reason) => println!("{len} bytes: {reason}"),
        None => println!("patched {bytes} of {len} bytes"),
    }
    for (range, bytes) in step.patch.ranges().into_iter().flat_map(|all| all.iter()) {
        println!(
            "  {:#x}: {} bytes, {}",
            range.offset,
            bytes.len(),
            range.reason
        );
    }
    if let Some(why) = &step.anew {
        println!("  the program has begun anew: {why}");
    }
    println!("  {:?} from the text to its values", step.time);
}

/// Writes what is shown, or what is wrong.
fn show(program: &Path, text: &str, session: &Session) {
    let lines = Lines::of(text);
    for mistake in &session.mistakes {
        let at = lines.position(text, mistake.span.start);
        let (line, column) = (at.line + 1, at.character + 1);
        eprintln!("{}:{line}:{column}: {}", program.display(), mistake.message);
    }
    if !session.mistakes.is_empty() {
        return;
    }
    for (look, seen) in session.looks.iter().zip(&session.seen) {
        let source = &text[look.span.start..look.span.end];
        match seen {
            Some(Ok(value)) if look.name.is_empty() => println!("{source} = {value}"),
            Some(Ok(value)) => println!("{} is {value}", look.name),
            Some(Err(why)) => println!("{source} has stopped: {why}"),
            None => {}
        }
    }
    // Whoever reads this through a pipe wants to know now.
    let _ = io::Write::flush(&mut io::stdout());
}
