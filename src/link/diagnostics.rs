//! What a link has to say: errors and warnings, with names as people wrote them.

use crate::error::Error;

/// Errors and warnings of a link, in the order in which they were found.
#[derive(Debug, Default)]
pub struct Diagnostics {
    /// What makes the link fail.
    pub errors: Vec<Error>,
    /// What does not.
    pub warnings: Vec<Error>,
}

impl Diagnostics {
    /// Notes an error.
    pub fn error(&mut self, error: Error) {
        self.errors.push(error);
    }

    /// Notes a warning.
    pub fn warn(&mut self, warning: Error) {
        self.warnings.push(warning);
    }

    /// Appends what others have to say.
    pub fn extend(&mut self, other: Diagnostics) {
        self.errors.extend(other.errors);
        self.warnings.extend(other.warnings);
    }
}

/// A symbol's name as it was in the source, if it is a mangled one of C++ or Rust.
pub fn demangle(name: &str) -> Option<String> {
    // The rest would be taken for names of other systems, which leave out the first underscore.
    if !name.starts_with('_') {
        return None;
    }
    // Names of Rust's older kind end in a hash; without one it is a variable of C++.
    let is_rust = name.starts_with("_R") || name.contains("17h");
    if is_rust && let Ok(rust) = rustc_demangle::try_demangle(name) {
        return Some(format!("{rust:#}"));
    }
    // Hostile names can be made to expand without end.
    if !name.starts_with("_Z") || name.len() > 10_000 || is_left_mangled(name) {
        return None;
    }
    let options = cpp_demangle::DemangleOptions::new();
    let parse = cpp_demangle::ParseOptions::default().recursion_limit(256);
    let symbol = cpp_demangle::Symbol::new_with_options(name.as_bytes(), &parse).ok()?;
    symbol
        .demangle_with_options(&options)
        .ok()
        .filter(|text| text.len() < 100_000)
        .map(|text| as_llvm(&text))
}

/// Whether it is the operator of a lambda in a function whose parameters are the lambda's own template's, which LLVM leaves
/// as it is.
fn is_left_mangled(name: &str) -> bool {
    let is_parameter = |text: &str| {
        let number = text.trim_start_matches(|char: char| char.is_ascii_alphanumeric());
        number.starts_with('_')
    };
    let operator = name.starts_with("_ZZ") && name.contains("$_");
    let parameters = name.rsplit_once("clI").filter(|_| operator);
    parameters.is_some_and(|(_, rest)| rest.split('T').skip(1).any(is_parameter))
}

