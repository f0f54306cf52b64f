// What Chromium's own developer tools make of source maps: `node tests/api/browser.mjs FOLDER`. In FOLDER there is a folder for each
// version of a module, 0 and up, with `out.wasm`, `out.wasm.map` and `places.json`: for places in the code (offset in the file) the
// function, source, line and column that are right, from 0. A page loads each version from one address; the tools are
// open beside it, as a page too, and are asked through their own modules.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import fs from "node:fs";
import http from "node:http";
import os from "node:os";
import path from "node:path";

const PAGE = `<!doctype html><link rel="icon" href="data:,"><script type="module">
window.exports = (await WebAssembly.instantiateStreaming(fetch("out.wasm"))).instance.exports;
</script>`;

/** Serves a page, and beside it whatever version is the current one. */
async function serve(folder) {
  const state = { version: 0 };
  const types = { ".wasm": "application/wasm", ".map": "application/json" };
  const server = http.createServer((request, response) => {
    const name = path.basename(new URL(request.url, "http://localhost").pathname);
    const file = path.join(folder, String(state.version), name);
    const type = types[path.extname(name)];
    const found = type && fs.existsSync(file);
    const headers = { "Content-Type": found ? type : "text/html", "Cache-Control": "no-store" };
    response.writeHead(found || !name ? 200 : 404, headers);
    response.end(found ? fs.readFileSync(file) : PAGE);
  });
  await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
  state.url = `http://127.0.0.1:${server.address().port}/`;
  state.stop = () => server.close();
  return state;
}

/** Chromium without a window, driven over a pipe; its tools need a port too. */
class Browser {
  static async start() {
    const browser = new Browser();
    browser.profile = fs.mkdtempSync(path.join(os.tmpdir(), "wasmend-chromium-"));
    const flags = ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--remote-debugging-pipe"];
    flags.push("--remote-debugging-port=0", "--remote-allow-origins=*", `--user-data-dir=${browser.profile}`);
    browser.child = spawn(process.env.CHROMIUM ?? "/usr/bin/chromium", [...flags, "about:blank"], {
      stdio: ["ignore", "ignore", "pipe", "pipe", "pipe"],
    });
    const port = new Promise((found, failed) => {
      let text = "";
      browser.child.stderr.on("data", (more) => {
        text += more;
        const match = text.match(/DevTools listening on ws:\/\/[^:]+:(\d+)/);
        if (match) found(Number(match[1]));
      });
      browser.child.once("error", failed);
      browser.child.once("exit", () => failed(new Error(`Chromium has ended: ${text}`)));
    });
    browser.waiting = new Map();
    let rest = "";
    browser.child.stdio[4].on("data", (more) => {
      const messages = (rest + more).split("\0");
      rest = messages.pop();
      for (const message of messages.map((text) => JSON.parse(text))) {
        const { found, failed } = browser.waiting.get(message.id) ?? {};
        browser.waiting.delete(message.id);
        message.error ? failed?.(new Error(message.error.message)) : found?.(message.result);
      }
    });
    browser.port = await port;
    return browser;
  }

  send(method, params = {}, sessionId = undefined) {
    const id = (this.last = (this.last ?? 0) + 1);
    this.child.stdio[3].write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
    return new Promise((found, failed) => this.waiting.set(id, { found, failed }));
  }

  async open(url) {
    const { targetId } = await this.send("Target.createTarget", { url });
    const { sessionId } = await this.send("Target.attachToTarget", { targetId, flatten: true });
    return { targetId, evaluate: (what, ...given) => this.evaluate(sessionId, what, given) };
  }

  /** Runs a function in a page. */
  async evaluate(sessionId, what, given) {
    const expression = `(${what})(...${JSON.stringify(given)})`;
    const options = { expression, awaitPromise: true, returnByValue: true };
    const { result, exceptionDetails } = await this.send("Runtime.evaluate", options, sessionId);
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  }

