//! Edits of C programs, as people make them: after each one the patched output runs as a fresh link does, and is
//! equivalent to it. Needs clang-19, wasi-libc and lld-19.
//!
//! Run: `clang-19 -c` and `Linked::update` with the object, after each edit of a source text, on a program of three files in C
//! and one in C++; once with direct calls and once through thunks.

use crate::program::{Expect, Program};
use Expect::{Any, Patch, Quick, Relink};

const MAIN: &str = r#"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "shapes.h"
static int factor = 3;
static int scale(int x) { return x * factor; }
int main(int argc, char **argv) {
    printf("scaled %d\n", scale(argc + 6));
    for (int i = 0; i < 3; i++) printf("%s %d\n", shape_name(i), shape_area(i, i + 2));
    printf("total %d\n", total());
    return 0;
}
"#;

const HEADER: &str = r#"
const char *shape_name(int kind);
int shape_area(int kind, int size);
int total(void);
void note(int value);
extern int notes[];
"#;

const SHAPES: &str = r#"
#include "shapes.h"
static const char *const names[] = {"square", "circle", "triangle"};
static int square(int size) { note(size); return size * size; }
static int circle(int size) { note(size); return size * size * 3; }
static int triangle(int size) { note(size); return size * size / 2; }
static int (*const areas[])(int) = {square, circle, triangle};
const char *shape_name(int kind) { return names[kind]; }
int shape_area(int kind, int size) { return areas[kind](size); }
"#;

const NOTES: &str = r#"
#include "shapes.h"
int notes[8];
static int used;
void note(int value) { notes[used++ & 7] = value; }
int total(void) { int sum = 0; for (int i = 0; i < 8; i++) sum += notes[i]; return sum; }
"#;

fn start(flags: &'static [&'static str]) -> Program {
    Program::new(
        flags,
        &[
            ("shapes.h", HEADER),
            ("main.c", MAIN),
            ("shapes.c", SHAPES),
            ("notes.c", NOTES),
        ],
    )
}

