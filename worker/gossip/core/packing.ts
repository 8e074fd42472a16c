import type { Change, Digest, Range, Update } from './message.ts';
import { changeSizeBytes } from './record-hash.ts';

/** What fits beside headers into one UDP datagram of 1400 bytes. */
export const DATAGRAM_CONTENT_BYTES = 1_250;
/** Above this many datagrams one stream is cheaper and surer. */
const MOST_DATAGRAMS = 8;
/** Content of one stream message: small enough to be held unauthenticated from many senders at once. */
const STREAM_CONTENT_BYTES = 200_000;
const UPDATE_HEADER_BYTES = 64;
const DIGEST_BYTES = 96;
const RANGE_BYTES = 24;

/** Groups digests into messages, each for a datagram when there are few, else for streams; at least one group, so that "nothing" can be said too. */
export function packDigests(digests: readonly Digest[]): Digest[][] {
  const small = digests.length * DIGEST_BYTES <= DATAGRAM_CONTENT_BYTES * MOST_DATAGRAMS;
  const perMessage = Math.floor((small ? DATAGRAM_CONTENT_BYTES : STREAM_CONTENT_BYTES) / DIGEST_BYTES);
  const groups: Digest[][] = [];
  for (let at = 0; at < digests.length; at += perMessage) groups.push(digests.slice(at, at + perMessage));
  return groups.length === 0 ? [[]] : groups;
}

/** Groups ranges into what one datagram holds; no group when there are none. */
export function packRanges(ranges: readonly Range[]): Range[][] {
  const perDatagram = Math.floor(DATAGRAM_CONTENT_BYTES / RANGE_BYTES);
  const groups: Range[][] = [];
  for (let at = 0; at < ranges.length; at += perDatagram) groups.push(ranges.slice(at, at + perDatagram));
  return groups;
}

/**
 * Groups updates into messages, each for a datagram when the whole is small, else for streams. Deltas are cut between
 * two changes, so every piece stands alone; so are snapshots, each piece being all there is within its part of the sequence.
 */
export function packUpdates(updates: readonly Update[]): Update[][] {
  const sizeBytes = updates.reduce((sum, update) => sum + updateSizeBytes(update), 0);
  const small = sizeBytes <= DATAGRAM_CONTENT_BYTES * MOST_DATAGRAMS;
  const limitBytes = small ? DATAGRAM_CONTENT_BYTES : STREAM_CONTENT_BYTES;
  const groups: Update[][] = [];
  let room = 0;
  for (const piece of updates.flatMap((update) => cut(update, limitBytes))) {
    const pieceBytes = updateSizeBytes(piece);
    const last = groups.at(-1);
    if (last === undefined || pieceBytes > room) {
      groups.push([piece]);
      room = limitBytes - pieceBytes;
    } else {
      last.push(piece);
      room -= pieceBytes;
    }
  }
  return groups;
}

function updateSizeBytes(update: Update): number {
  return update.changes.reduce((sum, change) => sum + changeSizeBytes(change), UPDATE_HEADER_BYTES);
}

function cut(update: Update, limitBytes: number): Update[] {
  if (updateSizeBytes(update) <= limitBytes) return [update];
  const pieces: Change[][] = [[]];
  let room = limitBytes - UPDATE_HEADER_BYTES;
  for (const change of update.changes.toSorted((a, b) => a.sequence - b.sequence)) {
    const bytes = changeSizeBytes(change);
    if (bytes > room && pieces.at(-1)?.length !== 0) {
      pieces.push([]);
      room = limitBytes - UPDATE_HEADER_BYTES;
    }
    pieces.at(-1)?.push(change);
    room -= bytes;
  }
  let base = update.base;
  return pieces.map((changes, index) => {
    const last = index === pieces.length - 1;
    const covers = update.covers === 0 || last ? update.covers : (changes.at(-1)?.sequence ?? base);
    const piece = { ...update, base, covers, changes };
    base = update.covers === 0 ? 0 : covers;
    return piece;
  });
}
