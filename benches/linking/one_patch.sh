#!/bin/bash
# Builds of a whole module, each patched by a process that ends (`wasmend patch`): what one costs, beside `replay`, which makes the
# output anew each time, beside a copy of the build, and beside the link that makes it. Prints medians of whole processes, in
# milliseconds, and the most memory; with `perf`, the instructions of a process that changes one function.
#
# Usage: one_patch.sh WASMEND GENERATOR FOLDER [TURNS]; GENERATOR is the example of that name, built. In FOLDER the program of 2,000
# objects is made, unless it is there, and three builds of it which differ in one function.
set -euo pipefail
wasmend=$1 generator=$2 folder=$3 turns=${4:-15}
mkdir -p "$folder"
cd "$folder"
arguments=(--no-entry --export=run @objects.rsp)
[ -f objects.rsp ] || "$generator" . > /dev/null 2>&1
for version in 1 2 3; do
    [ -f "build$version.wasm" ] && continue
    "$generator" "$PWD" --edit "17.3=$version" > /dev/null 2>&1
    # Under one name, which is in the module.
    "$wasmend" ld --no-incremental "${arguments[@]}" -o made.wasm
    mv made.wasm "build$version.wasm"
done

# Runs a command; its time and memory go to the file of that name.
timed() {
    local name=$1
    shift
    /usr/bin/time -o time.txt -f '%M' "$@" > said.txt 2>&1 &
    local start=${EPOCHREALTIME/./}
    wait $!
    local end=${EPOCHREALTIME/./}
    echo "$((end - start)) $(tail -1 time.txt)" >> "$name.times"
}

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
    sort -n "$name.times" | awk -v name="$name" '{t[NR] = $1; if ($2 > m) m = $2}
        END {printf "%-8s %8.2f ms, fastest %8.2f, %6.1f MiB\n", name, t[int((NR + 1) / 2)] / 1000, t[1] / 1000, m / 1024}'
done
echo "build $(stat -c %s build.wasm), output $(stat -c %s out.wasm), state $(du -c --block-size=1 .wasmend/out.wasm.heap .wasmend/out.wasm.state | tail -1 | cut -f1) bytes on disk"
if command -v perf > /dev/null; then
    build 1
    "$wasmend" patch out.wasm build.wasm > /dev/null
    build 2
    perf stat -x, -e instructions:u "$wasmend" patch out.wasm build.wasm 2>&1 | tail -2
fi
"$wasmend" verify out.wasm build.wasm
