#!/usr/bin/env bash
# Makes programs to link and edit in a folder, for `cargo bench --bench linking`: `programs.sh FOLDER [PROGRAM...]`. Without
# names it makes all: lua-O0 lua-O2 sqlite-O2 spirv-O0 generated rust-debug.
#
# Lua, SQLite and the validator of SPIRV-Tools (C++: 75 objects of 42 MB), with debug information, from the sources in
# the crates lua-src, libsqlite3-sys and spirv-tools-sys (`cargo info` brings them too); a generated program of 2,000
# objects; and a Rust program with its rlibs and those of the standard library. Needs clang-19, lld-19, wasi-libc,
# libclang-rt-19-dev-wasm32 and libc++-19-dev-wasm32, and for Rust rustc-web, cargo-web and rust-web-src.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=${1:?usage: programs.sh FOLDER [PROGRAM...]}
shift
programs=("$@")
[ $# -gt 0 ] || programs=(lua-O0 lua-O2 sqlite-O2 spirv-O0 generated rust-debug)
mkdir -p "$out"
out=$(cd "$out" && pwd)
registry=("${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/)
libs=/usr/lib/wasm32-wasi
builtins=$(clang-19 --target=wasm32-wasi -print-resource-dir)/lib/wasi/libclang_rt.builtins-wasm32.a
emulated=(-D_WASI_EMULATED_MMAN -D_WASI_EMULATED_GETPID -D_WASI_EMULATED_SIGNAL -D_WASI_EMULATED_PROCESS_CLOCKS)
compile=(clang-19 --target=wasm32-wasi -isystem /usr/include/wasm32-wasi -w -g "${emulated[@]}")

# crate PATTERN: the newest folder that matches, among the sources of crates.
crate() {
    ls -d "${registry[0]}"$1 | tail -n 1
}

# response FOLDER ARGUMENT...: writes link.rsp.
response() {
    local folder=$1
    shift
    printf '%s\n' "$libs/crt1-command.o" "$@" "-L$libs" -lwasi-emulated-getpid -lwasi-emulated-mman \
        -lwasi-emulated-signal -lwasi-emulated-process-clocks -lc "$builtins" >"$folder/link.rsp"
}

# editable FOLDER SOURCE COMMAND...: copies a source to where it can be edited, for `cargo bench --bench growth`, and notes how it
# is compiled: it is compiled from the same path before and after, as in an editor, since the path is part of its debug information.
editable() {
    local folder=$1 source=$2 name
    shift 2
    name=$(basename "$source")
    mkdir -p "$folder/sources"
    [ "$source" -ef "$folder/$name" ] || cp "$source" "$folder/$name"
    printf '%s\n' "$@" -c "$folder/$name" -o "$folder/${name%.*}.o" >"$folder/sources/${name%.*}"
}

# lua LEVEL
lua() {
    local level=$1 folder=$out/lua-$1 lua file name
    lua=$(crate 'lua-src-*/lua-5.4*')
    mkdir -p "$folder/edited"
    local flags=(-"$level" "-I$here/src/compat" "-I$lua" '-DLUAI_THROW(L,c)=__builtin_trap()' '-DLUAI_TRY(L,c,a)=a' -Dluai_jmpbuf=int)
    for file in "$lua"/*.c "$here/src/lua_main.c"; do
        name=$(basename "$file" .c)
        case $name in
        lua | luac | loslib | liolib | loadlib | linit) continue ;;
        lapi | lparser | lstrlib | ltable)
            editable "$folder" "$file" "${compile[@]}" "${flags[@]}"
            file=$folder/$name.c
            ;;
        esac
        "${compile[@]}" "${flags[@]}" -c "$file" -o "$folder/$name.o"
    done
    # One constant, in one function.
    sed '/^static int str_upper/,/^}/ s/toupper(uchar(s\[i\]))/(toupper(uchar(s[i])) ^ 1)/' "$lua/lstrlib.c" >"$folder/lstrlib.c"
    "${compile[@]}" "${flags[@]}" -c "$folder/lstrlib.c" -o "$folder/edited/lstrlib.o"
    response "$folder" "$folder"/*.o
}

sqlite() {
    local folder=$out/sqlite-O2 sqlite file
    sqlite=$(crate 'libsqlite3-sys-*/sqlite3')
    mkdir -p "$folder/edited"
    local flags=(-O2 "-I$sqlite" -DSQLITE_CORE -DSQLITE_THREADSAFE=0 -DLONGDOUBLE_TYPE=double -DSQLITE_OS_OTHER=1
        -DSQLITE_OMIT_LOAD_EXTENSION -DSQLITE_ENABLE_FTS5 -DSQLITE_ENABLE_RTREE)
    cp "$sqlite/sqlite3.c" "$folder/sqlite3.c"
    # SQLite itself takes half a minute to compile.
    editable "$folder" "$sqlite/wasm32-wasi-vfs.c" "${compile[@]}" "${flags[@]}"
    editable "$folder" "$here/src/sqlite_main.c" "${compile[@]}" "${flags[@]}"
    for file in "$folder"/{sqlite3,wasm32-wasi-vfs,sqlite_main}.c; do
        "${compile[@]}" "${flags[@]}" -c "$file" -o "$folder/$(basename "$file" .c).o"
    done
    sed '/^static void absFunc/,/^}/ s/if( rVal<0 ) rVal = -rVal;/if( rVal<0 ) rVal = 1000.0-rVal;/' "$sqlite/sqlite3.c" >"$folder/sqlite3.c"
    "${compile[@]}" "${flags[@]}" -c "$folder/sqlite3.c" -o "$folder/edited/sqlite3.o"
    response "$folder" "$folder"/*.o
}

# The validator of SPIRV-Tools: templates in each file, most of them in several.
spirv() {
    local folder=$out/spirv-O0 spirv edited=validation_state
    spirv=$(crate 'spirv-tools-sys-*')
    mkdir -p "$folder/edited"
    local source=$spirv/spirv-tools/source
    local cxx=("${compile[0]/clang/clang++}" "${compile[@]:1:1}" -isystem /usr/include/wasm32-wasi/c++/v1 "${compile[@]:2}"
        -O0 -std=c++17 -fno-exceptions -fno-rtti -DSPIRV_LINUX "-I$spirv/spirv-tools" "-I$source/val" "-I$spirv/spirv-tools/include"
        "-I$spirv/generated" "-I$spirv/spirv-headers/include" "-I$spirv/spirv-headers/include/spirv/unified1")
    local editable=("$edited" validate_image validate_memory validate_type)
    for file in "${editable[@]}"; do
        editable "$folder" "$source/val/$file.cpp" "${cxx[@]}"
    done
    # As many compilers as cores: one file takes seconds.
    for file in "$source"/*.cpp "$source"/util/*.cpp "$source"/val/*.cpp "$here/src/spirv_main.cpp"; do
        case $(basename "$file" .cpp) in
        mimalloc | pch_source | pch_source_* | timer) continue ;;
        esac
        if [ -f "$folder/sources/$(basename "$file" .cpp)" ]; then
            file=$folder/$(basename "$file" .cpp).cpp
        fi
        printf '%s\0' -c "$file" -o "$folder/$(basename "$file" .cpp).o"
    done | xargs -0 -n 4 -P "$(nproc)" "${cxx[@]}"
    # One constant, in one function.
    sed 's/VkErrorID(7119)/VkErrorID(7118)/' "$source/val/$edited.cpp" >"$folder/$edited.cpp"
    "${cxx[@]}" -c "$folder/$edited.cpp" -o "$folder/edited/$edited.o"
    response "$folder" "$folder"/*.o -lc++ -lc++abi
}

generated() {
    local folder=$out/generated
    mkdir -p "$folder/edited"
    cargo run --quiet --profile bench --example generator -- "$folder" >/dev/null
    cargo run --quiet --profile bench --example generator -- "$folder/edited" --edit 77.3=20 >/dev/null
    rm -f "$folder/edited/main.o" "$folder/edited/objects.rsp"
    { printf '%s\n' --no-entry --export=run; cat "$folder/objects.rsp"; } >"$folder/link.rsp"
}

# rust_objects BUILD TO: builds the program in $source, and copies the objects that the linker got to TO, under names that are
# the same in each build, and the library of the program's own. Prints the linker's arguments.
rust_objects() {
    local build=$1 to=$2 word name
    rm -f "$build"/wasm32-wasip1/debug/deps/*.rcgu.o
    # The library can only be built by compilers that allow what is not stable.
    RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR=$build /usr/bin/cargo rustc --quiet -Zbuild-std=std,panic_abort \
        --target wasm32-wasip1 --manifest-path "$source/Cargo.toml" -- -Csave-temps --print=link-args -Clinker=wasm-ld-19 \
        -Clink-self-contained=no "-Clink-arg=-L$libs" "-Clink-arg=$libs/crt1-command.o" >"$build/arguments"
    grep -F '"wasm-ld-19"' "$build/arguments" | sed 's/.*"wasm-ld-19"//' | grep -oE '"[^"]*"' | tr -d '"' | while read -r word; do
        case $word in
        *.rcgu.o)
            name=$(basename "$word" .rcgu.o)
            # Behind the unit's name stands that of the build.
            name=${name%.*}.o
            cp "$word" "$to/$name"
            echo "$folder/$name"
            ;;
        */libdescribe-*.rlib)
            cp "$word" "$to/libdescribe.rlib"
            echo "$folder/libdescribe.rlib"
            ;;
        *) echo "$word" ;;
        esac
    done
}

