import type { Clock } from '../../proto/runtime/clock.ts';
import type { TableName, Tables } from '../store/tables.ts';
import type { Store } from '../store/transaction.ts';

/** What is waited for: one object, and what is to be true of it. Whatever `holds` throws ends the waiting. */
export interface ObjectWait<T extends TableName> {
  table: T;
  id: string;
  /** @param object undefined when there is none, or no more. */
  holds: (object: Tables[T] | undefined) => boolean;
  timeoutMs: number;
}

/** @returns false when it did not come true in time, or the store has no more to say of it. */
export async function comesTrue<T extends TableName>(
  { table, id, holds, timeoutMs }: ObjectWait<T>,
  { store, clock }: { store: Store; clock: Clock },
): Promise<boolean> {
  const { view, watch } = store.viewAndWatch((tx) => tx.get(table, id), [table]);
  const cancel = clock.after(timeoutMs, () => watch.close());
  try {
    if (holds(view)) return true;
    for await (const events of watch) {
      for (const event of events) {
        if (event.table !== table || (event.after ?? event.before)?.ID !== id) continue;
        if (holds(event.after as Tables[T] | undefined)) return true;
      }
    }
    return false;
  } finally {
    cancel();
    watch.close();
  }
}
