import { compareTaskStates, mayMove, type TaskActor } from '../../proto/objects/task-state.ts';
import type { TaskObject } from '../../proto/objects/task.ts';
import { invariant } from '../../proto/runtime/assert.ts';
import { WaggleError } from '../../proto/runtime/errors.ts';
import { UNIQUE_NAME_TABLES } from './indexes.ts';
import { TableRows, type TableSet } from './table-rows.ts';
import type { Indexes, TableName, Tables } from './tables.ts';
import type { NewObject, StoreAction, StoreEvent, WriteTx } from './transaction.ts';

export interface OverlayOptions {
  /** CreatedAt and UpdatedAt of what this transaction writes. */
  at: string;
  actor?: TaskActor;
}

/** Why an action cannot be applied; `update()` turns it into words, `apply()` into an ApplyResult. */
export class PreconditionError extends WaggleError {
  readonly reason: 'exists' | 'name-in-use' | 'missing' | 'stale';

  constructor(reason: PreconditionError['reason'], message: string) {
    super(reason === 'stale' ? 'unknown' : reason === 'missing' ? 'not-found' : 'already-exists', message);
    this.reason = reason;
  }
}

/**
 * A transaction laid over committed tables, which it never changes. Used twice for each change: when it is
 * written, to collect the actions, and when it comes back from the log, to check them. A row that this transaction
 * wrote keeps the version it was based on (0 when new) until `commit`, so both times the same checks hold.
 */
export class OverlayTx implements WriteTx {
  readonly actions: StoreAction[] = [];
  readonly #base: TableSet;
  readonly #at: string;
  readonly #actor: TaskActor | undefined;
  /** Only the tables that are written to: most transactions touch one. */
  readonly #written = new Map<TableName, TableRows<TableName>>();
  /** Every row written or removed, in the order first touched. */
  readonly #touched = new Map<TableName, Set<string>>();
  readonly #order: { table: TableName; id: string }[] = [];
  #closed = false;

  constructor(options: OverlayOptions, modules: { base: TableSet }) {
    this.#base = modules.base;
    this.#at = options.at;
    this.#actor = options.actor;
  }

  get<T extends TableName>(table: T, id: string): Tables[T] | undefined {
    this.#assertOpen();
    return this.#isTouched(table, id) ? this.#writtenTo(table).get(id) : this.#base[table].get(id);
  }

