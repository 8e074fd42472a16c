import { parentPort, workerData } from 'node:worker_threads';
import type { DataKeys } from './data-cipher.ts';
import { type DiskRequest, SqliteHost } from './sqlite-host.ts';

export type WorkerReply = { ok: true; value: unknown } | { ok: false; name: string; message: string };

const { folder, keys } = workerData as { folder: string; keys: DataKeys | undefined };
const host = new SqliteHost(folder, keys);

parentPort?.on('message', (request: DiskRequest) => {
  let reply: WorkerReply;
  try {
    reply = { ok: true, value: host.handle(request) };
  } catch (error) {
    const failure = error instanceof Error ? error : new Error(String(error));
    reply = { ok: false, name: failure.name, message: failure.message };
  }
  parentPort?.postMessage(reply);
  if (request.kind === 'close') parentPort?.close();
});
