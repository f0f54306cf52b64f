import type { Peer } from "./index.js";

/** In the page: what `program.addPeer` wants. */
export function workerPeer(endpoint: Worker | MessagePort, options?: { patience?: number }): Peer;

/** In the thread: lets its instance take part. Returns a function that ends this. */
export function joinLive(
  module: WebAssembly.Module,
  instance: WebAssembly.Instance,
  imports: WebAssembly.Imports,
  options?: { endpoint?: MessagePort; compileOptions?: object },
): () => void;
