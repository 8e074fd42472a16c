import { beforeEach, describe, expect, test } from 'vitest';
import type { NetworkObject, NetworkSpec } from '../../../../proto/objects/network.ts';
import { settle } from '../../../fixtures/virtual-clock.ts';
import { newService, newTaskIn } from '../store/objects.ts';
import { ALLOCATED, type ControlFixture, controlFixture, rpc, serviceSpec } from './control-fixture.ts';

let fixture: ControlFixture;
beforeEach(async () => {
  fixture = await controlFixture();
});

/** Plays the allocator's part for the network just made. */
const allocate = async (fields: Partial<NetworkObject>): Promise<void> => {
  await settle();
  await fixture.store.update((tx) => {
    const network = tx.get('networks', 'id1');
    if (network !== undefined) tx.update('networks', { ...network, ...fields });
  });
};
const count = () => fixture.store.view((tx) => tx.count('networks'));

describe('createNetwork', () => {
  test('resolves when the allocator has settled it', async () => {
    let resolved = false;
    const creation = fixture.control.createNetwork({ spec: { Name: 'net2' } }).finally(() => {
      resolved = true;
    });
    await settle();
    expect(resolved).toBe(false);
    await allocate({ Allocated: ALLOCATED });
    await expect(creation).resolves.toEqual({ Id: 'id1', Warning: '' });
  });

  test('a failed allocation is the answer, and leaves nothing', async () => {
    const creation = fixture.control.createNetwork({ spec: { Name: 'net2' } });
    const refusal = expect(creation).rejects.toMatchObject({ code: 'failed-precondition', message: 'Pool overlaps' });
    await allocate({ AllocationError: 'Pool overlaps' });
    await refusal;
    expect(count()).toBe(1);
  });

  test('without an allocator it ends after ten seconds, and leaves nothing', async () => {
    const creation = fixture.control.createNetwork({ spec: { Name: 'net2' } });
    const refusal = expect(creation).rejects.toMatchObject({
      code: 'deadline-exceeded',
      message: 'network net2 was not given addresses within 10 s',
    });
    await fixture.clock.advance(9_999);
    expect(count()).toBe(2);
    await fixture.clock.advance(1);
    await refusal;
    expect(count()).toBe(1);
    expect(fixture.clock.next()).toBeUndefined();
  });

  test('removed by somebody else in the meantime', async () => {
    const creation = fixture.control.createNetwork({ spec: { Name: 'net2' } });
    const refusal = expect(creation).rejects.toMatchObject({ code: 'not-found' });
    await settle();
    await fixture.control.removeNetwork({ ref: 'net2' });
    await refusal;
  });

  const ipam = (config: object): Partial<NetworkSpec> => ({ IPAMOptions: { Configs: [config] } });
  const refusals: { id: string; spec: Partial<NetworkSpec>; code: string; message: string }[] = [
    {
      id: 'name in use',
      spec: { Name: 'net1' },
      code: 'already-exists',
      message: 'network with name net1 already exists',
    },
    {
      id: 'predefined name',
      spec: { Name: 'host' },
      code: 'permission-denied',
      message: 'host is a pre-defined network and cannot be created',
    },
    {
      id: 'no name',
      spec: { Name: '' },
      code: 'invalid-argument',
      message: rpc('InvalidArgument', 'meta: name must be provided'),
    },
    ...['-1', '67', '65486', '1500; reboot', '1e3', ''].map((mtu) => ({
      id: `MTU ${mtu}`,
      spec: { DriverConfiguration: { Options: { 'com.docker.network.driver.mtu': mtu } } },
      code: 'invalid-argument',
      message: rpc(
        'InvalidArgument',
        `invalid com.docker.network.driver.mtu=${mtu}: must be a number from 68 to 65485`,
      ),
    })),
    {
      id: 'attachable ingress',
      spec: { Ingress: true, Attachable: true },
      code: 'invalid-argument',
      message: rpc('InvalidArgument', 'ingress network cannot be attachable'),
    },
    {
      id: 'ingress',
      spec: { Ingress: true },
      code: 'unimplemented',
      message: 'ingress networks are not supported yet',
    },
    {
      id: 'driver',
      spec: { DriverConfiguration: { Name: 'macvlan' } },
      code: 'unimplemented',
      message: 'swarm networks of driver macvlan are not supported, only overlay',
    },
    {
      id: 'predefined label',
      spec: { Labels: { 'com.docker.swarm.predefined': 'true' } },
      code: 'permission-denied',
      message: rpc(
        'PermissionDenied',
        'label com.docker.swarm.predefined is for internally created predefined networks and cannot be applied by users',
      ),
    },
    {
      id: 'IPAM driver',
      spec: { IPAMOptions: { Driver: { Name: 'x' } } },
      code: 'invalid-argument',
      message: rpc('InvalidArgument', 'error during lookup of plugin x'),
    },
    ...[
      { id: 'subnet', config: { Subnet: '10.0.0.0' }, text: 'invalid subnet 10.0.0.0' },
      { id: 'short subnet', config: { Subnet: '10.1/16' }, text: 'invalid subnet 10.1/16' },
      { id: 'range', config: { Subnet: '10.5.0.0/16', IPRange: 'x' }, text: 'invalid range x' },
      {
        id: 'range outside',
        config: { Subnet: '10.5.0.0/16', IPRange: '10.6.0.0/24' },
        text: 'subnet 10.5.0.0/16 does not contain range 10.6.0.0/24',
      },
      { id: 'gateway', config: { Subnet: '10.5.0.0/16', Gateway: '10.5' }, text: 'invalid gateway 10.5' },
      {
        id: 'gateway outside',
        config: { Subnet: '10.5.0.0/16', Gateway: '10.6.0.1' },
        text: 'subnet 10.5.0.0/16 does not contain gateway 10.6.0.1',
      },
      {
        id: 'gateway of the other family',
        config: { Subnet: '10.5.0.0/16', Gateway: 'fd00::1' },
        text: 'subnet 10.5.0.0/16 does not contain gateway fd00::1',
      },
      {
        id: 'IPv6 that is not enabled',
        config: { Subnet: 'fd00::/64' },
        text: 'subnet fd00::/64 is IPv6, which is not enabled for the network (--ipv6)',
      },
      {
        id: 'link-local subnet',
        config: { Subnet: 'fe80::/64' },
        text: 'subnet fe80::/64 has no addresses for containers (linkLocal)',
      },
      {
        id: 'multicast subnet',
        config: { Subnet: '224.1.0.0/16' },
        text: 'subnet 224.1.0.0/16 has no addresses for containers (multicast)',
      },
    ].map(({ id, config, text }) => ({
      id,
      spec: ipam(config),
      code: 'invalid-argument',
      message: rpc('InvalidArgument', `ipam configuration: ${text}`),
    })),
    {
      id: 'too many subnets',
      spec: { IPAMOptions: { Configs: Array.from({ length: 65 }, (_, at) => ({ Subnet: `10.7.${at}.0/24` })) } },
      code: 'invalid-argument',
      message: rpc('InvalidArgument', 'ipam configuration: 65 subnets, at most 64 are possible'),
    },
    {
      id: 'IPv6 in frames that are too small for it',
      spec: {
        ...ipam({ Subnet: 'fd00::/64' }),
        IPv6Enabled: true,
        DriverConfiguration: { Name: 'overlay', Options: { 'com.docker.network.driver.mtu': '1279' } },
      },
      code: 'invalid-argument',
      message: rpc('InvalidArgument', 'IPv6 needs an MTU of 1280 or more, not com.docker.network.driver.mtu=1279'),
    },
  ];
  test.each(refusals)('refuses: $id', async ({ spec, code, message }) => {
    const creation = fixture.control.createNetwork({ spec: { Name: 'net2', ...spec } });
    await expect(creation).rejects.toMatchObject({ code, message });
    expect(count()).toBe(1);
  });
});

