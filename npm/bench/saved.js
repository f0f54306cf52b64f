// How long it takes from a file that is complete on disk until the new code has answered in Chromium.
//
//     cargo build --release --bin wasmend --example generator
//     cd npm && node bench/saved.js [EDITS]
//
// The program is of 20,000 functions in 400 objects. Each edit writes one object anew, with a constant changed; it
// is complete when it is renamed into its place. The page asks for `run()` whenever it was patched, looks at the clock of the
// machine, and hands the answer to this process, so that the time is also known with the way back.
import { execFileSync, spawn } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import puppeteer from "puppeteer-core";

const root = fileURLToPath(new URL("../..", import.meta.url));
const wasmend = path.resolve(process.env.WASMEND ?? path.join(root, "target/release/wasmend"));
const [edits = "100"] = process.argv.slice(2);
const generator = path.join(root, "target/release/examples/generator");
const folder = fs.mkdtempSync(path.join(os.tmpdir(), "wasmend-saved-"));
const program = path.join(folder, "program");
const size = ["--objects", "400", "--functions", "50"];
execFileSync(generator, [program, ...size], { stdio: "pipe" });

fs.writeFileSync(
  path.join(folder, "index.html"),
  `<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><script type="module">
import { instantiateLive } from "/__wasmend/client/index.js";
const app = await instantiateLive("/app.wasm", {});
app.on("patched", (event) => {
  const start = performance.now();
  const answer = app.exports.run();
  window.answered({ answer, run: performance.now() - start, time: performance.timeOrigin + performance.now(), ms: event.ms, bytes: event.bytes, functions: event.functions.length });
});
for (const kind of ["refused", "restarted", "error"]) app.on(kind, (event) => window.answered({ trouble: kind + ": " + event.message }));
window.ready = true;
</script>`,
);

const serve = ["--json", "serve", "--port", "0", "--root", folder, `@${program}/objects.rsp`, "--no-entry", "--export=run", "-o", `${folder}/app.wasm`];
const server = spawn(wasmend, serve, { stdio: ["ignore", "pipe", "inherit"] });
const updates = [];
const url = await new Promise((resolve, reject) => {
  let address;
  server.once("exit", (code) => reject(new Error(`wasmend ended with ${code}`)));
  createInterface({ input: server.stdout }).on("line", (line) => {
    const event = JSON.parse(line);
    if (event.event === "serving") address = event.url;
    if (event.event === "update") {
      updates.push({ at: performance.now(), ...event });
      resolve(address);
    }
  });
});

const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
const browser = await puppeteer.launch({ executablePath, args: ["--no-sandbox", "--disable-dev-shm-usage"] });
const page = await browser.newPage();
let heard = () => {};
await page.exposeFunction("answered", (event) => heard({ at: performance.now(), ...event }));
await page.goto(url);
await page.waitForFunction("window.ready");

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const staged = path.join(folder, "staged");
const rows = [];
for (let edit = 0; edit < Number(edits); edit++) {
  const [object, fun] = [edit % 400, edit % 50];
  execFileSync(generator, [staged, ...size, "--edit", `${object}.${fun}`], { stdio: "pipe" });
  const name = `o${String(object).padStart(5, "0")}.o`;
  const target = path.join(program, name);
  fs.copyFileSync(path.join(staged, name), `${target}.new`);
  await sleep(60 + 7 * (edit % 10));
  const answer = new Promise((resolve) => (heard = resolve));
  const saved = performance.now();
  const savedTime = performance.timeOrigin + saved;
  fs.renameSync(`${target}.new`, target);
  const event = await Promise.race([answer, sleep(5000).then(() => ({ trouble: "no answer within 5 s" }))]);
  if (event.trouble) throw new Error(event.trouble);
  const update = updates.at(-1);
  rows.push({ answered: event.time - savedTime, run: event.run, heard: event.at - saved, published: update.at - saved, update: update.micros / 1000, ...event.ms, bytes: event.bytes, functions: event.functions });
}
const quantile = (values, share) => values.toSorted((a, b) => a - b)[Math.floor((values.length - 1) * share)];
const of = (key, share = 0.5) => quantile(rows.map((row) => row[key]), share);
console.log(`${rows.length} edits of one function, ${of("functions")} in a delta of ${of("bytes")} bytes`);
console.log(`saved until answered: median ${of("answered").toFixed(1)} ms, 9 of 10 within ${of("answered", 0.9).toFixed(1)} ms`);
console.log(`and until the answer is here: median ${of("heard").toFixed(1)} ms, 9 of 10 within ${of("heard", 0.9).toFixed(1)} ms`);
console.log(`of these: until the server said that it had published ${of("published").toFixed(1)}, the update itself ${of("update").toFixed(2)}, fetching ${of("fetch").toFixed(2)}, compiling ${of("compile").toFixed(2)}, applying ${of("apply").toFixed(2)}, and the program's run(), which calls all 20,000 functions, ${of("run").toFixed(1)} ms`);
await browser.close();
server.removeAllListeners("exit");
server.kill("SIGTERM");
fs.rmSync(folder, { recursive: true });
