import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { WaggleError } from '../../../../proto/runtime/errors.ts';
import type { ApiNetwork } from '../../../../manager/controlapi/control-api.ts';
import { type Front, type Reply, openFront } from './front.ts';

const TWIN_ID = 'd'.repeat(64);
const OTHER_TWIN_ID = 'e'.repeat(64);
const BRIDGE_ID = `b${'1'.repeat(63)}`;
const MINE_ID = `b${'2'.repeat(63)}`;
const SWARM_ID = 'net1aaaaaaaaaaaaaaaaaaaaa';

const LOCALS: ApiNetwork[] = [
  { Id: BRIDGE_ID, Name: 'bridge', Driver: 'bridge', Scope: 'local', Labels: {} },
  { Id: MINE_ID, Name: 'mine', Driver: 'bridge', Scope: 'local', Labels: {} },
  { Id: TWIN_ID, Name: 'net1', Driver: 'waggle', Scope: 'local', Labels: { 'waggle.network': SWARM_ID } },
  { Id: OTHER_TWIN_ID, Name: 'ghost', Driver: 'null', Scope: 'local', Labels: { 'waggle.network': 'x' } },
];
const SWARM: ApiNetwork[] = [
  { Id: SWARM_ID, Name: 'net1', Driver: 'overlay', Scope: 'swarm', Labels: { tier: 'web' }, Containers: null },
  { Id: 'net2bbbbbbbbbbbbbbbbbbbbb', Name: 'net2', Driver: 'overlay', Scope: 'swarm', Labels: null },
  { Id: 'ingress00000000000000000', Name: 'ingress', Driver: 'overlay', Scope: 'swarm', Labels: null, Ingress: true },
  { Id: 'mine00000000000000000000', Name: 'mine', Driver: 'overlay', Scope: 'swarm', Labels: null },
  { Id: 'predefined00000000000000', Name: 'host', Driver: 'host', Scope: 'swarm', Labels: null },
];

let front: Front;
beforeEach(async () => {
  front = await openFront();
  front.engine.json('GET /networks', 200, LOCALS);
  front.backend.answers = { listNetworks: SWARM };
  front.backend.mappings = [{ localId: TWIN_ID, clusterId: SWARM_ID, name: 'net1' }];
});
afterEach(() => front.close());

const ask = (line: string, body?: unknown, type = 'application/json'): Promise<Reply> => {
  const [method = '', url = ''] = line.split(' ');
  if (body === undefined) return front.ask(method, url);
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  return front.ask(method, url, { body: text, headers: { 'Content-Type': type } });
};
const filtered = (filters: object): string => `/networks?filters=${encodeURIComponent(JSON.stringify(filters))}`;

describe('GET /networks', () => {
  it.each<{ id: string; filters: object; swarm: string[] }>([
    { id: 'none', filters: {}, swarm: ['net1', 'net2', 'ingress', 'mine'] },
    { id: 'scope swarm', filters: { scope: ['swarm'] }, swarm: ['net1', 'net2', 'ingress', 'mine'] },
    { id: 'scope local', filters: { scope: { local: true } }, swarm: [] },
    { id: 'driver overlay', filters: { driver: { overlay: true } }, swarm: ['net1', 'net2', 'ingress', 'mine'] },
    { id: 'driver bridge', filters: { driver: ['bridge'] }, swarm: [] },
    { id: 'part of a name', filters: { name: ['net'] }, swarm: ['net1', 'net2'] },
    { id: 'anchored name', filters: { name: ['^net2$'] }, swarm: ['net2'] },
    { id: 'names are alternatives', filters: { name: ['net2', 'mine'] }, swarm: ['net2', 'mine'] },
    { id: 'broken pattern', filters: { name: ['(('] }, swarm: [] },
    { id: 'part of an ID', filters: { id: ['net1a'] }, swarm: ['net1'] },
    { id: 'label key', filters: { label: ['tier'] }, swarm: ['net1'] },
    { id: 'label value', filters: { label: ['tier=web'] }, swarm: ['net1'] },
    { id: 'labels must all match', filters: { label: ['tier=web', 'other'] }, swarm: [] },
    { id: 'custom', filters: { type: ['custom'] }, swarm: ['net1', 'net2', 'ingress', 'mine'] },
    { id: 'builtin', filters: { type: ['builtin'] }, swarm: [] },
    { id: 'dangling', filters: { dangling: ['1'] }, swarm: ['net1', 'net2', 'ingress', 'mine'] },
    { id: 'in use', filters: { dangling: ['false'] }, swarm: [] },
  ])('merges, without twins; filter $id', async ({ filters, swarm }) => {
    const got = await ask(`GET /v1.41${filtered(filters)}`);
    const names = (JSON.parse(got.text) as ApiNetwork[]).map((network) => network.Name);
    expect([got.status, names]).toEqual([200, [...swarm, 'bridge', 'mine']]);
    expect(front.engine.seen.at(-1)?.url).toBe(`/v1.41${filtered(filters)}`);
  });

  it('hands on what the engine says of a filter', async () => {
    front.engine.json('GET /networks', 400, { message: "Invalid filter 'foo'" });
    const got = await ask(`GET ${filtered({ foo: ['x'] })}`);
    expect([got.status, JSON.parse(got.text)]).toEqual([400, { message: "Invalid filter 'foo'" }]);
  });

  it.each([
    { id: 'a worker', manager: false, answer: SWARM },
    { id: 'a manager without leader', manager: true, answer: new WaggleError('unknown', 'no leader') },
  ])('shows on $id what the node knows', async ({ manager, answer }) => {
    front.backend.local = { ...front.backend.local, manager };
    front.backend.answers = { listNetworks: answer };
    front.backend.known = SWARM.slice(0, 1);
    const names = (JSON.parse((await ask('GET /networks')).text) as ApiNetwork[]).map((network) => network.Name);
    expect(names).toEqual(['net1', 'bridge', 'mine']);
  });
});

