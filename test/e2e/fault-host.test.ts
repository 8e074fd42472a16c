import { writeFileSync } from 'node:fs';
import { spawn } from 'node:child_process';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { eventually } from '../lab/eventually.ts';
import type { Host } from '../lab/host.ts';
import { type Lab, createLab } from '../lab/lab.ts';
import type { RunResult } from '../lab/run.ts';
import { api, apiJson, createService, untilRunning } from '../lab/swarm.ts';

/** What the daemon says of a host on which it cannot work, and what the API says to requests that make no sense. */

const DAEMON = path.resolve(import.meta.dirname, '../../cli/waggle');

let lab: Lab;
let host: Host;
let worker: Host;

beforeAll(async () => {
  lab = await createLab({ hosts: 2, daemons: false });
  [host, worker] = [lab.host(0), lab.host(1)];
});

afterAll(() => lab?.destroy());

/** Runs a daemon that is to end by itself. */
function daemon(flags: readonly string[], options: { before?: string; user?: string[] } = {}): Promise<RunResult> {
  const script = `${options.before ?? 'true'} && exec "$@"`;
  const command = [...(options.user ?? []), DAEMON, 'daemon', ...flags];
  return host.exec(['unshare', '-m', 'sh', '-c', script, 'sh', ...command], { check: false, timeoutMs: 60_000 });
}

const lastLine = (result: RunResult): string => result.stderr.trim().split('\n').at(-1) ?? '';

describe('the daemon says what is missing and how to mend it', () => {
  it.each([
    {
      id: 'not root',
      user: ['setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups'],
      says: /^waggle daemon: root is needed, .* Run it as root\.$/,
    },
    {
      id: 'no nft',
      before: 'mount --bind /dev/null "$(realpath "$(command -v nft)")"',
      says: /^waggle daemon: the program 'nft' is missing, .* apt-get install nftables$/,
    },
    {
      id: 'no ip',
      before: 'mount --bind /dev/null "$(realpath "$(command -v ip)")"',
      says: /^waggle daemon: the program 'ip' is missing, .* apt-get install iproute2$/,
    },
    {
      id: 'data directory is a file',
      flags: ['--data-dir', '/etc/hostname'],
      says: /^waggle daemon: --data-dir \/etc\/hostname is not writable .*give another one\.$/,
    },
    {
      id: 'data directory is read-only',
      before: 'mount -t tmpfs -o ro none /var/lib/waggle',
      says: /^waggle daemon: --data-dir \/var\/lib\/waggle is not writable \(EROFS.* Make it writable/,
    },
    {
      id: 'engine by TCP',
      flags: ['--docker-host', 'tcp://127.0.0.1:2375'],
      says: /^--docker-host tcp:\/\/127\.0\.0\.1:2375: give a socket as unix:\/\/\/path$/,
    },
    {
      id: "the engine's socket as ours",
      flags: ['--host', 'unix:///var/run/docker.sock'],
      says: /^waggle daemon: --host and --docker-host are the same socket/,
    },
  ])('$id', async ({ says, flags, before, user }) => {
    const result = await daemon(flags ?? [], {
      ...(before === undefined ? {} : { before }),
      ...(user === undefined ? {} : { user }),
    });
    expect(lastLine(result)).toMatch(says);
    expect(result.exitCode).toBe(1);
  });

  it('an engine in a swarm of its own', async () => {
    await host.docker(['swarm', 'init', '--advertise-addr', host.address]);
    try {
      const result = await daemon([]);
      expect(lastLine(result)).toMatch(
        /is in a swarm of its own \(active\)\. Take it out first: docker -H \S+ swarm leave --force$/,
      );
      expect(result.exitCode).toBe(1);
    } finally {
      await host.docker(['swarm', 'leave', '--force']);
    }
  });

  it('finds its programs when the PATH does not name their folders', async () => {
    await host.startDaemon();
    await host.stopService('daemon');
    const [file, args] = host.inside(['env', `PATH=${path.dirname(process.execPath)}:/usr/bin:/bin`, DAEMON, 'daemon']);
    const child = spawn(file, args, { stdio: 'ignore' });
    try {
      await eventually('the API', async () => (await api(host, 'GET', '/info')).status === 200);
      await apiJson(host, 'POST', '/swarm/init', { ListenAddr: '0.0.0.0:2377', AdvertiseAddr: host.address });
      await apiJson(host, 'POST', '/networks/create', { Name: 'n', Driver: 'overlay', Attachable: true });
      await host.docker(['run', '--rm', '--network', 'n', '127.0.0.1:5000/bb:1', 'true']);
      await apiJson(host, 'POST', '/swarm/leave?force=true');
    } finally {
      child.kill('SIGTERM');
      await eventually('the daemon to end', () => child.exitCode !== null || child.signalCode !== null);
    }
  });
});

describe('one daemon a host', () => {
  it('a second one is refused and does the first no harm', async () => {
    await host.startDaemon();
    const result = await daemon([]);
    expect(lastLine(result)).toMatch(
      /^waggle daemon: another waggle daemon is running on --data-dir \/var\/lib\/waggle\./,
    );
    expect(result.exitCode).toBe(1);
    expect((await api(host, 'GET', '/info')).status).toBe(200);
    const plugin = [
      'curl',
      '-s',
      '--unix-socket',
      '/run/docker/plugins/waggle.sock',
      '-X',
      'POST',
      'http://d/Plugin.Activate',
    ];
    expect((await host.exec(plugin)).stdout).toContain('NetworkDriver');
  });
});

describe('a port that somebody has', () => {
  const programs: { kill: () => void }[] = [];
  afterEach(() => {
    for (const program of programs.splice(0)) program.kill();
  });

  it.each([
    { port: 2377, kind: 'tcp', says: /cannot listen on 0\.0\.0\.0:2377: .*EADDRINUSE.*ss -lntp.*--listen-addr/ },
    { port: 7946, kind: 'tcp', says: /cannot listen on 192\.168\.77\.11:7946 for gossip.*EADDRINUSE.*ss -lntup/ },
    { port: 7946, kind: 'udp', says: /cannot listen on 192\.168\.77\.11:7946 for gossip.*EADDRINUSE.*ss -lntup/ },
    {
      port: 4789,
      kind: 'udp',
      says: /port 4789\/udp, the data path .* is in use by another program.*--data-path-port/,
    },
  ])('$port/$kind: is named, with the way out, and nothing is begun', async ({ port, kind, says }) => {
    const script =
      kind === 'tcp'
        ? `require('net').createServer().listen(${port}, '0.0.0.0', () => console.log('up'))`
        : `require('dgram').createSocket('udp4').bind(${port}, () => console.log('up'))`;
    const [file, args] = host.inside([process.execPath, '-e', script]);
    const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'ignore'] });
    programs.push({ kill: () => child.kill('SIGKILL') });
    await new Promise((resolve) => child.stdout.once('data', resolve));
    const init = { ListenAddr: '0.0.0.0:2377', AdvertiseAddr: host.address };
    const answer = await api(host, 'POST', '/swarm/init', init);
    expect(answer.status).toBeGreaterThanOrEqual(400);
    expect((answer.json as { message: string }).message).toMatch(says);
    expect(await apiJson(host, 'GET', '/info')).toMatchObject({ Swarm: { LocalNodeState: 'inactive' } });
    child.kill('SIGKILL');
    await eventually('the port to be free', () => child.signalCode !== null);
    await apiJson(host, 'POST', '/swarm/init', init);
    await apiJson(host, 'POST', '/swarm/leave?force=true');
  });
});

