import type { LocalEndpoint } from '../endpoint-table.ts';
import { type Change, type Digest, type Update, changeKey } from './message.ts';
import { recordHash } from './record-hash.ts';

/** Records of an earlier life stay served this long when the new one never says that it has told everything. */
const EARLIER_LIFE_MS = 30_000;

interface Live {
  change: Change;
  hash: number;
}
interface Tombstone {
  change: Change;
  atMs: number;
}

/**
 * What one node knows of one owner's endpoints.
 *
 * Order is (incarnation, sequence), both given by the owner alone. `coveredTo` makes lateness harmless: a change at or
 * below it is either already here or has been superseded, so it is ignored, and no tombstone is needed to refuse it.
 * Tombstones only serve to tell others by a delta; once reaped (`reapedTo`) a peer that lags behind gets a snapshot.
 * When an owner comes back with a new incarnation, the records of its earlier life go on being served until the
 * new life is covered (a restarted daemon publishes its endpoints again one by one).
 */
export class OwnerView {
  readonly owner: string;
  incarnation = 0;
  /** Highest seen. */
  sequence = 0;
  coveredTo = 0;
  #digest: Digest | undefined;
  readonly #live = new Map<string, Live>();
  readonly #tombstones = new Map<string, Tombstone>();
  #earlier = new Map<string, Change>();
  #earlierUntilMs = 0;
  #reapedTo = 0;
  #checksum = 0;

  constructor(owner: string) {
    this.owner = owner;
  }

