import { fc, test } from '@fast-check/vitest';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { neededNetworks } from '../../../../worker/docker/local-networks.ts';
import { type EngineNetwork, planNetworks, twinOf } from '../../../../worker/docker/network-plan.ts';
import { AssignedFixture, assignedNetwork, containerTask } from '../../../fixtures/container-tasks.ts';
import { type ExecutorParts, executorParts } from '../../../fixtures/executor-world.ts';
import { FakeEngine } from '../../../fixtures/fake-engine.ts';
import { eventually } from '../../../lab/eventually.ts';

const QUICK = { everyMs: 3, timeoutMs: 5_000 };
const net1 = assignedNetwork('c1', 'net1', 1, true);

describe('planNetworks', () => {
  const ours = (Id: string, Name: string, clusterId: string, Created = Id): EngineNetwork => ({
    Id,
    Name,
    Driver: 'waggle',
    Created,
    Labels: { 'waggle.network': clusterId },
  });
  const CASES: {
    id: string;
    observed: EngineNetwork[];
    keep?: string[];
    remove?: string[];
    create?: boolean;
    conflict?: boolean;
  }[] = [
    { id: 'nothing there', observed: [], create: true },
    { id: 'twin there', observed: [ours('a', 'net1', 'c1')], keep: ['a'] },
    {
      id: 'two twins: the older stays',
      observed: [ours('b', 'net1', 'c1', '2'), ours('z', 'net1', 'c1', '1')],
      keep: ['z'],
      remove: ['b'],
    },
    { id: 'same name, earlier network', observed: [ours('a', 'net1', 'old')], remove: ['a'], create: true },
    { id: 'not needed', observed: [ours('a', 'net1', 'c1'), ours('b', 'net9', 'c9')], keep: ['a'], remove: ['b'] },
    {
      id: 'stranger with the name',
      observed: [{ Id: 's', Name: 'net1', Driver: 'bridge', Created: '' }],
      conflict: true,
    },
    {
      id: 'stranger with the driver but no label',
      observed: [{ Id: 's', Name: 'net1', Driver: 'waggle', Created: '', Labels: null }],
      conflict: true,
    },
    {
      id: 'stranger with the label but another driver',
      observed: [{ Id: 's', Name: 'net1', Driver: 'bridge', Created: '', Labels: { 'waggle.network': 'c1' } }],
      conflict: true,
    },
  ];
  it.each(CASES)('$id', ({ observed, keep, remove, create, conflict }) => {
    const plan = planNetworks([net1], observed, 'waggle');
    expect(plan.mappings.map((each) => each.localId)).toEqual(keep ?? []);
    expect(plan.remove.map((each) => each.localId)).toEqual(remove ?? []);
    expect(plan.create).toEqual(create === true ? [net1] : []);
    expect([...plan.conflicts.keys()]).toEqual(conflict === true ? ['c1'] : []);
  });

  const network = fc.record({
    Id: fc.uuid(),
    Name: fc.constantFrom('net0', 'net1', 'net2', 'bridge'),
    Driver: fc.constantFrom('waggle', 'bridge'),
    Created: fc.constantFrom('1', '2'),
    Labels: fc.option(fc.record({ 'waggle.network': fc.constantFrom('c0', 'c1', 'c2') })),
  });
  test.prop([fc.uniqueArray(network, { selector: (each) => each.Id, maxLength: 8 }), fc.subarray([0, 1, 2])])(
    'once carried out leaves nothing to do, and touches no stranger',
    (observed, wanted) => {
      const needed = wanted.map((index) => assignedNetwork(`c${index}`, `net${index}`, index));
      const plan = planNetworks(needed, observed, 'waggle');
      const gone = new Set(plan.remove.map((each) => each.localId));
      for (const each of observed.filter(({ Id }) => gone.has(Id))) {
        expect(each).toMatchObject({ Driver: 'waggle', Labels: expect.anything() as unknown });
      }
      const made = plan.create.map((each) => ours(`new ${each.ID}`, each.Spec.Name, each.ID));
      const next = planNetworks(needed, [...observed.filter(({ Id }) => !gone.has(Id)), ...made], 'waggle');
      expect(next.remove).toEqual([]);
      expect(next.create).toEqual([]);
      expect(next.mappings.length + next.conflicts.size).toBe(needed.length);
    },
  );

  it('asks for exactly the allocated addresses', () => {
    expect(twinOf({ ...net1, Spec: { ...net1.Spec, Internal: true } }, 'waggle')).toEqual({
      Name: 'net1',
      CheckDuplicate: true,
      Driver: 'waggle',
      Internal: true,
      Attachable: true,
      EnableIPv6: false,
      IPAM: {
        Driver: 'waggle',
        Options: { 'waggle.network': 'c1' },
        Config: [{ Subnet: '10.9.1.0/24', Gateway: '10.9.1.1' }],
      },
      Options: { 'waggle.network': 'c1' },
      Labels: { 'waggle.network': 'c1' },
    });
    const [subnet] = net1.Allocated.Subnets;
    const ranged = {
      ...net1,
      Allocated: { ...net1.Allocated, Subnets: subnet ? [{ ...subnet, IPRange: '10.9.1.128/25' }] : [] },
    };
    expect(twinOf(ranged, 'waggle').IPAM?.Config?.[0]?.IPRange).toBe('10.9.1.128/25');
  });
});

it('needs attachable networks, and others while a task is attached', () => {
  const assigned = new AssignedFixture();
  assigned.add(net1, assignedNetwork('c2', 'net2', 2), assignedNetwork('c3', 'net3', 3));
  const NetworksAttachments = [{ NetworkID: 'c3', Addresses: ['10.9.3.2/24'] }];
  assigned.tasks.set('t1', containerTask('t1', {}, { NetworksAttachments }));
  expect(neededNetworks(assigned).map((each) => each.ID)).toEqual(['c1', 'c3']);
});

