import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { expect, it } from 'vitest';
import { DataDirLock } from '../../../../cli/daemon/data-dir-lock.ts';

it('lets one daemon have a directory at a time', async () => {
  const folders = [0, 1].map(() => mkdtempSync(path.join(os.tmpdir(), 'lock-')));
  const [dataDir = '', other = ''] = folders;
  const [first, second, elsewhere] = [dataDir, dataDir, other].map((each) => new DataDirLock({ dataDir: each }));
  try {
    await first?.start();
    await elsewhere?.start();
    await expect(second?.start()).rejects.toMatchObject({ code: 'failed-precondition' });
    await second?.stop();
    await expect(second?.start()).rejects.toThrow(`another waggle daemon is running on --data-dir ${dataDir}`);
    await first?.stop();
    await second?.start();
  } finally {
    for (const lock of [first, second, elsewhere]) await lock?.stop();
    for (const folder of folders) rmSync(folder, { recursive: true });
  }
});
