import { Worker } from 'node:worker_threads';
import { WaggleError } from '../../../proto/runtime/errors.ts';
import type { DataKeys } from './data-cipher.ts';
import { CorruptLogError, LogKeyError } from './log-store.ts';
import type { DiskRequest } from './sqlite-host.ts';
import type { WorkerReply } from './sqlite-worker.ts';

/** Where requests to a SqliteHost are worked off, in order. */
export interface DiskThread {
  /** @throws what the host throws; WaggleError failed-precondition when the thread has ended. */
  ask(request: DiskRequest): Promise<unknown>;
  /** Resolves when everything asked is done and the files are closed. Idempotent. */
  end(): Promise<void>;
}

interface Waiter {
  resolve: (value: unknown) => void;
  reject: (error: Error) => void;
}

const ERRORS: Readonly<Record<string, new (message: string) => Error>> = { CorruptLogError, LogKeyError };

/** A worker thread: an fsync never blocks the event loop. It does not keep the process alive until it is to end. */
export class WorkerDiskThread implements DiskThread {
  readonly #worker: Worker;
  readonly #waiters: Waiter[] = [];
  readonly #exited: Promise<void>;
  #isEnding = false;

  constructor(folder: string, keys: DataKeys | undefined) {
    const worker = new Worker(new URL('./sqlite-worker.ts', import.meta.url), { workerData: { folder, keys } });
    worker.on('message', (reply: WorkerReply) => this.#settle(reply));
    worker.on('error', (error) => this.#failAll(error instanceof Error ? error : new Error(String(error))));
    this.#exited = new Promise((resolve) => {
      worker.once('exit', () => {
        this.#isEnding = true;
        this.#failAll(closed());
        resolve();
      });
    });
    worker.unref();
    this.#worker = worker;
  }

  ask(request: DiskRequest): Promise<unknown> {
    if (this.#isEnding) return Promise.reject(closed());
    return new Promise((resolve, reject) => {
      this.#waiters.push({ resolve, reject });
      this.#worker.postMessage(request);
    });
  }

  end(): Promise<void> {
    if (!this.#isEnding) {
      this.#isEnding = true;
      // What it has left to write must keep the process alive.
      this.#worker.ref();
      this.#worker.postMessage({ kind: 'close' } satisfies DiskRequest);
    }
    return this.#exited;
  }

  #settle(reply: WorkerReply): void {
    const waiter = this.#waiters.shift();
    if (reply.ok) waiter?.resolve(reply.value);
    else waiter?.reject(new (ERRORS[reply.name] ?? Error)(reply.message));
  }

  #failAll(error: Error): void {
    for (const waiter of this.#waiters.splice(0)) waiter.reject(error);
  }
}

function closed(): Error {
  return new WaggleError('failed-precondition', 'the Raft log is closed');
}
