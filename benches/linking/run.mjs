// How fast linked programs run in V8: `node benches/linking/run.mjs FOLDER`.
//
// FOLDER is one that `programs.sh` has made. Lua and SQLite are linked by wasm-ld-19 and by wasmend, for direct calls and for
// calls through a table, and run in turns, in processor time. Each is compiled once and instantiated for every run; the
// first runs, until V8 has optimised them, do not count. Each process finds its code at other addresses, which alone is worth
// some percent: several processes are asked, and the median of their ratios counts.

import { execFileSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { WASI } from "node:wasi";

const PROCESSES = Number(process.env.WASMEND_PROCESSES ?? 9);
const RUNS = Number(process.env.WASMEND_RUNS ?? 60);
const WARM_UP = 20;
const PROGRAMS = ["lua-O2", "sqlite-O2"];
const LINKERS = {
    "wasm-ld": ["wasm-ld-19"],
    direct: ["target/release/wasmend", "ld"],
    dense: ["target/release/wasmend", "ld", "--no-incremental"],
    table: ["target/release/wasmend", "ld", "--redirect", "table"],
};

function median(values) {
    return [...values].sort((a, b) => a - b)[values.length >> 1];
}

/** Milliseconds of processor time that each of the files takes, run in turns in this process. */
function time(files) {
    const quiet = openSync("/dev/null", "w");
    const modules = files.map((file) => new WebAssembly.Module(readFileSync(file)));
    const times = files.map(() => []);
    for (let run = -WARM_UP; run < RUNS; run++) {
        for (let turn = 0; turn < files.length; turn++) {
            const which = (((run + turn) % files.length) + files.length) % files.length;
            const wasi = new WASI({ version: "preview1", args: ["program"], stdout: quiet, returnOnExit: true });
            const instance = new WebAssembly.Instance(modules[which], wasi.getImportObject());
            const cpu = process.cpuUsage();
            if (wasi.start(instance) !== 0) throw new Error(`${files[which]} failed`);
            const { user, system } = process.cpuUsage(cpu);
            // Instances that wait to be collected hold gigabytes of addresses each, until there are no more.
            if (run % 10 === 0) globalThis.gc();
            if (run >= 0) times[which].push((user + system) / 1e3);
        }
    }
    closeSync(quiet);
    return times.map(median);
}

/** The same in a process of its own. */
function timeInProcess(files) {
    const args = ["--no-warnings", "--expose-gc", import.meta.filename, "--time", ...files];
    return JSON.parse(execFileSync(process.execPath, args).toString());
}

if (process.argv[2] === "--time") {
    console.log(JSON.stringify(time(process.argv.slice(3))));
    process.exit(0);
}
const folder = process.argv[2];
if (folder === undefined) {
    console.error("usage: node benches/linking/run.mjs FOLDER");
    process.exit(2);
}
const names = Object.keys(LINKERS);
console.log(`V8 ${process.versions.v8}, ${PROCESSES} processes of ${RUNS} runs each\n`);
console.log(`| program | wasm-ld ms | ${names.slice(1).join(" | ")} |\n|${"---|".repeat(names.length + 1)}`);
const scratch = mkdtempSync(join(tmpdir(), "wasmend-run-"));
for (const program of PROGRAMS) {
    const files = names.map((name) => {
        const out = join(scratch, `${program}-${name}.wasm`);
        const [command, ...args] = LINKERS[name];
        execFileSync(command, [...args, `@${join(folder, program, "link.rsp")}`, "-o", out]);
        return out;
    });
    const outputs = files.map((file) =>
        execFileSync(process.execPath, ["--no-warnings", "--input-type=module", "-e",
            `import { WASI } from "node:wasi"; import { readFileSync } from "node:fs";
             const wasi = new WASI({ version: "preview1" });
             wasi.start(new WebAssembly.Instance(new WebAssembly.Module(readFileSync(${JSON.stringify(file)})), wasi.getImportObject()));`,
        ]).toString(),
    );
    if (outputs.some((output) => output !== outputs[0] || output === "")) throw new Error(`${program}: other output`);
    let base = 0;
    const ratios = files.slice(1).map((file) => {
        const pairs = [];
        for (let run = 0; run < PROCESSES; run++) {
            pairs.push(timeInProcess([files[0], file]));
        }
        base = median(pairs.map(([theirs]) => theirs));
        const values = pairs.map(([theirs, ours]) => ours / theirs).sort((a, b) => a - b);
        return `${median(values).toFixed(3)} (${values[0].toFixed(3)} to ${values.at(-1).toFixed(3)})`;
    });
    console.log(`| ${program} | ${base.toFixed(2)} | ${ratios.join(" | ")} |`);
}
rmSync(scratch, { recursive: true });
