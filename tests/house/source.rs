//! What a file of the crate says, as far as the house rules ask: its modules, what it names of others, how long its
//! functions are. It reads tokens, not a grammar: enough to find paths, and cheap to build.
//!
//! What stands under `#[cfg(test)]`, alone or with more, is no part of the house and is passed over, except that its functions have lengths too.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// Segments of a path, such as `crate`, `wire`, `leb`.
pub type Path = Vec<String>;

/// A name that a `use` brings into a file.
#[derive(Debug, Clone)]
pub struct Use {
    pub path: Path,
    /// Whether others can use it from here: `pub`, `pub(crate)` and the like.
    pub is_shared: bool,
    /// Whether the file itself says the name anywhere else.
    pub is_said: bool,
}

/// A function and its length, from the line of `fn` to the line of the last brace.
#[derive(Debug)]
pub struct Function {
    pub name: String,
    pub lines: usize,
}

/// What is known of a file.
#[derive(Debug, Default)]
pub struct Source {
    /// The modules that stand in files of their own, without those that exist for tests only.
    pub children: Vec<String>,
    pub uses: BTreeMap<String, Use>,
    /// The modules of which everything is brought in.
    pub globs: Vec<Path>,
    /// Paths outside of `use`, each with at least two segments.
    pub paths: Vec<Path>,
    pub functions: Vec<Function>,
}

impl Source {
    /// Reads the text of a file.
    ///
    /// # Panics
    /// It is no Rust.
    pub fn read(name: &str, text: &str) -> Source {
        let tokens = TokenStream::from_str(text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut source = Source::default();
        let mut reader = Reader {
            source: &mut source,
            idents: BTreeSet::new(),
        };
        reader.stream(tokens, 0, false);
        let idents = std::mem::take(&mut reader.idents);
        for (name, brought) in &mut source.uses {
            brought.is_said = idents.contains(name);
        }
        source
    }
}

struct Reader<'a> {
    source: &'a mut Source,
    /// The first word of every path outside of `use`.
    idents: BTreeSet<String>,
}

impl Reader<'_> {
    /// Reads what stands in a file, in a module within it (`depth` deep) or in any brackets. For tests only, it is asked
    /// for nothing but the lengths of functions.
    fn stream(&mut self, tokens: TokenStream, depth: usize, of_tests: bool) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        let mut next_is_of_tests = false;
        while at < tokens.len() {
            let of_tests = of_tests || next_is_of_tests;
            match &tokens[at] {
                TokenTree::Punct(punct) if punct.as_char() == '#' => {
                    let (len, says_test) = attribute(&tokens[at..]);
                    next_is_of_tests |= says_test;
                    at += len;
                    continue;
                }
                TokenTree::Ident(word) if word == "use" && !is_punct(tokens.get(at + 1), '<') => {
                    let end = at + 1 + end_of_statement(&tokens[at + 1..]);
                    if !of_tests {
                        let is_shared = is_shared(&tokens[..at]);
                        self.use_tree(&tokens[at + 1..end], Vec::new(), depth, is_shared);
                    }
                    next_is_of_tests = false;
                    at = end;
                }
                TokenTree::Ident(word) if word == "mod" => {
                    match (tokens.get(at + 1), tokens.get(at + 2)) {
                        (Some(TokenTree::Ident(name)), Some(TokenTree::Punct(_))) if !of_tests => {
                            self.source.children.push(name.to_string());
                        }
                        (Some(TokenTree::Ident(_)), Some(TokenTree::Group(body))) => {
                            self.stream(body.stream(), depth + 1, of_tests);
                        }
                        _ => {}
                    }
                    next_is_of_tests = false;
                    at += 3;
                }
                TokenTree::Ident(word) => {
                    if word == "fn" {
                        self.function(&tokens[at..]);
                    }
                    let len = path(&tokens[at..]);
                    if !of_tests {
                        self.words(&tokens[at..at + len], depth);
                    }
                    at += len;
                }
                TokenTree::Group(group) => {
                    let shares = group.delimiter() == Delimiter::Parenthesis
                        && at > 0
                        && is_word(&tokens[at - 1], "pub");
                    if !shares {
                        self.stream(group.stream(), depth, of_tests);
                        next_is_of_tests &= group.delimiter() != Delimiter::Brace;
                    }
                    at += 1;
                }
                TokenTree::Punct(punct) => {
                    next_is_of_tests &= punct.as_char() != ';';
                    at += 1;
                }
                TokenTree::Literal(_) => at += 1,
            }
        }
    }

    fn words(&mut self, tokens: &[TokenTree], depth: usize) {
        let words: Path = tokens.iter().filter_map(word).collect();
        self.idents.insert(words[0].clone());
        if words.len() > 1 {
            self.source.paths.extend(seen_from_file(words, depth));
        }
    }

    /// Notes the length of the function whose `fn` is the first token, if it is one with a name and a body.
    fn function(&mut self, tokens: &[TokenTree]) {
        let Some(TokenTree::Ident(name)) = tokens.get(1) else {
            return;
        };
        for token in tokens {
            match token {
                TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                    let first = tokens[0].span().start().line;
                    let lines = group.span_close().end().line - first + 1;
                    self.source.functions.push(Function {
                        name: name.to_string(),
                        lines,
                    });
                    return;
                }
                token if is_punct(Some(token), ';') => return,
                _ => {}
            }
        }
    }

    /// Reads `a::b::{c, d as e, f::*}`, behind `before`.
    fn use_tree(&mut self, tokens: &[TokenTree], mut before: Path, depth: usize, is_shared: bool) {
        for (at, token) in tokens.iter().enumerate() {
            match token {
                TokenTree::Ident(name) if name == "as" => {
                    let Some(alias) = tokens.get(at + 1).and_then(word) else {
                        panic!("`as` without a name behind {before:?}");
                    };
                    return self.bring(alias, before, depth, is_shared);
                }
                TokenTree::Ident(name) => before.push(name.to_string()),
                TokenTree::Group(group) => {
                    let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                    for part in inner.split(|token| is_punct(Some(token), ',')) {
                        if !part.is_empty() {
                            self.use_tree(part, before.clone(), depth, is_shared);
                        }
                    }
                    return;
                }
                TokenTree::Punct(punct) if punct.as_char() == '*' => {
                    self.source.globs.extend(seen_from_file(before, depth));
                    return;
                }
                _ => {}
            }
        }
        if before.last().is_some_and(|last| last == "self") && before.len() > 1 {
            before.pop();
        }
        if let Some(name) = before.last().cloned() {
            self.bring(name, before, depth, is_shared);
        }
    }

    fn bring(&mut self, name: String, path: Path, depth: usize, is_shared: bool) {
        let Some(path) = seen_from_file(path, depth) else {
            return;
        };
        let brought = Use {
            path: path.clone(),
            is_shared: is_shared && depth == 0,
            is_said: false,
        };
        // One name in two modules of a file, or in two namespaces: none of the two paths is lost.
        if name == "_" || self.source.uses.contains_key(&name) {
            self.source.paths.push(path);
        } else {
            self.source.uses.insert(name, brought);
        }
    }
}

