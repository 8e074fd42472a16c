import { chmodSync, closeSync, existsSync, openSync } from 'node:fs';
import path from 'node:path';
import { DatabaseSync, type SQLOutputValue, type StatementSync } from 'node:sqlite';
import { makeFolder } from '../../../proto/runtime/folder.ts';
import type { HardState, LogEntry } from '../core/entry.ts';
import { DataCipher, type DataKeys } from './data-cipher.ts';
import { CorruptLogError, type LogWrite, type StoredSnapshot, type StoredState } from './log-store.ts';
import { recordChecksum, type StoredRecord, textChecksum } from './record-checksum.ts';
import {
  readNewestSnapshot,
  removeIncoming,
  removeOldSnapshots,
  resealSnapshot,
  snapshotKeys,
} from './snapshot-file.ts';
import { checkWriteAheadLog } from './write-ahead-check.ts';

/** Name of the log in its folder. */
export const LOG_FILE = 'log.db';
const FORMAT = 2;
const OWNER_ONLY = 0o600;
/** Entries that one step seals anew: the log's own writes wait for no more than this. */
const RESEAL_ENTRIES = 500;
/** There while traces of what was written without a key may be left in the files. */
const SCRUB = 'scrub';
const NO_STATE: HardState = { term: 0, vote: 0, commit: 0 };

type Row = Record<string, SQLOutputValue>;

/**
 * The log as SQLite tables (WAL, synchronous FULL: a commit is an fsync), its entries encrypted. Synchronous; runs in a
 * worker thread. Indexes, terms and hard state are no secret and stay readable.
 */
export class SqliteDatabase {
  readonly #folder: string;
  readonly #file: string;
  readonly #database: DatabaseSync;
  readonly #insert: StatementSync;
  readonly #truncate: StatementSync;
  readonly #compact: StatementSync;
  readonly #put: StatementSync;
  readonly #forget: StatementSync;
  readonly #begin: StatementSync;
  readonly #commit: StatementSync;
  /** Of the last entry, when it is known. */
  #lastIndex: number | undefined;
  #cipher: DataCipher;

