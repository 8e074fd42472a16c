import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { RecordingApi } from '../../../../fixtures/recording-api.ts';

const KEY = 'SWMKEY-1-key';

let api: RecordingApi;
let state: string;
let isLocking: boolean;
beforeEach(async () => {
  api = new RecordingApi();
  state = 'locked';
  isLocking = false;
  api.answer = ({ method, path }) => {
    if (path.endsWith('/info')) return { body: { Swarm: { LocalNodeState: state } } };
    if (path.endsWith('/swarm/unlockkey')) return { body: { UnlockKey: KEY } };
    if (method === 'POST') return { body: null };
    return {
      body: { Version: { Index: 7 }, Spec: { Name: 'default', EncryptionConfig: { AutoLockManagers: isLocking } } },
    };
  };
  await api.start();
});
afterEach(() => api.stop());

const sent = (): unknown[] =>
  api.requests
    .filter(({ method }) => method === 'POST')
    .map(({ path, query, body }) => [path.replace(/^\/v[^/]+/, ''), query, body]);

describe('swarm unlock', () => {
  it('sends the key of a locked node', async () => {
    expect((await api.run(['swarm', 'unlock'])).status).toBe(0);
    expect(sent()).toEqual([['/swarm/unlock', {}, { UnlockKey: '' }]]);
  });

  it.each([
    { id: 'inactive', text: 'Error: This node is not part of a swarm' },
    { id: 'active', text: 'Error: swarm is not locked' },
    { id: 'error', text: 'Error: swarm is not locked' },
  ])('asks for no key when the node is $id', async ({ id, text }) => {
    state = id;
    expect(await api.run(['swarm', 'unlock'])).toMatchObject({ status: 1, err: [text] });
    expect(sent()).toEqual([]);
  });
});

describe('swarm update --autolock', () => {
  it.each([
    { id: 'switched on', was: false, flag: '--autolock', locks: true, shows: true },
    { id: 'switched on, spelt out', was: false, flag: '--autolock=true', locks: true, shows: true },
    { id: 'on already', was: true, flag: '--autolock=true', locks: true, shows: false },
    { id: 'switched off', was: true, flag: '--autolock=false', locks: false, shows: false },
    { id: 'not mentioned', was: true, flag: '--task-history-limit=3', locks: true, shows: false },
  ])('$id', async ({ was, flag, locks, shows }) => {
    isLocking = was;
    const { status, out } = await api.run(['swarm', 'update', flag]);
    expect([status, out[0], out.join('\n').includes(KEY)]).toEqual([0, 'Swarm updated.', shows]);
    expect(sent()).toEqual([
      ['/swarm/update', { version: '7' }, expect.objectContaining({ EncryptionConfig: { AutoLockManagers: locks } })],
    ]);
  });
});

describe('swarm unlock-key', () => {
  it('rotates when managers are locked only', async () => {
    expect(await api.run(['swarm', 'unlock-key', '--rotate'])).toMatchObject({
      status: 1,
      err: ['cannot rotate because autolock is not turned on'],
    });
    isLocking = true;
    expect(await api.run(['swarm', 'unlock-key', '--rotate', '-q'])).toMatchObject({ status: 0, out: [KEY] });
    expect(sent()).toEqual([['/swarm/update', { version: '7', rotateManagerUnlockKey: 'true' }, expect.anything()]]);
  });
});