#[test]
fn edits_of_a_c_program() {
    for flags in [
        &["-O1"][..],
        &["-O0"],
        &["-O2", "-fno-inline"],
        &["-O0", "-g"],
    ] {
        let mut program = start(flags);
        program.edit(
            "change a constant",
            "main.c",
            "factor = 3",
            "factor = 5",
            Quick,
        );
        program.edit(
            "change code",
            "main.c",
            "x * factor",
            "x * factor + 1",
            Quick,
        );
        program.edit("grow a function", "main.c", "return x * factor + 1;",
            "int y = x * factor + 1; for (int i = 0; i < x; i++) y ^= i * 3; if (y > 1000) y -= 999; return y;", Quick);
        program.edit("shrink it again", "main.c",
            "int y = x * factor + 1; for (int i = 0; i < x; i++) y ^= i * 3; if (y > 1000) y -= 999; return y;",
            "return x * factor;", Quick);
        program.edit(
            "change a string",
            "main.c",
            "scaled %d",
            "scaled by %d",
            Quick,
        );
        program.edit(
            "a string that is there already",
            "main.c",
            "scaled by %d",
            "total %d",
            Quick,
        );
        program.edit(
            "a string again",
            "main.c",
            "\"total %d\\n\", scale",
            "\"scaled %d\\n\", scale",
            Quick,
        );
        program.edit(
            "add a static function",
            "main.c",
            "int main(",
            "static int twice(int x) { return 2 * x; }\nint main(",
            Quick,
        );
        program.edit(
            "call it",
            "main.c",
            "scale(argc + 6)",
            "twice(scale(argc + 6))",
            Quick,
        );
        program.edit("rename it", "main.c", "twice", "doubled", Quick);
        program.edit(
            "remove it",
            "main.c",
            "doubled(scale(argc + 6))",
            "scale(argc + 6)",
            Quick,
        );
        program.edit(
            "call libc for more",
            "main.c",
            "return 0;",
            "printf(\"%ld\\n\", strtol(\"77\", NULL, 8)); return 0;",
            Patch,
        );
        // A fresh link does not load the library's members any more, and what these say of themselves (who compiled
        // them, with which features) is in the output of every link that does: so symbols are resolved anew.
        program.edit(
            "and less again",
            "main.c",
            "printf(\"%ld\\n\", strtol(\"77\", NULL, 8)); return 0;",
            "return 0;",
            Patch,
        );
        program.edit(
            "call what is linked already",
            "main.c",
            "return 0;",
            "printf(\"%d\\n\", (int)strlen(shape_name(1))); return 0;",
            Patch,
        );
        program.edit("grow a table of functions", "shapes.c",
            "static int (*const areas[])(int) = {square, circle, triangle};",
            "static int line(int size) { note(1); return size; }\nstatic int (*const areas[])(int) = {square, circle, triangle, line};", Quick);
        program.edit(
            "grow a table of strings",
            "shapes.c",
            "\"triangle\"}",
            "\"triangle\", \"line\"}",
            Quick,
        );
        program.edit("use it", "main.c", "i < 3", "i < 4", Quick);
        program.edit(
            "grow an array of zeros",
            "notes.c",
            "int notes[8];",
            "int notes[800];",
            Quick,
        );
        program.edit(
            "give it a beginning",
            "notes.c",
            "int notes[800];",
            "int notes[800] = {5, 6};",
            Quick,
        );
        program.edit(
            "and none again",
            "notes.c",
            "int notes[800] = {5, 6};",
            "int notes[8];",
            Quick,
        );
        program.edit(
            "a static constructor",
            "notes.c",
            "int total",
            "__attribute__((constructor)) static void begin(void) { used = 2; }\nint total",
            Patch,
        );
        program.edit(
            "change the constructor",
            "notes.c",
            "used = 2",
            "used = 3; notes[0] = 9",
            Quick,
        );
        program.edit(
            "no constructor",
            "notes.c",
            "__attribute__((constructor)) static void begin(void) { used = 3; notes[0] = 9; }\n",
            "",
            Patch,
        );
        program.edit("a function that others use", "notes.c", "int total",
            "int greatest(void) { int most = 0; for (int i = 0; i < 8; i++) if (notes[i] > most) most = notes[i]; return most; }\nint total", Quick);
        program.edit(
            "use it from another file",
            "main.c",
            "printf(\"total",
            "int greatest(void); printf(\"greatest %d\\n\", greatest()); printf(\"total",
            Quick,
        );
        program.edit_all(
            "change its signature",
            &[
                (
                    "notes.c",
                    "int greatest(void) { int most = 0;",
                    "int greatest(int most) {",
                ),
                (
                    "main.c",
                    "int greatest(void); printf(\"greatest %d\\n\", greatest());",
                    "int greatest(int); printf(\"greatest %d\\n\", greatest(4));",
                ),
            ],
            Patch,
        );
        program.edit(
            "stop using it",
            "main.c",
            "int greatest(int); printf(\"greatest %d\\n\", greatest(4)); ",
            "",
            Quick,
        );
        program.edit("remove it", "notes.c",
            "int greatest(int most) { for (int i = 0; i < 8; i++) if (notes[i] > most) most = notes[i]; return most; }\n", "", Quick);
        program.edit(
            "a call through a pointer",
            "main.c",
            "int main(",
            "int apply(int (*f)(int), int x) { return f(x); }\nint main(",
            Quick,
        );
        program.edit(
            "use it",
            "main.c",
            "scale(argc + 6)",
            "apply(scale, argc + 6)",
            Quick,
        );
        program.edit(
            "make a static function known to others",
            "shapes.c",
            "static int square",
            "int square",
            Quick,
        );
        program.edit(
            "call it from elsewhere",
            "main.c",
            "apply(scale, argc + 6)",
            "apply(scale, argc + 6) + ({ int square(int); square(2); })",
            Quick,
        );
        program.edit("calls in a circle", "shapes.c", "const char *shape_name",
            "int odd(int); int even(int n) { return n == 0 || odd(n - 1); }\nint odd(int n) { return n != 0 && even(n - 1); }\nconst char *shape_name", Quick);
        program.edit(
            "into the circle",
            "main.c",
            "printf(\"total",
            "int even(int); printf(\"even %d\\n\", even(10)); printf(\"total",
            Quick,
        );
        program.edit(
            "out of it",
            "main.c",
            "int even(int); printf(\"even %d\\n\", even(10)); ",
            "",
            Quick,
        );
        program.edit(
            "a weak function that nobody has",
            "main.c",
            "int main(",
            "int perhaps(void) __attribute__((weak));\nint main(",
            Quick,
        );
        program.edit(
            "ask for it",
            "main.c",
            "return 0;",
            "if (perhaps) return perhaps(); return 0;",
            Patch,
        );
        program.edit(
            "provide it",
            "notes.c",
            "int total",
            "int perhaps(void) { return 7; }\nint total",
            Patch,
        );
        program.edit(
            "take it away",
            "notes.c",
            "int perhaps(void) { return 7; }\n",
            "",
            Patch,
        );
        program.edit(
            "static data of a function",
            "notes.c",
            "notes[used++ & 7] = value;",
            "static int calls = 40; notes[used++ & 7] = value + calls++ - 40;",
            Quick,
        );
        program.edit(
            "a larger buffer",
            "main.c",
            "int main(",
            "static volatile char buffer[20000];\nint main(",
            Quick,
        );
        program.edit(
            "use it",
            "main.c",
            "return 0;",
            "buffer[19999] = (char)argc; printf(\"%d\\n\", buffer[19999]); return 0;",
            Quick,
        );
        program.edit(
            "more than there is room for",
            "main.c",
            "buffer[20000]",
            "buffer[2000000]",
            Relink,
        );
        program.edit(
            "and none",
            "main.c",
            "buffer[19999] = (char)argc; printf(\"%d\\n\", buffer[19999]); return 0;",
            "return 0;",
            Quick,
        );
        program.edit(
            "floats",
            "main.c",
            "return 0;",
            "printf(\"%.3f\\n\", argc * 1.5); return 0;",
            Quick,
        );
        program.broken(
            "a mistake",
            "main.c",
            "return 0;",
            "int nothing_like_it(void); return nothing_like_it();",
        );
        program.edit(
            "put right",
            "main.c",
            "int nothing_like_it(void); return nothing_like_it();",
            "return 0;",
            Patch,
        );
        program.edit("export a function", "notes.c", "int total",
            "__attribute__((export_name(\"peek\"))) int peek(int at) { return notes[at]; }\nint total", Patch);
        program.edit(
            "change what is exported",
            "notes.c",
            "return notes[at];",
            "return notes[at & 7];",
            Quick,
        );
        program.edit("import a function", "main.c", "int main(",
            "__attribute__((import_module(\"env\"), import_name(\"tick\"))) void tick(void);\nvoid (*ticker)(void) = 0;\nint main(", Quick);
        program.edit("revert it all", "main.c", "*", MAIN, Patch);
        program.edit("revert the rest", "notes.c", "*", NOTES, Patch);
        program.finish();
    }
}

