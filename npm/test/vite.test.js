// The plugin in a real server of Vite's, with Chromium.
import assert from "node:assert/strict";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import puppeteer from "puppeteer-core";
import { build, createServer } from "vite";
import wasmend from "vite-plugin-wasmend";
import { WASMEND, counter } from "./support.js";

const MODULES = fileURLToPath(new URL("../node_modules", import.meta.url));
const MAIN = `import instantiate from "./app.wasm?live";
import { label } from "./label.js";
const app = await instantiate({});
window.app ??= app;
window.same = window.app === app;
clearInterval(window.timer);
window.timer = setInterval(() => (document.body.textContent = [label, app.exports.version(), app.exports.count()].join(" ")), 10);
import.meta.hot?.accept();
`;

let browser, folder;
const save = (name, bytes) => {
  fs.writeFileSync(path.join(folder, `.${name}.new`), bytes);
  fs.renameSync(path.join(folder, `.${name}.new`), path.join(folder, name));
};
before(async () => {
  browser = await puppeteer.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-dev-shm-usage"],
  });
  folder = fs.mkdtempSync(path.join(os.tmpdir(), "wasmend-vite-"));
  fs.symlinkSync(MODULES, path.join(folder, "node_modules"));
  fs.writeFileSync(path.join(folder, "index.html"), `<!doctype html><link rel="icon" href="data:,"><body></body><script type="module" src="/main.js"></script>`);
  fs.writeFileSync(path.join(folder, "main.js"), MAIN);
  fs.writeFileSync(path.join(folder, "label.js"), `export const label = "one";`);
  save("app.wasm", counter(1));
});
after(() => browser.close());

test("a module that is imported with ?live is brought up to date through Vite, and outlives updates of its users", async () => {
  const server = await createServer({
    root: folder,
    logLevel: "error",
    configFile: false,
    server: { port: 0, host: "127.0.0.1" },
    plugins: [wasmend({ command: WASMEND })],
  });
  await server.listen();
  const { port } = server.httpServer.address();
  const page = await browser.newPage();
  const errors = [];
  page.on("pageerror", (error) => errors.push(error.message));
  await page.goto(`http://127.0.0.1:${port}/`);
  const shows = (text) => page.waitForFunction((text) => document.body.textContent.startsWith(text), { timeout: 15_000 }, text);
  const count = () => page.evaluate(() => Number(document.body.textContent.split(" ")[2]));
  await shows("one 1 ");
  const first = await count();
  save("app.wasm", counter(2));
  await shows("one 2 ");
  assert.ok((await count()) > first);
  // A module that uses it is updated: the program is the same one.
  const before = await count();
  save("label.js", `export const label = "two";`);
  await shows("two 2 ");
  assert.ok((await count()) > before, "the counter goes on");
  assert.ok(await page.evaluate("window.same"));
  save("app.wasm", counter(3));
  await shows("two 3 ");
  // What cannot be taken in makes whoever uses the program begin anew.
  save("app.wasm", counter(4, "(table 4 funcref)"));
  await shows("two 4 ");
  save("app.wasm", counter(5, "(table 4 funcref)"));
  await shows("two 5 ");
  assert.deepEqual(errors, []);
  await page.close();
  // The page has just said hello: a server that ends while it answers is no error.
  await server.close();
});

test("a build has the module as it is", async () => {
  await build({
    root: folder,
    logLevel: "error",
    configFile: false,
    build: { target: "esnext", assetsInlineLimit: 0 },
    plugins: [wasmend({ command: WASMEND })],
  });
  const assets = fs.readdirSync(path.join(folder, "dist/assets"));
  const module = assets.find((name) => name.endsWith(".wasm"));
  assert.deepEqual(fs.readFileSync(path.join(folder, "dist/assets", module)), fs.readFileSync(path.join(folder, "app.wasm")));
});
