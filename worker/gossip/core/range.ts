import type { Digest, Range, Scope } from './message.ts';
import { textHash } from './record-hash.ts';

/** Every owner. */
export const WHOLE: Scope = { bucket: 0, buckets: 1 };
const CHILDREN = 16;
/** Finer than one owner in a bucket makes no sense. */
export const MOST_BUCKETS = CHILDREN ** 4;

export function inScope(owner: string, scope: Scope): boolean {
  return scope.buckets === 1 || textHash(owner) % scope.buckets === scope.bucket;
}

/** Of digests that are compared again and again: each is hashed once in its life. */
const hashes = new WeakMap<Digest, number>();

/** Sum of hashes modulo 2^32: no order, and equal for equal sets. The digests must not be changed afterwards. */
export function rangeChecksum(digests: readonly Digest[]): number {
  let sum = 0;
  for (const digest of digests) {
    let hash = hashes.get(digest);
    if (hash === undefined) {
      hash = digestHash(digest);
      hashes.set(digest, hash);
    }
    sum = (sum + hash) >>> 0;
  }
  return sum;
}

function digestHash({ owner, incarnation, sequence, count, checksum, coveredTo }: Digest): number {
  let hash = textHash(owner);
  for (const part of [incarnation % 2 ** 32, sequence, count, checksum, coveredTo]) {
    hash = Math.imul(hash ^ part, 0x85ebca6b);
    hash ^= hash >>> 13;
  }
  return hash;
}

/** A range in 16 parts; at the finest the range itself. */
export function childRanges(range: Scope, digests: readonly Digest[]): Range[] {
  const buckets = Math.min(range.buckets * CHILDREN, MOST_BUCKETS);
  const parts = Array.from({ length: buckets / range.buckets }, (): Digest[] => []);
  for (const digest of digests) {
    parts[Math.floor((textHash(digest.owner) % buckets) / range.buckets)]?.push(digest);
  }
  return parts.map((within, at) => {
    const bucket = range.bucket + at * range.buckets;
    return { bucket, buckets, count: within.length, checksum: rangeChecksum(within) };
  });
}
