//! Writes a program made of many objects, to measure linkers with: `generator FOLDER [OPTION...]`. What it writes is said in
//! `program.rs`, which the bench of links has as well.

#[path = "program.rs"]
mod program;

fn main() {
    program::run(std::env::args().skip(1));
}
