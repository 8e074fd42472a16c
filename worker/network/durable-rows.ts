import { backoffDelayMs } from '../../proto/runtime/backoff.ts';
import type { CancelTimer, Clock } from '../../proto/runtime/clock.ts';
import { messageOf } from '../../proto/runtime/errors.ts';
import type { Log } from '../../proto/runtime/log.ts';
import type { FileTable } from '../storage/file-table.ts';

const BACKOFF = { minMs: 500, maxMs: 30_000, factor: 2, jitter: 0 };

/**
 * Rows in memory with a copy on disk. A row counts as there once it is written; as gone at once, and its file is
 * removed as often as it takes, since a row that comes back after a restart would hold on to what was given up.
 */
export class DurableRows<T> {
  readonly #table: FileTable<T>;
  readonly #clock: Clock;
  readonly #log: Log;
  #rows = new Map<string, T>();
  readonly #undeleted = new Set<string>();
  #failures = 0;
  #cancelRetry: CancelTimer | undefined;

  constructor(table: FileTable<T>, modules: { clock: Clock; log: Log }) {
    this.#table = table;
    this.#clock = modules.clock;
    this.#log = modules.log;
  }

  async open(): Promise<void> {
    this.#rows = await this.#table.open();
  }

  close(): void {
    this.#cancelRetry?.();
    this.#cancelRetry = undefined;
  }

  get(key: string): T | undefined {
    return this.#rows.get(key);
  }

  values(): IterableIterator<T> {
    return this.#rows.values();
  }

  entries(): IterableIterator<[string, T]> {
    return this.#rows.entries();
  }

  /** Seen by readers at once, and taken back when it cannot be written. @throws what the file system says. */
  async put(key: string, row: T): Promise<void> {
    const before = this.#rows.get(key);
    this.#rows.set(key, row);
    this.#undeleted.delete(key);
    try {
      await this.#table.put(key, row);
    } catch (error) {
      if (this.#rows.get(key) === row) {
        if (before !== undefined) this.#rows.set(key, before);
        // A file of the row that was there earlier may have waited for its removal.
        else this.delete(key);
      }
      throw error;
    }
  }

  delete(key: string): void {
    if (!this.#rows.delete(key)) return;
    this.#undeleted.add(key);
    void this.#removeFiles();
  }

  /** Resolves when what is deleted, and nobody removes yet, is off the disk, or that has failed and will be repeated. */
  async #removeFiles(): Promise<void> {
    for (const key of [...this.#undeleted]) {
      // It may have been put again meanwhile.
      if (!this.#undeleted.delete(key)) continue;
      try {
        await this.#table.delete(key);
        this.#failures = 0;
      } catch (error) {
        if (!this.#rows.has(key)) this.#undeleted.add(key);
        this.#failures++;
        this.#log.warn({ key, error: messageOf(error) }, 'a row could not be removed from disk and will be');
        this.#cancelRetry?.();
        const delayMs = backoffDelayMs(BACKOFF, this.#failures, 0);
        this.#cancelRetry = this.#clock.after(delayMs, () => void this.#removeFiles());
        return;
      }
    }
  }
}