describe('GET /networks/ID', () => {
  it.each(['net1', SWARM_ID, 'net1aa', TWIN_ID])(
    'finds the swarm network by %s, with the containers here',
    async (ref) => {
      front.backend.answers = { listNetworks: SWARM, getNetwork: { ...SWARM[0], Peers: [{ IP: '10.0.0.1' }] } };
      front.engine.json(`GET /networks/${TWIN_ID}`, 200, { Id: TWIN_ID, Containers: { c1: { Name: 'c1' } } });
      const got = await ask(`GET /v1.41/networks/${ref}?verbose=true`);
      expect(JSON.parse(got.text)).toEqual({
        ...SWARM[0],
        Peers: [{ IP: '10.0.0.1' }],
        Containers: { c1: { Name: 'c1' } },
      });
      expect(front.backend.calls.at(-1)).toEqual({ operation: 'getNetwork', args: { ref: SWARM_ID, verbose: true } });
    },
  );

  it('keeps what the managers say of one that has no twin here', async () => {
    front.backend.answers = { listNetworks: SWARM, getNetwork: SWARM[1] };
    expect(JSON.parse((await ask('GET /networks/net2')).text)).toEqual(SWARM[1]);
  });

  it.each(['bridge', BRIDGE_ID, 'b1'])('leaves the local %s to the engine', async (ref) => {
    front.engine.json(`GET /networks/${BRIDGE_ID}`, 200, '{"Name":"bridge", "Id":"x"}');
    expect((await ask(`GET /v1.41/networks/${ref}?verbose=0`)).text).toBe('{"Name":"bridge", "Id":"x"}');
    expect(front.engine.seen.at(-1)?.url).toBe(`/v1.41/networks/${BRIDGE_ID}?verbose=0`);
  });

  it.each([
    ['mine', 400, 'network mine is ambiguous (2 matches found based on name)'],
    ['b', 400, 'network b is ambiguous (2 matches found based on ID prefix)'],
    ['nope', 404, 'network nope not found'],
    ['net1?scope=local', 404, 'network net1 not found'],
    ['none?scope=swarm', 404, 'network none not found'],
    ['net1?verbose=zz', 400, 'invalid value for verbose: zz: strconv.ParseBool: parsing "zz": invalid syntax'],
    ['ghost', 404, 'network ghost not found'],
  ])('answers %s with %i', async (ref, status, message) => {
    const got = await ask(`GET /networks/${ref}`);
    expect([got.status, JSON.parse(got.text)]).toEqual([status, { message }]);
  });

  it.each(['bridge', 'host'])('has %s for services, too, as the swarm knows it', async (name) => {
    const got = await ask(`GET /networks/${name}?scope=swarm`);
    expect(got.status).toBe(200);
    expect(JSON.parse(got.text)).toMatchObject({
      Id: name,
      Name: name,
      Driver: name,
      Scope: 'swarm',
      Labels: { 'com.docker.swarm.predefined': 'true' },
    });
  });

  it('leaves the swarm scope to managers', async () => {
    front.backend.local = { ...front.backend.local, manager: false };
    expect((await ask('GET /networks/bridge?scope=swarm')).status).toBe(404);
  });

  it('tells two of one name apart by scope', async () => {
    front.backend.answers = { listNetworks: SWARM, getNetwork: SWARM[3] };
    expect(JSON.parse((await ask('GET /networks/mine?scope=swarm')).text)).toEqual(SWARM[3]);
  });
});