describe('on a fake engine', () => {
  let folder: string;
  let fake: FakeEngine;
  let parts: ExecutorParts;
  const names = (): unknown[] => [...fake.networks.values()].map((each) => each.config.Name);

  beforeEach(async () => {
    folder = mkdtempSync(path.join(tmpdir(), 'wgdk-'));
    fake = new FakeEngine(path.join(folder, 'docker.sock'));
    await fake.start();
    parts = await executorParts(fake.socketPath);
    parts.assigned.add(net1);
  });
  afterEach(async () => {
    await parts.stop();
    await fake.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  it('makes one twin however many ask for it at once', async () => {
    await parts.networks.start();
    const asked = Array.from({ length: 5 }, () => parts.networks.ensure('c1'));
    expect(new Set(await Promise.all(asked))).toEqual(new Set(['net1']));
    expect(names()).toEqual(['net1']);
    expect(parts.networks.mappings()).toMatchObject([{ clusterId: 'c1', name: 'net1' }]);
  });

  it('does not ask the engine for each task, only after a change', async () => {
    const asked = (): number => fake.requests.filter((each) => each === 'GET /networks').length;
    await parts.networks.start();
    await eventually('the twin', () => parts.networks.mappings().length === 1 && parts.events.connected, QUICK);
    await eventually('a quiet ensure', async () => {
      const before = asked();
      await parts.networks.ensure('c1');
      return asked() === before;
    });
    const before = asked();
    for (let task = 0; task < 8; task++) await parts.networks.ensure('c1');
    expect(asked()).toBe(before);
    const [id = ''] = fake.networks.keys();
    fake.networks.delete(id);
    fake.emit('network', 'destroy', id, {});
    await eventually('the event', () => asked() > before, QUICK);
    expect(await parts.networks.ensure('c1')).toBe('net1');
    expect(names()).toEqual(['net1']);
  });

  it('tries again what failed, and repairs what somebody removed', async () => {
    fake.faults.push({ match: /networks\/create/, kind: 'status', status: 500, message: 'no pool', times: 2 });
    await parts.networks.start();
    await eventually('the error', () => parts.networks.errors().get('c1') === 'no pool', QUICK);
    await eventually('the twin', () => parts.networks.mappings().length === 1, QUICK);
    expect(parts.networks.errors().size).toBe(0);
    const [id = ''] = fake.networks.keys();
    fake.networks.delete(id);
    fake.emit('network', 'destroy', id, {});
    await eventually('the twin again', () => names().length === 1 && !fake.networks.has(id), QUICK);
  });

  it('removes what is not assigned any more as soon as the last container has left', async () => {
    await parts.networks.start();
    await eventually('the twin', () => names().length === 1, QUICK);
    const holder = fake.addContainer('holder', {}, { net1: {} });
    holder.state.Running = true;
    parts.assigned.networks.clear();
    parts.networks.wake();
    const tries = (): number => fake.requests.filter((each) => each.startsWith('DELETE')).length;
    await eventually('refusals', () => tries() >= 2, QUICK);
    expect(names()).toEqual(['net1']);
    holder.state.Running = false;
    await eventually('the removal', () => names().length === 0, QUICK);
  });

  it('keeps a stranger, says so, and takes the name when it is free', async () => {
    const stranger = fake.addNetwork({ Name: 'net1', Driver: 'bridge' });
    await parts.networks.start();
    await eventually('the conflict', () => parts.networks.errors().has('c1'), QUICK);
    await expect(parts.networks.ensure('c1')).rejects.toMatchObject({ code: 'failed-precondition' });
    expect(fake.networks.has(stranger.id)).toBe(true);
    fake.networks.delete(stranger.id);
    fake.emit('network', 'destroy', stranger.id, {});
    await eventually('the twin', () => parts.networks.mappings().length === 1, QUICK);
    expect(parts.networks.errors().size).toBe(0);
  });

  it('compares everything again when the engine comes back', async () => {
    await parts.networks.start();
    await eventually('the twin', () => names().length === 1, QUICK);
    await fake.stop();
    fake.networks.clear();
    await eventually('the engine to be missed', () => !parts.events.connected, QUICK);
    await fake.start();
    await eventually('the twin again', () => names().length === 1, QUICK);
  });

  it('rejects a task whose network never comes, but not at once', async () => {
    const NetworksAttachments = [{ NetworkID: 'c9', Addresses: ['10.9.9.2/24'] }];
    const task = containerTask('t1', {}, { NetworksAttachments });
    const signal = new AbortController().signal;
    const patient = parts.executor.controller(task);
    await expect(patient.prepare(signal)).rejects.toMatchObject({ temporary: true, message: 'network c9 not found' });
    const quick = await executorParts(fake.socketPath, { networkWaitMs: 0 });
    await expect(quick.executor.controller(task).prepare(signal)).rejects.toMatchObject({ temporary: false });
    await quick.stop();
  });

  it('purges twins that containers are on: these go on without', async () => {
    await parts.networks.ensure('c1');
    const container = fake.addContainer('plain', {}, { net1: {} });
    container.state.Running = true;
    await parts.networks.purge();
    expect(names()).toEqual([]);
    expect(container.networks).toEqual({});
    expect(container.state.Running).toBe(true);
  });

  it('purges twins and nothing else', async () => {
    fake.addNetwork({ Name: 'mine', Driver: 'bridge' });
    await parts.networks.ensure('c1');
    await parts.networks.purge();
    expect(names()).toEqual(['mine']);
    expect(parts.networks.mappings()).toEqual([]);
  });
});
