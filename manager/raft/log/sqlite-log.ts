import { WaggleError } from '../../../proto/runtime/errors.ts';
import type { LogEntry, SnapshotMeta } from '../core/entry.ts';
import type { DataKeys } from './data-cipher.ts';
import { type DiskThread, WorkerDiskThread } from './disk-thread.ts';
import type { LogStore, LogWrite, StagedSnapshot, StoredState } from './log-store.ts';
import type { DiskRequest } from './sqlite-host.ts';
import type { StageRequest } from './staging-area.ts';

type StartThread = (folder: string, keys: DataKeys | undefined) => DiskThread;

/** LogStore on node:sqlite in a thread of its own: here writes are put in order, and those that wait share an fsync. */
export class SqliteLog implements LogStore {
  readonly #folder: string;
  readonly #keys: () => DataKeys | undefined;
  readonly #startThread: StartThread;
  #thread: DiskThread | undefined;
  #failure: Error | undefined;
  /** Writes that wait for the one under way. */
  #pending: { writes: LogWrite[]; done: Promise<void> } | undefined;
  #writing: Promise<void> = Promise.resolve();
  #snapshots: Promise<void> = Promise.resolve();
  #lastStaged = 0;
  readonly #staged = new WeakMap<StagedSnapshot, number>();

  /**
   * @param folder made when it is not there, mode 0700.
   * @param keys those at the time of opening; absent: what is written is not encrypted.
   */
  constructor(
    folder: string,
    keys: () => DataKeys | undefined = () => undefined,
    startThread: StartThread = (...where) => new WorkerDiskThread(...where),
  ) {
    this.#folder = folder;
    this.#keys = keys;
    this.#startThread = startThread;
  }

  async open(): Promise<StoredState> {
    this.#thread = this.#startThread(this.#folder, this.#keys());
    try {
      return (await this.#ask({ kind: 'open' })) as StoredState;
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  save(write: LogWrite): Promise<void> {
    const { install, ...rest } = write;
    if (install !== undefined) {
      this.#pending = undefined;
      return this.#inOrder(() => this.#exclusive(() => this.#install(install, rest)));
    }
    if (this.#pending !== undefined) {
      this.#pending.writes.push(rest);
      return this.#pending.done;
    }
    const writes = [rest];
    const pending = {
      writes,
      done: this.#inOrder(async () => {
        if (this.#pending === pending) this.#pending = undefined;
        await this.#write({ kind: 'save', writes: writes.map(packed) });
      }),
    };
    this.#pending = pending;
    return pending.done;
  }

  async stage(meta: SnapshotMeta): Promise<StagedSnapshot> {
    const id = ++this.#lastStaged;
    await this.#askStage({ kind: 'stage-begin', id, meta });
    const staged: StagedSnapshot = {
      meta,
      // A copy: see `packed`.
      write: (chunk) => this.#askStage({ kind: 'stage-chunk', id, chunk: new Uint8Array(chunk) }),
      finish: () => this.#askStage({ kind: 'stage-finish', id }),
      discard: async () => void (await this.#thread?.ask({ kind: 'stage-discard', id }).catch(() => undefined)),
    };
    this.#staged.set(staged, id);
    return staged;
  }

  saveSnapshot(meta: SnapshotMeta, chunks: Iterable<Uint8Array>, compactIndex: number, keepOld: number): Promise<void> {
    return this.#exclusive(async () => {
      await this.#writeChunks(meta, chunks);
      await this.#write({ kind: 'snapshot-end', compactIndex, keepOld });
    });
  }

  /** From now on everything is written with `keys.current`; the older ones stay needed until `reseal` is done (see `keysInUse`). */
  rotate(keys: DataKeys): Promise<void> {
    this.#pending = undefined;
    return this.#inOrder(() => this.#exclusive(async () => void (await this.#write({ kind: 'rotate', keys }))));
  }

  /**
   * Seals what is on the disk under older keys, or without one, with the current key. Writes go on meanwhile. Once it resolves
   * the older keys are not needed any more, a crash of the host included.
   */
  reseal(): Promise<void> {
    return this.#exclusive(async () => {
      while ((await this.#write({ kind: 'reseal' })) === true);
    });
  }

  /** IDs of the keys that log and snapshots are encrypted with. */
  async keysInUse(): Promise<readonly string[]> {
    return (await this.#ask({ kind: 'keys-in-use' })) as string[];
  }

  async close(): Promise<void> {
    await Promise.all([this.#writing, this.#snapshots]);
    const thread = this.#thread;
    this.#thread = undefined;
    await thread?.end();
  }

  async #install(staged: StagedSnapshot, write: LogWrite): Promise<void> {
    await this.#write({ kind: 'snapshot-install', id: this.#staged.get(staged) ?? 0, write: packed(write) });
  }

  /** Not a write of the log: its failure stops nothing else. */
  async #askStage(request: StageRequest): Promise<void> {
    if ((await this.#ask(request)) === true) return;
    throw new WaggleError('aborted', 'the snapshot was given up for a newer one');
  }

  async #writeChunks(meta: SnapshotMeta, chunks: Iterable<Uint8Array>): Promise<void> {
    await this.#write({ kind: 'snapshot-begin', meta });
    for (const chunk of chunks) await this.#write({ kind: 'snapshot-chunk', chunk });
  }

  /** One after the other. */
  #inOrder(work: () => Promise<void>): Promise<void> {
    const done = this.#writing.then(work);
    this.#writing = done.catch(() => undefined);
    return done;
  }

  /** One snapshot is written at a time; the log's own writes may go on beside it. */
  #exclusive(work: () => Promise<void>): Promise<void> {
    const done = this.#snapshots.then(work);
    this.#snapshots = done.catch(() => undefined);
    return done;
  }

  /** A failed write may be half on the disk: nothing is acknowledged after it. */
  async #write(request: DiskRequest): Promise<unknown> {
    if (this.#failure !== undefined) throw this.#failure;
    try {
      return await this.#ask(request);
    } catch (error) {
      this.#failure ??= new WaggleError('internal', `the Raft log in ${this.#folder} cannot be written`, {
        cause: error,
      });
      throw this.#failure;
    }
  }

  #ask(request: DiskRequest): Promise<unknown> {
    return (
      this.#thread?.ask(request) ?? Promise.reject(new WaggleError('failed-precondition', 'the Raft log is not open'))
    );
  }
}

/** Copied by itself: to clone a view for the worker would clone the whole buffer that it looks into. */
function packed(write: LogWrite): Omit<LogWrite, 'install'> {
  const { hardState, entries } = write;
  const copy = (entry: LogEntry): LogEntry =>
    entry.data.byteLength === entry.data.buffer.byteLength ? entry : { ...entry, data: new Uint8Array(entry.data) };
  return {
    ...(hardState === undefined ? {} : { hardState }),
    ...(entries === undefined ? {} : { entries: entries.map(copy) }),
  };
}
