import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readlinkSync, realpathSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { EngineApiServer } from '../../manager/engineapi/server.ts';
import { systemClock } from '../../proto/runtime/clock.ts';
import { silentLog } from '../../proto/runtime/log.ts';
import { eventually } from '../lab/eventually.ts';
import type { Host } from '../lab/host.ts';
import { TEST_IMAGE } from '../lab/image.ts';
import { type Lab, createLab } from '../lab/lab.ts';
import type { RunResult } from '../lab/run.ts';
import { FakeBackend } from '../unit/manager/engineapi/fake-backend.ts';

/** Every docker CLI on this machine against a real engine, through our socket. No swarm: that is other tests' matter. */

const SOCKET = 'unix:///run/waggle/docker.sock';
const EXEC_ROUNDS = 40;
const CLIENTS = [
  ...new Set(
    ['/usr/local/bin/docker', '/usr/bin/docker'].filter((file) => existsSync(file)).map((file) => realpathSync(file)),
  ),
];

let lab: Lab;
let host: Host;
let server: EngineApiServer;
let idleSockets = 0;

beforeAll(async () => {
  lab = await createLab({ hosts: 1, daemons: false });
  host = lab.host(0);
  const backend = new FakeBackend();
  backend.local = { nodeId: '', nodeAddr: '', state: 'inactive', manager: false, error: '', remoteManagers: [] };
  server = new EngineApiServer(
    { socketPath: host.waggleSocket, engineSocketPath: host.engineSocket },
    { backend, clock: systemClock, log: silentLog },
  );
  await server.start();
  idleSockets = openSockets();
});

afterAll(async () => {
  await server?.stop();
  await lab?.destroy();
});

