#!/bin/bash
# Builds of a whole module, each patched by a process that ends (`wasmend patch`): what one costs, beside `replay`, which makes the
# output anew each time, beside a copy of the build, and beside the link that makes it. Prints medians of whole processes, in
# milliseconds, and the most memory; with `perf`, the instructions of a process that changes one function.
#
# Usage: one_patch.sh WASMEND GENERATOR FOLDER [TURNS]; GENERATOR is the example of that name, built. In FOLDER the program of 2,000
# objects is made, unless it is there, and three builds of it which differ in one function.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
wasmend=$(realpath "$1") generator=$(realpath "$2") folder=$3 turns=${4:-15}
mkdir -p "$folder"
cd "$folder"
. "$here/timed.sh"
arguments=(--no-entry --export=run @objects.rsp)
[ -f objects.rsp ] || "$generator" . > /dev/null 2>&1
for version in 1 2 3; do
    [ -f "build$version.wasm" ] && continue
    "$generator" "$PWD" --edit "17.3=$version" > /dev/null 2>&1
    # Under one name, which is in the module.
    "$wasmend" ld --no-incremental "${arguments[@]}" -o made.wasm
    mv made.wasm "build$version.wasm"
done

rm -f ./*.times
build() {
    cp "build$(($1 % 3 + 1)).wasm" build.new
    mv build.new build.wasm
    sleep 0.05
}
for turn in $(seq "$turns"); do
    build "$turn"
    timed true /bin/true
    timed copy cp build.wasm copy.wasm
    timed wasm-ld wasm-ld-19 "${arguments[@]}" -o theirs.wasm
    timed dense "$wasmend" ld --no-incremental "${arguments[@]}" -o dense.wasm
    timed replay "$wasmend" replay -o replayed.wasm build.wasm
    rm -rf .wasmend/out.wasm.* out.wasm
    timed first "$wasmend" patch out.wasm build.wasm
    sleep 0.05
    timed null "$wasmend" patch out.wasm build.wasm
    # The first patch copies the output, and makes what updates look things up in.
    build "$((turn + 1))"
    timed second "$wasmend" patch out.wasm build.wasm
    for edited in 2 3; do
        build "$((turn + edited))"
        timed edit "$wasmend" patch out.wasm build.wasm
        grep -q 'patched 1 function' said.txt
    done
    touch build.wasm
    timed equal "$wasmend" patch out.wasm build.wasm
done
for name in true copy wasm-ld dense replay first null second edit equal; do
    read -r median least memory <<< "$(figures "$name")"
    printf '%-8s %8.2f ms, fastest %8.2f, %6.1f MiB\n' "$name" "$median" "$least" "$memory"
done
echo "build $(stat -c %s build.wasm), output $(stat -c %s out.wasm), state $(on_disk out.wasm) bytes on disk"
if command -v perf > /dev/null; then
    build 1
    "$wasmend" patch out.wasm build.wasm > /dev/null
    build 2
    perf stat -x, -e instructions:u "$wasmend" patch out.wasm build.wasm 2>&1 | tail -2
fi
"$wasmend" verify out.wasm build.wasm
