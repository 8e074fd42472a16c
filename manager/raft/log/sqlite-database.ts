import { chmodSync, closeSync, existsSync, mkdirSync, openSync } from 'node:fs';
import path from 'node:path';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import type { HardState, LogEntry } from '../core/entry.ts';
import { CorruptLogError, type LogWrite, type StoredState } from './log-store.ts';
import { entryChecksum, textChecksum } from './record-checksum.ts';
import { readNewestSnapshot, removeOldSnapshots } from './snapshot-file.ts';

const FORMAT = 1;
const OWNER_ONLY = 0o600;
const NO_STATE: HardState = { term: 0, vote: 0, commit: 0 };

/** The log as SQLite tables (WAL, synchronous FULL: a commit is an fsync). Synchronous; runs in a worker thread. */
export class SqliteDatabase {
  readonly #folder: string;
  readonly #database: DatabaseSync;
  readonly #insert: StatementSync;
  readonly #truncate: StatementSync;
  readonly #compact: StatementSync;
  readonly #put: StatementSync;

  /** @throws CorruptLogError, or the system's error when the folder cannot be written. */
  constructor(folder: string) {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    this.#folder = folder;
    const file = path.join(folder, 'log.db');
    makePrivate(file);
    this.#database = new DatabaseSync(file);
    this.#database.exec(`
      PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA locking_mode = EXCLUSIVE;
      CREATE TABLE IF NOT EXISTS entries (at INTEGER PRIMARY KEY, term INTEGER, type INTEGER, data BLOB, crc INTEGER);
      CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT, crc INTEGER);
      PRAGMA user_version = ${FORMAT};`);
    this.#insert = this.#database.prepare('INSERT INTO entries VALUES (?, ?, ?, ?, ?)');
    this.#truncate = this.#database.prepare('DELETE FROM entries WHERE at >= ?');
    this.#compact = this.#database.prepare('DELETE FROM entries WHERE at <= ?');
    this.#put = this.#database.prepare('INSERT OR REPLACE INTO facts VALUES (?, ?, ?)');
  }

  load(): StoredState {
    removeOldSnapshots(this.#folder, Number.MAX_SAFE_INTEGER);
    const snapshot = readNewestSnapshot(this.#folder);
    const hardState = this.#readHardState();
    const entries = this.#readEntries();
    const first = entries[0];
    const base = snapshot?.meta.index ?? 0;
    if (first !== undefined && first.index > base + 1) {
      throw new CorruptLogError(`${this.#folder}: entries ${base + 1} to ${first.index - 1} are missing`);
    }
    if (hardState.commit > Math.max(base, entries.at(-1)?.index ?? 0)) {
      throw new CorruptLogError(`${this.#folder}: entry ${hardState.commit} was committed and is missing`);
    }
    return { hardState, entries, snapshot };
  }

  /** All writes in one transaction. */
  save(writes: readonly LogWrite[]): void {
    this.#inTransaction(() => {
      for (const write of writes) {
        if (write.entries !== undefined) this.#append(write.entries);
        if (write.hardState !== undefined) this.#putFact('hardState', JSON.stringify(write.hardState));
      }
    });
  }

  compact(index: number, keepOld: number): void {
    this.#inTransaction(() => this.#compact.run(index));
    removeOldSnapshots(this.#folder, keepOld);
  }

  close(): void {
    this.#database.close();
  }

  #append(entries: readonly LogEntry[]): void {
    const first = entries[0];
    if (first === undefined) return;
    this.#truncate.run(first.index);
    for (const entry of entries) {
      this.#insert.run(entry.index, entry.term, entry.type === 'normal' ? 0 : 1, entry.data, entryChecksum(entry));
    }
  }

  #readEntries(): LogEntry[] {
    const entries: LogEntry[] = [];
    for (const row of this.#database.prepare('SELECT * FROM entries ORDER BY at').iterate()) {
      const entry: LogEntry = {
        index: Number(row['at']),
        term: Number(row['term']),
        type: row['type'] === 0 ? 'normal' : 'conf-change',
        data: row['data'] as Uint8Array,
      };
      const before = entries.at(-1);
      if (entryChecksum(entry) !== row['crc'] || (before !== undefined && before.index + 1 !== entry.index)) {
        throw new CorruptLogError(`${this.#folder}/log.db: entry ${entry.index} is damaged or out of order`);
      }
      entries.push(entry);
    }
    return entries;
  }

  #readHardState(): HardState {
    const row = this.#database.prepare("SELECT value, crc FROM facts WHERE name = 'hardState'").get();
    if (row === undefined) return NO_STATE;
    const value = String(row['value']);
    if (textChecksum(value) !== row['crc']) throw new CorruptLogError(`${this.#folder}/log.db: hard state is damaged`);
    return JSON.parse(value) as HardState;
  }

  #putFact(name: string, value: string): void {
    this.#put.run(name, value, textChecksum(value));
  }

  #inTransaction(work: () => void): void {
    this.#database.exec('BEGIN IMMEDIATE');
    try {
      work();
      this.#database.exec('COMMIT');
    } catch (error) {
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK');
      throw error;
    }
  }
}

/** The log holds the swarm's CA key and secrets. SQLite gives the files that it makes beside the database the same mode. */
function makePrivate(file: string): void {
  closeSync(openSync(file, 'a', OWNER_ONLY));
  for (const each of [file, `${file}-wal`]) if (existsSync(each)) chmodSync(each, OWNER_ONLY);
}
