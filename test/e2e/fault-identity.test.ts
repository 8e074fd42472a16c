import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  anonymousCredentials,
  CHANNEL_OPTIONS,
  nodeCredentials,
  type TlsMaterial,
} from '../../proto/rpc/credentials.ts';
import { ManagerConnection } from '../../proto/rpc/manager-connection.ts';
import { controlService, nodeCaService, raftMembershipService } from '../../proto/rpc/services.ts';
import { fromServiceError } from '../../proto/rpc/status.ts';
import { callUnary } from '../../proto/rpc/unary.ts';
import { systemClock } from '../../proto/runtime/clock.ts';
import { eventually } from '../lab/eventually.ts';
import type { Host } from '../lab/host.ts';
import { type Lab, createLab } from '../lab/lab.ts';
import {
  api,
  apiJson,
  createService,
  joinSwarm,
  nodeOf,
  taskContainers,
  untilNode,
  untilRunning,
} from '../lab/swarm.ts';

/** Ways into and out of a swarm, the wrong ones too. The first host is the manager, the third has a swarm of its own for a while. */

const PORTS = /:(2377|7946|4789)\b/;

let lab: Lab;
let manager: Host;
let worker: Host;
let third: Host;

beforeAll(async () => {
  lab = await createLab({ hosts: 3 });
  [manager, worker, third] = [lab.host(0), lab.host(1), lab.host(2)];
  await manager.waggle(['swarm', 'init', '--advertise-addr', manager.address]);
});

afterAll(() => lab?.destroy());

async function token(host: Host, role: 'worker' | 'manager' = 'worker'): Promise<string> {
  return (await host.waggle(['swarm', 'join-token', '-q', role])).stdout.trim();
}

const join = (host: Host, JoinToken: string, address: string): ReturnType<typeof api> =>
  api(host, 'POST', '/swarm/join', { JoinToken, RemoteAddrs: [address], ListenAddr: '0.0.0.0:2377' });

function filesUnder(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name));
}

/** Nothing of a swarm is left on the host: no files, ports, containers, networks, namespaces or links. */
async function expectUntouched(host: Host): Promise<void> {
  expect(filesUnder(path.join(host.options.folder, 'lib-waggle'))).toEqual([]);
  const { stdout: sockets } = await host.exec(['ss', '-Hlntu']);
  expect(sockets.split('\n').filter((line) => PORTS.test(line))).toEqual([]);
  expect([...(await taskContainers(host)).values()]).toEqual([]);
  const { stdout: networks } = await host.docker(['network', 'ls', '--filter', 'driver=waggle', '-q']);
  expect(networks).toBe('');
  const { stdout: namespaces } = await host.exec(['sh', '-c', 'ls /run/netns | grep ^1- || true']);
  expect(namespaces).toBe('');
  const { stdout: links } = await host.exec(['ip', '-br', 'link']);
  expect(links.split('\n').filter((line) => /^(vx|veth)/.test(line))).toEqual([]);
  expect(await apiJson(host, 'GET', '/info')).toMatchObject({ Swarm: { LocalNodeState: 'inactive', NodeID: '' } });
}

