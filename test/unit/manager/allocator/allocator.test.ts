import { describe, expect, test } from 'vitest';
import type { PortConfig } from '../../../../proto/objects/endpoint.ts';
import type { ServiceSpec } from '../../../../proto/objects/service.ts';
import type { TaskState } from '../../../../proto/objects/task-state.ts';
import { AllocatorBench, newNetwork, newService, newTask } from './fixture.ts';

const TINY = { IPAMOptions: { Configs: [{ Subnet: '10.50.0.0/29' }] } };

function onNet(...targets: string[]): { Networks: { Target: string }[] } {
  return { Networks: targets.map((Target) => ({ Target })) };
}

async function startedBench(): Promise<AllocatorBench> {
  const bench = new AllocatorBench();
  await bench.start();
  return bench;
}

async function setState(bench: AllocatorBench, id: string, State: TaskState): Promise<void> {
  await bench.store.update((tx) => {
    const task = bench.task(id);
    tx.update('tasks', { ...task, Status: { ...task.Status, State } });
  });
  await bench.settle();
}

describe('Allocator: networks and tasks', () => {
  test('a network, a service and a task are settled in one go', async () => {
    const bench = await startedBench();
    await bench.store.update((tx) => {
      tx.create('networks', newNetwork('net1'));
      tx.create('services', newService('web', { TaskTemplate: onNet('net1'), EndpointSpec: { Mode: 'vip' } }));
      tx.create('tasks', newTask('t1', { ServiceID: 'web', Spec: { Networks: [{ Target: 'net1', Aliases: ['w'] }] } }));
    });
    await bench.settle();
    const endpoint = { Spec: { Mode: 'vip' }, VirtualIPs: [{ NetworkID: 'net1', Addr: '10.0.1.2/24' }] };
    expect(bench.network('net1').Allocated?.VNIs).toEqual([4096]);
    expect(bench.service('web').Endpoint).toEqual(endpoint);
    expect(bench.task('t1')).toMatchObject({
      Status: { State: 'pending', Message: 'pending task scheduling' },
      NetworksAttachments: [{ NetworkID: 'net1', Addresses: ['10.0.1.3/24'], Aliases: ['w'] }],
      Endpoint: endpoint,
    });
    await bench.allocator.stop();
  });

  test.for([
    { id: 'no network', spec: {} },
    { id: 'predefined networks', spec: onNet('bridge', 'host', 'none') },
  ])('$id: the task goes on without an address', async ({ spec }) => {
    const bench = await startedBench();
    await bench.store.update((tx) => tx.create('tasks', newTask('t1', { Spec: spec })));
    await bench.settle();
    expect(bench.task('t1').Status.State).toBe('pending');
    expect(bench.task('t1').NetworksAttachments).toEqual([]);
    await bench.allocator.stop();
  });

  test('tasks that are not wanted any more are left alone', async () => {
    const bench = await startedBench();
    await bench.store.update((tx) => tx.create('tasks', newTask('t1', { DesiredState: 'shutdown' })));
    await bench.settle();
    expect(bench.task('t1').Status.State).toBe('new');
    await bench.allocator.stop();
  });

  test('a failed network says why, and so do its tasks', async () => {
    const bench = await startedBench();
    await bench.store.update((tx) => {
      tx.create('networks', newNetwork('net1', { IPAMOptions: { Configs: [{ Subnet: '10.5.0.0/32' }] } }));
      tx.create('tasks', newTask('t1', { Spec: onNet('net1') }));
    });
    await bench.settle();
    const why = 'failed to allocate gateway (): No available addresses on this pool';
    expect(bench.network('net1').AllocationError).toBe(why);
    expect(bench.task('t1').Status).toMatchObject({ State: 'new', Err: why });
    await bench.allocator.stop();
  });

  test('a task without an address waits, says so, and gets the first one that is freed', async () => {
    const bench = await startedBench();
    const ids = ['t1', 't2', 't3', 't4', 't5', 't6'];
    await bench.store.update((tx) => {
      tx.create('networks', newNetwork('net1', TINY));
      for (const id of ids) tx.create('tasks', newTask(id, { Spec: onNet('net1') }));
    });
    await bench.settle();
    expect(ids.map((id) => bench.addressOf(id))).toEqual([
      '10.50.0.2',
      '10.50.0.3',
      '10.50.0.4',
      '10.50.0.5',
      '10.50.0.6',
      undefined,
    ]);
    expect(bench.task('t6').Status).toMatchObject({
      State: 'new',
      Err: 'failed to allocate network IP for task t6 network net1: could not find an available IP',
    });
    await setState(bench, 't3', 'failed');
    expect(bench.addressOf('t6')).toBe('10.50.0.4');
    expect(bench.task('t6').Status.Err).toBeUndefined();
    await bench.store.update((tx) => tx.remove('tasks', 't3'));
    await bench.settle();
    expect(bench.allocator.addresses.freeCount('net1')).toBe(0);
    await bench.allocator.stop();
  });

  test('tasks get addresses out of every subnet of a family, and one of each family or none', async () => {
    const bench = await startedBench();
    const Configs = [
      { Subnet: 'fd00:50::/125', IPRange: 'fd00:50::4/126' },
      { Subnet: '10.50.0.0/30' },
      { Subnet: '10.51.0.0/24', IPRange: '10.51.0.64/26' },
    ];
    const ids = ['t1', 't2', 't3', 't4', 't5'];
    await bench.store.update((tx) => {
      tx.create('networks', newNetwork('net1', { IPv6Enabled: true, IPAMOptions: { Configs } }));
      for (const id of ids) tx.create('tasks', newTask(id, { Spec: onNet('net1') }));
    });
    await bench.settle();
    expect(ids.map((id) => bench.task(id).NetworksAttachments?.[0]?.Addresses)).toEqual([
      ['10.50.0.2/30', 'fd00:50::4/125'],
      ['10.51.0.64/24', 'fd00:50::5/125'],
      ['10.51.0.65/24', 'fd00:50::6/125'],
      ['10.51.0.66/24', 'fd00:50::7/125'],
      undefined,
    ]);
    const free = bench.allocator.addresses.freeCount('net1');
    await setState(bench, 't2', 'failed');
    expect(bench.task('t5').NetworksAttachments?.[0]?.Addresses).toEqual(['10.51.0.67/24', 'fd00:50::5/125']);
    expect(bench.allocator.addresses.freeCount('net1')).toBe(free);
    await bench.restart();
    const held = bench.allocator.addresses.holdings().map(({ address }) => address);
    expect(held.filter((address) => address.includes(':')).toSorted()).toEqual(
      [4, 5, 6, 7].map((last) => `fd00:50::${last}/125`),
    );
    await bench.allocator.stop();
  });

  test('a waiting task writes its reason once', async () => {
    const bench = await startedBench();
    await bench.store.update((tx) => {
      tx.create('networks', newNetwork('net1', TINY));
      for (let at = 0; at < 7; at++) tx.create('tasks', newTask(`t${at}`, { Spec: onNet('net1') }));
    });
    await bench.settle();
    const before = bench.proposer.proposals;
    await bench.settle(60_000);
    expect(bench.proposer.proposals).toBe(before);
    await bench.allocator.stop();
  });

  test('addresses are given serially, also after a restart', async () => {
    const bench = await startedBench();
    await bench.store.update((tx) => {
      tx.create('networks', newNetwork('net1'));
      tx.create('tasks', newTask('t1', { Spec: onNet('net1') }));
    });
    await bench.settle();
    await bench.store.update((tx) => tx.remove('tasks', 't1'));
    await bench.store.update((tx) => tx.create('tasks', newTask('t2', { Spec: onNet('net1') })));
    await bench.settle();
    expect(bench.addressOf('t2')).toBe('10.0.1.3');
    await bench.restart();
    await bench.store.update((tx) => tx.create('tasks', newTask('t3', { Spec: onNet('net1') })));
    await bench.settle();
    expect(bench.addressOf('t3')).toBe('10.0.1.4');
    await bench.allocator.stop();
  });

  test('a write that fails is tried again with the same address', async () => {
    const bench = await startedBench();
    await bench.store.update((tx) => tx.create('networks', newNetwork('net1')));
    await bench.settle();
    await bench.store.update((tx) => tx.create('tasks', newTask('t1', { Spec: onNet('net1') })));
    bench.proposer.mode = 'refused';
    await bench.settle(500);
    expect(bench.task('t1').Status.State).toBe('new');
    bench.proposer.mode = 'ok';
    await bench.settle(6_000);
    expect(bench.addressOf('t1')).toBe('10.0.1.2');
    await bench.allocator.stop();
  });

  test('an address whose write may yet be committed survives a fresh look at the store', async () => {
    const bench = new AllocatorBench({ watchLimit: 0 });
    await bench.start();
    await bench.store.update((tx) => {
      tx.create('networks', newNetwork('net1', TINY));
      for (const id of ['t1', 't2', 't3', 't4']) tx.create('tasks', newTask(id, { Spec: onNet('net1') }));
    });
    await bench.settle(600);
    await bench.store.update((tx) => tx.create('tasks', newTask('t5', { Spec: onNet('net1') })));
    bench.proposer.mode = 'late';
    await bench.settle();
    const late = bench.proposer.hold();
    bench.proposer.mode = 'refused';
    // Faster than they are taken from the watch; as services are not written, t5's turn does not come again.
    await bench.burst(['s1', 's2', 's3'].map((id) => (tx) => tx.create('services', newService(id))));
    await bench.settle(1_000);
    bench.proposer.mode = 'ok';
    const lease = bench.attachments.allocate({ nodeId: 'n1', networkId: 'net1', reference: 'r' });
    await expect(lease).rejects.toThrow('could not find an available IP');
    bench.proposer.resume(late);
    expect(bench.addressOf('t5')).toBe('10.50.0.6');
    await bench.allocator.stop();
  });

  test('of two holders of one address the lower ID keeps it, and it is free when both are gone', async () => {
    const bench = await startedBench();
    await bench.store.update((tx) => tx.create('networks', newNetwork('net1', TINY)));
    await bench.settle();
    await bench.allocator.stop();
    const held = { NetworksAttachments: [{ NetworkID: 'net1', Addresses: ['10.50.0.2/29'] }] };
    const Status = { Timestamp: '', State: 'running' as const };
    await bench.store.update((tx) => {
      for (const id of ['b', 'a']) tx.create('tasks', newTask(id, { ...held, Status }));
    });
    await bench.restart();
    const book = bench.allocator.addresses;
    expect([book.addressOf('net1', 'task/a'), book.addressOf('net1', 'task/b')]).toEqual(['10.50.0.2/29', undefined]);
    await setState(bench, 'a', 'failed');
    expect(book.freeCount('net1')).toBe(4);
    await setState(bench, 'b', 'failed');
    expect(book.freeCount('net1')).toBe(5);
    await bench.allocator.stop();
  });
});

