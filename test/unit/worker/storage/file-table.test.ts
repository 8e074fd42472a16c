import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FileTable } from '../../../../worker/storage/file-table.ts';

describe('FileTable', () => {
  let folder: string;
  beforeEach(async () => {
    folder = path.join(await mkdtemp(path.join(os.tmpdir(), 'waggle-file-table-')), 'rows');
  });
  afterEach(() => rm(path.dirname(folder), { recursive: true, force: true }));

  async function reopened<T>(): Promise<Map<string, T>> {
    return new FileTable<T>(folder).open();
  }

  it.each([
    { id: 'plain', key: 'abc' },
    { id: 'slash', key: '10.0.0.0/24' },
    { id: 'dots', key: '..' },
    { id: 'unicode', key: 'é%20' },
    { id: 'looks like a temporary', key: '.tmp' },
  ])('keeps the key $id', async ({ key }) => {
    const table = new FileTable<{ n: number }>(folder);
    await table.open();
    await table.put(key, { n: 1 });
    expect([...(await reopened())]).toEqual([[key, { n: 1 }]]);
    await table.delete(key);
    await table.delete(key);
    expect((await reopened()).size).toBe(0);
  });

  it('makes its folder again when somebody has removed it, unless it was destroyed', async () => {
    const table = new FileTable<number>(folder);
    await table.open();
    await table.put('a', 1);
    await rm(folder, { recursive: true });
    await table.put('b', 2);
    expect([...(await reopened())]).toEqual([['b', 2]]);
    await table.destroy();
    await expect(table.put('c', 3)).rejects.toThrow('ENOENT');
  });

  it('refuses a key that no file name can hold', async () => {
    const table = new FileTable<number>(folder);
    await table.open();
    expect(() => table.put('', 1)).toThrow(RangeError);
    expect(() => table.put('x'.repeat(300), 1)).toThrow(RangeError);
  });

  it('keeps the order of writes of one key', async () => {
    const table = new FileTable<number>(folder);
    await table.open();
    const writes = Array.from({ length: 20 }, (_, n) => table.put('k', n));
    writes.push(table.delete('k'), table.put('k', 99));
    await Promise.all(writes);
    expect((await reopened()).get('k')).toBe(99);
  });

  it('writes files that only the owner can read', async () => {
    const table = new FileTable<number>(folder);
    await table.open();
    await table.put('k', 1);
    expect((await stat(path.join(folder, 'k.json'))).mode & 0o777).toBe(0o600);
    expect((await stat(folder)).mode & 0o777).toBe(0o700);
  });

  it('goes on after a failed write', async () => {
    const table = new FileTable<number>(folder);
    await table.open();
    await rm(folder, { recursive: true });
    await writeFile(folder, '');
    await expect(table.put('k', 1)).rejects.toThrow('ENOTDIR');
    await rm(folder);
    await table.open();
    await table.put('k', 2);
    expect((await reopened()).get('k')).toBe(2);
  });

  it('clears what a crash left and sets aside what is not JSON', async () => {
    const table = new FileTable<number>(folder);
    await table.open();
    await table.put('good', 1);
    await writeFile(path.join(folder, '.tmp-1-0'), '{');
    await writeFile(path.join(folder, 'bad.json'), '{');
    const again = new FileTable<number>(folder);
    expect([...(await again.open()).keys()]).toEqual(['good']);
    expect(again.corrupt).toEqual([path.join(folder, 'bad.json')]);
    expect((await readdir(folder)).toSorted()).toEqual(['bad.json.corrupt', 'good.json']);
  });
});
