import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { WaggleError } from '../../../../proto/runtime/errors.ts';
import { type Front, openFront } from './front.ts';

let front: Front;
beforeEach(async () => {
  front = await openFront();
});
afterEach(() => front.close());

interface Case {
  id: string;
  ask: string;
  body?: string;
  answers?: Record<string, unknown>;
  status: number;
  reply?: unknown;
  call?: { operation: string; args: unknown };
}

const GOOD: Case[] = [
  {
    id: 'init answers with the ID as a JSON string',
    ask: 'POST /swarm/init',
    body: '{"ListenAddr":"0.0.0.0:2377","Extra":{"kept":true}}',
    answers: { init: 'abc' },
    status: 200,
    reply: 'abc',
    call: { operation: 'init', args: { ListenAddr: '0.0.0.0:2377', Extra: { kept: true } } },
  },
  {
    id: 'join',
    ask: 'POST /swarm/join',
    body: '{"JoinToken":"t"}',
    status: 200,
    call: { operation: 'join', args: { JoinToken: 't' } },
  },
  {
    id: 'field names in any case',
    ask: 'POST /swarm/join',
    body: '{"joinToken":"t","REMOTEADDRS":["a"]}',
    status: 200,
    call: { operation: 'join', args: { JoinToken: 't', RemoteAddrs: ['a'] } },
  },
  { id: 'leave', ask: 'POST /swarm/leave', status: 200, call: { operation: 'leave', args: false } },
  { id: 'leave forced', ask: 'POST /v1.41/swarm/leave?force=1', status: 200, call: { operation: 'leave', args: true } },
  {
    id: 'leave with a word for false',
    ask: 'POST /swarm/leave?force=None',
    status: 200,
    call: { operation: 'leave', args: false },
  },
  {
    id: 'unlock',
    ask: 'POST /swarm/unlock',
    body: '{"UnlockKey":"k"}',
    status: 200,
    call: { operation: 'unlock', args: 'k' },
  },
  {
    id: 'unlock key',
    ask: 'GET /swarm/unlockkey',
    answers: { getUnlockKey: { UnlockKey: 'k' } },
    status: 200,
    reply: { UnlockKey: 'k' },
  },
  { id: 'swarm', ask: 'GET /swarm', answers: { getCluster: { ID: 'c' } }, status: 200, reply: { ID: 'c' } },
  {
    id: 'swarm update',
    ask: 'POST /swarm/update?version=7&rotateWorkerToken=true&rotateManagerToken=0',
    body: '{"Name":"default"}',
    status: 200,
    call: {
      operation: 'updateCluster',
      args: {
        version: 7,
        spec: { Name: 'default' },
        rotateWorkerToken: true,
        rotateManagerToken: false,
        rotateManagerUnlockKey: false,
      },
    },
  },
  {
    id: 'list with filters as a set',
    ask: `GET /nodes?filters=${encodeURIComponent('{"label":{"a=b":true,"c":true}}')}`,
    answers: { listNodes: [{ ID: 'n' }] },
    status: 200,
    reply: [{ ID: 'n' }],
    call: { operation: 'listNodes', args: { filters: { label: ['a=b', 'c'] } } },
  },
  {
    id: 'list with filters as lists',
    ask: `GET /v1.24/tasks?filters=${encodeURIComponent('{"service":["web"],"_up-to-date":["true"]}')}`,
    status: 200,
    reply: [],
    call: { operation: 'listTasks', args: { filters: { service: ['web'], '_up-to-date': ['true'] } } },
  },
  { id: 'node', ask: 'GET /nodes/self%20x', status: 200, call: { operation: 'getNode', args: { ref: 'self x' } } },
  {
    id: 'node update',
    ask: 'POST /nodes/n1/update?version=12',
    body: '{"Role":"manager","Availability":"active"}',
    status: 200,
    call: {
      operation: 'updateNode',
      args: { ref: 'n1', version: 12, spec: { Role: 'manager', Availability: 'active' } },
    },
  },
  {
    id: 'node remove',
    ask: 'DELETE /nodes/n1?force=true',
    status: 200,
    call: { operation: 'removeNode', args: { ref: 'n1', force: true } },
  },
  {
    id: 'services with status',
    ask: 'GET /services?status=true',
    status: 200,
    reply: [],
    call: { operation: 'listServices', args: { filters: {}, status: true } },
  },
  {
    id: 'service create',
    ask: 'POST /services/create',
    body: '{"Name":"web","TaskTemplate":{}}',
    answers: { createService: { ID: 's1' } },
    status: 201,
    reply: { ID: 's1' },
    call: { operation: 'createService', args: { spec: { Name: 'web', TaskTemplate: {} }, registryAuth: 'cred' } },
  },
  {
    id: 'service with defaults',
    ask: 'GET /services/web?insertDefaults=true',
    status: 200,
    call: { operation: 'getService', args: { ref: 'web', insertDefaults: true } },
  },
  {
    id: 'service update',
    ask: 'POST /services/web/update?version=3&registryAuthFrom=previous-spec&rollback=previous',
    body: '{}',
    status: 200,
    reply: { Warnings: null },
    call: {
      operation: 'updateService',
      args: {
        ref: 'web',
        version: 3,
        spec: {},
        registryAuth: 'cred',
        registryAuthFrom: 'previous-spec',
        rollback: true,
      },
    },
  },
  {
    id: 'service remove',
    ask: 'DELETE /services/web',
    status: 200,
    call: { operation: 'removeService', args: { ref: 'web' } },
  },
  { id: 'task', ask: 'GET /tasks/t', status: 200, call: { operation: 'getTask', args: { ref: 't' } } },
  {
    id: 'secret create',
    ask: 'POST /secrets/create',
    body: '{"Name":"s"}',
    answers: { createSecret: { ID: 'x' } },
    status: 201,
    reply: { ID: 'x' },
  },
  {
    id: 'secret remove',
    ask: 'DELETE /secrets/s',
    status: 204,
    call: { operation: 'removeSecret', args: { ref: 's' } },
  },
  {
    id: 'secret update',
    ask: 'POST /secrets/s/update?version=2',
    body: '{"Name":"s"}',
    status: 200,
    call: { operation: 'updateSecret', args: { ref: 's', version: 2, spec: { Name: 's' } } },
  },
  {
    id: 'config create',
    ask: 'POST /configs/create',
    body: '{"Name":"c"}',
    answers: { createConfig: { ID: 'y' } },
    status: 201,
    reply: { ID: 'y' },
  },
  {
    id: 'config remove',
    ask: 'DELETE /configs/c',
    status: 204,
    call: { operation: 'removeConfig', args: { ref: 'c' } },
  },
  {
    id: 'null body counts as empty',
    ask: 'POST /configs/create',
    body: 'null',
    answers: { createConfig: { ID: 'y' } },
    status: 201,
  },
];

