import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { dispatch } from '../../../../../worker/network/plugin/plugin-dispatch.ts';
import { inactiveBackend } from '../../../../../worker/network/plugin/inactive-backend.ts';
import type { WorkerNetwork } from '../../../../../worker/network/worker-network.ts';
import { LOCAL_ID, NETWORK_ID, NetworkParts, webTask } from '../../../../fixtures/network-parts.ts';
import { settle } from '../../../../fixtures/virtual-clock.ts';

const ENDPOINT = 'e'.repeat(64);
const SANDBOX = '/var/run/docker/netns/abc';
const GENERIC = { 'com.docker.network.generic': { 'waggle.network': NETWORK_ID } };
const POOL_ID = `${NETWORK_ID}/10.0.1.0/24`;
const POOL = {
  AddressSpace: 'waggle',
  Pool: '10.0.1.0/24',
  SubPool: '',
  Options: { 'waggle.network': NETWORK_ID },
  V6: false,
};
const GATEWAY = { RequestAddressType: 'com.docker.network.gateway' };
const IPV4 = [{ AddressSpace: 'waggle', Pool: '10.0.1.0/24', Gateway: '10.0.1.1/24', AuxAddresses: null }];

let parts: NetworkParts;
let network: WorkerNetwork;

beforeEach(async () => {
  parts = new NetworkParts();
  network = parts.make();
  await network.start();
});

afterEach(async () => {
  await network.stop();
  parts.remove();
});

/** Sends a call as the engine does. @returns its answer; fails on a status other than 200. */
async function call(method: string, body?: object): Promise<object> {
  const answer = await dispatch(`/${method}`, body === undefined ? '' : JSON.stringify(body), network.backend);
  expect(answer.status).toBe(200);
  return answer.body;
}

async function createNetwork(): Promise<void> {
  await call('IpamDriver.RequestPool', POOL);
  await call('NetworkDriver.CreateNetwork', { NetworkID: LOCAL_ID, Options: GENERIC, IPv4Data: IPV4, IPv6Data: [] });
  parts.twins = [{ localNetworkId: LOCAL_ID, networkId: NETWORK_ID }];
}

/** The calls of `docker run`, as engine 20.10.24 sent them. @returns the address. */
async function run(endpointId = ENDPOINT, address = ''): Promise<string> {
  const given = (await call('IpamDriver.RequestAddress', { PoolID: POOL_ID, Address: address, Options: null })) as {
    Address: string;
  };
  const ids = { NetworkID: LOCAL_ID, EndpointID: endpointId };
  const wanted = { Address: given.Address, AddressIPv6: '', MacAddress: '' };
  await call('NetworkDriver.CreateEndpoint', { ...ids, Interface: wanted, Options: {} });
  await call('NetworkDriver.Join', { ...ids, SandboxKey: SANDBOX, Options: {} });
  return given.Address;
}

async function stop(address: string, endpointId = ENDPOINT): Promise<void> {
  const ids = { NetworkID: LOCAL_ID, EndpointID: endpointId };
  expect(await call('NetworkDriver.Leave', ids)).toEqual({});
  expect(await call('NetworkDriver.DeleteEndpoint', ids)).toEqual({});
  const release = { PoolID: POOL_ID, Address: address.split('/')[0] };
  expect(await call('IpamDriver.ReleaseAddress', release)).toEqual({});
}

