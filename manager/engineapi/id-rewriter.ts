import { Transform } from 'node:stream';
import type { NetworkMapping } from './backend.ts';

/** A quoted ID of this engine: 64 hex digits and two quotes. */
const QUOTED_ID_LENGTH = 66;

/**
 * Replaces, in JSON on its way to the client, the IDs of local twins by those of the swarm networks that they stand
 * for; every other byte stays. 256 random bits do not turn up by accident.
 */
export function rewriteIds(text: string, mappings: readonly NetworkMapping[]): string {
  let result = text;
  for (const { localId, clusterId } of mappings) {
    if (result.includes(localId)) result = result.replaceAll(`"${localId}"`, `"${clusterId}"`);
  }
  return result;
}

/** `rewriteIds` over a stream, however it is cut into chunks. */
export function idRewriter(mappings: readonly NetworkMapping[]): Transform {
  let carry = '';
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      // latin1 keeps bytes one to one, and IDs are ASCII.
      const text = rewriteIds(carry + chunk.toString('latin1'), mappings);
      const cut = Math.max(0, text.length - (QUOTED_ID_LENGTH - 1));
      carry = text.slice(cut);
      done(null, Buffer.from(text.slice(0, cut), 'latin1'));
    },
    flush(done) {
      done(null, Buffer.from(carry, 'latin1'));
    },
  });
}