describe('a token that is not right', () => {
  const tail = (text: string): string => text.split('-').at(-1) ?? '';
  it.each([
    {
      id: 'none',
      make: () => Promise.resolve(''),
      status: 400,
      message: 'rpc error: code = InvalidArgument desc = A valid join token is necessary to join this cluster',
    },
    { id: 'garbled', make: () => Promise.resolve('SWMTKN-1-zzz'), status: 400, message: 'invalid join token' },
    {
      id: 'with another secret',
      make: async () => `${(await token(manager)).slice(0, -25)}${'0'.repeat(25)}`,
      status: 400,
      message: 'rpc error: code = InvalidArgument desc = A valid join token is necessary to join this cluster',
    },
    {
      id: 'rotated',
      make: async () => {
        const old = await token(manager);
        await manager.waggle(['swarm', 'join-token', '--rotate', '-q', 'worker']);
        return old;
      },
      status: 400,
      message: 'rpc error: code = InvalidArgument desc = A valid join token is necessary to join this cluster',
    },
    {
      id: 'of another swarm',
      make: async () => {
        await third.waggle(['swarm', 'init', '--advertise-addr', third.address]);
        const foreign = await token(third);
        await third.waggle(['swarm', 'leave', '--force']);
        return foreign;
      },
      status: 400,
      message: /^remote CA does not match fingerprint\. Expected: [0-9a-f]{64}$/,
    },
  ])('$id: is refused and leaves nothing behind', async ({ make, status, message }) => {
    const before = await apiJson<unknown[]>(manager, 'GET', '/nodes');
    const answer = await join(worker, await make(), `${manager.address}:2377`);
    expect(answer).toMatchObject({ status });
    expect((answer.json as { message: string }).message).toEqual(
      typeof message === 'string' ? message : expect.stringMatching(message),
    );
    await expectUntouched(worker);
    expect(await apiJson<unknown[]>(manager, 'GET', '/nodes')).toHaveLength(before.length);
  });

  it('a right one works afterwards; rotating it leaves those alone that have joined', async () => {
    const before = Date.now();
    await joinSwarm(worker, manager);
    console.info(`joined after ${Date.now() - before} ms, the client's start included`);
    const node = await untilNode(manager, worker, 'ready');
    const old = await token(manager);
    const { stdout: renewed } = await manager.waggle(['swarm', 'join-token', '--rotate', '-q', 'worker']);
    expect(tail(renewed.trim())).not.toBe(tail(old));
    expect(renewed.trim().slice(0, -25)).toBe(old.slice(0, -25));
    await worker.stopService('daemon', 'SIGKILL');
    await worker.startDaemon();
    expect((await untilNode(manager, worker, 'ready')).ID).toBe(node.ID);
    await eventually('the worker to be back', async () => {
      const info = await apiJson<{ Swarm: { LocalNodeState: string; Error: string } }>(worker, 'GET', '/info');
      return info.Swarm.LocalNodeState === 'active' && info.Swarm.Error === '';
    });
  });
});

describe('an address that is not right', () => {
  it.each([
    { id: 'nobody listens', address: () => `${manager.address}:2399`, message: /ECONNREFUSED 192\.168\.77\.11:2399/ },
    { id: 'a black hole', address: () => '203.0.113.7:2377', message: /203\.0\.113\.7:2377/ },
    { id: 'no address', address: () => 'a b', message: /^invalid remote address: a b$/ },
  ])('$id: is told within some 20 s', async ({ address, message }) => {
    await third.exec([
      'sh',
      '-c',
      'ip route replace 203.0.113.0/24 dev eth0 && ip neigh replace 203.0.113.7 lladdr 02:00:00:00:00:99 dev eth0',
    ]);
    const since = Date.now();
    const answer = await join(third, await token(manager), address());
    expect(Date.now() - since).toBeLessThan(25_000);
    expect(answer.status).toBeGreaterThanOrEqual(400);
    expect((answer.json as { message: string }).message).toMatch(message);
    await expectUntouched(third);
  });
});

