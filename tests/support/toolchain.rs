//! Clang, wasm-ld and wasi-libc, and the sources of real programs. What was compiled once is kept for the next run, by
//! all that it was made from.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};

/// The folder of wasi-libc.
pub const WASI: &str = "/usr/lib/wasm32-wasi";

/// Runs a command that must succeed; its output.
pub fn run(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The compiler's library.
pub fn runtime() -> String {
    let folder =
        run(Command::new("clang-19").args(["--target=wasm32-wasi", "-print-resource-dir"]));
    format!("{}/lib/wasi/libclang_rt.builtins-wasm32.a", folder.trim())
}

/// A program's arguments, as clang would give them to the linker.
pub fn arguments(objects: &[PathBuf], libraries: &[&str]) -> Vec<String> {
    let mut arguments = vec![format!("-L{WASI}"), format!("{WASI}/crt1-command.o")];
    arguments.extend(objects.iter().map(|object| object.display().to_string()));
    arguments.extend(libraries.iter().map(|library| (*library).to_owned()));
    arguments.extend(["-lc".to_owned(), runtime()]);
    arguments
}

/// What wasm-ld makes of these.
pub fn wasm_ld(arguments: &[String]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out.wasm");
    run(Command::new("wasm-ld-19")
        .args(arguments)
        .arg("-o")
        .arg(&output));
    fs::read(output).unwrap()
}

/// What a reader of debug information finds wrong with a file, if it does.
pub fn dwarf_errors(path: &Path) -> Option<String> {
    let output = Command::new("llvm-dwarfdump-19")
        .arg("--verify")
        .arg(path)
        .output()
        .expect("llvm-dwarfdump-19 can be run");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let is_clean = output.status.success() && said.contains("No errors.");
    (!is_clean).then_some(said)
}

/// What LLVM's symbolizer says of each of these places of a file, with these options.
pub fn symbolize(
    file: &Path,
    options: &[&str],
    places: impl IntoIterator<Item = u64>,
) -> Vec<String> {
    let places = places.into_iter().map(|place| format!("{place:#x}\n"));
    let input: String = places.collect();
    let mut child = Command::new("llvm-symbolizer-19")
        .arg(format!("--obj={}", file.display()))
        .args(options)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("llvm-symbolizer-19 can be run");
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    text.split("\n\n")
        .filter(|answer| !answer.trim().is_empty())
        .map(str::to_owned)
        .collect()
}

/// Leaves a file for whoever looks into a failure.
pub fn keep(name: &str, bytes: &[u8]) {
    let _ = fs::write(Path::new(env!("CARGO_TARGET_TMPDIR")).join(name), bytes);
}

/// A program in C or C++: its files, and how they are compiled and linked.
#[derive(Debug, Clone)]
pub struct Sources {
    pub name: &'static str,
    /// Texts by name.
    pub files: BTreeMap<String, String>,
    pub flags: Vec<String>,
    pub libraries: Vec<&'static str>,
}

impl Sources {
    /// The files to be compiled.
    pub fn units(&self) -> impl Iterator<Item = &String> {
        let is_unit = |name: &&String| [".c", ".cpp", ".rs"].iter().any(|end| name.ends_with(end));
        self.files.keys().filter(is_unit)
    }

    /// Where the object of a file is kept, by all that it is made from: the file, all headers and all flags.
    fn object(&self, unit: &str, flags: &[&str], compiler: &str) -> PathBuf {
        let headers = self.files.iter().filter(|(name, _)| name.ends_with(".h"));
        let own = self.files.get_key_value(unit);
        let mut hash = blake3::Hasher::new();
        for (name, text) in headers.chain(own) {
            hash.update(name.as_bytes()).update(text.as_bytes());
        }
        let flags = self.flags.iter().map(String::as_str).chain(flags.to_vec());
        for flag in flags.chain([compiler]) {
            hash.update(flag.as_bytes()).update(&[0]);
        }
        let name = format!("{}-{}.o", self.name, hash.finalize().to_hex());
        Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join("objects")
            .join(name)
    }

    /// Compiles the program with these flags as well; objects by their files' names.
    pub fn compile(&self, flags: &[&str]) -> BTreeMap<String, PathBuf> {
        compile_all(std::slice::from_ref(self), flags).remove(0)
    }
}

/// Compiles versions of a program, each file once, on all cores.
pub fn compile_all(versions: &[Sources], flags: &[&str]) -> Vec<BTreeMap<String, PathBuf>> {
    let compiler = run(Command::new("clang-19").arg("--version"));
    let mut jobs: BTreeMap<PathBuf, (&Sources, &str)> = BTreeMap::new();
    let mut objects = Vec::new();
    for version in versions {
        let units = version
            .units()
            .map(|unit| (unit.clone(), version.object(unit, flags, &compiler)));
        let units: BTreeMap<String, PathBuf> = units.collect();
        for (unit, object) in &units {
            if !object.exists() {
                let (unit, _) = version.files.get_key_value(unit).unwrap();
                jobs.entry(object.clone()).or_insert((version, unit));
            }
        }
        objects.push(units);
    }
    // The largest first, so that no core is left with it alone at the end.
    let mut jobs: Vec<_> = jobs.into_iter().collect();
    jobs.sort_by_key(|(_, (version, unit))| std::cmp::Reverse(version.files[*unit].len()));
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        while let Some((object, (version, unit))) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Err(error) = compile(version, unit, flags, object) {
                failed.lock().unwrap().push(error);
            }
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(work);
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    objects
}

/// Compiles a file in a folder of its own, so that what debug information says of paths is the same each time.
fn compile(sources: &Sources, unit: &str, flags: &[&str], object: &Path) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    let is_needed = |name: &str| name == unit || name.ends_with(".h");
    for (name, text) in sources.files.iter().filter(|(name, _)| is_needed(name)) {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let mut command = match unit.rsplit_once('.') {
        Some((_, "rs")) => rustc(),
        Some((_, "c")) => Command::new("clang-19"),
        _ => Command::new("clang++-19"),
    };
    if !unit.ends_with(".rs") {
        command
            .args(["--target=wasm32-wasi", "-w", "-I.", "-c"])
            .arg("-ffile-compilation-dir=.");
    }
    let output = command
        .args([unit, "-o", "out"])
        .args(&sources.flags)
        .args(flags)
        .current_dir(folder.path())
        .output()
        .map_err(|error| format!("{command:?} cannot be run: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{unit}: {said}"));
    }
    // Moved in one step: another test may be after the same object.
    fs::create_dir_all(object.parent().unwrap()).unwrap();
    let new = tempfile::NamedTempFile::new_in(object.parent().unwrap()).unwrap();
    fs::copy(folder.path().join("out"), new.path()).unwrap();
    new.persist(object).unwrap();
    Ok(())
}

