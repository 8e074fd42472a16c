import { afterEach, beforeEach, expect, it } from 'vitest';
import type { WorkerNetwork } from '../../../../worker/network/worker-network.ts';
import { emptyRoute, type ObservedOverlay } from '../../../../worker/network/overlay/overlay-state.ts';
import { assignedNetwork, LOCAL_ID, NETWORK_ID, NetworkParts } from '../../../fixtures/network-parts.ts';
import { settle } from '../../../fixtures/virtual-clock.ts';

const [NEAR, FAR] = ['192.168.0.2', '192.168.9.3'];
const NEAR_MAC = '5e:00:00:00:01:02';

let parts: NetworkParts;
let network: WorkerNetwork;

beforeEach(() => {
  parts = new NetworkParts();
  parts.kernel.adjacent.set(NEAR, NEAR_MAC);
  parts.twins = [{ localNetworkId: LOCAL_ID, networkId: NETWORK_ID }];
});

afterEach(async () => {
  await network.stop();
  parts.remove();
});

function state(): ObservedOverlay {
  return parts.kernel.space('1-abcdefghij').state;
}

/** Waits in turns of the loop: file writes are real. */
async function until(condition: () => boolean): Promise<void> {
  for (let turn = 0; turn < 20_000 && !condition(); turn++) await settle();
  expect(condition()).toBe(true);
}

async function startWith(options: Record<string, string>): Promise<void> {
  parts.assigned.networks.set(NETWORK_ID, assignedNetwork(options));
  for (const [octet, vtep] of [
    [5, NEAR],
    [6, FAR],
  ] as const) {
    const address = `10.0.1.${octet}`;
    const mac = `02:42:0a:00:01:0${octet}`;
    const more = { networkId: NETWORK_ID, owner: 'x', vni: 4097, names: [], services: [] };
    parts.table.learn({ endpointId: `p${octet}`, address, mac, vtep, ...more });
  }
  network = parts.make();
  await network.start();
  await network.backend['NetworkDriver.CreateNetwork']({
    NetworkID: LOCAL_ID,
    Options: { 'com.docker.network.generic': { 'waggle.network': NETWORK_ID } },
    IPv4Data: [{ Pool: '10.0.1.0/24', Gateway: '10.0.1.1/24' }],
    IPv6Data: [],
  });
  const ids = { NetworkID: LOCAL_ID, EndpointID: 'e2' };
  const wanted = { Address: '10.0.1.21/24', AddressIPv6: '', MacAddress: '' };
  await network.backend['IpamDriver.RequestAddress']({ PoolID: NETWORK_ID, Address: '10.0.1.21', Options: {} });
  await network.backend['NetworkDriver.CreateEndpoint']({ ...ids, Interface: wanted });
  await network.backend['NetworkDriver.Join']({ ...ids, SandboxKey: '' });
}

it('a routed network has the MTU of the link, and bare ways to the hosts on it', async () => {
  await startWith({ 'waggle.datapath': 'routed' });
  await until(() => state().route.bridged.size === 1 && state().neighbours.size === 2);
  expect(state().bridge?.mtu).toBe(1500);
  expect(state().route.routes).toEqual(new Map([['10.0.1.5', NEAR_MAC]]));
  expect(state().route.ports).toEqual(new Map([['10.0.1.21', '02:42:0a:00:01:15']]));
  expect([...state().bridged.keys()]).toEqual(['02:42:0a:00:01:06']);
});

it('it follows when the router between two hosts is taken away, and put back', async () => {
  await startWith({ 'waggle.datapath': 'routed' });
  await until(() => state().route.bridged.size === 1);
  // By the last of these nothing has changed for a while, and nothing is compared.
  for (let round = 0; round < 4; round++) {
    await network.audit();
    await settle();
  }
  parts.kernel.adjacent.set(FAR, '5e:00:00:00:01:03');
  await network.audit();
  await until(() => state().route.bridged.size === 2);
  parts.kernel.adjacent.clear();
  await network.audit();
  await until(() => state().route.bridged.size === 0);
  expect(state().bridged.size).toBe(2);
  expect(state().route.routes.size).toBe(0);
});

it('goes on by the link that has lost the address, and not by one that is gone', async () => {
  await startWith({ 'waggle.datapath': 'routed' });
  await until(() => state().route.bridged.size === 1);
  const { links } = parts.kernel;
  parts.kernel.links = links.map((link) => ({ ...link, addresses: [] }));
  parts.kernel.adjacent.clear();
  for (let round = 0; round < 3; round++) {
    await network.audit();
    await settle();
  }
  expect(state().route.routes).toEqual(new Map([['10.0.1.5', NEAR_MAC]]));
  parts.kernel.links = links.filter(({ name }) => name !== 'eth0');
  await network.audit();
  await until(() => state().route.routes.size === 0 && state().bridged.size === 2);
});

it('never has a larger MTU than the link, and a smaller one when asked for', async () => {
  await startWith({ 'waggle.datapath': 'routed', 'com.docker.network.driver.mtu': '9000' });
  await until(() => state().neighbours.size === 2);
  expect(state().bridge?.mtu).toBe(1500);
});

it('a VXLAN network asks for no neighbours, and has nothing of a routed one', async () => {
  await startWith({});
  await until(() => state().neighbours.size === 2);
  await network.audit();
  expect(parts.kernel.questions).toBe(0);
  expect(state().route).toEqual(emptyRoute());
  expect(state().bridge?.mtu).toBe(1450);
});
