// Runs in V8 what `WASMEND_KEEP=FOLDER cargo test --test live random::in_wasmi` has kept, and compares: `node tests/live/replay.mjs
// FOLDER`. What takes in deltas is the client of the package `wasmend`.

import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { LiveInstance } from "../../npm/wasmend/delta.js";

const numbers = new DataView(new ArrayBuffer(8));

/** A number of 64 bits as one of this type, as the other host makes it. */
function as(kind, number) {
  if (kind === "i32") return Number(BigInt.asIntN(32, number));
  if (kind === "i64") return number;
  return kind === "f32" ? Math.fround(Number(number)) : Number(number);
}

/** As whole numbers are made of floats: towards zero, within what there is, nothing of what is no number. */
function whole(value) {
  if (typeof value === "bigint") return value;
  if (Number.isNaN(value)) return 0n;
  const [least, most] = [-(2n ** 63n), 2n ** 63n - 1n];
  if (value >= Number(most)) return most;
  return value <= Number(least) ? least : BigInt(Math.trunc(value));
}

function read([kind, text]) {
  if (kind === "i32") return Number(text);
  if (kind === "i64") return BigInt(text);
  if (kind === "f32") {
    numbers.setUint32(0, Number(text));
    return numbers.getFloat32(0);
  }
  numbers.setBigUint64(0, BigInt(text));
  return numbers.getFloat64(0);
}

/** What a module imports of the host; `env` is what the host has already. */
function give(env, imports) {
  for (const { name, of } of imports) {
    const number = [...new TextEncoder().encode(name)].reduce((sum, byte) => sum + BigInt(byte), 0n);
    if (of.results) {
      env[name] = (...params) => {
        const mixed = params.reduce((mixed, param) => BigInt.asIntN(64, mixed * 17n + whole(typeof param === "number" && Number.isInteger(param) ? BigInt(param) : param)), number);
        const results = of.results.map((kind) => as(kind, mixed));
        return results.length > 1 ? results : results[0];
      };
    } else if (of.global) {
      const had = env[name];
      if (had?.kind === of.global && had?.mutable === of.mutable) continue;
      const global = new WebAssembly.Global({ value: of.global, mutable: of.mutable }, as(of.global, number));
      env[name] = Object.assign(global, { kind: of.global, mutable: of.mutable });
    } else if (!(env[name] instanceof WebAssembly.Table)) {
      const maximum = of.maximum ?? undefined;
      env[name] = new WebAssembly.Table({ element: "anyfunc", initial: of.table, maximum });
    }
  }
}

function sum(live) {
  let sum = 0x811c9dc5;
  for (const byte of new Uint8Array(live.memory().buffer)) sum = Math.imul(sum ^ byte, 0x01000193);
  return sum >>> 0;
}

/** A copy of memory. */
function copy(live) {
  return Buffer.from(live.memory().buffer.slice(0));
}

function expectSame(live, should, what) {
  if (!Buffer.from(live.memory().buffer).equals(should)) throw new Error(`${what} is not as it was`);
}

function expect(is, should, what) {
  if (!Object.is(is, should)) throw new Error(`${what}: ${is} and not ${should}`);
}

const seen = { programs: 0, deltas: 0, calls: 0, traps: 0 };

async function replay(folder) {
  let live, env;
  const bytes = (name) => readFileSync(join(folder, name));
  const apply = async (name, imports) => {
    give(env, imports);
    const prepared = await live.prepare(bytes(name));
    prepared.apply();
    return prepared;
  };
  for (const event of JSON.parse(readFileSync(join(folder, "events.json"), "utf8"))) {
    if (event.load) {
      env = {};
      give(env, event.imports);
      const module = new WebAssembly.Module(bytes(event.load));
      live = new LiveInstance(module, new WebAssembly.Instance(module, { env }), { env });
    } else if (event.delta) {
      const before = copy(live);
      const { kept } = await apply(event.delta, event.imports[0]);
      expect(kept > 0, event.kept, `${folder} ${event.delta}: kept`);
      const after = copy(live);
      await apply(event.undo, event.imports[1]);
      if (kept === 0) expectSame(live, before, `${folder} ${event.delta}: memory, taken back,`);
      await apply(event.delta, event.imports[0]);
      if (kept === 0) expectSame(live, after, `${folder} ${event.delta}: memory, taken in again,`);
      seen.deltas += 1;
    } else {
      for (const { name, params, results } of event.calls) {
        const { reset, [name]: called } = live.instance.exports;
        reset?.();
        let got;
        try {
          got = called(...params.map(read));
        } catch (error) {
          if (!(error instanceof WebAssembly.RuntimeError)) throw error;
          expect(results, null, `${folder} ${name}: ${error.message}`);
          seen.traps += 1;
          continue;
        }
        if (results === null) throw new Error(`${folder} ${name}: it should have trapped, and gave ${got}`);
        const all = results.length > 1 ? got : results.length ? [got] : [];
        results.forEach((result, at) => {
          if (result[0] !== "ref") expect(all[at], read(result), `${folder} ${name}, result ${at}`);
        });
        seen.calls += 1;
      }
      expect(sum(live), event.sum, `${folder}: memory`);
    }
  }
  seen.programs += 1;
}

for (const name of readdirSync(process.argv[2])) {
  const folder = join(process.argv[2], name);
  if (existsSync(join(folder, "events.json"))) await replay(folder);
}
console.log(seen);
if (seen.programs === 0 || seen.calls === 0) throw new Error("nothing was replayed");
