//! brook: a small language whose programs run while they are written, and how its compiler uses wasmend.
//!
//! ```text
//! cargo run --example brook -- run FILE              compiles FILE and shows what it shows
//! cargo run --example brook -- watch FILE OUT.wasm   the same each time FILE is saved, and patches OUT.wasm
//! cargo run --example brook -- lsp                   a language server on standard input and output
//! ```
//!
//! `examples/brook/tour.brook` is a program to begin with. The way of an edit is `lex`, `syntax`, `check`, `code`: no
//! more than any compiler has. `compile` is where it meets wasmend: what has changed becomes edits of a module, and a commit
//! a patch. `run` has the program that runs and takes the patches in. `session` puts them together, for the command line
//! (`watch`) and for editors (`server`, `document`).

use std::path::Path;
use std::process::ExitCode;

mod check;
mod code;
mod compile;
mod document;
mod emit;
mod lex;
mod library;
mod positions;
mod run;
mod server;
mod session;
mod syntax;
mod watch;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        ["run", program] => watch::run(Path::new(program)),
        ["watch", program, output] => {
            watch::watch(Path::new(program), Path::new(output)).map(|()| true)
        }
        ["lsp"] => server::serve().map_err(Into::into),
        _ => Err("usage: brook run FILE | brook watch FILE OUT.wasm | brook lsp".into()),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