describe('the recorded sequences of engine 20.10.24', () => {
  it('network create', async () => {
    expect(await call('Plugin.Activate')).toEqual({ Implements: ['NetworkDriver', 'IpamDriver'] });
    expect(await call('NetworkDriver.GetCapabilities')).toEqual({ Scope: 'local', ConnectivityScope: 'global' });
    expect(await call('IpamDriver.GetCapabilities')).toEqual({
      RequiresMACAddress: false,
      RequiresRequestReplay: false,
    });
    expect(await call('IpamDriver.GetDefaultAddressSpaces')).toEqual({
      LocalDefaultAddressSpace: 'waggle',
      GlobalDefaultAddressSpace: 'waggle',
    });
    expect(await call('IpamDriver.RequestPool', POOL)).toEqual({ PoolID: POOL_ID, Pool: '10.0.1.0/24', Data: {} });
    const gateway = {
      PoolID: POOL_ID,
      Address: '10.0.1.1',
      Options: { RequestAddressType: 'com.docker.network.gateway' },
    };
    expect(await call('IpamDriver.RequestAddress', gateway)).toEqual({ Address: '10.0.1.1/24', Data: {} });
    await createNetwork();
    expect(parts.leases.asked).toEqual([]);
  });

  it('run, stop, and start again under a new endpoint', async () => {
    await createNetwork();
    const address = await run();
    expect(network.endpoint(ENDPOINT)).toMatchObject({
      state: 'joined',
      mac: '02:42:0a:00:01:64',
      sandboxKey: SANDBOX,
    });
    expect(parts.table.own.get(ENDPOINT)).toMatchObject({ address: '10.0.1.100', vtep: '192.168.0.1', vni: 4097 });
    expect(parts.containers.refreshed).toEqual([LOCAL_ID]);
    await stop(address);
    expect(parts.leases.released).toEqual(['10.0.1.100']);
    expect(parts.table.own.size).toBe(0);
    expect(await parts.kernel.namespaces()).toEqual([]);
    await run('d'.repeat(64));
    expect(parts.leases.asked.map(({ reference }) => reference)).toHaveLength(2);
    expect(parts.leases.asked[0]?.reference).not.toBe(parts.leases.asked[1]?.reference);
  });

  it('Join names a link that waits in the host, and no gateway', async () => {
    await createNetwork();
    await run();
    const ids = { NetworkID: LOCAL_ID, EndpointID: ENDPOINT, SandboxKey: SANDBOX };
    const answer = await call('NetworkDriver.Join', ids);
    expect(answer).toEqual({ InterfaceName: { SrcName: 'wgeeeeeeeeeeeee', DstPrefix: 'eth' }, StaticRoutes: [] });
    expect(parts.kernel.links.map(({ name }) => name)).toContain('wgeeeeeeeeeeeee');
  });

  it('keeps the MAC address that a container was given', async () => {
    await createNetwork();
    const ids = { NetworkID: LOCAL_ID, EndpointID: ENDPOINT };
    const wanted = { Address: '10.0.1.9/24', MacAddress: '02:AA:00:00:00:01' };
    await call('IpamDriver.RequestAddress', { PoolID: NETWORK_ID, Address: '10.0.1.9', Options: null });
    expect(await call('NetworkDriver.CreateEndpoint', { ...ids, Interface: wanted })).toEqual({ Interface: {} });
    expect(network.endpoint(ENDPOINT)?.mac).toBe('02:aa:00:00:00:01');
  });

  it('knows its networks and endpoints after a restart, without being told again', async () => {
    await createNetwork();
    const address = await run();
    await network.stop();
    network = parts.make();
    await network.start();
    await settle();
    expect(network.endpoint(ENDPOINT)?.state).toBe('joined');
    await run('c'.repeat(64));
    await stop(address);
    expect(parts.leases.released).toEqual(['10.0.1.100']);
    expect(await parts.kernel.namespaces()).toEqual(['1-abcdefghij']);
  });
});

describe('repeated, lost and late calls', () => {
  it.each(['Leave', 'DeleteEndpoint', 'EndpointOperInfo'])(
    '%s of an endpoint that is not there succeeds',
    async (name) => {
      const answer = await call(`NetworkDriver.${name}`, { NetworkID: LOCAL_ID, EndpointID: 'gone' });
      expect(answer).not.toHaveProperty('Err');
    },
  );

  it('removing everything twice is as once', async () => {
    await createNetwork();
    const address = await run();
    await stop(address);
    await stop(address);
    expect(network.endpoints()).toEqual([]);
    expect(await call('NetworkDriver.DeleteNetwork', { NetworkID: LOCAL_ID })).toEqual({});
    expect(await call('NetworkDriver.DeleteNetwork', { NetworkID: LOCAL_ID })).toEqual({});
  });

  const due = ['Join', 'DeleteEndpoint', 'Leave', 'CreateEndpoint', 'CreateNetwork', 'DeleteNetwork'];
  it.each(due)('refuses %s with an empty body, and changes nothing', async (name) => {
    await createNetwork();
    await run();
    const before = network.endpoints();
    expect((await dispatch(`/NetworkDriver.${name}`, '', network.backend)).status).toBe(400);
    expect(network.endpoints()).toEqual(before);
  });

  it.each([
    { id: 'not JSON', path: '/NetworkDriver.Join', text: '{', status: 400 },
    { id: 'a field of the wrong type', path: '/NetworkDriver.Join', text: '{"NetworkID":7}', status: 400 },
    { id: 'an unknown method', path: '/NetworkDriver.Fly', text: '{}', status: 404 },
    { id: 'a property of every object', path: '/constructor', text: '{}', status: 404 },
  ])('refuses $id', async ({ path, text, status }) => {
    const answer = await dispatch(path, text, network.backend);
    expect(answer.status).toBe(status);
    expect(answer.body).toHaveProperty('Err');
  });

  it('keeps the address of an endpoint that is still joined', async () => {
    await createNetwork();
    const address = await run();
    await call('IpamDriver.ReleaseAddress', { PoolID: NETWORK_ID, Address: address.split('/')[0] });
    expect(parts.leases.released).toEqual([]);
  });

  it('takes an endpoint back to where it was when its link cannot be made', async () => {
    await createNetwork();
    parts.kernel.refuseVeth = 'No buffer space available';
    await run();
    expect(network.endpoint(ENDPOINT)?.state).toBe('created');
    expect(parts.table.own.size).toBe(0);
  });
});

