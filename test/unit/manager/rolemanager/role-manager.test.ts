import { beforeEach, describe, expect, it } from 'vitest';
import type { RaftGroup, RaftId } from '../../../../manager/rolemanager/raft-group.ts';
import { RoleManager } from '../../../../manager/rolemanager/role-manager.ts';
import { memoryStore } from '../../../../manager/store/memory-proposer.ts';
import type { StateStore } from '../../../../manager/store/state-store.ts';
import { silentLog } from '../../../../proto/runtime/log.ts';
import { VirtualClock } from '../../../fixtures/virtual-clock.ts';
import { newNode } from '../store/objects.ts';

/** Manager 1 leads; what it hears of the others is up to the test. */
let clock: VirtualClock;
let store: StateStore;
let heard: Map<RaftId, number>;
let moved: Map<RaftId, string>;
let members: RaftId[];
let roles: RoleManager;

beforeEach(async () => {
  clock = new VirtualClock();
  store = memoryStore({ clock });
  heard = new Map();
  moved = new Map();
  members = [1, 2, 3];
  const group: RaftGroup = {
    status: () => ({
      id: 1,
      leader: 1,
      committed: 10,
      configuration: { voters: members, learners: [], outgoing: [], learnersNext: [] },
      progress: new Map(members.map((id) => [id, { match: 10, recentlyActive: true }])),
    }),
    changeMembers: () => Promise.resolve(),
    transferTo: () => false,
    lastHeard: (id) => heard.get(id),
  };
  await store.update((tx) => {
    for (const id of [1, 2, 3]) {
      const Spec = { Role: 'manager', Availability: 'active' } as const;
      const ManagerStatus = {
        Reachability: 'reachable',
        Addr: `h${id}:2377`,
        ...(id === 3 ? { Leader: true } : {}),
      } as const;
      tx.create('nodes', newNode(`n${id}`, `h${id}`, { Spec, RaftID: id, ManagerStatus, CertificateRole: 'manager' }));
    }
  });
  roles = new RoleManager({ store, raft: group, moved: () => moved, clock, log: silentLog });
});

const statusOf = (id: RaftId): unknown => store.view((tx) => tx.get('nodes', `n${id}`)?.ManagerStatus);
const hear = async (ids: readonly RaftId[], ms: number): Promise<void> => {
  for (let at = 0; at < ms; at += 100) {
    for (const id of ids) heard.set(id, clock.monotonic());
    await clock.advance(100);
  }
};

describe('RoleManager', () => {
  it('shows a former leader that is silent at once, the others when they have had time to be heard of', async () => {
    heard.set(3, clock.monotonic());
    await clock.advance(1_400);
    await roles.start();
    await clock.advance(300);
    expect([statusOf(1), statusOf(3)]).toEqual([
      { Leader: true, Reachability: 'reachable', Addr: 'h1:2377' },
      { Reachability: 'unreachable', Addr: 'h3:2377' },
    ]);
    expect(statusOf(2)).toMatchObject({ Reachability: 'reachable' });
    await clock.advance(1_500);
    expect(statusOf(2)).toMatchObject({ Reachability: 'unreachable' });
    await hear([2], 500);
    expect(statusOf(2)).toMatchObject({ Reachability: 'reachable' });
    await roles.stop();
  });

  it('gives a member that was taken out and comes back time to be heard of', async () => {
    await roles.start();
    await hear([2, 3], 300);
    members = [1, 3];
    heard.delete(2);
    await hear([3], 5_000);
    members = [1, 2, 3];
    await hear([3], 1_000);
    expect(statusOf(2)).toMatchObject({ Reachability: 'reachable' });
    await hear([3], 1_000);
    expect(statusOf(2)).toMatchObject({ Reachability: 'unreachable' });
    await roles.stop();
  });

  it('writes down where a member says that it is', async () => {
    await roles.start();
    moved.set(2, 'elsewhere:2377');
    await hear([2, 3], 300);
    expect(statusOf(2)).toEqual({ Reachability: 'reachable', Addr: 'elsewhere:2377' });
    await roles.stop();
  });

  it('spares nobody while another one is silent, but for the silent one', async () => {
    await roles.start();
    await hear([2, 3], 300);
    expect([roles.canSpare([2]), roles.canSpare([2, 3])]).toEqual([true, true]);
    await hear([2], 2_000);
    expect([roles.canSpare([2]), roles.canSpare([3]), roles.canSpare([2, 3])]).toEqual([false, true, true]);
    await roles.stop();
  });

  it('leaves nothing running when it stops', async () => {
    await roles.start();
    await clock.advance(300);
    await roles.stop();
    expect(clock.next()).toBeUndefined();
  });
});
