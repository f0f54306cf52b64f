// A program that is brought up to date while it runs: made from a URL or bytes, it listens for changes and takes them in
// between calls. Pages, bundlers and threads are for others; all that is known of them here is what they hand in.
import { LiveError, LiveInstance, hex, readDelta } from "./delta.js";
import { eventStream } from "./stream.js";

export { LiveError, readDelta, eventStream };

const DEFAULTS = {
  /** A fresh instance takes over after so many changes, or so many bytes of them: engines never free a change's code. */
  budget: { changes: 500, bytes: 16 * 1024 * 1024 },
  /** What happens if a change cannot be taken in: "restart", "keep", or a function that returns one of these. */
  onRefused: "restart",
  /** When a change is taken in: "now", "frame", "idle", or a function that calls what it is given at a good moment. */
  when: "now",
};

/**
 * Makes an instance of a program and keeps it up to date.
 * @param {string | URL | Response | BufferSource} source
 * @param {WebAssembly.Imports | ((memory: object) => WebAssembly.Imports)} [imports]
 * @param {object} [options]
 */
export async function instantiateLive(source, imports = {}, options = {}) {
  const program = new LiveProgram(source, imports, { ...DEFAULTS, ...options });
  await program.start();
  return program;
}

/** A program and what has become of it. Listen with `on`: `patched`, `refused`, `restarted`, `rebased`, `error`, `building`. */
export class LiveProgram {
  #source;
  #imports;
  #options;
  #listeners = new Map();
  #queue = Promise.resolve();
  #stop = () => {};
  #live;
  #closed = false;
  #refusedAt = null;
  /** Threads that share the program's memory, each with `prepare`, `hold`, `release`. */
  #peers = new Set();

  constructor(source, imports, options) {
    this.#source = source;
    this.#imports = imports;
    this.#options = options;
    this.exports = Object.create(null);
  }

  /** The instance that runs now: another one after a restart. */
  get instance() {
    return this.#live.instance;
  }

  get module() {
    return this.#live.module;
  }

  /** The build id of the version that runs, as text. */
  get version() {
    return this.#live.version;
  }

  /** What deltas import, for those who make instances of their own, as threads do. */
  get live() {
    return this.#live;
  }

  /** Calls `listener` for each event of a kind. Returns a function that ends this. */
  on(kind, listener) {
    const listeners = this.#listeners.get(kind) ?? new Set();
    this.#listeners.set(kind, listeners.add(listener));
    return () => listeners.delete(listener);
  }