/// What it adds to debug information stands where it would in a fresh link.
#[test]
fn a_member_that_was_loaded_is_linked_later() {
    let main = r#"
#include <stdio.h>
#include <stdlib.h>
static int numbers[] = {2, 1};
static int less(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }
void sorted(void) { qsort(numbers, 2, sizeof(int), less); }
int main(void) { printf("%d\n", numbers[0]); return 0; }
"#;
    let mut program = Program::new(&["-O0", "-g"], &[("main.c", main)]);
    program.edit(
        "call what calls it, and libc for more",
        "main.c",
        "{ printf(",
        "{ sorted(); printf(\"%ld\\n\", strtol(\"77\", NULL, 8)); printf(",
        Patch,
    );
    program.finish();
}

const CPP_HEADER: &str = r#"
#include <cstdio>
struct Shape {
    virtual ~Shape() {}
    virtual int area() const = 0;
    virtual const char *name() const { return "shape"; }
};
template <typename T> T largest(T a, T b) { return a < b ? b : a; }
inline int counter() { static int count = 10; return ++count; }
Shape *make(int kind);
"#;

const CPP_MAIN: &str = r#"
#include "shape.h"
struct Greeter { Greeter() { puts("begin"); } ~Greeter() { puts("end"); } };
static Greeter greeter;
int main() {
    for (int kind = 0; kind < 2; kind++) {
        Shape *shape = make(kind);
        printf("%s %d %d\n", shape->name(), shape->area(), largest(kind, counter()));
        delete shape;
    }
}
"#;

