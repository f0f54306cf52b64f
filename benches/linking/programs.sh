#!/usr/bin/env bash
# Makes programs to link and edit in a folder, for `cargo bench --bench linking`: `programs.sh FOLDER`.
#
# Lua and SQLite, with debug information, from the sources in the crates lua-src and libsqlite3-sys (`cargo fetch` them
# first); and a generated program of 2,000 objects. Needs clang-19, lld-19, wasi-libc and libclang-rt-19-dev-wasm32.
# A folder RUST_PROGRAM with a `link.rsp` of your own is copied beside them.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=${1:?usage: programs.sh FOLDER}
mkdir -p "$out"
out=$(cd "$out" && pwd)
registry=("${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/)
lua=$(ls -d "${registry[0]}"lua-src-*/lua-5.4* | tail -n 1)
sqlite=$(ls -d "${registry[0]}"libsqlite3-sys-*/sqlite3 | tail -n 1)
libs=/usr/lib/wasm32-wasi
builtins=$(clang-19 --target=wasm32-wasi -print-resource-dir)/lib/wasi/libclang_rt.builtins-wasm32.a
emulated=(-D_WASI_EMULATED_MMAN -D_WASI_EMULATED_GETPID -D_WASI_EMULATED_SIGNAL -D_WASI_EMULATED_PROCESS_CLOCKS)
compile=(clang-19 --target=wasm32-wasi -isystem /usr/include/wasm32-wasi -w -g "${emulated[@]}")

# response FOLDER OBJECT...: writes link.rsp.
response() {
    local folder=$1
    shift
    printf '%s\n' "$libs/crt1-command.o" "$@" "-L$libs" -lwasi-emulated-getpid -lwasi-emulated-mman \
        -lwasi-emulated-signal -lwasi-emulated-process-clocks -lc "$builtins" >"$folder/link.rsp"
}

for level in O0 O2; do
    folder=$out/lua-$level
    mkdir -p "$folder/edited"
    flags=(-$level "-I$here/src/compat" "-I$lua" '-DLUAI_THROW(L,c)=__builtin_trap()' '-DLUAI_TRY(L,c,a)=a' -Dluai_jmpbuf=int)
    # What is edited is compiled from the same path before and after, as in an editor: the path is part of its debug information.
    cp "$lua/lstrlib.c" "$folder/lstrlib.c"
    for file in "$lua"/*.c "$here/src/lua_main.c"; do
        name=$(basename "$file" .c)
        case $name in
        lua | luac | loslib | liolib | loadlib | linit) continue ;;
        lstrlib) file=$folder/lstrlib.c ;;
        esac
        "${compile[@]}" "${flags[@]}" -c "$file" -o "$folder/$name.o"
    done
    # One constant, in one function.
    sed '/^static int str_upper/,/^}/ s/toupper(uchar(s\[i\]))/(toupper(uchar(s[i])) ^ 1)/' "$lua/lstrlib.c" >"$folder/lstrlib.c"
    "${compile[@]}" "${flags[@]}" -c "$folder/lstrlib.c" -o "$folder/edited/lstrlib.o"
    response "$folder" "$folder"/*.o
done

folder=$out/sqlite-O2
mkdir -p "$folder/edited"
flags=(-O2 "-I$sqlite" -DSQLITE_CORE -DSQLITE_THREADSAFE=0 -DLONGDOUBLE_TYPE=double -DSQLITE_OS_OTHER=1
    -DSQLITE_OMIT_LOAD_EXTENSION -DSQLITE_ENABLE_FTS5 -DSQLITE_ENABLE_RTREE)
cp "$sqlite/sqlite3.c" "$folder/sqlite3.c"
for file in "$folder/sqlite3.c" "$sqlite/wasm32-wasi-vfs.c" "$here/src/sqlite_main.c"; do
    "${compile[@]}" "${flags[@]}" -c "$file" -o "$folder/$(basename "$file" .c).o"
done
sed '/^static void absFunc/,/^}/ s/if( rVal<0 ) rVal = -rVal;/if( rVal<0 ) rVal = 1000.0-rVal;/' "$sqlite/sqlite3.c" >"$folder/sqlite3.c"
"${compile[@]}" "${flags[@]}" -c "$folder/sqlite3.c" -o "$folder/edited/sqlite3.o"
response "$folder" "$folder"/*.o

folder=$out/generated
mkdir -p "$folder/edited"
cargo run --quiet --release --example generator -- "$folder" >/dev/null
cargo run --quiet --release --example generator -- "$folder/edited" --edit 77.3=20 >/dev/null
rm -f "$folder/edited/main.o" "$folder/edited/objects.rsp"
{ printf '%s\n' --no-entry --export=run; cat "$folder/objects.rsp"; } >"$folder/link.rsp"

if [ -n "${RUST_PROGRAM:-}" ]; then
    mkdir -p "$out/rust"
    cp -r "$RUST_PROGRAM/." "$out/rust/"
fi
