// The client in Node, with a real server.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { LiveError, instantiateLive, readDelta } from "../wasmend/index.js";
import { workerPeer } from "../wasmend/worker.js";
import { Served, counter, next, wat } from "./support.js";

async function start(first, options = {}, imports = {}, serving = {}) {
  const served = await Served.start(first, serving);
  const app = await instantiateLive(`${served.url}app.wasm`, imports, options);
  app.on("error", (event) => console.error("error:", event.error));
  app.on("refused", (event) => process.env.VERBOSE && console.error("refused:", event.message));
  return { served, app, end: async () => (app.close(), served.stop()) };
}

test("functions become new ones, memory and globals stay", async () => {
  const { served, app, end } = await start(counter(1));
  for (let i = 0; i < 5; i++) app.exports.count();
  const { version } = app.exports;
  served.save(counter(2));
  const patched = await next(app, "patched");
  assert.deepEqual(patched.functions, ["version"]);
  // A function that was kept is the new one too.
  assert.equal(version(), 2);
  assert.equal(app.exports.count(), 6);
  assert.equal(app.exports.calls(), 6);
  await end();
});

test("a change that comes once more, by another way and late, is no error", async () => {
  const { served, app, end } = await start(counter(1));
  const errors = [];
  app.on("error", (event) => errors.push(event.message));
  for (const version of [2, 3]) {
    served.save(counter(version));
    await next(app, "patched");
  }
  const { versions } = await (await fetch(`${served.url}__wasmend/status.json`)).json();
  const { id } = versions.find((version) => version.generation === 2);
  await app.apply(await (await fetch(`${served.url}__wasmend/delta/${id}.wasm`)).arrayBuffer());
  assert.deepEqual(errors, []);
  assert.equal(app.exports.version(), 3);
  await end();
});

test("a listener that fails stops nothing", async () => {
  const { served, app, end } = await start(counter(1));
  const { error } = console;
  console.error = () => {};
  app.on("patched", () => {
    throw new Error("the listener's own");
  });
  served.save(counter(2));
  await next(app, "patched");
  served.save(counter(3));
  await next(app, "patched");
  console.error = error;
  assert.equal(app.exports.version(), 3);
  await end();
});

test("what was missed while the server was away is caught up, or begun anew", async () => {
  const { served, app } = await start(counter(1));
  app.exports.count();
  const port = served.port;
  await served.stop();
  const begun = Promise.all([next(app, "refused"), next(app, "restarted")]);
  const again = await Served.start(counter(5), { port, folder: served.folder });
  // It is another server's first version: nothing leads to it from the old one.
  const [refused] = await begun;
  assert.equal(refused.code, "gone");
  assert.equal(app.exports.version(), 5);
  again.save(counter(6));
  await next(app, "patched");
  assert.equal(app.exports.version(), 6);
  app.close();
  await again.stop();
});

test("what cannot be taken in restarts the program, with what it saves", async () => {
  const state = `
    (func (export "__wasmend_save") (result i64) (i64.or (i64.const 16) (i64.shl (i64.const 4) (i64.const 32))))
    (func (export "__wasmend_restore") (param i32 i32) (result i32) (i32.const 16))`;
  const { served, app, end } = await start(counter(1, state));
  for (let i = 0; i < 3; i++) app.exports.count();
  served.save(counter(2, `${state} (table 4 funcref)`));
  const [refused, restarted] = await Promise.all([next(app, "refused"), next(app, "restarted")]);
  assert.equal(refused.code, "L05");
  assert.match(refused.message, /table/);
  assert.ok(restarted.restored);
  assert.equal(app.exports.version(), 2);
  assert.equal(app.exports.count(), 4, "memory was carried over");
  assert.equal(app.exports.calls(), 1, "globals were not");
  await end();
});

test("a program that keeps what it is goes on", async () => {
  const { served, app, end } = await start(counter(1), { onRefused: "keep" });
  served.save(counter(2, "(table 4 funcref)"));
  await next(app, "refused");
  assert.equal(app.exports.version(), 1);
  assert.equal(app.exports.count(), 1);
  await end();
});

test("an import that the host does not have is named", async () => {
  const { served, app, end } = await start(counter(1), { onRefused: "keep" });
  served.save(counter("(call $now)", "", `(import "env" "now" (func $now (result i32)))`));
  const refused = await next(app, "refused");
  assert.equal(refused.code, "missing-import");
  assert.match(refused.message, /env\.now/);
  assert.equal(app.exports.version(), 1);
  await end();
});

