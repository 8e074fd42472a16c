import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  createNetwork,
  lookUp,
  PATIENCE,
  removeAllContainers,
  start,
  startCommand,
  untilPings,
} from '../fixtures/network-swarm.ts';
import { eventually } from '../lab/eventually.ts';
import type { Host } from '../lab/host.ts';
import { createLab, type Lab } from '../lab/lab.ts';
import { api, apiJson } from '../lab/swarm.ts';

/** Three managers whose keys are locked on disk: what a thief of the disk sees, and what a locked node still does. */

const LOCKED =
  'Swarm is encrypted and needs to be unlocked before it can be used. Please use "docker swarm unlock" to unlock it.';
const PAYLOAD = 'the-payload-that-nobody-reads-off-the-disk';
const KEY = /SWMKEY-1-[A-Za-z0-9+/]{43}/;

let lab: Lab;
let key = '';
beforeAll(async () => {
  lab = await createLab({ hosts: 3 });
});
afterAll(async () => {
  await lab?.destroy();
});

const managers = (): [Host, Host, Host] => [lab.host(0), lab.host(1), lab.host(2)];

async function crash(host: Host): Promise<void> {
  await host.stopService('daemon', 'SIGKILL');
  await host.startDaemon();
}

async function stateOf(host: Host): Promise<string> {
  return (await apiJson<{ Swarm: { LocalNodeState: string } }>(host, 'GET', '/info')).Swarm.LocalNodeState;
}

async function untilState(host: Host, state: string): Promise<void> {
  await eventually(`${host.name} to be ${state}`, async () => (await stateOf(host)) === state, PATIENCE);
}

/** Through `through`, until the host is a manager that takes part. */
async function untilReachable(host: Host, through: Host): Promise<void> {
  await eventually(
    `${host.name} to take part`,
    async () => {
      const nodes = await apiJson<{ Description: { Hostname: string }; ManagerStatus?: { Reachability: string } }[]>(
        through,
        'GET',
        '/nodes',
      );
      const node = nodes.find(({ Description }) => Description.Hostname === host.name);
      return node?.ManagerStatus?.Reachability === 'reachable';
    },
    PATIENCE,
  );
}

interface KeyFile {
  key?: string;
  sealed?: string;
  raftKeys?: unknown[];
  lockVersion: number;
  renewalDue: boolean;
}

function keyFile(host: Host): KeyFile {
  return JSON.parse(readFileSync(path.join(host.options.folder, 'lib-waggle/identity/node.json'), 'utf8')) as KeyFile;
}

async function untilSealed(host: Host, sealed: boolean): Promise<void> {
  await eventually(
    `the keys of ${host.name} to be ${sealed ? 'sealed' : 'open'}`,
    () => (keyFile(host).sealed !== undefined) === sealed && !keyFile(host).renewalDue,
    PATIENCE,
  );
}

/** Files of the data directory that hold the text, as it is or in base64 at any of its three alignments. */
function filesWith(host: Host, text: string): string[] {
  const folder = path.join(host.options.folder, 'lib-waggle');
  const forms = [0, 1, 2].map((shift) => {
    const base64 = Buffer.from(`${'x'.repeat(shift)}${text}`).toString('base64');
    return base64.slice(4, -4);
  });
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name))
    .filter((file) => {
      const bytes = readFileSync(file);
      return [text, ...forms].some((form) => bytes.includes(form));
    });
}

async function unlock(host: Host, given: string): Promise<string> {
  const answer = await api(host, 'POST', '/swarm/unlock', { UnlockKey: given });
  return answer.status === 200 ? '' : `${answer.status} ${(answer.json as { message: string }).message}`;
}

async function unlockKey(host: Host): Promise<string> {
  return (await host.waggle(['swarm', 'unlock-key', '-q'])).stdout.trim();
}