  /** The same object as long as nothing changes. */
  digest(): Digest {
    const digest = {
      owner: this.owner,
      incarnation: this.incarnation,
      sequence: this.sequence,
      count: this.#live.size,
      checksum: this.#checksum,
      coveredTo: this.coveredTo,
    };
    if (this.#digest === undefined || !sameDigest(this.#digest, digest)) this.#digest = digest;
    return this.#digest;
  }

  /** Endpoints to be served. */
  *endpoints(): Iterable<LocalEndpoint> {
    for (const { change } of this.#live.values()) if (change.endpoint !== undefined) yield change.endpoint;
    for (const change of this.#earlier.values()) if (change.endpoint !== undefined) yield change.endpoint;
  }

  networks(): Set<string> {
    return new Set(Array.from(this.endpoints(), (endpoint) => endpoint.networkId));
  }

  find(key: string): LocalEndpoint | undefined {
    return this.#live.get(key)?.change.endpoint;
  }

  /** The owner's own next change. @returns networks that changed. */
  append(change: Omit<Change, 'sequence'>, nowMs: number, settled: boolean): Set<string> {
    const changed = new Set<string>();
    this.#put({ ...change, sequence: this.sequence + 1 }, nowMs, changed);
    if (settled) this.coveredTo = this.sequence;
    return changed;
  }

  /** The owner declares that all its endpoints are told; takes a sequence of its own, so that it can be covered when empty. */
  settle(): void {
    this.sequence += 1;
    this.coveredTo = this.sequence;
  }

  /** The owner begins anew at `incarnation` with what it has: nothing that was said of its earlier lives counts then. */
  reissue(incarnation: number, settled: boolean): void {
    const kept = [...this.#live.values()].map((live) => live.change);
    this.#forget();
    this.incarnation = incarnation;
    for (const change of kept) this.append(change, 0, false);
    if (settled) this.settle();
  }

  /** @returns networks whose served endpoints changed, and whether anything new was learnt. */
  apply(update: Update, nowMs: number): { changed: Set<string>; advanced: boolean } {
    const changed = new Set<string>();
    if (update.incarnation < this.incarnation) return { changed, advanced: false };
    const before = this.digest();
    if (update.incarnation > this.incarnation) this.#beginLife(update.incarnation, nowMs);
    for (const change of update.changes) {
      if (change.sequence > this.coveredTo) this.#put(change, nowMs, changed);
    }
    if (update.snapshot && update.covers > this.coveredTo && update.base <= this.coveredTo) {
      this.#dropUnnamed(update, changed);
    }
    if (update.covers > this.coveredTo && update.base <= this.coveredTo) this.#coverTo(update.covers, changed);
    return { changed, advanced: !sameDigest(before, this.digest()) };
  }

  /**
   * What someone with this digest lacks, most recent last; empty when nothing.
   * @param theirs undefined: knows nothing of the owner.
   */
  contentFor(theirs: Digest | undefined): Update[] {
    const sameLife = theirs !== undefined && theirs.incarnation === this.incarnation;
    if (!sameLife && theirs !== undefined && theirs.incarnation > this.incarnation) return [];
    const base = sameLife ? theirs.coveredTo : 0;
    const updates: Update[] = [];
    if (this.coveredTo > base) {
      updates.push(base > 0 && base >= this.#reapedTo ? this.#delta(base) : this.#snapshot());
    }
    const loose = this.#changesWithin(Math.max(base, this.coveredTo), Number.POSITIVE_INFINITY);
    if (loose.length > 0 || (updates.length === 0 && !sameLife)) {
      updates.push(this.#update({ base: 0, covers: 0, snapshot: false, changes: loose }));
    }
    return updates;
  }

  /** Forgets tombstones that are older than `beforeMs` and at or below `ackedTo`; ends a life that never settled. */
  reap(nowMs: number, beforeMs: number, ackedTo: number): Set<string> {
    for (const [key, { change, atMs }] of this.#tombstones) {
      if (atMs > beforeMs || change.sequence > ackedTo || change.sequence > this.coveredTo) continue;
      this.#tombstones.delete(key);
      this.#reapedTo = Math.max(this.#reapedTo, change.sequence);
    }
    const changed = new Set<string>();
    if (nowMs >= this.#earlierUntilMs) this.#endEarlierLife(changed);
    return changed;
  }

  #put(change: Change, nowMs: number, changed: Set<string>): void {
    const key = changeKey(change);
    const known = this.#live.get(key);
    const newest = Math.max(known?.change.sequence ?? 0, this.#tombstones.get(key)?.change.sequence ?? 0);
    if (change.sequence <= newest) return;
    if (known !== undefined) this.#remove(key, known);
    this.#tombstones.delete(key);
    const wasEarlier = this.#earlier.delete(key);
    if (change.endpoint === undefined) {
      this.#tombstones.set(key, { change, atMs: nowMs });
    } else {
      const hash = recordHash(change);
      this.#live.set(key, { change, hash });
      this.#checksum = (this.#checksum + hash) >>> 0;
    }
    this.sequence = Math.max(this.sequence, change.sequence);
    if (change.endpoint !== undefined || known !== undefined || wasEarlier) changed.add(change.networkId);
  }

  #remove(key: string, live: Live): void {
    this.#live.delete(key);
    this.#checksum = (this.#checksum - live.hash) >>> 0;
  }

  #dropUnnamed(update: Update, changed: Set<string>): void {
    const named = new Set(update.changes.map(changeKey));
    for (const [key, live] of [...this.#live]) {
      if (named.has(key) || live.change.sequence > update.covers || live.change.sequence <= update.base) continue;
      this.#remove(key, live);
      changed.add(live.change.networkId);
    }
    this.#reapedTo = Math.max(this.#reapedTo, update.covers);
  }

  #coverTo(sequence: number, changed: Set<string>): void {
    this.coveredTo = sequence;
    this.sequence = Math.max(this.sequence, sequence);
    this.#endEarlierLife(changed);
  }

  #beginLife(incarnation: number, nowMs: number): void {
    const earlier = this.#earlier;
    for (const [key, live] of this.#live) earlier.set(key, live.change);
    this.#forget();
    this.#earlier = earlier;
    this.#earlierUntilMs = nowMs + EARLIER_LIFE_MS;
    this.incarnation = incarnation;
  }

  #endEarlierLife(changed: Set<string>): void {
    for (const change of this.#earlier.values()) changed.add(change.networkId);
    this.#earlier.clear();
  }

  #forget(): void {
    this.#live.clear();
    this.#tombstones.clear();
    this.#earlier = new Map();
    this.#checksum = 0;
    this.sequence = 0;
    this.coveredTo = 0;
    this.#reapedTo = 0;
  }

  #delta(base: number): Update {
    const changes = this.#changesWithin(base, this.coveredTo);
    return this.#update({ base, covers: this.coveredTo, snapshot: false, changes });
  }

  #snapshot(): Update {
    const changes = [...this.#live.values()].map((live) => live.change);
    return this.#update({ base: 0, covers: this.coveredTo, snapshot: true, changes });
  }

  #update(content: Pick<Update, 'base' | 'covers' | 'snapshot' | 'changes'>): Update {
    return { owner: this.owner, incarnation: this.incarnation, ...content };
  }

  /** Changes with after < sequence <= upTo, in order. */
  #changesWithin(after: number, upTo: number): Change[] {
    if (this.sequence <= after) return [];
    return [...this.#live.values(), ...this.#tombstones.values()]
      .map((kept) => kept.change)
      .filter((change) => change.sequence > after && change.sequence <= upTo)
      .toSorted((a, b) => a.sequence - b.sequence);
  }
}

export function sameDigest(a: Digest, b: Digest): boolean {
  return (
    a.incarnation === b.incarnation &&
    a.sequence === b.sequence &&
    a.count === b.count &&
    a.checksum === b.checksum &&
    a.coveredTo === b.coveredTo
  );
}
