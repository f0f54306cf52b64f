//! The command line of a link: wasm-ld's options, response files, and what somebody may have meant by a word that is none.
//!
//! Nothing here opens an object or knows what a symbol is.

mod option_table;
pub mod options;
pub mod parse;
pub mod response_file;
pub mod spelling;
