// A Vite plugin: `import app from "./app.wasm?live"` makes a live program. In development a `wasmend serve` runs for each module
// that is imported so, and what it has to say goes through Vite's own connection; in a build the module is bundled as it is.
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import path from "node:path";
import { serverEvents } from "wasmend/stream";

const QUERY = /\.wasm\?live$/;
const PREFIX = "/@wasmend/";

/**
 * @param {{ command?: string, arguments?: string[] }} [options] the program wasmend, and more arguments for `wasmend serve`
 * @returns {import("vite").Plugin}
 */
export default function wasmend(options = {}) {
  /** One for each file: the server's address, and how it is ended. */
  const served = new Map();
  let isServing = false;
  let server;

  const serve = (file) => {
    if (!served.has(file)) served.set(file, start(file, options, (event) => tell(file, event)));
    return served.get(file);
  };

  const tell = (file, event) => server?.ws.send({ type: "custom", event: "wasmend:event", data: { file: idOf(file), ...event } });

  return {
    name: "wasmend",
    enforce: "pre",

    // The client needs no bundling, and a page that is loaded again because of it would lose its state.
    config: () => ({ optimizeDeps: { exclude: ["wasmend", "wasmend/overlay"] } }),

    configResolved(config) {
      isServing = config.command === "serve";
    },

    configureServer(vite) {
      server = vite;
      vite.middlewares.use(async (request, response, next) => {
        if (!request.url?.startsWith(PREFIX)) return next();
        const [, id, rest] = /^\/@wasmend\/([^/]+)(\/.*)$/.exec(request.url) ?? [];
        const running = id && [...served.entries()].find(([file]) => idOf(file) === id);
        if (!running) return next();
        try {
          const { url } = await running[1];
          const answer = await fetch(new URL(rest, url), { headers: { "sec-fetch-site": "none" } });
          response.statusCode = answer.status;
          response.setHeader("content-type", answer.headers.get("content-type") ?? "application/octet-stream");
          response.setHeader("cache-control", "no-store");
          response.end(Buffer.from(await answer.arrayBuffer()));
        } catch (error) {
          next(error);
        }
      });
      // Nobody waits for what answers a page: what fails there is said, and stops nothing.
      const answer = (name, by) =>
        vite.ws.on(name, (message, client) => by(message, client).catch((error) => vite.config.logger.error(`wasmend: ${error.message}`)));
      answer("wasmend:hello", async ({ file, from }, client) => {
        // A page that was away hears what it has missed, and nobody else does.
        const running = [...served.entries()].find(([known]) => idOf(known) === file);
        const { url } = (await running?.[1]) ?? {};
        if (url) for (const event of await firstEvents(url, from)) client.send("wasmend:event", { file, ...prefixed(file, event) });
      });
      // Vite invalidates only what it has updated itself: this says that the module is another one now.
      answer("wasmend:stale", async ({ file }) => {
        const running = [...served.keys()].find((known) => idOf(known) === file);
        const module = running && vite.moduleGraph.getModuleById(`${running}?live`);
        if (module) await vite.reloadModule(module);
      });
      const close = () => served.forEach((running) => running.then(({ stop }) => stop(), () => {}));
      vite.httpServer?.on("close", close);
      process.once("exit", close);
    },

    async resolveId(source, importer) {
      if (!QUERY.test(source)) return undefined;
      const file = source.slice(0, -"?live".length);
      const resolved = file.startsWith(".") && importer ? path.resolve(path.dirname(importer.split("?")[0]), file) : file;
      return `${resolved}?live`;
    },

    async load(id) {
      if (!QUERY.test(id)) return undefined;
      const file = id.slice(0, -"?live".length);
      if (!isServing) {
        return `import url from ${JSON.stringify(`${file}?url`)};
import { instantiateLive } from "wasmend";
export default (imports, options) => instantiateLive(url, imports, { ...options, events: false });`;
      }
      const { module } = await serve(file);
      return clientModule(idOf(file), `${PREFIX}${idOf(file)}${module}`);
    },

    // The build changes all the time; the program in it is brought up to date without Vite.
    handleHotUpdate({ file }) {
      return served.has(file) ? [] : undefined;
    },
  };
}

