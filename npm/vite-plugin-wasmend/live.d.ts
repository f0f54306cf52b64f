declare module "*.wasm?live" {
  import type { LiveOptions, LiveProgram } from "wasmend";
  export default function instantiate(
    imports?: WebAssembly.Imports,
    options?: LiveOptions & { overlay?: boolean; fresh?: boolean },
  ): Promise<LiveProgram>;
}