describe.each(CLIENTS)('%s', (program) => {
  const docker = (...args: string[]): Promise<RunResult> => host.swarmDocker(args, { program });
  /** A shell line in which `$D` is the client on our socket. */
  const shell = (line: string, check = true): Promise<RunResult> =>
    host.exec(['sh', '-c', line], { env: { D: `${program} -H ${SOCKET}` }, check });
  beforeAll(async () => {
    await docker('run', '-d', '--name', 'box', TEST_IMAGE, 'sleep', '1000');
  });
  const clients: { kill: () => void }[] = [];
  afterEach(() => {
    for (const client of clients.splice(0)) client.kill();
  });
  afterAll(async () => {
    await docker('rm', '-f', 'box');
  });

  it('version', async () => {
    expect((await docker('version', '--format', '{{.Server.Version}}')).stdout).toMatch(/^\d+\./);
    expect((await docker('info', '--format', '{{.Swarm.LocalNodeState}}')).stdout).toBe('inactive');
  });

  it('run -i sees the end of its input and passes the exit status', async () => {
    const line = await shell(
      `printf 'a\\nb\\n' | $D run --rm -i ${TEST_IMAGE} sh -c 'wc -l; echo oops >&2; exit 7'`,
      false,
    );
    expect(line).toMatchObject({ exitCode: 7, stdout: '2', stderr: 'oops' });
  });

  it('exec', async () => {
    expect(await shell("echo hello | $D exec -i box sh -c 'cat; exit 5'", false)).toMatchObject({
      exitCode: 5,
      stdout: 'hello',
    });
    const gone = await shell('$D exec nope true', false);
    expect([gone.exitCode, gone.stderr]).toEqual([1, expect.stringContaining('No such container: nope')]);
  });

  it(`exec -it, ${EXEC_ROUNDS} times of ${EXEC_ROUNDS}`, async () => {
    const results = [];
    for (let round = 0; round < EXEC_ROUNDS; round++) {
      const command = `$D exec -it box sh -c 'tty; echo round-${round}; exit 3'`;
      const { exitCode, stdout } = await shell(`script -qec "${command}" /dev/null`, false);
      results.push(`${exitCode} ${stdout.includes('/dev/pts/')} ${/round-(\d+)/.exec(stdout)?.[1] ?? stdout}`);
    }
    expect(results).toEqual(Array.from({ length: EXEC_ROUNDS }, (_, round) => `3 true ${round}`));
  });

  it('exec -it is resized with its terminal', async () => {
    const { stdout } = await shell(
      `script -qec "stty rows 33 cols 77; $D exec -it box sh -c 'sleep 1; stty size'" /dev/null`,
    );
    expect(stdout).toContain('33 77');
  });

  it('20 MB through standard input and back', async () => {
    const { stdout } = await shell(
      `head -c 20000000 /dev/urandom > /run/20mb; $D exec -i box cat < /run/20mb | cmp - /run/20mb && echo same`,
    );
    expect(stdout).toBe('same');
  });

  it('output that ends while input still flows', async () => {
    for (let round = 0; round < 10; round++) {
      const { stdout } = await shell(
        `head -c 3000000 /dev/zero | $D exec -i box sh -c 'head -c 100 >/dev/null; seq 1 5000' | tail -1`,
        false,
      );
      expect(stdout).toBe('5000');
    }
  });

  it('logs -f is let go of when its client is killed', async () => {
    await docker(
      'run',
      '-d',
      '--name',
      'talker',
      TEST_IMAGE,
      'sh',
      '-c',
      'i=0; while true; do i=$((i+1)); echo $i; sleep 0.1; done',
    );
    const before = openSockets();
    const client = background(program, ['logs', '-f', 'talker']);
    await eventually('some lines', () => client.output().includes('3\n'));
    client.kill();
    await eventually('the connections to close', () => openSockets() <= before);
    await docker('rm', '-f', 'talker');
  });

  it('attach', async () => {
    await docker('create', '-i', '--name', 'att', TEST_IMAGE, 'sh', '-c', 'read x; echo got $x; exit 4');
    const { exitCode, stdout } = await shell('echo this | $D start -ai att', false);
    await docker('rm', '-f', 'att');
    expect({ exitCode, stdout }).toEqual({ exitCode: 4, stdout: 'got this' });
  });

  it('events', async () => {
    const client = background(program, [
      'events',
      '--filter',
      'type=container',
      '--format',
      '{{.Action}} {{.Actor.Attributes.name}}',
    ]);
    await eventually('the stream', async () => {
      await docker('create', '--name', 'ev', TEST_IMAGE, 'true');
      await docker('rm', 'ev');
      return client.output().includes('create ev\ndestroy ev\n');
    });
    client.kill();
    const past = await shell(
      '$D events --since 1h --until 0s --filter container=box --filter event=start --format {{.Action}}',
    );
    expect(past.stdout).toBe('start');
  });

  it('cp both ways', async () => {
    const { stdout } = await shell(
      `head -c 3000000 /dev/urandom > /run/f && $D cp /run/f box:/tmp/f && $D cp box:/tmp/f /run/g && cmp /run/f /run/g && echo same`,
    );
    expect(stdout).toBe('same');
    expect((await shell('$D cp box:/nope /run/x', false)).exitCode).toBe(1);
  });

  it('save and load', async () => {
    const { stdout } = await shell(`$D save ${TEST_IMAGE} | $D load`);
    expect(stdout).toContain(`Loaded image: ${TEST_IMAGE}`);
  });

  it('build', async () => {
    const folder = path.join(host.options.folder, 'run/build');
    mkdirSync(folder, { recursive: true });
    writeFileSync(
      path.join(folder, 'Dockerfile'),
      `FROM ${TEST_IMAGE}\nCOPY Dockerfile /tmp/d\nRUN wc -l /tmp/d > /tmp/n\nCMD cat /tmp/n\n`,
    );
    await host.exec(['sh', '-c', `${program} -H ${SOCKET} build --pull=false -t built /run/build`], {
      env: { DOCKER_BUILDKIT: '0' },
    });
    expect((await docker('run', '--rm', 'built')).stdout).toContain('4 /tmp/d');
    await docker('rmi', '-f', 'built');
  });

  it('stats --no-stream', async () => {
    expect((await docker('stats', '--no-stream', '--format', '{{.Name}}', 'box')).stdout).toBe('box');
  });

  it('networks of its own', async () => {
    await docker('network', 'create', 'mine');
    await docker('network', 'connect', 'mine', 'box');
    expect(
      (await docker('network', 'inspect', 'mine', '--format', '{{range .Containers}}{{.Name}}{{end}}')).stdout,
    ).toBe('box');
    await docker('network', 'disconnect', 'mine', 'box');
    expect((await docker('network', 'ls', '--format', '{{.Name}}')).stdout.split('\n')).toEqual(
      expect.arrayContaining(['bridge', 'mine']),
    );
    expect((await docker('network', 'prune', '-f')).stdout).toContain('mine');
    const overlay = await host.swarmDocker(['network', 'create', '-d', 'overlay', 'ov'], { program, check: false });
    expect(overlay.stderr).toContain('This node is not a swarm manager.');
  });

  it('leaves no connection behind', async () => {
    await eventually('connections to close', () => openSockets() <= idleSockets, { timeoutMs: 15_000 });
  });

  function background(file: string, args: string[]): { output: () => string; kill: () => void } {
    const [command, inside] = host.inside([file, '-H', SOCKET, ...args]);
    const child = spawn(command, inside, { stdio: ['ignore', 'pipe', 'inherit'] });
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString();
    });
    const client = { output: () => output, kill: () => void child.kill('SIGKILL') };
    clients.push(client);
    return client;
  }
});

/** Sockets that this process has open; those of finished child processes are gone by the time they have ended. */
function openSockets(): number {
  return readdirSync('/proc/self/fd').filter((fd) => linkOf(fd)?.startsWith('socket:') === true).length;
}

function linkOf(fd: string): string | undefined {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return undefined;
  }
}
