import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { initCluster, storeNewCluster } from '../../../../manager/ca/init-cluster.ts';
import { LockKeeper } from '../../../../manager/keymanager/lock-keeper.ts';
import { memoryStore } from '../../../../manager/store/memory-proposer.ts';
import type { StateStore } from '../../../../manager/store/state-store.ts';
import type { ManagerLock } from '../../../../proto/objects/unlock-key.ts';
import { silentLog } from '../../../../proto/runtime/log.ts';
import { VirtualClock } from '../../../fixtures/virtual-clock.ts';

describe('LockKeeper', () => {
  const clock = new VirtualClock();
  let store: StateStore;
  let keeper: LockKeeper;
  let written: ManagerLock[];
  let isBroken: boolean;
  let lockVersion: number;
  beforeEach(async () => {
    store = memoryStore({ clock });
    written = [];
    isBroken = false;
    lockVersion = 0;
    const file = {
      get lockVersion() {
        return lockVersion;
      },
      relock: async (lock: ManagerLock): Promise<void> => {
        if (isBroken) throw new Error('disk full');
        lockVersion = lock.version;
        written.push(lock);
      },
    };
    keeper = new LockKeeper({ store, file, clock, log: silentLog });
  });
  afterEach(() => keeper.stop());

  const begin = async (): Promise<void> => {
    const created = await initCluster({ managerAddress: '10.0.0.1:2377', autoLock: true }, { clock });
    await storeNewCluster(store, created);
  };
  const change = (key: string | undefined): Promise<void> =>
    store.update((tx) => {
      for (const { UnlockKey: _old, ...cluster } of [...tx.all('clusters')])
        tx.update('clusters', { ...cluster, ...(key === undefined ? {} : { UnlockKey: key }) });
    });

  it('waits for the state, then follows every change of the key', async () => {
    await keeper.start();
    await clock.advance(10);
    expect(written).toEqual([]);
    await begin();
    await clock.advance(10);
    await change('second');
    await clock.advance(10);
    await change(undefined);
    await clock.advance(10);
    expect(written.map(({ key }) => key.replace(/^SWMKEY-1-.{43}$/, 'first'))).toEqual(['first', 'second', '']);
    expect(written.map(({ version }) => version)).toEqual(
      written.map(({ version }) => version).toSorted((a, b) => a - b),
    );
  });

  it('writes again what the disk did not take', async () => {
    isBroken = true;
    await begin();
    await keeper.start();
    await clock.advance(2_000);
    expect(written).toEqual([]);
    isBroken = false;
    await clock.advance(1_000);
    expect(written).toHaveLength(1);
  });

  it('leaves alone what is of a later version than the state', async () => {
    await begin();
    lockVersion = 1_000_000;
    await keeper.start();
    await clock.advance(10);
    expect(written).toEqual([]);
  });
});