describe('POST /networks/create', () => {
  const OVERLAY = { Name: 'new', Driver: 'overlay' };

  it('gives the managers the whole request in their words', async () => {
    front.backend.answers = { listNetworks: SWARM, createNetwork: { Id: 'n', Warning: '' } };
    const got = await ask('POST /v1.41/networks/create', {
      ...OVERLAY,
      CheckDuplicate: true,
      EnableIPv6: false,
      Attachable: true,
      Internal: true,
      Labels: { a: 'b' },
      Options: { encrypted: '' },
      IPAM: { Config: [{ Subnet: '10.9.0.0/24', AuxiliaryAddresses: { r: '10.9.0.2' } }] },
    });
    expect([got.status, JSON.parse(got.text)]).toEqual([201, { Id: 'n', Warning: '' }]);
    expect(front.backend.calls.at(-1)).toEqual({
      operation: 'createNetwork',
      args: {
        spec: {
          Name: 'new',
          Labels: { a: 'b' },
          DriverConfiguration: { Name: 'overlay', Options: { encrypted: '' } },
          IPv6Enabled: false,
          Internal: true,
          Attachable: true,
          IPAMOptions: {
            Driver: { Name: 'default' },
            Configs: [{ Subnet: '10.9.0.0/24', AuxiliaryAddresses: { r: '10.9.0.2' } }],
          },
        },
      },
    });
  });

  const NOT_MANAGER =
    'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.';
  it.each<{
    id: string;
    state: 'active' | 'inactive';
    manager: boolean;
    body: object;
    status: number;
    message: string;
  }>([
    { id: 'outside a swarm', state: 'inactive', manager: false, body: OVERLAY, status: 500, message: NOT_MANAGER },
    {
      id: 'swarm scope outside a swarm',
      state: 'inactive',
      manager: false,
      body: { Name: 'x', Driver: 'macvlan', Scope: 'swarm' },
      status: 403,
      message: 'cannot create a swarm scoped network when swarm is not active',
    },
    {
      id: 'on a worker',
      state: 'active',
      manager: false,
      body: OVERLAY,
      status: 403,
      message: 'Cannot create a multi-host network from a worker node. Please create the network from a manager node.',
    },
    {
      id: 'predefined',
      state: 'active',
      manager: true,
      body: { ...OVERLAY, Name: 'host' },
      status: 403,
      message: 'operation is not permitted on predefined host network ',
    },
    {
      id: 'no name',
      state: 'active',
      manager: true,
      body: { Driver: 'overlay' },
      status: 400,
      message: 'invalid name: ',
    },
    {
      id: 'local scope',
      state: 'active',
      manager: true,
      body: { ...OVERLAY, Scope: 'local' },
      status: 403,
      message: 'cannot downgrade network scope for overlay networks',
    },
    {
      id: 'name of a local network',
      state: 'active',
      manager: true,
      body: { Name: 'mine', Driver: 'overlay', CheckDuplicate: true },
      status: 409,
      message: 'network with name mine already exists',
    },
    {
      id: 'local network with the name of one of the swarm',
      state: 'active',
      manager: true,
      body: { Name: 'net2', Driver: 'bridge' },
      status: 409,
      message: 'network with name net2 already exists',
    },
  ])('refuses: $id', async ({ state, manager, body, status, message }) => {
    front.backend.local = { ...front.backend.local, state, manager };
    const got = await ask('POST /networks/create', body);
    expect([got.status, JSON.parse(got.text)]).toEqual([status, { message }]);
    expect(front.backend.calls.map((call) => call.operation)).not.toContain('createNetwork');
    expect(front.engine.seen.some((each) => each.method === 'POST')).toBe(false);
  });

  it.each<{ id: string; body: string; type: string }>([
    { id: 'other drivers', body: '{"Name": "b",\t"Driver":"bridge"}', type: 'application/json; charset=utf-8' },
    { id: 'no driver', body: '{"Name":"b"}', type: 'application/json' },
    {
      id: 'a configuration for other networks',
      body: '{"Name":"b","ConfigOnly":true,"Driver":"overlay"}',
      type: 'application/json',
    },
    { id: 'a name that is none', body: '{"Name":5,"Driver":"overlay"}', type: 'application/json' },
    { id: 'malformed JSON', body: '{bad', type: 'application/json' },
    { id: 'another Content-Type', body: '{"Name":"b","Driver":"overlay"}', type: 'text/plain' },
  ])('leaves to the engine, byte for byte: $id', async ({ body, type }) => {
    front.engine.json('POST /networks/create', 201, '{"Id":"L","Warning":""}');
    const got = await ask('POST /networks/create', body, type);
    expect([got.status, got.text]).toEqual([201, '{"Id":"L","Warning":""}']);
    expect(front.engine.seen.at(-1)?.body.toString()).toBe(body);
  });
});

