import type { HardState, LogEntry, SnapshotMeta } from '../../../manager/raft/core/entry.ts';

/** A snapshot of the simulated machine. `chain` is a digest of every entry applied so far. */
export interface ModelSnapshot {
  meta: SnapshotMeta;
  values: ReadonlyMap<string, number>;
  chain: number;
}

export interface DiskContent {
  hardState: HardState;
  /** Ascending and without a gap. */
  entries: readonly LogEntry[];
  snapshot: ModelSnapshot | undefined;
}

export type DiskWrite =
  | {
      kind: 'save';
      hardState: HardState | undefined;
      entries: readonly LogEntry[];
      install: ModelSnapshot | undefined;
    }
  | { kind: 'snapshot'; snapshot: ModelSnapshot; compactIndex: number };

/**
 * What a LogStore promises and no more: writes become durable one after the other; a crash keeps what was durable and any
 * prefix of the rest.
 */
export class ModelDisk {
  #durable: DiskContent;
  #waiting: { write: DiskWrite; done: () => void }[] = [];

  constructor(content: DiskContent = { hardState: { term: 0, vote: 0, commit: 0 }, entries: [], snapshot: undefined }) {
    this.#durable = content;
  }

  get content(): DiskContent {
    return this.#durable;
  }

  get isIdle(): boolean {
    return this.#waiting.length === 0;
  }

  /** Writes that are waiting; those that are there when the disk begins share one fsync. */
  get waiting(): number {
    return this.#waiting.length;
  }

  write(write: DiskWrite, done: () => void): void {
    this.#waiting.push({ write, done });
  }

  /** The oldest `count` writes become durable, and with them whatever behind them has nothing to write. */
  complete(count: number): void {
    for (let at = 0; at < count || isEmpty(this.#waiting[0]?.write); at++) {
      const oldest = this.#waiting.shift();
      if (oldest === undefined) return;
      this.#durable = after(this.#durable, oldest.write);
      oldest.done();
    }
  }

  /** @param survives asked for each waiting write; after the first that does not, none does. */
  crash(survives: () => boolean): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const { write } of waiting) {
      if (!survives()) {
        this.#durable = torn(this.#durable, write, survives());
        return;
      }
      this.#durable = after(this.#durable, write);
    }
  }

  /** True when entry `index` of `term` would be there after a crash now. */
  holds(index: number, term: number): boolean {
    const { snapshot, entries } = this.#durable;
    if (snapshot !== undefined && snapshot.meta.index >= index) return true;
    const first = entries[0];
    return first !== undefined && entries[index - first.index]?.term === term;
  }
}

function isEmpty(write: DiskWrite | undefined): boolean {
  if (write?.kind !== 'save') return false;
  return write.entries.length === 0 && write.hardState === undefined && write.install === undefined;
}

function after(content: DiskContent, write: DiskWrite): DiskContent {
  if (write.kind === 'snapshot') {
    const entries = content.entries.filter((entry) => entry.index > write.compactIndex);
    return { ...content, snapshot: newest(content.snapshot, write.snapshot), entries };
  }
  const first = write.entries[0];
  const kept = write.install === undefined ? content.entries : [];
  return {
    hardState: write.hardState ?? content.hardState,
    snapshot: write.install ?? content.snapshot,
    entries: first === undefined ? kept : [...kept.filter((entry) => entry.index < first.index), ...write.entries],
  };
}

/** A write is whole or not there at all, but for an installed snapshot, which is a file of its own. */
function torn(content: DiskContent, write: DiskWrite, isInstalled: boolean): DiskContent {
  if (write.kind !== 'save' || write.install === undefined || !isInstalled) return content;
  return { ...content, snapshot: write.install, entries: [] };
}

function newest(a: ModelSnapshot | undefined, b: ModelSnapshot): ModelSnapshot {
  return a !== undefined && a.meta.index > b.meta.index ? a : b;
}
