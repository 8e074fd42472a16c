import type { Digest } from './message.ts';
import { sameDigest } from './owner-view.ts';

const FIRST_RETRY_MS = 60;
const LAST_RETRY_MS = 2_000;

/**
 * What one peer is known to hold of this node's own endpoints, and when to tell it again.
 * Told -> (its digest equals ours) acknowledged; else told again after 60 ms, doubling to 2 s, for as long as it is a peer.
 */
export class PeerProgress {
  /** Its last digest of us. */
  digest: Digest | undefined;
  #toldSequence = 0;
  #toldIncarnation = 0;
  #retryAtMs = Number.POSITIVE_INFINITY;
  #retryMs = FIRST_RETRY_MS;

  told(own: Digest, nowMs: number): void {
    if (!this.hasBeenTold(own)) this.#retryMs = FIRST_RETRY_MS;
    this.#toldSequence = own.sequence;
    this.#toldIncarnation = own.incarnation;
    this.#retryAtMs = nowMs + this.#retryMs;
    this.#retryMs = Math.min(LAST_RETRY_MS, this.#retryMs * 2);
  }

  hasBeenTold(own: Digest): boolean {
    return this.#toldIncarnation === own.incarnation && this.#toldSequence >= own.sequence;
  }

  /** Where a new delta may begin, trusting that what was sent has arrived. */
  assumed(own: Digest): Digest | undefined {
    if (this.#toldIncarnation !== own.incarnation || this.#toldSequence <= (this.digest?.sequence ?? 0)) {
      return this.digest;
    }
    return { ...own, sequence: this.#toldSequence, coveredTo: Math.min(this.#toldSequence, own.coveredTo) };
  }

  /** The peer has shown that it knows nothing of us; it has just been told all. */
  restart(own: Digest, nowMs: number): void {
    this.digest = undefined;
    this.#retryMs = FIRST_RETRY_MS;
    this.told(own, nowMs);
  }

  /** @returns true when the peer visibly lost something, so that waiting for the retry is pointless. */
  heard(digest: Digest, own: Digest): boolean {
    this.digest = digest;
    if (this.acknowledged(own)) this.#retryAtMs = Number.POSITIVE_INFINITY;
    const gap = digest.incarnation === own.incarnation && own.coveredTo > 0 && digest.sequence > digest.coveredTo;
    return gap && !this.acknowledged(own);
  }

  acknowledged(own: Digest): boolean {
    return this.digest !== undefined && sameDigest(this.digest, own);
  }

  due(nowMs: number): boolean {
    return nowMs >= this.#retryAtMs;
  }

  /** Sequence up to which the peer needs no tombstone any more. */
  ackedTo(own: Digest): number {
    return this.digest?.incarnation === own.incarnation ? this.digest.coveredTo : 0;
  }
}