describe('leaving', () => {
  const ALREADY =
    'This node is already part of a swarm. Use "docker swarm leave" to leave this swarm and join another one.';

  it('who is in a swarm gets into no other; a manager does not leave without force', async () => {
    for (const host of [manager, worker]) {
      for (const answer of [
        await join(host, await token(manager), `${manager.address}:2377`),
        await api(host, 'POST', '/swarm/init', { ListenAddr: '0.0.0.0:2377' }),
      ]) {
        expect(answer).toMatchObject({ status: 503, json: { message: ALREADY } });
      }
    }
    expect(await api(manager, 'POST', '/swarm/leave')).toMatchObject({
      status: 503,
      json: {
        message:
          'You are attempting to leave the swarm on a node that is participating as a manager. Removing the last manager erases all current state of the swarm. Use `--force` to ignore this message. ',
      },
    });
    expect(await api(third, 'POST', '/swarm/leave')).toMatchObject({
      status: 503,
      json: { message: 'This node is not part of a swarm' },
    });
  });

  it('a worker leaves nothing behind and joins again as another node', async () => {
    await createService(manager, 'everywhere', ['sleep', '1000'], { Mode: { Global: {} } });
    await untilRunning(manager, 'everywhere', 2);
    const first = await nodeOf(manager, worker);
    await worker.waggle(['swarm', 'leave']);
    await expectUntouched(worker);
    await joinSwarm(worker, manager);
    const second = await eventually('a new node', async () => {
      const node = await nodeOf(manager, worker);
      return node.ID !== first.ID && node.Status.State === 'ready' && node;
    });
    await untilRunning(manager, 'everywhere', 2);
    const ready = await api(manager, 'DELETE', `/nodes/${second.ID}`);
    expect(ready).toMatchObject({
      status: 400,
      json: {
        message: `rpc error: code = FailedPrecondition desc = node ${second.ID} is not down and can't be removed`,
      },
    });
    const self = await nodeOf(manager, manager);
    expect(await api(manager, 'DELETE', `/nodes/${self.ID}?force=true`)).toMatchObject({
      status: 400,
      json: {
        message: `rpc error: code = FailedPrecondition desc = node ${self.ID} is a cluster manager and is a member of the raft cluster. It must be demoted to worker before removal`,
      },
    });
    await eventually('the old node to be down', async () => {
      const nodes = await apiJson<{ ID: string; Status: { State: string } }[]>(manager, 'GET', '/nodes');
      return nodes.some(({ ID, Status }) => ID === first.ID && Status.State === 'down');
    });
    expect(await api(manager, 'DELETE', `/nodes/${first.ID}`)).toMatchObject({ status: 200 });
  });
});

describe('certificates', () => {
  const materialOf = (host: Host): TlsMaterial =>
    JSON.parse(readFileSync(path.join(host.options.folder, 'lib-waggle/identity/node.json'), 'utf8')) as TlsMaterial;

  it('are on disk for their owner only, and in no log', async () => {
    for (const host of [manager, worker]) {
      const files = filesUnder(path.join(host.options.folder, 'lib-waggle'));
      expect(files.filter((file) => file.endsWith('identity/node.json'))).toHaveLength(1);
      // The daemon goes on writing: a temporary file may be gone by now.
      const modeOf = (file: string): number => statSync(file, { throwIfNoEntry: false })?.mode ?? 0;
      expect(files.filter((file) => (modeOf(file) & 0o077) !== 0)).toEqual([]);
    }
    const secrets = [await token(manager), await token(manager, 'manager')].map(
      (each) => each.split('-').at(-1) ?? '?',
    );
    const facts = readFileSync(path.join(worker.options.folder, 'lib-waggle/agent/facts/facts.json'), 'utf8');
    const keys = [...facts.matchAll(/"key":"([^"]+)"/g)].map((match) => match[1] ?? '?');
    expect(keys.length).toBeGreaterThan(0);
    for (const host of lab.hosts) {
      const log = host.log('daemon');
      expect(log).toContain('"level":20');
      expect(log).not.toMatch(/SWMTKN-|SWMKEY-|PRIVATE KEY|BEGIN CERTIFICATE/);
      for (const secret of [...secrets, ...keys]) expect(log).not.toContain(secret);
    }
  });

  it('of a worker opens nothing that is for managers', async () => {
    const material = materialOf(worker);
    const { address, close } = await forward(worker, manager);
    const connection = new ManagerConnection(address, material);
    const raft = new raftMembershipService.Client(address, nodeCredentials(material), CHANNEL_OPTIONS);
    const anonymous = new nodeCaService.Client(address, anonymousCredentials(material.root), CHANNEL_OPTIONS);
    const nobody = new controlService.Client(address, anonymousCredentials(material.root), CHANNEL_OPTIONS);
    const options = { clock: systemClock, timeoutMs: 5_000 };
    try {
      await expect(secretsFrom(connection.control)).rejects.toMatchObject({ code: 'permission-denied' });
      // Not served at all, or to managers only.
      await expect(callUnary(raft, raft.join, { raftId: 7, address: '192.0.2.1:2377' }, options)).rejects.toMatchObject(
        {
          code: expect.stringMatching(/permission-denied|unimplemented/),
        },
      );
      const csr = Buffer.from('nothing');
      await expect(
        callUnary(anonymous, anonymous.issueNodeCertificate, { csr, token: '', availability: '' }, options),
      ).rejects.toThrow('A valid join token is necessary to join this cluster');
      await expect(secretsFrom(nobody)).rejects.toMatchObject({
        code: expect.stringMatching(/permission-denied|unauthenticated|unimplemented/),
      });
    } finally {
      for (const each of [connection, raft, anonymous, nobody]) each.close();
      close();
    }
  });

  it('of a node that was removed is refused', async () => {
    const { ID } = await nodeOf(manager, worker);
    expect(await api(manager, 'DELETE', `/nodes/${ID}?force=true`)).toMatchObject({ status: 200 });
    await worker.stopService('daemon', 'SIGKILL');
    await worker.startDaemon();
    await eventually('the worker to be told', async () => {
      const info = await apiJson<{ Swarm: { Error: string } }>(worker, 'GET', '/info');
      if (!/removed|not found|Permission denied/.test(info.Swarm.Error)) throw new Error(JSON.stringify(info.Swarm));
      return true;
    });
    const nodes = await apiJson<{ ID: string }[]>(manager, 'GET', '/nodes');
    expect(nodes.map((node) => node.ID)).not.toContain(ID);
    await worker.waggle(['swarm', 'leave']);
    await expectUntouched(worker);
  });
});

