// Pages in Chromium: what a person sees when a file is saved.
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { after, before, test } from "node:test";
import puppeteer from "puppeteer-core";
import { Served, counter, wat } from "./support.js";

const PAGE = `<!doctype html><meta charset="utf-8"><title>test</title><link rel="icon" href="data:,"><pre id="out"></pre>
<script type="module">
import { instantiateLive } from "/__wasmend/client/index.js";
import { overlay } from "/__wasmend/client/overlay.js";
const app = await instantiateLive("/app.wasm", {});
overlay(app);
window.app = app;
window.seen = [];
for (const kind of ["patched", "refused", "restarted", "error"]) app.on(kind, (event) => window.seen.push([kind, event.message ?? ""]));
setInterval(() => (document.getElementById("out").textContent = app.exports.version() + " " + app.exports.count()), 10);
</script>`;

let browser;
before(async () => {
  const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
  browser = await puppeteer.launch({ executablePath, args: ["--no-sandbox", "--disable-dev-shm-usage"] });
});
after(() => browser.close());

async function open(served) {
  const page = await browser.newPage();
  page.errors = [];
  page.on("pageerror", (error) => page.errors.push(error.message));
  await page.goto(served.url);
  await page.waitForFunction("window.app && document.getElementById('out').textContent", { polling: 50 });
  return page;
}

const shown = async (page) => (await page.$eval("#out", (out) => out.textContent)).split(" ").map(Number);
const shows = (page, version) =>
  page.waitForFunction(`document.getElementById("out").textContent.startsWith("${version} ")`, { timeout: 10_000, polling: 50 });
const overlayText = (page) =>
  page.evaluate(() => document.querySelector("wasmend-overlay")?.shadowRoot.querySelector("div").textContent ?? "");

test("saving a file changes what runs in two tabs, and their counters go on", async () => {
  const served = await Served.start(counter(1), { pages: { "index.html": PAGE } });
  const pages = [await open(served), await open(served)];
  for (let version = 2; version <= 4; version++) {
    const before = await Promise.all(pages.map(shown));
    served.save(counter(version));
    await Promise.all(pages.map((page) => shows(page, version)));
    const now = await Promise.all(pages.map(shown));
    now.forEach(([, count], at) => assert.ok(count > before[at][1], `${count} after ${before[at][1]}`));
  }
  // A page that is loaded again has the file of now.
  await pages[0].reload();
  await shows(pages[0], 4);
  served.save(counter(5));
  await Promise.all(pages.map((page) => shows(page, 5)));
  assert.deepEqual(pages.flatMap((page) => page.errors), []);
  await Promise.all(pages.map((page) => page.close()));
  await served.stop();
});

test("a refusal is shown and the program restarts", async () => {
  const served = await Served.start(counter(1), { pages: { "index.html": PAGE } });
  const page = await open(served);
  await page.waitForFunction("window.app.exports.count() > 20");
  served.save(counter(2, "(table 4 funcref)"));
  await shows(page, 2);
  const seen = await page.evaluate("window.seen");
  assert.deepEqual(seen.map(([kind]) => kind), ["refused", "restarted"]);
  assert.match(await overlayText(page), /needs a restart[\s\S]*L05/);
  if (process.env.SCREENSHOTS) await page.screenshot({ path: path.join(process.env.SCREENSHOTS, "refused.png") });
  served.save(counter(3, "(table 4 funcref)"));
  await shows(page, 3);
  assert.equal(await overlayText(page), "", "the next patch takes the panel away");
  await page.close();
  await served.stop();
});

test("a build error is shown over the page until it is mended", async () => {
  const served = await Served.start(counter(1), {
    pages: { "index.html": PAGE, "main.txt": "good" },
    more: ["--run", "grep -q good main.txt || { echo 'main.txt:1: error: not good' >&2; exit 1; }", "--sources", "."],
  });
  const page = await open(served);
  fs.writeFileSync(path.join(served.folder, "main.txt"), "bad");
  await page.waitForFunction(() => document.querySelector("wasmend-overlay"), { timeout: 10_000, polling: 50 });
  assert.match(await overlayText(page), /The build failed[\s\S]*main\.txt:1: error: not good/);
  if (process.env.SCREENSHOTS) await page.screenshot({ path: path.join(process.env.SCREENSHOTS, "error.png") });
  const [, before] = await shown(page);
  fs.writeFileSync(path.join(served.folder, "main.txt"), "good again");
  await page.waitForFunction(() => !document.querySelector("wasmend-overlay"), { timeout: 10_000, polling: 50 });
  assert.ok((await shown(page))[1] > before, "the program has gone on");
  await page.close();
  await served.stop();
});

test("a server that was away and back is heard again", async () => {
  const served = await Served.start(counter(1), { pages: { "index.html": PAGE } });
  const page = await open(served);
  const port = served.port;
  await served.stop();
  const again = await Served.start(counter(7), { port, folder: served.folder });
  await shows(page, 7);
  again.save(counter(8));
  await shows(page, 8);
  await page.close();
  await again.stop();
});

test("the status page shows versions, refusals and the layout", async () => {
  const served = await Served.start(counter(1), { pages: { "index.html": PAGE } });
  const page = await browser.newPage();
  await page.setViewport({ width: 1100, height: 640 });
  await page.goto(`${served.url}__wasmend/`);
  await page.waitForFunction("document.querySelectorAll('#versions tr').length === 1");
  served.save(counter(2));
  await page.waitForFunction("document.querySelectorAll('#versions tr').length === 2");
  served.save(counter(3, "(table 4 funcref)"));
  await page.waitForFunction("document.querySelectorAll('#versions tr').length === 3");
  const rows = await page.$$eval("#versions tr", (rows) => rows.map((row) => row.textContent));
  assert.match(rows[0], /L05/);
  assert.match(rows[1], /patched.*brought up to date, 1 function/);
  assert.ok((await page.$$("#layout rect")).length > 10);
  if (process.env.SCREENSHOTS) await page.screenshot({ path: path.join(process.env.SCREENSHOTS, "status.png") });
  await page.close();
  await served.stop();
});

