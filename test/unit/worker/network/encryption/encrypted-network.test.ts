import path from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { silentLog } from '../../../../../proto/runtime/log.ts';
import { Tunnel } from '../../../../../worker/network/encryption/tunnel.ts';
import { dispatch } from '../../../../../worker/network/plugin/plugin-dispatch.ts';
import type { WorkerNetwork } from '../../../../../worker/network/worker-network.ts';
import { ModelTunnel } from '../../../../fixtures/model-tunnel.ts';
import { assignedNetwork, LOCAL_ID, NETWORK_ID, NetworkParts } from '../../../../fixtures/network-parts.ts';
import { settle } from '../../../../fixtures/virtual-clock.ts';

const ENDPOINT = 'e'.repeat(64);
const NAMESPACE = `1-${NETWORK_ID.slice(0, 10)}`;
const IDS = { NetworkID: LOCAL_ID, EndpointID: ENDPOINT };

let parts: NetworkParts;
let kernel: ModelTunnel;
let tunnel: Tunnel;
let network: WorkerNetwork;

beforeEach(async () => {
  parts = new NetworkParts();
  parts.assigned.networks.set(NETWORK_ID, assignedNetwork({ encrypted: '' }));
  kernel = new ModelTunnel();
  const { clock } = parts;
  tunnel = new Tunnel(
    { nodeId: 'n1', folder: path.join(parts.folder, 'tunnel') },
    { kernel, clock, random: () => 0.5, log: silentLog },
  );
  await tunnel.start();
  parts.tunnel = tunnel;
  network = parts.make();
  await network.start();
});

afterEach(async () => {
  await network.stop();
  await tunnel.stop();
  parts.remove();
});

async function call(method: string, body: object): Promise<{ Err?: string }> {
  return (await dispatch(`/${method}`, JSON.stringify(body), network.backend)).body;
}

/** Up to Join, which answers. */
async function join(): Promise<{ Err?: string }> {
  const generic = { 'com.docker.network.generic': { 'waggle.network': NETWORK_ID } };
  const pool = { Pool: '10.0.1.0/24', Gateway: '10.0.1.1/24' };
  await call('NetworkDriver.CreateNetwork', {
    NetworkID: LOCAL_ID,
    Options: generic,
    IPv4Data: [pool],
    IPv6Data: [],
  });
  await call('IpamDriver.RequestAddress', { PoolID: NETWORK_ID, Address: '10.0.1.9', Options: {} });
  await call('NetworkDriver.CreateEndpoint', { ...IDS, Interface: { Address: '10.0.1.9/24', MacAddress: '' } });
  return call('NetworkDriver.Join', { ...IDS, SandboxKey: '/var/run/docker/netns/abc' });
}

function learn(): void {
  tunnel.learn({ address: '250.0.0.1', dataPathPort: 4789, members: [] });
}

function vxlan(): { local: string; port: number; mtu: number } | undefined {
  return parts.kernel.space(NAMESPACE).state.vxlan;
}

it('has its VXLAN device, its records and its peers within the tunnel', async () => {
  learn();
  expect((await join()).Err).toBeUndefined();
  expect(vxlan()).toMatchObject({ local: '250.0.0.1', port: 4792, mtu: 1500 - 60 - 50 });
  expect(parts.table.own.get(ENDPOINT)?.vtep).toBe('250.0.0.1');
  const record = { networkId: NETWORK_ID, vni: 4097, names: [], services: [], owner: 'n2' };
  parts.table.learn({ ...record, endpointId: 'x', address: '10.0.1.20', mac: '02:42:0a:00:01:14', vtep: '250.0.0.2' });
  parts.table.learn({
    ...record,
    endpointId: 'y',
    address: '10.0.1.21',
    mac: '02:42:0a:00:01:15',
    vtep: '192.168.0.2',
  });
  for (let turn = 0; turn < 20; turn++) await settle();
  const { forwarding } = parts.kernel.space(NAMESPACE).state;
  expect([...forwarding.values()].map(({ vtep }) => vtep)).toEqual(['250.0.0.2']);
});

it('is not made while the tunnel is not up', async () => {
  expect((await join()).Err).toContain('no manager has given this node its tunnel address yet');
  // Once when it hears of its address, once for the call.
  kernel.failing.push('create-device', 'create-device');
  learn();
  expect((await call('NetworkDriver.Join', { ...IDS, SandboxKey: '/x' })).Err).toContain('create-device');
  expect(vxlan()).toBeUndefined();
  expect((await call('NetworkDriver.Join', { ...IDS, SandboxKey: '/x' })).Err).toBeUndefined();
  expect(kernel.wasOpenToAll).toBe(false);
});

it('is refused in words for the user where the host cannot encrypt, and nothing is left', async () => {
  kernel.able = { able: false, reason: 'this host cannot encrypt: install it' };
  await parts.clock.advance(31_000);
  await tunnel.reconcile('none', 1500);
  learn();
  expect((await join()).Err).toBe('this host cannot encrypt: install it');
  expect(kernel.state.device).toBeUndefined();
  expect(await parts.kernel.namespaces()).toEqual([]);
});

it('takes the tunnel away after its last container', async () => {
  learn();
  await join();
  expect(kernel.state.device).toBeDefined();
  await call('NetworkDriver.Leave', IDS);
  await call('NetworkDriver.DeleteEndpoint', IDS);
  await network.audit();
  await network.audit();
  expect(kernel.state).toEqual({ guard: 'none', blackhole: false, route: false });
  await join();
  expect(kernel.state.device).toBeDefined();
});