/// Debian's compiler of Rust for WebAssembly, as stable as it is not: the library comes as sources.
fn rustc() -> Command {
    let mut rustc = Command::new("/usr/bin/rustc");
    rustc
        .args(["--edition", "2024", "--target", "wasm32-unknown-unknown"])
        .args(["-Cpanic=abort", "-Ccodegen-units=1"])
        .env("RUSTC_BOOTSTRAP", "1");
    rustc
}

/// The library `core`, which is built once.
pub fn rust_core() -> PathBuf {
    static CORE: OnceLock<PathBuf> = OnceLock::new();
    let build = || {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("core");
        let library = folder.join("libcore.rlib");
        if !library.exists() {
            fs::create_dir_all(&folder).unwrap();
            let new = folder.join(format!("new-{}.rlib", std::process::id()));
            let sources = "/usr/lib/rustlib/src/rust/library/core/src/lib.rs";
            run(rustc()
                .args([
                    "--crate-name",
                    "core",
                    "--crate-type",
                    "rlib",
                    "-Copt-level=1",
                    "-o",
                ])
                .arg(&new)
                .arg(sources));
            fs::rename(new, &library).unwrap();
        }
        library
    };
    CORE.get_or_init(build).clone()
}

/// A folder in the sources of a crate that Cargo has fetched; the newest, where there are several.
fn crate_sources(name: &str, folder: &str) -> PathBuf {
    let home = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(Path::new(&std::env::var_os("HOME")?).join(".cargo")))
        .unwrap();
    let newest_of = |folders: Vec<PathBuf>, prefix: &str| {
        let entries = folders
            .iter()
            .flat_map(|folder| fs::read_dir(folder).unwrap());
        let paths = entries.map(|entry| entry.unwrap().path());
        let is_it = |path: &PathBuf| {
            let name = path.file_name().unwrap().to_string_lossy();
            name.starts_with(prefix)
        };
        paths.filter(is_it).max()
    };
    let registries = fs::read_dir(home.join("registry/src")).unwrap();
    let registries = registries.map(|entry| entry.unwrap().path()).collect();
    let sources = newest_of(registries, name)
        .unwrap_or_else(|| panic!("the crate {name} has not been fetched"));
    newest_of(vec![sources], folder).unwrap_or_else(|| panic!("{name}: no {folder}"))
}

