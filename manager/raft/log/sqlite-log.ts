import { Worker } from 'node:worker_threads';
import { WaggleError } from '../../../proto/runtime/errors.ts';
import type { SnapshotMeta } from '../core/entry.ts';
import { CorruptLogError, type LogStore, type LogWrite, type StoredState } from './log-store.ts';
import type { WorkerReply, WorkerRequest } from './sqlite-worker.ts';

interface Waiter {
  resolve: (value: unknown) => void;
  reject: (error: Error) => void;
}

/** LogStore on node:sqlite in a thread of its own, so that an fsync never blocks the event loop. */
export class SqliteLog implements LogStore {
  readonly #folder: string;
  readonly #waiters: Waiter[] = [];
  #worker: Worker | undefined;
  #failure: Error | undefined;
  #pending: { writes: LogWrite[]; done: Promise<void> } | undefined;
  #writing: Promise<void> = Promise.resolve();
  #snapshots: Promise<void> = Promise.resolve();

  /** @param folder made when it is not there, mode 0700. */
  constructor(folder: string) {
    this.#folder = folder;
  }

  async open(): Promise<StoredState> {
    const worker = new Worker(new URL('./sqlite-worker.ts', import.meta.url), { workerData: { folder: this.#folder } });
    worker.on('message', (reply: WorkerReply) => this.#settle(reply));
    worker.on('error', (error) => this.#failAll(error instanceof Error ? error : new Error(String(error))));
    worker.unref();
    this.#worker = worker;
    return (await this.#ask({ kind: 'open' })) as StoredState;
  }

  save(write: LogWrite): Promise<void> {
    if (this.#pending !== undefined) {
      this.#pending.writes.push(write);
      return this.#pending.done;
    }
    const writes = [write];
    const done = this.#writing.then(async () => {
      this.#pending = undefined;
      await this.#write({ kind: 'save', writes });
    });
    this.#pending = { writes, done };
    this.#writing = done.catch(() => undefined);
    return done;
  }

  saveSnapshot(meta: SnapshotMeta, chunks: Iterable<Uint8Array>, compactIndex: number, keepOld: number): Promise<void> {
    const done = this.#snapshots.then(() => this.#writeSnapshot(meta, chunks, compactIndex, keepOld));
    this.#snapshots = done.catch(() => undefined);
    return done;
  }

  async #writeSnapshot(
    meta: SnapshotMeta,
    chunks: Iterable<Uint8Array>,
    compactIndex: number,
    keepOld: number,
  ): Promise<void> {
    await this.#write({ kind: 'snapshot-begin', meta });
    for (const chunk of chunks) await this.#write({ kind: 'snapshot-chunk', chunk });
    await this.#write({ kind: 'snapshot-end', compactIndex, keepOld });
  }

  async close(): Promise<void> {
    await Promise.all([this.#writing, this.#snapshots]);
    const worker = this.#worker;
    if (worker === undefined) return;
    this.#worker = undefined;
    // Until now the thread did not keep the process alive; what it has left to write must.
    worker.ref();
    const closed = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
    if (this.#failure === undefined) await this.#ask({ kind: 'close' }, worker);
    else await worker.terminate();
    await closed;
  }

  /** A failed write may be half on the disk: nothing is acknowledged after it. */
  async #write(request: WorkerRequest): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    try {
      await this.#ask(request);
    } catch (error) {
      this.#failure = new WaggleError('internal', `the Raft log in ${this.#folder} cannot be written`, {
        cause: error,
      });
      throw this.#failure;
    }
  }

  #ask(request: WorkerRequest, worker = this.#worker): Promise<unknown> {
    if (worker === undefined) return Promise.reject(new WaggleError('failed-precondition', 'the Raft log is closed'));
    return new Promise((resolve, reject) => {
      this.#waiters.push({ resolve, reject });
      worker.postMessage(request);
    });
  }

  #settle(reply: WorkerReply): void {
    const waiter = this.#waiters.shift();
    if (reply.ok) waiter?.resolve(reply.value);
    else
      waiter?.reject(reply.name === 'CorruptLogError' ? new CorruptLogError(reply.message) : new Error(reply.message));
  }

  #failAll(error: Error): void {
    this.#failure ??= error;
    for (const waiter of this.#waiters.splice(0)) waiter.reject(error);
  }
}
