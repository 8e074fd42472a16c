import { INDEX_KEYS, type IndexKeys, nameKey } from './indexes.ts';
import { type Indexes, TABLE_NAMES, type TableName, type Tables } from './tables.ts';

/** The rows of one table by ID, with its secondary indexes kept in step. */
export class TableRows<T extends TableName> {
  readonly #rows = new Map<string, Tables[T]>();
  readonly #indexes: readonly { name: string; keysOf: IndexKeys<T>; ids: Map<string, Set<string>> }[];

  constructor(table: T) {
    const keys = Object.entries(INDEX_KEYS[table]) as [string, IndexKeys<T>][];
    this.#indexes = keys.map(([name, keysOf]) => ({ name, keysOf, ids: new Map() }));
  }

  get size(): number {
    return this.#rows.size;
  }

  get(id: string): Tables[T] | undefined {
    return this.#rows.get(id);
  }

  values(): IterableIterator<Tables[T]> {
    return this.#rows.values();
  }

  find(index: Indexes[T], key: string): Tables[T][] {
    const wanted = index === 'name' ? nameKey(key) : key;
    const ids = this.#indexes.find((candidate) => candidate.name === index)?.ids.get(wanted);
    const found: Tables[T][] = [];
    for (const id of ids ?? []) {
      const row = this.#rows.get(id);
      if (row !== undefined) found.push(row);
    }
    return found;
  }

  /** Adds the row, or puts it in the place of the one with its ID. */
  set(row: Tables[T]): void {
    this.#unlist(row.ID);
    this.#rows.set(row.ID, row);
    for (const { keysOf, ids } of this.#indexes) {
      for (const key of keysOf(row)) {
        const listed = ids.get(key);
        if (listed === undefined) ids.set(key, new Set([row.ID]));
        else listed.add(row.ID);
      }
    }
  }

  delete(id: string): void {
    this.#unlist(id);
    this.#rows.delete(id);
  }

  #unlist(id: string): void {
    const row = this.#rows.get(id);
    if (row === undefined) return;
    for (const { keysOf, ids } of this.#indexes) {
      for (const key of keysOf(row)) {
        const listed = ids.get(key);
        listed?.delete(id);
        if (listed?.size === 0) ids.delete(key);
      }
    }
  }
}

/** One TableRows per table. */
export type TableSet = { readonly [T in TableName]: TableRows<T> };

/** A state without any rows. */
export function emptyTables(): TableSet {
  return Object.fromEntries(TABLE_NAMES.map((table) => [table, new TableRows(table)])) as unknown as TableSet;
}
