import { afterEach, beforeEach, expect, it } from 'vitest';
import { silentLog } from '../../../../../proto/runtime/log.ts';
import { MemberGuard } from '../../../../../worker/network/guard/member-guard.ts';
import { dispatch } from '../../../../../worker/network/plugin/plugin-dispatch.ts';
import type { WorkerNetwork } from '../../../../../worker/network/worker-network.ts';
import { ModelGuard } from '../../../../fixtures/model-guard.ts';
import { assignedNetwork, LOCAL_ID, NETWORK_ID, NetworkParts } from '../../../../fixtures/network-parts.ts';
import { settle } from '../../../../fixtures/virtual-clock.ts';

const ENDPOINT = 'e'.repeat(64);
const NAMESPACE = `1-${NETWORK_ID.slice(0, 10)}`;
const IDS = { NetworkID: LOCAL_ID, EndpointID: ENDPOINT };
const VNI = 4097;
const [OWN, OTHER] = ['192.168.0.1', '192.168.0.2'];

let parts: NetworkParts;
let kernel: ModelGuard;
let guard: MemberGuard;
let network: WorkerNetwork;
/** At each change of an overlay in the kernel: a VXLAN device that took packets from everybody, and a host that was sent to but not let in. */
let wrong: string[];

async function begin(options: Record<string, string> = {}): Promise<void> {
  parts.assigned.networks.set(NETWORK_ID, assignedNetwork(options));
  network = parts.make();
  await network.start();
}

beforeEach(() => {
  parts = new NetworkParts();
  kernel = new ModelGuard();
  const { clock } = parts;
  guard = new MemberGuard({ vtep: OWN, port: 4789 }, { kernel, clock, random: () => 0.5, log: silentLog });
  guard.learn([OWN]);
  parts.guard = guard;
  wrong = [];
  const apply = parts.kernel.apply.bind(parts.kernel);
  parts.kernel.apply = async (namespace, operations) => {
    const failures = await apply(namespace, operations);
    const { vxlan, forwarding } = parts.kernel.space(namespace).state;
    if (vxlan !== undefined && kernel.admits('192.168.0.99', VNI)) wrong.push('open to all');
    for (const { vtep } of forwarding.values()) if (!kernel.admits(vtep, VNI)) wrong.push(`not let in: ${vtep}`);
    return failures;
  };
});

afterEach(async () => {
  await network.stop();
  parts.remove();
});

async function call(method: string, body: object): Promise<{ Err?: string }> {
  return (await dispatch(`/${method}`, JSON.stringify(body), network.backend)).body;
}

async function join(): Promise<void> {
  await call('NetworkDriver.CreateNetwork', {
    NetworkID: LOCAL_ID,
    Options: { 'com.docker.network.generic': { 'waggle.network': NETWORK_ID } },
    IPv4Data: [{ Pool: '10.0.1.0/24', Gateway: '10.0.1.1/24' }],
    IPv6Data: [],
  });
  await call('IpamDriver.RequestAddress', { PoolID: NETWORK_ID, Address: '10.0.1.9', Options: {} });
  await call('NetworkDriver.CreateEndpoint', { ...IDS, Interface: { Address: '10.0.1.9/24', MacAddress: '' } });
  expect((await call('NetworkDriver.Join', { ...IDS, SandboxKey: '/x' })).Err).toBeUndefined();
}

function hear(vtep: string): void {
  const record = { networkId: NETWORK_ID, vni: VNI, names: [], services: [], owner: 'n2', endpointId: 'x', vtep };
  parts.table.learn({ ...record, address: '10.0.1.20', mac: '02:42:0a:00:01:14' });
}

it('is in force before the VXLAN device, lets a host in before anything is sent to it, and goes after the last container', async () => {
  await begin();
  expect(kernel.done).toEqual([]);
  await join();
  hear(OTHER);
  for (let turn = 0; turn < 20; turn++) await settle();
  const { vxlan, forwarding } = parts.kernel.space(NAMESPACE).state;
  expect([vxlan?.vni, ...[...forwarding.values()].map(({ vtep }) => vtep)]).toEqual([VNI, OTHER]);
  expect(kernel.admits(OTHER, VNI)).toBe(true);
  expect(wrong).toEqual([]);
  await call('NetworkDriver.Leave', IDS);
  await call('NetworkDriver.DeleteEndpoint', IDS);
  await network.audit();
  await network.audit();
  expect(kernel.state.table).toBe('none');
});

it('is taken away with the swarm', async () => {
  await begin();
  await join();
  expect(kernel.state.table).not.toBe('none');
  await network.purge();
  expect(kernel.state.table).toBe('none');
});

it('stays over a restart that does not know the members, and shuts nobody out then', async () => {
  await begin();
  await join();
  hear(OTHER);
  for (let turn = 0; turn < 20; turn++) await settle();
  await network.stop();
  const { members } = kernel.state;
  const { clock } = parts;
  parts.guard = new MemberGuard({ vtep: OWN, port: 4789 }, { kernel, clock, random: () => 0.5, log: silentLog });
  network = parts.make();
  await network.start();
  await network.audit();
  expect(kernel.state.members).toEqual(members);
  expect(kernel.state.table).not.toBe('none');
});

it('leaves encrypted networks alone: their packets come by the tunnel', async () => {
  await begin({ encrypted: '' });
  hear('250.0.0.2');
  await network.audit();
  expect(kernel.done).toEqual([]);
});
