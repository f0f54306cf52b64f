//! Numbers, times, names and tables for people.

use std::borrow::Cow;
use std::time::Duration;

/// A text as a terminal may have it: what would move its cursor, change its title or turn its writing round is spelt out.
/// Names come out of files, which anybody may have made.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    let acts = |char: char| match char {
        '\n' | '\t' => false,
        // The marks that change the direction of what follows.
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
        _ => char.is_control(),
    };
    if !text.contains(acts) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for char in text.chars() {
        match acts(char) {
            true => out.extend(char.escape_unicode()),
            false => out.push(char),
        }
    }
    Cow::Owned(out)
}

/// A number with its thousands apart: `1,234,567`.
pub(crate) fn number(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 function`, `2 functions`.
pub(crate) fn count(value: u64, what: &str) -> String {
    format!(
        "{} {what}{}",
        number(value),
        if value == 1 { "" } else { "s" }
    )
}

/// A text in lines of 80 columns at most, each behind an indent.
pub(crate) fn wrapped(text: &str, indent: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= 80 => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(format!("{indent}{word}")),
        }
    }
    lines.join("\n")
}

/// A time with three digits and a unit that suits it.
pub(crate) fn time(value: Duration) -> String {
    let micros = value.as_secs_f64() * 1e6;
    let (value, unit) = match micros {
        m if m < 999.5 => (m, "us"),
        m if m < 999_500.0 => (m / 1e3, "ms"),
        m => (m / 1e6, "s"),
    };
    let digits = if value < 9.995 {
        2
    } else {
        usize::from(value < 99.95)
    };
    format!("{value:.digits$} {unit}")
}

/// A time, in seconds since 1970, as `2026-05-17 09:30:00Z`.
pub(crate) fn utc(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Years begin in March here, so that a leap day is the last of its year; 400 of them have 146,097 days.
    let from_march = days + 719_468;
    let (era, day) = (from_march / 146_097, from_march % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next_year) = match month < 10 {
        true => (month + 3, 0),
        false => (month - 9, 1),
    };
    let year = era * 400 + year + next_year;
    let (hour, minute, second) = (rest / 3_600, rest / 60 % 60, rest % 60);
    format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}Z")
}

/// Shares of a whole in tenths of a percent, rounded so that they add up to 1000.
pub(crate) fn shares<const N: usize>(values: [u64; N]) -> [u64; N] {
    let total: u128 = values.iter().map(|value| u128::from(*value)).sum();
    if total == 0 {
        return [0; N];
    }
    let mut shares = values.map(|value| (u128::from(value) * 1000 / total) as u64);
    let rest = |at: usize| u128::from(values[at]) * 1000 % total;
    let mut order: Vec<usize> = (0..N).collect();
    order.sort_by_key(|at| std::cmp::Reverse(rest(*at)));
    let missing = 1000 - shares.iter().sum::<u64>();
    for at in order.into_iter().take(missing as usize) {
        shares[at] += 1;
    }
    shares
}

/// A share in tenths of a percent: `12.3 %`.
pub(crate) fn percent(share: u64) -> String {
    format!("{}.{} %", share / 10, share % 10)
}

/// Rows of cells, printed in columns.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
    left: Vec<usize>,
}

impl Table {
    /// A table with this first row; the columns of `left` are aligned to the left, others to the right.
    pub(crate) fn new(head: &[&str], left: &[usize]) -> Self {
        let mut table = Table {
            rows: Vec::new(),
            left: left.to_vec(),
        };
        table.row(head.iter().copied());
        table
    }

    pub(crate) fn row<T: Into<String>>(&mut self, cells: impl IntoIterator<Item = T>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    /// The lines, each with a line end.
    pub(crate) fn render(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let len = |cell: &String| cell.chars().count();
        let width = |column: usize| {
            self.rows
                .iter()
                .filter_map(|row| row.get(column))
                .map(len)
                .max()
        };
        let widths: Vec<usize> = (0..columns)
            .map(|column| width(column).unwrap_or(0))
            .collect();
        let mut out = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (column, cell) in row.iter().enumerate() {
                let gap = if column == 0 { "" } else { "  " };
                let width = widths[column];
                line += &if self.left.contains(&column) {
                    format!("{gap}{cell:<width$}")
                } else {
                    format!("{gap}{cell:>width$}")
                };
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_and_times() {
        assert_eq!(number(0), "0");
        assert_eq!(number(999), "999");
        assert_eq!(number(1000), "1,000");
        assert_eq!(number(1_234_567), "1,234,567");
        assert_eq!(time(Duration::from_nanos(9_990)), "9.99 us");
        assert_eq!(time(Duration::from_micros(999)), "999 us");
        assert_eq!(time(Duration::from_micros(12_340)), "12.3 ms");
        assert_eq!(time(Duration::from_millis(2500)), "2.50 s");
        assert_eq!(utc(0), "1970-01-01 00:00:00Z");
        assert_eq!(utc(951_782_400), "2000-02-29 00:00:00Z");
        assert_eq!(utc(1_798_761_599), "2026-12-31 23:59:59Z");
    }

    #[test]
    fn terminals_get_no_control_characters() {
        assert!(matches!(printable("plain \u{e9}\n\t"), Cow::Borrowed(_)));
        assert_eq!(printable("a\u{1b}]0;T\u{7}b"), "a\\u{1b}]0;T\\u{7}b");
        assert_eq!(
            printable("\r\u{7f}\u{9b}2J\u{202e}x"),
            "\\u{d}\\u{7f}\\u{9b}2J\\u{202e}x"
        );
    }

    proptest! {
        #[test]
        fn shares_add_up(values: [u32; 4]) {
            let shares = shares(values.map(u64::from));
            let whole = if values.iter().all(|value| *value == 0) { 0 } else { 1000 };
            prop_assert_eq!(shares.iter().sum::<u64>(), whole);
        }
    }
}