describe('removeNetwork', () => {
  test('removes one that nobody uses', async () => {
    await fixture.store.update((tx) =>
      tx.create('tasks', newTaskIn('t1', 'failed', { Spec: { Networks: [{ Target: 'n1' }] } })),
    );
    await expect(fixture.control.removeNetwork({ ref: 'net1' })).resolves.toEqual({});
    expect(count()).toBe(0);
  });

  test('tasks of a service that was removed are not in the way', async () => {
    const task = { ServiceID: 'removed', NetworksAttachments: [{ NetworkID: 'n1', Addresses: ['10.0.1.2/24'] }] };
    await fixture.store.update((tx) => tx.create('tasks', newTaskIn('t1', 'running', task)));
    await expect(fixture.control.removeNetwork({ ref: 'net1' })).resolves.toEqual({});
    expect(count()).toBe(0);
  });

  const attachment = [{ NetworkID: 'n1', Addresses: ['10.0.1.2/24'] }];
  const users = [
    {
      id: 'service',
      by: 'service id1',
      use: () =>
        fixture.control.createService({
          spec: serviceSpec('web', { TaskTemplate: { Networks: [{ Target: 'net1' }] } }),
        }),
    },
    {
      id: 'task',
      by: 'task t1',
      use: () =>
        fixture.store.update((tx) => {
          tx.create('services', newService('s1', 'web'));
          tx.create('tasks', newTaskIn('t1', 'running', { ServiceID: 's1', NetworksAttachments: attachment }));
        }),
    },
    {
      id: 'container',
      by: 'task a1',
      use: () =>
        fixture.store.update((tx) =>
          tx.create('attachments', { ID: 'a1', NetworkID: 'n1', NodeID: 'w1', Address: '10.0.1.5/24', Reference: 'r' }),
        ),
    },
  ];
  test.each(users)('refuses one that a $id uses', async ({ use, by }) => {
    await use();
    await expect(fixture.control.removeNetwork({ ref: 'net1' })).rejects.toMatchObject({
      code: 'failed-precondition',
      message: rpc('FailedPrecondition', `network n1 is in use by ${by}`),
    });
    expect(count()).toBe(1);
  });
});