/// `path` as the file itself would say it that has it in a module within, `depth` deep. Nothing where it cannot lead out.
fn seen_from_file(path: Path, depth: usize) -> Option<Path> {
    let supers = path.iter().take_while(|word| *word == "super").count();
    if depth == 0 || path[0] == "crate" {
        return Some(path);
    }
    (supers >= depth).then(|| {
        let left = path.into_iter().skip(depth);
        std::iter::once("self".to_owned()).chain(left).collect()
    })
}

/// The tokens of the attribute at the start, and whether it is `#[cfg(test)]`.
fn attribute(tokens: &[TokenTree]) -> (usize, bool) {
    let inner = usize::from(is_punct(tokens.get(1), '!'));
    match tokens.get(1 + inner) {
        Some(TokenTree::Group(group)) => {
            let text: String = group.stream().to_string().split_whitespace().collect();
            let is_of_tests = ["cfg(test)", "cfg(all(test,"]
                .iter()
                .any(|start| text.starts_with(start));
            (2 + inner, inner == 0 && is_of_tests)
        }
        _ => (1, false),
    }
}

/// The tokens of the path at the start: words with `::` between them.
fn path(tokens: &[TokenTree]) -> usize {
    let mut len = 1;
    while is_punct(tokens.get(len), ':')
        && is_punct(tokens.get(len + 1), ':')
        && matches!(tokens.get(len + 2), Some(TokenTree::Ident(_)))
    {
        len += 3;
    }
    len
}

fn end_of_statement(tokens: &[TokenTree]) -> usize {
    let end = tokens.iter().position(|token| is_punct(Some(token), ';'));
    end.unwrap_or(tokens.len())
}

/// Whether the last of `before` is `pub` or `pub(...)`.
fn is_shared(before: &[TokenTree]) -> bool {
    match before {
        [.., TokenTree::Ident(word)] => word == "pub",
        [.., TokenTree::Ident(word), TokenTree::Group(_)] => word == "pub",
        _ => false,
    }
}

fn is_punct(token: Option<&TokenTree>, wanted: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == wanted)
}

fn is_word(token: &TokenTree, wanted: &str) -> bool {
    matches!(token, TokenTree::Ident(word) if word == wanted)
}

fn word(token: &TokenTree) -> Option<String> {
    match token {
        TokenTree::Ident(word) => Some(word.to_string()),
        _ => None,
    }
}
