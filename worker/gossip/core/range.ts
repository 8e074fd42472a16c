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

/** Sum of hashes modulo 2^32: no order, and equal for equal sets. */
export function rangeChecksum(digests: readonly Digest[]): number {
  let sum = 0;
  for (const { owner, incarnation, sequence, count, checksum, coveredTo } of digests) {
    let hash = textHash(owner);
    for (const part of [incarnation % 2 ** 32, sequence, count, checksum, coveredTo]) {
      hash = Math.imul(hash ^ part, 0x85ebca6b);
      hash ^= hash >>> 13;
    }
    sum = (sum + hash) >>> 0;
  }
  return sum;
}

/** A range in 16 parts; at the finest the range itself. */
export function childRanges(range: Scope, digests: readonly Digest[]): Range[] {
  const buckets = Math.min(range.buckets * CHILDREN, MOST_BUCKETS);
  const parts = Array.from({ length: buckets / range.buckets }, (_, at) => range.bucket + at * range.buckets);
  return parts.map((bucket) => {
    const within = digests.filter(({ owner }) => inScope(owner, { bucket, buckets }));
    return { bucket, buckets, count: within.length, checksum: rangeChecksum(within) };
  });
}
