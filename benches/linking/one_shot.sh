#!/bin/bash
# Links by processes that end: what one costs that goes on where another ended (`wasmend ld --state`), or that asks one which stays
# (`--daemon`: `asks`, and `asks-null` with nothing to do), beside wasm-ld-19 and beside wasmend without state. Prints medians of whole processes, in milliseconds, and the most memory.
#
# Usage: one_shot.sh WASMEND GENERATOR FOLDER [TURNS]; GENERATOR is the example of that name, built. In FOLDER the program of 2,000
# objects is made, unless it is there. Where FOLDER has `sqlite3.a.o` and `sqlite3.b.o`, two versions of one object, they are
# linked too, with the arguments in `sqlite3.arguments`. Where it has `rust-debug`, as `programs.sh FOLDER rust-debug` makes it, that is
# linked with a constant changed in the program and in its library, objects and members called otherwise each time, as by Cargo.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
wasmend=$(realpath "$1") generator=$(realpath "$2") folder=$3 turns=${4:-15}
mkdir -p "$folder"
cd "$folder"
. "$here/timed.sh"

report() {
    local theirs ours least memory
    read -r theirs _ <<< "$(figures "$1.wasm-ld")"
    for name in wasm-ld plain cold null edit asks-null asks; do
        read -r ours least memory <<< "$(figures "$1.$name")"
        printf '%-12s %-8s %8.2f ms, fastest %8.2f, %6.1f MiB  1/%.1f of wasm-ld\n' "$1" "$name" "$ours" "$least" "$memory" \
            "$(awk "BEGIN {print $theirs / $ours}")"
    done
    echo "$1: output $(stat -c %s "$1.wasm"), state $(on_disk "$1.wasm") bytes on disk"
}

# measure NAME EDIT ARGUMENTS...: EDIT is a function that makes version $1.
measure() {
    local name=$1 edit=$2
    shift 2
    rm -f "$name".*.times
    for turn in $(seq "$turns"); do
        "$edit" "$turn"
        timed "$name.wasm-ld" wasm-ld-19 "$@" -o "$name.theirs.wasm"
        timed "$name.plain" "$wasmend" ld --no-state "$@" -o "$name.plain.wasm"
        rm -rf ".wasmend/$name.wasm."* "$name.wasm"
        timed "$name.cold" "$wasmend" ld --state "$@" -o "$name.wasm"
        sleep 0.05
        timed "$name.null" "$wasmend" ld --state "$@" -o "$name.wasm"
        # The first patch copies the output; those that follow change the copy before.
        for edited in 1 2 3; do
            "$edit" "$((turn + edited))"
            sleep 0.05
            [ $edited = 1 ] && "$wasmend" ld --state "$@" -o "$name.wasm" || timed "$name.edit" "$wasmend" ld --state "$@" -o "$name.wasm"
            sleep 0.05
            # The first of all starts the process that stays.
            [ "$turn.$edited" = 1.1 ] && "$wasmend" ld --daemon "$@" -o "$name.asks.wasm" || timed "$name.asks" "$wasmend" ld --daemon "$@" -o "$name.asks.wasm"
            sleep 0.2
            # What was too new to be told by its times is looked at once more by the first.
            "$wasmend" ld --daemon "$@" -o "$name.asks.wasm"
            sleep 0.1
            timed "$name.asks-null" "$wasmend" ld --daemon "$@" -o "$name.asks.wasm"
        done
    done
    "$wasmend" clean "$name.asks.wasm" > /dev/null
    report "$name"
}

[ -f objects.rsp ] || "$generator" . > /dev/null 2>&1
edit_objects() { "$generator" "$PWD" --edit "17.3=$(($1 % 3 + 1))" > /dev/null 2>&1; }
measure objects edit_objects --no-entry --export=run @objects.rsp

if [ -f sqlite3.a.o ]; then
    edit_sqlite() {
        cp "sqlite3.$([ $(($1 % 2)) = 0 ] && echo a || echo b).o" sqlite3.new.o
        mv sqlite3.new.o sqlite3.o
    }
    # shellcheck disable=SC2046
    measure sqlite3 edit_sqlite $(cat sqlite3.arguments)
fi

# install_rust BUILD OBJECTS LIBRARY: what Cargo leaves behind a build: all of the program's objects have the build in their names.
install_rust() {
    local build=$1 objects=$2 library=$3 word name
    rm -f rust.*.rcgu.o
    while read -r word; do
        case $word in
        "$PWD"/rust-debug/*.o)
            name=$(basename "$word" .o)
            [ -f "$objects/$name.o" ] && cp "$objects/$name.o" "rust.$name.$build.rcgu.o" || cp "$word" "rust.$name.$build.rcgu.o"
            echo "rust.$name.$build.rcgu.o"
            ;;
        */libdescribe.rlib) echo rust.libdescribe.rlib ;;
        *) echo "$word" ;;
        esac
    done < rust-debug/link.rsp > rust.rsp
    if ! cmp -s "$library" rust.libdescribe.rlib; then
        cp "$library" rust.new
        mv rust.new rust.libdescribe.rlib
    fi
}

if [ -d rust-debug ]; then
    # In every second build it is the edited one.
    edit_rust_program() {
        local objects=none
        [ $(($1 % 2)) = 0 ] || objects=rust-debug/edited
        install_rust "$1" "$objects" rust-debug/libdescribe.rlib
    }
    measure rust-program edit_rust_program @rust.rsp
    edit_rust_library() {
        local library=rust-debug/libdescribe.rlib
        [ $(($1 % 2)) = 0 ] || library=rust-debug/edited-library/libdescribe.rlib
        install_rust "$1" none "$library"
    }
    measure rust-library edit_rust_library @rust.rsp
    rm -f rust.*.rcgu.o rust.libdescribe.rlib
fi
