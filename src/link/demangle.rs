//! Symbols' names as they were in the source, spelled as LLVM spells them, so that a name section is what wasm-ld's is.
//! Knows of names only.
//!
//! The demangler for C++ that is used reads names well, but for a few kinds, and prints some of them in its own way. What it
//! reads wrong is put to it differently (constructors, arguments whose types are named, packs that are forwarded); what it
//! prints differently is spelled anew.

use cpp_demangle::{DemangleOptions, ParseOptions, Symbol};

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
    let constructor = with_return_type(name);
    let name = constructor.as_deref().unwrap_or(name);
    referring(name).or_else(|| plain(name))
}

fn parse(name: &str) -> Option<Symbol<&[u8]>> {
    let options = ParseOptions::default().recursion_limit(256);
    Symbol::new_with_options(name.as_bytes(), &options).ok()
}

/// What the demangler says, spelled as LLVM does.
fn plain(name: &str) -> Option<String> {
    let Some(symbol) = parse(name) else {
        return without_argument_types(name);
    };
    symbol
        .demangle_with_options(&DemangleOptions::new())
        .ok()
        .filter(|text| text.len() < 100_000)
        .map(|text| as_llvm(&text))
}

/// The name of a constructor that is a template, with `void` as what it returns: the demangler would take its first parameter
/// for that.
fn with_return_type(name: &str) -> Option<String> {
    const TEMPLATES: [&str; 6] = ["C1I", "C2I", "C3I", "C1B", "C2B", "C3B"];
    if !TEMPLATES.iter().any(|begin| name.contains(begin)) {
        return None;
    }
    // Of something within a function, the function's own name.
    let nested = name[1..].trim_start_matches('Z');
    let front = name.len() - nested.len();
    // Its arguments end, and it ends.
    let ends = nested.match_indices('E').map(|(at, _)| at + 1);
    let ends = ends.filter(|end| nested[..*end].ends_with("EE"));
    let end = ends.take(64).find(|end| is_constructor(&nested[..*end]))?;
    Some(format!("{}v{}", &name[..front + end], &nested[end..]))
}

/// Whether a name is that of a constructor which is a template: `A<int>::A[abi:tag]<long>`.
fn is_constructor(name: &str) -> bool {
    // As that of a function without parameters; without a function's type it is not read.
    let name = format!("_Z{name}vv");
    let symbol = parse(&name);
    let text = symbol.and_then(|symbol| symbol.demangle_with_options(&DemangleOptions::new()).ok());
    let Some(text) = text.as_deref().and_then(|text| text.strip_suffix("()")) else {
        return false;
    };
    let Some((class, name)) = split_last(text, "::") else {
        return false;
    };
    let class = split_last(class, "::").map_or(class, |(_, class)| class);
    let of = |text: &str| text.find(['<', '[']).map(|at| text[..at].to_owned());
    let name_of = |text: &str| of(text).unwrap_or_else(|| text.to_owned());
    name.ends_with('>') && name_of(class) == name_of(name)
}

/// Splits at the last `separator` that stands in no brackets.
fn split_last<'a>(text: &'a str, separator: &str) -> Option<(&'a str, &'a str)> {
    let mut level = 0;
    let mut backward = text.char_indices().rev();
    let (at, _) = backward.find(|(at, char)| {
        level -= bracket(*char);
        level == 0 && text[*at..].starts_with(separator)
    })?;
    Some((&text[..at], &text[at + separator.len()..]))
}

/// What a character adds to the number of brackets that are open.
fn bracket(char: char) -> i32 {
    match char {
        '<' | '(' | '[' => 1,
        '>' | ')' | ']' => -1,
        _ => 0,
    }
}

/// Where the first of some characters stands that is in none of the brackets which open in the text.
fn find_outside(text: &str, any: &[char]) -> Option<usize> {
    let mut level = 0;
    let found = text.char_indices().find(|(_, char)| {
        let is_outside = level == 0 && any.contains(char);
        level += bracket(*char);
        is_outside
    });
    found.map(|(at, _)| at)
}

/// A name in whose template arguments types of values are named (`Tn`), which the demangler does not know and LLVM does not
/// print: each goes through it in a `sizeof`, which changes nothing of what the name refers back to.
fn without_argument_types(name: &str) -> Option<String> {
    const SIZE_OF: &str = "sizeof (";
    let at = name
        .find("Tn")
        .filter(|_| name.matches("Tn").count() <= 2)?;
    let (front, rest) = (&name[..at], &name[at + 2..]);
    // The value follows, which is a number or an expression.
    let ends = rest.match_indices(['L', 'X']).map(|(end, _)| end);
    let text = ends
        .take(16)
        .find_map(|end| plain(&format!("{front}Xst{}E{}", &rest[..end], &rest[end..])))?;
    let start = text.find(SIZE_OF)?;
    let behind = &text[start + SIZE_OF.len()..];
    let end = find_outside(behind, &[')'])?;
    let others = behind[end..].strip_prefix("), ")?;
    Some(format!("{}{others}", &text[..start]))
}

