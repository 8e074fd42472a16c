import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { NodeRole } from '../../../../../proto/objects/node.ts';
import { RecordingApi } from '../../../../fixtures/recording-api.ts';

const api = new RecordingApi();
let roles: Record<string, NodeRole>;
let reads: number;

beforeAll(() => api.start());
afterAll(() => api.stop());
beforeEach(() => {
  api.requests.length = 0;
  roles = { a: 'worker', b: 'manager' };
  reads = 0;
  api.answer = ({ method, path: asked }) => {
    if (method === 'POST') return { body: {} };
    const role = roles[asked.slice('/nodes/'.length)];
    if (role === undefined) return { status: 404, body: { message: `node ${asked} not found` } };
    const Index = ++reads;
    return {
      body: { ID: `id-${asked.at(-1)}`, Version: { Index }, Spec: { Role: role, Labels: { read: `${Index}` } } },
    };
  };
});

describe('node promote and demote', () => {
  it.each([
    {
      verb: 'promote',
      out: ['Node a promoted to a manager in the swarm.', 'Node id-b is already a manager.'],
      changed: { path: '/nodes/id-a/update', role: 'manager' },
    },
    {
      verb: 'demote',
      out: ['Node id-a is already a worker.', 'Manager b demoted in the swarm.'],
      changed: { path: '/nodes/id-b/update', role: 'worker' },
    },
  ])('$verb changes those that have another role', async ({ verb, out, changed }) => {
    expect(await api.run(['node', verb, 'a', 'b'])).toEqual({ status: 0, out, err: [] });
    const writes = api.requests.filter(({ method }) => method === 'POST');
    expect(writes.map(({ path, body }) => ({ path, role: (body as { Role: string }).Role }))).toEqual([changed]);
  });

  it('writes what it has read last, under the version of it', async () => {
    await api.run(['node', 'promote', 'a']);
    const write = api.requests.find(({ method }) => method === 'POST');
    expect(write?.body).toMatchObject({ Labels: { read: write?.query.version } });
  });

  it.each(['promote', 'demote'])('%s wants a node', async (verb) => {
    const { status, err } = await api.run(['node', verb]);
    expect([status, err[0]]).toEqual([
      1,
      expect.stringContaining(`"waggle node ${verb}" requires at least 1 argument`),
    ]);
  });
});