describe('swarm routes', () => {
  it.each(GOOD)('$id', async ({ ask, body, answers, status, reply, call }) => {
    front.backend.answers = answers ?? {};
    const [method = '', url = ''] = ask.split(' ');
    const got = await front.ask(method, url, {
      ...(body === undefined ? {} : { body }),
      headers: { 'X-Registry-Auth': 'cred' },
    });
    expect({ status: got.status, text: got.text }).toMatchObject({ status });
    if (reply !== undefined) expect(JSON.parse(got.text)).toEqual(reply);
    if (call !== undefined) expect(front.backend.calls).toContainEqual(call);
    expect(front.engine.requests).toEqual([]);
  });

  const ERRORS: { id: string; ask: string; body?: string; status: number; message: string }[] = [
    {
      id: 'bad key',
      ask: 'POST /swarm/init',
      body: '{bad',
      status: 400,
      message: "invalid character 'b' looking for beginning of object key string",
    },
    { id: 'no body', ask: 'POST /swarm/init', status: 400, message: 'got EOF while reading request body' },
    { id: 'cut off', ask: 'POST /services/create', body: '{"Name":"x"', status: 400, message: 'unexpected EOF' },
    {
      id: 'not an object',
      ask: 'POST /services/create',
      body: '[]',
      status: 400,
      message: 'json: cannot unmarshal array into Go value of type swarm.ServiceSpec',
    },
    {
      id: 'too deep',
      ask: 'POST /services/create',
      body: `{"Labels":${'['.repeat(200_000)}`,
      status: 400,
      message: 'exceeded max depth',
    },
    {
      id: 'an unlock key that is no text',
      ask: 'POST /swarm/unlock',
      body: '{"UnlockKey":{"a":1}}',
      status: 400,
      message: 'invalid spec: UnlockKey: Invalid input: expected string, received object',
    },
    {
      id: 'one remote address where several may be',
      ask: 'POST /swarm/join',
      body: '{"RemoteAddrs":"10.1.0.1"}',
      status: 400,
      message: 'invalid spec: RemoteAddrs: Invalid input: expected array, received string',
    },
    {
      id: 'a pool that is no list',
      ask: 'POST /swarm/init',
      body: '{"DefaultAddrPool":"10.0.0.0/8"}',
      status: 400,
      message: 'invalid spec: DefaultAddrPool: Invalid input: expected array, received string',
    },
    {
      id: 'no service version',
      ask: 'POST /services/x/update',
      body: '{}',
      status: 400,
      message: 'invalid service version \'\': strconv.ParseUint: parsing "": invalid syntax',
    },
    {
      id: 'no number',
      ask: 'POST /services/x/update?version=abc',
      body: '{}',
      status: 400,
      message: 'invalid service version \'abc\': strconv.ParseUint: parsing "abc": invalid syntax',
    },
    {
      id: 'negative',
      ask: 'POST /nodes/x/update?version=-1',
      body: '{}',
      status: 400,
      message: 'invalid node version \'-1\': strconv.ParseUint: parsing "-1": invalid syntax',
    },
    {
      id: 'too large',
      ask: 'POST /swarm/update?version=99999999999999999999',
      body: '{}',
      status: 400,
      message:
        'invalid swarm version \'99999999999999999999\': strconv.ParseUint: parsing "99999999999999999999": value out of range',
    },
    {
      id: 'secret version',
      ask: 'POST /secrets/x/update?version=',
      body: '{}',
      status: 400,
      message: 'invalid secret version',
    },
    {
      id: 'config version',
      ask: 'POST /configs/x/update?version=x',
      body: '{}',
      status: 400,
      message: 'invalid config version',
    },
    {
      id: 'rotate',
      ask: 'POST /swarm/update?version=1&rotateWorkerToken=zz',
      body: '{}',
      status: 400,
      message: 'invalid value for rotateWorkerToken: zz',
    },
    {
      id: 'status',
      ask: 'GET /services?status=zz',
      status: 400,
      message: 'invalid value for status: zz: strconv.ParseBool: parsing "zz": invalid syntax',
    },
    {
      id: 'filters',
      ask: 'GET /services?filters=bad',
      status: 400,
      message: "invalid character 'b' looking for beginning of value",
    },
    {
      id: 'registryAuthFrom',
      ask: 'POST /services/x/update?version=1&registryAuthFrom=q',
      body: '{}',
      status: 400,
      message: 'unsupported registryAuthFrom value',
    },
    {
      id: 'service logs',
      ask: 'GET /services/x/logs',
      status: 501,
      message: 'logs of services and tasks are not supported',
    },
    {
      id: 'task logs',
      ask: 'GET /v1.41/tasks/x/logs',
      status: 501,
      message: 'logs of services and tasks are not supported',
    },
    { id: 'unknown below swarm', ask: 'GET /swarm/what', status: 404, message: 'page not found' },
    { id: 'unknown method', ask: 'DELETE /services', status: 404, message: 'page not found' },
    { id: 'trailing slash', ask: 'GET /services/', status: 404, message: 'page not found' },
  ];
  it.each(ERRORS)('refuses: $id', async ({ ask, body, status, message }) => {
    const [method = '', url = ''] = ask.split(' ');
    const got = await front.ask(method, url, body === undefined ? {} : { body });
    expect({ status: got.status, body: JSON.parse(got.text) as unknown }).toEqual({ status, body: { message } });
    expect(got.headers['content-type']).toBe('application/json');
    expect(front.backend.calls).toEqual([]);
  });

  it.each([
    ['invalid-argument', 400],
    ['failed-precondition', 400],
    ['out-of-range', 400],
    ['unauthenticated', 401],
    ['permission-denied', 403],
    ['not-found', 404],
    ['already-exists', 409],
    ['unknown', 500],
    ['internal', 500],
    ['unimplemented', 501],
    ['unavailable', 503],
  ] as const)('answers %s with %i', async (code, status) => {
    front.backend.answers = { getNode: new WaggleError(code, 'in these words') };
    const got = await front.ask('GET', '/nodes/x');
    expect([got.status, got.text]).toEqual([status, '{"message":"in these words"}\n']);
  });

  it('refuses a body over the limit with 413 and stays usable', async () => {
    const got = await front.ask('POST', '/configs/create', { body: Buffer.alloc(5 * 1024 * 1024, 32) });
    expect([got.status, got.text]).toEqual([413, '{"message":"http: request body too large"}\n']);
    expect((await front.ask('GET', '/nodes')).status).toBe(200);
  });

  it('takes any Content-Type on swarm routes', async () => {
    const got = await front.ask('POST', '/secrets/create', {
      body: '{"Name":"s"}',
      headers: { 'Content-Type': 'text/plain' },
    });
    expect(got.status).toBe(201);
  });

  it.each(['/v1.99/services', '/v1.11/nodes'])('leaves the refusal of %s to the engine', async (url) => {
    front.engine.json(`GET ${url.slice(6)}`, 400, { message: 'as the engine says' });
    const got = await front.ask('GET', url);
    expect([got.status, JSON.parse(got.text)]).toEqual([400, { message: 'as the engine says' }]);
    expect(front.backend.calls).toEqual([]);
  });

  it('serves the swarm while the engine is away', async () => {
    await front.engine.close();
    front.backend.answers = { listNodes: [{ ID: 'n' }] };
    expect(JSON.parse((await front.ask('GET', '/v1.41/nodes')).text)).toEqual([{ ID: 'n' }]);
    const proxied = await front.ask('GET', '/images/json');
    expect([proxied.status, JSON.parse(proxied.text)]).toEqual([
      503,
      { message: `Cannot connect to the Docker daemon at unix://${front.enginePath}. Is the docker daemon running?` },
    ]);
    expect((await front.ask('GET', '/info')).status).toBe(503);
    expect((await front.ask('GET', '/events')).status).toBe(503);
  });
});
