//! Edits after which an object's tables are what they were, or nearly: where what is equal in bytes may mean something else,
//! and what differs may mean the same. Needs clang-19.
//!
//! After each edit the program is what a link from nothing makes of the same files, and answers what the source says.

use crate::lab::{Lab, returned};
use crate::small_edits::Subject;

/// What every program has beside the object that changes.
const OTHER: &str = "
    int shared_data = 5;
    const char *other_text(void) { return \"shared text\"; }
    int other(int x) { return x + shared_data; }
    int never(int x) { return x * 3 + other(x); }
    int (*other_pointer)(int) = other;
";

/// Links the first of some versions of a source and goes through all of them and back, with debug information and without. Each
/// comes with what `run` answers.
fn expect_updates(versions: &[(&str, i32)]) {
    // Of what may be put anywhere, addresses are found in globals.
    for kind in ["plain", "debug", "pic"] {
        let names: Vec<String> = (0..versions.len())
            .map(|at| format!("{kind}-{at}.c"))
            .collect();
        let mut sources: Vec<(&str, &str)> = vec![("other.c", OTHER)];
        let texts: Vec<String> = versions
            .iter()
            .map(|(text, _)| format!("#line 1 \"changes.c\"\n{text}"))
            .collect();
        sources.extend(
            names
                .iter()
                .map(|name| &**name)
                .zip(texts.iter().map(|text| &**text)),
        );
        let lab = Lab::new(&sources);
        let object = |at: usize| names[at].replace(".c", ".o");
        let mut subject = Subject::new(&lab, "changes.o other.o", &object(0));
        let forth = 1..versions.len();
        let back = (0..versions.len()).rev();
        for at in forth.chain(back).chain([versions.len() - 1, 0]) {
            let what = format!("{kind}, version {at}: {}", versions[at].0);
            subject
                .update(&object(at))
                .unwrap_or_else(|said| panic!("{what}: {said}"));
            subject.expect_same_as_anew(&what);
            let bytes = subject.linked.bytes().unwrap();
            crate::support::validate(&bytes).unwrap_or_else(|error| panic!("{what}: {error}"));
            assert_eq!(returned(&bytes), versions[at].1, "{what}");
        }
    }
}

#[test]
fn a_constant_changes_and_all_relocations_behind_it_stand_elsewhere() {
    let version = |constant: &str| {
        format!(
            "int other(int); extern int shared_data;
             __attribute__((noinline, optnone)) static int first(int x) {{ return x * {constant}; }}
             __attribute__((noinline, optnone)) static int second(int x) {{ return other(x) + shared_data; }}
             int run(void) {{ return first(2) + second(3) + shared_data; }}"
        )
    };
    expect_updates(&[
        (&version("3"), 2 * 3 + 13 + 5),
        (&version("30000"), 2 * 30_000 + 13 + 5),
        (&version("30001"), 2 * 30_001 + 13 + 5),
        (&version("7"), 2 * 7 + 13 + 5),
    ]);
}

#[test]
fn functions_change_places_or_names() {
    let version = |first: &str, second: &str, one: i32, two: i32| {
        format!(
            "__attribute__((noinline, optnone)) static int {first}(int x) {{ return x + {one}; }}
             __attribute__((noinline, optnone)) static int {second}(int x) {{ return x + {two}; }}
             int run(void) {{ return a(10) * 100 + b(20); }}"
        )
    };
    expect_updates(&[
        (&version("a", "b", 1, 2), 1122),
        // The same code under other names, other code under the same names, and both.
        (&version("b", "a", 1, 2), 1221),
        (&version("a", "b", 2, 1), 1221),
        (&version("b", "a", 2, 1), 1122),
    ]);
}

#[test]
fn a_function_in_the_middle_goes_and_types_have_other_numbers() {
    expect_updates(&[
        (
            "__attribute__((noinline, optnone)) static long long wide(long long x) { return x * 3; }
             __attribute__((noinline, optnone)) static int narrow(int x) { return x + 1; }
             __attribute__((noinline, optnone)) static float real(float x) { return x * 2; }
             int run(void) { return (int)wide(4) + narrow(5) + (int)real(6); }",
            12 + 6 + 12,
        ),
        (
            "__attribute__((noinline, optnone)) static long long wide(long long x) { return x * 3; }
             __attribute__((noinline, optnone)) static float real(float x) { return x * 2; }
             int run(void) { return (int)wide(4) + (int)real(6); }",
            12 + 12,
        ),
        (
            "__attribute__((noinline, optnone)) static float real(float x) { return x * 2; }
             __attribute__((noinline, optnone)) static int narrow(int x) { return x + 1; }
             __attribute__((noinline, optnone)) static long long wide(long long x) { return x * 3; }
             int run(void) { return (int)wide(4) + narrow(5) + (int)real(6); }",
            12 + 6 + 12,
        ),
    ]);
}

#[test]
fn a_changed_function_reaches_what_was_not_linked_and_leaves_what_was() {
    let version = |call: &str| {
        format!(
            "int other(int); int never(int);
             __attribute__((noinline, optnone)) static int one(int x) {{ return x + 1; }}
             __attribute__((noinline, optnone)) static int deep(int x) {{ return never(x) + 1; }}
             int (*volatile table[2])(int);
             __attribute__((noinline, optnone)) static int pick(int which, int x) {{
                 if (which == 1) return one(x);
                 if (which == 2) return deep(x);
                 return other(x);
             }}
             int run(void) {{ {call} }}"
        )
    };
    expect_updates(&[
        (&version("return pick(1, 10);"), 11),
        (&version("return pick(2, 10);"), 30 + 15 + 1),
        (&version("return pick(3, 10);"), 15),
    ]);
    // Without what keeps them, so that the one comes as the other goes.
    let version = |callee: &str| {
        format!(
            "int never(int); int other(int);
             int a(int x) {{ return never(x); }}
             int b(int x) {{ return other(x) * 2; }}
             int c(int x) {{ return x; }}
             extern int a(int), b(int), c(int);
             int (*volatile pointer)(int) = {callee};
             int run(void) {{ return pointer(10); }}"
        )
    };
    expect_updates(&[
        (&version("a"), 45),
        (&version("b"), 30),
        (&version("c"), 10),
    ]);
}

#[test]
fn a_string_changes_that_functions_name_which_do_not() {
    let version = |text: &str, other: &str| {
        format!(
            "const char *other_text(void);
             __attribute__((noinline, optnone)) static int at(const char *text, int at) {{ return text[at]; }}
             static const char *const kept[] = {{ \"{text}\", \"{other}\" }};
             const char *const *volatile texts = kept;
             __attribute__((noinline, optnone)) static const char *name(void) {{ return \"{text}\"; }}
             int run(void) {{ return at(name(), 1) * 100 + at(texts[1], 0) + (other_text()[0] == 's'); }}"
        )
    };
    let answer = |text: &str, other: &str| {
        i32::from(text.as_bytes()[1]) * 100 + i32::from(other.as_bytes()[0]) + 1
    };
    let texts = [
        ("first", "other"),
        ("fires", "other"),
        ("fires", "Other"),
        // What another object has too, and nothing else.
        ("shared text", "other"),
        ("shared text", "shared text"),
        ("shaded text", "shared text"),
    ];
    let versions: Vec<(String, i32)> = texts
        .iter()
        .map(|(text, other)| (version(text, other), answer(text, other)))
        .collect();
    let versions: Vec<(&str, i32)> = versions.iter().map(|(text, it)| (&**text, *it)).collect();
    expect_updates(&versions);
}

#[test]
fn a_string_is_named_by_a_changed_function_no_more() {
    let version = |first: &str, second: &str| {
        format!(
            "__attribute__((noinline, optnone)) static int at(const char *text, int at) {{ return text[at]; }}
             __attribute__((noinline, optnone)) static int one(void) {{ return at({first}, 0); }}
             __attribute__((noinline, optnone)) static int two(void) {{ return at({second}, 0); }}
             int dead(void) {{ return at(\"alpha\", 1) + at(\"beta\", 1); }}
             int run(void) {{ return one() * 1000 + two(); }}"
        )
    };
    let (alpha, beta) = (i32::from(b'a'), i32::from(b'b'));
    expect_updates(&[
        (&version("\"alpha\"", "\"beta\""), alpha * 1000 + beta),
        (&version("\"beta\"", "\"beta\""), beta * 1000 + beta),
        (&version("\"alpha\"", "\"alpha\""), alpha * 1000 + alpha),
        (&version("\"beta\"", "\"alpha\""), beta * 1000 + alpha),
    ]);
}

#[test]
fn data_names_something_else_in_the_same_bytes() {
    let version = |pointer: &str, value: i32| {
        format!(
            "int other(int); extern int (*other_pointer)(int);
             int one(int x) {{ return x + 1; }}
             int two(int x) {{ return x + 2; }}
             int values[3] = {{ 10, {value}, 30 }};
             int *volatile place = {pointer};
             int (*volatile call)(int) = other;
             int run(void) {{ return *place + call(1); }}"
        )
    };
    expect_updates(&[
        (&version("&values[1]", 20), 20 + 6),
        (&version("&values[2]", 20), 30 + 6),
        (&version("&values[0]", 20), 10 + 6),
        (&version("&values[1]", 21), 21 + 6),
    ]);
}

#[test]
fn statics_of_one_name_are_told_apart() {
    let version = |one: i32, two: i32, first: &str, second: &str| {
        format!(
            "__attribute__((noinline, optnone)) static int counts(int x) {{ static int count = {one}; return count += x; }}
             __attribute__((noinline, optnone)) static int adds(int x) {{ static int count = {two}; return count += x + 1; }}
             int run(void) {{ return {first}(1) * 100 + {second}(1); }}"
        )
    };
    expect_updates(&[
        (&version(1, 2, "counts", "adds"), 204),
        (&version(2, 1, "counts", "adds"), 303),
        (&version(2, 1, "adds", "counts"), 303),
        (&version(5, 6, "adds", "counts"), 806),
    ]);
}

#[test]
fn lines_alone_change() {
    let version = |lines: &str, name: &str| {
        format!(
            "int other(int);
             {lines}
             __attribute__((noinline, optnone)) static int twice(int {name}) {{ return other({name}) * 2; }}
             int run(void) {{ return twice(1) + twice(2); }}"
        )
    };
    expect_updates(&[
        (&version("", "x"), 26),
        (&version("\n", "x"), 26),
        (&version("\n\n\n\n", "x"), 26),
        // As long, and called otherwise.
        (&version("", "y"), 26),
    ]);
}

#[test]
fn a_symbol_is_called_that_was_only_named() {
    let version = |body: &str| {
        format!(
            "int other(int); int (*volatile keep)(int);
             __attribute__((noinline, optnone)) static int one(void) {{ {body} }}
             int run(void) {{ keep = other; return one(); }}"
        )
    };
    expect_updates(&[
        (&version("return keep(1);"), 6),
        (&version("return other(1);"), 6),
        (&version("return other(2) + other(1);"), 13),
    ]);
}

#[test]
fn what_comes_and_goes_in_an_object_that_does_not_change_keeps_no_strings() {
    let lab = Lab::new(&[
        (
            "two.c",
            "int text(const char *);
             int one(void) { return text(\"only of one\"); }
             int two(void) { return text(\"only of two\"); }",
        ),
        ("text.c", "int text(const char *text) { return text[8]; }"),
        (
            "first.c",
            "int one(void); int two(void); int run(void) { return one(); }",
        ),
        (
            "second.c",
            "int one(void); int two(void); int run(void) { return two(); }",
        ),
    ]);
    let mut subject = Subject::new(&lab, "changes.o two.o text.o", "first.o");
    for (version, answer) in [("second.o", b't'), ("first.o", b'o'), ("second.o", b't')] {
        subject.update(version).unwrap();
        subject.expect_same_as_anew(version);
        let answers = returned(&subject.linked.bytes().unwrap());
        assert_eq!(answers, i32::from(answer), "{version}");
    }
}

#[test]
fn a_member_of_an_archive_changes() {
    let version = |constant: i32| {
        format!(
            "int other(int);
             int member(int x) {{ return other(x) + {constant}; }}
             int unused(int x) {{ return member(x) + {constant}; }}"
        )
    };
    let lab = Lab::new(&[
        ("other.c", OTHER),
        ("debug-member.c", &version(1)),
        (
            "main.c",
            "int member(int); int run(void) { return member(1); }",
        ),
    ]);
    lab.archive("library.a", &["debug-member.o", "other.o"]);
    let line = format!("changes.o {}", lab.path("library.a").display());
    let mut subject = Subject::new(&lab, &line, "main.o");
    for constant in [2, 30_000, 2] {
        lab.compile_again("debug-member.c", &version(constant));
        std::fs::remove_file(lab.path("library.a")).unwrap();
        lab.archive("library.a", &["debug-member.o", "other.o"]);
        let updated = subject.linked.update(&[lab.path("library.a")]);
        updated.unwrap_or_else(|failed| panic!("{constant}: {failed}"));
        subject.expect_same_as_anew("a member");
        assert_eq!(returned(&subject.linked.bytes().unwrap()), 6 + constant);
    }
}

#[test]
fn of_what_may_be_put_anywhere_contents_are_updated_in_place_and_other_addresses_are_not() {
    let version = |constant: &str, data: &str| {
        format!(
            "int other(int); extern int shared_data; extern int (*other_pointer)(int);
             __attribute__((noinline, optnone)) static int first(int x) {{ return x * {constant}; }}
             __attribute__((noinline, optnone)) static int second(int x) {{ return {data}; }}
             int run(void) {{ return first(2) + second(3) + shared_data; }}"
        )
    };
    let texts = [
        version("3", "other(x) + shared_data"),
        version("4", "other(x) + shared_data"),
        version("4", "other(x) + (other_pointer == other) + shared_data"),
    ];
    let names = ["pic-0.c", "pic-1.c", "pic-2.c"];
    let mut sources = vec![("other.c", OTHER)];
    sources.extend(names.into_iter().zip(texts.iter().map(|text| &**text)));
    let lab = Lab::new(&sources);
    let mut subject = Subject::new(&lab, "changes.o other.o", "pic-0.o");
    for (object, is_in_place, answer) in [
        ("pic-1.o", true, 8 + 13 + 5),
        ("pic-2.o", false, 8 + 14 + 5),
        ("pic-1.o", false, 8 + 13 + 5),
        ("pic-0.o", true, 6 + 13 + 5),
    ] {
        let path = lab.path("changes.o");
        std::fs::copy(lab.path(object), &path).unwrap();
        let report = subject.linked.update(&[path]).unwrap();
        assert_eq!(report.resolved_anew.is_none(), is_in_place, "{object}");
        subject.expect_same_as_anew(object);
        assert_eq!(returned(&subject.linked.bytes().unwrap()), answer);
    }
}

#[test]
fn of_what_may_be_put_anywhere_other_functions_are_linked_in_place_if_no_address_is_found_in_a_global()
 {
    let version = |more: &str, call: &str, text: &str| {
        format!(
            "{more} __attribute__((noinline, optnone)) static int first(int x) {{ return x * 3 {call}; }}
             static const char text[] = \"{text}\";
             static const char *volatile pointer = text;
             int run(void) {{ return first(2) + pointer[0]; }}"
        )
    };
    let more = "__attribute__((noinline, optnone)) static int more(int x) { return x + 1; }";
    let texts = [
        version("", "", "A"),
        version(more, "+ more(x)", "A"),
        version(more, "+ more(x)", "BCDEF"),
        version("", "", "BCDEF"),
    ];
    let names = ["pic-0.c", "pic-1.c", "pic-2.c", "pic-3.c"];
    let mut sources = vec![("other.c", OTHER)];
    sources.extend(names.into_iter().zip(texts.iter().map(|text| &**text)));
    let lab = Lab::new(&sources);
    let mut subject = Subject::new(&lab, "changes.o other.o", "pic-0.o");
    for (object, answer) in [
        ("pic-1.o", 6 + 3 + 65),
        ("pic-2.o", 6 + 3 + 66),
        ("pic-3.o", 6 + 66),
        ("pic-2.o", 6 + 3 + 66),
        ("pic-0.o", 6 + 65),
    ] {
        let path = lab.path("changes.o");
        std::fs::copy(lab.path(object), &path).unwrap();
        let report = subject.linked.update(&[path]).unwrap();
        assert_eq!(report.resolved_anew, None, "{object}");
        subject.expect_same_as_anew(object);
        assert_eq!(returned(&subject.linked.bytes().unwrap()), answer);
    }
}
