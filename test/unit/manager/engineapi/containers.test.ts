import { Readable } from 'node:stream';
import { fc, test } from '@fast-check/vitest';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { NetworkMapping } from '../../../../manager/engineapi/backend.ts';
import { idRewriter } from '../../../../manager/engineapi/id-rewriter.ts';
import { WaggleError } from '../../../../proto/runtime/errors.ts';
import { type Front, openFront } from './front.ts';

const MAPPING: NetworkMapping = { localId: 'd'.repeat(64), clusterId: 'net1aaaaaaaaaaaaaaaaaaaaa', name: 'net1' };

describe('containers', () => {
  let front: Front;
  beforeEach(async () => {
    front = await openFront();
    front.backend.attachable = { net1: MAPPING, [MAPPING.clusterId]: MAPPING };
    front.engine.json('POST /containers/create', 201, '{"Id":"c","Warnings":[]}');
  });
  afterEach(() => front.close());

  const create = async (body: string): Promise<{ status: number; text: string; sent: string | undefined }> => {
    const headers = { 'Content-Type': 'application/json' };
    const { status, text } = await front.ask('POST', '/v1.41/containers/create?name=x', { body, headers });
    return { status, text, sent: front.engine.requests.at(-1)?.body.toString() };
  };

  it.each<{ id: string; body: string; sent: string; asked: string[] }>([
    {
      id: 'a name stays, and the body with it',
      body: '{"Image":"a", "Big":9223372036854775807,"HostConfig":{"NetworkMode":"net1"}}',
      sent: '{"Image":"a", "Big":9223372036854775807,"HostConfig":{"NetworkMode":"net1"}}',
      asked: ['net1'],
    },
    {
      id: 'a swarm ID becomes the name, in mode and endpoints',
      body: `{"Big":9223372036854775807, "hostconfig":{"NetworkMode" : "${MAPPING.clusterId}"},"NetworkingConfig":{"EndpointsConfig":{"${MAPPING.clusterId}":{"Aliases":["é"]}}}}`,
      sent: '{"Big":9223372036854775807, "hostconfig":{"NetworkMode" : "net1"},"NetworkingConfig":{"EndpointsConfig":{"net1":{"Aliases":["é"]}}}}',
      asked: [MAPPING.clusterId, MAPPING.clusterId],
    },
    {
      id: 'other networks',
      body: '{"HostConfig":{"NetworkMode":"mine"}}',
      sent: '{"HostConfig":{"NetworkMode":"mine"}}',
      asked: ['mine'],
    },
    ...['default', 'bridge', 'host', 'none', 'container:abc', ''].map((mode) => ({
      id: `mode "${mode}" is the engine's`,
      body: `{"HostConfig":{"NetworkMode":"${mode}"}}`,
      sent: `{"HostConfig":{"NetworkMode":"${mode}"}}`,
      asked: [],
    })),
    { id: 'malformed JSON', body: '{bad', sent: '{bad', asked: [] },
    {
      id: 'odd types',
      body: '{"HostConfig":{"NetworkMode":5},"NetworkingConfig":null}',
      sent: '{"HostConfig":{"NetworkMode":5},"NetworkingConfig":null}',
      asked: [],
    },
  ])('create: $id', async ({ body, sent, asked }) => {
    const got = await create(body);
    expect(got).toEqual({ status: 201, text: '{"Id":"c","Warnings":[]}', sent });
    expect(front.backend.calls.map((call) => call.args)).toEqual(asked);
  });

  it('create: refuses a network that is not attachable', async () => {
    front.backend.attachable = { net1: new WaggleError('permission-denied', 'no') };
    const got = await create('{"HostConfig":{"NetworkMode":"net1"}}');
    expect([got.status, JSON.parse(got.text)]).toEqual([
      403,
      {
        message:
          'Could not attach to network net1: rpc error: code = PermissionDenied desc = network net1 not manually attachable',
      },
    ]);
    expect(front.engine.requests).toEqual([]);
  });

  it('create: outside a swarm nothing is asked', async () => {
    front.backend.local = { ...front.backend.local, state: 'inactive', manager: false };
    await create('{"HostConfig":{"NetworkMode":"net1"}}');
    expect(front.backend.calls).toEqual([]);
  });

  it.each(['/containers/json', '/v1.41/containers/abc/json', '/v1.41/system/df'])('%s shows swarm IDs', async (url) => {
    const answer = `[{"NetworkID":"${MAPPING.localId}","Note":"x${MAPPING.localId}","n":9223372036854775807}]`;
    front.backend.mappings = [MAPPING];
    front.engine.json(`GET ${url.replace('/v1.41', '')}`, 200, answer);
    const { text } = await front.ask('GET', url);
    expect(text).toBe(answer.replace(`"${MAPPING.localId}"`, `"${MAPPING.clusterId}"`));
  });

  it('finds containers by the swarm ID of their network', async () => {
    front.backend.mappings = [MAPPING];
    front.engine.json('GET /containers/json', 200, []);
    await front.ask(
      'GET',
      `/containers/json?all=1&filters=${encodeURIComponent(JSON.stringify({ network: [MAPPING.clusterId] }))}`,
    );
    const query = new URLSearchParams(front.engine.requests.at(-1)?.url.replace(/.*\?/, ''));
    expect([query.get('all'), query.get('filters')]).toEqual(['1', `{"network":{"${MAPPING.localId}":true}}`]);
  });

  describe('is-task', () => {
    const TASK = { Id: 't', Labels: { 'com.docker.swarm.task.id': 'x' } };
    const LISTED = [{ Id: 'a', Labels: {} }, TASK, { Id: 'b', Labels: null }, { Id: 'c' }];
    const ask = async (
      filters: object,
      search = 'all=0',
    ): Promise<{ status: number; text: string; sent: string[] }> => {
      const query = `${search}&filters=${encodeURIComponent(JSON.stringify(filters))}`;
      const { status, text } = await front.ask('GET', `/v1.41/containers/json?${query}`);
      const { searchParams } = new URL(front.engine.requests.at(-1)?.url ?? '', 'http://engine');
      return { status, text, sent: [...searchParams].map(([key, value]) => `${key}=${value}`).toSorted() };
    };

    it('true asks the engine for those with the label of tasks', async () => {
      front.engine.json('GET /containers/json', 200, [TASK]);
      const { text, sent } = await ask({ 'is-task': { true: true }, label: ['l=1'] }, 'limit=2');
      expect(JSON.parse(text)).toEqual([TASK]);
      expect(sent).toEqual(['filters={"label":{"l=1":true,"com.docker.swarm.task.id":true}}', 'limit=2']);
    });

    it.each<{ id: string; search: string; ids: string[]; sent: string[] }>([
      {
        id: 'all others',
        search: 'all=0',
        ids: ['a', 'b', 'c'],
        sent: ['all=0', 'filters={"status":{"exited":true}}'],
      },
      {
        id: 'a limit counts those',
        search: 'limit=2',
        ids: ['a', 'b'],
        sent: ['all=1', 'filters={"status":{"exited":true}}'],
      },
    ])('false leaves them out: $id', async ({ search, ids, sent }) => {
      front.engine.json('GET /containers/json', 200, LISTED);
      const got = await ask({ 'is-task': ['false'], status: ['exited'] }, search);
      expect((JSON.parse(got.text) as { Id: string }[]).map(({ Id }) => Id)).toEqual(ids);
      expect(got.sent).toEqual(sent);
    });

    it('false shows swarm IDs of networks', async () => {
      front.backend.mappings = [MAPPING];
      front.engine.json('GET /containers/json', 200, [{ NetworkID: MAPPING.localId }]);
      expect(JSON.parse((await ask({ 'is-task': ['0'] })).text)).toEqual([{ NetworkID: MAPPING.clusterId }]);
    });

    it.each([['x'], ['true', 'false'], []])('what it cannot be is for the engine to refuse: %j', async (...values) => {
      front.engine.json('GET /containers/json', 400, { message: 'invalid filter' });
      expect((await ask({ 'is-task': values })).status).toBe(400);
    });
  });
});

describe('idRewriter', () => {
  test.prop([
    fc.array(fc.oneof(fc.constant(`"${MAPPING.localId}"`), fc.string()), { maxLength: 8 }),
    fc.array(fc.nat(90)),
  ])('replaces the same however the text is cut', async (parts, cuts) => {
    const text = Buffer.from(parts.join(''));
    const pieces: Buffer[] = [];
    let at = 0;
    for (const cut of cuts) {
      pieces.push(text.subarray(at, at + cut));
      at += cut;
    }
    pieces.push(text.subarray(at));
    const out: Buffer[] = [];
    const kept = pieces.filter((piece) => piece.length > 0);
    for await (const chunk of Readable.from(kept).pipe(idRewriter([MAPPING]))) out.push(chunk as Buffer);
    const expected = parts.join('').replaceAll(`"${MAPPING.localId}"`, `"${MAPPING.clusterId}"`);
    expect(Buffer.concat(out).toString()).toBe(Buffer.from(expected).toString());
  });
});
