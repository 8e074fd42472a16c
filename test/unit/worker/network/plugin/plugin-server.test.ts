import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { silentLog } from '../../../../../proto/runtime/log.ts';
import { inactiveBackend } from '../../../../../worker/network/plugin/inactive-backend.ts';
import { PluginServer } from '../../../../../worker/network/plugin/plugin-server.ts';
import { eventually } from '../../../../lab/eventually.ts';
import { settle, VirtualClock } from '../../../../fixtures/virtual-clock.ts';

let folder: string;
let socketPath: string;
let clock: VirtualClock;
let server: PluginServer;

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'waggle-plugin-'));
  socketPath = path.join(folder, 'plugins/waggle.sock');
  clock = new VirtualClock();
  server = new PluginServer({ socketPath }, { clock, log: silentLog });
});

afterEach(async () => {
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
});

function post(method: string, body: string): Promise<{ status: number; body: unknown }> {
  return new Promise((resolve, reject) => {
    const call = request({ socketPath, path: `/${method}`, method: 'POST', agent: false }, (response) => {
      let text = '';
      response.on('data', (chunk: Buffer) => (text += chunk.toString()));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body: JSON.parse(text) as unknown }));
    });
    call.on('error', reject);
    call.end(body);
  });
}

async function untilBack(): Promise<void> {
  const isBack = async (): Promise<boolean> => {
    await clock.advance(1_000);
    return (await post('Plugin.Activate', '').catch(() => undefined))?.status === 200;
  };
  await eventually('the plugin to be back', isBack, { everyMs: 2, timeoutMs: 10_000 });
}

describe('PluginServer', () => {
  it('is open to its owner only', async () => {
    await server.start();
    expect(statSync(socketPath).mode & 0o777).toBe(0o600);
    expect(await post('Plugin.Activate', '')).toMatchObject({ status: 200 });
  });

  it('lets calls wait for a backend that is to come, but not those about itself', async () => {
    await server.start();
    server.expectBackend(10_000);
    expect(await post('Plugin.Activate', '')).toMatchObject({ status: 200 });
    let answered = false;
    const body = JSON.stringify({ PoolID: 'n', Address: '10.0.0.5' });
    const waiting = post('IpamDriver.ReleaseAddress', body).finally(() => (answered = true));
    await settle();
    server.setBackend(undefined);
    await settle();
    expect(answered).toBe(false);
    const released: string[] = [];
    const take = ({ Address }: { Address: string }): Record<string, never> => {
      released.push(Address);
      return {};
    };
    server.setBackend({ ...inactiveBackend, 'IpamDriver.ReleaseAddress': take });
    await waiting;
    expect(released).toEqual(['10.0.0.5']);
  });

  it('lets them wait on when the backend is expected anew', async () => {
    await server.start();
    server.expectBackend(10_000);
    let answered = false;
    const body = JSON.stringify({ PoolID: 'n', Address: '10.0.0.5' });
    const waiting = post('IpamDriver.ReleaseAddress', body).finally(() => (answered = true));
    await clock.advance(8_000);
    server.expectBackend(10_000);
    await clock.advance(9_999);
    expect(answered).toBe(false);
    await clock.advance(1);
    expect(await waiting).toEqual({ status: 200, body: {} });
  });

  it('does not let them wait for ever', async () => {
    await server.start();
    server.expectBackend(10_000);
    const waiting = post('IpamDriver.ReleaseAddress', JSON.stringify({ PoolID: 'n', Address: '10.0.0.5' }));
    await settle();
    await clock.advance(10_000);
    expect(await waiting).toEqual({ status: 200, body: {} });
  });

  it('takes the place of what a former run left', async () => {
    await server.start();
    await server.stop();
    writeFileSync(socketPath, 'stale');
    await server.start();
    expect(await post('Plugin.Activate', '')).toMatchObject({ status: 200 });
  });

  it('comes back when its socket is removed or replaced', async () => {
    await server.start();
    rmSync(path.dirname(socketPath), { recursive: true });
    await untilBack();
    rmSync(socketPath);
    writeFileSync(socketPath, '');
    await untilBack();
  });

  it('says so once a second while its folder cannot be made again, and comes back when it can', async () => {
    const mount = path.join(folder, 'mount');
    mkdirSync(mount);
    const held = openSync(mount, 'r');
    const warnings: string[] = [];
    const log = { ...silentLog, child: () => log, warn: (_: object, message: string) => void warnings.push(message) };
    // As with a mount whose source is removed, nothing can be made in a folder that is gone and still held.
    socketPath = path.join(folder, 'way/plugins/waggle.sock');
    symlinkSync(`/proc/self/fd/${held}`, path.join(folder, 'way'));
    server = new PluginServer({ socketPath }, { clock, log });
    try {
      await server.start();
      rmSync(mount, { recursive: true });
      for (let second = 1; second <= 3; second++) {
        await clock.advance(1_000);
        await eventually('a warning', () => warnings.length === second);
      }
      expect(new Set(warnings)).toEqual(new Set(['plugin socket is gone and will be made again']));
      rmSync(path.join(folder, 'way'));
      await untilBack();
    } finally {
      closeSync(held);
    }
  });

  it('answers from the backend of the moment', async () => {
    await server.start();
    const ids = JSON.stringify({ NetworkID: 'n', EndpointID: 'e' });
    expect(await post('NetworkDriver.Join', ids)).toMatchObject({
      body: { Err: expect.stringContaining('swarm') as string },
    });
    const answer = { InterfaceName: { SrcName: 'a', DstPrefix: 'eth' }, StaticRoutes: [] as [] };
    server.setBackend({ ...inactiveBackend, 'NetworkDriver.Join': () => answer });
    expect(await post('NetworkDriver.Join', ids)).toEqual({ status: 200, body: answer });
    server.setBackend(undefined);
    expect(await post('NetworkDriver.Join', ids)).toMatchObject({
      body: { Err: expect.stringContaining('swarm') as string },
    });
  });

  it('refuses a body without end', async () => {
    await server.start();
    expect(await post('NetworkDriver.Join', ' '.repeat(2 * 1024 * 1024))).toMatchObject({ status: 413 });
  });

  it('can be stopped twice, and before it was started', async () => {
    await server.stop();
    await server.start();
    await server.stop();
    await server.stop();
    expect(existsSync(socketPath)).toBe(false);
  });
});
