//! `wasmend doctor`: whether an output whose state is kept is well, and what the next link or patch will do. It looks and says;
//! nothing is changed, and nothing is decided here but what is called healthy.

use std::path::Path;

use wasmend::inspect::{Map, validate};
use wasmend::kept::{Examination, NextLink, NoState, examine};
use wasmend::{Error, ErrorKind};

use crate::cli::args::Doctor;
use crate::cli::daemon;
use crate::cli::files::{kept_output, read};
use crate::cli::record::{Logged, Record};
use crate::cli::report::{DoctorEvent, Event, Reporter, StateFileEvent, path};
use crate::cli::text::{count, number};

/// So many inputs are named that have changed, and files that are left, without `--verbose`.
const LISTED: usize = 10;

/// Lines for a person, and what is wrong among them.
#[derive(Default)]
struct Findings {
    lines: Vec<String>,
    problems: Vec<String>,
}

impl Findings {
    fn fine(&mut self, what: &str, text: &str) {
        self.lines.push(format!("{what:<8} {text}"));
    }

    fn wrong(&mut self, what: &str, text: &str) {
        self.lines.push(format!("{what:<8} PROBLEM: {text}"));
        self.problems.push(text.to_owned());
    }
}

pub(crate) fn run(args: &Doctor, reporter: Reporter) -> anyhow::Result<()> {
    let folder = args.state_dir.clone().or_else(|| {
        let is_beside = || examine(&args.out).has_state;
        crate::cli::kept::folder_of(None).filter(|_| !is_beside())
    });
    let kept = kept_output(&args.out, folder.as_deref())?;
    let listed = if reporter.is_verbose() {
        usize::MAX
    } else {
        LISTED
    };
    let mut findings = Findings::default();
    let identity = look_at_output(&args.out, &mut findings);
    let found = examine(&kept);
    look_at_state(&found, listed, &mut findings);
    look_at_files(&kept, &found, listed, &mut findings);
    let stays = daemon::staying(&kept);
    if let Some(process) = stays {
        findings.fine("daemon", &format!("process {process} keeps it in memory"));
    }
    let links = Logged::all(&kept);
    let links = &links[links.len().saturating_sub(args.last)..];
    for link in links {
        findings.fine("link", &format!("{}: {}", link.time, link.link.line()));
    }
    let (next, reason, code, changed) = match &found.next {
        NextLink::Nothing => ("nothing", None, None, Vec::new()),
        NextLink::Update { changed, recent } => {
            let paths = changed.iter().chain(recent);
            ("update", None, None, paths.map(|file| path(file)).collect())
        }
        NextLink::All(reason) => {
            let code = Record::code_of(reason);
            ("all", Some(reason.to_string()), Some(code), Vec::new())
        }
        _ => ("all", None, None, Vec::new()),
    };
    let files = found.files.iter().map(|file| StateFileEvent {
        name: file.name.clone(),
        bytes: file.bytes,
        allocated: file.allocated,
        leftover: file.is_leftover,
    });
    reporter.both(
        &Event::Doctor(DoctorEvent {
            output: path(&args.out),
            healthy: findings.problems.is_empty(),
            problems: findings.problems.clone(),
            generation: identity.as_ref().map(|(generation, _)| *generation),
            build_id: identity.map(|(_, build_id)| build_id),
            state: found.has_state,
            daemon: stays,
            next,
            reason,
            code,
            changed,
            files: files.collect(),
            links: links.to_vec(),
        }),
        || findings.lines.join("\n"),
    )?;
    match findings.problems.len() {
        0 => Ok(()),
        problems => {
            let text = format!("has {}", count(problems as u64, "problem"));
            let error = Error::new(ErrorKind::Verification, text).with_path(&args.out);
            let hint = "the next process mends all of it, or `wasmend clean` removes what is kept";
            Err(error.with_hint(hint).into())
        }
    }
}

