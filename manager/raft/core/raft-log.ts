import { invariant } from '../../../proto/runtime/assert.ts';
import { ConfigurationHistory } from './configuration-history.ts';
import { type Configuration, EMPTY_CONFIGURATION, entryBytes, type LogEntry, type SnapshotMeta } from './entry.ts';

/**
 * The log in memory: everything after the last compaction. Knows what has been handed out for persisting and what is
 * on the disk; committed and applied are counters into it.
 * Invariants: applied <= committed <= last; applied <= stable <= handedOut <= last; offset <= applied.
 */
export class RaftLog {
  /** entries[i] has index offset + 1 + i; the entry at `offset` itself is known by its term only. */
  #offset = 0;
  #offsetTerm = 0;
  #entries: LogEntry[] = [];
  /** Up to here persisting has been asked for. */
  #handedOut = 0;
  /** Up to here the disk has it. */
  #stable = 0;
  #committed = 0;
  /** Given out for applying. */
  #applied = 0;
  /** Counts the times that entries were replaced: a write begun before says nothing of what is here now. */
  #epoch = 0;
  #configurations: ConfigurationHistory;

  /** @param entries what the disk holds, contiguous; those before the snapshot are kept for slow followers. */
  constructor(snapshot: SnapshotMeta | undefined, entries: readonly LogEntry[], commit: number) {
    const first = entries[0];
    const base = snapshot ?? { index: 0, term: 0, configuration: EMPTY_CONFIGURATION };
    const beginsBefore = first !== undefined && first.index <= base.index;
    const usable = beginsBefore ? entries.slice(1) : entries;
    const anchor = beginsBefore ? first : base;
    this.#offset = anchor.index;
    this.#offsetTerm = anchor.term;
    this.#entries = [...usable];
    this.#stable = this.lastIndex;
    this.#handedOut = this.lastIndex;
    this.#applied = base.index;
    this.#committed = Math.max(base.index, Math.min(commit, this.lastIndex));
    invariant(usable[0] === undefined || usable[0].index === this.firstIndex, 'entries after the snapshot are missing');
    invariant(this.termAt(base.index) === base.term, 'the log does not agree with the snapshot');
    this.#configurations = new ConfigurationHistory(base.index, base.configuration);
    for (const entry of usable) if (entry.index > base.index) this.#configurations.append(entry);
  }

  get firstIndex(): number {
    return this.#offset + 1;
  }

  get lastIndex(): number {
    return this.#offset + this.#entries.length;
  }

  get lastTerm(): number {
    return this.termAt(this.lastIndex) ?? 0;
  }

  get committed(): number {
    return this.#committed;
  }

  get applied(): number {
    return this.#applied;
  }

  get stable(): number {
    return this.#stable;
  }

  /** The latest one, committed or not (thesis 4.1). */
  get configuration(): Configuration {
    return this.#configurations.latest;
  }

  /** Where the latest configuration is from. */
  get lastChangeIndex(): number {
    return this.#configurations.latestIndex;
  }

  get epoch(): number {
    return this.#epoch;
  }

  /** As of an entry that is not older than the last snapshot. */
  configurationAt(index: number): Configuration {
    return this.#configurations.at(index);
  }

