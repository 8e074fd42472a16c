import { beforeEach, describe, expect, test } from 'vitest';
import type { NodeSpec } from '../../../../proto/objects/node.ts';
import { newNode, newTaskIn } from '../store/objects.ts';
import { type ControlFixture, controlFixture, rpc, versionOf } from './control-fixture.ts';

let fixture: ControlFixture;
beforeEach(async () => {
  fixture = await controlFixture();
});

const WORKER: NodeSpec = { Role: 'worker', Availability: 'active' };

const setNode = (id: string, fields: object) =>
  fixture.store.update((tx) => {
    const node = tx.get('nodes', id);
    if (node !== undefined) tx.update('nodes', { ...node, ...fields });
  });
const update = (ref: string, spec: NodeSpec, version?: number) =>
  fixture.control.updateNode({ ref, spec, version: version ?? versionOf(fixture, 'nodes', ref) });

test('a node is shown without what is ours alone', async () => {
  const node = await fixture.control.getNode({ ref: 'beta' });
  expect(node).toMatchObject({ ID: 'w1', Spec: { Labels: { zone: 'a' } }, Description: { Hostname: 'beta' } });
  for (const hidden of ['CertificateRole', 'RaftID', 'GossipAddr', 'DataPathAddr'])
    expect(node).not.toHaveProperty(hidden);
});

describe('updateNode', () => {
  test('sets availability and labels', async () => {
    await update('w1', { ...WORKER, Availability: 'drain', Labels: { zone: 'b' } });
    expect(await fixture.control.getNode({ ref: 'w1' })).toMatchObject({
      Spec: { Role: 'worker', Availability: 'drain', Labels: { zone: 'b' } },
    });
  });

  const refusals = [
    {
      id: 'the last manager',
      ref: 'm1',
      spec: WORKER,
      code: 'failed-precondition',
      message: rpc('FailedPrecondition', 'attempting to demote the last manager of the swarm'),
    },
    {
      id: 'a role',
      ref: 'w1',
      spec: { ...WORKER, Role: 'king' as 'worker' },
      code: 'invalid-argument',
      message: 'invalid Role: "king"',
    },
    {
      id: 'an availability',
      ref: 'w1',
      spec: { ...WORKER, Availability: 'x' as 'pause' },
      code: 'invalid-argument',
      message: 'invalid Availability: "x"',
    },
    {
      id: 'a stale version',
      ref: 'w1',
      spec: WORKER,
      version: 0,
      code: 'unknown',
      message: rpc('Unknown', 'update out of sequence'),
    },
    { id: 'an unknown node', ref: 'zz', spec: WORKER, code: 'not-found', message: 'node zz not found' },
  ];
  test.each(refusals)('refuses $id', async ({ ref, spec, version, code, message }) => {
    await expect(update(ref, spec, version)).rejects.toMatchObject({ code, message });
  });

  test('two managers demoted at the same time: one stays', async () => {
    await update('w1', { ...WORKER, Role: 'manager' });
    const both = await Promise.allSettled([update('m1', WORKER), update('w1', WORKER)]);
    expect(both.map((result) => result.status)).toEqual(['fulfilled', 'rejected']);
  });

  describe('that would cost the managers their quorum', () => {
    const text = "can't remove member from the raft: this would result in a loss of quorum";
    let asked: (readonly number[])[];
    let isHeard: boolean;
    const manager = (raftId: number, spec: NodeSpec) => ({ Spec: spec, RaftID: raftId, CertificateRole: 'manager' });
    const MANAGER: NodeSpec = { Role: 'manager', Availability: 'active' };
    beforeEach(async () => {
      asked = [];
      isHeard = false;
      const canSpareManagers = (ids: readonly number[]): boolean => {
        asked.push(ids);
        return isHeard || ids.length < 2;
      };
      fixture = await controlFixture({ canSpareManagers });
      await setNode('m1', manager(1, MANAGER));
      await setNode('w1', manager(2, MANAGER));
      await fixture.store.update((tx) =>
        tx.create('nodes', newNode('m3', 'gamma', { ...manager(3, MANAGER), CertificateRole: 'manager' })),
      );
    });

    test('is refused, and nothing is done; those on their way out count', async () => {
      await update('w1', WORKER);
      const refused = expect(update('m3', WORKER)).rejects.toMatchObject({
        code: 'failed-precondition',
        message: rpc('FailedPrecondition', text),
      });
      await fixture.clock.advance(3_000);
      await refused;
      expect(new Set(asked.map((ids) => ids.join()))).toEqual(new Set(['2', '3,2']));
      expect(fixture.store.view((tx) => tx.get('nodes', 'm3')?.Spec)).toEqual(MANAGER);
    });

    test('is not refused when the manager that is needed is heard of again within 3 s', async () => {
      await update('w1', WORKER);
      const demoted = update('m3', WORKER);
      await fixture.clock.advance(2_000);
      isHeard = true;
      await fixture.clock.advance(100);
      await demoted;
      expect(fixture.store.view((tx) => tx.get('nodes', 'm3')?.Spec)).toEqual(WORKER);
    });

    test('is not asked for one that never took part, or one whose role stays', async () => {
      await setNode('m3', { RaftID: undefined });
      await update('m3', WORKER);
      await update('w1', { ...MANAGER, Availability: 'drain' });
      expect(asked).toEqual([]);
    });
  });

  test('a promotion is refused where there can be one manager only', async () => {
    fixture = await controlFixture({ promotion: false });
    await expect(update('w1', { ...WORKER, Role: 'manager' })).rejects.toMatchObject({ code: 'unimplemented' });
  });
});

