/** What went wrong, with a word that programs can look at. */
export class LiveError extends Error {
  readonly code: string;
}

export interface Patched {
  version: string;
  generation: number;
  /** Names of the functions that are other ones now. */
  functions: string[];
  bytes: number;
  /** How many ranges of data keep what the program has made of them. */
  kept: number;
  ms: { fetch: number; compile: number; apply: number; total: number };
}

export interface Refused {
  code: string;
  message: string;
  symbol?: string;
  help?: string;
  error: LiveError;
}

export interface Events {
  patched: Patched;
  refused: Refused;
  restarted: { from: string; version: string; restored: boolean };
  rebased: { version: string };
  error: { message: string; error: Error };
  building: { building: boolean };
}

/** What a stream of events hands in. */
export type LiveEvent =
  | { type: "delta"; url?: string; bytes?: Uint8Array; module?: string }
  | { type: "refused"; code: string; message: string; symbol?: string; help?: string; module?: string }
  | { type: "error"; message: string }
  | { type: "building" }
  | { type: "gone"; module?: string }
  | { type: "current"; version: string; module?: string };

export type Connect = (receive: (event: LiveEvent) => void, version: () => string) => (() => void) | void;

export type OnRefused = "restart" | "keep" | ((refused: Refused) => "restart" | "keep" | Promise<"restart" | "keep">);

export interface LiveOptions {
  /** Where changes come from: an address of server-sent events, a function that connects, or `false` for none. */
  events?: string | URL | Connect | false;
  onRefused?: OnRefused;
  /** When a change is taken in. A function is given what it has to call, at a moment when no function of the program runs. */
  when?: "now" | "frame" | "idle" | ((apply: () => void) => void);
  budget?: { changes: number; bytes: number };
  /** The compile options of the program, such as `{ builtins: ["js-string"] }`. */
  compileOptions?: object;
  fetch?: typeof globalThis.fetch;
}

export interface Peer {
  hold(bytes: Uint8Array): Promise<void>;
  release(applied: boolean): Promise<void>;
}

export class LiveProgram<Exports = Record<string, any>> {
  /** The program's exports: an object that stays, also over a restart. */
  readonly exports: Exports;
  readonly instance: WebAssembly.Instance;
  readonly module: WebAssembly.Module;
  readonly version: string;
  on<Kind extends keyof Events>(kind: Kind, listener: (event: Events[Kind]) => void): () => void;
  receive(event: LiveEvent): Promise<void>;
  apply(bytes: BufferSource): Promise<void>;
  restart(source?: string | URL | BufferSource): Promise<void>;
  rebase(source?: string | URL | BufferSource): Promise<boolean>;
  addPeer(peer: Peer): () => void;
  close(): void;
}

export function instantiateLive<Exports = Record<string, any>>(
  source: string | URL | Response | BufferSource,
  imports?: WebAssembly.Imports | ((program: LiveProgram<Exports>) => WebAssembly.Imports),
  options?: LiveOptions,
): Promise<LiveProgram<Exports>>;

/** Checks a delta, and says from and to which version it leads. */
export function readDelta(bytes: Uint8Array): {
  from: { generation: bigint; buildId: Uint8Array };
  to: { generation: bigint; buildId: Uint8Array };
};

export { eventStream } from "./stream.js";
