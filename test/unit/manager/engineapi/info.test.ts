import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { WaggleError } from '../../../../proto/runtime/errors.ts';
import { type Front, openFront } from './front.ts';

let front: Front;
beforeEach(async () => {
  front = await openFront();
});
afterEach(() => front.close());

describe('ping', () => {
  it.each([
    ['inactive', false, 'inactive'],
    ['pending', false, 'pending'],
    ['locked', false, 'locked'],
    ['error', false, 'error'],
    ['active', false, 'active/worker'],
    ['active', true, 'active/manager'],
  ] as const)('shows %s (manager %s) as %s', async (state, manager, header) => {
    front.backend.local = { ...front.backend.local, state, manager };
    for (const method of ['GET', 'HEAD']) {
      front.engine.answers.set(`${method} /_ping`, (_req, res) => {
        res.writeHead(200, { 'Api-Version': '1.41', Swarm: 'stale', 'Content-Length': 2 });
        res.end(method === 'GET' ? 'OK' : undefined);
      });
      const got = await front.ask(method, '/_ping');
      expect([got.status, got.headers['swarm'], got.headers['api-version']]).toEqual([200, header, '1.41']);
      expect(got.text).toBe(method === 'GET' ? 'OK' : '');
    }
  });
});

describe('info', () => {
  const ENGINE = '{"ID":"E","Big":9223372036854775807, "Swarm":{"LocalNodeState":"inactive"},"Name":"h1"}';

  it('replaces Swarm and keeps every other byte', async () => {
    front.engine.json('GET /info', 200, ENGINE);
    front.backend.answers = {
      getCluster: { ID: 'c', JoinTokens: { Worker: 'secret' } },
      listNodes: [{ ID: 'a', ManagerStatus: {} }, { ID: 'b', ManagerStatus: {} }, { ID: 'c' }],
    };
    const { text } = await front.ask('GET', '/v1.41/info');
    expect(text.startsWith('{"ID":"E","Big":9223372036854775807, "Swarm":{')).toBe(true);
    expect(text).toContain('},"Name":"h1","Warnings":[');
    const { Swarm, Warnings } = JSON.parse(text) as { Swarm: Record<string, unknown>; Warnings: unknown };
    expect(Warnings).toEqual(Swarm['Warnings']);
    expect(Swarm).toMatchObject({
      NodeID: 'node1',
      LocalNodeState: 'active',
      ControlAvailable: true,
      Nodes: 3,
      Managers: 2,
      Cluster: { ID: 'c' },
    });
    expect(Swarm['Warnings']).toHaveLength(1);
    expect(text).not.toContain('secret');
  });

  const WARNINGS = [
    { id: 'none of its own', given: 'null', own: [] },
    { id: 'some of its own', given: '["no swap limit"]', own: ['no swap limit'] },
  ];
  it.each(WARNINGS)("puts the swarm's warnings behind the engine's: $id", async ({ given, own }) => {
    front.engine.json('GET /info', 200, `{"Warnings":${given},"Swarm":{}}`);
    front.backend.answers = {
      getCluster: { ID: 'c', JoinTokens: {} },
      listNodes: [
        { ID: 'a', ManagerStatus: {} },
        { ID: 'b', ManagerStatus: {} },
      ],
    };
    const { Warnings } = JSON.parse((await front.ask('GET', '/info')).text) as { Warnings: string[] };
    expect(Warnings).toEqual([...own, expect.stringContaining('Running Swarm in a two-manager configuration')]);
  });

  it('shows a swarm that cannot be asked in Error', async () => {
    front.engine.json('GET /info', 200, ENGINE);
    front.backend.answers = { getCluster: new WaggleError('unknown', 'no leader') };
    const { Swarm } = JSON.parse((await front.ask('GET', '/info')).text) as { Swarm: Record<string, unknown> };
    expect(Swarm).toMatchObject({ ControlAvailable: true, Error: 'no leader' });
  });

  it('is short outside a swarm', async () => {
    front.engine.json('GET /info', 200, '{}');
    front.backend.local = {
      nodeId: '',
      nodeAddr: '',
      state: 'inactive',
      manager: false,
      error: '',
      remoteManagers: [],
    };
    expect(JSON.parse((await front.ask('GET', '/info')).text)).toEqual({
      Swarm: {
        NodeID: '',
        NodeAddr: '',
        LocalNodeState: 'inactive',
        ControlAvailable: false,
        Error: '',
        RemoteManagers: null,
      },
    });
  });
});
