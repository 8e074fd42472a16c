import type { Configuration, LogEntry, RaftId } from '../../../manager/raft/core/entry.ts';
import { committedIndex } from '../../../manager/raft/core/quorum.ts';
import type { RaftStatus } from '../../../manager/raft/core/raft.ts';

/** A promise of Raft (paper, figure 3) was broken. */
export class SafetyError extends Error {
  override readonly name = 'SafetyError';
}

/** What a member's log holds from `first` on, by index; before that, a snapshot. */
export interface LogView {
  first: number;
  last: number;
  termAt(index: number): number | undefined;
}

/** True when entry `index` of `term` would survive a crash of member `id`. */
export type IsDurable = (id: RaftId, index: number, term: number) => boolean;

/** Sees everything that happens in a cluster, from outside, and compares it with the promises, one step at a time. */
export class Invariants {
  readonly #leaders = new Map<number, RaftId>();
  readonly #seen = new Map<string, { data: Uint8Array; type: string; previousTerm: number }>();
  readonly #committed: { entry: LogEntry; knownInTerm: number; chain: number }[] = [];
  readonly #leaderCommits = new Map<RaftId, { term: number; committed: number; configuration: Configuration }>();
  readonly #firstIndex: number;

  /** @param firstIndex of the first entry after the snapshot that all members begin with. */
  constructor(firstIndex: number) {
    this.#firstIndex = firstIndex;
  }

  get lastCommitted(): number {
    return this.#firstIndex + this.#committed.length - 1;
  }

  /** Election Safety: at most one leader in a term. @returns true for a leader not seen before. */
  leads(id: RaftId, term: number): boolean {
    const known = this.#leaders.get(term);
    if (known !== undefined && known !== id) throw new SafetyError(`${known} and ${id} both lead in term ${term}`);
    this.#leaders.set(term, id);
    return known === undefined;
  }

  /** Log Matching: an entry of one index and term is the same everywhere, and so is the one before it. */
  holds(id: RaftId, entry: LogEntry, previousTerm: number | undefined): void {
    const key = `${entry.index}/${entry.term}`;
    const known = this.#seen.get(key);
    if (known === undefined) {
      this.#seen.set(key, { data: entry.data, type: entry.type, previousTerm: previousTerm ?? 0 });
      return;
    }
    const isSame = known.data === entry.data || Buffer.compare(known.data, entry.data) === 0;
    if (!isSame || known.type !== entry.type) throw new SafetyError(`${id} holds another entry ${key}`);
    if (previousTerm !== undefined && known.previousTerm !== previousTerm) {
      throw new SafetyError(`${id} has term ${previousTerm} before entry ${key}, others have ${known.previousTerm}`);
    }
  }

  /** Leader Completeness: whoever comes to lead has every entry that was committed in an earlier term. */
  becomesLeader(id: RaftId, term: number, log: LogView): void {
    this.#committed.forEach(({ entry, knownInTerm }) => {
      if (knownInTerm >= term || entry.index < log.first) return;
      if (log.termAt(entry.index) !== entry.term) {
        throw new SafetyError(
          `${id} leads in term ${term} without entry ${entry.index}/${entry.term}, committed before`,
        );
      }
    });
  }

  /** State Machine Safety: all apply the same entries in the same order. @returns the digest of all entries so far. */
  applies(id: RaftId, entry: LogEntry, applied: number, term: number): number {
    if (entry.index !== applied + 1) throw new SafetyError(`${id} applies ${entry.index} after ${applied}`);
    const at = entry.index - this.#firstIndex;
    const known = this.#committed[at];
    if (known !== undefined) {
      const isSame = known.entry.term === entry.term && Buffer.compare(known.entry.data, entry.data) === 0;
      if (!isSame) {
        throw new SafetyError(
          `${id} applies ${entry.index}/${entry.term}, others ${known.entry.index}/${known.entry.term}`,
        );
      }
      return known.chain;
    }
    if (at !== this.#committed.length)
      throw new SafetyError(`${id} applies ${entry.index} before anybody committed what precedes it`);
    const chain = digest(this.#committed.at(-1)?.chain ?? 0, entry);
    this.#committed.push({ entry, knownInTerm: term, chain });
    return chain;
  }

  /** A snapshot is the state that applying the log up to its index gives. */
  installs(id: RaftId, index: number, term: number, chain: number): void {
    const known = this.#committed[index - this.#firstIndex];
    if (known === undefined) return;
    if (known.entry.term !== term || known.chain !== chain) {
      throw new SafetyError(`${id} installs a snapshot at ${index} that is not the state there`);
    }
  }

  /** What a leader counts as committed would survive a crash of every member: a quorum has it on disk. */
  commits(status: RaftStatus, log: LogView, isDurable: IsDurable): void {
    const { id, term, committed, configuration } = status;
    const before = this.#leaderCommits.get(id);
    this.#leaderCommits.set(id, { term, committed, configuration });
    if (before === undefined || before.term !== term || committed <= before.committed) return;
    const entryTerm = log.termAt(committed);
    if (entryTerm === undefined) return;
    const acknowledged = (each: RaftId): number => (isDurable(each, committed, entryTerm) ? committed : 0);
    const isSafe = [before.configuration, configuration].some(
      (each) => committedIndex(each, acknowledged) >= committed,
    );
    if (!isSafe) throw new SafetyError(`${id} commits ${committed}/${entryTerm}, which no quorum has on disk`);
  }
}

/** A running digest (FNV-1a, 32 bits). */
function digest(before: number, entry: LogEntry): number {
  let hash = before ^ 0x811c9dc5;
  const mix = (value: number): void => {
    hash = Math.imul(hash ^ value, 0x01000193) >>> 0;
  };
  mix(entry.index);
  mix(entry.term);
  for (const byte of entry.data) mix(byte);
  return hash;
}
