import { WaggleError } from '../../proto/runtime/errors.ts';
import type { TableName } from './tables.ts';
import type { StoreEvent, Watch } from './transaction.ts';

/** Events that a watcher may have waiting before it is cut off. */
export const WATCH_LIMIT = 10_000;

type Waiting = (result: IteratorResult<readonly StoreEvent[]> | Error) => void;

/**
 * What one watcher has not taken yet. At the limit everything waiting is dropped, and the iteration ends with
 * resource-exhausted: a gap is never passed over in silence. For one consumer.
 */
export class WatchQueue implements Watch, AsyncIterator<readonly StoreEvent[]> {
  readonly #tables: ReadonlySet<TableName> | undefined;
  readonly #limit: number;
  readonly #onClose: (queue: WatchQueue) => void;
  #batches: (readonly StoreEvent[])[] = [];
  #size = 0;
  #waiting: Waiting | undefined;
  #ended: 'open' | 'closed' | 'overflow' = 'open';

  constructor(
    options: { tables?: readonly TableName[]; limit: number },
    modules: { onClose: (queue: WatchQueue) => void },
  ) {
    this.#tables = options.tables === undefined ? undefined : new Set(options.tables);
    this.#limit = options.limit;
    this.#onClose = modules.onClose;
  }

  /** Takes one transaction's events; never blocks. */
  push(events: readonly StoreEvent[]): void {
    if (this.#ended !== 'open') return;
    const tables = this.#tables;
    const wanted = tables === undefined ? events : events.filter((event) => tables.has(event.table));
    if (wanted.length === 0) return;
    if (this.#waiting !== undefined) return this.#answer({ done: false, value: wanted });
    if (this.#size + wanted.length > this.#limit) return this.#end('overflow');
    this.#batches.push(wanted);
    this.#size += wanted.length;
  }

  close(): void {
    if (this.#ended === 'open') this.#end('closed');
  }

  [Symbol.asyncIterator](): AsyncIterator<readonly StoreEvent[]> {
    return this;
  }

  next(): Promise<IteratorResult<readonly StoreEvent[]>> {
    const batch = this.#batches.shift();
    if (batch !== undefined) {
      this.#size -= batch.length;
      return Promise.resolve({ done: false, value: batch });
    }
    if (this.#ended === 'overflow') return Promise.reject(overflow());
    if (this.#ended === 'closed') return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve, reject) => {
      this.#waiting = (result) => (result instanceof Error ? reject(result) : resolve(result));
    });
  }

  return(): Promise<IteratorResult<readonly StoreEvent[]>> {
    this.close();
    return Promise.resolve({ done: true, value: undefined });
  }

  #end(how: 'closed' | 'overflow'): void {
    this.#ended = how;
    this.#batches = [];
    this.#size = 0;
    this.#onClose(this);
    this.#answer(how === 'overflow' ? overflow() : { done: true, value: undefined });
  }

  #answer(result: Parameters<Waiting>[0]): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.(result);
  }
}

function overflow(): WaggleError {
  return new WaggleError('resource-exhausted', 'watcher fell behind the state store');
}
