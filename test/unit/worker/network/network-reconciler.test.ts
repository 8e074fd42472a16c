import { readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type EngineEndpoint, type EngineInventory, inventoryOf } from '../../../../worker/network/engine-inventory.ts';
import type { WorkerNetwork } from '../../../../worker/network/worker-network.ts';
import { hostLink } from '../../../fixtures/model-kernel.ts';
import { LOCAL_ID, NETWORK_ID, NetworkParts } from '../../../fixtures/network-parts.ts';
import { settle } from '../../../fixtures/virtual-clock.ts';

const TWIN = { localNetworkId: LOCAL_ID, networkId: NETWORK_ID };
const FOUND: EngineEndpoint = {
  endpointId: 'e1',
  localNetworkId: LOCAL_ID,
  networkId: NETWORK_ID,
  address: '10.0.1.20/24',
  mac: '02:42:0a:00:01:14',
  containerId: 'c1',
};

let parts: NetworkParts;
let network: WorkerNetwork;
let endpoints: EngineEndpoint[];
let networks: EngineInventory['networks'];
let looks: number;

beforeEach(() => {
  parts = new NetworkParts();
  endpoints = [];
  networks = [TWIN];
  looks = 0;
  parts.inventory = () => {
    looks++;
    return Promise.resolve({ networks, endpoints });
  };
  network = parts.make();
});

afterEach(async () => {
  await network.stop();
  parts.remove();
});

/** File writes are real: they need more than a turn of the loop. */
async function until(condition: () => boolean): Promise<void> {
  for (let turn = 0; turn < 20_000 && !condition(); turn++) await settle();
  expect(condition()).toBe(true);
}

/** A comparison ends with a report, and then sets the time of the next. */
async function compared(times: number): Promise<void> {
  await until(() => parts.reports.length === times);
  await settle();
}

/** Networks on disk. */
function rows(): string[] {
  return readdirSync(path.join(parts.folder, 'network', 'networks'));
}

async function lease(): Promise<string> {
  const answer = await network.backend['IpamDriver.RequestAddress']({ PoolID: NETWORK_ID, Address: '', Options: {} });
  const ids = { NetworkID: LOCAL_ID, EndpointID: 'e2' };
  await network.backend['NetworkDriver.CreateEndpoint']({
    ...ids,
    Interface: { ...answer, AddressIPv6: '', MacAddress: '' },
  });
  await network.backend['NetworkDriver.Join']({ ...ids, SandboxKey: '' });
  return answer.Address;
}