/// Whether the output is a module, and which version of which file.
fn look_at_output(output: &Path, findings: &mut Findings) -> Option<(u64, String)> {
    let name = output.display();
    if !output.exists() {
        findings.fine("output", &format!("{name} is not there"));
        return None;
    }
    let read = read(output).and_then(|bytes| {
        let map = Map::read(&bytes)?;
        validate(&bytes)?;
        Ok((bytes.len() as u64, map.identity))
    });
    match read {
        Err(error) => {
            findings.wrong("output", &format!("{name} is no whole module: {error}"));
            None
        }
        Ok((len, None)) => {
            let text = format!(
                "{name}, {} bytes, a module that cannot be patched",
                number(len)
            );
            findings.fine("output", &text);
            None
        }
        Ok((len, Some(found))) => {
            let (generation, build_id) = (found.identity.generation, found.identity.hex());
            let text = format!(
                "{name}, {} bytes, whole: generation {}, build {build_id}",
                number(len),
                number(generation)
            );
            findings.fine("output", &text);
            Some((generation, build_id))
        }
    }
}

fn look_at_state(found: &Examination, listed: usize, findings: &mut Findings) {
    if let Some(writer) = found.writer {
        let who = writer.map_or("another process".to_owned(), |id| format!("process {id}"));
        findings.fine("writer", &format!("{who} is writing the output now"));
    }
    match &found.next {
        NextLink::Nothing => {
            findings.fine(
                "state",
                &format!("whole, of {}", count(found.inputs as u64, "input")),
            );
            findings.fine(
                "next",
                "with the same options nothing is done: no input has changed",
            );
        }
        NextLink::Update { changed, recent } => {
            findings.fine(
                "state",
                &format!("whole, of {}", count(found.inputs as u64, "input")),
            );
            let files = count((changed.len() + recent.len()) as u64, "input");
            let text =
                format!("with the same options the next process goes on from here, with {files}:");
            findings.fine("next", &text);
            let changed = changed
                .iter()
                .map(|file| format!("{} has changed", file.display()));
            let recent = recent.iter().map(|file| {
                let name = file.display();
                format!("{name} was written right before it was linked, and is compared")
            });
            list(changed.chain(recent), listed, findings);
        }
        NextLink::All(reason) => {
            let code = Record::code_of(reason);
            let text = format!("the next process makes everything anew: {reason} ({code})");
            match reason {
                // Where nothing is kept nothing is wrong.
                NoState::None if found.folder_problem.is_none() => {
                    findings.fine("state", "none is kept");
                }
                NoState::FileChanged(_)
                | NoState::FileAppeared(_)
                | NoState::FileGone(_)
                | NoState::Grown(..) => {
                    findings.fine("state", "whole, but of no use for the next link");
                }
                _ => findings.wrong("state", &reason.to_string()),
            }
            findings.fine("next", &text);
        }
        _ => {}
    }
    if let Some(folder) = &found.linked_in {
        findings.fine("folder", &format!("made in {}", folder.display()));
    }
}

fn look_at_files(kept: &Path, found: &Examination, listed: usize, findings: &mut Findings) {
    let used = found.files.iter().filter(|file| !file.is_leftover);
    let allocated: u64 = used.map(|file| file.allocated).sum();
    if !found.files.is_empty() {
        let text = format!(
            "{} beside {}, {} bytes of the disk",
            count(found.files.len() as u64, "file"),
            kept.display(),
            number(allocated)
        );
        findings.fine("files", &text);
        let lines = found.files.iter().map(|file| {
            let (bytes, allocated) = (number(file.bytes), number(file.allocated));
            format!("{}: {bytes} bytes, {allocated} of the disk", file.name)
        });
        list(lines, listed, findings);
    }
    for file in found.files.iter().filter(|file| file.is_foreign) {
        let text = format!("{} is no regular file of this user", file.name);
        findings.wrong("files", &text);
    }
    let left = found
        .files
        .iter()
        .filter(|file| file.is_leftover && !file.is_foreign);
    for file in left {
        let bytes = number(file.allocated);
        let text = format!(
            "{} is left of a link that was killed: {bytes} bytes",
            file.name
        );
        findings.wrong("files", &text);
    }
}

fn list(lines: impl Iterator<Item = String>, listed: usize, findings: &mut Findings) {
    let lines: Vec<String> = lines.collect();
    for line in lines.iter().take(listed) {
        findings.lines.push(format!("         {line}"));
    }
    if lines.len() > listed {
        let more = number((lines.len() - listed) as u64);
        findings
            .lines
            .push(format!("         and {more} more; --verbose lists them"));
    }
}
