//! `wasmend explain`: what a number means that was said of a relink, of a whole link or of a refusal. The tables are those of the design pages,
//! so that there is one place where a reason is described.

use wasmend::{Error, Result};

use crate::cli::args::Explain;
use crate::cli::report::{Event, Reporter};
use crate::cli::text::wrapped;

const RELINKS: &str = include_str!("../../design/relink-reasons.md");
const REFUSALS: &str = include_str!("../../design/live-policy.md");
const STATES: &str = include_str!("../../design/state-format.md");

/// A row of a table of reasons.
#[derive(Debug, PartialEq, Eq)]
struct Reason<'a> {
    code: &'a str,
    name: &'a str,
    when: String,
    what_to_do: String,
}

pub(crate) fn run(args: &Explain, reporter: Reporter) -> anyhow::Result<()> {
    let pages = [RELINKS, REFUSALS, STATES].into_iter();
    let all: Vec<Reason<'_>> = pages.flat_map(reasons).collect();
    let asked = match &args.code {
        Some(asked) => std::slice::from_ref(find(&all, asked)?),
        None => &all[..],
    };
    for reason in asked {
        reporter.both(&reason.event(), || match args.code {
            Some(_) => reason.explained(),
            None => format!("{} {}", reason.code, reason.name),
        })?;
    }
    Ok(())
}

impl Reason<'_> {
    fn event(&self) -> Event {
        Event::Reason {
            code: self.code.to_owned(),
            name: self.name.to_owned(),
            when: self.when.clone(),
            what_to_do: self.what_to_do.clone(),
        }
    }

    fn explained(&self) -> String {
        let lead = match self.code.as_bytes().first() {
            Some(b'R') => "The file was written anew, because of this:",
            Some(b'F') => "An update has resolved all symbols anew, because of this:",
            Some(b'S') => "All was made anew, though state is kept, because of this:",
            _ => "A program that runs could not be patched, because of this:",
        };
        let (when, what_to_do) = (wrapped(&self.when, "  "), wrapped(&self.what_to_do, "  "));
        let Reason { code, name, .. } = self;
        format!("{code} {name}\n\n{lead}\n{when}\n\nWhat to do:\n{what_to_do}")
    }
}

fn find<'a>(all: &'a [Reason<'a>], asked: &str) -> Result<&'a Reason<'a>> {
    let typed = asked;
    let asked = asked.to_ascii_lowercase();
    // With or without a zero, or by its name.
    let number = |code: &str| code[1..].parse::<u32>().ok();
    let is_it = |reason: &&Reason<'_>| {
        let code = reason.code.to_ascii_lowercase();
        let same_kind = asked.get(..1) == code.get(..1);
        let same_number = asked.get(1..).and_then(|digits| digits.parse().ok()) == number(&code);
        reason.name == asked || (same_kind && same_number)
    };
    all.iter().find(is_it).ok_or_else(|| {
        let error = Error::bad_input(format!("there is no reason `{typed}`"));
        error.with_hint("`wasmend explain` lists all of them")
    })
}

/// The rows of the tables in a page that begin with a code.
fn reasons(page: &str) -> impl Iterator<Item = Reason<'_>> {
    page.lines().filter_map(|line| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, code, name, when, what_to_do, _] = cells[..] else {
            return None;
        };
        let digits = code.strip_prefix(['R', 'F', 'L', 'S'])?;
        let is_code = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
        is_code.then(|| Reason {
            code,
            name: name.trim_matches('`'),
            when: sentence(when),
            what_to_do: sentence(what_to_do),
        })
    })
}

/// A cell as a sentence: with a capital and a full stop.
fn sentence(cell: &str) -> String {
    let mut letters = cell.chars();
    let first = letters.next().map(char::to_uppercase);
    let first: String = first.into_iter().flatten().collect();
    let end = if cell.ends_with('.') { "" } else { "." };
    format!("{first}{}{end}", letters.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasmend::RefusalReason;
    use wasmend::kept::NoState;
    use wasmend::link::FallbackReason;

    #[test]
    fn every_reason_is_explained_under_its_number_and_its_name() {
        let refusals: Vec<Reason<'_>> = reasons(REFUSALS).collect();
        assert_eq!(refusals.len(), RefusalReason::ALL.len());
        for reason in RefusalReason::ALL {
            let found = find(&refusals, &format!("l{}", reason.number())).unwrap();
            assert_eq!(found.name, reason.name());
            assert_eq!(find(&refusals, reason.name()).unwrap(), found);
        }
        let relinks: Vec<Reason<'_>> = reasons(RELINKS).collect();
        let (fallbacks, others): (Vec<&Reason<'_>>, Vec<&Reason<'_>>) = relinks
            .iter()
            .partition(|reason| reason.code.starts_with('F'));
        assert!(others.iter().all(|reason| reason.code.starts_with('R')));
        assert_eq!(fallbacks.len(), FallbackReason::ALL.len());
        for reason in FallbackReason::ALL {
            let found = find(&relinks, &format!("f{}", reason.number())).unwrap();
            assert_eq!(found.when, sentence(&reason.to_string()));
        }
        assert_eq!(find(&relinks, "R12").unwrap().name, "data-area-changed");
        let states: Vec<Reason<'_>> = reasons(STATES).collect();
        for (at, reason) in NoState::examples().iter().enumerate() {
            let found = find(&states, &format!("s{}", reason.number())).unwrap();
            assert_eq!(found.name, reason.word());
            assert_eq!(usize::from(reason.number()), at + 1);
        }
        assert_eq!(states.len(), NoState::examples().len());
        assert!(find(&relinks, "R99").is_err() && find(&relinks, "").is_err());
        assert!(find(&relinks, "R").is_err() && find(&relinks, "Rä").is_err());
    }
}