  /** @throws CorruptLogError, LogKeyError, or the system's error when the folder cannot be written. */
  constructor(folder: string, keys: DataKeys | undefined) {
    makeFolder(folder, 0o700);
    this.#folder = folder;
    this.#file = path.join(folder, LOG_FILE);
    this.#cipher = new DataCipher(keys);
    checkWriteAheadLog(`${this.#file}-wal`);
    makePrivate(this.#file);
    this.#database = open(this.#file);
    this.#insert = this.#database.prepare('INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?)');
    this.#truncate = this.#database.prepare('DELETE FROM entries WHERE at >= ?');
    this.#compact = this.#database.prepare('DELETE FROM entries WHERE at <= ?');
    this.#put = this.#database.prepare('INSERT OR REPLACE INTO facts VALUES (?, ?, ?)');
    this.#forget = this.#database.prepare('DELETE FROM facts WHERE name = ?');
    this.#begin = this.#database.prepare('BEGIN IMMEDIATE');
    this.#commit = this.#database.prepare('COMMIT');
  }

  get cipher(): DataCipher {
    return this.#cipher;
  }

  load(): StoredState {
    removeIncoming(this.#folder);
    removeOldSnapshots(this.#folder, Number.MAX_SAFE_INTEGER);
    this.#checkKeys();
    const snapshot = readNewestSnapshot(this.#folder, this.#cipher);
    const hardState = this.#readHardState();
    const entries = this.#finishInstall(this.#readEntries(), snapshot);
    const [first] = entries;
    const base = snapshot?.meta.index ?? 0;
    if (first !== undefined && first.index > base + 1) {
      throw new CorruptLogError(`${this.#file}: entries ${base + 1} to ${first.index - 1} are missing`);
    }
    if (hardState.commit > Math.max(base, entries.at(-1)?.index ?? 0)) {
      throw new CorruptLogError(`${this.#file}: entry ${hardState.commit} was committed and is missing`);
    }
    this.#rememberKey();
    return { hardState, entries, snapshot };
  }

  /** All writes in one transaction; `install` is not done here. */
  save(writes: readonly Omit<LogWrite, 'install'>[]): void {
    this.#inTransaction(() => this.#write(writes));
  }

  /** After a leader's snapshot is durable: it takes the place of the whole log, and what was written with it follows. */
  replaceLog(write: Omit<LogWrite, 'install'>): void {
    this.#inTransaction(() => {
      this.#truncate.run(0);
      this.#lastIndex = undefined;
      this.#write([write]);
    });
    removeOldSnapshots(this.#folder, 0);
  }

  compact(index: number, keepOld: number): void {
    this.#inTransaction(() => this.#compact.run(index));
    removeOldSnapshots(this.#folder, keepOld);
  }

  /** From now on writes use `keys.current`. */
  rotate(keys: DataKeys): void {
    this.#cipher = new DataCipher(keys);
    this.#rememberKey();
  }

  /** IDs of the keys without which log and snapshots cannot be read. */
  keysInUse(): string[] {
    const rows = this.#database.prepare("SELECT DISTINCT key FROM entries WHERE key <> ''").all();
    const ofSnapshots = snapshotKeys(this.#folder).filter((key) => key !== '');
    return [...new Set([...rows.map((row) => String(row['key'])), ...ofSnapshots])];
  }

  /**
   * One step towards everything on the disk being sealed with the present key. A crash between two steps leaves what the keys
   * open. @returns false when nothing was left to do.
   */
  reseal(): boolean {
    const { keyId } = this.#cipher;
    if (keyId === '') return false;
    const rows = this.#database
      .prepare('SELECT * FROM entries WHERE key <> ? ORDER BY at LIMIT ?')
      .all(keyId, RESEAL_ENTRIES);
    if (rows.length > 0) {
      this.#inTransaction(() => this.#resealRows(rows));
      return true;
    }
    return resealSnapshot(this.#folder, this.#cipher) || this.#scrub() || this.#forgetKeys();
  }

  close(): void {
    this.#database.close();
  }

  #write(writes: readonly Omit<LogWrite, 'install'>[]): void {
    for (const { entries, hardState } of writes) {
      if (entries !== undefined) this.#append(entries);
      if (hardState !== undefined) this.#putFact('hardState', JSON.stringify(hardState));
    }
  }

  #append(entries: readonly LogEntry[]): void {
    const [first] = entries;
    if (first === undefined) return;
    if (first.index - 1 !== this.#lastIndex) this.#truncate.run(first.index);
    this.#lastIndex = entries.at(-1)?.index;
    for (const { index, term, type, data } of entries) {
      const sealed = this.#cipher.seal(data, purposeOf(index, term, type));
      const record: StoredRecord = { index, term, type, key: this.#cipher.keyId, data: sealed };
      this.#insert.run(index, term, type === 'normal' ? 0 : 1, record.key, sealed, recordChecksum(record));
    }
  }

  #resealRows(rows: readonly Row[]): void {
    const replace = this.#database.prepare('UPDATE entries SET key = ?, data = ?, crc = ? WHERE at = ?');
    for (const row of rows) {
      const { index, term, type, ...old } = this.#checked(row);
      const purpose = purposeOf(index, term, type);
      const data = this.#cipher.seal(this.#cipher.open(old.data, old.key, purpose), purpose);
      const record: StoredRecord = { index, term, type, key: this.#cipher.keyId, data };
      replace.run(record.key, data, recordChecksum(record), index);
    }
  }

  /** SQLite leaves what it deletes in free pages and in its write-ahead log (SQLite documentation, VACUUM). */
  #scrub(): boolean {
    if (this.#fact(SCRUB) === undefined) return false;
    this.#database.exec('VACUUM; PRAGMA wal_checkpoint(TRUNCATE);');
    this.#inTransaction(() => this.#forget.run(SCRUB));
    return true;
  }

  #forgetKeys(): boolean {
    const names = this.#rememberedKeys().filter((name) => name !== `key:${this.#cipher.keyId}`);
    if (names.length > 0) this.#inTransaction(() => names.map((name) => this.#forget.run(name)));
    return false;
  }

  #rememberedKeys(): string[] {
    const rows = this.#database.prepare("SELECT name FROM facts WHERE name LIKE 'key:%'").all();
    return rows.map(({ name }) => String(name));
  }

  /** A crash came between a leader's snapshot and the log's giving way to it: entries that it does not continue. */
  #finishInstall(entries: LogEntry[], snapshot: StoredSnapshot | undefined): LogEntry[] {
    const [first] = entries;
    if (snapshot === undefined || first === undefined || first.index > snapshot.meta.index) return entries;
    const { index, term } = snapshot.meta;
    if (entries[index - first.index]?.term === term) return entries;
    this.#inTransaction(() => this.#truncate.run(0));
    return [];
  }

  #readEntries(): LogEntry[] {
    const entries: LogEntry[] = [];
    for (const row of this.#database.prepare('SELECT * FROM entries ORDER BY at').iterate()) {
      const record = this.#checked(row);
      const { index, term, type } = record;
      const before = entries.at(-1);
      if (before !== undefined && before.index + 1 !== index) throw this.#damaged(index);
      entries.push({
        index,
        term,
        type,
        data: this.#cipher.open(record.data, record.key, purposeOf(index, term, type)),
      });
    }
    return entries;
  }

  #checked(row: Row): StoredRecord {
    const record = toRecord(row);
    if (recordChecksum(record) !== row['crc']) throw this.#damaged(record.index);
    return record;
  }

  #damaged(index: number): CorruptLogError {
    return new CorruptLogError(`${this.#file}: entry ${index} is damaged or out of order`);
  }

