import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { routeToLeader } from '../../../../cli/daemon/leader-route.ts';
import type { ControlApi } from '../../../../manager/controlapi/control-api.ts';
import { LeaderOperations, type OperationRunner } from '../../../../manager/leaderproxy/leader-operations.ts';
import type { Store } from '../../../../manager/store/transaction.ts';
import { WaggleError } from '../../../../proto/runtime/errors.ts';
import { type GroupMember, NodeGroup } from '../../manager/raft/node-group.ts';
import { newTask } from '../../manager/store/objects.ts';

/** Makes a task per request, under an ID of its own each time: one made twice would show. */
const control = (store: Store): ControlApi =>
  ({
    createService: async ({ spec }: { spec: { Name: string } }) => {
      const id = `${spec.Name}/${(made += 1)}`;
      await store.update((tx) => tx.create('tasks', newTask(id)));
      return { ID: id };
    },
  }) as unknown as ControlApi;
let made = 0;

/** The control API of one member; the others are reached unless they, or it, are cut off. */
function routeOf(group: NodeGroup, self: GroupMember, operations: Map<number, LeaderOperations>): ControlApi {
  const leaderOf = (): number => self.node.leadership.leader;
  const remote: OperationRunner = {
    async run(...asked) {
      const leader = leaderOf();
      const answer = ask(group.members.get(leader), operations.get(leader), asked);
      // What is asked of a member that is cut off, or answered by one, never arrives.
      const isCut = group.cut.has(leader);
      const outcome = await answer.catch((error: unknown) => error);
      if (isCut || group.cut.has(leader)) return await new Promise(() => undefined);
      if (outcome instanceof Error) throw outcome;
      return outcome;
    },
  };
  const { node } = self;
  return routeToLeader({
    leader: () => {
      const { leader, isLeader, term } = node.leadership;
      return { kind: isLeader ? 'self' : leader === 0 ? 'none' : 'other', term, epoch: `${term}/${leader}` };
    },
    onLeaderChange: (listener) => node.onLeadership(listener),
    local: operations.get(self.id) ?? remote,
    remote,
    clock: group.clock,
  });
}

async function ask(
  member: GroupMember | undefined,
  runner: OperationRunner | undefined,
  asked: Parameters<OperationRunner['run']>,
): Promise<unknown> {
  if (member?.node.leadership.isLeader !== true) throw new WaggleError('unavailable', 'it does not lead the swarm');
  return await runner?.run(...asked);
}

describe('changes asked for through a member that does not lead', () => {
  it('are made once, whenever the leader is cut off', async () => {
    const cuts = fc.record({ asked: fc.integer({ min: 1, max: 4 }), after: fc.integer({ min: 0, max: 12 }) });
    await fc.assert(
      fc.asyncProperty(cuts, async ({ asked, after }) => {
        const group = await NodeGroup.of(3);
        const operations = new Map(
          [...group.members].map(([id, { store, node }]) => [
            id,
            new LeaderOperations({
              store,
              control,
              readBarrier: () => node.readBarrier(),
              term: () => node.leadership.term,
            }),
          ]),
        );
        const leader = group.leader();
        const self = [...group.members.values()].find(({ id }) => id !== leader.id) ?? leader;
        const api = routeOf(group, self, operations);
        const names = Array.from({ length: asked }, (_, index) => `s${index}`);
        const answers = Promise.all(names.map((Name) => api.createService({ spec: { Name } as never })));
        // At any point of its way: a message of the group or a turn of the event loop at a time.
        for (let turn = 0; turn < after; turn++) await new Promise((resolve) => setImmediate(resolve));
        group.cut.add(leader.id);
        await group.pass(60);
        group.cut.delete(leader.id);
        await group.pass(30);
        const ids = (await answers).map(({ ID }) => ID).toSorted();
        for (const { store } of group.members.values()) {
          expect(store.view((tx) => [...tx.all('tasks')].map(({ ID }) => ID).toSorted())).toEqual(ids);
        }
        await group.stop();
      }),
      { numRuns: 40 },
    );
  });
});
