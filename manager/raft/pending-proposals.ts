import { WaggleError } from '../../proto/runtime/errors.ts';
import type { ApplyResult } from '../store/transaction.ts';

interface Waiter {
  resolve: (result: ApplyResult) => void;
  reject: (error: Error) => void;
}

const LOST = 'leadership was lost while the change was under way: it may or may not have been made';

/** Proposals on their way through the log, by the place that they were given there. Bounded by the Raft core's own limit. */
export class PendingProposals {
  readonly #byIndex = new Map<number, Waiter & { term: number }>();

  get size(): number {
    return this.#byIndex.size;
  }

  add(index: number, term: number, waiter: Waiter): void {
    this.#byIndex.set(index, { ...waiter, term });
  }

  /** The entry at `index` was applied; if it is another one than was proposed there, that one is lost. */
  applied(index: number, term: number, result: ApplyResult): void {
    const waiter = this.#byIndex.get(index);
    if (waiter === undefined) return;
    this.#byIndex.delete(index);
    if (waiter.term === term) waiter.resolve(result);
    else waiter.reject(new WaggleError('unavailable', LOST));
  }

  /** Nobody here will learn what became of them. */
  abandon(error: Error = new WaggleError('unavailable', LOST)): void {
    for (const waiter of this.#byIndex.values()) waiter.reject(error);
    this.#byIndex.clear();
  }
}
