// Threads: each has an instance and so a table of its own, but all have one memory. A change's data is written once, by the
// page, while every thread stands still; then each takes its slots. Knows nothing of how threads are started.
import { LiveError, LiveInstance } from "./delta.js";

const GO = 1;
const LEAVE = 2;

/**
 * In the page: what `program.addPeer` wants. `endpoint` is a Worker or a MessagePort.
 * @param {Worker | MessagePort} endpoint
 * @param {{ patience?: number }} [options] how long a thread may take to come to rest, in milliseconds
 */
export function workerPeer(endpoint, { patience = 2000 } = {}) {
  let gate;
  let number = 0;
  const answers = new Map();
  const listen = (event) => {
    const answer = event.data?.wasmend === "answer" && answers.get(event.data.number);
    if (answer) answer(event.data);
  };
  on(endpoint, listen);
  const ask = (message) =>
    new Promise((resolve, reject) => {
      const own = ++number;
      const timer = setTimeout(() => {
        answers.delete(own);
        reject(new LiveError("thread-busy", `a thread did not come to rest within ${patience} ms: let its functions return now and then`));
      }, patience);
      answers.set(own, (answer) => {
        clearTimeout(timer);
        answers.delete(own);
        if (answer.error) reject(new LiveError(answer.error.code, answer.error.message));
        else resolve();
      });
      endpoint.postMessage({ ...message, number: own });
    });
  return {
    async hold(bytes) {
      gate = new Int32Array(new SharedArrayBuffer(4));
      const own = gate;
      try {
        await ask({ wasmend: "hold", bytes, gate });
      } catch (error) {
        Atomics.store(own, 0, LEAVE);
        Atomics.notify(own, 0);
        throw error;
      }
    },
    async release(applied) {
      if (Atomics.compareExchange(gate, 0, 0, applied ? GO : LEAVE) === 0) Atomics.notify(gate, 0);
    },
  };
}

/**
 * In the thread: lets its instance take part. Returns a function that ends this.
 * @param {WebAssembly.Module} module
 * @param {WebAssembly.Instance} instance
 * @param {WebAssembly.Imports} imports
 * @param {{ endpoint?: MessagePort, compileOptions?: object }} [options]
 */
export function joinLive(module, instance, imports, { endpoint = globalThis, compileOptions } = {}) {
  const live = new LiveInstance(module, instance, imports, compileOptions);
  const listen = async (event) => {
    const message = event.data;
    if (message?.wasmend !== "hold") return;
    const answer = (error) =>
      endpoint.postMessage({
        wasmend: "answer",
        number: message.number,
        error: error && { code: error.code ?? "thread", message: error.message },
      });
    let prepared;
    try {
      prepared = await live.prepare(message.bytes);
      prepared.check();
    } catch (error) {
      return answer(error);
    }
    // From the answer on this thread stands still, until the page has written the data.
    answer();
    Atomics.wait(message.gate, 0, 0);
    if (Atomics.load(message.gate, 0) === GO) prepared.applySlots();
  };
  on(endpoint, listen);
  return () => off(endpoint, listen);
}

function on(endpoint, listen) {
  if (endpoint.addEventListener) endpoint.addEventListener("message", listen);
  else endpoint.on("message", (data) => listen({ data }));
  endpoint.start?.();
}

function off(endpoint, listen) {
  endpoint.removeEventListener?.("message", listen);
}
