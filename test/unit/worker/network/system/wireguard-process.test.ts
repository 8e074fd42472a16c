import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../../../../proto/runtime/clock.ts';
import { WIREGUARD_GO, WireguardProcess } from '../../../../../worker/network/system/wireguard-process.ts';
import { temporaryFolder } from '../../../../fixtures/loopback-manager.ts';

describe('WireguardProcess', () => {
  const { PATH } = process.env;
  let disk: Awaited<ReturnType<typeof temporaryFolder>>;
  beforeEach(async () => {
    disk = await temporaryFolder();
    process.env.PATH = `${disk.folder}:${PATH}`;
  });
  afterEach(async () => {
    process.env.PATH = PATH;
    await disk.remove();
  });

  it('says why it did not come up, and does not tell its end too: that would be a reason to start it again at once, for ever', async () => {
    writeFileSync(path.join(disk.folder, WIREGUARD_GO), '#!/bin/sh\nexit 7\n', { mode: 0o700 });
    const wireguard = new WireguardProcess({ clock: systemClock });
    let ends = 0;
    wireguard.onExit(() => ends++);
    await expect(wireguard.start()).rejects.toMatchObject({
      code: 'unavailable',
      message: 'wireguard-go ended with 7',
    });
    expect(ends).toBe(0);
  });
});
