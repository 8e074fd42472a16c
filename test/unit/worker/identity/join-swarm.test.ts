import { readdir } from 'node:fs/promises';
import net from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { newJoinToken } from '../../../../manager/ca/join-tokens.ts';
import { systemClock } from '../../../../proto/runtime/clock.ts';
import { silentLog } from '../../../../proto/runtime/log.ts';
import { parseJoinToken } from '../../../../proto/objects/join-token.ts';
import { newUnlockKey } from '../../../../proto/objects/unlock-key.ts';
import type { Identity } from '../../../../worker/identity/identity.ts';
import { IdentityStore } from '../../../../worker/identity/identity-store.ts';
import { joinSwarm } from '../../../../worker/identity/join-swarm.ts';
import { hastenedClock } from '../../../fixtures/hastened-clock.ts';
import { type LoopbackManager, startLoopbackManager, temporaryFolder } from '../../../fixtures/loopback-manager.ts';
import { VirtualClock } from '../../../fixtures/virtual-clock.ts';

/** Real time, but what waits waits a tenth. */
const hurried = hastenedClock(10);

describe('joinSwarm over real TLS', () => {
  let manager: LoopbackManager;
  let foreign: LoopbackManager;
  let middle: LoopbackManager;
  let disk: { folder: string; remove: () => Promise<void> };
  let store: IdentityStore;

  beforeAll(async () => {
    [manager, foreign] = await Promise.all([startLoopbackManager(), startLoopbackManager()]);
    // Knows the true root certificate (it is public), but has only a key of its own.
    middle = await startLoopbackManager({ material: foreign.identity.tls() });
    await middle.store.update((tx) => {
      const cluster = middle.cluster();
      tx.update('clusters', { ...cluster, RootCA: manager.cluster().RootCA });
    });
  });
  afterAll(() => Promise.all([manager.stop(), foreign.stop(), middle.stop()]));
  beforeEach(async () => {
    disk = await temporaryFolder();
    store = new IdentityStore({ dataDir: disk.folder });
  });
  afterEach(() => disk.remove());

  function join(token: string, ...remoteAddrs: string[]): Promise<Identity> {
    const modules = { store, clock: hurried, random: () => 0, log: silentLog };
    return joinSwarm({ remoteAddrs, token, availability: 'active' }, modules);
  }
  const nodes = (of: LoopbackManager): string[] => of.store.view((tx) => [...tx.all('nodes')].map((node) => node.ID));

  it('gives a worker an identity that survives a restart', async () => {
    const identity = await join(manager.cluster().JoinTokens.Worker, manager.address);
    expect(identity).toMatchObject({ role: 'worker', clusterId: manager.cluster().ID });
    const node = manager.store.view((tx) => tx.get('nodes', identity.nodeId));
    expect(node).toMatchObject({
      Spec: { Role: 'worker', Availability: 'active' },
      Status: { State: 'unknown' },
      CertificateRole: 'worker',
    });
    const again = await new IdentityStore({ dataDir: disk.folder }).load();
    expect(again?.nodeId).toBe(identity.nodeId);
    expect(again?.notAfter).toBeGreaterThan(systemClock.now() + 89 * 86_400_000);
    await expect(join(manager.cluster().JoinTokens.Worker, manager.address)).rejects.toThrow('already part of a swarm');
    expect((await store.load())?.nodeId).toBe(identity.nodeId);
  });

  it('never writes the key of a manager without the lock of its swarm', async () => {
    const unlockKey = newUnlockKey((size) => new Uint8Array(size));
    const locking = await startLoopbackManager({ allowManagers: true });
    await locking.store.update((tx) => {
      for (const cluster of [...tx.all('clusters')]) tx.update('clusters', { ...cluster, UnlockKey: unlockKey });
    });
    const identity = await join(locking.cluster().JoinTokens.Manager, locking.address);
    await locking.stop();
    expect(identity).toMatchObject({ role: 'manager', isLocked: false });
    const again = new IdentityStore({ dataDir: disk.folder });
    expect((await again.load())?.isLocked).toBe(true);
    expect(await again.unlock(unlockKey)).toEqual(identity.tls());
    expect(store.renewalDue).toBe(false);
  });

  it('goes on to the next address when one does not answer', async () => {
    const identity = await join(manager.cluster().JoinTokens.Worker, '127.0.0.1:1', manager.address);
    expect(identity.role).toBe('worker');
  });

  const secret = (token: string): string => token.slice(-25);
  it.each([
    {
      id: 'empty',
      token: () => '',
      message: 'rpc error: code = InvalidArgument desc = A valid join token is necessary to join this cluster',
    },
    { id: 'cut', token: () => manager.cluster().JoinTokens.Worker.slice(0, -1), message: 'invalid join token' },
    {
      id: 'wrong secret',
      token: () => newJoinToken(manager.cluster().RootCA.Certificate),
      message: 'rpc error: code = InvalidArgument desc = A valid join token is necessary to join this cluster',
    },
    {
      id: 'of another swarm',
      token: () => foreign.cluster().JoinTokens.Worker,
      message: /^remote CA does not match fingerprint\. Expected: [0-9a-f]{64}$/,
    },
    {
      id: 'other digest with the right secret',
      token: () => foreign.cluster().JoinTokens.Worker.slice(0, -25) + secret(manager.cluster().JoinTokens.Worker),
      message: 'remote CA does not match fingerprint',
    },
    {
      id: 'of a manager, while there can be only one',
      token: () => manager.cluster().JoinTokens.Manager,
      message: 'takes no further managers',
    },
  ])('refuses a token that is $id and leaves nothing on the disk', async ({ token, message }) => {
    const before = nodes(manager);
    await expect(join(token(), manager.address)).rejects.toThrow(message);
    expect(await readdir(disk.folder)).toEqual([]);
    expect(nodes(manager)).toEqual(before);
  });

  it('names the digest that the token asks for', async () => {
    const token = foreign.cluster().JoinTokens.Worker;
    await expect(join(token, manager.address)).rejects.toThrow(parseJoinToken(token).digest);
  });

  it('refuses a rotated token and takes the new one', async () => {
    const old = manager.cluster().JoinTokens.Worker;
    await manager.store.update((tx) => {
      const cluster = manager.cluster();
      const Worker = newJoinToken(cluster.RootCA.Certificate);
      tx.update('clusters', { ...cluster, JoinTokens: { ...cluster.JoinTokens, Worker } });
    });
    await expect(join(old, manager.address)).rejects.toThrow('A valid join token is necessary');
    await expect(join(manager.cluster().JoinTokens.Worker, manager.address)).resolves.toBeDefined();
  });

  it('never sends the token to a man in the middle who shows the true root', async () => {
    const before = nodes(middle);
    const failure = await join(manager.cluster().JoinTokens.Worker, middle.address).catch((error: Error) => error);
    expect(failure).toMatchObject({ code: 'unavailable' });
    expect((failure as Error).message).toContain('no manager could be reached');
    expect(nodes(middle)).toEqual(before);
    expect(await readdir(disk.folder)).toEqual([]);
  });

  it('says who cannot be reached', async () => {
    const failing = join(manager.cluster().JoinTokens.Worker, '127.0.0.1:1');
    await expect(failing).rejects.toThrow(/no manager could be reached: .*ECONNREFUSED 127\.0\.0\.1:1/);
  });

  it('gives up after 20 s on a host that takes the connection and says nothing', async () => {
    const silent = net.createServer(() => undefined);
    const sockets: net.Socket[] = [];
    silent.on('connection', (socket) => sockets.push(socket));
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const clock = new VirtualClock();
    const { port } = silent.address() as net.AddressInfo;
    const failing = joinSwarm(
      { remoteAddrs: [`127.0.0.1:${port}`], token: manager.cluster().JoinTokens.Worker, availability: 'active' },
      { store, clock, random: () => 0, log: silentLog },
    ).catch((error: Error) => error);
    await vi.waitFor(() => expect(clock.next()).toBeDefined(), { timeout: 10_000 });
    for (let seconds = 0; seconds < 21; seconds++) await clock.advance(1000);
    expect(((await failing) as Error).message).toContain('Timeout was reached before node joined');
    expect(clock.next()).toBeUndefined();
    for (const socket of sockets) socket.destroy();
    silent.close();
  });

  it.each([
    { id: 'space', address: 'a b' },
    { id: 'path', address: 'host/x:1' },
  ])('refuses the address with a $id', async ({ address }) => {
    await expect(join(manager.cluster().JoinTokens.Worker, address)).rejects.toThrow(
      `invalid remote address: ${address}`,
    );
  });
});