test("damaged, repeated and foreign changes do nothing", async () => {
  const { served, app, end } = await start(counter(1), { events: false, onRefused: "keep" });
  const first = app.version;
  served.save(counter(2));
  let event;
  for (let i = 0; i < 100 && !event; i++) {
    const status = await (await fetch(`${served.url}__wasmend/status.json`)).json();
    event = status.versions.find((version) => version.generation === 2);
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
  const bytes = new Uint8Array(await (await fetch(`${served.url}__wasmend/delta/${event.id}.wasm`)).arrayBuffer());
  const undo = new Uint8Array(await (await fetch(`${served.url}__wasmend/undo/${event.id}.wasm`)).arrayBuffer());
  app.exports.count();
  for (const at of [0, 8, 20, bytes.length >> 1, bytes.length - 60, bytes.length - 1]) {
    const damaged = bytes.slice();
    damaged[at] ^= 0x10;
    assert.throws(() => readDelta(damaged), (error) => error instanceof LiveError && error.code === "damaged");
  }
  for (const length of [0, 7, 40, bytes.length - 1]) {
    assert.throws(() => readDelta(bytes.slice(0, length)), LiveError);
  }
  await app.apply(undo);
  assert.equal(app.version, first, "out of order");
  await app.apply(bytes);
  assert.equal(app.exports.version(), 2);
  await app.apply(bytes);
  assert.equal(app.exports.version(), 2, "twice");
  await app.apply(undo);
  assert.equal(app.exports.version(), 1, "taken back");
  assert.equal(app.version, first);
  assert.equal(app.exports.count(), 2);
  await end();
});

test("a fresh instance takes over when there were many changes", async () => {
  const { served, app, end } = await start(counter(1), { budget: { changes: 3, bytes: 1 << 20 } });
  for (let version = 2; version <= 4; version++) {
    app.exports.count();
    const patched = next(app, "patched");
    const rebased = version === 4 ? next(app, "rebased") : undefined;
    served.save(counter(version));
    await patched;
    await rebased;
  }
  assert.equal(app.live.deltas, 0);
  assert.equal(app.exports.count(), 4);
  assert.equal(app.exports.calls(), 4);
  served.save(counter(5));
  await next(app, "patched");
  assert.equal(app.exports.version(), 5);
  await end();
});

test("a change is taken in at the moment that the host chooses", async () => {
  let go;
  const { served, app, end } = await start(counter(1), { when: (apply) => (go = apply) });
  const patched = next(app, "patched");
  served.save(counter(2));
  while (!go) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.equal(app.exports.version(), 1);
  go();
  await patched;
  assert.equal(app.exports.version(), 2);
  await end();
});

test("hooks are called before and after", async () => {
  const hooks = `
    (import "env" "before" (func $before)) (import "env" "after" (func $after))
    (memory (export "memory") 1)
    (func (export "__wasmend_before_reload") (call $before))
    (func (export "__wasmend_after_reload") (call $after))`;
  const program = (version) => wat(`(module ${hooks} (func (export "version") (result i32) (i32.const ${version})))`);
  const calls = [];
  let exports;
  const log = (name) => () => calls.push([name, exports.version()]);
  const { served, app, end } = await start(program(1), {}, { env: { before: log("before"), after: log("after") } });
  exports = app.exports;
  served.save(program(2));
  await next(app, "patched");
  assert.deepEqual(calls, [["before", 1], ["after", 2]]);
  await end();
});

test("threads with one memory take in a change together", async () => {
  const program = (version) => wat(`(module
    (import "env" "memory" (memory 1 16 shared))
    (func (export "version") (result i32) (i32.const ${version}))
    (func (export "count") (result i32) (i32.atomic.rmw.add (i32.const 16) (i32.const 1))))`);
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 16, shared: true });
  const { served, app, end } = await start(program(1), {}, { env: { memory } });
  const workers = await Promise.all([1, 2].map(async () => {
    const worker = new Worker(new URL("./thread.js", import.meta.url), { workerData: { module: app.module, memory } });
    await new Promise((resolve) => worker.once("message", resolve));
    app.addPeer(workerPeer(worker));
    const ask = (name) => new Promise((resolve) => {
      const listen = (message) => {
        if (message.name !== name) return;
        worker.off("message", listen);
        resolve(message.value);
      };
      worker.on("message", listen);
      worker.postMessage({ call: name });
    });
    return { worker, ask };
  }));
  assert.deepEqual(await Promise.all(workers.map(({ ask }) => ask("version"))), [1, 1]);
  served.save(program(2));
  await next(app, "patched");
  assert.equal(app.exports.version(), 2);
  assert.deepEqual(await Promise.all(workers.map(({ ask }) => ask("version"))), [2, 2]);
  // One that does not come to rest keeps all as they are.
  workers[0].worker.postMessage({ busy: 3000 });
  served.save(program(3));
  const refused = await next(app, "refused");
  assert.equal(refused.code, "thread-busy");
  await Promise.all(workers.map(({ worker }) => worker.terminate()));
  await end();
});