describe('addresses', () => {
  const refused = [
    {
      id: 'a pool that is not the network',
      method: 'RequestPool',
      body: { ...POOL, Pool: '10.9.0.0/24' },
      words: 'has the subnets 10.0.1.0/24, not 10.9.0.0/24',
    },
    {
      id: 'no swarm network named',
      method: 'RequestPool',
      body: { ...POOL, Options: {} },
      words: 'waggle.network is missing',
    },
    { id: 'IPv6', method: 'RequestPool', body: { ...POOL, V6: true }, words: 'has the subnets 10.0.1.0/24' },
    {
      id: 'an address outside',
      method: 'RequestAddress',
      body: { PoolID: NETWORK_ID, Address: '10.0.2.1' },
      words: 'not in subnet',
    },
    {
      id: 'another gateway',
      method: 'RequestAddress',
      body: { PoolID: NETWORK_ID, Address: '10.0.1.9', Options: { RequestAddressType: 'com.docker.network.gateway' } },
      words: 'the gateway of the network is 10.0.1.1',
    },
  ];
  it.each(refused)('refuses $id', async ({ method, body, words }) => {
    expect(await call(`IpamDriver.${method}`, body)).toMatchObject({ Error: expect.stringContaining(words) as string });
  });

  it.each([
    { id: 'is to end', change: { DesiredState: 'shutdown' as const } },
    { id: 'has ended', change: { Status: { Timestamp: '', State: 'failed' as const } } },
  ])('of a task that $id is asked of the manager', async ({ change }) => {
    parts.assign(webTask(change));
    await createNetwork();
    parts.leases.answer = () => Promise.reject(new Error('Address already in use'));
    const answer = await call('IpamDriver.RequestAddress', { PoolID: POOL_ID, Address: '10.0.1.50' });
    expect(answer).toMatchObject({ Error: 'Address already in use' });
  });

  it('of a task is given to one container only', async () => {
    parts.assign(webTask());
    await createNetwork();
    expect(await run(ENDPOINT, '10.0.1.50')).toBe('10.0.1.50/24');
    parts.leases.answer = () => Promise.reject(new Error('Address already in use'));
    const answer = await call('IpamDriver.RequestAddress', { PoolID: POOL_ID, Address: '10.0.1.50' });
    expect(answer).toMatchObject({ Error: 'Address already in use' });
  });

  it('a task has its address without a manager, and does not give it back', async () => {
    parts.assign(webTask());
    parts.leases.answer = () => Promise.reject(new Error('no manager'));
    await createNetwork();
    expect(await run(ENDPOINT, '10.0.1.50')).toBe('10.0.1.50/24');
    await stop('10.0.1.50/24');
    expect(parts.leases.asked).toEqual([]);
    expect(parts.leases.released).toEqual([]);
  });

  it('has given an address back when the engine is told so, as far as a manager can be asked', async () => {
    await createNetwork();
    await run();
    const known = Promise.withResolvers<void>();
    parts.leases.manager = known.promise;
    let told = false;
    const release = stop('10.0.1.100/24').finally(() => (told = true));
    await vi.waitFor(() => expect(parts.leases.released).toEqual(['10.0.1.100']));
    await settle();
    expect(told).toBe(false);
    known.resolve();
    await release;
  });

  it('says why there is no address', async () => {
    parts.leases.answer = () => Promise.reject(new Error('no available IPv4 addresses on this network'));
    const answer = await call('IpamDriver.RequestAddress', { PoolID: NETWORK_ID, Address: '' });
    expect(answer).toMatchObject({ Error: 'no available IPv4 addresses on this network' });
  });

  it('does not wait for a silent manager for ever, and gives back what comes too late', async () => {
    let answer: (address: string) => void = () => undefined;
    parts.leases.answer = () => new Promise((resolve) => (answer = resolve));
    const asked = call('IpamDriver.RequestAddress', { PoolID: NETWORK_ID, Address: '' });
    await parts.clock.advance(10_000);
    expect(await asked).toMatchObject({ Error: 'no manager has given an address in time' });
    answer('10.0.1.7/24');
    await settle();
    expect(parts.leases.released).toEqual(['10.0.1.7']);
  });

  it('gives back an address that no endpoint claims within a minute, also after a restart', async () => {
    await createNetwork();
    await call('IpamDriver.RequestAddress', { PoolID: NETWORK_ID, Address: '', Options: null });
    await run();
    await network.stop();
    network = parts.make();
    await network.start();
    await parts.clock.advance(50_000);
    expect(parts.leases.released).toEqual([]);
    await parts.clock.advance(20_000);
    expect(parts.leases.released).toEqual(['10.0.1.100']);
    expect(network.heldAddresses()).toEqual([{ networkId: NETWORK_ID, address: '10.0.1.101' }]);
  });
});

