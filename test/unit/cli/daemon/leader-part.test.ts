import { describe, expect, it } from 'vitest';
import { LeaderPart } from '../../../../cli/daemon/leader-part.ts';
import { Inquiry } from '../../../../manager/diagnosis/inquiry.ts';
import { Dispatcher } from '../../../../manager/dispatcher/dispatcher.ts';
import type { RaftGroup } from '../../../../manager/rolemanager/raft-group.ts';
import type { StateStore } from '../../../../manager/store/state-store.ts';
import type { Store, Watch } from '../../../../manager/store/transaction.ts';
import { silentLog } from '../../../../proto/runtime/log.ts';
import { settle } from '../../../fixtures/virtual-clock.ts';
import { controlFixture, serviceSpec } from '../../manager/controlapi/control-fixture.ts';

/** The store as the leader's parts see it; counts what they keep open and what they write. */
function counted(store: StateStore): { store: Store; open: Set<Watch>; writes: () => number } {
  const open = new Set<Watch>();
  let writes = 0;
  const noted = (watch: Watch): Watch => {
    open.add(watch);
    const close = (): void => {
      open.delete(watch);
      watch.close();
    };
    return { close, [Symbol.asyncIterator]: () => watch[Symbol.asyncIterator]() };
  };
  return {
    open,
    writes: () => writes,
    store: {
      view: (read) => store.view(read),
      update: (write, options) => {
        writes++;
        return store.update(write, options);
      },
      watch: (tables) => noted(store.watch(tables)),
      viewAndWatch: (read, tables) => {
        const { view, watch } = store.viewAndWatch(read, tables);
        return { view, watch: noted(watch) };
      },
    },
  };
}

const alone: RaftGroup = {
  status: () => ({
    id: 1,
    leader: 1,
    committed: 1,
    configuration: { voters: [1], learners: [], outgoing: [], learnersNext: [] },
    progress: new Map([[1, { match: 1, recentlyActive: true }]]),
  }),
  changeMembers: () => Promise.resolve(),
  transferTo: () => false,
  lastHeard: () => undefined,
};

describe('what only the leader does', () => {
  it('begins with its leadership and is over with it: no timer, no watch, no write', async () => {
    const fixture = await controlFixture();
    const { clock } = fixture;
    const { store, open, writes } = counted(fixture.store);
    const shared = { store, clock, random: () => 0.5, log: silentLog };
    const dispatcher = new Dispatcher(shared);
    const inquiry = new Inquiry(shared);
    for (let term = 1; term <= 3; term++) {
      const part = new LeaderPart({ ...shared, raft: alone, moved: () => new Map(), dispatcher, inquiry });
      await part.start();
      await fixture.control.createService({ spec: serviceSpec(`web${term}`) });
      await clock.advance(2_000);
      const { size } = open;
      expect([size > 4, writes() > 0, clock.next() !== undefined]).toEqual([true, true, true]);
      await part.stop();
      expect([open.size, clock.next()]).toEqual([0, undefined]);
      const before = writes();
      await fixture.store.update((tx) => {
        for (const service of tx.all('services'))
          tx.update('services', { ...service, Spec: { ...service.Spec, Labels: {} } });
      });
      await clock.advance(60_000);
      await settle();
      expect(writes()).toBe(before);
    }
  });

  it('is over as well when it was about to begin', async () => {
    const fixture = await controlFixture();
    const { clock } = fixture;
    const { store, open } = counted(fixture.store);
    const shared = { store, clock, random: () => 0.5, log: silentLog };
    const own = { dispatcher: new Dispatcher(shared), inquiry: new Inquiry(shared) };
    const part = new LeaderPart({ ...shared, raft: alone, moved: () => new Map(), ...own });
    const starting = part.start();
    await part.stop();
    await starting;
    await clock.advance(5_000);
    await part.stop();
    expect([open.size, clock.next()]).toEqual([0, undefined]);
  });
});