describe('DELETE /networks/ID', () => {
  it('removes a swarm network by name', async () => {
    expect((await ask('DELETE /v1.41/networks/net2')).status).toBe(204);
    expect(front.backend.calls.at(-1)).toEqual({
      operation: 'removeNetwork',
      args: { ref: 'net2bbbbbbbbbbbbbbbbbbbbb' },
    });
  });

  it('refuses while a container of this node is on it', async () => {
    front.engine.json(`GET /networks/${TWIN_ID}`, 200, { Containers: { t1: {}, c1: {} } });
    front.engine.json('GET /containers/json', 200, [{ Id: 't1' }]);
    const got = await ask('DELETE /networks/net1');
    expect([got.status, JSON.parse(got.text)]).toEqual([
      400,
      { message: `rpc error: code = FailedPrecondition desc = network ${SWARM_ID} is in use by container c1` },
    ]);
    expect(front.backend.calls.map((call) => call.operation)).not.toContain('removeNetwork');
  });

  it('leaves it to the managers whether tasks want the network', async () => {
    front.engine.json(`GET /networks/${TWIN_ID}`, 200, { Containers: { t1: {}, t2: {} } });
    front.engine.json('GET /containers/json', 200, [{ Id: 't1' }, { Id: 't2' }, { Id: 't3' }]);
    expect((await ask('DELETE /networks/net1')).status).toBe(204);
    const query = new URLSearchParams(front.engine.seen.at(-1)?.url.split('?')[1]);
    expect(JSON.parse(query.get('filters') ?? '')).toEqual({ label: { 'com.docker.swarm.task.id': true } });
  });

  it('leaves local ones to the engine', async () => {
    front.engine.json(`DELETE /networks/${BRIDGE_ID}`, 403, { message: 'bridge is a pre-defined network' });
    expect((await ask('DELETE /networks/bridge')).status).toBe(403);
  });

  it('does not find the twin of nothing', async () => {
    expect((await ask('DELETE /networks/ghost')).status).toBe(404);
  });
});

