import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { EMPTY_CONFIGURATION, type LogEntry } from '../../../../../manager/raft/core/entry.ts';
import { CorruptLogError } from '../../../../../manager/raft/log/log-store.ts';
import { SqliteLog } from '../../../../../manager/raft/log/sqlite-log.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'waggle-log-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const entry = (index: number, text: string, term = 1): LogEntry => ({
  index,
  term,
  type: 'normal',
  data: Buffer.from(text),
});
const texts = (entries: readonly LogEntry[]): string[] => entries.map((each) => Buffer.from(each.data).toString());

describe('SqliteLog', () => {
  it('gives back what was saved, after a new open', async () => {
    const log = new SqliteLog(folder);
    expect(await log.open()).toEqual({ hardState: { term: 0, vote: 0, commit: 0 }, entries: [], snapshot: undefined });
    await Promise.all([
      log.save({ entries: [entry(1, 'a'), entry(2, 'b')], hardState: { term: 1, vote: 7, commit: 0 } }),
      log.save({ entries: [entry(3, 'c')] }),
      log.save({ hardState: { term: 1, vote: 7, commit: 2 } }),
    ]);
    await log.close();
    const state = await reopen();
    expect(texts(state.entries)).toEqual(['a', 'b', 'c']);
    expect(state.hardState).toEqual({ term: 1, vote: 7, commit: 2 });
  });

  it('is for its owner only, one that was not so before too', async () => {
    const modes = (): number[] => readdirSync(folder).map((name) => statSync(path.join(folder, name)).mode & 0o777);
    const log = new SqliteLog(folder);
    await log.open();
    await log.save({ entries: [entry(1, 'a')] });
    expect(modes().length).toBeGreaterThan(1);
    expect(new Set(modes())).toEqual(new Set([0o600]));
    await log.close();
    chmodSync(path.join(folder, 'log.db'), 0o644);
    await reopen();
    expect(new Set(modes())).toEqual(new Set([0o600]));
  });

  it('replaces the suffix from the first given entry on', async () => {
    const log = new SqliteLog(folder);
    await log.open();
    await log.save({ entries: [entry(1, 'a'), entry(2, 'b'), entry(3, 'c')] });
    await log.save({ entries: [entry(2, 'B', 2)] });
    await log.close();
    expect(texts((await reopen()).entries)).toEqual(['a', 'B']);
  });

  it('keeps the newest snapshot and forgets what it covers', async () => {
    const log = new SqliteLog(folder);
    await log.open();
    await log.save({ entries: [1, 2, 3, 4].map((index) => entry(index, `e${index}`)) });
    for (const index of [2, 3]) {
      const meta = { term: 1, index, configuration: EMPTY_CONFIGURATION };
      await log.saveSnapshot(meta, [Buffer.from(`s${index}`), Buffer.from('!')], index, 0);
    }
    await log.close();
    const state = await reopen();
    expect(state.snapshot?.meta.index).toBe(3);
    expect(state.snapshot?.chunks.map((chunk) => Buffer.from(chunk).toString())).toEqual(['s3', '!']);
    expect(texts(state.entries)).toEqual(['e4']);
    expect(readdirSync(folder).filter((name) => name.startsWith('snapshot-'))).toHaveLength(1);
  });

  it('refuses a log with a flipped byte, naming it', async () => {
    const log = new SqliteLog(folder);
    await log.open();
    await log.save({ entries: [entry(1, 'precious-content'.repeat(20))] });
    await log.close();
    flip(path.join(folder, 'log.db'), 'precious-content');
    await expect(reopen()).rejects.toThrow(CorruptLogError);
  });

  it('refuses a snapshot with a flipped byte', async () => {
    const log = new SqliteLog(folder);
    await log.open();
    await log.saveSnapshot(
      { term: 1, index: 5, configuration: EMPTY_CONFIGURATION },
      [Buffer.from('precious-content')],
      5,
      0,
    );
    await log.close();
    const name = readdirSync(folder).find((each) => each.startsWith('snapshot-')) ?? '';
    flip(path.join(folder, name), 'precious-content');
    await expect(reopen()).rejects.toThrow('damaged');
  });

  it('fails every write after one that failed', async () => {
    const log = new SqliteLog(folder);
    await log.open();
    const unstorable = { ...entry(1, 'x'), index: Number.NaN };
    await expect(log.save({ entries: [unstorable] })).rejects.toThrow('cannot be written');
    await expect(log.save({ entries: [entry(1, 'x')] })).rejects.toThrow('cannot be written');
    await log.close();
  });

  async function reopen(): ReturnType<SqliteLog['open']> {
    const log = new SqliteLog(folder);
    try {
      return await log.open();
    } finally {
      await log.close();
    }
  }
});

function flip(file: string, marker: string): void {
  const bytes = readFileSync(file);
  const at = bytes.indexOf(marker);
  expect(at).toBeGreaterThan(0);
  bytes[at + 3] = (bytes[at + 3] ?? 0) ^ 0x20;
  writeFileSync(file, bytes);
}
