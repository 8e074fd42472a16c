import { afterEach, describe, expect, it } from 'vitest';
import { initCluster, newGossipKey, storeNewCluster } from '../../../../manager/ca/init-cluster.ts';
import { KeyManager, rotateKeys, ROTATION_INTERVAL_MS } from '../../../../manager/keymanager/key-manager.ts';
import { memoryStore } from '../../../../manager/store/memory-proposer.ts';
import type { ClusterKey } from '../../../../proto/objects/cluster.ts';
import { rfc3339 } from '../../../../proto/runtime/clock.ts';
import { silentLog } from '../../../../proto/runtime/log.ts';
import { VirtualClock } from '../../../fixtures/virtual-clock.ts';

const key = (tag: number, madeAt: number): ClusterKey => ({
  Subsystem: 'networking:gossip',
  Tag: tag,
  Key: `key ${tag}`,
  CreatedAt: rfc3339(madeAt),
});

describe('rotateKeys', () => {
  it.each([
    { id: 'none', keys: [], now: 5, tags: [1] },
    { id: 'one that is due', keys: [key(1, 0)], now: ROTATION_INTERVAL_MS, tags: [2, 1] },
    { id: 'three', keys: [key(3, 0), key(2, 0), key(1, 0)], now: ROTATION_INTERVAL_MS, tags: [4, 3, 2] },
    {
      id: 'three in another order',
      keys: [key(1, 0), key(3, 0), key(2, 0)],
      now: ROTATION_INTERVAL_MS,
      tags: [4, 3, 2],
    },
  ])('makes a new key and keeps three: $id', ({ keys, now, tags }) => {
    const rotated = rotateKeys(keys, now, key);
    expect('keys' in rotated && rotated.keys.map((one) => one.Tag)).toEqual(tags);
  });

  it.each([
    { id: 'fresh', madeAt: 1000, now: 1000, dueInMs: ROTATION_INTERVAL_MS },
    { id: 'old', madeAt: 0, now: ROTATION_INTERVAL_MS - 1, dueInMs: 1 },
    { id: 'made by a manager whose clock is ahead', madeAt: 1e12, now: 0, dueInMs: ROTATION_INTERVAL_MS },
  ])('waits: $id', ({ madeAt, now, dueInMs }) => {
    expect(rotateKeys([key(1, madeAt)], now, key)).toEqual({ dueInMs });
  });
});

describe('KeyManager', () => {
  let manager: KeyManager | undefined;
  afterEach(() => manager?.stop());

  it('rotates every 12 h', async () => {
    const clock = new VirtualClock();
    const store = memoryStore({ clock });
    await storeNewCluster(store, await initCluster({ managerAddress: 'x:1' }, { clock }));
    manager = new KeyManager({ store, clock, log: silentLog, newKey: newGossipKey });
    await manager.start();
    const tags = (): number[] =>
      store.view((tx) => [...tx.all('clusters')].flatMap((one) => one.Keys.map((k) => k.Tag)));
    await clock.advance(ROTATION_INTERVAL_MS - 1000);
    expect(tags()).toEqual([1]);
    await clock.advance(2000);
    expect(tags()).toEqual([2, 1]);
    for (let day = 0; day < 2; day++) await clock.advance(2 * ROTATION_INTERVAL_MS);
    expect(tags()).toEqual([6, 5, 4]);
  });
});
