#!/bin/sh
# Makes the .wasm files beside this script from their sources. They are checked in: nothing runs this but a person who
# changes a source. Usage: build.sh [family...]; README.md says which tools of which versions it was last run with.
set -eu
cd "$(dirname "$0")"
CLANG=${CLANG:-clang-19}
WASM_LD=${WASM_LD:-wasm-ld-19}
WASI=${WASI:-/usr/lib/wasm32-wasi}
WASI_INCLUDE=${WASI_INCLUDE:-/usr/include/wasm32-wasi}
RUSTC=${RUSTC:-/usr/bin/rustc}
CARGO=${CARGO:-/usr/bin/cargo}
WORK=${WORK:-/tmp/wasmend-modules}
mkdir -p "$WORK"

wanted() {
    [ -z "$FAMILIES" ] || case " $FAMILIES " in *" $1 "*) ;; *) return 1 ;; esac
}

# c FAMILY SOURCES "COMPILER FLAGS" "LINKER FLAGS"
# Compiler and linker are run apart: clang's driver would hand what it links to whatever wasm-opt it finds.
c() {
    wanted "$1" || return 0
    mkdir -p "$1"
    builtins=$($CLANG --target=wasm32-wasi -print-resource-dir)/lib/wasi/libclang_rt.builtins-wasm32.a
    for v in v1 v2 v3; do
        # shellcheck disable=SC2086
        $CLANG --target=wasm32-wasi -isystem "$WASI_INCLUDE" -Wall -ffile-prefix-map="$PWD"=. $3 \
            -c "$2/$v.c" -o "$WORK/$1-$v.o"
        # shellcheck disable=SC2086
        $WASM_LD $4 -L"$WASI" "$WASI/crt1-command.o" "$WORK/$1-$v.o" -lc "$builtins" -o "$WORK/$1.wasm"
        install -m 644 "$WORK/$1.wasm" "$1/$v.wasm"
    done
}

# rust FAMILY OPT-LEVEL LTO
# The target's standard library is built from the compiler's own source, with the dependencies it carries.
rust() {
    wanted "$1" || return 0
    RUST_SYSROOT=$("$RUSTC" --print sysroot)
    RUST_LIBRARY=$RUST_SYSROOT/lib/rustlib/src/rust/library
    project=$WORK/$1
    mkdir -p "$project/.cargo" "$project/src"
    cat >"$project/.cargo/config.toml" <<TOML
[source.crates-io]
replace-with = "library"
[source.library]
directory = "$RUST_LIBRARY/vendor"
TOML
    cat >"$project/Cargo.toml" <<TOML
[package]
name = "$1"
version = "0.1.0"
edition = "2024"
[profile.release]
opt-level = $2
panic = "abort"
strip = "debuginfo"
codegen-units = 1
lto = $3
TOML
    for v in v1 v2 v3; do
        cp "$1/$v.rs" "$project/src/main.rs"
        (
            cd "$project"
            flags="-Clink-self-contained=no -Clinker=$WASM_LD -L$WASI -Clink-arg=$WASI/crt1-command.o"
            flags="$flags --remap-path-prefix=$RUST_SYSROOT=/rust"
            PATH="$(dirname "$CARGO"):$PATH" CARGO_HOME="$WORK/cargo-home" CARGO_TARGET_DIR="$WORK/target" \
                RUSTC="$RUSTC" RUSTC_BOOTSTRAP=1 RUSTFLAGS="$flags" \
                "$CARGO" build --quiet --offline --release --target wasm32-wasip1 \
                -Zbuild-std=std,panic_abort -Zbuild-std-features=optimize_for_size
        )
        install -m 644 "$WORK/target/wasm32-wasip1/release/$1.wasm" "$1/$v.wasm"
    done
}

# assemblyscript FAMILY FLAGS
assemblyscript() {
    wanted "$1" || return 0
    if [ ! -x "$WORK/as/node_modules/.bin/asc" ]; then
        mkdir -p "$WORK/as"
        (cd "$WORK/as" && npm install --silent assemblyscript@0.28.20)
    fi
    for v in v1 v2 v3; do
        # shellcheck disable=SC2086
        "$WORK/as/node_modules/.bin/asc" "$1/$v.ts" --outFile "$1/$v.wasm" $2
    done
}

FAMILIES=$*
names="--strip-debug --keep-section=name"
c c-calc c-calc -O2 "$names"
c c-calc-bare c-calc -O2 --strip-all
c c-json c-json -O0 "$names"
c c-sort c-sort "-Og -g" ""
rust rust-shapes '"s"' false
rust rust-words 2 true
assemblyscript as-matrix "--optimizeLevel 3 --shrinkLevel 1"
assemblyscript as-text "--debug --exportRuntime"
