// Strings, arrays and closures-free sorting, in a debug build with the runtime exported.

const greetings: string[] = ["hello", "good evening to you", "ahoy"];
let calls: i64 = 5_000_000_000;

function capitalised(word: string): string {
  return word.length ? word.charAt(0).toUpperCase() + word.substring(1) : word;
}

class Tally {
  words: Map<string, i32> = new Map<string, i32>();

  add(word: string): void {
    calls++;
    const before = this.words.has(word) ? this.words.get(word) : 0;
    this.words.set(capitalised(word), before + 1);
  }
}

const text = "mend the net and mend the sail and rest, and then mend the mended net once more";

function tally(source: string): Tally {
  const result = new Tally();
  const words = source.split(" ");
  for (let i = 0; i < words.length; i++) result.add(words[i]);
  return result;
}

function hash(word: string, seed: u32): u32 {
  let h: u32 = 2166136261 + seed;
  for (let i = 0; i < word.length; i++) h = (h ^ word.charCodeAt(i)) * 16777619;
  return h;
}

export function distinct(): i32 {
  return tally(text).words.size;
}

export function greet(which: i32): u32 {
  return hash(greetings[which % greetings.length] + ", " + which.toString(), <u32>which);
}

export function sorted(n: i32): i64 {
  const numbers: i32[] = [];
  for (let i = 0; i < n; i++) numbers.push((i * 7907) % 103);
  numbers.sort((a, b) => a - b);
  return numbers.reduce<i64>((sum, value, index) => sum + <i64>value * index, 0);
}

export function average(n: i32): f64 {
  const numbers = new Float64Array(n);
  for (let i = 0; i < n; i++) numbers[i] = Math.sqrt(<f64>i);
  let sum: f64 = 0;
  for (let i = 0; i < n; i++) sum += numbers[i];
  return sum / <f64>n;
}

export function called(): i64 {
  return calls;
}