/// The texts of a folder's files, of those that are wanted.
fn texts(folder: &Path, is_wanted: impl Fn(&str) -> bool) -> BTreeMap<String, String> {
    let mut texts = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if is_wanted(&name) {
            // Some have a comment in Latin-1.
            let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
            texts.insert(name, text);
        }
    }
    texts
}

const EMULATED: [&str; 4] = [
    "-lwasi-emulated-getpid",
    "-lwasi-emulated-mman",
    "-lwasi-emulated-signal",
    "-lwasi-emulated-process-clocks",
];

const EMULATE: [&str; 4] = [
    "-D_WASI_EMULATED_MMAN",
    "-D_WASI_EMULATED_GETPID",
    "-D_WASI_EMULATED_SIGNAL",
    "-D_WASI_EMULATED_PROCESS_CLOCKS",
];

fn owned(flags: &[&str]) -> Vec<String> {
    flags.iter().map(|flag| (*flag).to_owned()).collect()
}

/// Lua 5.4, and a program that runs a script with it.
pub fn lua() -> Sources {
    // Parts that need more of an operating system than there is, and the commands.
    let left_out = [
        "lua.c",
        "luac.c",
        "loslib.c",
        "liolib.c",
        "loadlib.c",
        "linit.c",
    ];
    let mut files = texts(&crate_sources("lua-src-", "lua-5.4"), |name| {
        (name.ends_with(".c") || name.ends_with(".h")) && !left_out.contains(&name)
    });
    files.insert("main.c".to_owned(), LUA_MAIN.to_owned());
    // This wasi-libc has no setjmp: errors trap.
    files.insert("setjmp.h".to_owned(), "typedef int jmp_buf;\n".to_owned());
    let mut flags = owned(&EMULATE);
    flags.extend(owned(&[
        "-DLUAI_THROW(L,c)=__builtin_trap()",
        "-DLUAI_TRY(L,c,a)=a",
        "-Dluai_jmpbuf=int",
    ]));
    Sources {
        name: "lua",
        files,
        flags,
        libraries: EMULATED.to_vec(),
    }
}

const LUA_MAIN: &str = r#"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "lua.h"
#include "lauxlib.h"
#include "lualib.h"

static const char *const script[] = {
    "local function fib(n) if n < 2 then return n end return fib(n - 1) + fib(n - 2) end\n",
    "local t = {}\n",
    "for i = 1, 200 do t[#t + 1] = string.format('%05d', (i * 7919) % 1009) end\n",
    "table.sort(t)\n",
    "local words = {}\n",
    "for w in string.gmatch('mend the net and mend the sail', '%a+') do words[w] = (words[w] or 0) + 1 end\n",
    "local s = {}\n",
    "for i = 1, 50 do s[i] = string.upper(string.rep(t[i], 2, '-')) end\n",
    "print(fib(14), t[1], t[100], t[200], words.mend, #table.concat(s, ','), math.sqrt(2))\n",
    "print(math.pi, 1 / 3, string.upper('upper'), math.type(3.0), math.pow and math.pow(2, 10), 4242)\n",
    "print(string.twice and string.twice('ab'), string.reverse and string.reverse('abc'))\n",
    "print(utf8 and utf8.len('na\xc3\xafve'), select('#', table.unpack(t, 1, 20)))\n",
    "local co = coroutine.wrap(function(a) while true do a = coroutine.yield(a * 2) end end)\n",
    "print(co(4), co(5), load('return 7 // 2, 7 % -3, 2 ^ 0.5, \"a\" .. 1')())\n",
    "local m = setmetatable({}, {__add = function(a, b) return 'sum' end, __index = function(_, k) return k .. '!' end})\n",
    "print(m + 1, m.key, tostring(nil), #debug_name, string.pack('<i4', 7):byte(1, -1))\n",
};

