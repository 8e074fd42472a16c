import { parentPort, workerData } from 'node:worker_threads';
import type { SnapshotMeta } from '../core/entry.ts';
import type { LogWrite } from './log-store.ts';
import { SnapshotWriter } from './snapshot-file.ts';
import { SqliteDatabase } from './sqlite-database.ts';

/** What the main thread asks of the thread that owns the disk; each is answered in order by a WorkerReply. */
export type WorkerRequest =
  | { kind: 'open' }
  | { kind: 'save'; writes: LogWrite[] }
  | { kind: 'snapshot-begin'; meta: SnapshotMeta }
  | { kind: 'snapshot-chunk'; chunk: Uint8Array }
  | { kind: 'snapshot-end'; compactIndex: number; keepOld: number }
  | { kind: 'close' };

export type WorkerReply = { ok: true; value: unknown } | { ok: false; name: string; message: string };

const { folder } = workerData as { folder: string };
let database: SqliteDatabase | undefined;
let snapshot: SnapshotWriter | undefined;

parentPort?.on('message', (request: WorkerRequest) => {
  let reply: WorkerReply;
  try {
    reply = { ok: true, value: handle(request) };
  } catch (error) {
    const failure = error instanceof Error ? error : new Error(String(error));
    reply = { ok: false, name: failure.name, message: failure.message };
  }
  parentPort?.postMessage(reply);
  if (request.kind === 'close') parentPort?.close();
});

function handle(request: WorkerRequest): unknown {
  database ??= new SqliteDatabase(folder);
  switch (request.kind) {
    case 'open':
      return database.load();
    case 'save':
      return database.save(request.writes);
    case 'snapshot-begin':
      snapshot = new SnapshotWriter(folder, request.meta);
      return undefined;
    case 'snapshot-chunk':
      return snapshot?.write(request.chunk);
    case 'snapshot-end':
      snapshot?.finish();
      snapshot = undefined;
      return database.compact(request.compactIndex, request.keepOld);
    case 'close':
      return database.close();
  }
}