it('an endpoint is refused whose address was given back, or is not ours', async () => {
  await createNetwork();
  await call('IpamDriver.RequestAddress', { PoolID: NETWORK_ID, Address: '', Options: null });
  await parts.clock.advance(80_000);
  expect(parts.leases.released).toEqual(['10.0.1.100']);
  const body = (Address: string, AddressIPv6 = ''): object => ({
    NetworkID: LOCAL_ID,
    EndpointID: ENDPOINT,
    Interface: { Address, AddressIPv6, MacAddress: '' },
    Options: {},
  });
  const refusal = 'is not leased to this node: it was not used in time and was given back, or never asked for';
  expect(await call('NetworkDriver.CreateEndpoint', body('10.0.1.100/24'))).toMatchObject({
    Error: `address 10.0.1.100 ${refusal}`,
  });
  parts.assign(webTask());
  expect(await call('NetworkDriver.CreateEndpoint', body('10.0.1.50/24', 'fd00:1::9/64'))).toMatchObject({
    Error: `address fd00:1::9 ${refusal}`,
  });
  expect(await call('NetworkDriver.CreateEndpoint', body('10.0.1.50/24'))).toMatchObject({ Interface: {} });
});

describe('a network that is not assigned yet', () => {
  it('is waited for', async () => {
    const late = parts.assigned.networks.get(NETWORK_ID);
    parts.assigned.networks.clear();
    const asked = call('IpamDriver.RequestPool', POOL);
    await parts.clock.advance(1_500);
    if (late !== undefined) parts.assigned.networks.set(NETWORK_ID, late);
    parts.assign(webTask());
    expect(await asked).toMatchObject({ PoolID: POOL_ID });
  });

  it('is refused after 2 s', async () => {
    parts.assigned.networks.clear();
    const asked = call('IpamDriver.RequestPool', POOL);
    await parts.clock.advance(2_000);
    expect(await asked).toMatchObject({ Error: expect.stringContaining('not known on this node') as string });
  });
});

describe('a node without a swarm', () => {
  it('makes nothing, in the words Docker has for it', async () => {
    const answer = await dispatch('/IpamDriver.RequestPool', JSON.stringify(POOL), inactiveBackend);
    expect(answer).toMatchObject({
      status: 200,
      body: { Error: expect.stringContaining('not part of a swarm') as string },
    });
  });

  it('lets the engine give back and start', async () => {
    const ids = JSON.stringify({ NetworkID: LOCAL_ID, EndpointID: ENDPOINT });
    for (const name of ['Leave', 'DeleteEndpoint', 'DeleteNetwork']) {
      expect((await dispatch(`/NetworkDriver.${name}`, ids, inactiveBackend)).body).toEqual({});
    }
    expect((await dispatch('/Plugin.Activate', '', inactiveBackend)).status).toBe(200);
  });
});

