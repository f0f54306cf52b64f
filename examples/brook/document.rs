//! A text in an editor, and the session that it is the program of: which of what the session knows is shown, and where.

use lsp_types::{Position, Range};
use wasmend::Result;

use crate::check::{Symbol, signature_of_builtin};
use crate::code::{Look, Target};
use crate::lex::Span;
use crate::positions::Lines;
use crate::run::Seen;
use crate::session::{Session, Step};
use crate::syntax::Type;

/// The longest text that is compiled, in bytes.
const MOST_TEXT: usize = 1 << 20;

pub struct Document {
    pub session: Session,
    pub version: i32,
    text: String,
    lines: Lines,
    /// Where the looks of the session are by now, as long as nobody has edited them.
    places: Vec<Option<Span>>,
    is_stale: bool,
}

impl Document {
    pub fn open(text: String, version: i32) -> Result<Document> {
        Ok(Document {
            session: Session::new(None)?,
            version,
            lines: Lines::of(&text),
            text,
            places: Vec::new(),
            is_stale: true,
        })
    }

    /// Whether there were edits since the last update.
    pub fn is_stale(&self) -> bool {
        self.is_stale
    }

    /// Puts a text in the place of a range, or of everything.
    pub fn edit(&mut self, range: Option<Range>, text: &str) {
        match range {
            None => {
                self.text = text.to_owned();
                self.places.fill(None);
            }
            Some(range) => {
                let offset = |position| self.lines.offset(&self.text, position);
                let (start, end) = (offset(range.start), offset(range.end));
                let (start, end) = (start.min(end), start.max(end));
                self.text.replace_range(start..end, text);
                for place in &mut self.places {
                    *place = place.and_then(|span| shifted(span, start, end, text.len()));
                }
            }
        }
        self.lines = Lines::of(&self.text);
        self.is_stale = true;
    }

    /// Compiles the text as it is now.
    pub fn update(&mut self) -> Option<Step> {
        self.is_stale = false;
        if self.text.len() > MOST_TEXT {
            let whole = Span {
                start: 0,
                end: self.text.len(),
            };
            let text = format!("a program has at most {MOST_TEXT} bytes");
            self.session.mistakes = vec![crate::lex::Mistake::new(whole, text)];
            return None;
        }
        let step = self.session.update(&self.text)?;
        let looks = self.session.looks.iter();
        self.places = looks.map(|look| Some(look.span)).collect();
        Some(step)
    }

    fn range(&self, span: Span) -> Range {
        self.lines.range(&self.text, span)
    }

    pub fn mistakes(&self) -> impl Iterator<Item = (Range, String)> {
        let mistakes = self.session.mistakes.iter();
        mistakes.map(|mistake| (self.range(mistake.span), mistake.message.clone()))
    }

    /// What can be looked at and where it is, with what was seen.
    fn looks(&self) -> impl Iterator<Item = (&Look, Span, Option<&Seen>)> {
        let looks = self.session.looks.iter().zip(&self.session.seen);
        let looks = looks.zip(&self.places);
        looks.filter_map(|((look, seen), place)| Some((look, (*place)?, seen.as_ref())))
    }

    /// What is shown and cannot be, since the program stops there.
    pub fn stops(&self) -> impl Iterator<Item = (Range, String)> {
        self.looks().filter_map(|(_, span, seen)| match seen {
            Some(Err(why)) => Some((self.range(span), format!("this has stopped: {why}"))),
            _ => None,
        })
    }

    /// Values, and behind what they are shown.
    pub fn hints(&self) -> Vec<(Position, String)> {
        let hints = self.looks().filter_map(|(look, span, seen)| {
            let position = self.lines.position(&self.text, span.end);
            let sign = match look.target {
                Target::Variable(_) => "is",
                _ => "=",
            };
            match seen? {
                Ok(value) => Some((position, format!("{sign} {value}"))),
                Err(_) => None,
            }
        });
        hints.collect()
    }

    /// Functions that can be run, and where they are.
    pub fn functions(&self) -> impl Iterator<Item = (Range, &str)> {
        self.looks()
            .filter_map(|(look, span, _)| match &look.target {
                Target::Function(name) => Some((self.range(span), &**name)),
                _ => None,
            })
    }

    /// What the name at a place means.
    pub fn hover(&self, position: Position) -> Option<(Range, String)> {
        let at = self.lines.offset(&self.text, position);
        let is_part = |letter: char| letter.is_alphanumeric() || letter == '_';
        let (before, behind) = self.text.split_at(at);
        let start = before.trim_end_matches(is_part).len();
        let end = self.text.len() - behind.trim_start_matches(is_part).len();
        let name = &self.text[start..end];
        let text = match self.session.symbols.get(name) {
            Some(Symbol::Function { params, result }) => signature(name, params, *result),
            Some(Symbol::Constant(value)) => {
                format!("let {name}: {}", value.ty().name())
            }
            Some(Symbol::Variable { ty, .. }) => {
                let seen = self.looks().find(|(look, ..)| {
                    matches!(look.target, Target::Variable(_)) && look.name == name
                });
                match seen {
                    Some((_, _, Some(Ok(value)))) => {
                        format!("var {name}: {}, is {value}", ty.name())
                    }
                    _ => format!("var {name}: {}", ty.name()),
                }
            }
            None => {
                let (params, result) = signature_of_builtin(name)?;
                signature(name, params, result)
            }
        };
        Some((self.range(Span { start, end }), text))
    }
}

fn signature(name: &str, params: &[Type], result: Type) -> String {
    let params: Vec<_> = params.iter().map(|ty| ty.name()).collect();
    format!("fn {name}({}): {}", params.join(", "), result.name())
}

/// Where something stands after an edit, unless the edit was in it.
fn shifted(span: Span, start: usize, end: usize, len: usize) -> Option<Span> {
    if span.end <= start {
        return Some(span);
    }
    (span.start >= end).then(|| Span {
        start: span.start - end + start + len,
        end: span.end - end + start + len,
    })
}
