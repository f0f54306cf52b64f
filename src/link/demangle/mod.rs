//! Names of C++ and Rust as people wrote them, spelled as LLVM does. It knows no symbols and no objects.
//!
//! A large program has tens of thousands of names, and each link writes them: with a crate for C++'s it was two thirds of
//! the instructions of a link. What is here takes a tenth of that. A name is read into a graph (`parse`, `types`,
//! `expressions`), which is then written (`print`).

mod expressions;
mod node;
mod parse;
mod print;
mod print_expressions;
mod types;

use parse::Parser;

/// A symbol's name as it was in the source, if it is a mangled one of C++ or Rust.
pub(crate) fn demangle(name: &str) -> Option<String> {
    // Names of Rust's older kind end in a hash; without one it is a variable of C++.
    let is_rust = name.starts_with("_R") || (name.starts_with('_') && name.contains("17h"));
    if is_rust && let Ok(rust) = rustc_demangle::try_demangle(name) {
        return Some(format!("{rust:#}"));
    }
    // Hostile names can be made to expand without end.
    if !name.starts_with("_Z") || name.len() > 10_000 {
        return None;
    }
    let mut parser = Parser::new(name);
    let root = parser.whole()?;
    print::print(&parser.graph, root, 2 * name.len())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn shown(name: &str) -> String {
        demangle(name).unwrap_or_else(|| name.to_owned())
    }

    fn known() -> impl Iterator<Item = (&'static str, &'static str)> {
        let lines = include_str!("names.txt").lines();
        let lines = lines.filter(|line| !line.starts_with('#'));
        lines.map(|line| line.split_once('\t').expect("two columns"))
    }

    #[test]
    fn all_forms_of_names_are_as_llvm_has_them() {
        assert!(known().count() > 100);
        for (name, expected) in known() {
            assert_eq!(shown(name), expected, "{name}");
        }
    }

    #[test]
    fn what_llvm_does_not_read_stays_as_it_is() {
        let names = [
            "_ZZ3runENK3$_2clIiEEDaT_",
            "_ZZ3runvENK3foo3barIiEEvT_",
            "_ZZ3outIlEvT_ENK3foo3barIiEEvT_",
            "_ZZ3runvEN3fooIiE3barET_",
        ];
        for name in names {
            assert_eq!(shown(name), name);
        }
        let read = "auto run()::'lambda'(auto)::operator()<int>(auto) const";
        assert_eq!(shown("_ZZ3runvENKUlT_E_clIiEEDaS_"), read);
        assert_eq!(
            shown("_ZZ3runENK3foo3barIiEEDai"),
            "auto run::foo::bar<int>(int) const"
        );
        assert_eq!(
            shown("_Z4callIZ3runE3$_0EvT_"),
            "void call<run::$_0>(run::$_0)"
        );
    }

    #[test]
    fn an_empty_pack_of_a_declared_parameter_is_nothing() {
        let name = "_Z1fIJETpTnmJEJEEN1AIJXspT0_EEEEv";
        assert_eq!(shown(name), "A<> f<>()");
    }

    #[test]
    fn names_of_rust() {
        for (name, expected) in [
            (
                "_ZN4core3fmt9Formatter3pad17h0123456789abcdefE",
                "core::fmt::Formatter::pad",
            ),
            ("_RNvC7mycrate3foo", "mycrate::foo"),
            ("RNvC7mycrate3foo", "RNvC7mycrate3foo"),
        ] {
            assert_eq!(shown(name), expected);
        }
    }

    /// Whatever is wrong with a name, reading it ends soon and does not panic.
    #[test]
    fn broken_names_end() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 33) as usize % below
        };
        let letters: Vec<&[u8]> = known().map(|(name, _)| name.as_bytes()).collect();
        let mut read = 0;
        for _ in 0..200 {
            for (name, _) in known() {
                let mut bytes = name.as_bytes().to_vec();
                for _ in 0..=random(3) {
                    let other = letters[random(letters.len())];
                    let (from, at) = (random(other.len()), random(bytes.len() + 1));
                    let len = random(6).min(other.len() - from);
                    match random(3) {
                        0 => bytes.truncate(at),
                        1 => drop(bytes.splice(at..at, other[from..from + len].iter().copied())),
                        _ => {
                            let end = (at + len).min(bytes.len());
                            bytes.splice(at..end, other[from..from + len].iter().copied());
                        }
                    }
                }
                let broken = String::from_utf8(bytes).expect("all of it is ASCII");
                read += usize::from(demangle(&broken).is_some());
            }
        }
        assert!(read > 1_000, "{read}");
    }

    /// On a stack as small as that of any thread here.
    #[test]
    fn hostile_names_end() {
        let deep = |open: &str, close: &str| {
            let many = 9_000 / (open.len() + close.len());
            format!("_Z1f{}i{}", open.repeat(many), close.repeat(many))
        };
        let mut names = vec![
            deep("P", ""),
            deep("1AI", "E"),
            deep("N1AI", "EE"),
            deep("F", "E"),
            deep("DTcv", "E"),
            deep("U1AI", "Ei"),
            deep("A1_", ""),
            deep("K", ""),
            deep("Z1f", "E1a"),
            format!("_Z1fIX{}", "ng".repeat(4_000)),
            format!("_Z{}", "Z1fvE".repeat(1_800)),
            format!("_Z1f{}", "Dp".repeat(4_000)),
        ];
        // Each type names the one before twice.
        let digits = |at: usize| {
            let digit = |at: usize| char::from_digit(at as u32, 36).expect("it is one");
            let text: String = match at {
                0..36 => digit(at).into(),
                _ => [digit(at / 36), digit(at % 36)].iter().collect(),
            };
            text.to_uppercase()
        };
        for with in ["", "DpF"] {
            let mut name = "_Z1f1AIiiE".to_owned();
            for at in 0..300 {
                let last = digits(at * 2);
                name.push_str(&format!("{with}1BIS{last}_S{last}_E"));
            }
            names.push(name);
        }
        let work = move || {
            for name in names {
                let start = Instant::now();
                let text = demangle(&name);
                assert!(text.is_none_or(|text| text.len() < 200_000));
                assert!(start.elapsed() < Duration::from_secs(2), "{name}");
            }
        };
        let thread = std::thread::Builder::new().stack_size(2 << 20).spawn(work);
        thread.unwrap().join().unwrap();
    }

    #[cfg(feature = "toolchain-tests")]
    fn as_llvm_has_them(names: &[&str]) -> Vec<String> {
        use std::io::Write;
        use std::process::{Command, Stdio};
        let mut filter = Command::new("llvm-cxxfilt-19")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = filter.stdin.take().unwrap();
        let text = names.join("\n") + "\n";
        let writer = std::thread::spawn(move || input.write_all(text.as_bytes()).unwrap());
        let theirs = String::from_utf8(filter.wait_with_output().unwrap().stdout).unwrap();
        writer.join().unwrap();
        theirs.lines().map(str::to_owned).collect()
    }

    #[cfg(feature = "toolchain-tests")]
    #[test]
    fn what_is_expected_is_what_llvm_says() {
        let names: Vec<&str> = known().map(|(name, _)| name).collect();
        let expected: Vec<&str> = known().map(|(_, expected)| expected).collect();
        assert_eq!(as_llvm_has_them(&names), expected);
    }

    #[cfg(feature = "toolchain-tests")]
    #[test]
    fn names_of_a_real_library_are_as_llvm_has_them() {
        let libraries =
            ["libc++.a", "libc++abi.a"].map(|name| format!("/usr/lib/wasm32-wasi/{name}"));
        let listed = std::process::Command::new("llvm-nm-19")
            .arg("-j")
            .args(libraries)
            .output();
        let listed = String::from_utf8(listed.unwrap().stdout).unwrap();
        let mut names: Vec<&str> = listed
            .lines()
            .filter(|line| line.starts_with("_Z"))
            .collect();
        names.sort_unstable();
        names.dedup();
        assert!(names.len() > 3000, "{}", names.len());
        for (name, theirs) in names.iter().zip(as_llvm_has_them(&names)) {
            assert_eq!(shown(name), theirs, "{name}");
        }
    }
}