# Debug information, incremental compilation, the rlibs of its crates and of the standard library.
rust() {
    local folder=$out/rust-debug source=$out/rust-debug/source object
    mkdir -p "$folder/edited" "$folder/edited-library" "$source" "$folder/build"
    cp -r "$here/src/rust/." "$source"
    rust_objects "$folder/build" "$folder" | awk '$0 == "-o" { getline; next } NR > 2' >"$folder/link.rsp"
    # One constant, in one function.
    sed -i 's/text.len() \* 31 + 7/text.len() * 31 + 8/' "$source/src/main.rs"
    rust_objects "$folder/build" "$folder/edited" >/dev/null
    sed -i 's/instructions \* 31 + 7/instructions * 31 + 8/' "$source/describe/src/lib.rs"
    rust_objects "$folder/build" "$folder/edited-library" >/dev/null
    rm -f "$folder"/edited-library/*.o
    for object in "$folder"/edited/*; do
        if cmp -s "$object" "$folder/$(basename "$object")"; then rm "$object"; fi
    done
}

for program in "${programs[@]}"; do
    case $program in
    lua-O0 | lua-O2) lua "${program#lua-}" ;;
    sqlite-O2) sqlite ;;
    spirv-O0) spirv ;;
    generated) generated ;;
    rust-debug) rust ;;
    *)
        echo "programs.sh: no program is called $program" >&2
        exit 2
        ;;
    esac
done
