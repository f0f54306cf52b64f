// What the tests have in common: modules from text, a folder with a server, a browser.
import { execFileSync, spawn } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));
export const WASMEND = process.env.WASMEND ?? path.join(root, "target/debug/wasmend");

/** A module from text, by wat2wasm (the Debian package wabt). */
export function wat(text) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "wasmend-wat-"));
  try {
    const [source, module] = ["test.wat", "test.wasm"].map((name) => path.join(folder, name));
    fs.writeFileSync(source, text);
    execFileSync("wat2wasm", ["--enable-threads", "--debug-names", source, "-o", module]);
    return fs.readFileSync(module);
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
}

/** A program that counts in memory and in a global, and says which version it is: a number, or code. */
export function counter(version, more = "", imports = "") {
  return wat(`(module
    ${imports}
    (memory (export "memory") 1)
    (global $calls (mut i32) (i32.const 0))
    (func $count (export "count") (result i32)
      (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
      (i32.store (i32.const 16) (i32.add (i32.load (i32.const 16)) (i32.const 1)))
      (i32.load (i32.const 16)))
    (func $calls (export "calls") (result i32) (global.get $calls))
    (func $version (export "version") (result i32) ${typeof version === "number" ? `(i32.const ${version})` : version})
    ${more})`);
}

/** `wasmend serve` in a folder of its own. */
export class Served {
  static async start(first, { pages = {}, more = [], port = 0, folder, what = "app.wasm" } = {}) {
    const served = new Served();
    served.folder = folder ?? fs.mkdtempSync(path.join(os.tmpdir(), "wasmend-test-"));
    for (const [name, text] of Object.entries(pages)) fs.writeFileSync(path.join(served.folder, name), text);
    if (first) served.save(first);
    served.child = spawn(WASMEND, ["--json", "serve", what, "--port", String(port), ...more], {
      cwd: served.folder,
      stdio: ["ignore", "pipe", "inherit"],
    });
    served.events = [];
    await new Promise((resolve, reject) => {
      served.child.once("error", reject);
      served.child.once("exit", (code) => reject(new Error(`wasmend serve ended with ${code}`)));
      createInterface({ input: served.child.stdout }).on("line", (line) => {
        const event = JSON.parse(line);
        served.events.push(event);
        if (event.event === "serving") served.url = event.url;
        if (event.event === "update" || (event.event === "serving" && !first)) resolve();
      });
    });
    return served;
  }

  /** Puts a new build in the place of the last one, as compilers do. */
  save(bytes) {
    const file = path.join(this.folder, "app.wasm");
    fs.writeFileSync(`${file}.new`, bytes);
    fs.renameSync(`${file}.new`, file);
  }

  get port() {
    return Number(new URL(this.url).port);
  }

  async stop() {
    const ended = new Promise((resolve) => this.child.once("exit", resolve));
    this.child.kill("SIGTERM");
    await ended;
  }
}

/** The next event of a kind. */
export function next(program, kind, patience = 10_000) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no event ${kind} came`)), patience);
    const end = program.on(kind, (event) => {
      clearTimeout(timer);
      end();
      resolve(event);
    });
  });
}