describe('a swarm that locks its managers', () => {
  it('shows its key when it begins, and locks every manager that joins', async () => {
    const [a, b, c] = managers();
    const begun = await a.waggle(['swarm', 'init', '--autolock', '--advertise-addr', a.address]);
    key = KEY.exec(begun.stdout)?.[0] ?? '';
    expect(begun.stdout).toContain(`and provide the following key:\n\n    ${key}\n`);
    const { stdout: token } = await a.waggle(['swarm', 'join-token', '-q', 'manager']);
    await b.waggle(['swarm', 'join', '--token', token.trim(), `${a.address}:2377`]);
    await c.swarmDocker(['swarm', 'join', '--token', token.trim(), `${b.address}:2377`]);
    for (const host of managers()) {
      await untilReachable(host, a);
      expect(keyFile(host)).toMatchObject({ sealed: expect.any(String) as unknown });
      expect(filesWith(host, 'PRIVATE KEY')).toEqual([]);
      expect(await unlockKey(host)).toBe(key);
      expect((await host.swarmDocker(['swarm', 'unlock-key', '-q'])).stdout.trim()).toBe(key);
      expect((await host.swarmDocker(['info', '-f', '{{.Swarm.Cluster.Spec.EncryptionConfig}}'])).stdout).toBe(
        '{true}',
      );
    }
    expect(JSON.stringify(await apiJson(a, 'GET', '/swarm'))).not.toContain(key);
    expect(await unlock(a, key)).toBe('409 swarm is not locked');
    expect((await a.waggle(['swarm', 'unlock'], { check: false })).stderr).toContain('Error: swarm is not locked');
  });

  it('leaves nothing of a secret on any disk', async () => {
    const [a] = managers();
    const Data = Buffer.from(PAYLOAD).toString('base64');
    await apiJson(a, 'POST', '/secrets/create', { Name: 'secret', Data });
    await apiJson(a, 'POST', '/configs/create', { Name: 'config', Data });
    for (const host of managers()) {
      await eventually(
        `the secret on ${host.name}`,
        async () => (await apiJson<unknown[]>(host, 'GET', '/secrets')).length === 1,
      );
      expect(filesWith(host, PAYLOAD)).toEqual([]);
      expect(filesWith(host, key)).toEqual([]);
      expect(host.log('daemon')).not.toContain(key.slice('SWMKEY-1-'.length));
    }
  });
});

describe('a locked manager', () => {
  it('says so after a crash and answers nothing of the swarm', async () => {
    const [a, , c] = managers();
    await createNetwork(lab, 'net1');
    await start(a, 'near', 'net1');
    await start(c, 'far', 'net1');
    await untilPings(c, 'far', 'near');
    await crash(c);
    await untilState(c, 'locked');
    expect((await c.swarmDocker(['info'])).stdout).toContain('Swarm: locked');
    expect(
      (await c.exec(['curl', '-sI', '--unix-socket', '/run/waggle/docker.sock', 'http://x/_ping'])).stdout,
    ).toMatch(/^swarm: locked\r?$/im);
    for (const path of ['/swarm', '/nodes', '/services', '/tasks', '/secrets', '/configs', '/swarm/unlockkey']) {
      expect([path, await api(c, 'GET', path)]).toEqual([
        path,
        expect.objectContaining({ status: 503, json: { message: LOCKED } }),
      ]);
    }
    expect((await c.waggle(['node', 'ls'], { check: false })).stderr).toContain(LOCKED);
    expect((await c.waggle(['swarm', 'leave'], { check: false })).stderr).toContain('Swarm is encrypted and locked.');
  });

  it('keeps containers, names and network going, and passes on what is for the engine', async () => {
    const [a, , c] = managers();
    await untilPings(c, 'far', 'near');
    await untilPings(a, 'near', 'far');
    await eventually('names to be resolved', async () => (await lookUp(c, 'far', 'near')).length === 1, PATIENCE);
    await c.swarmDocker(startCommand('local', 'bridge'));
    expect((await c.swarmDocker(['ps', '--format', '{{.Names}}'])).stdout.split('\n').toSorted()).toEqual([
      'far',
      'local',
    ]);
  });

  const wrong = [
    { id: 'no key at all', given: '', answer: '400 invalid key string' },
    {
      id: 'another key',
      given: `SWMKEY-1-${'A'.repeat(43)}`,
      answer: '401 swarm could not be unlocked: invalid key provided',
    },
    { id: 'half a key', given: 'SWMKEY-1-AAAA', answer: '401 swarm could not be unlocked: invalid key provided' },
  ];
  it.each(wrong)('refuses $id', async ({ given, answer }) => {
    const [, , c] = managers();
    expect(await unlock(c, given)).toBe(answer);
    expect(await stateOf(c)).toBe('locked');
  });

  it('takes part again with the key', async () => {
    const [a, b, c] = managers();
    await c.waggle(['swarm', 'unlock'], { input: `${key}\n` });
    expect(await stateOf(c)).toBe('active');
    await untilReachable(c, a);
    expect((await apiJson<unknown[]>(c, 'GET', '/secrets')).length).toBe(1);
    await crash(b);
    await untilState(b, 'locked');
    await b.swarmDocker(['swarm', 'unlock'], { input: `${key}\n`, program: '/usr/bin/docker' });
    await untilReachable(b, a);
    expect(keyFile(b).sealed).toBeDefined();
  });
});