describe('reading', () => {
  test.each([
    {
      id: 'those given, with what Docker adds',
      given: { a: 'b' },
      shown: { a: 'b', 'com.docker.network.ipam.serial': 'true' },
    },
    { id: 'none given', given: {}, shown: null },
  ])('shows the options of the address driver: $id', async ({ given, shown }) => {
    await fixture.store.update((tx) => {
      const network = tx.get('networks', 'n1');
      if (network === undefined) return;
      const IPAMOptions = { Driver: { Name: 'default', Options: given } };
      tx.update('networks', { ...network, Spec: { ...network.Spec, IPAMOptions } });
    });
    expect(await fixture.control.getNetwork({ ref: 'net1', verbose: false })).toMatchObject({
      IPAM: { Options: shown },
    });
  });

  test('shows the Engine API’s network resource', async () => {
    expect(await fixture.control.getNetwork({ ref: 'net1', verbose: false })).toEqual({
      Name: 'net1',
      Id: 'n1',
      Created: '2023-11-14T22:13:20.000000000Z',
      Scope: 'swarm',
      Driver: 'overlay',
      EnableIPv6: false,
      IPAM: { Driver: 'default', Options: null, Config: [{ Subnet: '10.0.1.0/24', Gateway: '10.0.1.1' }] },
      Internal: false,
      Attachable: false,
      Ingress: false,
      ConfigFrom: { Network: '' },
      ConfigOnly: false,
      Containers: null,
      Options: { 'com.docker.network.driver.overlay.vxlanid_list': '4097' },
      Labels: {},
      Peers: [],
    });
  });

  test('verbose shows services and their tasks, and who takes part', async () => {
    await fixture.control.createService({
      spec: serviceSpec('web', { TaskTemplate: { Networks: [{ Target: 'net1' }] } }),
    });
    await fixture.store.update((tx) => {
      const service = tx.get('services', 'id1');
      const endpoint = { VirtualIPs: [{ NetworkID: 'n1', Addr: '10.0.1.2/24' }] };
      if (service !== undefined) tx.update('services', { ...service, Endpoint: endpoint });
      const attachments = [{ NetworkID: 'n1', Addresses: ['10.0.1.3/24'] }];
      const annotations = { Name: 'web' };
      tx.create(
        'tasks',
        newTaskIn('t1', 'running', {
          ServiceID: 'id1',
          Slot: 1,
          NodeID: 'w1',
          NetworksAttachments: attachments,
          ServiceAnnotations: annotations,
        }),
      );
    });
    expect(await fixture.control.getNetwork({ ref: 'n1', verbose: true })).toMatchObject({
      Peers: [{ Name: 'w1', IP: '10.9.0.1' }],
      Services: {
        web: {
          VIP: '10.0.1.2',
          Tasks: [{ Name: 'web.1.t1', EndpointIP: '10.0.1.3', Info: { 'Host IP': '10.9.0.1' } }],
        },
      },
    });
  });

  const filters = [
    { id: 'part of the name', filters: { name: ['et'] }, found: true },
    { id: 'anchored name', filters: { name: ['^net1$'] }, found: true },
    { id: 'anchored part', filters: { name: ['^et'] }, found: false },
    { id: 'scope', filters: { scope: ['swarm'] }, found: true },
    { id: 'other scope', filters: { scope: ['local'] }, found: false },
    { id: 'driver', filters: { driver: ['overlay'] }, found: true },
    { id: 'builtin', filters: { type: ['builtin'] }, found: false },
    { id: 'dangling', filters: { dangling: ['true'] }, found: true },
    { id: 'not dangling', filters: { dangling: ['0'] }, found: false },
    { id: 'ID', filters: { id: ['n'] }, found: true },
  ];
  test.each(filters)('filters: $id', async ({ filters, found }) => {
    const networks = await fixture.control.listNetworks({ filters: filters as unknown as Record<string, string[]> });
    expect(networks.map((network) => network.Id)).toEqual(found ? ['n1'] : []);
  });

  const badFilters = [
    {
      filters: { dangling: ['x'] },
      message: `invalid value for filter 'dangling', must be "true" (or "1"), or "false" (or "0")`,
    },
    { filters: { type: ['x'] }, message: "invalid filter: 'type'='x'" },
    { filters: { nope: ['x'] }, message: "Invalid filter 'nope'" },
  ];
  test.each(badFilters)('refuses $message', async ({ filters, message }) => {
    const list = fixture.control.listNetworks({ filters: filters as unknown as Record<string, string[]> });
    await expect(list).rejects.toMatchObject({ code: 'invalid-argument', message });
  });
});
