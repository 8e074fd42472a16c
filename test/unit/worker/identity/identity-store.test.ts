import { readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { initCluster } from '../../../../manager/ca/init-cluster.ts';
import { RootCa } from '../../../../manager/ca/root-ca.ts';
import { newUnlockKey } from '../../../../proto/objects/unlock-key.ts';
import type { TlsMaterial } from '../../../../proto/rpc/credentials.ts';
import { systemClock } from '../../../../proto/runtime/clock.ts';
import { generateKeyPairSync } from 'node:crypto';
import { Identity } from '../../../../worker/identity/identity.ts';
import { IdentityStore } from '../../../../worker/identity/identity-store.ts';
import { temporaryFolder } from '../../../fixtures/loopback-manager.ts';

const FIRST = newUnlockKey((size) => new Uint8Array(size).fill(1));
const SECOND = newUnlockKey((size) => new Uint8Array(size).fill(2));
const RAFT_KEY = { id: 'a', key: Buffer.alloc(32, 9).toString('base64') };

/** One node's certificates: as a manager, renewed, and as a worker. */
let manager: TlsMaterial;
let renewed: TlsMaterial;
let worker: TlsMaterial;
beforeAll(async () => {
  const created = await initCluster({ managerAddress: '10.0.0.1:2377' }, { clock: systemClock });
  const ca = await RootCa.open({ certificate: created.cluster.RootCA.Certificate, key: created.cluster.RootCA.Key });
  const issue = async (role: 'manager' | 'worker'): Promise<TlsMaterial> => {
    const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const subject = { nodeId: created.node.ID, clusterId: created.cluster.ID, role };
    const publicKey = pair.publicKey.export({ type: 'spki', format: 'der' });
    return {
      certificate: await ca.issue(publicKey, subject, systemClock.now(), 3_600_000),
      key: pair.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
      root: created.material.root,
    };
  };
  manager = created.material;
  renewed = await issue('manager');
  worker = await issue('worker');
});

let disk: { folder: string; remove: () => Promise<void> };
let store: IdentityStore;
beforeEach(async () => {
  disk = await temporaryFolder();
  store = new IdentityStore({ dataDir: disk.folder });
});
afterEach(() => disk.remove());

const file = (): string => path.join(disk.folder, 'identity/node.json');
const text = (): Promise<string> => readFile(file(), 'utf8');
/** After a restart. */
const again = (): IdentityStore => {
  store = new IdentityStore({ dataDir: disk.folder });
  return store;
};
const lock = (key: string, version: number) => ({ key, version });

async function locked(): Promise<void> {
  await store.save(manager, lock(FIRST, 5));
  await store.saveRaftKeys([RAFT_KEY], { replaces: true });
}

describe('without a lock', () => {
  it('comes back as it was', async () => {
    await store.save(manager);
    await store.saveRaftKeys([RAFT_KEY], { replaces: true });
    expect((await again().load())?.tls()).toEqual(manager);
    expect(store.raftKeys).toEqual([RAFT_KEY]);
  });

  it('reads what an earlier version wrote', async () => {
    await store.save(manager);
    await writeFile(file(), JSON.stringify(manager));
    expect((await again().load())?.tls()).toEqual(manager);
    expect([store.raftKeys, store.lockVersion, store.renewalDue, store.rotationDue]).toEqual([[], 0, false, false]);
  });
});

describe('a locked manager', () => {
  it('has no key on its disk in any file', async () => {
    await locked();
    for (const name of await readdir(path.join(disk.folder, 'identity'))) {
      const content = await readFile(path.join(disk.folder, 'identity', name), 'utf8');
      expect(content).not.toContain('PRIVATE KEY');
      expect(content).not.toContain(RAFT_KEY.key);
      expect(content).not.toContain(FIRST);
    }
  });

  it('knows who it is and can show it to nobody, until it is unlocked', async () => {
    await locked();
    const identity = await again().load();
    expect(identity).toMatchObject({ isLocked: true, role: 'manager', nodeId: new Identity(manager).nodeId });
    expect(() => identity?.tls()).toThrow('locked');
    await expect(store.saveRaftKeys([], { replaces: false })).rejects.toThrow('not at hand');
    const told: boolean[] = [];
    identity?.onChange(() => told.push(identity.isLocked));
    identity?.replace(await store.unlock(FIRST));
    expect(told).toEqual([false]);
    expect(identity?.tls()).toEqual(manager);
    expect([store.raftKeys, store.lockVersion, store.renewalDue]).toEqual([[RAFT_KEY], 5, false]);
    expect((await store.load())?.isLocked).toBe(false);
  });

  it.each([
    { id: 'another key', key: SECOND, code: 'unauthenticated' },
    { id: 'a short key', key: 'SWMKEY-1-AAAA', code: 'unauthenticated' },
    { id: 'no key', key: '', code: 'invalid-argument' },
  ])('is not unlocked by $id, and then still by its own', async ({ key, code }) => {
    await locked();
    await expect(again().unlock(key)).rejects.toMatchObject({ code });
    expect(await store.unlock(FIRST)).toEqual(manager);
  });

  it('is not taken in by another certificate in its file', async () => {
    await locked();
    await writeFile(file(), JSON.stringify({ ...JSON.parse(await text()), certificate: renewed.certificate }));
    await expect(again().unlock(FIRST)).rejects.toMatchObject({ code: 'unauthenticated' });
  });
});

describe('a change of the lock', () => {
  it.each([
    { id: 'another key', next: lock(SECOND, 6), opens: SECOND, due: true },
    { id: 'the same key in a later version', next: lock(FIRST, 6), opens: FIRST, due: false },
    { id: 'an older one, from a log that is replayed', next: lock(SECOND, 4), opens: FIRST, due: false },
    { id: 'no lock, in an older version', next: lock('', 4), opens: FIRST, due: false },
  ])('$id', async ({ next, opens, due }) => {
    await locked();
    await store.relock(next);
    expect([store.renewalDue, store.rotationDue]).toEqual([due, due]);
    expect(await again().unlock(opens)).toEqual(manager);
    expect([store.renewalDue, store.rotationDue, store.raftKeys]).toEqual([due, due, [RAFT_KEY]]);
  });

  it('taken away: the keys are open, and nothing is due', async () => {
    await locked();
    await store.relock(lock('', 6));
    expect((await again().load())?.tls()).toEqual(manager);
    expect([store.renewalDue, store.rotationDue]).toEqual([false, false]);
  });

  it('put on: what was on the disk in the clear gives way to new keys', async () => {
    await store.save(manager);
    await store.saveRaftKeys([RAFT_KEY], { replaces: true });
    await store.relock(lock(FIRST, 3));
    expect([store.renewalDue, store.rotationDue]).toEqual([true, true]);
    await store.save(renewed);
    expect([store.renewalDue, store.rotationDue]).toEqual([false, true]);
    await store.saveRaftKeys([{ ...RAFT_KEY, id: 'b' }, RAFT_KEY], { replaces: true });
    expect(store.rotationDue).toBe(false);
    expect(await again().unlock(FIRST)).toEqual(renewed);
  });

  it('that cannot be written changes nothing', async () => {
    await locked();
    const before = await text();
    await expect(store.relock(lock('not a key', 9))).rejects.toThrow();
    expect([await text(), store.lockVersion]).toEqual([before, 5]);
    await store.relock(lock(SECOND, 9));
    expect(await again().unlock(SECOND)).toEqual(manager);
  });
});

describe('a change of the role', () => {
  it('a worker is not locked, whatever it hears', async () => {
    await locked();
    await store.save(worker, lock(FIRST, 8));
    await store.relock(lock(SECOND, 9));
    expect((await again().load())?.tls()).toEqual(worker);
  });

  it('a promoted one has the lock from its certificate on', async () => {
    await store.save(worker);
    await store.save(renewed, lock(FIRST, 2));
    expect(await text()).not.toContain('PRIVATE KEY');
    expect(await again().unlock(FIRST)).toEqual(renewed);
    expect(store.renewalDue).toBe(false);
  });
});