describe('Allocator: services', () => {
  async function withService(spec: Partial<ServiceSpec>): Promise<AllocatorBench> {
    const bench = await startedBench();
    await bench.store.update((tx) => {
      for (const id of ['net1', 'net2']) tx.create('networks', newNetwork(id));
      tx.create('services', newService('web', spec));
    });
    await bench.settle();
    return bench;
  }

  async function change(bench: AllocatorBench, spec: Partial<ServiceSpec>): Promise<void> {
    await bench.store.update((tx) => {
      const web = bench.service('web');
      tx.update('services', { ...web, Spec: { ...web.Spec, ...spec } });
    });
    await bench.settle();
  }

  function vips(bench: AllocatorBench): string[] {
    return (bench.service('web').Endpoint?.VirtualIPs ?? []).map(({ Addr }) => Addr);
  }

  test('virtual addresses follow the networks of the spec', async () => {
    const bench = await withService({ TaskTemplate: onNet('net1') });
    const book = bench.allocator.addresses;
    const free = book.freeCount('net2');
    expect(vips(bench)).toEqual(['10.0.1.2/24']);
    await change(bench, { TaskTemplate: onNet('net1', 'net2') });
    expect(vips(bench)).toEqual(['10.0.1.2/24', '10.0.2.2/24']);
    await change(bench, { TaskTemplate: onNet('net2') });
    expect(vips(bench)).toEqual(['10.0.2.2/24']);
    expect(book.freeCount('net1')).toBe(free);
    await change(bench, { EndpointSpec: { Mode: 'dnsrr' } });
    expect(vips(bench)).toEqual([]);
    expect(book.freeCount('net2')).toBe(free);
    await bench.allocator.stop();
  });

  test('the deprecated networks of the service spec count when the template has none', async () => {
    const bench = await withService({ ...onNet('net2') });
    await bench.store.update((tx) => tx.create('tasks', newTask('t1', { ServiceID: 'web' })));
    await bench.settle();
    expect([vips(bench), bench.addressOf('t1')]).toEqual([['10.0.2.2/24'], '10.0.2.3']);
    await bench.allocator.stop();
  });

  test('a removed service gives everything back', async () => {
    const bench = await withService({
      TaskTemplate: onNet('net1'),
      EndpointSpec: { Ports: [{ TargetPort: 80, PublishedPort: 80 }] },
    });
    const free = bench.allocator.addresses.freeCount('net1');
    await bench.store.update((tx) => tx.remove('services', 'web'));
    await bench.settle();
    expect(bench.allocator.addresses.freeCount('net1')).toBe(free + 1);
    await bench.store.update((tx) =>
      tx.create('services', newService('x', { EndpointSpec: { Ports: [{ TargetPort: 1, PublishedPort: 80 }] } })),
    );
    await bench.settle();
    expect(bench.service('x').Endpoint?.Ports?.[0]?.PublishedPort).toBe(80);
    await bench.allocator.stop();
  });

  test('ports: explicit, dynamic and host mode', async () => {
    const Ports: PortConfig[] = [
      { TargetPort: 80 },
      { TargetPort: 81, PublishedPort: 30000 },
      { TargetPort: 82, PublishedPort: 8080, PublishMode: 'host', Protocol: 'udp' },
    ];
    const bench = await withService({ EndpointSpec: { Ports } });
    expect(bench.service('web').Endpoint?.Ports).toEqual([
      { TargetPort: 80, PublishedPort: 30001, PublishMode: 'ingress', Protocol: 'tcp' },
      { TargetPort: 81, PublishedPort: 30000, PublishMode: 'ingress', Protocol: 'tcp' },
      { TargetPort: 82, PublishedPort: 8080, PublishMode: 'host', Protocol: 'udp' },
    ]);
    await change(bench, { EndpointSpec: { Ports: [{ TargetPort: 99 }, { TargetPort: 80 }] } });
    const ports = bench.service('web').Endpoint?.Ports?.map(({ PublishedPort }) => PublishedPort);
    expect(ports).toEqual([30002, 30001]);
    await bench.allocator.stop();
  });

  test('two services cannot publish one port; the second gets it when the first is gone', async () => {
    const spec = { EndpointSpec: { Ports: [{ TargetPort: 80, PublishedPort: 80 }] } };
    const bench = await withService(spec);
    await bench.store.update((tx) => {
      tx.create('services', newService('other', spec));
      tx.create('tasks', newTask('t1', { ServiceID: 'other' }));
    });
    await bench.settle();
    expect(bench.task('t1').Status).toMatchObject({
      State: 'new',
      Err: "port '80' is already in use by service 'web' (web) as an ingress port",
    });
    await bench.store.update((tx) => tx.remove('services', 'web'));
    await bench.settle();
    expect(bench.task('t1')).toMatchObject({
      Status: { State: 'pending' },
      Endpoint: { Ports: [{ PublishedPort: 80 }] },
    });
    await bench.allocator.stop();
  });
});
