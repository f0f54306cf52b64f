// How long V8 takes to load patchable files, against their dense forms: `node benches/load/v8.mjs FOLDER`.
//
// FOLDER holds pairs `X.wasm` and `X.dense.wasm`, as `WASMEND_KEEP=FOLDER cargo bench --bench patching` leaves them.
// The two files of a pair are compiled in turns, so that what else the machine does falls on both. V8 keeps compiled
// modules and looks them up by their bytes: each run's bytes differ, in a custom section at the end.

import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";

const RUNS = Number(process.env.WASMEND_RUNS ?? 31);
const WARM_UP = 3;

/** The module, with a custom section that no other call has made. */
let made = 0;
function unique(bytes) {
    made += 1;
    const section = new Uint8Array(8);
    section.set([0, 6, 1, 0x78]);
    new DataView(section.buffer).setUint32(4, made, true);
    const all = new Uint8Array(bytes.length + section.length);
    all.set(bytes);
    all.set(section, bytes.length);
    return all;
}

function time(bytes) {
    const fresh = unique(bytes);
    const cpu = process.cpuUsage();
    const start = process.hrtime.bigint();
    const module = new WebAssembly.Module(fresh);
    const end = process.hrtime.bigint();
    const { user, system } = process.cpuUsage(cpu);
    if (!(module instanceof WebAssembly.Module)) throw new Error("no module");
    return { wall: Number(end - start) / 1e6, cpu: (user + system) / 1e3 };
}

function median(values) {
    return values.sort((a, b) => a - b)[values.length >> 1];
}

const folder = process.argv[2];
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
console.log(`V8 ${process.versions.v8}, ${process.execArgv.join(" ") || "its own tiers"}, ${RUNS} runs each\n`);
console.log("| file | MB | dense MB | ms | dense ms | ratio | ratio of processor time |\n|---|---|---|---|---|---|---|");
for (const name of names) {
    const files = [`${name}.wasm`, `${name}.dense.wasm`].map((file) => readFileSync(join(folder, file)));
    const times = [[], []];
    for (let run = -WARM_UP; run < RUNS; run++) {
        // Who goes first changes: the second may find a warmer or a busier machine.
        for (const which of run % 2 === 0 ? [0, 1] : [1, 0]) {
            const took = time(files[which]);
            if (run >= 0) times[which].push(took);
        }
    }
    const [ours, dense] = times.map((runs) => median(runs.map((took) => took.wall)));
    // All threads together. Other programs disturb it less: on a busy machine this is the figure to read.
    const [cpu, denseCpu] = times.map((runs) => median(runs.map((took) => took.cpu)));
    const size = files.map((bytes) => (bytes.length / 1e6).toFixed(2));
    console.log(
        `| ${name} | ${size[0]} | ${size[1]} | ${ours.toFixed(2)} | ${dense.toFixed(2)} | ${(ours / dense).toFixed(3)} | ${(cpu / denseCpu).toFixed(3)} |`,
    );
}
