// How long V8 takes to load patchable files, against their dense forms: `node benches/load/v8.mjs FOLDER`.
//
// FOLDER holds pairs `X.wasm` and `X.dense.wasm`, as `WASMEND_KEEP=FOLDER cargo bench --bench patching` leaves them.
// Each load is the first of a process of its own, as a page's is, and the two files of a pair are loaded in turns, so that
// what else the machine does falls on both. In one process the figures depend on what the allocator has left of the loads
// before: ten thousand bytes more or less make a fifth of the time, either way.

import { execFileSync } from "node:child_process";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const RUNS = Number(process.env.WASMEND_RUNS ?? 31);
const EMPTY = new Uint8Array([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]);

/** What one load takes: prints milliseconds, by the clock and of all threads together. */
function load(path) {
    const bytes = readFileSync(path);
    // What V8 sets up for its first module is no part of it.
    new WebAssembly.Module(EMPTY);
    const cpu = process.cpuUsage();
    const start = process.hrtime.bigint();
    const module = new WebAssembly.Module(bytes);
    const end = process.hrtime.bigint();
    const { user, system } = process.cpuUsage(cpu);
    if (!(module instanceof WebAssembly.Module)) throw new Error("no module");
    console.log(JSON.stringify({ wall: Number(end - start) / 1e6, cpu: (user + system) / 1e3 }));
}

function time(path) {
    const self = fileURLToPath(import.meta.url);
    return JSON.parse(execFileSync(process.execPath, [...process.execArgv, self, "--load", path]));
}

function median(values) {
    return values.sort((a, b) => a - b)[values.length >> 1];
}

const [, , folder, path] = process.argv;
if (folder === "--load") {
    load(path);
    process.exit(0);
}
if (folder === undefined) {
    console.error("usage: node benches/load/v8.mjs FOLDER");
    process.exit(2);
}
const names = readdirSync(folder)
    .filter((name) => name.endsWith(".wasm") && !name.endsWith(".dense.wasm"))
    .map((name) => name.slice(0, -".wasm".length))
    .sort();
if (names.length === 0) {
    console.error(`there is no X.wasm in ${folder}`);
    process.exit(1);
}
console.log(`V8 ${process.versions.v8}, ${process.execArgv.join(" ") || "its own tiers"}, ${RUNS} processes each\n`);
console.log("| file | MB | dense MB | ms | dense ms | ratio | ratio of processor time |\n|---|---|---|---|---|---|---|");
for (const name of names) {
    const files = [`${name}.wasm`, `${name}.dense.wasm`].map((file) => join(folder, file));
    const times = [[], []];
    for (let run = 0; run < RUNS; run++) {
        // Who goes first changes: the second may find a warmer or a busier machine.
        for (const which of run % 2 === 0 ? [0, 1] : [1, 0]) times[which].push(time(files[which]));
    }
    const [ours, dense] = times.map((runs) => median(runs.map((took) => took.wall)));
    // All threads together. Other programs disturb it less: on a busy machine this is the figure to read.
    const [cpu, denseCpu] = times.map((runs) => median(runs.map((took) => took.cpu)));
    const size = files.map((file) => (readFileSync(file).length / 1e6).toFixed(2));
    console.log(
        `| ${name} | ${size[0]} | ${size[1]} | ${ours.toFixed(2)} | ${dense.toFixed(2)} | ${(ours / dense).toFixed(3)} | ${(cpu / denseCpu).toFixed(3)} |`,
    );
}