describe('NetworkReconciler', () => {
  it('takes up endpoints and networks that only the engine knows', async () => {
    endpoints = [FOUND];
    parts.sandboxes.set('c1', '/var/run/docker/netns/x');
    await network.start();
    await until(() => parts.kernel.done.length > 0);
    const sandboxKey = '/var/run/docker/netns/x';
    expect(network.endpoint('e1')).toMatchObject({ state: 'joined', address: '10.0.1.20/24', sandboxKey });
    expect(parts.table.own.get('e1')).toMatchObject({ address: '10.0.1.20' });
    await lease();
  });

  it('takes down what the engine has not, seen twice 10 s apart, and gives the address back', async () => {
    await network.start();
    await compared(1);
    await lease();
    await parts.clock.advance(30_000);
    await compared(2);
    expect(looks).toBe(2);
    expect(network.endpoint('e2')).toBeDefined();
    await parts.clock.advance(9_000);
    expect(network.endpoint('e2')).toBeDefined();
    await parts.clock.advance(1_000);
    await until(() => parts.leases.released.length > 0);
    expect(network.endpoint('e2')).toBeUndefined();
    expect(parts.leases.released).toEqual(['10.0.1.100']);
    expect(await parts.kernel.namespaces()).toEqual([]);
  });

  it('gives back the address of an endpoint that was deleted when the call for the address was lost', async () => {
    await network.start();
    await compared(1);
    await lease();
    await network.backend['NetworkDriver.DeleteEndpoint']({ NetworkID: LOCAL_ID, EndpointID: 'e2' });
    await parts.clock.advance(30_000);
    await compared(2);
    expect(parts.leases.released).toEqual([]);
    await parts.clock.advance(10_000);
    await until(() => parts.leases.released.length > 0);
    expect(parts.leases.released).toEqual(['10.0.1.100']);
  });

  it('reports leased addresses and those that only the engine knows, after each look', async () => {
    endpoints = [FOUND];
    await network.start();
    await until(() => parts.reports.length === 1);
    expect(new Set(parts.reports[0])).toEqual(new Set(['10.0.1.20']));
    await settle();
    await lease();
    await parts.clock.advance(30_000);
    await until(() => parts.reports.length === 2);
    expect(new Set(parts.reports[1])).toEqual(new Set(['10.0.1.20', '10.0.1.100']));
  });

  it('takes up no ghost of what was deleted while the engine was asked', async () => {
    await network.start();
    await compared(1);
    const address = await lease();
    let answer: () => void = () => undefined;
    const asked = new Promise<void>((resolve) => (answer = resolve));
    parts.inventory = async () => {
      await asked;
      const networks = [TWIN];
      return { networks, endpoints: [{ ...FOUND, endpointId: 'e2', address }] };
    };
    expect(rows()).toHaveLength(1);
    await parts.clock.advance(30_000);
    await network.backend['NetworkDriver.DeleteEndpoint']({ NetworkID: LOCAL_ID, EndpointID: 'e2' });
    await network.backend['NetworkDriver.DeleteNetwork']({ NetworkID: LOCAL_ID });
    answer();
    await compared(2);
    await until(() => rows().length === 0);
    expect(network.endpoint('e2')).toBeUndefined();
    expect(parts.table.own.get('e2')).toBeUndefined();
  });

  it('forgets a network that the engine has not, seen twice 10 s apart', async () => {
    await network.start();
    await compared(1);
    expect(rows()).toHaveLength(1);
    networks = [];
    await parts.clock.advance(30_000);
    await compared(2);
    await parts.clock.advance(9_000);
    expect(rows()).toHaveLength(1);
    await parts.clock.advance(1_000);
    await until(() => rows().length === 0);
  });

  it('spares a network that was missing only for a moment, or that was made while the engine was asked', async () => {
    networks = [];
    await network.start();
    await compared(1);
    const before = parts.inventory;
    parts.inventory = async () => {
      const answer = await before();
      await network.backend['NetworkDriver.CreateNetwork']({
        NetworkID: LOCAL_ID,
        Options: { 'com.docker.network.generic': { 'waggle.network': NETWORK_ID } },
        IPv4Data: [{ Pool: '10.0.1.0/24', Gateway: '' }],
        IPv6Data: [],
      });
      return answer;
    };
    await parts.clock.advance(30_000);
    await compared(2);
    parts.inventory = before;
    await parts.clock.advance(30_000);
    await compared(3);
    networks = [TWIN];
    await parts.clock.advance(100_000);
    expect(rows()).toHaveLength(1);
  });

  it('fills in a sandbox that was not known before', async () => {
    endpoints = [FOUND];
    await network.start();
    await until(() => network.endpoint('e1') !== undefined && looks === 1);
    await settle();
    expect(network.endpoint('e1')?.sandboxKey).toBe('');
    parts.sandboxes.set('c1', '/var/run/docker/netns/x');
    network.engineReconnected();
    await until(() => network.endpoint('e1')?.sandboxKey === '/var/run/docker/netns/x');
  });

  it('spares what was missing only for a moment', async () => {
    await network.start();
    await until(() => looks === 1);
    await settle();
    const address = await lease();
    await parts.clock.advance(30_000);
    endpoints = [{ ...FOUND, endpointId: 'e2', address }];
    await parts.clock.advance(100_000);
    expect(network.endpoint('e2')).toBeDefined();
  });

  it('takes an engine that does not answer for no engine, not for an empty one', async () => {
    await network.start();
    await until(() => looks === 1);
    await settle();
    await lease();
    parts.inventory = () => Promise.reject(new Error('connection refused'));
    await parts.clock.advance(300_000);
    expect(network.endpoint('e2')).toBeDefined();
  });

  it('asks an engine that does not answer later each time, and at once when it is back', async () => {
    parts.inventory = () => {
      looks++;
      return Promise.reject(new Error('connection refused'));
    };
    await network.start();
    await settle();
    const seen = [looks];
    for (const ms of [999, 1, 1_999, 1, 3_999]) {
      await parts.clock.advance(ms);
      seen.push(looks);
    }
    expect(seen).toEqual([1, 1, 2, 2, 3, 3]);
    network.engineReconnected();
    await settle();
    expect(looks).toBe(4);
  });

  it('looks at once when the engine is back', async () => {
    await network.start();
    await until(() => looks === 1);
    await settle();
    network.engineReconnected();
    await until(() => looks === 2);
  });
});

