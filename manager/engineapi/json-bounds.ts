import { WaggleError } from '../../proto/runtime/errors.ts';

/** No body of this API nests a dozen; whatever walks a stored spec later may recurse without looking. */
const MAX_DEPTH = 100;
/** Labels, environment and all: far more than fits into a Raft message. What costs is each value, not each byte. */
const MAX_VALUES = 50_000;
const QUOTE = 0x22;
const COMMA = 0x2c;
const OPENING = new Set([0x5b, 0x7b]);
const CLOSING = new Set([0x5d, 0x7d]);

/**
 * Refuses, before it is parsed, a text that would nest too deep or make too many values. Takes no notice of whether it
 * is JSON. @throws WaggleError invalid-argument.
 */
export function assertBounded(text: string): void {
  let depth = 0;
  let values = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) at = endOfString(text, at);
    else if (OPENING.has(code)) depth += 1;
    else if (CLOSING.has(code)) depth -= 1;
    else if (code === COMMA) values += 1;
    if (depth > MAX_DEPTH) throw new WaggleError('invalid-argument', 'exceeded max depth');
    if (values > MAX_VALUES) throw new WaggleError('invalid-argument', `json: more than ${MAX_VALUES} values`);
  }
}

/** The closing quote of the string that begins at `start`, or the end of the text. */
function endOfString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end >= 0; end = text.indexOf('"', end + 1)) {
    let backslashes = 0;
    while (text[end - 1 - backslashes] === '\\') backslashes += 1;
    if (backslashes % 2 === 0) return end;
  }
  return text.length;
}
