/**
 * A JSON reader that remembers where things are, so that one value of a document can be replaced and every other
 * byte left alone, and that words its complaints as Go's encoding/json does (Docker's clients show them).
 */

/** A value's place in the text; `end` is exclusive. */
export interface JsonNode {
  start: number;
  end: number;
  /** In document order; present for objects only. */
  members?: JsonMember[];
}

export interface JsonMember {
  key: string;
  keyStart: number;
  keyEnd: number;
  value: JsonNode;
}

export interface TextEdit {
  start: number;
  end: number;
  text: string;
}

/** A text that is not JSON; the message is Go's. */
export class JsonSyntaxError extends Error {
  override readonly name = 'JsonSyntaxError';
}

const MAX_DEPTH = 1000;
/** Below are control characters, which JSON strings must escape. */
const FIRST_PRINTABLE = 0x20;
const SPACE = /[ \t\r\n]*/y;
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;

/** @throws JsonSyntaxError when `text` is not exactly one JSON value. */
export function scanJson(text: string): JsonNode {
  const scanner = new Scanner(text);
  const node = scanner.value(0, 0);
  const rest = scanner.skip(node.end);
  if (rest < text.length) throw scanner.unexpected(rest, 'after top-level value');
  return node;
}

/** The member that Go would decode into the field `name`: the last one that matches without regard to case. */
export function memberOf(node: JsonNode | undefined, name: string): JsonMember | undefined {
  return node?.members?.findLast((member) => member.key.toLowerCase() === name.toLowerCase());
}

/** Applies edits that do not overlap, in any order. */
export function editText(text: string, edits: readonly TextEdit[]): string {
  let result = text;
  for (const edit of edits.toSorted((a, b) => b.start - a.start)) {
    result = result.slice(0, edit.start) + edit.text + result.slice(edit.end);
  }
  return result;
}

class Scanner {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  skip(at: number): number {
    SPACE.lastIndex = at;
    SPACE.exec(this.#text);
    return SPACE.lastIndex;
  }

  value(from: number, depth: number): JsonNode {
    if (depth > MAX_DEPTH) throw new JsonSyntaxError('exceeded max depth');
    const start = this.skip(from);
    const first = this.#text[start];
    if (first === '{') return this.#object(start, depth);
    if (first === '[') return this.#array(start, depth);
    if (first === '"') return { start, end: this.#string(start) };
    if (first === 't') return this.#literal(start, 'true');
    if (first === 'f') return this.#literal(start, 'false');
    if (first === 'n') return this.#literal(start, 'null');
    if (first !== undefined && /[-0-9]/.test(first)) return this.#number(start);
    throw this.unexpected(start, 'looking for beginning of value');
  }

  unexpected(at: number, where: string): JsonSyntaxError {
    const point = this.#text.codePointAt(at);
    if (point === undefined) return new JsonSyntaxError('unexpected EOF');
    return new JsonSyntaxError(`invalid character ${quoted(String.fromCodePoint(point))} ${where}`);
  }

  #object(start: number, depth: number): JsonNode {
    const members: JsonMember[] = [];
    let at = this.skip(start + 1);
    if (this.#text[at] === '}') return { start, end: at + 1, members };
    for (;;) {
      if (this.#text[at] !== '"') throw this.unexpected(at, 'looking for beginning of object key string');
      const keyEnd = this.#string(at);
      const key = JSON.parse(this.#text.slice(at, keyEnd)) as string;
      const colon = this.skip(keyEnd);
      if (this.#text[colon] !== ':') throw this.unexpected(colon, 'after object key');
      const value = this.value(colon + 1, depth + 1);
      members.push({ key, keyStart: at, keyEnd, value });
      at = this.skip(value.end);
      if (this.#text[at] === '}') return { start, end: at + 1, members };
      if (this.#text[at] !== ',') throw this.unexpected(at, 'after object key:value pair');
      at = this.skip(at + 1);
    }
  }

  #array(start: number, depth: number): JsonNode {
    let at = this.skip(start + 1);
    if (this.#text[at] === ']') return { start, end: at + 1 };
    for (;;) {
      at = this.skip(this.value(at, depth + 1).end);
      if (this.#text[at] === ']') return { start, end: at + 1 };
      if (this.#text[at] !== ',') throw this.unexpected(at, 'after array element');
      at += 1;
    }
  }

  #string(start: number): number {
    let at = start + 1;
    while (at < this.#text.length && this.#text.charCodeAt(at) >= FIRST_PRINTABLE) {
      const character = this.#text[at];
      if (character === '"') return at + 1;
      at += character === '\\' ? this.#escape(at) : 1;
    }
    throw this.unexpected(at, 'in string literal');
  }

  /** @returns the length of the escape sequence at `at`. */
  #escape(at: number): number {
    const letter = this.#text[at + 1];
    if (letter === 'u') {
      const wrong = this.#text.slice(at + 2, at + 6).search(/[^0-9a-fA-F]/);
      if (wrong >= 0) throw this.unexpected(at + 2 + wrong, 'in \\u hexadecimal character escape');
      return 6;
    }
    if (letter !== undefined && '"\\/bfnrt'.includes(letter)) return 2;
    throw this.unexpected(at + 1, 'in string escape code');
  }

  #literal(start: number, word: string): JsonNode {
    for (let index = 1; index < word.length; index++) {
      if (this.#text[start + index] !== word[index]) {
        throw this.unexpected(start + index, `in literal ${word} (expecting '${word[index] ?? ''}')`);
      }
    }
    return { start, end: start + word.length };
  }

  #number(start: number): JsonNode {
    NUMBER.lastIndex = start;
    if (!NUMBER.test(this.#text)) throw this.unexpected(start + 1, 'in numeric literal');
    const end = NUMBER.lastIndex;
    const next = this.#text[end];
    if (next === '.') throw this.unexpected(end + 1, 'after decimal point in numeric literal');
    if (next === 'e' || next === 'E') throw this.unexpected(end + 1, 'in exponent of numeric literal');
    return { start, end };
  }
}

function quoted(character: string): string {
  if (character === "'") return "'\\''";
  if (character === '"') return "'\"'";
  return `'${JSON.stringify(character).slice(1, -1)}'`;
}
