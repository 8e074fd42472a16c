import { type ClientRequest, type IncomingMessage, type ServerResponse, request } from 'node:http';
import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { encodeEvent, eventOf } from '../../../../manager/engineapi/event-message.ts';
import { rewriteLine } from '../../../../manager/engineapi/event-stream.ts';
import type { StoreEvent } from '../../../../manager/store/transaction.ts';
import type { NodeObject } from '../../../../proto/objects/node.ts';
import type { ServiceObject } from '../../../../proto/objects/service.ts';
import { eventually } from '../../../lab/eventually.ts';
import { type Front, openFront } from './front.ts';

const META = {
  Version: { Index: 1 },
  CreatedAt: '2026-11-20T16:06:14.725407317Z',
  UpdatedAt: '2026-11-20T16:06:15.000000001Z',
};
const NOW_MS = 1_800_000_000_000;
const network = (id: string, name: string): Extract<StoreEvent, { table: 'networks' }>['after'] => ({
  ID: id,
  ...META,
  Spec: { Name: name },
});
const service = (change: Partial<ServiceObject>): ServiceObject => ({
  ID: 's1',
  ...META,
  Spec: { Name: 'web', TaskTemplate: { ContainerSpec: { Image: 'a:1' } }, Mode: { Replicated: { Replicas: 1 } } },
  SpecVersion: 1,
  ...change,
});
const node = (change: Partial<NodeObject>): NodeObject => ({
  ID: 'n1',
  ...META,
  Spec: { Role: 'manager', Availability: 'active' },
  Description: {
    Hostname: 'h1',
    Platform: { Architecture: 'x86_64', OS: 'linux' },
    Resources: { NanoCPUs: 1, MemoryBytes: 1 },
    Engine: { EngineVersion: '20.10' },
  },
  Status: { State: 'ready' },
  CertificateRole: 'manager',
  ...change,
});

describe('eventOf', () => {
  const created = network('net1', 'front');
  it.each<{ id: string; change: StoreEvent; action: string; attributes: Record<string, string> }>([
    {
      id: 'create',
      change: { table: 'networks', ...(created && { after: created }) },
      action: 'create',
      attributes: { name: 'front' },
    },
    {
      id: 'remove',
      change: { table: 'networks', ...(created && { before: created }) },
      action: 'remove',
      attributes: { name: 'front' },
    },
    {
      id: 'service update',
      change: {
        table: 'services',
        before: service({}),
        after: service({
          Spec: {
            Name: 'web',
            TaskTemplate: { ContainerSpec: { Image: 'a:2' } },
            Mode: { Replicated: { Replicas: 3 } },
          },
          UpdateStatus: { State: 'updating', Message: '' },
        }),
      },
      action: 'update',
      attributes: {
        name: 'web',
        'replicas.old': '1',
        'replicas.new': '3',
        'image.old': 'a:1',
        'image.new': 'a:2',
        'updatestate.new': 'updating',
      },
    },
    {
      id: 'service update that makes the state of an earlier one void',
      change: {
        table: 'services',
        before: service({ UpdateStatus: { State: 'completed', Message: '' } }),
        after: service({}),
      },
      action: 'update',
      attributes: { name: 'web' },
    },
    {
      id: 'node update',
      change: {
        table: 'nodes',
        before: node({ ManagerStatus: { Reachability: 'reachable', Addr: 'a' } }),
        after: node({
          Spec: { Role: 'worker', Availability: 'drain' },
          CertificateRole: 'worker',
          Status: { State: 'down' },
          ManagerStatus: { Leader: true, Reachability: 'unreachable', Addr: 'a' },
        }),
      },
      action: 'update',
      attributes: {
        name: 'h1',
        'availability.old': 'active',
        'availability.new': 'drain',
        'role.old': 'manager',
        'role.new': 'worker',
        'state.old': 'ready',
        'state.new': 'down',
        'leader.old': 'false',
        'leader.new': 'true',
        'reachability.old': 'reachable',
        'reachability.new': 'unreachable',
      },
    },
  ])('$id', ({ change, action, attributes }) => {
    expect(eventOf(change, NOW_MS)).toMatchObject({ action, attributes });
  });

  it('prints nanoseconds whole', () => {
    if (created === undefined) throw new Error('no network');
    const event = eventOf({ table: 'networks', after: created }, NOW_MS);
    if (event === undefined) throw new Error('no event');
    expect(encodeEvent(event)).toBe(
      '{"Type":"network","Action":"create","Actor":{"ID":"net1","Attributes":{"name":"front"}},"scope":"swarm","time":1795190774,"timeNano":1795190774725407317}\n',
    );
  });
});