test("the demo goes on while its formulas are edited", async () => {
  const served = await Served.start(null, { what: "--demo" });
  const page = await browser.newPage();
  const errors = [];
  page.on("pageerror", (error) => errors.push(error.message));
  await page.goto(served.url);
  await page.waitForFunction("window.app", { polling: 50 });
  const facts = () => page.$eval("#facts", (it) => it.textContent);
  const frame = async () => Number((await facts()).match(/frame ([\d,]+)/)[1].replaceAll(",", ""));
  const press = (label) =>
    page.evaluate((label) => [...document.querySelectorAll("button")].find((it) => it.textContent === label).click(), label);
  const says = (text) => page.waitForFunction(`document.querySelector("#said").textContent.includes(${JSON.stringify(text)})`, { timeout: 10_000, polling: 50 });
  // No spark is anywhere else behind an edit than where it would have been.
  const jump = () =>
    page.evaluate(async () => {
      const places = () => {
        const count = app.exports.frame(0, 0);
        return new Float64Array(app.exports.memory.buffer, app.exports.sparks(), count * 6).slice();
      };
      const before = places();
      await new Promise((resolve) => {
        const end = app.on("patched", () => (end(), resolve()));
        [...document.querySelectorAll("button")].find((it) => it.textContent === "Storm").click();
      });
      const after = places();
      let most = 0;
      for (let at = 0; at < before.length; at += 6) {
        const [x, y] = [after[at] - before[at], after[at + 1] - before[at + 1]].map(Math.abs);
        most = Math.max(most, Math.min(x, 1280 - x), Math.min(y, 800 - y));
      }
      return most;
    });
  await press("Turn about");
  await says("spin:");
  const before = await frame();
  assert.ok((await jump()) < 150, "sparks moved on, and did not begin anew");
  await says("drag:");
  await press("A new function");
  await says("beat");
  await page.type("textarea", "wrong(");
  await says("line ");
  await page.evaluate(() => (document.querySelector("textarea").value = document.querySelector("textarea").value.replace("wrong(", "")));
  await page.type("textarea", "# ");
  await page.waitForFunction('document.querySelector("#said").className !== "bad"', { polling: 50 });
  assert.match(await facts(), /3 patches · 0 restarts/);
  assert.ok((await frame()) > before);
  assert.deepEqual(errors, []);
  await page.close();
  await served.stop();
});

test("workers with the page's memory take in a change with it", async () => {
  const program = (version) => wat(`(module
    (import "env" "memory" (memory 1 16 shared))
    (func (export "version") (result i32) (i32.const ${version}))
    (func (export "count") (result i32) (i32.add (i32.atomic.rmw.add (i32.const 16) (i32.const 1)) (i32.const 1))))`);
  const pages = {
    "index.html": `<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><script type="module">
import { instantiateLive } from "/__wasmend/client/index.js";
import { workerPeer } from "/__wasmend/client/worker.js";
const memory = new WebAssembly.Memory({ initial: 1, maximum: 16, shared: true });
const app = await instantiateLive("/app.wasm", { env: { memory } });
const workers = await Promise.all([1, 2].map(async () => {
  const worker = new Worker("/worker.js", { type: "module" });
  const heard = (name) => new Promise((resolve) => worker.addEventListener("message", function hear({ data }) {
    if (data.name !== name) return;
    worker.removeEventListener("message", hear);
    resolve(data.value);
  }));
  const ready = heard("ready");
  worker.postMessage({ module: app.module, memory });
  await ready;
  app.addPeer(workerPeer(worker));
  return (call) => { const answer = heard(call); worker.postMessage({ call }); return answer; };
}));
window.ask = (name) => Promise.all([app.exports[name](), ...workers.map((worker) => worker(name))]);
window.patched = 0;
app.on("patched", () => window.patched++);
app.on("refused", (event) => (window.trouble = event.message));
window.ready = crossOriginIsolated;
</script>`,
    "worker.js": `import { joinLive } from "/__wasmend/client/worker.js";
let instance;
addEventListener("message", async ({ data }) => {
  if (data.module) {
    const imports = { env: { memory: data.memory } };
    instance = await WebAssembly.instantiate(data.module, imports);
    joinLive(data.module, instance, imports);
    postMessage({ name: "ready" });
  }
  if (data.call) postMessage({ name: data.call, value: instance.exports[data.call]() });
});`,
  };
  const served = await Served.start(program(1), { pages, more: ["--isolated"] });
  const page = await browser.newPage();
  const errors = [];
  page.on("pageerror", (error) => errors.push(error.message));
  await page.goto(served.url);
  await page.waitForFunction("window.ready === true", { timeout: 10_000, polling: 50 });
  const ask = (name) => page.evaluate((name) => window.ask(name), name);
  assert.deepEqual(await ask("version"), [1, 1, 1]);
  assert.deepEqual((await ask("count")).sort(), [1, 2, 3]);
  for (let version = 2; version <= 4; version++) {
    served.save(program(version));
    await page.waitForFunction(`window.patched === ${version - 1}`, { timeout: 10_000, polling: 20 });
    assert.deepEqual(await ask("version"), [version, version, version]);
  }
  assert.deepEqual((await ask("count")).sort(), [4, 5, 6]);
  assert.equal(await page.evaluate("window.trouble"), undefined);
  assert.deepEqual(errors, []);
  await page.close();
  await served.stop();
});
