// Strings, arrays and closures-free sorting, in a debug build with the runtime exported.

const greetings: string[] = ["hello", "good evening to you", "ahoy"];
let calls: i32 = 0;

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

  longest(): string {
    const words = this.words.keys();
    let longest = "";
    for (let i = 0; i < words.length; i++) {
      if (words[i].length > longest.length) longest = words[i];
    }
    return longest;
  }
}

const text = "mend the net and mend the sail and rest";

function tally(source: string): Tally {
  const result = new Tally();
  const words = source.split(" ");
  for (let i = 0; i < words.length; i++) result.add(words[i]);
  return result;
}

function hash(word: string): u32 {
  let h: u32 = 2166136261;
  for (let i = 0; i < word.length; i++) h = (h ^ word.charCodeAt(i)) * 16777619;
  return h;
}

export function distinct(): i32 {
  return tally(text).words.size;
}

export function longest(): u32 {
  return hash(tally(text).longest());
}

export function greet(which: i32): u32 {
  return hash(greetings[which % greetings.length] + ", " + which.toString());
}

export function sorted(n: i32): i64 {
  const numbers: i32[] = [];
  for (let i = 0; i < n; i++) numbers.push((i * 7907) % 103);
  numbers.sort((a, b) => a - b);
  return numbers.reduce<i64>((sum, value, index) => sum + <i64>value * index, 0);
}

export function called(): i32 {
  return calls;
}