describe('in quick succession', () => {
  it('a swarm is made and left again and again on different ports of 127.0.0.1', async () => {
    for (let round = 0; round < 6; round++) {
      const port = 2400 + round;
      const init = { ListenAddr: `127.0.0.1:${port}`, AdvertiseAddr: `127.0.0.1:${port}` };
      await apiJson(third, 'POST', '/swarm/init', init);
      await apiJson(third, 'POST', '/networks/create', { Name: 'quick', Driver: 'overlay', Attachable: true });
      await createService(third, 'quick', ['sleep', '1000']);
      if (round % 3 === 0) await untilRunning(third, 'quick', 1);
      await apiJson(third, 'POST', '/swarm/leave?force=true');
      const { stdout } = await third.exec(['ss', '-Hlnt']);
      expect(stdout).not.toContain(`:${port} `);
      await expectUntouched(third);
    }
  });
});

/** What a list of the secrets is answered with. */
function secretsFrom(client: InstanceType<typeof controlService.Client>): Promise<unknown> {
  const { promise, resolve, reject } = Promise.withResolvers<unknown>();
  const call = client.operate();
  call.on('data', resolve);
  call.on('error', (error: Error) => reject(fromServiceError(error)));
  call.write({ operations: [{ number: 1, name: 'listSecrets', part: Buffer.from('{"filters":{}}'), last: true }] });
  return promise.finally(() => call.cancel());
}

/** A unix socket outside that leads to a manager's port as seen from `host`, which is on a network of the lab only. */
async function forward(host: Host, target: Host): Promise<{ address: string; close: () => void }> {
  const script = `require('net').createServer((from) => {
    const to = require('net').connect(2377, '${target.address}');
    from.pipe(to).pipe(from);
    for (const end of [from, to]) end.on('error', () => { from.destroy(); to.destroy(); });
  }).listen('/run/rpc.sock')`;
  const [file, args] = host.inside([process.execPath, '-e', script]);
  const child = spawn(file, args, { stdio: 'ignore' });
  const socket = path.join(host.options.folder, 'run/rpc.sock');
  await eventually('the forwarder', () => existsSync(socket));
  return { address: `unix:${socket}`, close: () => child.kill('SIGKILL') };
}