describe('a new unlock key', () => {
  it('is needed by all, and by the one that was down only after it has caught up', async () => {
    const [a, b, c] = managers();
    await b.stopService('daemon', 'SIGKILL');
    const before = keyFile(c).lockVersion;
    const rotated = await a.waggle(['swarm', 'unlock-key', '--rotate']);
    expect(rotated.stdout).toContain('Successfully rotated manager unlock key.');
    const next = KEY.exec(rotated.stdout)?.[0] ?? '';
    expect(next).not.toBe(key);
    await eventually('the new lock', () => keyFile(c).lockVersion > before, PATIENCE);
    // What the old unlock key may have given away is worth nothing any more.
    await eventually('a new certificate', () => !keyFile(c).renewalDue, PATIENCE);
    await eventually('a new Raft key', () => c.log('daemon').includes('Raft log is under a new key'), PATIENCE);
    await crash(c);
    await untilState(c, 'locked');
    expect(await unlock(c, key)).toContain('invalid key provided');
    await b.startDaemon();
    await untilState(b, 'locked');
    expect(await unlock(b, next)).toContain('invalid key provided');
    expect(await unlock(b, key)).toBe('');
    expect(await unlock(c, next)).toBe('');
    await untilReachable(b, a);
    await eventually('b to catch up', () => keyFile(b).lockVersion > before, PATIENCE);
    await crash(b);
    await untilState(b, 'locked');
    expect(await unlock(b, next)).toBe('');
    await untilReachable(b, a);
    key = next;
  });

  it('leaves a manager that crashes at any moment of the change open to the old key or to the new one', async () => {
    const [a, b] = managers();
    for (let round = 0; round < 3; round++) {
      const next = (await a.waggle(['swarm', 'unlock-key', '--rotate', '-q'])).stdout.trim();
      await crash(b);
      await untilState(b, 'locked');
      const refused = await unlock(b, next);
      expect(refused === '' ? '' : await unlock(b, key)).toBe('');
      await untilReachable(b, a);
      // Until it has caught up it is under the key it had, and another rotation would make that the last but one.
      await eventually('the new lock', () => keyFile(b).lockVersion === keyFile(a).lockVersion, PATIENCE);
      key = next;
    }
  });

  it('is not needed by a manager that was demoted, and is again when it is promoted', async () => {
    const [a, , c] = managers();
    await a.waggle(['node', 'demote', c.name]);
    await untilSealed(c, false);
    await eventually('no Raft keys', () => keyFile(c).raftKeys?.length === 0, PATIENCE);
    await a.waggle(['node', 'promote', c.name]);
    await untilReachable(c, a);
    await untilSealed(c, true);
    await crash(c);
    await untilState(c, 'locked');
    expect(await unlock(c, key)).toBe('');
    await untilReachable(c, a);
  });
});

describe('a swarm that locks its managers no more', () => {
  it('starts without a key, and with one when they are locked again', async () => {
    const [a, b, c] = managers();
    await a.waggle(['swarm', 'update', '--autolock=false']);
    for (const host of managers()) await untilSealed(host, false);
    await crash(b);
    await untilState(b, 'active');
    await untilReachable(b, a);
    expect((await a.waggle(['swarm', 'unlock-key'], { check: false })).stderr).toContain('no unlock key is set');
    for (const host of managers()) expect(filesWith(host, PAYLOAD)).toEqual([]);
    const locked = await a.swarmDocker(['swarm', 'update', '--autolock=true']);
    expect(locked.stdout).toMatch(KEY);
    for (const host of managers()) await untilSealed(host, true);
    await crash(c);
    await untilState(c, 'locked');
  });

  it('lets a locked manager go by force', async () => {
    const [, , c] = managers();
    await removeAllContainers(c);
    await c.waggle(['swarm', 'leave', '--force']);
    expect(await stateOf(c)).toBe('inactive');
    expect(readdirSync(path.join(c.options.folder, 'lib-waggle'))).not.toContain('identity');
  });
});