describe('leftovers in the kernel', () => {
  it('are removed by audits: veths that wait, and a VXLAN device of our name', async () => {
    parts.inventory = () => Promise.resolve({ networks: [], endpoints: [] });
    parts.kernel.links.push(hostLink('wge0123456789ab'));
    parts.kernel.links.push(hostLink('vxlan1', { vxlan: { vni: 1, port: 4789 } }));
    parts.kernel.links.push(hostLink('vxlan1x', { vxlan: { vni: 2, port: 4789 } }));
    parts.kernel.links.push(hostLink('wget'));
    await network.start();
    await parts.clock.advance(5_000);
    expect(parts.kernel.links.map(({ name }) => name)).toEqual(['eth0', 'vxlan1x', 'wget']);
    parts.kernel.links.push(hostLink('wgeba9876543210'));
    await parts.clock.advance(5_000);
    expect(parts.kernel.links.map(({ name }) => name)).toEqual(['eth0', 'vxlan1x', 'wget']);
  });

  it('a namespace whose endpoints are lost goes, and its marker after it', async () => {
    await network.start();
    await until(() => looks === 1);
    await settle();
    await lease();
    await network.stop();
    rmSync(path.join(parts.folder, 'network'), { recursive: true });
    expect(await parts.kernel.namespaces()).toEqual(['1-abcdefghij']);
    network = parts.make();
    await network.start();
    await until(() => !parts.kernel.space('1-abcdefghij').state.namespace);
    expect(readdirSync(path.join(parts.folder, 'overlay'))).toHaveLength(1);
    await network.audit();
    expect(readdirSync(path.join(parts.folder, 'overlay'))).toEqual([]);
  });

  it('a running container keeps its link when our list of endpoints is lost', async () => {
    await network.start();
    await until(() => looks === 1);
    await settle();
    const address = await lease();
    await network.stop();
    rmSync(path.join(parts.folder, 'network'), { recursive: true });
    let answer: () => void = () => undefined;
    const asked = new Promise<void>((resolve) => (answer = resolve));
    const known = { ...FOUND, endpointId: 'e2', address };
    parts.inventory = async () => {
      await asked;
      return { networks: [TWIN], endpoints: [known] };
    };
    network = parts.make();
    await network.start();
    await parts.clock.advance(60_000);
    answer();
    await until(() => network.endpoint('e2') !== undefined);
    await parts.clock.advance(60_000);
    expect([...parts.kernel.space('1-abcdefghij').state.ports.keys()]).toEqual(['vethe2']);
    expect(parts.kernel.done.map(({ kind }) => kind)).not.toContain('delete-link');
  });

  it('a container on a network that is not known yet keeps its link', async () => {
    await network.start();
    await until(() => looks === 1);
    await settle();
    endpoints = [{ ...FOUND, endpointId: 'e2', address: await lease() }];
    await network.stop();
    rmSync(path.join(parts.folder, 'network'), { recursive: true });
    const late = parts.assigned.networks.get(NETWORK_ID);
    parts.assigned.networks.clear();
    network = parts.make();
    await network.start();
    await parts.clock.advance(60_000);
    expect([...parts.kernel.space('1-abcdefghij').state.ports.keys()]).toEqual(['vethe2']);
    if (late !== undefined) parts.assigned.networks.set(NETWORK_ID, late);
    await parts.clock.advance(10_000);
    await until(() => network.endpoint('e2') !== undefined);
    await parts.clock.advance(60_000);
    expect([...parts.kernel.space('1-abcdefghij').state.ports.keys()]).toEqual(['vethe2']);
  });

  it('an endpoint that is deleted before the engine has been asked loses its link, and no other does', async () => {
    await network.start();
    await until(() => looks === 1);
    await settle();
    await lease();
    await network.stop();
    const space = parts.kernel.space('1-abcdefghij').state;
    space.ports.set('vethother', { mtu: 1450, up: true, mac: '', master: 'br0' });
    parts.inventory = () => Promise.reject(new Error('not yet'));
    network = parts.make();
    await network.start();
    await network.backend['NetworkDriver.DeleteEndpoint']({ NetworkID: LOCAL_ID, EndpointID: 'e2' });
    expect([...space.ports.keys()]).toEqual(['vethother']);
  });

  it('the MTU follows the data path, less 50, unless the network gives its own', async () => {
    parts.kernel.links = [hostLink('eth0', { mtu: 9000, addresses: ['192.168.0.1'] })];
    await network.start();
    await until(() => looks === 1);
    await settle();
    await lease();
    expect(parts.kernel.space('1-abcdefghij').state.vxlan?.mtu).toBe(8950);
    parts.kernel.links = [hostLink('eth0', { mtu: 1460, addresses: ['192.168.0.1'] })];
    await parts.clock.advance(5_000);
    expect(parts.kernel.space('1-abcdefghij').state.vxlan?.mtu).toBe(1410);
  });
});

describe('inventoryOf', () => {
  it('reads inspected networks, and only ours', () => {
    const containers = {
      c1: { EndpointID: 'e1', MacAddress: '02:42:0A:00:01:14', IPv4Address: '10.0.1.20/24' },
      c2: { EndpointID: '', MacAddress: '', IPv4Address: '' },
    };
    const inspected = [
      { Id: LOCAL_ID, Options: { 'waggle.network': NETWORK_ID }, Containers: containers },
      { Id: 'bridge', Options: {}, Containers: containers },
    ];
    expect(inventoryOf(inspected)).toEqual({
      networks: [TWIN],
      endpoints: [FOUND],
    });
  });
});
