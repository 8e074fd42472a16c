import { beforeEach, describe, expect, it } from 'vitest';
import type { ControlApi } from '../../../../manager/controlapi/control-api.ts';
import { LeaderOperations } from '../../../../manager/leaderproxy/leader-operations.ts';
import { memoryStore } from '../../../../manager/store/memory-proposer.ts';
import type { StateStore } from '../../../../manager/store/state-store.ts';
import type { Store, WriteTx } from '../../../../manager/store/transaction.ts';
import { WaggleError } from '../../../../proto/runtime/errors.ts';
import { VirtualClock } from '../../../fixtures/virtual-clock.ts';
import { newService } from '../store/objects.ts';

describe('LeaderOperations', () => {
  let store: StateStore;
  let calls: string[];
  /** What a change waits for before it is made. */
  let gate: Promise<void>;

  const control = (on: Store): ControlApi =>
    ({
      createService: async ({ spec }: { spec: { Name: string } }) => {
        const id = `${spec.Name}-${calls.push('create')}`;
        await gate;
        await on.update((tx) => tx.create('services', newService(id, spec.Name)));
        return { ID: id };
      },
      removeService: async ({ ref }: { ref: string }) => {
        calls.push('remove');
        await on.update((tx) => tx.remove('services', ref));
        return {};
      },
      listServices: async () => [],
    }) as unknown as ControlApi;

  const leader = (): LeaderOperations =>
    new LeaderOperations({ store, control, readBarrier: async () => void calls.push('barrier'), term: () => 1 });
  const web = { spec: { Name: 'web' } };

  beforeEach(() => {
    store = memoryStore({ clock: new VirtualClock() });
    calls = [];
    gate = Promise.resolve();
  });

  it('reads after a barrier, and changes without', async () => {
    await leader().run('listServices', {});
    await leader().run('createService', web, { request: 'r', isRepeat: false });
    expect(calls).toEqual(['barrier', 'create']);
  });

  it('makes a change that is asked for again once, and answers the same; another leader too', async () => {
    const first = await leader().run('createService', web, { request: 'r', isRepeat: false });
    expect(await leader().run('createService', web, { request: 'r', isRepeat: true })).toEqual(first);
    expect(calls).toEqual(['create', 'barrier']);
  });

  it('does not fail a removal for having been made', async () => {
    await leader().run('createService', web, { request: 'r', isRepeat: false });
    await leader().run('removeService', { ref: 'web-1' }, { request: 's', isRepeat: false });
    expect(await leader().run('removeService', { ref: 'web-1' }, { request: 's', isRepeat: true })).toEqual({});
  });

  it('makes what was not made', async () => {
    const made = await leader().run('createService', web, { request: 'r', isRepeat: true });
    expect(made).toEqual({ ID: 'web-2' });
    expect(calls).toEqual(['barrier', 'create']);
  });

  it('waits for the first one when it is still under way', async () => {
    const opened = Promise.withResolvers<void>();
    gate = opened.promise;
    const operations = leader();
    const first = operations.run('createService', web, { request: 'r', isRepeat: false });
    const second = operations.run('createService', web, { request: 'r', isRepeat: true });
    opened.resolve();
    expect(await second).toEqual(await first);
    expect(calls.filter((call) => call === 'create')).toHaveLength(1);
  });

  it('does not make a change for a first attempt that comes after its repetition', async () => {
    const operations = leader();
    const made = await operations.run('createService', web, { request: 'r', isRepeat: true });
    const late = operations.run('createService', web, { request: 'r', isRepeat: false });
    await expect(late).rejects.toMatchObject({ code: 'unavailable' });
    expect(made).toEqual({ ID: 'web-2' });
    expect(calls).toEqual(['barrier', 'create']);
  });

  it('answers two attempts that overtake each other alike: neither is refused for what the other one has made', async () => {
    const opened = Promise.withResolvers<void>();
    gate = opened.promise;
    const mark = { request: 'r', isRepeat: true };
    // Two leaders that take turns share the replicated state, not what is under way.
    const both = [leader().run('createService', web, mark), leader().run('createService', web, mark)];
    await new Promise((resolve) => setImmediate(resolve));
    opened.resolve();
    const [one, other] = await Promise.all(both);
    expect(one).toEqual(other);
    expect(store.view((tx) => tx.count('services'))).toBe(1);
  });

  it('refuses by what it knows after a barrier', async () => {
    const readBarrier = async (): Promise<void> => {
      calls.push('barrier');
      await store.update((tx) => tx.create('services', newService('late', 'late')));
    };
    const mark = { request: 'r', isRepeat: false };
    const removal = new LeaderOperations({ store, control, readBarrier, term: () => 1 });
    expect(await removal.run('removeService', { ref: 'late' }, mark)).toEqual({});
    expect(calls).toEqual(['remove', 'barrier', 'remove']);
  });

  it('does not try again what it has proposed, whatever came of it', async () => {
    const lost = new WaggleError('unavailable', 'lost');
    store.update = (write) => {
      store.view((tx) => write(tx as WriteTx));
      return Promise.reject(lost);
    };
    const ping = (on: Store): ControlApi =>
      ({ createService: () => on.update(() => void calls.push('propose')) }) as unknown as ControlApi;
    const readBarrier = async (): Promise<void> => void calls.push('barrier');
    const operations = new LeaderOperations({ store, control: ping, readBarrier, term: () => 1 });
    await expect(operations.run('createService', {}, { request: 'r', isRepeat: false })).rejects.toBe(lost);
    expect(calls).toEqual(['propose']);
  });

  it('refuses again what was refused', async () => {
    const mark = { request: 's', isRepeat: false };
    await expect(leader().run('removeService', { ref: 'x' }, mark)).rejects.toMatchObject({ code: 'not-found' });
    await expect(leader().run('removeService', { ref: 'x' }, { ...mark, isRepeat: true })).rejects.toMatchObject({
      code: 'not-found',
    });
  });
});