describe('requests that make no sense', () => {
  beforeAll(() => apiJson(host, 'POST', '/swarm/init', { ListenAddr: '0.0.0.0:2377', AdvertiseAddr: host.address }));

  const filters = (value: unknown): string => `filters=${encodeURIComponent(JSON.stringify(value))}`;
  it.each([
    {
      id: 'no JSON',
      path: '/services/create',
      body: '{bad',
      message: "invalid character 'b' looking for beginning of object key string",
    },
    { id: 'no body', path: '/services/create', body: '', message: 'got EOF while reading request body' },
    { id: 'half a body', path: '/swarm/init', body: '{', message: 'unexpected EOF' },
    {
      id: 'a list',
      path: '/services/create',
      body: '[]',
      message: 'json: cannot unmarshal array into Go value of type swarm.ServiceSpec',
    },
    { id: 'an empty spec', path: '/services/create', body: '{}', message: 'mismatched Runtime and *Spec fields' },
    {
      id: 'no version',
      path: '/swarm/update?version=x',
      body: '{}',
      message: 'invalid swarm version \'x\': strconv.ParseUint: parsing "x": invalid syntax',
    },
    {
      id: 'no name',
      path: '/configs/create',
      body: '{}',
      message: 'rpc error: code = InvalidArgument desc = name must be provided',
    },
    {
      id: 'filter that is none',
      method: 'GET',
      path: `/services?${filters({ foo: ['a'] })}`,
      message: "Invalid filter 'foo'",
    },
    {
      id: 'filters that are none',
      method: 'GET',
      path: '/services?filters=%7Bx',
      message: "invalid character 'x' looking for beginning of object key string",
    },
    {
      id: 'a body of 6 MB',
      path: '/services/create',
      body: `{"Name":"${'a'.repeat(6_000_000)}"}`,
      status: 413,
      message: 'http: request body too large',
    },
    { id: 'nothing there', method: 'GET', path: '/services/nosuch', status: 404, message: 'service nosuch not found' },
    {
      id: 'a version of the past',
      path: '/swarm/update?version=1',
      body: '{}',
      status: 500,
      message: 'rpc error: code = Unknown desc = update out of sequence',
    },
  ])('$id', async ({ method, path: target, body, status, message }) => {
    expect(await api(host, method ?? 'POST', target, body)).toMatchObject({ status: status ?? 400, json: { message } });
  });
});

describe('a host whose engine comes late', () => {
  it('the daemon waits, and works once it is there', async () => {
    await worker.stopService('engine');
    await worker.startDaemon();
    const away = await api(worker, 'POST', '/swarm/init', {
      ListenAddr: '0.0.0.0:2377',
      AdvertiseAddr: worker.address,
    });
    expect(away).toMatchObject({
      status: 503,
      json: { message: expect.stringMatching(/cannot be reached .*--docker-host$/) },
    });
    await worker.startEngine();
    await apiJson(worker, 'POST', '/swarm/init', { ListenAddr: '0.0.0.0:2377', AdvertiseAddr: worker.address });
    await createService(worker, 'late', ['sleep', '1000']);
    await untilRunning(worker, 'late', 1);
    await apiJson(worker, 'POST', '/swarm/leave?force=true');
  });

  it('a record that cannot be read is told, not forgotten', async () => {
    await apiJson(worker, 'POST', '/swarm/init', { ListenAddr: '0.0.0.0:2377', AdvertiseAddr: worker.address });
    await worker.stopService('daemon', 'SIGKILL');
    writeFileSync(path.join(worker.options.folder, 'lib-waggle/identity/node.json'), '{"certificate":');
    const result = await worker.exec([DAEMON, 'daemon'], { check: false, timeoutMs: 20_000 });
    expect(result.exitCode).toBe(1);
    expect(lastLine(result)).toMatch(/^waggle daemon: the node's identity cannot be read: /);
  });
});
