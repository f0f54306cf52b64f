// A delta, its trailer and its application to one instance. Knows nothing of where deltas come from, nor of pages.
// What stands where is said in design/live.md.

/** What went wrong, with a word that programs can look at. */
export class LiveError extends Error {
  /** @param {string} code @param {string} message */
  constructor(code, message, options) {
    super(message, options);
    this.name = "LiveError";
    this.code = code;
  }
}

const IDENTITY_LEN = 36;
const GENERATION_AT = 12;
const BUILD_ID_AT = 20;
const TRAILER_LEN = 56;
const SUM_AT = 52;
const FORMAT = 1;

/** Up to so many bytes are compiled at once: handing them to another thread and back takes longer. Pages may, too. */
const MOST_AT_ONCE = 4096;

/** What the codes of `prepare` and `apply` mean. */
const REFUSALS = [
  undefined,
  ["already-applied", "the program has this version already"],
  ["other-version", "the change is for another version of the program"],
  ["table-full", "the table of functions cannot grow as far as the change needs"],
  ["memory-too-small", "the memory ends before the data of the change does"],
  ["state", "the program has changed memory that the change would write over"],
];

/** @param {Uint8Array} bytes */
export function hex(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Which version a module is that was made for live reload. @param {WebAssembly.Module} module */
export function identityOf(module) {
  const sections = WebAssembly.Module.customSections(module, "wasmend");
  const section = sections[sections.length - 1];
  if (!section || section.byteLength !== IDENTITY_LEN) {
    throw new LiveError("not-live", "the module was not written by wasmend: make it with --live");
  }
  return {
    generation: new DataView(section).getBigUint64(GENERATION_AT, true),
    buildId: new Uint8Array(section.slice(BUILD_ID_AT, IDENTITY_LEN)),
  };
}

/** Checks a delta and says from and to which version it leads. @param {Uint8Array} bytes */
export function readDelta(bytes) {
  const name = "wasmend.delta";
  const at = bytes.length - TRAILER_LEN;
  const damaged = (why) => new LiveError("damaged", `the change was damaged on its way: ${why}`);
  const header = at - name.length;
  if (header < 8 || new TextDecoder().decode(bytes.subarray(header, at)) !== name) {
    throw damaged("it does not end as a change does");
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, TRAILER_LEN);
  let sum = 0x811c9dc5;
  for (let i = 0; i < at + SUM_AT; i++) {
    sum = Math.imul(sum ^ bytes[i], 0x01000193);
  }
  if (sum >>> 0 !== view.getUint32(SUM_AT, true)) {
    throw damaged("its sum is wrong");
  }
  const format = view.getUint32(0, true);
  if (format !== FORMAT) {
    throw new LiveError("format", `the change has format ${format}, and this client reads ${FORMAT}: update the package wasmend`);
  }
  const trailer = bytes.subarray(at);
  return {
    from: { generation: view.getBigUint64(4, true), buildId: trailer.slice(12, 28) },
    to: { generation: view.getBigUint64(28, true), buildId: trailer.slice(36, 52) },
  };
}

/** One instance, and what deltas import from it. */
export class LiveInstance {
  /**
   * @param {WebAssembly.Module} module
   * @param {WebAssembly.Instance} instance
   * @param {WebAssembly.Imports} imports what the program itself imports
   * @param {object} [compileOptions] what the program was compiled with
   */
  constructor(module, instance, imports, compileOptions) {
    this.module = module;
    this.instance = instance;
    this.imports = imports;
    this.compileOptions = compileOptions;
    this.identity = identityOf(module);
    this.deltas = 0;
    this.deltaBytes = 0;
    const own = Object.entries(instance.exports).filter(([name]) => name.startsWith("__wasmend_"));
    this.given = Object.fromEntries(own);
    if (!this.given.__wasmend_table) {
      throw new LiveError("not-live", "the module has no table of functions to change: make it with --live");
    }
    this.given.epoch = new WebAssembly.Global({ value: "i64", mutable: true }, firstHalf(this.identity.buildId));
  }

  /** The build id as text. */
  get version() {
    return hex(this.identity.buildId);
  }

  /**
   * Compiles a delta and makes an instance of it. Nothing happens to the program yet.
   * @param {Uint8Array} bytes
   */
  async prepare(bytes) {
    const delta = readDelta(bytes);
    let module, instance;
    try {
      const imports = { ...this.imports, __wasmend: this.given };
      if (bytes.length <= MOST_AT_ONCE) {
        module = new WebAssembly.Module(bytes, this.compileOptions);
        instance = new WebAssembly.Instance(module, imports);
      } else {
        module = await WebAssembly.compile(bytes, this.compileOptions);
        instance = await WebAssembly.instantiate(module, imports);
      }
    } catch (error) {
      throw missingImport(module, this.imports, error);
    }
    return new PreparedDelta(this, delta, module, instance, bytes.length);
  }

  /** Calls an export of the program's that there may be. @param {string} name */
  call(name, ...args) {
    const hook = this.instance.exports[name];
    return typeof hook === "function" ? hook(...args) : undefined;
  }

  /** What the program wants to be carried over into another version of itself. */
  save() {
    const saved = this.call("__wasmend_save");
    if (saved === undefined) return undefined;
    const bits = BigInt.asUintN(64, BigInt(saved));
    const [address, length] = [Number(bits & 0xffffffffn), Number(bits >> 32n)];
    return new Uint8Array(this.memory().buffer).slice(address, address + length);
  }

  /** Gives a program what another version of it has saved. @param {Uint8Array | undefined} bytes */
  restore(bytes) {
    if (!bytes || typeof this.instance.exports.__wasmend_restore !== "function") return false;
    const address = this.call("__wasmend_restore", bytes.length, 0) >>> 0;
    new Uint8Array(this.memory().buffer).set(bytes, address);
    this.call("__wasmend_restore", bytes.length, 1);
    return true;
  }

  memory() {
    // The numbers say nothing but which declaration it is; the first memory was declared first.
    const numbers = Object.keys(this.given).flatMap((name) => /^__wasmend_m(\d+)$/.exec(name)?.[1] ?? []);
    const memory = this.given[`__wasmend_m${Math.min(...numbers.map(Number))}`];
    if (!memory) throw new LiveError("no-memory", "the program has no memory to save from");
    return memory;
  }

  /** Memories and globals of another instance of the same version become those of this one. @param {LiveInstance} other */
  takeStateOf(other) {
    for (const [name, old] of Object.entries(other.given)) {
      const own = this.given[name];
      if (old instanceof WebAssembly.Memory && own instanceof WebAssembly.Memory && own !== old) {
        const pages = (old.buffer.byteLength - own.buffer.byteLength) / 65536;
        if (pages > 0) own.grow(pages);
        new Uint8Array(own.buffer).set(new Uint8Array(old.buffer));
      } else if (old instanceof WebAssembly.Global && own instanceof WebAssembly.Global && own !== old && name !== "epoch") {
        try {
          own.value = old.value;
        } catch {
          // It never changes, so that it is what the other one was.
        }
      }
    }
  }
}

/** A delta that can be applied: compiled, and an instance. */
export class PreparedDelta {
  constructor(live, delta, module, instance, length) {
    this.live = live;
    this.module = module;
    this.from = delta.from;
    this.to = delta.to;
    this.exports = instance.exports;
    this.length = length;
  }

  /** Looks whether the program can take it in. Throws if not; nothing has happened then. */
  check() {
    refuse(this.exports.prepare());
  }

  /** Brings the instance up to date, at once and whole. */
  apply() {
    this.check();
    this.live.call("__wasmend_before_reload");
    refuse(this.exports.apply());
    this.done();
    this.live.call("__wasmend_after_reload");
  }

  /** With threads: data, once, in one of the instances. */
  applyData() {
    refuse(this.exports.apply_data());
  }

  /** With threads: slots, in each instance. */
  applySlots() {
    refuse(this.exports.apply_slots());
    this.done();
  }

  done() {
    const own = Object.entries(this.exports).filter(([name]) => name.startsWith("__wasmend_"));
    Object.assign(this.live.given, Object.fromEntries(own));
    this.live.identity = this.to;
    this.live.deltas += 1;
    this.live.deltaBytes += this.length;
  }

  /** The names of the functions that are in it. */
  get functions() {
    const [section] = WebAssembly.Module.customSections(this.module, "name");
    return section ? functionNames(new Uint8Array(section)) : [];
  }

  /** How many ranges of data keep what the program has made of them. */
  get kept() {
    const kept = this.exports.kept;
    if (!kept) return 0;
    let bits = BigInt.asUintN(64, kept.value);
    let count = 0;
    for (; bits > 0n; bits &= bits - 1n) count += 1;
    return count;
  }
}

/** The functions' names of a name section. @param {Uint8Array} section */
function functionNames(section) {
  let at = 0;
  const number = () => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = section[at++];
      if (byte === undefined) throw new LiveError("damaged", "the names of the change end too early");
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value >>> 0;
    }
  };
  const names = [];
  while (at < section.length) {
    const kind = section[at++];
    const length = number();
    const end = at + length;
    if (kind === 1) {
      for (let count = number(); count > 0; count--) {
        number();
        const length = number();
        names.push(new TextDecoder().decode(section.subarray(at, at + length)));
        at += length;
      }
    }
    at = end;
  }
  return names;
}

function firstHalf(buildId) {
  return new DataView(buildId.buffer, buildId.byteOffset).getBigInt64(0, true);
}

function refuse(code) {
  if (code === 0) return;
  const [word, message] = REFUSALS[code] ?? ["unknown", `the change answers with ${code}`];
  throw new LiveError(word, message);
}

/** Says which import the host does not have, which engines say in words of their own. */
function missingImport(module, imports, cause) {
  const needed = module ? WebAssembly.Module.imports(module) : [];
  const missing = needed.find((it) => it.module !== "__wasmend" && imports?.[it.module]?.[it.name] === undefined);
  if (missing) {
    return new LiveError("missing-import", `the change calls ${missing.module}.${missing.name}, which the page does not give it`, { cause });
  }
  return new LiveError("not-linked", `the change cannot be brought into the program: ${cause.message}`, { cause });
}
