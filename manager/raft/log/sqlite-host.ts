import type { SnapshotMeta } from '../core/entry.ts';
import type { DataKeys } from './data-cipher.ts';
import type { LogWrite } from './log-store.ts';
import { SnapshotWriter } from './snapshot-file.ts';
import { SqliteDatabase } from './sqlite-database.ts';

type Write = Omit<LogWrite, 'install'>;

/** What is asked of the thread that owns the disk; worked off in order. */
export type DiskRequest =
  | { kind: 'open' }
  | { kind: 'save'; writes: Write[] }
  | { kind: 'snapshot-begin'; meta: SnapshotMeta }
  | { kind: 'snapshot-chunk'; chunk: Uint8Array }
  /** The snapshot is of the own state. */
  | { kind: 'snapshot-end'; compactIndex: number; keepOld: number }
  /** It is a leader's. */
  | { kind: 'snapshot-install'; write: Write }
  | { kind: 'rotate'; keys: DataKeys }
  | { kind: 'keys-in-use' }
  | { kind: 'close' };

/** A folder with the log and its snapshots. Synchronous: lives in a thread of its own. */
export class SqliteHost {
  readonly #folder: string;
  readonly #keys: DataKeys | undefined;
  #database: SqliteDatabase | undefined;
  #snapshot: SnapshotWriter | undefined;

  constructor(folder: string, keys: DataKeys | undefined) {
    this.#folder = folder;
    this.#keys = keys;
  }

  /** @throws CorruptLogError, LogKeyError, and what the system says of the disk. */
  handle(request: DiskRequest): unknown {
    if (request.kind === 'close') return this.#database?.close();
    const database = (this.#database ??= new SqliteDatabase(this.#folder, this.#keys));
    switch (request.kind) {
      case 'open':
        return database.load();
      case 'save':
        return database.save(request.writes);
      case 'snapshot-begin':
        this.#snapshot = new SnapshotWriter(this.#folder, request.meta, database.cipher);
        return undefined;
      case 'snapshot-chunk':
        return this.#snapshot?.write(request.chunk);
      case 'snapshot-end':
        this.#finishSnapshot();
        return database.compact(request.compactIndex, request.keepOld);
      case 'snapshot-install':
        this.#finishSnapshot();
        return database.replaceLog(request.write);
      case 'rotate':
        return database.rotate(request.keys);
      case 'keys-in-use':
        return database.keysInUse();
    }
  }

  #finishSnapshot(): void {
    this.#snapshot?.finish();
    this.#snapshot = undefined;
  }
}
