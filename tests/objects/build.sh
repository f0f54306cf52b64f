#!/bin/bash
# Compiles the objects that the tests read. The results are checked in, so that the tests need no compiler.
# Needs clang-19, llvm-ar-19 and, for `program.gc`, `program.trace` and the like, wasm-ld-19.
set -eu
cd "$(dirname "$0")"
C="clang-19 --target=wasm32-unknown-unknown -O1 -ffreestanding -fno-ident -c"
CXX="$C -x c++ -fno-exceptions -fno-rtti"
for f in main twice pick lib_a lib_b lib_c uses_lib mismatch missing; do $C src/$f.c -o $f.o; done
$CXX src/inline_a.cpp -o inline_a.o
$CXX src/inline_b.cpp -o inline_b.o
$C -g -O0 -fdebug-prefix-map="$PWD"=. src/main.c -o debug.o
${C/-fno-ident/} -pthread -matomics -mbulk-memory src/threads.c -o threads.o
$C -x c++ -fwasm-exceptions src/throws.cpp -o throws.o
clang-19 --target=wasm64-unknown-unknown -O1 -ffreestanding -fno-ident -c src/main.c -o main64.o
clang-19 --target=wasm32-unknown-unknown -mcpu=mvp -O1 -ffreestanding -fno-ident -c src/main.c -o mvp.o
for f in sections relative; do clang-19 --target=wasm32-unknown-unknown -c src/$f.s -o $f.o; done
$C -flto src/pick.c -o bitcode.o
AR="llvm-ar-19"
rm -f ./*.a
$AR rcsD --format=gnu libgnu.a lib_a.o lib_b.o lib_c.o
$AR rcsD --format=bsd libbsd.a lib_a.o lib_b.o lib_c.o
$AR rcSD --format=gnu libnoindex.a lib_a.o lib_b.o lib_c.o
$AR rcsD --thin libthin.a lib_a.o lib_b.o lib_c.o
cp lib_a.o a_member_with_a_name_too_long_for_a_header.o
echo metadata >lib.rmeta
$AR rcsD --format=gnu liblong.rlib lib.rmeta a_member_with_a_name_too_long_for_a_header.o lib_b.o
rm lib.rmeta a_member_with_a_name_too_long_for_a_header.o
$AR rcsD --format=gnu libbitcode.a bitcode.o lib_b.o
# Of Rust, before and after an edit; a compiler of this version takes such sources if it is told that it is its own.
for f in before after; do
    edited=$([ $f = after ] && echo --cfg=edited || true)
    RUSTC_BOOTSTRAP=1 rustc --edition 2021 --target wasm32-unknown-unknown -O -g -Ccodegen-units=1 -Awarnings \
        --remap-path-prefix "$PWD=." --emit=obj $edited -o rust/$f.o src/rust.rs
done
