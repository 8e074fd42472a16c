import { beforeEach, describe, expect, test } from 'vitest';
import type { ServiceSpec } from '../../../../proto/objects/service.ts';
import { newTaskIn } from '../store/objects.ts';
import { type ControlFixture, controlFixture, serviceSpec } from './control-fixture.ts';

let fixture: ControlFixture;
beforeEach(async () => {
  fixture = await controlFixture();
});

const create = (spec: ServiceSpec) => fixture.control.createService({ spec });
const get = async (ref: string) => await fixture.control.getService({ ref, insertDefaults: false });

describe('reading services', () => {
  test('insertDefaults shows what was not given', async () => {
    await create(serviceSpec('web', { UpdateConfig: { Parallelism: 2, Monitor: 7 } }));
    const shown = await fixture.control.getService({ ref: 'id1', insertDefaults: true });
    expect(shown['Spec']).toMatchObject({
      UpdateConfig: { Parallelism: 2, Monitor: 7 },
      RollbackConfig: { Parallelism: 1, FailureAction: 'pause', Monitor: 5e9, MaxFailureRatio: 0, Order: 'stop-first' },
      TaskTemplate: { RestartPolicy: { Condition: 'any', Delay: 5e9 }, ContainerSpec: { StopGracePeriod: 10e9 } },
    });
  });

  test('status counts tasks', async () => {
    await create(serviceSpec('web', { Mode: { Replicated: { Replicas: 4 } } }));
    await create(serviceSpec('everywhere', { Mode: { Global: {} } }));
    await fixture.store.update((tx) => {
      tx.create('tasks', newTaskIn('t1', 'running', { ServiceID: 'id1', Slot: 1 }));
      tx.create('tasks', newTaskIn('t2', 'failed', { ServiceID: 'id1', Slot: 1, DesiredState: 'shutdown' }));
      tx.create('tasks', newTaskIn('t3', 'pending', { ServiceID: 'id2', NodeID: 'w1' }));
      tx.create('tasks', newTaskIn('t4', 'running', { ServiceID: 'id2', NodeID: 'm1', DesiredState: 'shutdown' }));
    });
    const services = await fixture.control.listServices({ filters: {}, status: true });
    expect(services.map((service) => service['ServiceStatus'])).toEqual([
      { RunningTasks: 1, DesiredTasks: 4, CompletedTasks: 0 },
      { RunningTasks: 1, DesiredTasks: 1, CompletedTasks: 0 },
    ]);
  });

  test('status does not count what was last heard from a node that is down', async () => {
    await create(serviceSpec('web', { Mode: { Replicated: { Replicas: 1 } } }));
    await fixture.store.update((tx) => {
      const Spec = { Role: 'worker', Availability: 'active' } as const;
      tx.create('nodes', { ID: 'lost', Spec, Status: { State: 'down' }, CertificateRole: 'worker' });
      tx.create('nodes', { ID: 'well', Spec, Status: { State: 'ready' }, CertificateRole: 'worker' });
      const old = { ServiceID: 'id1', Slot: 1, NodeID: 'lost', DesiredState: 'shutdown' } as const;
      tx.create('tasks', newTaskIn('t1', 'running', old));
      tx.create('tasks', newTaskIn('t2', 'running', { ServiceID: 'id1', Slot: 1, NodeID: 'well' }));
    });
    const [web] = await fixture.control.listServices({ filters: {}, status: true });
    expect(web?.['ServiceStatus']).toMatchObject({ RunningTasks: 1, DesiredTasks: 1 });
  });

  const filters = [
    { id: 'all', filters: {}, found: ['api', 'web'] },
    { id: 'name prefix', filters: { name: ['w'] }, found: ['web'] },
    { id: 'names are alternatives', filters: { name: ['w', 'api'] }, found: ['api', 'web'] },
    { id: 'label key', filters: { label: ['tier'] }, found: ['api', 'web'] },
    { id: 'label value', filters: { label: ['tier=1'] }, found: ['web'] },
    { id: 'labels all match', filters: { label: ['tier', 'tier=2'] }, found: ['api'] },
    { id: 'mode', filters: { mode: ['global'] }, found: ['api'] },
    { id: 'runtime', filters: { runtime: ['plugin'] }, found: [] },
    { id: 'id prefix', filters: { id: ['id2'] }, found: ['api'] },
    { id: 'a name of every object', filters: { label: ['constructor'] }, found: [] },
  ];
  test.each(filters)('filters: $id', async ({ filters, found }) => {
    await create(serviceSpec('web', { Labels: { tier: '1' } }));
    await create(serviceSpec('api', { Labels: { tier: '2' }, Mode: { Global: {} } }));
    const services = await fixture.control.listServices({
      filters: filters as Record<string, string[]>,
      status: false,
    });
    expect(services.map((service) => (service['Spec'] as { Name: string }).Name).toSorted()).toEqual(found);
  });

  test('an unknown filter is refused', async () => {
    const list = fixture.control.listServices({ filters: { x: ['1'] }, status: false });
    await expect(list).rejects.toMatchObject({ code: 'invalid-argument', message: "Invalid filter 'x'" });
  });

  test('references: ID before name before prefix; ambiguous and unknown ones', async () => {
    await create(serviceSpec('id2'));
    await create(serviceSpec('web'));
    expect(await get('id2')).toMatchObject({ ID: 'id2' });
    expect(await get('Web')).toMatchObject({ ID: 'id2' });
    await expect(get('id')).rejects.toMatchObject({
      code: 'invalid-argument',
      message: 'service id is ambiguous (2 matches found)',
    });
    await expect(get('zz')).rejects.toMatchObject({ code: 'not-found', message: 'service zz not found' });
    await expect(get('')).rejects.toMatchObject({ code: 'not-found' });
  });

  test('removal takes the service and leaves its tasks', async () => {
    await create(serviceSpec('web'));
    await fixture.store.update((tx) => tx.create('tasks', newTaskIn('t1', 'running', { ServiceID: 'id1', Slot: 1 })));
    await fixture.control.removeService({ ref: 'web' });
    await expect(get('web')).rejects.toMatchObject({ message: 'service web not found' });
    expect(fixture.store.view((tx) => tx.get('tasks', 't1')?.DesiredState)).toBe('running');
  });
});