/// A demangled name spelled as LLVM does: `>>` where the demangler writes `> >`, and what a compiler adds in words.
fn as_llvm(text: &str) -> String {
    if let Some(rest) = text.strip_prefix("construction vtable for ") {
        // The demangler has the two the other way round.
        if let Some((within, of)) = rest.split_once("-in-") {
            let (within, of) = (as_llvm(within), as_llvm(of));
            return format!("construction vtable for {of}-in-{within}");
        }
    }
    for (begin, word) in [("{vtt(", "VTT for "), ("{vtable(", "vtable for ")] {
        let table = text.strip_prefix(begin);
        if let Some(of) = table.and_then(|rest| rest.strip_suffix(")}")) {
            return format!("{word}{}", as_llvm(of));
        }
    }
    for (begin, word) in [
        (
            "{virtual override thunk({virtual offset(",
            "virtual thunk to ",
        ),
        ("{virtual override thunk({offset(", "non-virtual thunk to "),
    ] {
        let target = text.strip_prefix(begin).and_then(|rest| {
            let (_, target) = rest.split_once(")}, ")?;
            target.strip_suffix(")}")
        });
        if let Some(target) = target {
            return format!("{word}{}", as_llvm(target));
        }
    }
    for (begin, words) in [
        ("TLS init function for ", "initialization"),
        ("TLS wrapper function for ", "wrapper"),
    ] {
        if let Some(variable) = text.strip_prefix(begin) {
            return format!("thread-local {words} routine for {variable}");
        }
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("> >") {
        out.push_str(&rest[..=at]);
        rest = &rest[at + 2..];
    }
    let named = name_unnamed(out + rest);
    shorten_literals(named.replace("_GLOBAL__N_1", "(anonymous namespace)"))
}

/// Writes numbers among the arguments of a template as LLVM does: `8ul` for `(unsigned long)8`.
fn shorten_literals(mut text: String) -> String {
    const SUFFIXES: [(&str, &str); 5] = [
        ("(unsigned int)", "u"),
        ("(long)", "l"),
        ("(unsigned long)", "ul"),
        ("(long long)", "ll"),
        ("(unsigned long long)", "ull"),
    ];
    for (cast, suffix) in SUFFIXES {
        let mut from = 0;
        while let Some(at) = text[from..].find(cast).map(|at| from + at) {
            let start = at + cast.len();
            let digits = text[start..].strip_prefix('-').unwrap_or(&text[start..]);
            let sign = text.len() - start - digits.len();
            let count = digits.bytes().take_while(u8::is_ascii_digit).count();
            from = start;
            // A type in parentheses that no number follows is a list of parameters.
            if count > 0 {
                let end = start + sign + count;
                text.insert_str(end, suffix);
                text.replace_range(at..start, "");
                from = at;
            }
        }
    }
    text
}

/// Writes what has no name of its own as LLVM does: `'lambda'(int)` for `{lambda(int)#1}`, `'lambda0'(int)` for the next
/// one, and `'unnamed'` for `{unnamed type#1}`.
fn name_unnamed(text: String) -> String {
    let mut text = text.replace("auto:1", "auto");
    // From the end, so that of lambdas within each other's parameters the inner one comes first.
    let mut end = text.len();
    while let Some(start) = text[..end].rfind('{') {
        end = start;
        let Some(len) = text[start..].find('}') else {
            continue;
        };
        let Some((what, number)) = text[start + 1..start + len].rsplit_once('#') else {
            continue;
        };
        let Ok(number) = number.parse::<u32>() else {
            continue;
        };
        // The first has no number, and the second has that of the first. Of unnamed types the demangler counts the second
        // as the first too.
        let counted = |from: u32| match number.checked_sub(from) {
            Some(number) if number + from > 1 => number.to_string(),
            _ => String::new(),
        };
        let named = match (what, what.strip_prefix("lambda")) {
            ("unnamed type", _) => format!("'unnamed{}'", counted(1)),
            (_, Some(parameters)) => format!("'lambda{}'{parameters}", counted(2)),
            _ => continue,
        };
        text.replace_range(start..=start + len, &named);
    }
    text
}

/// A name for messages and the name section: demangled unless the command line says otherwise.
pub fn shown(name: &str, demangled: bool) -> String {
    // Compilers rename a `main` with arguments, because callers' and callee's signatures must be the same.
    if name == "__main_argc_argv" {
        return "main".to_owned();
    }
    demangled
        .then(|| demangle(name))
        .flatten()
        .unwrap_or_else(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_several_languages() {
        for (name, expected) in [
            ("_ZN3foo3barEi", "foo::bar(int)"),
            (
                "_ZN4core3fmt9Formatter3pad17h0123456789abcdefE",
                "core::fmt::Formatter::pad",
            ),
            ("_ZN1AI1BI1CI1DEEE1fEv", "A<B<C<D>>>::f()"),
            ("_ZTv0_n12_N1A1fEv", "virtual thunk to A::f()"),
            ("_ZThn8_N1A1fEv", "non-virtual thunk to A::f()"),
            (
                "_ZTH5errno",
                "thread-local initialization routine for errno",
            ),
            (
                "_ZZ3runENKUliE_clEi",
                "run::'lambda'(int)::operator()(int) const",
            ),
            (
                "_ZZ3runiENKUliE3_clEi",
                "run(int)::'lambda3'(int)::operator()(int) const",
            ),
            ("_ZTW5errno", "thread-local wrapper routine for errno"),
            ("_ZTT1A", "VTT for A"),
            ("_ZTV1A", "vtable for A"),
            ("_ZTC1A0_1B", "construction vtable for B-in-A"),
            ("_ZN12_GLOBAL__N_14heapE", "(anonymous namespace)::heap"),
            ("_ZN1AILm8EE1fEv", "A<8ul>::f()"),
            ("_Z1fILj3ELln2EEvv", "void f<3u, -2l>()"),
            ("_Z1fPFvlE", "f(void (*)(long))"),
            ("_ZZ3runENK3$_2clIiEEDaT_", "_ZZ3runENK3$_2clIiEEDaT_"),
            (
                "_ZZ3runENK3$_2clIiEEvi",
                "void run::$_2::operator()<int>(int) const",
            ),
            ("_ZN1nUt_1fEv", "n::'unnamed'::f()"),
            ("_ZN1nUt1_1fEv", "n::'unnamed1'::f()"),
            ("_Z4callIZ3runE3$_0EvT_", "void call<run::$_0>(run::$_0)"),
            ("_RNvC7mycrate3foo", "mycrate::foo"),
            ("__main_argc_argv", "main"),
            ("plain", "plain"),
            ("RNvC7mycrate3foo", "RNvC7mycrate3foo"),
            ("_Z", "_Z"),
        ] {
            assert_eq!(shown(name, true), expected);
        }
        assert_eq!(shown("_ZN3foo3barEi", false), "_ZN3foo3barEi");
        assert_eq!(shown("__main_argc_argv", false), "main");
    }
    /// What the demangler gets wrong, about one in a hundred and fifty, are packs of parameters that are passed on, and
    /// literals and bases of constructors in constraints.
    #[cfg(feature = "toolchain-tests")]
    #[test]
    fn names_of_a_real_library_are_as_llvm_has_them() {
        use std::io::Write;
        use std::process::{Command, Stdio};
        let libraries =
            ["libc++.a", "libc++abi.a"].map(|name| format!("/usr/lib/wasm32-wasi/{name}"));
        let listed = Command::new("llvm-nm-19")
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
        let pairs = names.iter().zip(theirs.lines());
        let differ: Vec<_> = pairs
            .filter(|(name, theirs)| shown(name, true) != **theirs)
            .collect();
        assert!(
            differ.len() * 150 < names.len(),
            "{}: {differ:#?}",
            differ.len()
        );
    }
}
