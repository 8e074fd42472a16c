import type { TaskStatus } from '../../proto/objects/task.ts';
import { backoffDelayMs, type BackoffOptions } from '../../proto/runtime/backoff.ts';
import { type Clock, sleep } from '../../proto/runtime/clock.ts';
import { messageOf } from '../../proto/runtime/errors.ts';
import type { Log } from '../../proto/runtime/log.ts';
import type { Random } from '../../proto/runtime/random.ts';

const BATCH = 200;
const RETRY: BackoffOptions = { minMs: 100, maxMs: 8000, factor: 2, jitter: 0.3 };

export interface StatusReport {
  taskId: string;
  status: TaskStatus;
}

/** Resolves when the manager has written them down. */
export type SendStatuses = (reports: readonly StatusReport[], signal: AbortSignal) => Promise<void>;

/**
 * The newest status of each task that the manager does not know yet. Sent at once when nothing is under way, else with the
 * next batch; kept until acknowledged, over failures and over sessions.
 */
export class StatusReporter {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #log: Log;
  readonly #dirty = new Map<string, TaskStatus>();
  readonly #listeners = new Set<(taskId: string) => void>();
  #wake: (() => void) | undefined;

  constructor(modules: { clock: Clock; random: Random; log: Log }) {
    this.#clock = modules.clock;
    this.#random = modules.random;
    this.#log = modules.log;
  }

  get pending(): number {
    return this.#dirty.size;
  }

  report(taskId: string, status: TaskStatus): void {
    this.#dirty.set(taskId, status);
    this.#wake?.();
    for (const listener of this.#listeners) listener(taskId);
  }

  /** Called after each new status, before a manager knows of it. @returns the unsubscribe. */
  onReport(listener: (taskId: string) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** The task is gone from this node: nobody wants to know any more. */
  forget(taskId: string): void {
    this.#dirty.delete(taskId);
  }

  /** Sends through one session until its signal aborts. */
  async serve(send: SendStatuses, signal: AbortSignal): Promise<void> {
    const onAbort = (): void => this.#wake?.();
    signal.addEventListener('abort', onAbort);
    let failures = 0;
    while (!signal.aborted) {
      const batch = [...this.#dirty].slice(0, BATCH).map(([taskId, status]) => ({ taskId, status }));
      try {
        if (batch.length === 0) await this.#somethingNew(signal);
        else await send(batch, signal);
        for (const { taskId, status } of batch) if (this.#dirty.get(taskId) === status) this.#dirty.delete(taskId);
        failures = 0;
      } catch (error) {
        if (signal.aborted) break;
        failures++;
        this.#log.debug({ error: messageOf(error), failures, pending: this.pending }, 'statuses not acknowledged');
        await sleep(this.#clock, backoffDelayMs(RETRY, failures, this.#random()), signal).catch(() => undefined);
      }
    }
    signal.removeEventListener('abort', onAbort);
  }

  #somethingNew(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (this.#dirty.size > 0 || signal.aborted) return resolve();
      this.#wake = () => {
        this.#wake = undefined;
        resolve();
      };
    });
  }
}
