//! Places in a text as editors name them: by line and, in it, by the units of UTF-16.

use lsp_types::{Position, Range};

use crate::lex::Span;

/// Where the lines of a text begin.
pub struct Lines(Vec<usize>);

impl Lines {
    pub fn of(text: &str) -> Lines {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let starts = breaks.map(|(at, _)| at + 1);
        Lines(std::iter::once(0).chain(starts).collect())
    }

    /// The place of a byte.
    pub fn position(&self, text: &str, offset: usize) -> Position {
        let offset = floor(text, offset);
        let line = self.0.partition_point(|start| *start <= offset) - 1;
        let before = &text[self.0[line]..offset];
        let units: usize = before.chars().map(char::len_utf16).sum();
        Position::new(line as u32, units as u32)
    }

    pub fn range(&self, text: &str, span: Span) -> Range {
        Range {
            start: self.position(text, span.start),
            end: self.position(text, span.end),
        }
    }

    /// The byte at a place, or the nearest before it if there is no such place.
    pub fn offset(&self, text: &str, position: Position) -> usize {
        let Some(&start) = self.0.get(position.line as usize) else {
            return text.len();
        };
        let mut units = 0;
        for (at, letter) in text[start..].char_indices() {
            if letter == '\n' || units + letter.len_utf16() > position.character as usize {
                return start + at;
            }
            units += letter.len_utf16();
        }
        text.len()
    }
}

/// The nearest boundary of characters before an offset.
fn floor(text: &str, offset: usize) -> usize {
    let offset = offset.min(text.len());
    (0..=offset)
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(0)
}