  #emit(kind, detail) {
    for (const listener of this.#listeners.get(kind) ?? []) {
      try {
        listener(detail);
      } catch (error) {
        // A listener that fails is its owner's affair, and must not stop the program from being brought up to date.
        if (globalThis.reportError) globalThis.reportError(error);
        else console.error(error);
      }
    }
  }

  async start() {
    this.#live = await this.#make(await this.#load(this.#source));
    this.#fillExports();
    const events = this.#options.events;
    if (events === false) return;
    const connect = typeof events === "function" ? events : eventStream(events ?? defaultEvents(this.#source));
    this.#stop = connect((event) => this.receive(event), () => this.version) ?? (() => {});
  }

  /** Listens no more. The program goes on as it is. */
  close() {
    this.#closed = true;
    this.#stop();
  }

  /** A thread that shares the memory: see `./worker.js`. Returns a function that takes it out again. */
  addPeer(peer) {
    this.#peers.add(peer);
    return () => this.#peers.delete(peer);
  }

  /**
   * What a stream of events hands in, one after the other. Resolves when the event has been dealt with.
   * @param {{ type: string }} event
   */
  receive(event) {
    const done = this.#queue.then(() => (this.#closed ? undefined : this.#dispatch(event)));
    this.#queue = done.catch((error) => this.#emit("error", { error, message: error.message }));
    return this.#queue;
  }

  /** Takes in a change that somebody else has brought. @param {BufferSource} bytes */
  async apply(bytes, detail = {}) {
    return this.receive({ type: "delta", bytes: toBytes(bytes), ...detail });
  }

  async #dispatch(event) {
    switch (event.type) {
      case "delta":
        this.#emit("building", { building: false });
        return this.#take(event);
      case "refused":
        return this.#refuse(new LiveError(event.code ?? "refused", event.message), event);
      case "building":
        return this.#emit("building", { building: true, ...event });
      case "error":
        return this.#emit("error", { ...event, error: new LiveError("build", event.message) });
      case "gone":
        return this.#refuse(new LiveError("gone", "the changes since this version are not kept any more"), event);
      case "current":
        if (event.version && event.version !== this.version) {
          return this.#refuse(new LiveError("other-version", "the server has another version of the program"), event);
        }
        return this.#emit("building", { building: false });
      default:
        return undefined;
    }
  }

  async #take(event) {
    const start = now();
    const bytes = event.bytes ?? (event.data ? fromBase64(event.data) : await this.#fetchBytes(event.url));
    const fetched = now();
    const { from, to } = readDelta(bytes);
    if (hex(to.buildId) === this.version) return;
    if (hex(from.buildId) !== this.version) {
      // What comes by several ways can come late.
      if (this.#refusedAt || to.generation <= this.#live.identity.generation) return;
      throw new LiveError("out-of-order", `a change leads from ${hex(from.buildId)}, but the program is at ${this.version}`);
    }
    let prepared;
    try {
      prepared = await this.#live.prepare(bytes);
      prepared.check();
    } catch (error) {
      return this.#refuse(error, event);
    }
    const compiled = now();
    try {
      await this.#atSafePoint(() => this.#applyEverywhere(prepared, bytes));
    } catch (error) {
      return this.#refuse(error, event);
    }
    const applied = now();
    this.#emit("patched", {
      version: this.version,
      generation: Number(to.generation),
      functions: prepared.functions,
      bytes: bytes.length,
      kept: prepared.kept,
      ms: { fetch: fetched - start, compile: compiled - fetched, apply: applied - compiled, total: applied - start },
    });
    if (this.#live.deltas >= this.#options.budget.changes || this.#live.deltaBytes >= this.#options.budget.bytes) {
      await this.rebase(event.module);
    }
  }

  #atSafePoint(apply) {
    const when = this.#options.when;
    return new Promise((resolve, reject) => {
      const go = () => {
        try {
          resolve(apply());
        } catch (error) {
          reject(error);
        }
      };
      if (typeof when === "function") when(go);
      else if (when === "frame" && typeof requestAnimationFrame === "function") requestAnimationFrame(go);
      else if (when === "idle" && typeof requestIdleCallback === "function") requestIdleCallback(go);
      else go();
    });
  }

  async #applyEverywhere(prepared, bytes) {
    if (this.#peers.size === 0) return prepared.apply();
    const peers = [...this.#peers];
    const held = await Promise.allSettled(peers.map((peer) => peer.hold(bytes)));
    const failed = held.find((it) => it.status === "rejected");
    let applied = false;
    try {
      if (failed) throw failed.reason;
      prepared.check();
      this.#live.call("__wasmend_before_reload");
      prepared.applyData();
      prepared.applySlots();
      applied = true;
    } finally {
      await Promise.allSettled(peers.map((peer) => peer.release(applied)));
    }
    this.#live.call("__wasmend_after_reload");
  }

  async #refuse(error, event) {
    const choice = this.#options.onRefused;
    this.#refusedAt = this.version;
    const detail = { code: error.code, message: error.message, symbol: event.symbol, help: event.help, error };
    this.#emit("refused", detail);
    const action = typeof choice === "function" ? await choice(detail) : choice;
    if (action === "restart") await this.restart(event.module);
  }

  /** A fresh instance of the newest version, with what the program saves for itself. */
  async restart(source = undefined) {
    const saved = this.#live.save();
    const old = this.version;
    const bytes = await this.#load(source ?? this.#source, true);
    const live = await this.#make(bytes);
    const restored = live.restore(saved);
    this.#live = live;
    this.#refusedAt = null;
    this.#fillExports();
    this.#emit("restarted", { from: old, version: this.version, restored });
  }

  /** A fresh instance of the version that runs, with memory and globals as they are: code that was replaced goes. */
  async rebase(source = undefined) {
    const bytes = await this.#load(source ?? this.#source, true);
    const module = await WebAssembly.compile(bytes, this.#options.compileOptions);
    const live = await this.#make(bytes, module);
    if (live.version !== this.version) return false;
    live.takeStateOf(this.#live);
    this.#live = live;
    this.#fillExports();
    this.#emit("rebased", { version: this.version });
    return true;
  }

  async #make(bytes) {
    const compileOptions = this.#options.compileOptions;
    const module = await WebAssembly.compile(bytes, compileOptions);
    const imports = typeof this.#imports === "function" ? this.#imports(this) : this.#imports;
    const instance = await WebAssembly.instantiate(module, imports);
    return new LiveInstance(module, instance, imports, compileOptions);
  }

  /** One object for all instances: functions call whichever runs, the rest is looked up. */
  #fillExports() {
    const current = this.#live.instance.exports;
    for (const name of Object.keys(this.exports)) {
      if (!(name in current)) delete this.exports[name];
    }
    for (const [name, value] of Object.entries(current)) {
      if (name in this.exports || name.startsWith("__wasmend_")) continue;
      const get = typeof value === "function" ? forward(name, () => this.#live.instance.exports) : undefined;
      Object.defineProperty(this.exports, name, {
        enumerable: true,
        configurable: true,
        get: get ? () => get : () => this.#live.instance.exports[name],
      });
    }
  }

  async #load(source, fresh = false) {
    if (ArrayBuffer.isView(source) || source instanceof ArrayBuffer) return toBytes(source);
    if (typeof Response !== "undefined" && source instanceof Response) {
      if (fresh && source.url) return this.#fetchBytes(source.url);
      return new Uint8Array(await source.arrayBuffer());
    }
    return this.#fetchBytes(source);
  }

  async #fetchBytes(url) {
    const fetch = this.#options.fetch ?? globalThis.fetch;
    const response = await fetch(url, { cache: "no-store" });
    if (!response.ok) throw new LiveError("fetch", `${url}: the server answers with ${response.status}`);
    return new Uint8Array(await response.arrayBuffer());
  }
}

function forward(name, exports) {
  const call = (...args) => exports()[name](...args);
  Object.defineProperty(call, "name", { value: name });
  return call;
}

function toBytes(source) {
  return ArrayBuffer.isView(source)
    ? new Uint8Array(source.buffer, source.byteOffset, source.byteLength)
    : new Uint8Array(source);
}

function fromBase64(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

function now() {
  return globalThis.performance?.now() ?? Date.now();
}

/** Where `wasmend serve` sends its events from. */
function defaultEvents(source) {
  const url = typeof Response !== "undefined" && source instanceof Response ? source.url : source;
  const base = globalThis.location?.href ?? (url instanceof URL || /^[a-z]+:/.test(String(url)) ? undefined : "http://localhost/");
  return new URL("/__wasmend/events", new URL(String(url), base));
}
