//! From text to tokens. It never fails: what is no token of the language is one that the parser complains about.

/// Where something stands in the text, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    pub start: usize,
    pub end: usize,
}

impl Span {
    /// From the start of this one to the end of another.
    pub fn to(self, other: Span) -> Span {
        Span {
            start: self.start,
            end: other.end.max(self.start),
        }
    }
}

/// Something that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    pub span: Span,
    pub message: String,
}

impl Mistake {
    pub fn new(span: Span, message: impl Into<String>) -> Mistake {
        let message = message.into();
        Mistake { span, message }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub enum TokenKind {
    Number(f64),
    Text(String),
    Name(String),
    /// A word of the language, an operator or a bracket.
    Symbol(&'static str),
    /// What is no token, and why.
    Wrong(String),
    End,
}

#[derive(Debug, Clone)]
pub struct Token {
    pub kind: TokenKind,
    pub span: Span,
    /// Whether it is the first one of its line: a statement may begin there, and no expression goes on.
    pub begins_line: bool,
    /// Whether nothing stands before it on its line, not even spaces.
    pub is_flush: bool,
}

const WORDS: [&str; 16] = [
    "fn", "export", "var", "let", "show", "if", "else", "while", "for", "in", "return", "and",
    "or", "not", "true", "false",
];

/// Longer ones first, since they are tried in this order.
const SYMBOLS: [&str; 24] = [
    "..", "==", "!=", "<=", ">=", "(", ")", "{", "}", "[", "]", "+", "-", "*", "/", "%", "<", ">",
    "=", ",", ":", ";", "!", ".",
];

/// The tokens of a text; the last one is [`TokenKind::End`].
pub fn tokens(text: &str) -> Vec<Token> {
    let mut all = Vec::new();
    let mut at = 0;
    let mut begins_line = true;
    while let Some(next) = text[at..].chars().next() {
        let start = at;
        if next == '\n' {
            begins_line = true;
        }
        if next.is_whitespace() {
            at += next.len_utf8();
            continue;
        }
        if next == '#' {
            at += text[at..].find('\n').unwrap_or(text.len() - at);
            continue;
        }
        let rest = &text[at..];
        let (kind, len) = if next.is_ascii_digit() {
            number(rest)
        } else if next.is_alphabetic() || next == '_' {
            word(rest)
        } else if next == '"' {
            literal(rest)
        } else if let Some(symbol) = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol)) {
            (TokenKind::Symbol(symbol), symbol.len())
        } else {
            let wrong = format!("`{next}` means nothing here");
            (TokenKind::Wrong(wrong), next.len_utf8())
        };
        at += len;
        let span = Span { start, end: at };
        all.push(Token {
            kind,
            span,
            begins_line,
            is_flush: text[..start].ends_with('\n') || start == 0,
        });
        begins_line = false;
    }
    all.push(Token {
        kind: TokenKind::End,
        span: Span { start: at, end: at },
        begins_line: true,
        is_flush: true,
    });
    all
}

/// How many bytes at the start are of this kind.
fn len_while(text: &str, is: impl Fn(char) -> bool) -> usize {
    text.find(|letter| !is(letter)).unwrap_or(text.len())
}

fn number(rest: &str) -> (TokenKind, usize) {
    let digits = |from: usize| len_while(&rest[from..], |letter| letter.is_ascii_digit());
    let mut len = digits(0);
    // `0..n` is a range, not a number that ends with a dot.
    if rest[len..].starts_with('.') && digits(len + 1) > 0 {
        len += 1 + digits(len + 1);
    }
    match rest[..len].parse() {
        Ok(number) => (TokenKind::Number(number), len),
        Err(_) => (TokenKind::Wrong("is no number".to_owned()), len),
    }
}

fn word(rest: &str) -> (TokenKind, usize) {
    let len = len_while(rest, |letter| letter.is_alphanumeric() || letter == '_');
    let name = &rest[..len];
    let kind = match WORDS.iter().find(|word| **word == name) {
        Some(word) => TokenKind::Symbol(word),
        None => TokenKind::Name(name.to_owned()),
    };
    (kind, len)
}

fn literal(rest: &str) -> (TokenKind, usize) {
    let mut value = String::new();
    let mut letters = rest.char_indices().skip(1);
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return (TokenKind::Text(value), at + 1),
            '\n' => break,
            '\\' => match letters.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, letter @ ('"' | '\\'))) => value.push(letter),
                _ => break,
            },
            letter => value.push(letter),
        }
    }
    let len = len_while(rest, |letter| letter != '\n');
    (
        TokenKind::Wrong("the text does not end on this line".to_owned()),
        len,
    )
}