/// A function whose last parameters are a pack of references: rvalue references that are forwarded (`DpOT_`), or others. The
/// demangler makes references of the last of them only. `None` if it is something else.
fn referring(name: &str) -> Option<String> {
    const REFERENCES: [(&str, &str); 3] = [("DpOT", "&&"), ("DpRKT", " const&"), ("DpRT", "&")];
    let kinds = REFERENCES.into_iter();
    let found = kinds.filter_map(|(pack, kind)| Some((name.rfind(pack)?, pack, kind)));
    let (at, pack, kind) = found.max()?;
    let (front, pack) = (&name[..at], &name[at + pack.len() - 1..]);
    let number = pack[1..].strip_suffix('_')?;
    if !number.chars().all(|char| char.is_ascii_alphanumeric()) {
        return None;
    }
    // With three dots in their place it can be seen what stands before and behind them.
    let (without, with) = (
        plain(&format!("{front}z"))?,
        plain(&format!("{front}Dp{pack}"))?,
    );
    let (before, behind) = without.rsplit_once("...")?;
    let pack = with.strip_suffix(behind)?;
    let pack = pack.strip_prefix(before)?;
    if pack.is_empty() {
        let before = before.strip_suffix(", ").unwrap_or(before);
        return Some(format!("{before}{behind}"));
    }
    let mut parameters = Vec::new();
    let mut rest = pack;
    while !rest.is_empty() {
        let end = find_outside(rest, &[',']);
        let parameter = &rest[..end.unwrap_or(rest.len())];
        // What is a function or an array has the reference in its middle.
        let inner = inner_declarator(parameter);
        let reference = match inner {
            Some(inner) if inner.starts_with("(&") => "",
            Some(_) => return None,
            None if parameter.ends_with('&') => "",
            None => kind,
        };
        parameters.push(format!("{parameter}{reference}"));
        rest = end.map_or("", |end| rest[end + 1..].trim_start());
    }
    Some(format!("{before}{}{behind}", parameters.join(", ")))
}

/// What stands behind the blank in a type that is spelled around a name, as those of functions and arrays: `(*)(int)` of
/// `void (*)(int)`.
fn inner_declarator(parameter: &str) -> Option<&str> {
    let mut from = 0;
    while let Some(blank) = find_outside(&parameter[from..], &[' ']) {
        from += blank + 1;
        let rest = &parameter[from..];
        if rest.starts_with(['(', '[']) {
            return Some(rest);
        }
    }
    None
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
    // A pack without members leaves its comma behind.
    let mut text = text
        .replace(", >", ">")
        .replace("operator<< <", "operator<<<");
    while text.contains("> >") {
        text = text.replace("> >", ">>");
    }
    if let Some((function, clone)) = text.rsplit_once(" [clone ")
        && let Some(clone) = clone.strip_suffix(']')
    {
        text = format!("{function} ({clone})");
    }
    // What has been made to expand is not worth the time.
    if text.len() < 10_000 {
        text = mend_qualified(space_function_types(text));
    }
    let named = name_unnamed(text);
    shorten_literals(named.replace("_GLOBAL__N_1", "(anonymous namespace)"))
}

/// Puts what qualifies a type behind its name: where a class is within one that was named before, the demangler puts it in
/// the middle, `A::B const::C&` for `A::B::C const&`.
fn mend_qualified(mut text: String) -> String {
    for (found, qualifier) in [("&::", "&"), ("*::", "*"), (" const::", " const")] {
        let mut end = text.len();
        while let Some(at) = text[..end].rfind(found) {
            end = at;
            // What is within a member function, or is an operator.
            if [")", " ", "operator"]
                .iter()
                .any(|end| text[..at].ends_with(end))
            {
                continue;
            }
            text.replace_range(at..at + qualifier.len(), "");
            let len = find_outside(&text[at + 2..], &[',', '>', ')', '&', '*', ' ']);
            text.insert_str(len.map_or(text.len(), |len| at + 2 + len), qualifier);
        }
    }
    text
}

/// Puts a blank behind what a function returns whose type is the argument of a template: `function<A (B)>` for
/// `function<A(B)>`.
fn space_function_types(mut text: String) -> String {
    let mut end = text.len();
    while let Some(at) = text[..end].rfind('(') {
        end = at;
        let returned = text[..at].chars().next_back();
        if !returned.is_some_and(|char| char.is_alphanumeric() || char == '_' || char == '>')
            || text[..at].ends_with("operator")
        {
            continue;
        }
        let close = find_outside(&text[at + 1..], &[')']).map(|len| at + 1 + len + 1);
        let is_last = close.is_some_and(|close| text[close..].starts_with(['>', ',']));
        // A function's address is an argument too.
        let is_type = |argument: &str| !argument.starts_with('&');
        if is_last && argument_before(&text[..at]).is_some_and(is_type) {
            text.insert(at, ' ');
        }
    }
    text
}

