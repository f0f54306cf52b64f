#!/usr/bin/env bash
# Counts instructions, which do not depend on what else a machine does: of links from nothing, dense ones, and updates of one
# constant. Compares them with `instructions.txt` beside this, and fails if one has grown by more than a
# twentieth; with `--keep` it writes that file anew.
#
# Usage: instructions.sh WASMEND FOLDER [--keep]; FOLDER has the programs that `programs.sh FOLDER` makes. Those that are not there
# are left out, and said to be. Needs valgrind. An update is a fortieth of what a link with forty costs beyond a link without.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
wasmend=$(realpath "$1") folder=$(realpath "$2") keep=${3:-}
kept=$here/instructions.txt
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# Instructions of a command on one thread.
count() {
    RAYON_NUM_THREADS=1 valgrind --tool=callgrind --callgrind-out-file=/dev/null "$wasmend" "$@" 2>&1 >/dev/null |
        sed -n 's/.*Collected : //p'
}

for program in lua-O2 sqlite-O2 spirv-O0 rust-debug generated; do
    from=$folder/$program
    if [ ! -f "$from/link.rsp" ]; then
        echo "$program: is not there" >&2
        continue
    fi
    echo "$program link $(count ld "@$from/link.rsp" -o "$scratch/out.wasm")"
    echo "$program dense $(count ld --no-incremental "@$from/link.rsp" -o "$scratch/out.wasm")"
    # Both begin with what is there.
    mkdir -p "$scratch/$program"
    for object in "$from"/edited/*; do
        cp "$(grep -m 1 "/$(basename "$object")\$" "$from/link.rsp")" "$scratch/$program"
    done
    without=$(count replay-ld --step "$scratch/$program" -- "@$from/link.rsp" -o "$scratch/out.wasm")
    # Two equal links differ by up to a million instructions, so that a few updates say little.
    steps=()
    for _ in {1..20}; do
        steps+=(--step "$from/edited" --step "$scratch/$program")
    done
    with=$(count replay-ld --step "$scratch/$program" "${steps[@]}" -- "@$from/link.rsp" -o "$scratch/out.wasm")
    echo "$program update $(((with - without) / 40))"
done | tee "$scratch/now"

if [ "$keep" = --keep ]; then
    cp "$scratch/now" "$kept"
    exit
fi
awk 'NR == FNR { before[$1 " " $2] = $3; next }
     { name = $1 " " $2; was = before[name]
       if (was == "") { printf "%s: not measured before\n", name; next }
       printf "%-20s %12.0f  %.3f of what it was\n", name, $3, $3 / was
       if ($3 > was * 1.05) grown = 1 }
     END { if (grown) { print "error: something has grown by more than a twentieth"; exit 1 } }' "$kept" "$scratch/now"
