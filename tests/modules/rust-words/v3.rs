//! Counts the words of its standard input: a hash map, a sorted map, strings, errors as values.

use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::process::ExitCode;

#[derive(Debug)]
enum Problem {
    Empty,
    TooLong { word: String, limit: usize },
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Problem::Empty => f.write_str("there are no words"),
            Problem::TooLong { word, limit } => write!(f, "`{word}` has more than {limit} letters"),
        }
    }
}

const LIMIT: usize = 15;
static STOP_WORDS: [&str; 4] = ["the", "by", "in", "and"];

fn normalise(word: &str) -> Option<String> {
    let letters: String = word.chars().filter(|c| c.is_alphabetic()).collect();
    let mut word = letters.to_lowercase();
    if let Some(singular) = singular(&word) {
        word = singular;
    }
    (!word.is_empty() && !STOP_WORDS.contains(&word.as_str())).then_some(word)
}

#[inline(never)]
fn singular(word: &str) -> Option<String> {
    if let Some(stem) = word.strip_suffix("ies") {
        return Some(format!("{stem}y"));
    }
    word.strip_suffix('s').filter(|stem| stem.len() > 2 && !stem.ends_with('s')).map(str::to_string)
}

#[inline(never)]
fn check(word: &str, limit: usize, number: u64) -> Result<u64, Problem> {
    if word.chars().count() > limit {
        return Err(Problem::TooLong { word: format!("{number}:{word}"), limit });
    }
    Ok(number.rotate_left(7) ^ word.len() as u64)
}

#[inline(never)]
fn count(text: &str) -> Result<HashMap<String, u32>, Problem> {
    let mut counts = HashMap::new();
    let mut number = 1;
    for word in text.split_whitespace().filter_map(normalise) {
        match check(&word, LIMIT, number) {
            Ok(next) => number = next,
            Err(problem) => {
                println!("skipped: {problem}");
                continue;
            }
        }
        *counts.entry(word).or_insert(0) += 1;
    }
    if counts.is_empty() { Err(Problem::Empty) } else { Ok(counts) }
}

#[inline(never)]
fn by_length(counts: &HashMap<String, u32>) -> BTreeMap<usize, Vec<&str>> {
    let mut lengths: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
    for word in counts.keys() {
        lengths.entry(word.len()).or_default().push(word);
    }
    lengths.values_mut().for_each(|words| words.sort_unstable());
    lengths
}

fn main() -> ExitCode {
    let mut text = String::new();
    if let Err(error) = std::io::stdin().read_to_string(&mut text) {
        eprintln!("cannot read: {error}");
        return ExitCode::from(2);
    }
    let counts = match count(&text) {
        Ok(counts) => counts,
        Err(problem) => {
            eprintln!("{problem}");
            return ExitCode::from(1);
        }
    };
    let mut sorted: Vec<_> = counts.iter().collect();
    sorted.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
    for (word, n) in sorted.iter().take(5) {
        println!("{n:>3} {word}");
    }
    for (length, words) in by_length(&counts) {
        println!("{length:>3} letters: {}", words.join(", "));
    }
    let shouted = std::env::var_os("SHOUT").is_some();
    let longest = counts.keys().max_by_key(|word| (word.len(), word.as_str()));
    println!("longest {:?}{}", longest, if shouted { "!" } else { "" });
    ExitCode::from(7)
}
