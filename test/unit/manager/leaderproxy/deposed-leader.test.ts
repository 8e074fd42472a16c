import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ControlApi } from '../../../../manager/controlapi/control-api.ts';
import { LeaderOperations } from '../../../../manager/leaderproxy/leader-operations.ts';
import type { Store } from '../../../../manager/store/transaction.ts';
import { idsIn, NodeGroup, write } from '../raft/node-group.ts';
import { newService } from '../store/objects.ts';

/**
 * A first attempt that is stuck on a leader, a repetition that the next leader refuses, and the first one leading again: what the client was
 * told must stay true (Raft thesis, 6.3).
 */
describe('a leader that was deposed and leads again', () => {
  let group: NodeGroup;
  /** What a change waits for before it is made, by the member that makes it. */
  let gates: Map<number, Promise<void>>;

  const operationsOf = (id: number): LeaderOperations => {
    const { store, node } = group.member(id);
    const control = (on: Store): ControlApi =>
      ({
        createService: async ({ spec }: { spec: { Name: string } }) => {
          await gates.get(id);
          await on.update((tx) => tx.create('services', newService(`${spec.Name}-by-${id}`, spec.Name)));
          return { ID: `${spec.Name}-by-${id}` };
        },
        removeService: async ({ ref }: { ref: string }) => {
          await on.update((tx) => tx.remove('services', ref));
          return {};
        },
      }) as unknown as ControlApi;
    return new LeaderOperations({
      store,
      control,
      readBarrier: () => node.readBarrier(),
      term: () => node.leadership.term,
    });
  };
  const term = (): number => group.leader().node.leadership.term;
  const leadership = async (id: number): Promise<void> => {
    group.leader().node.transferTo(id);
    await group.pass(10);
    expect(group.leader().id).toBe(id);
  };
  /** Drives the group until the promise is settled. */
  const outcome = async (promise: Promise<unknown>): Promise<unknown> => {
    const settled = promise.catch((error: unknown) => error);
    await group.pass(20);
    return settled;
  };
  const web = { spec: { Name: 'web' } };

  beforeEach(async () => {
    group = await NodeGroup.of(3);
    gates = new Map();
  });
  afterEach(() => group.stop());

  /** The name is taken when the repetition comes, and free again after it. */
  async function refusedByMember2(request: string): Promise<void> {
    await leadership(2);
    const other = group.member(2).store;
    await outcome(other.update((tx) => tx.create('services', newService('other', 'web'))));
    const repeated = operationsOf(2).run('createService', web, { request, isRepeat: true, term: term() });
    expect(await outcome(repeated)).toMatchObject({ code: 'already-exists' });
    await outcome(other.update((tx) => tx.remove('services', 'other')));
    await leadership(1);
  }

  it('does not make what was stuck there since before', async () => {
    const opened = Promise.withResolvers<void>();
    gates.set(1, opened.promise);
    const first = operationsOf(1).run('createService', web, { request: 'r', isRepeat: false, term: term() });
    await refusedByMember2('r');
    opened.resolve();
    expect(await outcome(first)).toMatchObject({ code: 'unavailable' });
    expect(idsIn(group.member(3).store)).toEqual([]);
  });

  it('does not make what was asked for when it led before and has come only now', async () => {
    const mark = { request: 'r', isRepeat: false, term: term() };
    const operations = operationsOf(1);
    await refusedByMember2('r');
    expect(await outcome(operations.run('createService', web, mark))).toMatchObject({ code: 'unavailable' });
    expect(idsIn(group.member(3).store)).toEqual([]);
  });

  it('does not make a repetition either that was stuck', async () => {
    const opened = Promise.withResolvers<void>();
    gates.set(1, opened.promise);
    const stuck = operationsOf(1).run('createService', web, { request: 'r', isRepeat: true, term: term() });
    await group.pass(5);
    await refusedByMember2('r');
    opened.resolve();
    expect(await outcome(stuck)).toMatchObject({ code: 'unavailable' });
    expect(idsIn(group.member(3).store)).toEqual([]);
  });

  it('makes what it is asked for now', async () => {
    await refusedByMember2('r');
    const asked = operationsOf(1).run('createService', web, { request: 's', isRepeat: false, term: term() });
    expect(await outcome(asked)).toEqual({ ID: 'web-by-1' });
    await outcome(write(group.member(1).store, 'a'));
    expect(idsIn(group.member(3).store)).toEqual(['a', 'web-by-1']);
  });

  it('refuses nothing for what it knows, before it has heard that it was deposed', async () => {
    group.drop = ({ to }) => to === 1;
    group.member(1).node.transferTo(2);
    await group.pass(2);
    const [former, next] = [group.member(1).node, group.member(2).node];
    expect([former.leadership.isLeader, next.leadership.isLeader]).toEqual([true, true]);
    const mark = { request: 'r', isRepeat: false, term: next.leadership.term };
    const made = operationsOf(2).run('createService', web, mark);
    await group.pass(2);
    expect(await made).toEqual({ ID: 'web-by-2' });
    expect(former.leadership.isLeader).toBe(true);
    const asked = { request: 's', isRepeat: false, term: former.leadership.term };
    const removal = operationsOf(1).run('removeService', { ref: 'web-by-2' }, asked);
    expect(await outcome(removal)).toMatchObject({ code: 'unavailable' });
    expect(idsIn(group.member(3).store)).toEqual(['web-by-2']);
  });
});
