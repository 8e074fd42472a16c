import type { SnapshotMeta } from '../core/entry.ts';
import type { DataKeys } from './data-cipher.ts';
import type { LogWrite } from './log-store.ts';
import { SnapshotWriter } from './snapshot-file.ts';
import { SqliteDatabase } from './sqlite-database.ts';
import { StagingArea, type StageRequest } from './staging-area.ts';

type Write = Omit<LogWrite, 'install'>;

/** What is asked of the thread that owns the disk; worked off in order. */
export type DiskRequest =
  | { kind: 'open' }
  | { kind: 'save'; writes: Write[] }
  | { kind: 'snapshot-begin'; meta: SnapshotMeta }
  | { kind: 'snapshot-chunk'; chunk: Uint8Array }
  /** The snapshot is of the own state. */
  | { kind: 'snapshot-end'; compactIndex: number; keepOld: number }
  | StageRequest
  /** The staged one. */
  | { kind: 'snapshot-install'; id: number; write: Write }
  | { kind: 'rotate'; keys: DataKeys }
  | { kind: 'keys-in-use' }
  | { kind: 'reseal' }
  | { kind: 'close' };

/** A folder with the log and its snapshots. Synchronous: lives in a thread of its own. */
export class SqliteHost {
  readonly #folder: string;
  readonly #keys: DataKeys | undefined;
  #database: SqliteDatabase | undefined;
  #snapshot: SnapshotWriter | undefined;
  readonly #staging: StagingArea;

  constructor(folder: string, keys: DataKeys | undefined) {
    this.#folder = folder;
    this.#keys = keys;
    this.#staging = new StagingArea(folder);
  }

  /** @throws CorruptLogError, LogKeyError, and what the system says of the disk. */
  handle(request: DiskRequest): unknown {
    if (request.kind === 'close') return this.#close();
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
        this.#staging.publish(request.id);
        return database.replaceLog(request.write);
      case 'stage-begin':
      case 'stage-chunk':
      case 'stage-finish':
      case 'stage-discard':
        return this.#staging.handle(request, database.cipher);
      case 'rotate':
        // What is sealed with a key that is on its way out would not be readable for long: the leader sends it again.
        this.#staging.giveUp();
        return database.rotate(request.keys);
      case 'keys-in-use':
        return database.keysInUse();
      case 'reseal':
        return database.reseal();
    }
  }

  #close(): void {
    this.#staging.giveUp();
    this.#database?.close();
  }

  #finishSnapshot(): void {
    this.#snapshot?.finish();
    this.#snapshot = undefined;
  }
}
