// A thread of the test's program.
import { parentPort, workerData } from "node:worker_threads";
import { joinLive } from "../wasmend/worker.js";

const imports = { env: { memory: workerData.memory } };
const instance = await WebAssembly.instantiate(workerData.module, imports);
joinLive(workerData.module, instance, imports, { endpoint: parentPort });
parentPort.on("message", ({ call, busy }) => {
  if (call) parentPort.postMessage({ name: call, value: instance.exports[call]() });
  for (const end = Date.now() + (busy ?? 0); Date.now() < end; );
});
parentPort.postMessage("ready");
