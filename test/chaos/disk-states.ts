import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { SqliteLog } from '../../manager/raft/log/sqlite-log.ts';
import type { StoredState } from '../../manager/raft/log/log-store.ts';
import type { DataKeys } from '../../manager/raft/log/data-cipher.ts';
import { StateStore } from '../../manager/store/state-store.ts';
import { TABLE_NAMES } from '../../manager/store/tables.ts';
import { systemClock } from '../../proto/runtime/clock.ts';
import { IdentityStore } from '../../worker/identity/identity-store.ts';

const OPEN_MS = 60_000;

/** What a manager that is not running has on its disk. */
export interface DiskState {
  name: string;
  stored: StoredState;
  first: number;
  last: number;
}

/** Reads a copy: opening it mends what a crash has left. @param unlockKey of locked managers, else ''. @throws CorruptLogError */
export async function readDisk(name: string, dataDir: string, unlockKey: string): Promise<DiskState> {
  const copy = mkdtempSync(path.join(tmpdir(), 'waggle-chaos-'));
  try {
    for (const folder of ['raft', 'identity']) {
      cpSync(path.join(dataDir, folder), path.join(copy, folder), { recursive: true });
    }
    const log = new SqliteLog(path.join(copy, 'raft'), await keysIn(copy, unlockKey));
    const stored = await keptAlive(log.open());
    await log.close();
    const first = stored.snapshot?.meta.index ?? 0;
    return { name, stored, first, last: stored.entries.at(-1)?.index ?? first };
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}

/** Where logs that were committed differ, and states at the last index that all of them have. Raft paper 5.3, figure 3: log matching, state machine safety. */
export function disagreements(disks: readonly DiskState[]): string[] {
  // The index is written with the next entries only; a snapshot is of what was committed.
  const committed = Math.max(...disks.map(({ stored, first }) => Math.max(first, stored.hardState.commit)));
  const at = Math.min(committed, ...disks.map(({ last }) => last));
  const ahead = disks.filter(({ first }) => first > at);
  if (ahead.length > 0) {
    const ranges = disks.map(({ name, first, last }) => `${name} has ${first} to ${last}`);
    return [`the disks have no index in common: ${ranges.join(', ')}`];
  }
  return [...entriesThatDiffer(disks, at), ...rowsThatDiffer(disks, at)];
}

function entriesThatDiffer(disks: readonly DiskState[], upTo: number): string[] {
  const seen = new Map<number, { name: string; text: string }>();
  const found: string[] = [];
  for (const { name, stored } of disks) {
    for (const { index, term, type, data } of stored.entries) {
      if (index > upTo) break;
      const text = `${term} ${type} ${Buffer.from(data).toString('base64')}`;
      const other = seen.get(index);
      if (other === undefined) seen.set(index, { name, text });
      else if (other.text !== text) found.push(`entry ${index} of ${name} is another one than that of ${other.name}`);
    }
  }
  return found;
}

function rowsThatDiffer(disks: readonly DiskState[], at: number): string[] {
  const [reference, ...others] = disks.map((disk) => ({ name: disk.name, rows: rowsOf(disk, at) }));
  if (reference === undefined) return [];
  return others.flatMap(({ name, rows }) => {
    const keys = [...new Set([...rows.keys(), ...reference.rows.keys()])];
    const different = keys.filter((key) => rows.get(key) !== reference.rows.get(key));
    return different.map(
      (key) => `at ${at}, ${name} has ${rows.get(key)}, ${reference.name} has ${reference.rows.get(key)}`,
    );
  });
}

/** Snapshot and log replayed. */
function rowsOf({ stored }: DiskState, at: number): Map<string, string> {
  const store = new StateStore({}, { clock: systemClock });
  if (stored.snapshot !== undefined) store.restore(stored.snapshot.chunks);
  for (const { index, type, data } of stored.entries) {
    if (index > at) break;
    if (index > (stored.snapshot?.meta.index ?? 0) && type === 'normal' && data.length > 0) store.apply(index, data);
  }
  return store.view((tx) => {
    const rows = TABLE_NAMES.flatMap((table) => [...tx.all(table)].map((row) => ({ table, row })));
    return new Map(rows.map(({ table, row }) => [`${table}/${row.ID}`, JSON.stringify(row)]));
  });
}

/** The thread of a log alone does not keep this process from ending. */
async function keptAlive<T>(work: Promise<T>): Promise<T> {
  const cancel = systemClock.after(OPEN_MS, () => undefined);
  try {
    return await work;
  } finally {
    cancel();
  }
}

async function keysIn(dataDir: string, unlockKey: string): Promise<() => DataKeys> {
  const identity = new IdentityStore({ dataDir });
  const node = await identity.load();
  if (node?.isLocked === true) await identity.unlock(unlockKey);
  const [current, ...older] = identity.raftKeys.map(({ id, key }) => ({ id, key: Buffer.from(key, 'base64') }));
  if (current === undefined) throw new Error(`${dataDir} has no key of a Raft log`);
  return () => ({ current, older });
}
