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
    if let Ok(rust) = rustc_demangle::try_demangle(name) {
        return Some(format!("{rust:#}"));
    }
    // Hostile names can be made to expand without end.
    if !name.starts_with("_Z") || name.len() > 10_000 {
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

/// A demangled name spelled as LLVM does: `>>` where the demangler writes `> >`, and thunks in words.
fn as_llvm(text: &str) -> String {
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
    if let Some(variable) = text.strip_prefix("TLS init function for ") {
        return format!("thread-local initialization routine for {variable}");
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("> >") {
        out.push_str(&rest[..=at]);
        rest = &rest[at + 2..];
    }
    name_unnamed(out + rest)
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
}
