import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { SqliteLog } from '../../manager/raft/log/sqlite-log.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'waggle-disk-'));
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=512k', 'waggle-log-test', folder]);
});
afterEach(() => {
  execFileSync('umount', [folder]);
  rmSync(folder, { recursive: true, force: true });
});

it('the Raft log tells of a full disk, and acknowledges nothing after it', async () => {
  const log = new SqliteLog(folder);
  await log.open();
  const writes: Promise<void>[] = [];
  for (let index = 1; index <= 20; index++) {
    const data = Buffer.alloc(100_000, index);
    const write = log.save({ entries: [{ term: 1, index, type: 'normal', data }] });
    writes.push(write);
    await write.catch(() => undefined);
  }
  const results = (await Promise.allSettled(writes)).map(({ status }) => status);
  await log.close();
  const failed = results.indexOf('rejected');
  expect(failed).toBeGreaterThan(0);
  expect(results.slice(failed)).toEqual(results.slice(failed).map(() => 'rejected'));
});
