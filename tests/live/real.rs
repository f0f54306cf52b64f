//! Lua and SQLite, edited at random while they run: a state with all that scripts have made, and an open database; and
//! small programs in C++ and Rust. Needs clang-19, wasi-libc, libc++ for it, rustc-web and rust-web-src, and the sources in
//! the crates lua-src and libsqlite3-sys.
//!
//! `WASMEND_LIVE_EDITS` says how many edits each gets, `WASMEND_SEED` which.

use crate::hosts::{Host, in_each_engine};
use crate::session::{Seen, Session};
use crate::support::toolchain;

in_each_engine!(
    a_state_of_lua_survives_edits_of_the_interpreter,
    an_open_database_survives_edits_of_sqlite,
    objects_of_cpp_survive_edits_of_their_methods,
    statics_of_rust_survive_edits_of_functions,
);

fn number(name: &str, default: usize) -> usize {
    let given = std::env::var(name).ok();
    given.and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn run<H: Host>(session: &Session, edits: usize) -> Seen {
    let edits = number("WASMEND_LIVE_EDITS", edits);
    let seen = session.run::<H>(edits, number("WASMEND_SEED", 1) as u64);
    println!("{}: {seen:?}", session.sources.name);
    assert!(seen.edits >= edits && 2 * seen.ran > edits, "{seen:?}");
    assert!(edits < 50 || (seen.undone > 2 && seen.functions as usize > edits));
    seen
}

fn a_state_of_lua_survives_edits_of_the_interpreter<H: Host>() {
    let mut sources = toolchain::lua();
    sources.name = "live-lua";
    sources.files.insert("main.c".to_owned(), LUA.to_owned());
    let session = Session {
        sources,
        flags: &["-O1"],
        begins: ") {",
        versions: 4,
        functions: 3,
    };
    run::<H>(&session, 50);
}

const LUA: &str = r#"
#include <stdio.h>
#include "lua.h"
#include "lauxlib.h"
#include "lualib.h"
#define EXPORT(name) __attribute__((export_name(name)))

volatile unsigned mended[4096];
EXPORT("marks") unsigned marks(void) { return (unsigned)mended; }

static lua_State *L;
static const char first[] =
    "words, log, count = {}, {}, 0\n"
    "local function fib(n) if n < 2 then return n end return fib(n - 1) + fib(n - 2) end\n"
    "class = setmetatable({}, {__index = function(_, k) return k .. '!' end, __add = function(a, b) return b end})\n"
    "co = (function() local sum = 0 return function(a) sum = sum + a return sum end end)()\n"
    "local steps = {\n"
    "  function(n) words[#words + 1] = string.format('%05d', (n * 7919) % 1009) return #words, words[#words] end,\n"
    "  function(n) table.sort(words) return words[1], words[#words], table.concat(words, ',', 1, math.min(#words, 5)) end,\n"
    "  function(n) return co(n), fib(8 + n % 5), class.key, class + n end,\n"
    "  function(n) local s = {} for w in string.gmatch('mend the net and mend the sail', '%a+') do s[#s + 1] = w:upper():rep(2, '-') end return #s, s[n % #s + 1], ('x'):byte() end,\n"
    "  function(n) log['k' .. n % 40] = {n, tostring(n), n / 3} local c, s = 0, 0 for k, v in pairs(log) do c = c + 1 s = s + v[1] end return c, s end,\n"
    "  function(n) return math.sqrt(n), math.floor(n / 7), n // 3, n % -7, 2 ^ (n % 9), math.type(n), math.tointeger(3.0), math.max(n, 4) end,\n"
    "  function(n) collectgarbage('step') return select('#', table.unpack(words)), utf8.len('na\xc3\xafve'), utf8.char(228, n % 100 + 200) end,\n"
    "  function(n) local f = load('local a = ... local t = {a, a * 2, x = a} for i = 1, 3 do t[i] = (t[i] or 0) + i end return t[1], t[2], t[3], t.x') return f(n) end,\n"
    "  function(n) local t = {} for i = 1, 60 do t[i] = {i} end local w = table.remove(words) words[n % (#words + 1) + 1] = w t = nil collectgarbage() return #words end,\n"
    "  function(n) return string.pack('<i4', n):byte(1, -1) end,\n"
    "  function(n) return ('%d %s %q %5.2f'):format(n, 'text', 'quo\\nted', n / 4), ('a,b,c'):gsub(',', n % 10), ('key=val'):find('(%w+)=(%w+)') end,\n"
    "}\n"
    "function step(n) count = count + 1 print(n, count, steps[n % #steps + 1](n)) return count end\n";

EXPORT("begin") int begin(void) {
    L = luaL_newstate();
    luaL_requiref(L, "_G", luaopen_base, 1);
    luaL_requiref(L, "table", luaopen_table, 1);
    luaL_requiref(L, "string", luaopen_string, 1);
    luaL_requiref(L, "math", luaopen_math, 1);
    luaL_requiref(L, "utf8", luaopen_utf8, 1);
    luaL_requiref(L, "coroutine", luaopen_coroutine, 1);
    lua_settop(L, 0);
    if (luaL_loadstring(L, first)) { puts(lua_tostring(L, -1)); return 1; }
    lua_call(L, 0, 0);
    return 0;
}

EXPORT("take_step") int take_step(int number) {
    lua_getglobal(L, "step");
    lua_pushinteger(L, number);
    lua_call(L, 1, 1);
    int count = (int)lua_tointeger(L, -1);
    lua_settop(L, 0);
    fflush(stdout);
    return count;
}
"#;

fn an_open_database_survives_edits_of_sqlite<H: Host>() {
    let mut sources = toolchain::sqlite();
    sources.name = "live-sqlite";
    sources.files.insert("main.c".to_owned(), SQLITE.to_owned());
    let session = Session {
        sources,
        flags: &["-O0"],
        begins: "){",
        versions: number("WASMEND_LIVE_VERSIONS", 3),
        functions: 40,
    };
    run::<H>(&session, 50);
}

const SQLITE: &str = r#"
#include <stdio.h>
#include "sqlite3.h"
#define EXPORT(name) __attribute__((export_name(name)))

volatile unsigned mended[4096];
EXPORT("marks") unsigned marks(void) { return (unsigned)mended; }

static sqlite3 *db;
static sqlite3_stmt *cursor;
static int rows;

static int row(void *unused, int n, char **values, char **names) {
    rows++;
    for (int i = 0; i < n; i++) printf("%s%s", i ? "|" : "", values[i] ? values[i] : "NULL");
    printf("\n");
    return 0;
}

static int all(const char *text) {
    char *error = 0;
    int failed = sqlite3_exec(db, text, row, 0, &error);
    if (failed) printf("%s: %s\n", text, error);
    sqlite3_free(error);
    return failed;
}

EXPORT("begin") int begin(void) {
    if (sqlite3_open(":memory:", &db)) return 1;
    if (all("CREATE TABLE net (id INTEGER PRIMARY KEY, name TEXT, weight REAL, mended INT)")) return 2;
    if (all("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200) "
            "INSERT INTO net SELECT i, printf('net-%05d', (i * 7919) % 1009), i * 0.25, i % 3 FROM n")) return 3;
    if (all("CREATE INDEX by_name ON net(name)")) return 4;
    // A statement that is never done.
    return sqlite3_prepare_v2(db, "SELECT id, name FROM net ORDER BY name, id", -1, &cursor, 0);
}

static const char *const statements[] = {
    "INSERT INTO net SELECT max(id) + 1, printf('new-%%d', %d), 0.5, max(id) %% 3 FROM net",
    "SELECT count(*), sum(weight), min(name), max(name) FROM net WHERE mended = %d %% 3",
    "UPDATE net SET weight = abs(weight - %d) WHERE id %% 7 = 0",
    "SELECT mended, count(*), round(avg(weight), 3) FROM net GROUP BY mended HAVING count(*) > %d %% 5 ORDER BY 2 DESC, 1",
    "SELECT a.id, b.id FROM net a JOIN net b ON a.mended = b.id AND a.id < b.id + 9 ORDER BY a.id, b.id LIMIT 1 + %d %% 4",
    "DELETE FROM net WHERE id = %d",
    "SELECT abs(-7), length('na\xc3\xafve'), upper('upper'), hex('ab'), json_extract('{\"a\":[1,%d]}', '$.a[1]'), substr('mended', 2, 3)",
    "SELECT id, row_number() OVER (PARTITION BY mended ORDER BY weight DESC, id) r FROM net ORDER BY r, id LIMIT 1 + %d %% 4",
    "BEGIN; INSERT INTO net(name, weight, mended) VALUES ('gone', %d, 1); SELECT count(*) FROM net; ROLLBACK",
    "SELECT name FROM net WHERE name LIKE 'net-00%d%%' OR name BETWEEN 'net-005' AND 'net-006' ORDER BY name LIMIT 3",
    "CREATE VIEW IF NOT EXISTS heavy AS SELECT * FROM net WHERE weight > 20; SELECT count(*), total(weight) FROM heavy WHERE id > %d",
    "PRAGMA integrity_check; PRAGMA page_count; SELECT %d",
};

EXPORT("take_step") int take_step(int number) {
    char text[400];
    sqlite3_snprintf(sizeof text, text, statements[number % (sizeof statements / sizeof *statements)], number);
    all(text);
    if (sqlite3_step(cursor) == SQLITE_ROW)
        printf("at %d %s\n", sqlite3_column_int(cursor, 0), sqlite3_column_text(cursor, 1));
    else
        sqlite3_reset(cursor);
    printf("step %d, %d changes\n", number, sqlite3_total_changes(db));
    fflush(stdout);
    return rows;
}
"#;

fn objects_of_cpp_survive_edits_of_their_methods<H: Host>() {
    let mut sources = toolchain::cpp();
    sources.name = "live-cpp";
    sources.files = [
        ("main.cpp", CPP),
        ("shapes.cpp", SHAPES),
        ("shapes.h", SHAPES_H),
    ]
    .map(|(name, text)| (name.to_owned(), text.to_owned()))
    .into();
    let session = Session {
        sources,
        flags: &["-O1"],
        begins: ") {",
        versions: 5,
        functions: 3,
    };
    run::<H>(&session, 30);
}

const SHAPES_H: &str = r#"
#include <map>
#include <memory>
#include <string>
#include <vector>
struct Shape { virtual double area() const = 0; virtual std::string name() const; virtual ~Shape(); };
std::unique_ptr<Shape> make(int number);
void note(const Shape &shape);
std::string noted();
"#;

const SHAPES: &str = r#"
#include "shapes.h"
#include <sstream>
#include <functional>
struct Square : Shape { double a; explicit Square(double a); double area() const override; };
struct Circle : Shape { double r; explicit Circle(double r); double area() const override; std::string name() const override; };
Square::Square(double a) : a(a) {
}
Circle::Circle(double r) : r(r) {
}
double Square::area() const {
    return a * a; }
double Circle::area() const {
    return 3 * r * r; }
std::string Shape::name() const {
    return "shape"; }
std::string Circle::name() const {
    return "circle " + std::to_string(r); }
Shape::~Shape() {
}
static std::map<std::string, std::vector<double>> areas;
std::unique_ptr<Shape> make(int number) {
    if (number % 2) return std::unique_ptr<Shape>(new Circle(number % 10));
    return std::unique_ptr<Shape>(new Square(number % 7));
}
void note(const Shape &shape) {
    static int count = 0;
    areas[shape.name()].push_back(shape.area() + ++count);
}
std::string noted(void) {
    std::ostringstream text;
    for (auto &[name, all] : areas) { text << name << ' ' << all.size() << ' ' << all.back() << ';'; }
    return text.str();
}
"#;

const CPP: &str = r#"
#include "shapes.h"
#include <algorithm>
#include <iostream>
#include <functional>
#define EXPORT(name) extern "C" __attribute__((export_name(name)))
extern volatile unsigned mended[4096];
volatile unsigned mended[4096];
EXPORT("marks") unsigned marks(void) { return (unsigned)mended; }
static std::vector<std::unique_ptr<Shape>> shapes;
static std::function<double(double)> add;
EXPORT("begin") int begin(void) { add = [sum = 0.0](double more) mutable { return sum += more; }; return 0; }
static bool larger(const std::unique_ptr<Shape> &a, const std::unique_ptr<Shape> &b) {
    return a->area() > b->area(); }
static void show(int number) {
    std::cout << number << ' ' << shapes.size() << ' ' << shapes.front()->name() << ' ' << add(shapes.back()->area()) << ' ' << noted() << std::endl;
}
EXPORT("take_step") int take_step(int number) {
    shapes.push_back(make(number));
    if (shapes.size() > 30) shapes.erase(shapes.begin() + 10);
    std::stable_sort(shapes.begin(), shapes.end(), larger);
    for (auto &shape : shapes) note(*shape);
    show(number);
    return (int)shapes.size();
}
"#;

fn statics_of_rust_survive_edits_of_functions<H: Host>() {
    let core = format!("--extern=core={}", toolchain::rust_core().display());
    let flags = [
        "--crate-type=lib",
        "--emit=obj",
        "-Copt-level=1",
        "-Awarnings",
        &core,
    ];
    let session = Session {
        sources: toolchain::Sources {
            name: "live-rust",
            files: [("main.rs".to_owned(), RUST.to_owned())].into(),
            flags: flags.map(str::to_owned).to_vec(),
            libraries: vec![toolchain::rust_core().display().to_string().leak()],
        },
        flags: &[],
        begins: " {",
        versions: 30,
        functions: 3,
    };
    run::<H>(&session, 30);
}

const RUST: &str = r#"
#![feature(no_core)]
#![no_core]
#[macro_use]
extern crate core;
use core::fmt::{self, Write};
use core::prelude::rust_2024::*;
use core::ptr::{read_volatile, write_volatile};

static mut MENDED: [u32; 4096] = [0; 4096];
macro_rules! mend {
    ($at:literal = $number:literal) => { unsafe { write_volatile(&raw mut MENDED[$at], $number) } };
    ($at:literal ^ $number:literal) => { unsafe { write_volatile(&raw mut MENDED[$at], read_volatile(&raw mut MENDED[$at]) ^ $number) } };
}
#[unsafe(export_name = "marks")]
pub extern "C" fn marks() -> u32 { (&raw const MENDED) as u32 }

#[panic_handler]
fn panicked(_: &core::panic::PanicInfo<'_>) -> ! { core::arch::wasm32::unreachable() }

#[link(wasm_import_module = "wasi_snapshot_preview1")]
unsafe extern "C" { fn fd_write(to: u32, vectors: *const [u32; 2], count: u32, done: *mut u32) -> u32; }

#[derive(Debug, Clone, Copy)]
enum Shape { Square(f64), Circle { radius: f64 }, Empty }

trait Area { fn area(&self) -> f64; }
impl Area for Shape { fn area(&self) -> f64 { area_of(self) } }

static mut SHAPES: [Shape; 16] = [Shape::Empty; 16];
static mut COUNT: u32 = 0;
static STEPS: [fn(u32) -> u64; 4] = [add, larger, count, mix];

struct Text { bytes: [u8; 700], len: usize }
impl Write for Text { fn write_str(&mut self, text: &str) -> fmt::Result { put(self, text) } }

#[inline(never)]
fn put(out: &mut Text, text: &str) -> fmt::Result {
    let place = out.bytes.get_mut(out.len..out.len + text.len()).ok_or(fmt::Error)?;
    place.copy_from_slice(text.as_bytes());
    out.len += text.len();
    Ok(())
}

#[inline(never)]
fn say(text: &Text) -> u32 {
    let vector = [text.bytes.as_ptr() as u32, text.len as u32];
    let mut done = 0;
    unsafe { fd_write(1, &vector, 1, &mut done) }
}

#[inline(never)]
fn area_of(shape: &Shape) -> f64 {
    match shape { Shape::Square(a) => a * a, Shape::Circle { radius } => 3.0 * radius * radius, Shape::Empty => 0.0 }
}

#[inline(never)]
fn add(number: u32) -> u64 {
    let shape = if number % 3 == 0 { Shape::Square(number as f64) } else { Shape::Circle { radius: number as f64 / 2.0 } };
    unsafe { SHAPES[number as usize % 16] = shape; COUNT += 1; COUNT as u64 }
}

#[inline(never)]
fn larger(number: u32) -> u64 {
    let shapes = unsafe { SHAPES };
    shapes.iter().filter(|shape| shape.area() > number as f64).count() as u64
}

#[inline(never)]
fn count(number: u32) -> u64 {
    let shapes: [&dyn Area; 2] = unsafe { [&*(&raw const SHAPES[number as usize % 16]), &*(&raw const SHAPES[0])] };
    shapes.iter().map(|shape| shape.area() as u64).sum()
}

#[inline(never)]
fn mix(number: u32) -> u64 {
    (0..number as u64 % 50).fold(7, |sum: u64, at| sum.wrapping_mul(31).wrapping_add(at) ^ sum >> 7)
}

#[unsafe(export_name = "begin")]
pub extern "C" fn begin() -> u32 { 0 }

#[unsafe(export_name = "take_step")]
pub extern "C" fn take_step(number: u32) -> u32 {
    let mut text = Text { bytes: [0; 700], len: 0 };
    let result = STEPS[number as usize % 4](number);
    let shape = unsafe { SHAPES[number as usize % 16] };
    let _ = write!(text, "{number}: {result} {shape:?} {:.3} {:?}\n", shape.area(), "mend the net".split(' ').nth(number as usize % 4));
    say(&text)
}
"#;