/// What there is at the end of a text of an argument of a template, in no brackets but that one's.
fn argument_before(text: &str) -> Option<&str> {
    let mut level = 0;
    let mut start = None;
    for (at, char) in text.char_indices().rev() {
        match char {
            ',' if level == 0 => start = start.or(Some(at + 1)),
            '<' if level == 0 => return Some(text[start.unwrap_or(at + 1)..].trim_start()),
            '(' | '[' if level == 0 => return None,
            _ => level -= bracket(char),
        }
    }
    None
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
            (_, Some(parameters)) => {
                let number = counted(2);
                match mend_operator(parameters, &text[start + len + 1..]) {
                    Some(parameters) => {
                        let end = start + len + 1 + OPERATOR.len();
                        let lambda = format!("'lambda{number}'{parameters}{OPERATOR}{parameters}");
                        text.replace_range(start..end, &lambda);
                        continue;
                    }
                    None => format!("'lambda{number}'{parameters}"),
                }
            }
            _ => continue,
        };
        text.replace_range(start..=start + len, &named);
    }
    text
}

/// What a lambda's call is called.
const OPERATOR: &str = "::operator()";

/// The parameters of a lambda whose call is named next. Those of the call are the same; where the first of a class in some
/// namespace stands among them, the demangler puts those of the call behind that, instead of where they belong:
/// `(A::B(A::B, int), int)`. `None` if it has not done so.
fn mend_operator(parameters: &str, behind: &str) -> Option<String> {
    let behind = behind.strip_prefix(OPERATOR)?;
    if behind.starts_with('(') {
        return None;
    }
    let text = parameters.strip_prefix('(')?.strip_suffix(')')?;
    let len = text.len().checked_sub(2)? / 2;
    let mut places = text.match_indices('(').map(|(at, _)| at);
    places.find_map(|at| {
        let inner = text.get(at + 1..at + 1 + len)?;
        let rest = text.get(at + 1 + len..)?.strip_prefix(')')?;
        let is_so = inner.get(..at) == Some(&text[..at]) && inner.get(at..) == Some(rest);
        is_so.then(|| format!("({inner})"))
    })
}

#[cfg(test)]
mod tests {
    use crate::link::diagnostics::shown;

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
            ("_ZN1AC2IiEET_", "A::A<int>(int)"),
            (
                "_ZN1AC1B3tagB4tag2Iic1BEET_PKcS2_",
                "A::A[abi:tag][abi:tag2]<int, char, B>(int, char const*, int)",
            ),
            (
                "_ZZN1AIiEC1IlEET_ENKUlvE_clEv",
                "A<int>::A<long>(long)::'lambda'()::operator()() const",
            ),
            ("_ZN1AC2ERK1BIiE", "A::A(B<int> const&)"),
            (
                "_ZN1n3runIiTnNS_2ifIXsr2isIT_EE5valueEiE4typeELi0EEEvS2_",
                "void n::run<int, 0>(int)",
            ),
            ("_Z3runIiTnmLm2EEvT_", "void run<int, 2ul>(int)"),
            (
                "_Z3runIJifRiEEvDpOT_",
                "void run<int, float, int&>(int&&, float&&, int&)",
            ),
            ("_Z3runIJEEvDpOT_", "void run<>()"),
            ("_Z3runIiJEEvT_DpOT0_", "void run<int>(int)"),
            (
                "_Z3runIiJ1AIifES0_IfiEEEvT_DpOT0_",
                "void run<int, A<int, float>, A<float, int>>(int, A<int, float>&&, A<float, int>&&)",
            ),
            (
                "_ZN1AIJifEEC2IJRifEEEDpOT_",
                "A<int, float>::A<int&, float>(int&, float&&)",
            ),
            (
                "_ZZ3runvENKUlN1A1BEiE_clES0_i",
                "run()::'lambda'(A::B, int)::operator()(A::B, int) const",
            ),
            (
                "_ZZ3runvENKUliN1A1BEE_clEiS0_",
                "run()::'lambda'(int, A::B)::operator()(int, A::B) const",
            ),
            ("_Z1fPN1A1BERKNS0_1CIiEE", "f(A::B*, A::B::C<int> const&)"),
            (
                "_ZN1A1fIJPNS_1BEPNS1_1CEEEEvv",
                "void A::f<A::B*, A::B::C*>()",
            ),
            (
                "_Z3runIJifEEvDpRKT_",
                "void run<int, float>(int const&, float const&)",
            ),
            ("_Z3runIJifEEvDpRT_", "void run<int, float>(int&, float&)"),
            (
                "_Z3runSt8functionIF1A1BIiEEES_IFivEE",
                "run(std::function<A (B<int>)>, std::function<int ()>)",
            ),
            ("_ZN1AIJEE3runERS_IiJEE", "A<>::run(A<int>&)"),
            ("_Zls1AIiEi", "operator<<(A<int>, int)"),
            ("_ZlsI1AEvT_i", "void operator<<<A>(A, int)"),
            ("_Z3runv.cold", "run() (.cold)"),
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
        assert!(differ.is_empty(), "{}: {differ:#?}", differ.len());
    }
}
