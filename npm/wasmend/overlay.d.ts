import type { LiveProgram } from "./index.js";

/** Shows what goes wrong with a program. Returns a function that ends this. */
export function overlay(program: LiveProgram, options?: { document?: Document }): () => void;
