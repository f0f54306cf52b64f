//! Edit scripts: an abstract program, edits of it, and [`check`](check::check), the one way in which every case runs.
//!
//! A script is data. It is applied to the abstract program (`model`) and to a [`wasmend::Module`] side by side; after
//! a commit the published file is walked byte by byte (`walk`), its patch attributed (`ranges`), and it is compared
//! with a module that the abstract program is encoded to independently (`rival`): by structure (`equal`) and by what
//! the exported functions do (`run`). Whatever holds for one script must hold for all: cases differ in data only.

#![allow(dead_code)]

pub mod answers;
pub mod apart;
pub mod body;
pub mod check;
pub mod chunk;
pub mod copies;
pub mod drive;
pub mod entries;
pub mod equal;
pub mod fresh;
pub mod generate;
pub mod model;
pub mod ranges;
pub mod repair;
pub mod rival;
pub mod run;
pub mod script;
pub mod walk;