  #readHardState(): HardState {
    const value = this.#fact('hardState');
    return value === undefined ? NO_STATE : (JSON.parse(value) as HardState);
  }

  /** So that a wrong key is called that, and not damage. */
  #checkKeys(): void {
    for (const name of this.#rememberedKeys()) this.#cipher.check(name.slice('key:'.length), this.#fact(name) ?? '');
  }

  #rememberKey(): void {
    const { keyId, fingerprint } = this.#cipher;
    const name = `key:${keyId}`;
    if (keyId === '' || this.#fact(name) === fingerprint) return;
    const wasPlain = this.#rememberedKeys().length === 0 && this.#fact('hardState') !== undefined;
    this.#inTransaction(() => {
      this.#putFact(name, fingerprint);
      if (wasPlain) this.#putFact(SCRUB, 'true');
    });
  }

  #fact(name: string): string | undefined {
    const row = this.#database.prepare('SELECT value, crc FROM facts WHERE name = ?').get(name);
    if (row === undefined) return undefined;
    const value = String(row['value']);
    if (textChecksum(value) !== row['crc']) throw new CorruptLogError(`${this.#file}: ${name} is damaged`);
    return value;
  }

  #putFact(name: string, value: string): void {
    this.#put.run(name, value, textChecksum(value));
  }

  #inTransaction(work: () => void): void {
    this.#begin.run();
    try {
      work();
      this.#commit.run();
    } catch (error) {
      this.#lastIndex = undefined;
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

function open(file: string): DatabaseSync {
  const database = new DatabaseSync(file);
  try {
    database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA locking_mode = EXCLUSIVE;');
    const format = Number(database.prepare('PRAGMA user_version').get()?.['user_version']);
    if (format !== 0 && format !== FORMAT)
      throw new CorruptLogError(
        `${file}: format ${format} is not known, this version writes ${FORMAT}: was it made by a newer one?`,
      );
    database.exec(`
      CREATE TABLE IF NOT EXISTS entries
        (at INTEGER PRIMARY KEY, term INTEGER, type INTEGER, key TEXT, data BLOB, crc INTEGER);
      CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT, crc INTEGER);
      PRAGMA user_version = ${FORMAT};`);
    return database;
  } catch (error) {
    database.close();
    throw isMalformed(error) ? new CorruptLogError(`${file}: ${error.message}`, { cause: error }) : error;
  }
}

/** SQLITE_CORRUPT or SQLITE_NOTADB. */
function isMalformed(error: unknown): error is Error {
  if (!(error instanceof Error) || !('errcode' in error)) return false;
  return error.errcode === 11 || error.errcode === 26;
}

function purposeOf(index: number, term: number, type: string): string {
  return `entry ${index} of term ${term} (${type})`;
}

function toRecord(row: Row): StoredRecord {
  return {
    index: Number(row['at']),
    term: Number(row['term']),
    type: row['type'] === 0 ? 'normal' : 'conf-change',
    key: String(row['key']),
    data: row['data'] as Uint8Array,
  };
}
