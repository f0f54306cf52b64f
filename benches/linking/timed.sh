# Times of whole processes, for the scripts beside this, which source it.

# timed NAME COMMAND...: runs a command; what it says goes to said.txt, its time and memory to NAME.times.
timed() {
    local name=$1
    shift
    /usr/bin/time -o time.txt -f '%M' "$@" > said.txt 2>&1 &
    local start=${EPOCHREALTIME/./}
    wait $!
    local end=${EPOCHREALTIME/./}
    echo "$((end - start)) $(tail -1 time.txt)" >> "$name.times"
}

# figures NAME: the median and the least of its times, in milliseconds, and the most memory, in MiB. Starting a process is a
# part of all times.
figures() {
    sort -n "$1.times" | awk '{t[NR] = $1; if ($2 > m) m = $2}
        END {print t[int((NR + 1) / 2)] / 1000, t[1] / 1000, m / 1024}'
}

# on_disk OUTPUT: the bytes that what is kept beside an output takes.
on_disk() {
    du -c --block-size=1 ".wasmend/$1.heap" ".wasmend/$1.state" | tail -1 | cut -f1
}