  all<T extends TableName>(table: T): Iterable<Tables[T]> {
    this.#assertOpen();
    const touched = this.#touched.get(table);
    const base = this.#base[table];
    if (touched === undefined) return { [Symbol.iterator]: () => base.values() };
    return [...[...base.values()].filter((row) => !touched.has(row.ID)), ...this.#writtenTo(table).values()];
  }

  count(table: TableName): number {
    this.#assertOpen();
    let gone = 0;
    for (const id of this.#touched.get(table) ?? []) if (this.#base[table].get(id) !== undefined) gone++;
    return this.#base[table].size - gone + (this.#written.get(table)?.size ?? 0);
  }

  find<T extends TableName>(table: T, index: Indexes[T], key: string): readonly Tables[T][] {
    this.#assertOpen();
    const committed = this.#base[table].find(index, key);
    const touched = this.#touched.get(table);
    if (touched === undefined) return committed;
    return [...committed.filter((row) => !touched.has(row.ID)), ...this.#writtenTo(table).find(index, key)];
  }

  create<T extends TableName>(table: T, object: NewObject<T>): void {
    this.#assertOpen();
    const row = { ...object, Version: { Index: 0 }, CreatedAt: this.#at, UpdatedAt: this.#at } as unknown as Tables[T];
    if (this.get(table, row.ID) !== undefined) throw new PreconditionError('exists', 'object already exists');
    this.#assertNameFree(table, row);
    this.#write(table, row);
    this.actions.push({ kind: 'create', table, object } as unknown as StoreAction);
  }

  update<T extends TableName>(table: T, object: Tables[T]): void {
    this.#assertOpen();
    const { Version, UpdatedAt: _updatedAt, ...rest } = object;
    this.replace(table, rest as unknown as Omit<Tables[T], 'Version' | 'UpdatedAt'>, Version.Index);
  }

  /** `update` in the form it has in the log. */
  replace<T extends TableName>(table: T, object: Omit<Tables[T], 'Version' | 'UpdatedAt'>, base: number): void {
    this.#assertOpen();
    const id = (object as unknown as Tables[T]).ID;
    const present = this.#presentAt(table, id, base);
    const kept = { Version: present.Version, CreatedAt: present.CreatedAt, UpdatedAt: this.#at };
    const row = { ...object, ...kept } as unknown as Tables[T];
    this.#assertNameFree(table, row);
    if (table === 'tasks') this.#assertMove(present as TaskObject, row as TaskObject);
    this.#write(table, row);
    const logged = { ...object, CreatedAt: present.CreatedAt };
    this.actions.push({ kind: 'update', table, object: logged, base } as unknown as StoreAction);
  }

  remove(table: TableName, id: string): void {
    this.#assertOpen();
    const present = this.get(table, id);
    if (present === undefined) throw missing(table, id);
    this.removeAt(table, id, present.Version.Index);
  }

  /** `remove` in the form it has in the log. */
  removeAt(table: TableName, id: string, base: number): void {
    this.#presentAt(table, id, base);
    this.#touch(table, id);
    this.#writtenTo(table).delete(id);
    this.actions.push({ kind: 'remove', table, id, base });
  }

  pin<T extends TableName>(table: T, id: string): Tables[T] | undefined {
    const row = this.get(table, id);
    this.actions.push({ kind: 'expect', table, key: id, ids: row === undefined ? [] : [id] } as StoreAction);
    return row;
  }

  pinFound<T extends TableName>(table: T, index: Indexes[T], key: string): readonly Tables[T][] {
    const rows = this.find(table, index, key);
    this.actions.push({ kind: 'expect', table, index, key, ids: rows.map((row) => row.ID) } as StoreAction);
    return rows;
  }

  /** `pin` and `pinFound` in the form they have in the log. */
  expect<T extends TableName>(table: T, index: Indexes[T] | undefined, key: string, ids: readonly string[]): void {
    const rows = index === undefined ? [this.get(table, key)] : this.find(table, index, key);
    const found = new Set(rows.flatMap((row) => (row === undefined ? [] : [row.ID])));
    if (found.size === ids.length && ids.every((id) => found.has(id))) return;
    throw new PreconditionError('stale', `what was relied on in ${table} has changed`);
  }

  /** Ends the transaction: a use after its end is a bug of the caller, who would change nothing. */
  close(): void {
    this.#closed = true;
  }

  /**
   * Puts what was written into the committed tables with `index` as its version.
   * @returns what changed, in the order first touched.
   */
  commit(index: number): StoreEvent[] {
    this.close();
    return this.#order.flatMap(({ table, id }) => this.#commitRow(table, id, index) ?? []);
  }

  #commitRow<T extends TableName>(table: T, id: string, index: number): StoreEvent | undefined {
    const before = this.#base[table].get(id);
    const written = this.#writtenTo(table).get(id);
    if (written === undefined) {
      if (before === undefined) return undefined;
      this.#base[table].delete(id);
      return { table, before } as unknown as StoreEvent;
    }
    const after = Object.freeze({ ...written, Version: Object.freeze({ Index: index }) }) as unknown as Tables[T];
    this.#base[table].set(after);
    return (before === undefined ? { table, after } : { table, before, after }) as unknown as StoreEvent;
  }

  #presentAt<T extends TableName>(table: T, id: string, base: number): Tables[T] {
    const present = this.get(table, id);
    if (present === undefined) throw missing(table, id);
    if (present.Version.Index !== base) throw new PreconditionError('stale', 'update out of sequence');
    return present;
  }

  #assertNameFree<T extends TableName>(table: T, row: Tables[T]): void {
    if (!UNIQUE_NAME_TABLES.has(table)) return;
    const name = (row as { Spec: { Name: string } }).Spec.Name;
    const holders = this.find(table, 'name' as Indexes[T], name);
    if (holders.some((holder) => holder.ID !== row.ID)) {
      throw new PreconditionError('name-in-use', 'name conflicts with an existing object');
    }
  }

  #assertMove(before: TaskObject, after: TaskObject): void {
    const from = before.Status.State;
    const to = after.Status.State;
    if (from === to || this.#actor === undefined) return;
    const direction = compareTaskStates(from, to) > 0 ? 'back ' : '';
    invariant(
      mayMove(this.#actor, from, to),
      `${this.#actor} may not move task ${after.ID} ${direction}from ${from} to ${to}`,
    );
  }

  #write<T extends TableName>(table: T, row: Tables[T]): void {
    this.#touch(table, row.ID);
    this.#writtenTo(table).set(row);
  }

  #writtenTo<T extends TableName>(table: T): TableRows<T> {
    const rows = this.#written.get(table) ?? new TableRows<TableName>(table);
    this.#written.set(table, rows);
    return rows as unknown as TableRows<T>;
  }

  #touch(table: TableName, id: string): void {
    const touched = this.#touched.get(table) ?? new Set();
    this.#touched.set(table, touched);
    if (touched.has(id)) return;
    touched.add(id);
    this.#order.push({ table, id });
  }

  #isTouched(table: TableName, id: string): boolean {
    return this.#touched.get(table)?.has(id) === true;
  }

  #assertOpen(): void {
    invariant(!this.#closed, 'a transaction was used after its end');
  }
}

function missing(table: TableName, id: string): PreconditionError {
  return new PreconditionError('missing', `${table.slice(0, -1)} ${id} not found`);
}
