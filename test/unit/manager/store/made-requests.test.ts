import { describe, expect, it } from 'vitest';
import { MadeRequests } from '../../../../manager/store/made-requests.ts';
import { memoryStore } from '../../../../manager/store/memory-proposer.ts';
import { RequestStore } from '../../../../manager/store/request-store.ts';
import { StateStore } from '../../../../manager/store/state-store.ts';
import { VirtualClock } from '../../../fixtures/virtual-clock.ts';
import { newService } from './objects.ts';

const world = (): StateStore => memoryStore({ clock: new VirtualClock() });

const create = (store: StateStore, id: string, request: string): Promise<void> =>
  new RequestStore(store, { request, term: 1 }).update((tx) => tx.create('services', newService(id, id)));

describe('requests that were made', () => {
  it('are remembered with what they created', async () => {
    const store = world();
    await create(store, 'a', 'r1');
    await new RequestStore(store, { request: 'r2', term: 1 }).update((tx) => tx.remove('services', 'a'));
    expect([store.madeFor('r1'), store.madeFor('r2'), store.madeFor('r3')]).toEqual(['a', '', undefined]);
  });

  it('are made once, whoever proposes them again', async () => {
    const store = world();
    await create(store, 'a', 'r1');
    await expect(create(store, 'b', 'r1')).rejects.toMatchObject({ code: 'aborted' });
    expect(store.view((tx) => tx.count('services'))).toBe(1);
  });

  it('are not remembered when the change was refused', async () => {
    const store = world();
    await create(store, 'a', 'r1');
    await expect(create(store, 'a', 'r2')).rejects.toMatchObject({ code: 'already-exists' });
    expect(store.madeFor('r2')).toBeUndefined();
  });

  it('may change more than once in their course', async () => {
    const store = world();
    const request = new RequestStore(store, { request: 'r1', term: 1 });
    await request.update((tx) => tx.create('services', newService('a', 'a')));
    await request.update((tx) => tx.remove('services', 'a'));
    expect(store.view((tx) => tx.count('services'))).toBe(0);
    expect(store.madeFor('r1')).toBe('a');
  });

  it('are part of the snapshot, in order', async () => {
    const store = world();
    for (const id of ['a', 'b']) await create(store, id, `of-${id}`);
    const other = new StateStore({}, { clock: new VirtualClock() });
    other.restore(store.snapshot());
    expect([other.madeFor('of-a'), other.madeFor('of-b')]).toEqual(['a', 'b']);
    expect([...other.snapshot()].map(String)).toEqual([...store.snapshot()].map(String));
  });

  it('are forgotten oldest first', () => {
    const made = new MadeRequests();
    for (let index = 0; index < 33_000; index++) made.add(`r${index}`, '');
    expect([made.get('r231'), made.get('r232'), made.entries().length]).toEqual([undefined, '', 32_768]);
  });
});
