import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { TaskObject } from '../../../../proto/objects/task.ts';
import { type ContainerName, EndpointNames, isRunningTask } from '../../../../worker/network/endpoint-names.ts';
import type { LocalNetworkEndpoint } from '../../../../worker/network/local-endpoint.ts';
import type { WorkerNetwork } from '../../../../worker/network/worker-network.ts';
import { FakeContainers, LOCAL_ID, NETWORK_ID, NetworkParts, webTask } from '../../../fixtures/network-parts.ts';

const CONTAINER: ContainerName = {
  containerId: 'c',
  name: 'web.1.task1',
  shortId: 'cafe',
  aliases: ['www'],
  running: true,
};

const ENDPOINT: LocalNetworkEndpoint = {
  endpointId: 'e1',
  localNetworkId: LOCAL_ID,
  networkId: NETWORK_ID,
  address: '10.0.1.50/24',
  mac: '02:42:0a:00:01:32',
  sandboxKey: '',
  state: 'joined',
};

const SHARED = ['web', 'www', 'tasks.web', 'tasks.www'];

const cases: {
  id: string;
  container?: ContainerName;
  tasks?: TaskObject[];
  address?: string;
  names: string[];
  services: string[];
}[] = [
  { id: 'nothing is known yet', names: [], services: [] },
  {
    id: 'a container that is no task',
    container: { ...CONTAINER, name: 'db', aliases: ['sql', 'db'] },
    names: ['db', 'cafe', 'sql'],
    services: [],
  },
  { id: 'a running task', container: CONTAINER, tasks: [webTask()], names: ['web.1.task1', 'cafe'], services: SHARED },
  {
    id: 'a task that is starting',
    container: CONTAINER,
    tasks: [webTask({ Status: { Timestamp: '', State: 'starting' } })],
    names: ['web.1.task1', 'cafe'],
    services: [],
  },
  {
    id: 'a task whose container does not run',
    container: { ...CONTAINER, running: false },
    tasks: [webTask()],
    names: ['web.1.task1', 'cafe'],
    services: [],
  },
  {
    id: 'a task that is being shut down',
    container: CONTAINER,
    tasks: [webTask({ DesiredState: 'shutdown' })],
    names: ['web.1.task1', 'cafe'],
    services: [],
  },
  { id: 'a task before the engine names its container', tasks: [webTask()], names: ['web.1.task1'], services: [] },
  {
    id: 'a task of another address',
    container: { ...CONTAINER, name: 'db', aliases: [] },
    tasks: [webTask()],
    address: '10.0.1.51/24',
    names: ['db', 'cafe'],
    services: [],
  },
  {
    id: 'a new task that took over the address of an ended one',
    container: { ...CONTAINER, name: 'api.1.task2' },
    tasks: [
      webTask({ DesiredState: 'shutdown' }),
      webTask({ ID: 'task2', CreatedAt: '2026-01-02T00:00:00Z', ServiceAnnotations: { Name: 'api' } }),
    ],
    names: ['api.1.task2', 'cafe'],
    services: ['api', 'www', 'tasks.api', 'tasks.www'],
  },
];

describe('EndpointNames', () => {
  it.each(cases)('$id', ({ container, tasks = [], address = ENDPOINT.address, names, services }) => {
    const containers = new FakeContainers();
    if (container !== undefined) containers.set('e1', container);
    const assigned = { networks: new Map(), tasks: new Map(tasks.map((task) => [task.ID, task])) };
    const subject = new EndpointNames({ assigned, containers, isReady: isRunningTask });
    expect(subject.namesOf({ ...ENDPOINT, address })).toEqual({ names, services });
  });
});

describe('publishing', () => {
  let parts: NetworkParts;
  let network: WorkerNetwork;

  beforeEach(async () => {
    parts = new NetworkParts();
    network = parts.make();
    await network.start();
    const ids = { NetworkID: LOCAL_ID, EndpointID: 'e1' };
    await network.backend['NetworkDriver.CreateNetwork']({
      NetworkID: LOCAL_ID,
      Options: { 'com.docker.network.generic': { 'waggle.network': NETWORK_ID } },
      IPv4Data: [{ Pool: '10.0.1.0/24', Gateway: '' }],
      IPv6Data: [],
    });
    parts.assign(webTask({ Status: { Timestamp: '', State: 'starting' } }));
    await network.backend['NetworkDriver.CreateEndpoint']({
      ...ids,
      Interface: { Address: '10.0.1.50/24', AddressIPv6: '', MacAddress: '' },
    });
    expect(parts.table.own.size).toBe(0);
    await network.backend['NetworkDriver.Join']({ ...ids, SandboxKey: '/s' });
  });

  afterEach(async () => {
    await network.stop();
    parts.remove();
  });

  it('follows container and task', () => {
    expect(parts.table.own.get('e1')).toMatchObject({ names: ['web.1.task1'], services: [] });
    parts.containers.set('e1', CONTAINER);
    expect(parts.table.own.get('e1')).toMatchObject({ names: ['web.1.task1', 'cafe'], services: [] });
    parts.assign(webTask());
    expect(parts.table.own.get('e1')).toMatchObject({ services: SHARED });
    parts.assign(webTask({ DesiredState: 'shutdown' }));
    expect(parts.table.own.get('e1')).toMatchObject({ services: [] });
  });

  it('withdraws at Leave, and publishes again after a restart of the daemon', async () => {
    await network.stop();
    parts.table.own.clear();
    network = parts.make();
    await network.start();
    expect(parts.table.own.has('e1')).toBe(true);
    await network.backend['NetworkDriver.Leave']({ NetworkID: LOCAL_ID, EndpointID: 'e1' });
    expect(parts.table.own.has('e1')).toBe(false);
  });

  it('leaves nothing behind when the node leaves its swarm', async () => {
    await network.purge();
    expect(parts.table.own.size).toBe(0);
    expect(network.endpoints()).toEqual([]);
    expect(await parts.kernel.namespaces()).toEqual([]);
  });
});
