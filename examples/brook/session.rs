//! A program that is edited while it runs: from a text to values. A text with mistakes changes nothing, so that what was last
//! without any runs on.

use std::path::Path;
use std::time::{Duration, Instant};

use wasmend::live::{Reloaded, Took};
use wasmend::{Error, Patch, Result};

use crate::check::{self, Symbols};
use crate::code::{Look, Program, Target};
use crate::compile::Compiler;
use crate::lex::{Mistake, Span};
use crate::run::{Running, Seen};
use crate::syntax;

pub struct Session {
    compiler: Compiler,
    running: Option<Running>,
    /// What can be looked at in the program that runs, and what was seen there. Functions are not called for that.
    pub looks: Vec<Look>,
    pub seen: Vec<Option<Seen>>,
    /// What is wrong with the last text.
    pub mistakes: Vec<Mistake>,
    /// What names mean in the last text.
    pub symbols: Symbols,
}

/// What a text without mistakes did.
pub struct Step {
    pub patch: Patch,
    /// What became of the program that ran; nothing if it has just begun.
    pub reloaded: Option<Reloaded>,
    /// Why it had to begin anew, if it had to.
    pub anew: Option<String>,
    /// From the text to all values.
    pub time: Duration,
}

impl Session {
    /// A session whose output is this file, or in memory.
    pub fn new(output: Option<&Path>) -> Result<Session> {
        Ok(Session {
            compiler: Compiler::new(output)?,
            running: None,
            looks: Vec::new(),
            seen: Vec::new(),
            mistakes: Vec::new(),
            symbols: Symbols::new(),
        })
    }

    /// Compiles a text, brings the program that runs up to date, and looks at it.
    pub fn update(&mut self, text: &str) -> Option<Step> {
        let start = Instant::now();
        let checked = check::check(&syntax::parse(text));
        self.symbols = checked.symbols;
        let step = match checked.program {
            Err(mistakes) => Err(mistakes),
            Ok(program) => self.take(&program).map_err(|error| blame(&program, &error)),
        };
        match step {
            Ok(step) => {
                self.mistakes.clear();
                self.look();
                let time = start.elapsed();
                Some(Step { time, ..step })
            }
            Err(mistakes) => {
                self.mistakes = mistakes;
                None
            }
        }
    }

    fn take(&mut self, program: &Program) -> Result<Step> {
        let patch = self.compiler.update(program)?;
        self.looks.clone_from(&program.looks);
        let compiler = &self.compiler;
        let mut step = Step {
            patch,
            reloaded: None,
            anew: None,
            time: Duration::ZERO,
        };
        if let Some(running) = &mut self.running {
            match running.take(&step.patch, || compiler.output()) {
                Ok(reloaded) => {
                    if let Took::Restarted(refusals) = &reloaded.took {
                        let why: Vec<_> = refusals.iter().map(ToString::to_string).collect();
                        step.anew = Some(why.join("; "));
                    }
                    step.reloaded = Some(reloaded);
                    return Ok(step);
                }
                // The output is right in any case.
                Err(error) => step.anew = Some(error.to_string()),
            }
        }
        self.running = Some(Running::start(&compiler.output()?)?);
        Ok(step)
    }

    /// Looks at all that is shown, and at the variables.
    fn look(&mut self) {
        let running = self.running.as_mut();
        self.seen = running.map_or_else(Vec::new, |running| running.look(&self.looks));
    }

    /// Runs a function of the program's that takes nothing; what it changes stays.
    pub fn run(&mut self, name: &str) -> Seen {
        let is_it = |look: &Look| matches!(&look.target, Target::Function(of) if of == name);
        let number = self.looks.iter().position(is_it);
        let number = number.ok_or("there is no function of this name that takes nothing")?;
        let running = self.running.as_mut().ok_or("nothing runs yet")?;
        let value = running.run(number, &self.looks[number]);
        self.look();
        value
    }
}

/// Says of which declaration a commit complains.
fn blame(program: &Program, error: &Error) -> Vec<Mistake> {
    let all = std::iter::once(error).chain(error.others());
    let mistakes = all.map(|error| {
        let symbol = error.symbol().unwrap_or_default();
        let name = symbol.split([':', ',']).next().unwrap_or_default();
        let look = program.looks.iter().find(|look| match &look.target {
            Target::Shown(key) => key == name,
            _ => look.name == name,
        });
        let span = look.map_or(Span::default(), |look| look.span);
        Mistake::new(span, error.message())
    });
    mistakes.collect()
}
