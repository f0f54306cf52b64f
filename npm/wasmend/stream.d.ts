import type { Connect } from "./index.js";

/** Events of `wasmend serve`, for a live program; a connection that was lost comes back. */
export function eventStream(url: string | URL, options?: { EventSource?: typeof globalThis.EventSource; retry?: number }): Connect;

/** The data of each server-sent event, until the server ends or the signal does. */
export function serverEvents(url: string | URL, signal?: AbortSignal): AsyncGenerator<string>;