  async stop() {
    const ended = new Promise((resolve) => this.child.once("exit", resolve));
    this.child.kill();
    await ended;
    fs.rmSync(this.profile, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** In the tools: takes hold of their modules, once they show the page. */
async function takeHold() {
  const [sdk, bindings, workspace] = await Promise.all([
    import("./core/sdk/sdk.js"),
    import("./models/bindings/bindings.js"),
    import("./models/workspace/workspace.js"),
  ]);
  for (;;) {
    const target = sdk.TargetManager.TargetManager.instance().primaryPageTarget();
    const model = target?.model(sdk.DebuggerModel.DebuggerModel);
    if (model?.debuggerEnabled()) {
      const binding = bindings.DebuggerWorkspaceBinding.DebuggerWorkspaceBinding.instance();
      window.held = { sdk, target, model, binding, workspace: workspace.Workspace.WorkspaceImpl.instance() };
      return;
    }
    await new Promise((later) => setTimeout(later, 50));
  }
}

/** In the tools: loads the page anew; what they say of each of these offsets, and where they would stop for its line. */
async function look(url, offsets) {
  const { model, binding, target, workspace } = window.held;
  const parsed = new Promise((found) => {
    const event = window.held.sdk.DebuggerModel.Events.ParsedScriptSource;
    const listener = model.addEventListener(event, ({ data: script }) => {
      if (!script.isWasm()) return;
      model.removeEventListener(event, listener.listener);
      found(script);
    });
  });
  await target.pageAgent().invoke_navigate({ url });
  const script = (window.held.script = await parsed);
  const map = await model.sourceMapManager().sourceMapForClientPromise(script);
  const shown = async (offset) => {
    const place = await binding.rawLocationToUILocation(model.createRawLocation(script, 0, offset));
    return place && { source: place.uiSourceCode.url(), line: place.lineNumber, column: place.columnNumber };
  };
  window.held.shown = shown;
  const places = [];
  for (const offset of offsets) {
    const place = await shown(offset);
    const source = place && workspace.uiSourceCodeForURL(place.source);
    const stops = source ? await binding.uiLocationToRawLocations(source, place.line, place.column) : [];
    places.push({ ...place, stops: stops.map((stop) => stop.columnNumber) });
  }
  return { url: script.sourceURL, sourceMapURL: script.sourceMapURL, hasMap: Boolean(map), places };
}

/** In the tools: sets a breakpoint, lets a function run into it, and says where they show that it has stopped. */
async function runInto(name, offset) {
  const { model, target, script, sdk, shown } = window.held;
  const { breakpointId } = await model.setBreakpointByURL(script.sourceURL, 0, offset);
  const paused = new Promise((found) => {
    const event = sdk.DebuggerModel.Events.DebuggerPaused;
    const listener = model.addEventListener(event, () => {
      model.removeEventListener(event, listener.listener);
      found(model.debuggerPausedDetails().callFrames[0]);
    });
  });
  const ended = target.runtimeAgent().invoke_evaluate({ expression: `window.exports[${JSON.stringify(name)}](1)` });
  const frame = await paused;
  const at = frame.location().columnNumber;
  const place = await shown(at);
  await model.removeBreakpoint(breakpointId);
  model.resume();
  await ended;
  return { at, name: frame.functionName, ...place };
}

const folder = process.argv[2];
const served = await serve(folder);
const browser = await Browser.start();
const patience = setTimeout(() => {
  browser.child.kill();
  throw new Error("the tools say nothing");
}, 120_000);
try {
  const page = await browser.open("about:blank");
  const socket = `127.0.0.1:${browser.port}/devtools/page/${page.targetId}`;
  const tools = await browser.open(`devtools://devtools/bundled/inspector.html?ws=${socket}`);
  await tools.evaluate(takeHold);
  let count = 0;
  for (; fs.existsSync(path.join(folder, String(count))); count++) {
    served.version = count;
    const file = path.join(folder, String(count), "places.json");
    const right = JSON.parse(fs.readFileSync(file, "utf8"));
    const url = `${served.url}?${count}`;
    const seen = await tools.evaluate(look, url, right.map(({ offset }) => offset));
    assert.equal(new URL(seen.url).pathname, "/out.wasm");
    assert.equal(new URL(seen.sourceMapURL, seen.url).pathname, "/out.wasm.map");
    assert.ok(seen.hasMap);
    const called = new Set();
    for (const [at, { offset, name, source, line, column }] of right.entries()) {
      const { stops, ...place } = seen.places[at];
      const expected = { source: new URL(source, served.url).href, line, column };
      assert.deepEqual(place, expected, `version ${count}, ${name}, offset ${offset}`);
      assert.ok(stops.includes(offset), `version ${count}, ${name}: ${stops} for line ${line}, not ${offset}`);
      if (called.has(name)) continue;
      called.add(name);
      const stopped = await tools.evaluate(runInto, name, offset);
      assert.deepEqual({ ...stopped, name: undefined }, { at: offset, name: undefined, ...expected }, name);
      assert.ok(stopped.name.includes(name), `${stopped.name} is not ${name}`);
    }
    console.log(`version ${count}: ${right.length} places, ${called.size} breakpoints`);
  }
} finally {
  clearTimeout(patience);
  await browser.stop();
  served.stop();
}
