import { taskName } from '../../proto/objects/naming.ts';
import { WaggleError } from '../../proto/runtime/errors.ts';
import type { TableName, Tables } from '../store/tables.ts';
import type { ReadTx } from '../store/transaction.ts';

/** The tables whose rows a user can name. */
export type NamedTable = 'nodes' | 'services' | 'tasks' | 'networks' | 'secrets' | 'configs';

/**
 * The row that `ref` means: the one with that ID, else those with that name, else those whose ID begins with it.
 * @throws WaggleError not-found `service web not found`, invalid-argument `service w is ambiguous (2 matches found)`.
 */
export function resolve<T extends NamedTable>(tx: ReadTx, table: T, ref: string): Tables[T] {
  const exact = tx.get(table, ref);
  if (exact !== undefined) return exact;
  const named = ref === '' ? [] : byName(tx, table, ref);
  const matches = named.length > 0 || ref === '' ? named : byIdPrefix(tx, table, ref);
  const [first] = matches;
  const noun = table.slice(0, -1);
  if (first === undefined) throw new WaggleError('not-found', `${noun} ${ref} not found`);
  if (matches.length > 1) {
    throw new WaggleError('invalid-argument', `${noun} ${ref} is ambiguous (${matches.length} matches found)`);
  }
  return first;
}

function byName<T extends NamedTable>(tx: ReadTx, table: T, name: string): readonly Tables[T][] {
  if (table !== 'tasks') return tx.find(table as Exclude<T, 'tasks'>, 'name', name) as readonly Tables[T][];
  // A task's name ends with its ID.
  const task = tx.get('tasks', name.slice(name.lastIndexOf('.') + 1));
  return task !== undefined && taskName(task) === name ? [task as Tables[T]] : [];
}

function byIdPrefix<T extends TableName>(tx: ReadTx, table: T, prefix: string): Tables[T][] {
  return [...tx.all(table)].filter((row) => row.ID.startsWith(prefix));
}
