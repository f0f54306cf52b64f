import type { Plugin } from "vite";

/** `command` is the program wasmend (else `$WASMEND`, or `wasmend` on the path); `arguments` are more for `wasmend serve`. */
export default function wasmend(options?: { command?: string; arguments?: string[] }): Plugin;
