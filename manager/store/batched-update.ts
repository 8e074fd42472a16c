import type { TaskActor } from '../../proto/objects/task-state.ts';
import { WaggleError } from '../../proto/runtime/errors.ts';
import type { Store, WriteTx } from './transaction.ts';

/** As swarmkit's MaxChangesPerTransaction. */
export const MAX_CHANGES_PER_TRANSACTION = 200;

export interface BatchFailure<Item> {
  item: Item;
  error: unknown;
}

/**
 * Runs `write` for every item, in order, at most 200 items a transaction; a batch that is too large in bytes is
 * halved until it fits. Batches follow one another, so a failure ends the work: nothing after it is tried.
 * @returns the items that were not written, each with the error of its batch; none when all is committed.
 */
export async function updateInBatches<Item>(
  store: Store,
  items: readonly Item[],
  write: (tx: WriteTx, item: Item) => void,
  options: { actor?: TaskActor } = {},
): Promise<BatchFailure<Item>[]> {
  let size = MAX_CHANGES_PER_TRANSACTION;
  let done = 0;
  while (done < items.length) {
    const batch = items.slice(done, done + size);
    try {
      await store.update((tx) => {
        for (const item of batch) write(tx, item);
      }, options);
      done += batch.length;
    } catch (error) {
      const tooLarge = error instanceof WaggleError && error.code === 'resource-exhausted';
      if (!tooLarge || batch.length === 1) return items.slice(done).map((item) => ({ item, error }));
      size = Math.ceil(batch.length / 2);
    }
  }
  return [];
}