describe('connect and disconnect', () => {
  it('makes the twin and connects to it, body untouched', async () => {
    front.backend.attachable = { net2: { localId: OTHER_TWIN_ID, clusterId: 'c', name: 'net2' } };
    front.engine.json(`POST /networks/${OTHER_TWIN_ID}/connect`, 200, '');
    const body = '{"Container":"c1", "EndpointConfig":{"Aliases":["a"]}}';
    expect((await ask('POST /v1.41/networks/net2/connect', body)).status).toBe(200);
    expect(front.engine.seen.at(-1)).toMatchObject({ url: `/v1.41/networks/${OTHER_TWIN_ID}/connect` });
    expect(front.engine.seen.at(-1)?.body.toString()).toBe(body);
  });

  const onNet2 = (endpointId: string): object => ({
    Name: '/c1',
    NetworkSettings: { Networks: { net2: { EndpointID: endpointId } } },
  });
  const requests = (): string[] => front.engine.requests.map(({ method, url }) => `${method} ${url}`);

  it('takes a container that is not running off the network first, so that what is asked for now counts', async () => {
    front.backend.attachable = { net2: { localId: OTHER_TWIN_ID, clusterId: 'c', name: 'net2' } };
    front.engine.json('GET /containers/c%2F1/json', 200, onNet2(''));
    front.engine.json(`POST /networks/${OTHER_TWIN_ID}/disconnect`, 200, '');
    front.engine.json(`POST /networks/${OTHER_TWIN_ID}/connect`, 200, '');
    expect((await ask('POST /networks/net2/connect', '{"container":"c/1"}')).status).toBe(200);
    expect(requests().slice(-2)).toEqual([
      `POST /networks/${OTHER_TWIN_ID}/disconnect`,
      `POST /networks/${OTHER_TWIN_ID}/connect`,
    ]);
    expect(front.engine.seen.at(-2)?.body.toString()).toBe('{"Container":"c/1"}');
  });

  it('refuses a container that is on the network in Docker’s words', async () => {
    front.backend.attachable = { net2: { localId: OTHER_TWIN_ID, clusterId: 'c', name: 'net2' } };
    front.engine.json('GET /containers/c1/json', 200, onNet2('e1'));
    const got = await ask('POST /networks/net2/connect', { Container: 'c1' });
    expect([got.status, JSON.parse(got.text)]).toEqual([409, { message: 'c1 is already attached to network net2' }]);
    expect(requests().at(-1)).toBe('GET /containers/c1/json');
  });

  it('refuses one that is not attachable in Docker’s words', async () => {
    front.backend.attachable = { net2: new WaggleError('permission-denied', 'network net2 not manually attachable') };
    const got = await ask('POST /networks/net2/connect', { Container: 'c1' });
    expect([got.status, JSON.parse(got.text)]).toEqual([
      403,
      {
        message:
          'Could not attach to network net2: rpc error: code = PermissionDenied desc = network net2 not manually attachable',
      },
    ]);
  });

  it.each(['net1', SWARM_ID, 'net1aaa'])('disconnects from the twin of %s', async (ref) => {
    front.engine.json(`POST /networks/${TWIN_ID}/disconnect`, 200, '');
    expect((await ask(`POST /networks/${ref}/disconnect`, { Container: 'c1' })).status).toBe(200);
  });

  it('leaves the rest to the engine', async () => {
    front.engine.json('POST /networks/mine/connect', 200, '');
    front.engine.json('POST /networks/mine/disconnect', 200, '');
    expect((await ask('POST /networks/mine/connect', { Container: 'c1' })).status).toBe(200);
    expect((await ask('POST /networks/mine/disconnect', { Container: 'c1' })).status).toBe(200);
  });
});

describe('POST /networks/prune', () => {
  const pruneUrl = (filters: object): string =>
    `POST /networks/prune?filters=${encodeURIComponent(JSON.stringify(filters))}`;

  it('spares twins on the engine and asks the managers for each of the swarm', async () => {
    front.engine.json('POST /networks/prune', 200, { NetworksDeleted: ['old'] });
    front.engine.json(`GET /networks/${TWIN_ID}`, 200, { Containers: { c1: {} } });
    front.engine.json('GET /containers/json', 200, []);
    const got = await ask('POST /v1.41/networks/prune');
    expect(JSON.parse(got.text)).toEqual({ NetworksDeleted: ['net2', 'mine', 'old'] });
    const url = front.engine.seen.find((each) => each.method === 'POST')?.url ?? '';
    expect(new URLSearchParams(url.slice(url.indexOf('?'))).get('filters')).toBe('{"label!":{"waggle.network":true}}');
  });

  it.each([
    { id: 'label', filters: { label: ['tier=web'] }, deleted: ['net1'] },
    { id: 'label!', filters: { 'label!': ['tier=web'] }, deleted: ['net2', 'mine'] },
    { id: 'until', filters: { until: ['24h'] }, deleted: null },
  ])('honours $id', async ({ filters, deleted }) => {
    const created = new Date().toISOString();
    front.backend.answers = { listNetworks: SWARM.map((network) => ({ ...network, Created: created })) };
    front.engine.json('POST /networks/prune', 200, { NetworksDeleted: ['net1'] });
    front.engine.json(`GET /networks/${TWIN_ID}`, 200, { Containers: {} });
    expect(JSON.parse((await ask(pruneUrl(filters))).text)).toEqual({ NetworksDeleted: deleted });
  });
});