  /** Undefined when the index is compacted away or not there yet. */
  termAt(index: number): number | undefined {
    if (index === this.#offset) return this.#offsetTerm;
    return this.#entries[index - this.#offset - 1]?.term;
  }

  /** From `from` on, as many as `maxBytes` allows but at least one. Undefined when `from` is compacted away. */
  slice(from: number, maxBytes: number): LogEntry[] | undefined {
    if (from <= this.#offset) return undefined;
    const taken: LogEntry[] = [];
    let bytes = 0;
    for (let at = from - this.#offset - 1; at < this.#entries.length; at++) {
      const entry = this.#entries[at];
      if (entry === undefined) break;
      bytes += entryBytes(entry);
      if (taken.length > 0 && bytes > maxBytes) break;
      taken.push(entry);
    }
    return taken;
  }

  /** Bytes of the entries after `after` up to `last`. */
  bytesBetween(after: number, last: number): number {
    let bytes = 0;
    for (let index = after + 1; index <= last; index++) {
      const entry = this.#entries[index - this.#offset - 1];
      if (entry !== undefined) bytes += entryBytes(entry);
    }
    return bytes;
  }

  /** A leader's own new entries. */
  append(entries: readonly LogEntry[]): void {
    for (const entry of entries) {
      invariant(entry.index === this.lastIndex + 1, 'an entry is appended out of order');
      this.#entries.push(entry);
      this.#configurations.append(entry);
    }
  }

  /**
   * A follower's part of AppendEntries (paper, figure 2, receiver 2-5).
   * @returns the last index that now matches, or undefined when the log has no entry `prevIndex` of `prevTerm`.
   */
  tryAppend(prevIndex: number, prevTerm: number, entries: readonly LogEntry[]): number | undefined {
    if (this.termAt(prevIndex) !== prevTerm) return undefined;
    const at = entries.findIndex((entry) => this.termAt(entry.index) !== entry.term);
    if (at >= 0) {
      const fresh = entries.slice(at);
      this.#truncateFrom(fresh[0]?.index ?? 0);
      this.append(fresh);
    }
    return prevIndex + entries.length;
  }

  /** The last index at or below `index` whose term is at or below `term`, so far as the log goes back; where two logs may still agree. */
  findConflict(index: number, term: number): { index: number; term: number } {
    let at = Math.min(index, this.lastIndex);
    while (at > this.#offset && (this.termAt(at) ?? 0) > term) at--;
    return { index: at, term: this.termAt(at) ?? 0 };
  }

  /** True when a log that ends so is at least as complete as this one (paper 5.4.1). */
  isUpToDate(lastIndex: number, lastTerm: number): boolean {
    return lastTerm > this.lastTerm || (lastTerm === this.lastTerm && lastIndex >= this.lastIndex);
  }

  /** @returns true when that moved it. @throws InvariantError when the log has lost what it acknowledged. */
  commitTo(index: number): boolean {
    if (index <= this.#committed) return false;
    invariant(index <= this.lastIndex, `commit ${index} is beyond the log's end ${this.lastIndex}: it was lost`);
    this.#committed = index;
    return true;
  }

  /** Entries to persist, each given once. A suffix that was replaced meanwhile is given again. */
  takeUnstable(): LogEntry[] {
    const fresh = this.#entries.slice(this.#handedOut - this.#offset);
    this.#handedOut = this.lastIndex;
    return fresh;
  }

  /**
   * The disk has everything up to `index` as it was in `epoch`. Ignored when entries were replaced since: those that
   * took their place are on their way to the disk behind it, and their own report covers all before them.
   */
  stableTo(index: number, epoch: number): void {
    if (epoch === this.#epoch && index > this.#stable) this.#stable = index;
  }

  /** Committed entries that are on this disk and not yet given out for applying. */
  takeCommitted(): LogEntry[] {
    const end = Math.min(this.#committed, this.#stable);
    if (end <= this.#applied) return [];
    const entries = this.#entries.slice(this.#applied - this.#offset, end - this.#offset);
    this.#applied = end;
    return entries;
  }

  /** Everything is replaced by a snapshot. */
  restore(meta: SnapshotMeta): void {
    this.#offset = meta.index;
    this.#offsetTerm = meta.term;
    this.#entries = [];
    this.#handedOut = meta.index;
    this.#stable = meta.index;
    this.#committed = meta.index;
    this.#applied = meta.index;
    this.#epoch++;
    this.#configurations = new ConfigurationHistory(meta.index, meta.configuration);
  }

  /** Forgets the entries up to `index`, which must be applied. */
  compact(index: number): void {
    invariant(index <= this.#applied, 'an entry is compacted before it is applied');
    if (index <= this.#offset) return;
    this.#offsetTerm = this.termAt(index) ?? 0;
    this.#entries = this.#entries.slice(index - this.#offset);
    this.#offset = index;
    this.#configurations.compact(index);
  }

  #truncateFrom(index: number): void {
    invariant(index > this.#committed, `entry ${index} is committed and would be replaced`);
    if (index > this.lastIndex) return;
    this.#epoch++;
    this.#entries.length = Math.min(this.#entries.length, index - this.#offset - 1);
    this.#handedOut = Math.min(this.#handedOut, index - 1);
    this.#stable = Math.min(this.#stable, index - 1);
    this.#configurations.truncateFrom(index);
  }
}
