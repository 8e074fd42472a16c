import type { HardState, LogEntry, SnapshotMeta } from '../core/entry.ts';

/**
 * The durable half of a Raft member: log entries, hard state and the last snapshot (Raft paper 5, figure 2
 * "persistent state"; 7 for snapshots).
 */

export interface StoredSnapshot {
  meta: SnapshotMeta;
  chunks: Uint8Array[];
}

export interface StoredState {
  hardState: HardState;
  /** Without a gap, the first one directly after the snapshot or earlier; they agree with it where they overlap. */
  entries: LogEntry[];
  snapshot: StoredSnapshot | undefined;
}

export interface LogWrite {
  /** A leader's snapshot, finished: the whole log and every older snapshot give way to it. Durable before the rest of the write. */
  install?: StagedSnapshot;
  hardState?: HardState;
  /** Contiguous; whatever the log holds from the first one's index on is replaced. In one with `hardState`. */
  entries?: readonly LogEntry[];
}

/** A leader's snapshot on its way in: on the disk beside the others, and in force only with `LogWrite.install`. */
export interface StagedSnapshot {
  readonly meta: SnapshotMeta;
  /** Resolves when the disk has taken it. @throws WaggleError aborted once a newer one is staged, and what the disk says. */
  write(chunk: Uint8Array): Promise<void>;
  /** Resolves when all of it is durable. */
  finish(): Promise<void>;
  /** Nothing of it is left. Idempotent, and nothing after `install`. */
  discard(): Promise<void>;
}

/** The log or a snapshot on disk is not what was written. The manager must not start on it. */
export class CorruptLogError extends Error {
  override readonly name = 'CorruptLogError';
}

/** What is on disk is encrypted with a key that was not given, or that another key is given for. */
export class LogKeyError extends Error {
  override readonly name = 'LogKeyError';
}

export interface LogStore {
  /**
   * Torn writes at the tail were never acknowledged and are dropped; an install that a crash interrupted is finished.
   * @throws CorruptLogError naming file and record; LogKeyError.
   */
  open(): Promise<StoredState>;
  /**
   * Resolves when everything is on the disk. Writes keep their order; those made while one is under way share one fsync.
   * After a failure every further write fails: the member must stop.
   */
  save(write: LogWrite): Promise<void>;
  /**
   * Begins to take in a leader's snapshot, beside all other writes; one that is on its way already is given up. A failure concerns this
   * snapshot only.
   */
  stage(meta: SnapshotMeta): Promise<StagedSnapshot>;
  /**
   * Makes a snapshot of the own state durable beside the writes that go on, then forgets the entries up to
   * `compactIndex` and all but `keepOld` older snapshots.
   */
  saveSnapshot(meta: SnapshotMeta, chunks: Iterable<Uint8Array>, compactIndex: number, keepOld: number): Promise<void>;
  /** What was begun is finished first. Idempotent. */
  close(): Promise<void>;
}