describe('rewriteLine', () => {
  const localId = 'd'.repeat(64);
  const mappings = [{ localId, clusterId: 'net1', name: 'front' }];
  const line = (action: string): string =>
    `{"Type":"network","Action":"${action}","Actor":{"ID":"${localId}","Attributes":{"name":"front","type":"waggle"}}}`;

  it('lets twins pass for overlay networks', () => {
    expect(rewriteLine(line('connect'), mappings)).toBe(
      '{"Type":"network","Action":"connect","Actor":{"ID":"net1","Attributes":{"name":"front","type":"overlay"}}}',
    );
  });

  it('hides the making of a twin that is not known yet', () => {
    expect(rewriteLine(line('create'), [])).toBeUndefined();
    expect(rewriteLine('{"Type":"container"}', [])).toBe('{"Type":"container"}');
  });
});

describe('GET /events', () => {
  let front: Front;
  let upstream: ServerResponse | undefined;
  beforeEach(async () => {
    front = await openFront();
    upstream = undefined;
    front.engine.answers.set('GET /events', (_req, res) => {
      res.writeHead(200, { 'Content-Type': 'application/json' });
      res.flushHeaders();
      upstream = res;
    });
  });
  afterEach(() => front.close());

  const emit = (id: string, name: string): void => {
    const after = network(id, name);
    if (after !== undefined) front.backend.emit({ table: 'networks', after });
  };
  const follow = async (search = ''): Promise<{ text: () => string; req: ClientRequest; ended: () => boolean }> => {
    const req = request({ socketPath: front.socketPath, path: `/v1.41/events${search}`, agent: false }).end();
    const [res] = (await once(req, 'response')) as [IncomingMessage];
    let text = '';
    let isEnded = false;
    res.on('data', (chunk: Buffer) => {
      text += chunk.toString();
    });
    res.on('end', () => {
      isEnded = true;
    });
    res.on('error', () => undefined);
    return { text: () => text, req, ended: () => isEnded };
  };
  const idsOf = (text: string): string[] => [...text.matchAll(/"ID":"(\w+)"/g)].map((match) => match[1] ?? '');
  const filters = (value: object): string => `?filters=${encodeURIComponent(JSON.stringify(value))}`;

  it('puts swarm events between whole lines', async () => {
    const { text } = await follow();
    upstream?.write('{"Actor":{"ID":"c1"');
    await eventually('half a line', () => front.engine.requests.length === 1, { everyMs: 2 });
    emit('net1', 'front');
    await eventually('net1', () => text().includes('net1'), { everyMs: 2 });
    upstream?.write('}}\n');
    await eventually('c1', () => text().includes('c1'), { everyMs: 2 });
    expect(idsOf(text())).toEqual(['net1', 'c1']);
    expect(
      text()
        .split('\n')
        .slice(0, -1)
        .map((line) => typeof JSON.parse(line)),
    ).toEqual(['object', 'object']);
  });

  it.each<{ id: string; search: string; passes: boolean }>([
    { id: 'type', search: filters({ type: ['network'] }), passes: true },
    { id: 'other type', search: filters({ type: ['container'] }), passes: false },
    { id: 'scope swarm', search: filters({ scope: { swarm: true } }), passes: true },
    { id: 'scope local', search: filters({ scope: ['local'] }), passes: false },
    { id: 'event', search: filters({ event: ['create'] }), passes: true },
    { id: 'other event', search: filters({ event: ['remove'] }), passes: false },
    { id: 'network by name', search: filters({ network: ['fro'] }), passes: true },
    { id: 'container', search: filters({ container: ['web'] }), passes: false },
    { id: 'label', search: filters({ label: ['a=b'] }), passes: false },
    { id: 'image', search: filters({ image: ['bb'] }), passes: false },
    { id: 'since later', search: '?since=1999999999', passes: false },
    { id: 'until earlier', search: '?until=1', passes: false },
  ])('filters by $id', async ({ search, passes }) => {
    const { text } = await follow(search);
    emit('net1', 'front');
    upstream?.end('{"Actor":{"ID":"last"}}\n');
    await eventually('the end', () => text().includes('last'), { everyMs: 2 });
    expect(idsOf(text())).toEqual(passes ? ['net1', 'last'] : ['last']);
  });

  it('tells of the past in order with since, and ends with the engine', async () => {
    emit('net1', 'front');
    const { text, ended } = await follow('?since=1&until=1900000000');
    const at = (id: string, nanos: string): string => `{"Actor":{"ID":"${id}"},"timeNano":${nanos}}\n`;
    upstream?.write(at('before', '1795190774725407316') + at('after', '1795190774725407318'));
    upstream?.end();
    await eventually('the end', ended, { everyMs: 2 });
    expect(idsOf(text())).toEqual(['before', 'net1', 'after']);
  });

  it('hands on the refusal of the engine', async () => {
    front.engine.json('GET /events', 400, { message: 'no such time' });
    const got = await front.ask('GET', '/events?since=zz');
    expect([got.status, JSON.parse(got.text)]).toEqual([400, { message: 'no such time' }]);
  });

  it('lets go of the engine when the client leaves', async () => {
    const { req } = await follow();
    let isClosed = false;
    upstream?.on('close', () => {
      isClosed = true;
    });
    req.destroy();
    await eventually('the engine to see it', () => isClosed, { timeoutMs: 10_000, everyMs: 2 });
  });
});
