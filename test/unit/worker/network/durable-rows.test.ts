import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { silentLog } from '../../../../proto/runtime/log.ts';
import { DurableRows } from '../../../../worker/network/durable-rows.ts';
import { FileTable } from '../../../../worker/storage/file-table.ts';
import { temporaryFolder } from '../../../fixtures/loopback-manager.ts';
import { VirtualClock } from '../../../fixtures/virtual-clock.ts';

describe('DurableRows', () => {
  const full = new Error('EIO');
  let disk: Awaited<ReturnType<typeof temporaryFolder>>;
  let clock: VirtualClock;
  let table: FileTable<string>;
  let rows: DurableRows<string>;
  beforeEach(async () => {
    disk = await temporaryFolder();
    clock = new VirtualClock();
    table = new FileTable(disk.folder);
    rows = new DurableRows(table, { clock, log: silentLog });
    await rows.open();
  });
  afterEach(async () => {
    rows.close();
    await table.settle();
    await disk.remove();
  });

  /** The rows of a next life. */
  async function onDisk(): Promise<[string, string][]> {
    await table.settle();
    return [...(await new FileTable<string>(disk.folder).open())];
  }

  it('removes a file as often as it takes, later each time', async () => {
    await rows.put('a', '1');
    const remove = vi.spyOn(table, 'delete').mockRejectedValueOnce(full).mockRejectedValueOnce(full);
    rows.delete('a');
    const calls: number[] = [];
    for (const ms of [0, 499, 1, 999, 1]) {
      await clock.advance(ms);
      calls.push(remove.mock.calls.length);
    }
    expect(calls).toEqual([1, 1, 2, 2, 3]);
    expect(await onDisk()).toEqual([]);
  });

  it('leaves a row on the disk that was put again while others were removed', async () => {
    const gate = Promise.withResolvers<void>();
    const remove = table.delete.bind(table);
    vi.spyOn(table, 'delete').mockImplementation((key) => (key === 'a' ? gate.promise : remove(key)));
    await Promise.all([rows.put('a', '1'), rows.put('b', '1')]);
    rows.delete('a');
    rows.delete('b');
    await clock.advance(0);
    await rows.put('b', '2');
    gate.resolve();
    await clock.advance(0);
    expect(new Map(await onDisk()).get('b')).toBe('2');
  });

  it('removes a row that was put and deleted again while its first removal was under way, and that one failed', async () => {
    const gate = Promise.withResolvers<void>();
    await rows.put('a', '1');
    const remove = vi.spyOn(table, 'delete').mockReturnValueOnce(gate.promise).mockRejectedValueOnce(full);
    rows.delete('a');
    await rows.put('a', '2');
    rows.delete('a');
    gate.resolve();
    await clock.advance(500);
    expect(remove).toHaveBeenCalledTimes(3);
    expect(await onDisk()).toEqual([]);
  });

  it('removes a row that could neither be removed nor put again', async () => {
    await rows.put('a', '1');
    vi.spyOn(table, 'delete').mockRejectedValueOnce(full);
    vi.spyOn(table, 'put').mockRejectedValueOnce(full);
    rows.delete('a');
    await clock.advance(0);
    await expect(rows.put('a', '2')).rejects.toThrow('EIO');
    await clock.advance(500);
    expect([rows.get('a'), await onDisk()]).toEqual([undefined, []]);
  });
});
