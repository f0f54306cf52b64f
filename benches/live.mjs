// Takes a delta into an instance in V8, as `design/live.md` says, and says how long it took: `node benches/live.mjs FOLDER`.
//
// FOLDER holds `base.wasm` and the deltas `0.delta.wasm`, `1.delta.wasm` and so on, as `WASMEND_KEEP=FOLDER cargo bench
// --bench live` leaves them. Each delta makes another function of the base's `main` return something else.

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

const folder = process.argv[2];
const base = new WebAssembly.Module(readFileSync(join(folder, "base.wasm")));
const instance = new WebAssembly.Instance(base, {});
const [identity] = WebAssembly.Module.customSections(base, "wasmend");
const given = Object.fromEntries(
    Object.entries(instance.exports).filter(([name]) => name.startsWith("__wasmend_")),
);
const epoch = new DataView(identity).getBigInt64(20, true);
given.epoch = new WebAssembly.Global({ value: "i64", mutable: true }, epoch);

function sum(bytes) {
    let sum = 0x811c9dc5;
    for (const byte of bytes) sum = Math.imul(sum ^ byte, 0x01000193);
    return sum >>> 0;
}

const times = [];
const seen = new Set([instance.exports.main(1)]);
let at = 0;
for (; existsSync(join(folder, `${at}.delta.wasm`)); at += 1) {
    const bytes = readFileSync(join(folder, `${at}.delta.wasm`));
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    if (sum(bytes.subarray(0, -4)) !== view.getUint32(bytes.length - 4, true)) throw new Error("damaged");
    const start = performance.now();
    const made = new WebAssembly.Instance(new WebAssembly.Module(bytes), { __wasmend: given });
    const codes = [made.exports.prepare(), made.exports.apply()];
    times.push(performance.now() - start);
    if (codes.some((code) => code !== 0)) throw new Error(`codes ${codes}`);
    if (made.exports.apply() !== 1) throw new Error("taken in twice");
    for (const [name, value] of Object.entries(made.exports)) {
        if (name.startsWith("__wasmend_")) given[name] = value;
    }
    seen.add(instance.exports.main(1));
}
times.sort((a, b) => a - b);
console.log(`${at} deltas, ${seen.size} results, median ${(1000 * times[at >> 1]).toFixed(1)} us`);
