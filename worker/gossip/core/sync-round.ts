import type { Digest, Message } from './message.ts';

interface Answer {
  expected: number;
  digests: Map<string, Digest>;
  synced: boolean;
}

/** Exchanges with peers that are not synced themselves, after which no more is to be expected. */
const ENOUGH = 16;

/**
 * Finds out when a full exchange has been done: a peer's answer is complete, and all that it listed has arrived here.
 * A peer that is itself not synced (the whole swarm restarts) counts only together with all others, or with 15 more.
 */
export class SyncRound {
  readonly #answers = new Map<string, Answer>();
  readonly #exchanged = new Set<string>();
  #done = false;

  /** One message of an answer with digests. */
  answered(message: Message): void {
    if (this.#done || message.replyWanted || this.#exchanged.has(message.from)) return;
    const open = this.#answers.get(message.from);
    // A complete answer that was not reached is replaced by the next one: owners on it may be gone by now.
    const answer =
      open === undefined || open.digests.size >= open.expected
        ? { expected: 0, digests: new Map<string, Digest>(), synced: false }
        : open;
    answer.expected = message.digestCount;
    answer.synced = message.synced;
    for (const digest of message.digests) answer.digests.set(digest.owner, digest);
    this.#answers.set(message.from, answer);
  }

  /** Looks at what has arrived meanwhile. */
  advance(known: (owner: string) => Digest | undefined): void {
    for (const [nodeId, answer] of this.#answers) {
      if (answer.digests.size < answer.expected) continue;
      if (![...answer.digests.values()].every((theirs) => reached(known(theirs.owner), theirs))) continue;
      this.#answers.delete(nodeId);
      this.#exchanged.add(nodeId);
      if (answer.synced) this.#done = true;
    }
  }

  drop(nodeId: string): void {
    this.#answers.delete(nodeId);
    this.#exchanged.delete(nodeId);
  }

  /** Peers still to be exchanged with, while that matters. */
  missing(peers: () => readonly string[]): string[] {
    return this.#done ? [] : peers().filter((nodeId) => !this.#exchanged.has(nodeId));
  }

  done(peers: () => readonly string[]): boolean {
    this.#done ||= this.#exchanged.size >= ENOUGH || peers().every((nodeId) => this.#exchanged.has(nodeId));
    return this.#done;
  }
}

function reached(mine: Digest | undefined, theirs: Digest): boolean {
  if (mine === undefined) return false;
  if (mine.incarnation !== theirs.incarnation) return mine.incarnation > theirs.incarnation;
  return mine.sequence >= theirs.sequence && mine.coveredTo >= theirs.coveredTo;
}
