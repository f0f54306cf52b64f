//! The example brook, as those use it who write programs in it: the language server over its standard input and output, the
//! compiler in watch mode. What programs should do is said by an interpreter of their syntax trees.

#[path = "../../examples/brook/lex.rs"]
#[allow(dead_code)]
mod lex;
#[path = "../../examples/brook/syntax.rs"]
#[allow(dead_code)]
mod syntax;

mod client;
mod edits;
#[path = "../support/example.rs"]
mod example;
mod interpreter;
mod malformed;
mod programs;
mod scripts;
mod watching;