static int sizes[16];

static int run(lua_State *L) {
    luaL_Buffer text;
    luaL_buffinit(L, &text);
    for (unsigned i = 0; i < sizeof script / sizeof *script; i++) {
        sizes[i & 15] += (int)strlen(script[i]);
        luaL_addstring(&text, script[i]);
    }
    luaL_pushresult(&text);
    size_t length;
    const char *all = lua_tolstring(L, -1, &length);
    lua_Debug about;
    memset(&about, 0, sizeof about);
    if (luaL_loadbuffer(L, all, length, "a rather long name of a chunk that has to be cut somewhere in its middle")) {
        printf("error: %s\n", lua_tostring(L, -1));
        return 1;
    }
    lua_pushvalue(L, -1);
    lua_getinfo(L, ">S", &about);
    lua_pushstring(L, about.short_src);
    lua_setglobal(L, "debug_name");
    lua_call(L, 0, 0);
    return 0;
}

int main(void) {
    lua_State *L = luaL_newstate();
    luaL_requiref(L, "_G", luaopen_base, 1);
    luaL_requiref(L, "table", luaopen_table, 1);
    luaL_requiref(L, "string", luaopen_string, 1);
    luaL_requiref(L, "math", luaopen_math, 1);
    luaL_requiref(L, "utf8", luaopen_utf8, 1);
    luaL_requiref(L, "coroutine", luaopen_coroutine, 1);
    lua_settop(L, 0);
    int failed = run(L);
    printf("%d %d\n", sizes[0], sizes[15]);
    lua_close(L);
    return failed;
}
"#;

/// SQLite, and a program that runs statements with it.
pub fn sqlite() -> Sources {
    let mut files = texts(&crate_sources("libsqlite3-sys-", "sqlite3"), |name| {
        ["sqlite3.c", "sqlite3.h", "wasm32-wasi-vfs.c"].contains(&name)
    });
    files.insert("main.c".to_owned(), SQLITE_MAIN.to_owned());
    let mut flags = owned(&EMULATE);
    flags.extend(owned(&[
        "-DSQLITE_CORE",
        "-DSQLITE_THREADSAFE=0",
        "-DLONGDOUBLE_TYPE=double",
        "-DSQLITE_OS_OTHER=1",
        "-DSQLITE_OMIT_LOAD_EXTENSION",
    ]));
    Sources {
        name: "sqlite",
        files,
        flags,
        libraries: EMULATED.to_vec(),
    }
}

const SQLITE_MAIN: &str = r#"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "sqlite3.h"

static int rows;

static int row(void *unused, int n, char **values, char **names) {
    rows++;
    for (int i = 0; i < n; i++) printf("%s%s", i ? "|" : "", values[i] ? values[i] : "NULL");
    printf("\n");
    return 0;
}