describe('removeNode', () => {
  const refusals = [
    { id: 'a ready node', ref: 'w1', force: false, message: "node w1 is not down and can't be removed" },
    {
      id: 'a manager, by force',
      ref: 'm1',
      force: true,
      message:
        'node m1 is a cluster manager and is a member of the raft cluster. It must be demoted to worker before removal',
    },
  ];
  test.each(refusals)('refuses $id', async ({ ref, force, message }) => {
    await expect(fixture.control.removeNode({ ref, force })).rejects.toMatchObject({
      code: 'failed-precondition',
      message: rpc('FailedPrecondition', message),
    });
  });

  describe('of a manager that is being demoted', () => {
    const remove = () => fixture.control.removeNode({ ref: 'w1', force: true });
    const MANAGER_STATUS = { Reachability: 'unreachable', Addr: '' } as const;
    const stays = async (removal: Promise<unknown>): Promise<void> => {
      const refused = expect(removal).rejects.toMatchObject({ code: 'failed-precondition' });
      await fixture.clock.advance(6_000);
      await refused;
    };

    test('waits until that is done, as docker node demote and docker node rm --force follow each other', async () => {
      await setNode('w1', { CertificateRole: 'manager', Status: { State: 'ready' }, ManagerStatus: MANAGER_STATUS });
      const removal = remove();
      await fixture.clock.advance(1_000);
      await setNode('w1', { ManagerStatus: undefined });
      await fixture.clock.advance(1_000);
      expect(fixture.store.view((tx) => tx.get('nodes', 'w1'))).toBeDefined();
      await setNode('w1', { CertificateRole: 'worker' });
      await expect(removal).resolves.toEqual({});
      expect(fixture.store.view((tx) => tx.get('nodes', 'w1'))).toBeUndefined();
    });

    test('is refused while it still has its certificate, unless it is down and cannot give it up', async () => {
      await setNode('w1', { CertificateRole: 'manager', Status: { State: 'ready' } });
      await stays(remove());
      await setNode('w1', { Status: { State: 'down' }, ManagerStatus: MANAGER_STATUS });
      await stays(remove());
      await setNode('w1', { ManagerStatus: undefined });
      await expect(remove()).resolves.toEqual({});
    });

    test('is refused at once when it is to be a manager again', async () => {
      await setNode('w1', { CertificateRole: 'manager', Status: { State: 'ready' } });
      const removal = expect(remove()).rejects.toMatchObject({ code: 'failed-precondition' });
      await setNode('w1', { Spec: { ...WORKER, Role: 'manager' } });
      await removal;
    });

    test('without force is refused at once while it is up', async () => {
      await setNode('w1', { CertificateRole: 'manager', Status: { State: 'ready' }, ManagerStatus: MANAGER_STATUS });
      await expect(fixture.control.removeNode({ ref: 'w1', force: false })).rejects.toMatchObject({
        message: rpc('FailedPrecondition', "node w1 is not down and can't be removed"),
      });
    });
  });

  test('takes its right to return, its tasks and its addresses', async () => {
    await setNode('w1', { Status: { State: 'down' } });
    await fixture.store.update((tx) => {
      tx.create('tasks', newTaskIn('t1', 'running', { NodeID: 'w1' }));
      tx.create('tasks', newTaskIn('t2', 'failed', { NodeID: 'w1', DesiredState: 'shutdown' }));
      tx.create('tasks', newTaskIn('t3', 'pending', { NodeID: 'w1' }));
      tx.create('tasks', newTaskIn('t4', 'running', { NodeID: 'm1' }));
      tx.create('attachments', { ID: 'a1', NetworkID: 'n1', NodeID: 'w1', Address: '10.0.1.5/24', Reference: 'r' });
    });
    await fixture.control.removeNode({ ref: 'beta', force: false });
    fixture.store.view((tx) => {
      expect(tx.get('nodes', 'w1')).toBeUndefined();
      expect(tx.count('attachments')).toBe(0);
      expect(tx.get('tasks', 't1')?.Status).toMatchObject({
        State: 'orphaned',
        Message: 'Task belonged to a node that has been deleted',
      });
      expect(tx.get('tasks', 't2')?.Status.State).toBe('failed');
      expect(tx.get('tasks', 't3')).toMatchObject({ Status: { State: 'pending' }, DesiredState: 'remove' });
      expect(tx.get('tasks', 't4')?.Status.State).toBe('running');
      expect(tx.get('clusters', 'swarm1')?.RemovedNodes).toMatchObject([{ ID: 'w1' }]);
    });
  });

  test('removed nodes are forgotten once no certificate can be valid', async () => {
    await fixture.control.removeNode({ ref: 'w1', force: true });
    await fixture.clock.advance(98 * 24 * 3600 * 1000);
    await fixture.store.update((tx) => tx.create('nodes', newNode('w2', 'gamma', { Status: { State: 'down' } })));
    await fixture.control.removeNode({ ref: 'w2', force: false });
    expect(fixture.store.view((tx) => tx.get('clusters', 'swarm1')?.RemovedNodes.map((node) => node.ID))).toEqual([
      'w2',
    ]);
  });
});

const filters = [
  { id: 'role', filters: { role: ['manager'] }, found: ['m1'] },
  { id: 'roles are alternatives', filters: { role: ['manager', 'worker'] }, found: ['m1', 'w1'] },
  { id: 'membership', filters: { membership: ['pending'] }, found: [] },
  { id: 'name', filters: { name: ['bet'] }, found: ['w1'] },
  { id: 'node.label', filters: { 'node.label': ['zone=a'] }, found: ['w1'] },
  { id: 'label is the engine’s', filters: { label: ['zone=a'] }, found: [] },
];
test.each(filters)('filters: $id', async ({ filters, found }) => {
  const nodes = await fixture.control.listNodes({ filters: filters as unknown as Record<string, string[]> });
  expect(nodes.map((node) => node.ID)).toEqual(found);
});

test('a role that is none is refused', async () => {
  await expect(fixture.control.listNodes({ filters: { role: ['x'] } })).rejects.toMatchObject({
    code: 'invalid-argument',
    message: "Invalid role filter: 'x'",
  });
});