describe('a network of several subnets and both families', () => {
  const subnets = [
    { Subnet: 'fd00:1::/64', Gateway: 'fd00:1::1', IPRange: 'fd00:1::/64' },
    { Subnet: '10.0.1.0/24', Gateway: '10.0.1.1', IPRange: '10.0.1.0/24' },
    { Subnet: '10.0.2.0/24', Gateway: '10.0.2.254', IPRange: '10.0.2.0/24' },
  ];
  const pools = ['10.0.1.0/24', '10.0.2.0/24'].map((Pool) => ({ Pool }));

  async function create(): Promise<object> {
    const known = parts.assigned.networks.get(NETWORK_ID);
    if (known === undefined) throw new Error('no network');
    const Allocated = { ...known.Allocated, VNIs: [4097, 4098], Subnets: subnets };
    parts.assigned.networks.set(NETWORK_ID, { ...known, Allocated });
    const IPv6Data = [{ Pool: 'fd00:1::/64' }];
    return call('NetworkDriver.CreateNetwork', { NetworkID: LOCAL_ID, Options: GENERIC, IPv4Data: pools, IPv6Data });
  }

  it('has a pool for each', async () => {
    expect(await create()).toEqual({});
    for (const { Subnet: Pool, Gateway } of subnets) {
      const request = { ...POOL, Pool, V6: Pool.includes(':') };
      expect(await call('IpamDriver.RequestPool', request)).toEqual({
        PoolID: `${NETWORK_ID}/${Pool}`,
        Pool,
        Data: {},
      });
      const gateway = { PoolID: `${NETWORK_ID}/${Pool}`, Address: Gateway, Options: GATEWAY };
      const Address = `${Gateway}/${Pool.split('/')[1]}`;
      expect(await call('IpamDriver.RequestAddress', gateway)).toEqual({ Address, Data: {} });
      expect(await call('IpamDriver.ReleaseAddress', gateway)).toEqual({});
    }
    expect(parts.leases.released).toEqual([]);
    const lacking = { NetworkID: LOCAL_ID, Options: GENERIC, IPv4Data: pools.slice(1), IPv6Data: [] };
    expect(await call('NetworkDriver.CreateNetwork', lacking)).toMatchObject({
      Err: expect.stringContaining('has the subnets 10.0.1.0/24, 10.0.2.0/24, fd00:1::/64') as string,
    });
  });

  it('gives an endpoint both addresses and routes to the other subnets, and takes both back', async () => {
    await create();
    const answers = ['10.0.2.7/24', 'fd00:1::7/64'];
    parts.leases.answer = () => Promise.resolve(answers.shift() ?? '');
    const ask = async (pool: string): Promise<string> => {
      const request = { PoolID: `${NETWORK_ID}/${pool}`, Address: '', Options: null };
      return ((await call('IpamDriver.RequestAddress', request)) as { Address: string }).Address;
    };
    // Asked for the first subnet, the manager gave what it had, of the second.
    const [Address, AddressIPv6] = [await ask('10.0.1.0/24'), await ask('fd00:1::/64')];
    expect(parts.leases.asked.map(({ ipv6 }) => ipv6)).toEqual([false, true]);
    const ids = { NetworkID: LOCAL_ID, EndpointID: ENDPOINT };
    await call('NetworkDriver.CreateEndpoint', { ...ids, Interface: { Address, AddressIPv6, MacAddress: '' } });
    expect(await call('NetworkDriver.Join', { ...ids, SandboxKey: SANDBOX })).toMatchObject({
      StaticRoutes: [{ Destination: '10.0.1.0/24', RouteType: 1 }],
    });
    expect(parts.table.own.get(ENDPOINT)).toMatchObject({ address: '10.0.2.7', address6: 'fd00:1::7', vni: 4097 });
    await call('NetworkDriver.Leave', ids);
    await call('NetworkDriver.DeleteEndpoint', ids);
    await call('IpamDriver.ReleaseAddress', { PoolID: `${NETWORK_ID}/10.0.1.0/24`, Address: '10.0.2.7' });
    await call('IpamDriver.ReleaseAddress', { PoolID: `${NETWORK_ID}/fd00:1::/64`, Address: 'fd00:1::7' });
    expect(parts.leases.released).toEqual(['10.0.2.7', 'fd00:1::7']);
    expect(network.heldAddresses()).toEqual([]);
  });
});
