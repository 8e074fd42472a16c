import { WaggleError } from '../../../proto/runtime/errors.ts';

/** An IPv4, IPv6 or MAC address, as a word of a command: it comes from other hosts too. @throws WaggleError invalid-argument. */
export function word(text: string): string {
  if (/^[0-9a-f.:]+$/.test(text)) return text;
  throw new WaggleError('invalid-argument', `not an address: ${JSON.stringify(text)}`);
}

/** The name of a link, likewise. @throws WaggleError invalid-argument. */
export function linkName(text: string): string {
  if (/^[\w.@-]+$/.test(text)) return text;
  throw new WaggleError('invalid-argument', `not a link that can be named in a command: ${JSON.stringify(text)}`);
}