/** A name for a file in addresses. */
function idOf(file) {
  return Buffer.from(file).toString("base64url");
}

/** The addresses in an event, as pages of Vite's reach them. */
function prefixed(id, event) {
  const own = { ...event };
  for (const key of ["url", "undo", "module"]) if (own[key]) own[key] = `${PREFIX}${id}${own[key]}`;
  return own;
}

/** Starts `wasmend serve` for a file. */
function start(file, options, tell) {
  const command = options.command ?? process.env.WASMEND ?? "wasmend";
  const more = options.arguments ?? [];
  const child = spawn(command, ["--json", "serve", file, "--port", "0", "--root", path.dirname(file), ...more], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const stop = () => child.kill("SIGTERM");
  return new Promise((resolve, reject) => {
    child.on("error", (error) => reject(new Error(`${command} cannot be started: ${error.message}`)));
    child.on("exit", (code) => reject(new Error(`${command} serve ended with ${code}`)));
    let url;
    createInterface({ input: child.stdout }).on("line", (line) => {
      let event;
      try {
        event = JSON.parse(line);
      } catch {
        return;
      }
      if (event.event === "serving") url = event.url;
      // The first version: from here on there is something to load.
      if (url && event.event === "update") {
        resolve({ url, module: event.module ?? `/${path.basename(file)}`, stop });
      }
      if (event.event === "serving") listen(event.url, idOf(file), tell, child);
    });
  });
}

/** Hears what the server says, for as long as it runs. */
async function listen(url, id, tell, child) {
  let running = true;
  child.on("exit", () => (running = false));
  while (running) {
    try {
      for await (const event of changes(new URL("/__wasmend/events", url))) tell(prefixed(id, event));
    } catch {
      // It comes back, or its end has been said.
    }
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

/** What a server says, but for which version there is: pages are told of it by several ways, and it may have changed by then. */
async function* changes(url, signal) {
  for await (const data of serverEvents(url, signal)) {
    const event = JSON.parse(data);
    if (event.type !== "current") yield event;
  }
}

/** What is said first to somebody with a version, or as much of it as a server says that ends meanwhile. */
async function firstEvents(url, from) {
  const address = new URL("/__wasmend/events", url);
  address.searchParams.set("from", from);
  const first = [];
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(), 100);
  try {
    for await (const event of changes(address, abort.signal)) first.push(event);
  } catch {
    // The time is over, or the server has ended.
  } finally {
    clearTimeout(timer);
  }
  return first;
}

/** What `import app from "./app.wasm?live"` gives in development. The program outlives updates of the modules that use it. */
function clientModule(id, url) {
  return `import { instantiateLive } from "wasmend";
import { overlay } from "wasmend/overlay";

const hot = import.meta.hot;
const kept = (hot.data.programs ??= []);

export default async function instantiate(imports, options = {}) {
  // An importer that was updated gets the program that runs, with what it holds.
  if (!options.fresh && kept.length && !kept[0].ended) return kept[0].program;
  const entry = { ended: false };
  const program = await instantiateLive(${JSON.stringify(url)}, imports, {
    onRefused: () => {
      // Whoever uses the program is run anew, and gets a fresh one; if nobody can be, the page is loaded again.
      entry.program?.close();
      hot.send("wasmend:stale", { file: ${JSON.stringify(id)} });
      return "keep";
    },
    ...options,
    events(receive, version) {
      const listen = ({ file, ...event }) => {
        if (file !== ${JSON.stringify(id)}) return;
        for (const key of ["url", "undo", "module"]) if (event[key]) event[key] = new URL(event[key], location.href).href;
        receive(event);
      };
      const hello = () => hot.send("wasmend:hello", { file: ${JSON.stringify(id)}, from: version() });
      hot.on("wasmend:event", listen);
      hot.on("vite:ws:connect", hello);
      hello();
      return () => {
        entry.ended = true;
        hot.off("wasmend:event", listen);
        hot.off("vite:ws:connect", hello);
      };
    },
  });
  if (options.overlay !== false) overlay(program);
  kept.unshift(Object.assign(entry, { program }));
  return program;
}
`;
}