static const char *const statements[] = {
    "CREATE TABLE net (id INTEGER PRIMARY KEY, name TEXT, weight REAL, mended INT)",
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300) "
    "INSERT INTO net SELECT i, printf('net-%05d', (i * 7919) % 1009), i * 0.25, i % 3 FROM n",
    "CREATE INDEX by_name ON net(name)",
    "SELECT count(*), sum(weight), min(name), max(name) FROM net WHERE mended = 1",
    "SELECT mended, count(*), avg(weight) FROM net GROUP BY mended ORDER BY 2 DESC, 1",
    "SELECT a.id, b.id FROM net a JOIN net b ON a.mended = b.id AND a.id < b.id + 9 ORDER BY a.id LIMIT 5",
    "UPDATE net SET weight = abs(weight - 100) WHERE id % 7 = 0",
    "DELETE FROM net WHERE name LIKE 'net-00%'",
    "SELECT count(*), round(total(weight), 3), sum(length(name)) FROM net",
    "SELECT abs(-7), abs(-7.5), length('na\xc3\xafve'), upper('upper'), hex('ab'), json_extract('{\"a\":[1,2]}', '$.a[1]')",
    "SELECT id, row_number() OVER (PARTITION BY mended ORDER BY weight DESC) r FROM net ORDER BY r, id LIMIT 4",
    "SELECT mend(4)",
    "PRAGMA page_size",
};

int main(void) {
    sqlite3 *db;
    if (sqlite3_open(":memory:", &db)) {
        printf("open: %s\n", sqlite3_errmsg(db));
        return 1;
    }
    for (unsigned i = 0; i < sizeof statements / sizeof *statements; i++) {
        char *error = 0;
        if (sqlite3_exec(db, statements[i], row, 0, &error)) printf("statement %u: %s\n", i, error);
    }
    printf("%d rows, %d changes\n", rows, sqlite3_changes(db));
    return sqlite3_close(db);
}
"#;

/// A program that uses much of libc++.
pub fn cpp() -> Sources {
    Sources {
        name: "cpp",
        files: BTreeMap::from([("main.cpp".to_owned(), CPP_MAIN.to_owned())]),
        flags: owned(&["-fno-exceptions"]),
        libraries: vec!["-lc++", "-lc++abi"],
    }
}

const CPP_MAIN: &str = r#"
#include <algorithm>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <numeric>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <tuple>
#include <unordered_map>
#include <vector>
struct Shape { virtual double area() const = 0; virtual ~Shape() {} };
struct Square : Shape { double a; Square(double a) : a(a) {} double area() const override { return a * a; } };
struct Circle : Shape { double r; Circle(double r) : r(r) {} double area() const override { return 3 * r * r; } };
static std::vector<int> numbers = {5, 3, 9, 1};
struct Loud {
    std::string name;
    Loud(const char *name) : name(name) { std::cout << name << " begins\n"; }
    ~Loud() { std::cout << name << " ends\n"; }
};
static Loud one("one");
__attribute__((init_priority(200))) Loud two("two");
inline int &counter() { static int count = 10; return count; }
template <typename T> std::string all(const T &values) {
    std::ostringstream text;
    for (const auto &value : values) text << value << ',';
    return text.str();
}
int main() {
    std::map<std::string, int> counts;
    std::unordered_map<std::string, std::vector<int>> places;
    std::istringstream words("mend the net and mend the sail");
    std::string word;
    for (int at = 0; words >> word; at++) { counts[word]++; places[word].push_back(at); }
    for (auto &[k, v] : counts) std::cout << k << v << ' ' << all(places[k]) << '\n';
    std::sort(numbers.begin(), numbers.end(), std::greater<int>());
    std::cout << all(numbers) << std::accumulate(numbers.begin(), numbers.end(), 0.5) << '\n';
    std::vector<std::unique_ptr<Shape>> shapes;
    shapes.emplace_back(new Square(2));
    shapes.emplace_back(new Circle(1));
    for (auto &shape : shapes) std::cout << shape->area() << '\n';
    std::function<int(int)> add = [&](int x) { return counter() += x; };
    std::cout << add(4) + add(5) << ' ' << std::to_string(2.5) << ' ' << std::stoi("42") << '\n';
    std::set<std::tuple<int, std::string>> pairs = {{2, "b"}, {1, "a"}};
    for (auto &[number, text] : pairs) std::cout << number << text << std::hex << 255 << std::dec << '\n';
    std::optional<std::string> maybe;
    std::cout << maybe.value_or("nothing") << '\n';
}
"#;