const CPP_SHAPES: &str = r#"
#include "shape.h"
struct Square : Shape {
    int size = 3;
    int area() const override { return size * size; }
    const char *name() const override { return "square"; }
};
struct Circle : Shape { int area() const override { return largest(counter(), 5) * 3; } };
Shape *make(int kind) { if (kind) return new Circle; return new Square; }
"#;

#[test]
fn edits_of_a_cpp_program() {
    for flags in [
        &["-O0", "-fno-exceptions"][..],
        &["-O1", "-fno-exceptions"],
        &["-O1", "-fno-exceptions", "-fno-inline", "-g"],
    ] {
        let mut program = Program::new(
            flags,
            &[
                ("shape.h", CPP_HEADER),
                ("main.cpp", CPP_MAIN),
                ("shapes.cpp", CPP_SHAPES),
            ],
        );
        let (main, shapes) = ("main.cpp", "shapes.cpp");
        program.edit(
            "change a method",
            shapes,
            "size * size",
            "size * size + 1",
            Quick,
        );
        program.edit(
            "grow a constructor",
            shapes,
            "int size = 3;",
            "int size = 3; int more[4] = {1, 2, 3, 4};",
            Quick,
        );
        program.edit(
            "override a method",
            shapes,
            "* 3; } };",
            "* 3; } const char *name() const override { return \"circle\"; } };",
            Patch,
        );
        program.edit(
            "and not",
            shapes,
            " const char *name() const override { return \"circle\"; } };",
            " };",
            Patch,
        );
        program.edit(
            "another instance of a template",
            main,
            "largest(kind, counter())",
            "(int)largest(kind * 1.5, counter() + 0.25)",
            Patch,
        );
        program.edit(
            "and back",
            main,
            "(int)largest(kind * 1.5, counter() + 0.25)",
            "largest(kind, counter())",
            Patch,
        );
        // Whose copy of an inline function is linked depends on the order of the objects.
        program.edit(
            "the first object does without the inline function",
            main,
            "largest(kind, counter())",
            "largest(kind, 4)",
            Patch,
        );
        program.edit(
            "and calls it again",
            main,
            "largest(kind, 4)",
            "largest(kind, counter())",
            Patch,
        );
        program.edit_all(
            "change an inline function",
            &[
                ("shape.h", "count = 10", "count = 20"),
                (main, "int main() {", "int main() { "),
                (shapes, "struct Circle", "struct  Circle"),
            ],
            Patch,
        );
        program.edit("another class", shapes, "Shape *make",
            "struct Line : Shape { int area() const override { return 0; } const char *name() const override { return \"line\"; } };\nShape *make", Patch);
        program.edit(
            "use it",
            shapes,
            "if (kind) return new Circle;",
            "if (kind == 1) return new Circle; if (kind == 2) return new Line;",
            Patch,
        );
        program.edit("from the loop", main, "kind < 2", "kind < 3", Quick);
        program.edit(
            "a static object",
            shapes,
            "Shape *make",
            "struct Noisy { Noisy() { puts(\"noisy\"); } } noisy;\nShape *make",
            Patch,
        );
        program.edit(
            "none",
            shapes,
            "struct Noisy { Noisy() { puts(\"noisy\"); } } noisy;\n",
            "",
            Patch,
        );
        program.edit(
            "more of the library",
            main,
            "#include \"shape.h\"",
            "#include \"shape.h\"\n#include <string>\n#include <vector>",
            Patch,
        );
        program.edit("use it", main, "delete shape;",
            "delete shape; std::vector<std::string> words(3, \"word\"); words.push_back(std::to_string(kind)); puts(words[3].c_str());", Any);
        program.edit("revert", main, "*", CPP_MAIN, Patch);
        program.edit("revert", shapes, "*", CPP_SHAPES, Patch);
        program.finish();
    }
}
