//! Guessing what somebody meant.

/// The candidate nearest to `word`, if one is near enough to be meant. Ties go to the first.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = match word.len() {
        0..=2 => return None,
        3..=5 => 1,
        6..=12 => 2,
        _ => 3,
    };
    let mut best = None;
    let mut least = limit + 1;
    let mut row = Vec::new();
    for candidate in candidates {
        if candidate.len().abs_diff(word.len()) < least && candidate != word {
            let distance = distance(word.as_bytes(), candidate.as_bytes(), &mut row);
            if distance < least {
                least = distance;
                best = Some(candidate);
            }
        }
    }
    best
}

/// How many bytes must be changed, added, removed or swapped with their neighbours; an upper bound where swaps and
/// other changes overlap. `rows` is working space.
fn distance(from: &[u8], to: &[u8], rows: &mut Vec<usize>) -> usize {
    let width = to.len() + 1;
    rows.clear();
    rows.resize(3 * width, 0);
    let at = |row: usize, column: usize| row % 3 * width + column;
    for column in 0..width {
        rows[at(0, column)] = column;
    }
    for row in 1..=from.len() {
        rows[at(row, 0)] = row;
        for column in 1..width {
            let (a, b) = (from[row - 1], to[column - 1]);
            let mut least = (rows[at(row - 1, column)] + 1)
                .min(rows[at(row, column - 1)] + 1)
                .min(rows[at(row - 1, column - 1)] + usize::from(a != b));
            if row > 1 && column > 1 && a == to[column - 2] && from[row - 2] == b {
                least = least.min(rows[at(row - 2, column - 2)] + 1);
            }
            rows[at(row, column)] = least;
        }
    }
    rows[at(from.len(), to.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_and_far() {
        let words = ["export", "export-all", "entry", "strip-all", "stack-first"];
        assert_eq!(nearest("exprot", words), Some("export"));
        assert_eq!(nearest("export-al", words), Some("export-all"));
        assert_eq!(nearest("entri", words), Some("entry"));
        assert_eq!(nearest("quite-different", words), None);
        assert_eq!(nearest("export", words), None, "that is the word itself");
        assert_eq!(distance(b"kitten", b"sitting", &mut Vec::new()), 3);
        assert_eq!(distance(b"ab", b"ba", &mut Vec::new()), 1);
        assert_eq!(distance(b"", b"abc", &mut Vec::new()), 3);
    }
}
