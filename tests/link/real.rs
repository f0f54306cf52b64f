//! Lua and SQLite, edited as people edit: after each edit the patched program runs as wasm-ld's link of the same objects
//! does, is what a fresh link is, and its debug information says the same. Needs clang-19, wasi-libc, lld-19, llvm-19,
//! and the sources in the crates lua-src and libsqlite3-sys.
//!
//! Run: `clang-19 -c` and `Linked::update` with the objects, after each edit of a list; `wasm-ld-19` with the same objects; all
//! outputs, in the interpreter.

use std::collections::BTreeSet;

use crate::script::{Edit, Row, edit, edits, replay};
use crate::support::toolchain;

const UPPER: &str = "p[i] = toupper(uchar(s[i]));";
const UPPER_GROWN: &str = "p[i] = toupper(uchar(s[i]));
  for (i = 0; i < l; i++) {
    if (p[i] == 'E') p[i] = (char)(p[i] + lua_gettop(L));
    else if (p[i] == 'P') p[i] = '*';
    else if (p[i] >= '0' && p[i] <= '9') p[i] = (char)('9' - (p[i] - '0'));
  }";
const TWICE: &str = "static int str_twice (lua_State *L) {
  luaL_checkstring(L, 1);
  lua_settop(L, 1);
  lua_pushvalue(L, 1);
  lua_concat(L, 2);
  return 1;
}

