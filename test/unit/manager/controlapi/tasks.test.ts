import { beforeEach, expect, test } from 'vitest';
import { newTaskIn } from '../store/objects.ts';
import { type ControlFixture, controlFixture, serviceSpec } from './control-fixture.ts';

let fixture: ControlFixture;
beforeEach(async () => {
  fixture = await controlFixture();
  await fixture.control.createService({ spec: serviceSpec('web') });
  const annotations = { ServiceID: 'id1', ServiceAnnotations: { Name: 'web', Labels: { tier: '1' } } };
  await fixture.store.update((tx) => {
    const attachments = [{ NetworkID: 'n1', Addresses: ['10.0.1.3/24'] }];
    tx.create(
      'tasks',
      newTaskIn('t1', 'running', {
        ...annotations,
        Slot: 1,
        NodeID: 'w1',
        NetworksAttachments: attachments,
        RegistryAuth: 'secret',
      }),
    );
    tx.create(
      'tasks',
      newTaskIn('t2', 'shutdown', { ...annotations, Slot: 2, NodeID: 'm1', DesiredState: 'shutdown', SpecVersion: 7 }),
    );
    tx.create('tasks', newTaskIn('u1', 'pending', { ServiceID: 'gone', Slot: 1 }));
  });
});

test('a task is shown with its networks in full and nothing of ours', async () => {
  const task = await fixture.control.getTask({ ref: 't1' });
  expect(task).toMatchObject({
    ID: 't1',
    Labels: {},
    Spec: { ForceUpdate: 0, Runtime: 'container' },
    ServiceID: 'id1',
    Slot: 1,
    NodeID: 'w1',
    Status: { State: 'running', PortStatus: {} },
    DesiredState: 'running',
    NetworksAttachments: [
      {
        Network: {
          ID: 'n1',
          Version: { Index: 1 },
          Spec: { Name: 'net1', Labels: {}, Scope: 'swarm' },
          DriverState: { Name: 'overlay', Options: { 'com.docker.network.driver.overlay.vxlanid_list': '4097' } },
          IPAMOptions: { Driver: { Name: 'default' }, Configs: [{ Subnet: '10.0.1.0/24', Gateway: '10.0.1.1' }] },
        },
        Addresses: ['10.0.1.3/24'],
      },
    ],
  });
  for (const hidden of ['SpecVersion', 'ServiceAnnotations', 'RegistryAuth', 'Endpoint', 'LogDriver']) {
    expect(task).not.toHaveProperty(hidden);
  }
  expect(await fixture.control.getTask({ ref: 'web.1.t1' })).toEqual(task);
  expect(await fixture.control.getTask({ ref: 'u1' })).not.toHaveProperty('NodeID');
});

test('ambiguous and unknown references', async () => {
  await expect(fixture.control.getTask({ ref: 't' })).rejects.toMatchObject({
    message: 'task t is ambiguous (2 matches found)',
  });
  await expect(fixture.control.getTask({ ref: 'web.9.t1' })).rejects.toMatchObject({
    message: 'task web.9.t1 not found',
  });
});

const filters = [
  { id: 'none', filters: {}, found: ['t1', 't2', 'u1'] },
  { id: 'service by name', filters: { service: ['web'] }, found: ['t1', 't2'] },
  { id: 'service by ID, twice', filters: { service: ['id1', 'web'] }, found: ['t1', 't2'] },
  { id: 'node by name', filters: { node: ['beta'] }, found: ['t1'] },
  { id: 'service and node', filters: { service: ['web'], node: ['alpha'] }, found: ['t2'] },
  { id: 'desired state', filters: { 'desired-state': ['running'] }, found: ['t1', 'u1'] },
  { id: 'up to date', filters: { service: ['web'], '_up-to-date': ['true'] }, found: ['t1'] },
  { id: 'label', filters: { label: ['tier=1'] }, found: ['t1', 't2'] },
  { id: 'name', filters: { name: ['web.1'] }, found: ['t1'] },
  { id: 'runtime', filters: { runtime: ['plugin'] }, found: [] },
  { id: 'ID', filters: { id: ['u'] }, found: ['u1'] },
];
test.each(filters)('filters: $id', async ({ filters, found }) => {
  const tasks = await fixture.control.listTasks({ filters: filters as unknown as Record<string, string[]> });
  expect(tasks.map((task) => task.ID)).toEqual(found);
});

const refusals = [
  { filters: { service: ['nope'] }, code: 'not-found', message: 'service nope not found' },
  { filters: { node: ['nope'] }, code: 'not-found', message: 'node nope not found' },
  { filters: { 'desired-state': ['x'] }, code: 'invalid-argument', message: "Invalid desired-state filter: 'x'" },
];
test.each(refusals)('refuses: $message', async ({ filters, code, message }) => {
  const list = fixture.control.listTasks({ filters: filters as unknown as Record<string, string[]> });
  await expect(list).rejects.toMatchObject({ code, message });
});