static int str_rep (";
const BEGIN: &str = "static int began;
__attribute__((constructor)) static void begin (void) { puts(\"begin\"); began++; }
static int math_sqrt (";
const EARLIER: &str =
    "__attribute__((constructor(200))) static void earlier(void) { puts(\"earlier\"); }
int main(void) {";

fn lua_edits() -> Vec<Edit> {
    let (main, strings, maths) = ("main.c", "lstrlib.c", "lmathlib.c");
    vec![
        edit(
            "a constant",
            maths,
            "3.141592653589793238462643383279502884",
            "3.0",
        ),
        edit("and back", maths, "*", ""),
        edit(
            "what a function does",
            strings,
            UPPER,
            "p[i] = (char)(toupper(uchar(s[i])) ^ 1);",
        ),
        edit(
            "grow the function",
            strings,
            "p[i] = (char)(toupper(uchar(s[i])) ^ 1);",
            UPPER_GROWN,
        ),
        edit("shrink it", strings, UPPER_GROWN, UPPER),
        edits(
            "add a library function",
            &[
                (strings, "static int str_rep (", TWICE),
                (
                    strings,
                    "{\"upper\", str_upper},",
                    "{\"upper\", str_upper}, {\"twice\", str_twice},",
                ),
            ],
        ),
        edit(
            "change the added function",
            strings,
            "lua_concat(L, 2);",
            "lua_pushliteral(L, \" and again\"); lua_concat(L, 3);",
        ),
        edit("rename it", strings, "str_twice", "str_doubled"),
        edit("remove it", strings, "*", ""),
        edit(
            "call libc for what was not linked",
            maths,
            "l_mathop(sqrt)",
            "l_mathop(cbrt)",
        ),
        edit("and no more", maths, "*", ""),
        edit(
            "turn on an option",
            maths,
            "#define lmathlib_c",
            "#define lmathlib_c\n#define LUA_COMPAT_MATHLIB",
        ),
        edit("turn it off", maths, "*", ""),
        edit(
            "a constant of a header that all include",
            "luaconf.h",
            "\"%.14g\"",
            "\"%.7g\"",
        ),
        edits(
            "a signature, across files",
            &[
                (
                    "lobject.h",
                    "luaO_chunkid (char *out, const char *source, size_t srclen)",
                    "luaO_chunkid (char *out, const char *source, size_t srclen, int most)",
                ),
                (
                    "lobject.c",
                    "luaO_chunkid (char *out, const char *source, size_t srclen) {\n  size_t bufflen = LUA_IDSIZE;",
                    "luaO_chunkid (char *out, const char *source, size_t srclen, int most) {\n  size_t bufflen = most;",
                ),
                ("ldebug.c", "ar->srclen);\n}", "ar->srclen, LUA_IDSIZE / 2);\n}"),
                ("ldebug.c", "tsslen(src));\n  else", "tsslen(src), LUA_IDSIZE);\n  else"),
            ],
        ),
        edit(
            "the body of the interpreter's loop",
            "lvm.c",
            "lua_Integer b = GETARG_sBx(i);\n        setivalue",
            "lua_Integer b = GETARG_sBx(i);\n        if (l_unlikely(b == 4242)) b = luaV_mod(L, b, 1000);\n        setivalue",
        ),
        edit(
            "a string",
            main,
            "print(fib(14), ",
            "print('fifteen', fib(15), ",
        ),
        edit(
            "more strings in a table",
            main,
            "    \"local words = {}\\n\",",
            "    \"local words = {}\\n\",\n    \"print(#words, 'none yet')\\n\",\n    \"local more = {1, 2, 3}\\n\",",
        ),
        edit("a static constructor", maths, "static int math_sqrt (", BEGIN),
        edit("one with a priority, elsewhere", main, "int main(void) {", EARLIER),
        edit(
            "change a constructor",
            maths,
            "puts(\"begin\"); began++;",
            "printf(\"begin %d\\n\", ++began);",
        ),
        edits("no constructor", &[(maths, "*", ""), (main, EARLIER, "int main(void) {")]),
        edit("grow an array of zeros", main, "sizes[16]", "sizes[1024]"),
        edit(
            "give it a beginning",
            main,
            "sizes[1024];",
            "sizes[1024] = {1000, 2000, 3000};",
        ),
        edit("and none", main, "sizes[1024] = {1000, 2000, 3000};", "sizes[16];"),
        edit(
            "drop a function from a table",
            strings,
            "{\"reverse\", str_reverse},",
            "",
        ),
        edit("put it back", strings, "*", ""),
        edit(
            "let other files call a function",
            strings,
            "static int str_len (",
            "int str_len (",
        ),
        edit(
            "call it from there",
            main,
            "int failed = run(L);",
            "int str_len(lua_State *); lua_pushstring(L, \"twelve chars\"); str_len(L); printf(\"%d\\n\", (int)lua_tointeger(L, -1)); lua_settop(L, 0);\n    int failed = run(L);",
        ),
        edit(
            "a weak function that nobody has",
            main,
            "static int run(",
            "__attribute__((weak)) int hook(lua_State *L);\nstatic int call_hook(lua_State *L) { return hook ? hook(L) : -1; }\nstatic int run(",
        ),
        edit(
            "ask for it",
            main,
            "lua_close(L);",
            "printf(\"hook %d\\n\", call_hook(L));\n    lua_close(L);",
        ),
        edit(
            "provide it",
            "lauxlib.c",
            "LUALIB_API const char *luaL_gsub (",
            "LUALIB_API int hook (lua_State *L) { return lua_gc(L, LUA_GCCOUNT) > 0; }\nLUALIB_API const char *luaL_gsub (",
        ),
        edit("take it away", "lauxlib.c", "*", ""),
        edit(
            "export a function",
            main,
            "static int run(",
            "__attribute__((export_name(\"size_of\"))) int size_of(int at) { return sizes[at & 15]; }\nstatic int run(",
        ),
        edit(
            "call what was there and not linked",
            main,
            "int failed = run(L);",
            "luaL_traceback(L, L, \"trace\", 0); puts(lua_tostring(L, -1)); lua_settop(L, 0); lua_gc(L, LUA_GCGEN, 20, 100);\n    int failed = run(L);",
        ),
        edit(
            "do without a library",
            main,
            "luaL_requiref(L, \"utf8\", luaopen_utf8, 1);",
            "",
        ),
        edit(
            "use more of libc",
            main,
            "lua_close(L);",
            "int by_size(const void *, const void *); qsort(sizes, 16, sizeof *sizes, by_size); printf(\"%d %ld %s\\n\", sizes[15], strtol(\"0x1f\", 0, 16), strpbrk(\"a-b-c\", \"-\"));\n    lua_close(L);\n    (void)labs(-3);",
        )
        .also(main, "int main(void)", "int by_size(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }\nint main(void)"),
        edit(
            "a field of a structure that all use",
            "lstate.h",
            "lua_Alloc frealloc;",
            "int mended;\n  lua_Alloc frealloc;",
        ),
        edit("a comment", "lgc.c", "#define lgc_c", "/* Nothing\n** but\n** a comment. */\n#define lgc_c"),
        edit(
            "a file's functions in another order",
            "lcode.c",
            "#define lcode_c",
            "#define lcode_c\nstruct FuncState; int luaK_nothing_else (struct FuncState *fs);\nint luaK_nothing_else (struct FuncState *fs) { return fs == 0; }",
        ),
        edit("a larger buffer", main, "static int sizes[16];", "static int sizes[16];\nstatic volatile char buffer[200000];")
            .also(main, "lua_close(L);\n    (void)", "buffer[199999] = 7; printf(\"%d\\n\", buffer[199999]);\n    lua_close(L);\n    (void)"),
        edits(
            "revert it all",
            &[
                (main, "*", ""),
                (strings, "*", ""),
                ("luaconf.h", "*", ""),
                ("lobject.h", "*", ""),
                ("lobject.c", "*", ""),
                ("ldebug.c", "*", ""),
                ("lvm.c", "*", ""),
                ("lstate.h", "*", ""),
                ("lgc.c", "*", ""),
                ("lcode.c", "*", ""),
            ],
        ),
    ]
}

const ABS: &str = "if( rVal<0 ) rVal = -rVal;";
const ABS_GROWN: &str = "if( rVal<0 ) rVal = 1000.0-rVal;
      { double h = 0; int k; for(k=1; k<20; k++){ h += rVal/(k*k+1); if( h>1e9 ) h = sqlite3_value_bytes(argv[0]); } rVal += (int)h; }";
const MEND: &str = "static void mendFunc(sqlite3_context *context, int argc, sqlite3_value **argv){
  char text[40];
  sqlite3_snprintf(sizeof text, text, \"mended %d times\", sqlite3_value_int(argv[0]));
  sqlite3_result_text(context, text, -1, SQLITE_TRANSIENT);
}
static void absFunc(";

fn sqlite_edits() -> Vec<Edit> {
    let (main, database, files) = ("main.c", "sqlite3.c", "wasm32-wasi-vfs.c");
    vec![
        edit(
            "what a function does",
            database,
            ABS,
            "if( rVal<0 ) rVal = 1000.0-rVal;",
        ),
        edit(
            "grow the function",
            database,
            "if( rVal<0 ) rVal = 1000.0-rVal;",
            ABS_GROWN,
        ),
        edits(
            "add a function of SQL",
            &[
                (database, "static void absFunc(", MEND),
                (
                    database,
                    "    FUNCTION(abs, ",
                    "    FUNCTION(mend,               1, 0, 0, mendFunc         ),\n    FUNCTION(abs, ",
                ),
            ],
        ),
        edit(
            "a constant that many functions use",
            database,
            "# define SQLITE_DEFAULT_PAGE_SIZE 4096",
            "# define SQLITE_DEFAULT_PAGE_SIZE 1024",
        ),
        edit("rename a function", database, "absFunc", "absoluteFunc"),
        edits(
            "a signature, across files",
            &[
                (
                    database,
                    "int sqlite3_changes(sqlite3*)",
                    "int sqlite3_changes(sqlite3*,int)",
                ),
                (
                    database,
                    "int sqlite3_changes(sqlite3 *db){\n  return (int)",
                    "int sqlite3_changes(sqlite3 *db, int more){\n  return more+(int)",
                ),
                (
                    "sqlite3.h",
                    "int sqlite3_changes(sqlite3*)",
                    "int sqlite3_changes(sqlite3*,int)",
                ),
                (main, "sqlite3_changes(db)", "sqlite3_changes(db, 1000)"),
            ],
        ),
        edit(
            "a static constructor",
            database,
            "static void absoluteFunc(",
            "__attribute__((constructor)) static void beginning(void){ sqlite3_soft_heap_limit64(50000000); }\nstatic void absoluteFunc(",
        ),
        edit(
            "another statement",
            main,
            "    \"PRAGMA page_size\",",
            "    \"PRAGMA page_size\",\n    \"SELECT group_concat(name, ' ') FROM (SELECT name FROM net LIMIT 3)\",",
        ),
        edit(
            "call what was there and not linked",
            main,
            "return sqlite3_close(db);",
            "sqlite3_int64 size = 0; unsigned char *all = sqlite3_serialize(db, \"main\", &size, 0);\n    printf(\"%d bytes, %.15s\\n\", (int)size, all);\n    sqlite3_free(all);\n    return sqlite3_close(db);",
        ),
        edit(
            "use more of libc",
            main,
            "rows++;",
            "rows += (int)strtoul(\"1\", 0, 0) + (int)strcspn(\"ab\", \"a\");",
        ),
        edit(
            "grow an array of zeros",
            main,
            "static int rows;",
            "static int rows, seen[5000];",
        ),
        edit(
            "use it",
            main,
            "rows += ",
            "seen[rows % 5000] = n; rows += ",
        ),
        edit(
            "another file's constant",
            files,
            "#define MAXPATHNAME 512",
            "#define MAXPATHNAME 1024",
        ),
        edits(
            "revert it all",
            &[
                (main, "*", ""),
                (database, "*", ""),
                ("sqlite3.h", "*", ""),
                (files, "*", ""),
            ],
        ),
    ]
}

/// Those that can be compiled in little time: SQLite is one file, and the optimiser takes its time over it.
fn few_sqlite_edits() -> Vec<Edit> {
    let (first, second) = (
        "a constant that many functions use",
        "a signature, across files",
    );
    let mut edits = sqlite_edits();
    let in_main = |edit: &Edit| edit.changes.iter().all(|change| change.0 == "main.c");
    edits.retain(|edit| in_main(edit) || [first, second, "revert it all"].contains(&edit.what));
    // One version of the database for both.
    let header = edits.iter().position(|edit| edit.what == first).unwrap();
    let constant = edits.remove(header);
    let signature = edits.iter_mut().find(|edit| edit.what == second).unwrap();
    signature.changes.extend(constant.changes);
    edits
}

/// The edits that take a relink, with the program and the reason: all others are patches.
const RELINKS: [(&str, &str, &str); 2] = [
    // By then, more than half of a section of debug information is gaps.
    ("lua -O0 -g", "a static constructor", "fragmented"),
    // More than the linker keeps in reserve.
    ("lua", "a larger buffer", "data-area-changed"),
];

/// That all became what is expected of them.
fn judge(rows: &[Row]) {
    let wrong = rows.iter().filter(|row| {
        let is_it = |(program, what, _): &&(&str, &str, &str)| {
            row.program.starts_with(program) && row.what == *what
        };
        row.relink.as_deref() != RELINKS.iter().find(is_it).map(|(.., reason)| *reason)
    });
    let wrong: Vec<String> = wrong.map(Row::line).collect();
    assert!(wrong.is_empty(), "not as expected:\n{}", wrong.join("\n"));
}

#[test]
fn there_are_enough_edits() {
    let scripts = [lua_edits(), sqlite_edits()];
    let mut edits = 0;
    for script in &scripts {
        let names: BTreeSet<&str> = script.iter().map(|edit| edit.what).collect();
        assert_eq!(names.len(), script.len(), "a name that two edits have");
        edits += names.len();
    }
    assert!(edits >= 40 && edits - RELINKS.len() >= 30, "{edits}");
}

#[test]
fn edits_of_lua() {
    let (sources, script) = (toolchain::lua(), lua_edits());
    for flags in [&["-O0", "-g"][..], &["-O1"], &["-O2"]] {
        judge(&replay(&sources, flags, &script));
    }
}

#[test]
fn edits_of_sqlite_with_debug_information() {
    let script = sqlite_edits();
    judge(&replay(&toolchain::sqlite(), &["-O0", "-g"], &script));
}

#[test]
fn edits_of_sqlite_optimised() {
    let script = few_sqlite_edits();
    for flags in [&["-O1"], &["-O2"]] {
        judge(&replay(&toolchain::sqlite(), flags, &script));
    }
}
