import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import Docker from 'dockerode';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ApiClient } from '../../cli/client.ts';
import { eventually } from '../lab/eventually.ts';
import type { Host } from '../lab/host.ts';
import { TEST_IMAGE } from '../lab/image.ts';
import { createLab, type Lab } from '../lab/lab.ts';
import type { RunResult } from '../lab/run.ts';

const PROGRAMS = ['/usr/bin/docker', '/usr/local/bin/docker'] as const;
/** A registry that is not there must not be asked: an engine gives up on it only after a while. */
const CREATE =
  'service create --no-resolve-image --update-monitor 1s --rollback-monitor 1s --update-delay 0s --stop-grace-period 1s'.split(
    ' ',
  );
const SLEEP = [TEST_IMAGE, 'sleep', '3600'];
const TIMEOUT = { timeoutMs: 60_000 };

let lab: Lab;
let manager: Host;
let worker: Host;
let third: Host;
let outsider: Host;

beforeAll(async () => {
  lab = await createLab({ hosts: 4 });
  [manager, worker, third, outsider] = [lab.host(0), lab.host(1), lab.host(2), lab.host(3)];
});
afterAll(() => lab?.destroy());

/** Both outcomes of a command: what it printed, and whether it failed. */
async function outcome(result: Promise<RunResult>): Promise<{ failed: boolean; text: string }> {
  try {
    const { stdout, stderr } = await result;
    return { failed: false, text: `${stdout}\n${stderr}`.trim() };
  } catch (error) {
    return { failed: true, text: error instanceof Error ? error.message : String(error) };
  }
}

function docker(args: readonly string[], program: string = PROGRAMS[0], host = manager): Promise<RunResult> {
  return host.swarmDocker(args, { ...TIMEOUT, program });
}

async function out(result: Promise<RunResult>): Promise<string> {
  return (await result).stdout.trim();
}

/** A docker CLI that is not installed is not tested. */
const programs = PROGRAMS.map((program) => ({ program }));

describe('outside of a swarm', () => {
  const NOT_MANAGER = 'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join"';
  test.each([
    { id: 'leave', args: ['swarm', 'leave'], text: 'This node is not part of a swarm' },
    { id: 'forced leave', args: ['swarm', 'leave', '--force'], text: 'This node is not part of a swarm' },
    { id: 'node ls', args: ['node', 'ls'], text: NOT_MANAGER },
    { id: 'service ls', args: ['service', 'ls'], text: NOT_MANAGER },
    { id: 'join-token', args: ['swarm', 'join-token', 'worker'], text: NOT_MANAGER },
    { id: 'unlock-key', args: ['swarm', 'unlock-key'], text: NOT_MANAGER },
    { id: 'overlay network', args: ['network', 'create', '-d', 'overlay', 'x'], text: NOT_MANAGER },
  ])('$id', async ({ args, text }) => {
    for (const run of [
      () => docker(args, PROGRAMS[0], outsider),
      () => docker(args, PROGRAMS[1], outsider),
      () => outsider.waggle(args),
    ]) {
      const answer = await outcome(run());
      expect(answer.failed).toBe(true);
      expect(answer.text).toContain(text);
    }
  });

  test('status codes', async () => {
    const api = new Docker({ socketPath: outsider.waggleSocket });
    await expect(api.listServices()).rejects.toMatchObject({ statusCode: 503 });
    await expect(api.swarmLeave({ force: true })).rejects.toMatchObject({ statusCode: 503 });
    await expect(api.info()).resolves.toMatchObject({ Swarm: { LocalNodeState: 'inactive', ControlAvailable: false } });
  });
});

describe('making a swarm', () => {
  test('docker makes it, docker 28 and waggle join it', async () => {
    const made = await out(docker(['swarm', 'init', '--advertise-addr', manager.address]));
    const token = await out(manager.waggle(['swarm', 'join-token', '-q', 'worker']));
    expect(made).toContain(`docker swarm join --token ${token} ${manager.address}:2377`);
    const join = ['swarm', 'join', '--token', token, `${manager.address}:2377`];
    expect(await out(docker(join, PROGRAMS[1], worker))).toBe('This node joined a swarm as a worker.');
    expect(await out(third.waggle(join, TIMEOUT))).toBe('This node joined a swarm as a worker.');
    await eventually('three active nodes', async () => {
      const lines = await out(
        manager.waggle(['node', 'ls', '--format', '{{.Status}} {{.Availability}} {{.TLSStatus}}']),
      );
      expect(lines.split('\n')).toEqual(['Ready Active Ready', 'Ready Active Ready', 'Ready Active Ready']);
    });
  });

  test('a rotated token lets in, the old one no longer', async () => {
    const before = await out(docker(['swarm', 'join-token', '-q', 'manager']));
    const after = await out(docker(['swarm', 'join-token', '--rotate', '-q', 'manager']));
    expect(after).not.toBe(before);
    expect(await out(manager.waggle(['swarm', 'join-token', '-q', 'manager']))).toBe(after);
    const join = ['swarm', 'join', '--token', before, `${manager.address}:2377`];
    expect((await outcome(outsider.waggle(join, TIMEOUT))).text).toContain('valid join token');
  });

  test.each([
    {
      id: 'join again',
      on: 1,
      args: ['swarm', 'join', '--token', 'x', '1.2.3.4'],
      text: 'This node is already part of a swarm',
    },
    { id: 'init again', on: 0, args: ['swarm', 'init'], text: 'This node is already part of a swarm' },
    {
      id: 'list on a worker',
      on: 1,
      args: ['node', 'ls'],
      text: "Worker nodes can't be used to view or modify cluster state",
    },
    {
      id: 'network on a worker',
      on: 1,
      args: ['network', 'create', '-d', 'overlay', 'x'],
      text: 'Cannot create a multi-host network from a worker node',
    },
    {
      id: 'manager leaves',
      on: 0,
      args: ['swarm', 'leave'],
      text: 'You are attempting to leave the swarm on a node that is participating as a manager',
    },
    { id: 'demote the last manager', on: 0, args: ['node', 'demote', 'h1'], text: 'last manager' },
    { id: 'remove a node that is up', on: 0, args: ['node', 'rm', 'h2'], text: 'is not down and can' },
  ])('refused: $id', async ({ on, args, text }) => {
    const host = lab.host(on);
    for (const run of [() => docker(args, PROGRAMS[1], host), () => host.waggle(args, TIMEOUT)]) {
      const answer = await outcome(run());
      expect(answer.failed).toBe(true);
      expect(answer.text).toContain(text);
    }
  });
});

describe('services', () => {
  test('networks take every flag that overlays have', async () => {
    await docker(['network', 'create', '-d', 'overlay', '--attachable', 'net1']);
    const flags =
      '--subnet 10.9.0.0/24 --gateway 10.9.0.1 --ip-range 10.9.0.128/25 --aux-address a=10.9.0.200 --label x=y --internal';
    await docker(
      ['network', 'create', '-d', 'overlay', ...flags.split(' '), '-o', 'com.docker.network.driver.mtu=1400', 'net2'],
      PROGRAMS[1],
    );
    const [net2] = JSON.parse(await out(manager.waggle(['network', 'inspect', '-v', 'net2']))) as object[];
    expect(net2).toMatchObject({
      Scope: 'swarm',
      Driver: 'overlay',
      Internal: true,
      Labels: { x: 'y' },
      IPAM: { Config: [{ Subnet: '10.9.0.0/24', Gateway: '10.9.0.1' }] },
      Options: { 'com.docker.network.driver.mtu': '1400' },
    });
    expect((await outcome(docker(['network', 'create', '-d', 'overlay', 'net1']))).text).toContain('already exists');
  });

  test('created without --detach: comes back when it runs', async () => {
    await docker([...CREATE, '--name', 'web', '--replicas', '3', '--network', 'net1', '-e', 'A=1', ...SLEEP]);
    const global = ['--mode', 'global', '--network', 'host'];
    await docker([...CREATE, '--name', 'everywhere', ...global, '-l', 'a=b', ...SLEEP], PROGRAMS[1]);
    await manager.waggle([...CREATE, '--name', 'wag', '--limit-memory', '64m', '--network', 'net1', ...SLEEP], TIMEOUT);
    const listed = await out(manager.waggle(['service', 'ls', '--format', '{{.Name}} {{.Mode}} {{.Replicas}}']));
    expect(listed.split('\n')).toEqual(['everywhere global 3/3', 'wag replicated 1/1', 'web replicated 3/3']);
    const id = await out(worker.docker(['ps', '-q', '-f', 'label=com.docker.swarm.service.name=everywhere']));
    expect(await out(worker.docker(['inspect', '-f', '{{.HostConfig.NetworkMode}}', id]))).toBe('host');
  });

  test('every flag reaches the container', async () => {
    const flags =
      '--name full --mount type=volume,source=vol,target=/v --mount type=bind,source=/tmp,target=/t,readonly --mount type=tmpfs,target=/s,tmpfs-size=1m ' +
      '--constraint node.hostname==h2 --placement-pref spread=node.labels.a --replicas-max-per-node 3 --limit-cpu .5 --limit-memory 64m ' +
      '--reserve-memory 6m --limit-pids 50 -w /tmp -u 0 --cap-add NET_ADMIN --cap-drop MKNOD -l z=1 --dns 1.1.1.1 --dns-option ndots:1 --dns-search x.y ' +
      '--hostname h-{{.Task.Slot}} --health-cmd true --health-interval 1s --entrypoint sleep --group 1 --host a:1.2.3.4 --init --log-driver json-file ' +
      '--log-opt max-size=1m --read-only --stop-grace-period 2s --stop-signal SIGKILL --sysctl net.ipv4.ip_unprivileged_port_start=0 -t ' +
      '--ulimit nofile=100:200 --container-label q=r --restart-condition on-failure --restart-delay 1s --restart-max-attempts 3 --restart-window 1m ' +
      '--rollback-order start-first --endpoint-mode dnsrr --network net1 --publish mode=host,target=80,published=9090';
    await docker([...CREATE, ...flags.split(' '), TEST_IMAGE, '3600']);
    const id = await out(worker.docker(['ps', '-q', '-f', 'label=com.docker.swarm.service.name=full']));
    const [container] = JSON.parse(await out(worker.docker(['inspect', id]))) as object[];
    expect(container).toMatchObject({
      Config: {
        Hostname: 'h-1',
        User: '0',
        Tty: true,
        WorkingDir: '/tmp',
        Entrypoint: ['sleep'],
        Cmd: ['3600'],
        StopSignal: 'SIGKILL',
        Labels: { q: 'r' },
        Healthcheck: { Test: ['CMD-SHELL', 'true'], Interval: 1e9 },
      },
      HostConfig: {
        ReadonlyRootfs: true,
        Init: true,
        Memory: 64 * 2 ** 20,
        NanoCpus: 5e8,
        PidsLimit: 50,
        CapAdd: ['CAP_NET_ADMIN'],
        CapDrop: ['CAP_MKNOD'],
        Dns: ['1.1.1.1'],
        DnsOptions: ['ndots:1'],
        DnsSearch: ['x.y'],
        ExtraHosts: ['a:1.2.3.4'],
        GroupAdd: ['1'],
        Sysctls: { 'net.ipv4.ip_unprivileged_port_start': '0' },
        Ulimits: [{ Name: 'nofile', Soft: 100, Hard: 200 }],
        LogConfig: { Type: 'json-file', Config: { 'max-size': '1m' } },
        PortBindings: { '80/tcp': [{ HostPort: '9090' }] },
      },
    });
  });

  const LISTS = [
    'node ls',
    'node ls -q',
    'node ls --format {{json_.}}',
    'node inspect --pretty h2',
    'service ls',
    'service ls -q',
    'service ls -f name=we',
    'service ls --format {{json_.}}',
    'service inspect --pretty web',
    'service inspect --pretty full',
    'service inspect --pretty everywhere',
    'service inspect --format {{json_.Spec.Labels}}{{.Spec.Name}} everywhere',
    'service ps --format {{.ID}}/{{.Name}}/{{.Node}}/{{.Image}}/{{.DesiredState}} web',
    'service ps -q web',
    'service ps --no-resolve --format {{.Name}}/{{.Node}} web everywhere',
    'node ps --format {{.Name}} h2',
    'network ls',
    'network ls --no-trunc -f scope=swarm',
    'network ls --format {{json_.}} -f driver=overlay',
    'network inspect net1',
    'swarm ca',
  ];
  test.each(LISTS)('waggle prints what docker prints: %s', async (line) => {
    const args = line.split(' ').map((word) => word.replaceAll('json_', 'json '));
    const theirs = await out(docker(args));
    expect(await out(manager.waggle(args))).toBe(theirs);
  });

  test.each(['service inspect web', 'node inspect self', 'network inspect -v net1'])(
    'the same JSON: %s',
    async (line) => {
      const trim = (text: string): unknown =>
        JSON.parse(text.replaceAll(/(T[\d:]+\.\d*?)0*Z/g, '$1Z').replaceAll('"TLSInfo": {}', '"TLSInfo": {}'));
      expect(trim(await out(manager.waggle(line.split(' '))))).toEqual(trim(await out(docker(line.split(' ')))));
    },
  );

  test('updates roll, scale, and roll back', async () => {
    await docker(['service', 'update', '--env-add', 'A=2', '--update-parallelism', '2', '--no-resolve-image', 'web']);
    expect(
      await out(
        docker(['service', 'inspect', '-f', '{{.UpdateStatus.State}} {{.Spec.TaskTemplate.ContainerSpec.Env}}', 'web']),
      ),
    ).toBe('completed [A=2]');
    await docker(['service', 'scale', 'web=4'], PROGRAMS[1]);
    await manager.waggle(['service', 'scale', 'web=2'], TIMEOUT);
    await eventually('those too many are gone', async () => {
      expect(await out(manager.waggle(['service', 'ls', '-f', 'name=web', '--format', '{{.Replicas}}']))).toBe('2/2');
    });
    await docker(['service', 'update', '--env-add', 'A=3', 'web', '--no-resolve-image'], PROGRAMS[1]);
    await manager.waggle(['service', 'rollback', 'web'], TIMEOUT);
    const state = await out(
      docker(['service', 'inspect', '-f', '{{.UpdateStatus.State}} {{.Spec.TaskTemplate.ContainerSpec.Env}}', 'web']),
    );
    expect(state).toBe('rollback_completed [A=2]');
  });

  test.each([
    {
      id: 'pause',
      action: 'pause',
      state: 'paused',
      text: 'update paused due to failure or early termination of task',
    },
    { id: 'rollback', action: 'rollback', state: 'rollback_completed', text: 'rollback completed' },
  ])('a bad image: $id', async ({ id, action, state, text }) => {
    const name = `bad-${id}`;
    await docker([...CREATE, '-d', '--name', name, '--replicas', '2', ...SLEEP]);
    await eventually(
      'it runs',
      async () =>
        (await out(manager.waggle(['service', 'ls', '-f', `name=${name}`, '--format', '{{.Replicas}}']))) === '2/2',
    );
    const update = [
      'service',
      'update',
      '--image',
      '127.0.0.1:5000/nope:1',
      '--update-failure-action',
      action,
      '--no-resolve-image',
      name,
    ];
    expect((await outcome(docker(update))).failed).toBe(action === 'pause');
    await eventually('its outcome', async () => {
      const status: unknown = JSON.parse(
        await out(docker(['service', 'inspect', '-f', '{{json .UpdateStatus}}', name])),
      );
      expect(status).toMatchObject({ State: state, Message: expect.stringContaining(text) as string });
    });
    await docker(['service', 'rm', name]);
  });
});

describe('ordinary docker through the socket, in a swarm', () => {
  test('containers on a swarm network', async () => {
    await docker(['run', '-d', '--name', 'plain', '--network', 'net1', ...SLEEP], PROGRAMS[1]);
    await docker(['run', '-d', '--name', 'far', '--network', 'net1', ...SLEEP], PROGRAMS[0], worker);
    expect(await out(docker(['ps', '--format', '{{.Names}}', '-f', 'name=plain']))).toBe('plain');
    expect(await out(docker(['ps', '--format', '{{.Names}}', '-f', 'is-task=false']))).toBe('plain');
    expect(await out(docker(['ps', '--format', '{{.Names}}', '-f', 'is-task=true']))).toMatch(/^everywhere\./m);
    const id = await out(docker(['network', 'inspect', '-f', '{{.Id}}', 'net1']));
    expect(await out(docker(['inspect', '-f', '{{.NetworkSettings.Networks.net1.NetworkID}}', 'plain']))).toBe(id);
    await eventually('names of the other host resolve', () =>
      docker(['exec', 'plain', 'ping', '-c', '1', '-W', '2', 'far']),
    );
    expect(await out(docker(['exec', 'plain', 'ping', '-c', '1', '-W', '2', 'web']))).toContain('1 packets received');
  });

  test('exec with a terminal, cp, logs, build', async () => {
    const typed = await manager.exec(
      [
        'script',
        '-qec',
        'docker -H unix:///run/waggle/docker.sock exec -it plain sh -c "tty && echo typed"',
        '/dev/null',
      ],
      TIMEOUT,
    );
    // script(1) types the end of its own input, too, which a terminal that is slow to come echoes.
    expect(typed.stdout).toMatch(/\/dev\/pts\/\d+\r?\n(\^@)?typed/);
    const folder = `${lab.folder}/build`;
    mkdirSync(folder);
    writeFileSync(`${folder}/Dockerfile`, 'FROM scratch\nCOPY hello /hello\n');
    writeFileSync(`${folder}/hello`, 'hello');
    await docker(['cp', `${folder}/hello`, 'plain:/tmp/hello']);
    expect(await out(docker(['exec', 'plain', 'cat', '/tmp/hello']))).toBe('hello');
    await manager.exec(
      ['env', 'DOCKER_BUILDKIT=0', 'docker', '-H', 'unix:///run/waggle/docker.sock', 'build', '-t', 'built:1', folder],
      TIMEOUT,
    );
    expect(await out(docker(['images', '-q', 'built:1']))).not.toBe('');
    await docker(['run', '-d', '--name', 'talks', TEST_IMAGE, 'sh', '-c', 'for i in 1 2 3; do echo line $i; done']);
    expect((await out(docker(['logs', '-f', 'talks']))).split('\n')).toEqual(['line 1', 'line 2', 'line 3']);
    await docker(['rm', '-f', 'talks', 'plain']);
    await docker(['rm', '-f', 'far'], PROGRAMS[0], worker);
  });

  test('events of the swarm are among those of the engine', async () => {
    const since = String(Math.floor(Date.parse(await out(manager.exec(['date', '-uIseconds']))) / 1000) - 1);
    await docker(['service', 'update', '-d', '--label-add', 'seen=1', 'wag']);
    await docker(['run', '--rm', '--name', 'noticed', TEST_IMAGE, 'true']);
    const until = String(Math.floor(Date.parse(await out(manager.exec(['date', '-uIseconds']))) / 1000) + 1);
    const lines = (
      await out(
        docker([
          'events',
          '--since',
          since,
          '--until',
          until,
          '--format',
          '{{.Type}} {{.Action}} {{.Actor.Attributes.name}}',
        ]),
      )
    ).split('\n');
    expect(lines).toContain('service update wag');
    expect(lines).toContain('container start noticed');
    const services = await out(
      docker(['events', '--since', since, '--until', until, '-f', 'type=service', '--format', '{{.Type}}']),
    );
    expect(new Set(services.split('\n'))).toEqual(new Set(['service']));
  });
});

test.each(programs)('stacks of $program', async ({ program }) => {
  const file = `${lab.folder}/stack.yml`;
  const sleeper = `    image: ${TEST_IMAGE}\n    command: sleep 3600\n    stop_grace_period: 1s\n`;
  writeFileSync(
    file,
    `version: "3.8"\nservices:\n  a:\n${sleeper}    deploy: {replicas: 2, labels: {x: "1"}}\n  b:\n${sleeper}    networks: [back]\nnetworks:\n  back: {attachable: true}\n`,
  );
  const deploy = ['stack', 'deploy', '--resolve-image', 'never', '-c', file, 'st'];
  await docker(deploy, program);
  await eventually('it runs', async () => {
    const lines = await out(docker(['stack', 'services', '--format', '{{.Name}} {{.Replicas}}', 'st'], program));
    expect(lines.split('\n').toSorted()).toEqual(['st_a 2/2', 'st_b 1/1']);
  });
  expect((await outcome(docker(deploy, program))).failed).toBe(false);
  expect(await out(docker(['stack', 'ls', '--format', '{{.Name}} {{.Services}}'], program))).toBe('st 2');
  expect((await out(docker(['stack', 'ps', '-q', 'st'], program))).split('\n')).toHaveLength(3);
  await eventually('its networks are gone', async () => {
    await outcome(docker(['stack', 'rm', 'st'], program));
    expect(await out(docker(['network', 'ls', '-q', '-f', 'label=com.docker.stack.namespace=st']))).toBe('');
  });
  rmSync(file);
});

describe('the API, with dockerode', () => {
  const api = (): Docker => new Docker({ socketPath: manager.waggleSocket });

  test('specs come back as they were given', async () => {
    const spec = {
      Name: 'api',
      TaskTemplate: { ContainerSpec: { Image: TEST_IMAGE, Args: ['sleep', '3600'] } },
      Labels: { a: 'b' },
    };
    const created = (await api().createService(spec)) as unknown as { id?: string; ID?: string };
    const service = api().getService(created.id ?? created.ID ?? '');
    const read = (await service.inspect()) as {
      Spec: Record<string, unknown>;
      Version: { Index: number };
      ServiceStatus?: unknown;
    };
    expect(read.Spec).toMatchObject({ ...spec, Mode: { Replicated: { Replicas: 1 } } });
    expect(read.Spec).not.toHaveProperty('RollbackConfig');
    expect(read.Spec).not.toHaveProperty('UpdateConfig');
    expect(read).not.toHaveProperty('ServiceStatus');
    const client = new ApiClient(`unix://${manager.waggleSocket}`);
    const full = await client.get<{ Spec: object }>('/services/api', { insertDefaults: true });
    expect(full.Spec).toHaveProperty('RollbackConfig.Order', 'stop-first');
    // The swarm itself writes to a new service for a while.
    await eventually('the service is changed', async () => {
      const { Version } = (await service.inspect()) as { Version: { Index: number } };
      await service.update({ ...read.Spec, version: Version.Index, Labels: { a: 'c' } });
    });
    await expect(service.update({ ...read.Spec, version: read.Version.Index })).rejects.toMatchObject({
      statusCode: 500,
      message: expect.stringContaining('update out of sequence') as string,
    });
    await eventually('a new name is refused', async () => {
      const { Version } = (await service.inspect()) as { Version: { Index: number } };
      const renamed = service.update({ ...read.Spec, Name: 'other', version: Version.Index });
      await expect(renamed).rejects.toMatchObject({ statusCode: 501 });
    });
    await expect(api().createService(spec)).rejects.toMatchObject({ statusCode: 409 });
    await expect(api().getService('nope').inspect()).rejects.toMatchObject({ statusCode: 404 });
    await expect(api().createService({ Name: 'a b', TaskTemplate: {} })).rejects.toMatchObject({ statusCode: 400 });
    await service.remove();
  });

  test('filters in both encodings, status and up-to-date tasks', async () => {
    for (const filters of [{ name: { web: true } }, { name: ['web'] }]) {
      const query = { filters: JSON.stringify(filters), status: true };
      const [web] = await new ApiClient(`unix://${manager.waggleSocket}`).get<{ ServiceStatus?: object }[]>(
        '/services',
        query,
      );
      expect(web?.ServiceStatus).toMatchObject({ RunningTasks: 2, DesiredTasks: 2 });
    }
    const tasks = (await api().listTasks({
      filters: JSON.stringify({ service: ['web'], '_up-to-date': ['true'] }),
    })) as { DesiredState: string }[];
    expect(tasks.filter((task) => task.DesiredState === 'running')).toHaveLength(2);
    await expect(api().listTasks({ filters: JSON.stringify({ nope: ['x'] }) })).rejects.toMatchObject({
      statusCode: 400,
    });
  });
});

test('nodes drain, carry labels, leave and are removed', async () => {
  await docker(['node', 'update', '--availability', 'drain', '--label-add', 'zone=a', 'h3']);
  expect(
    await out(manager.waggle(['node', 'inspect', '-f', '{{.Spec.Availability}} {{.Spec.Labels.zone}}', 'h3'])),
  ).toBe('drain a');
  await eventually(
    'nothing is left on it',
    async () => (await out(docker(['node', 'ps', '-q', '-f', 'desired-state=running', 'h3']))) === '',
  );
  await manager.waggle(['node', 'update', '--availability', 'active', '--label-rm', 'zone', 'h3']);
  await third.waggle(['swarm', 'leave'], TIMEOUT);
  await eventually(
    'it is down',
    async () => (await out(manager.waggle(['node', 'ls', '-f', 'name=h3', '--format', '{{.Status}}']))) === 'Down',
  );
  expect(await out(docker(['node', 'rm', 'h3']))).toBe('h3');
  await docker(['service', 'rm', 'web', 'wag', 'full', 'everywhere']);
  await eventually('unused networks can be pruned', async () => {
    await manager.waggle(['network', 'prune', '--force'], TIMEOUT);
    await outcome(docker(['network', 'rm', 'net1', 'net2']));
    return (await out(docker(['network', 'ls', '-q', '-f', 'scope=swarm', '-f', 'name=net']))) === '';
  });
  expect(await out(docker(['swarm', 'leave', '--force']))).toBe('Node left the swarm.');
  expect((await outcome(docker(['node', 'ls']))).text).toContain('This node is not a swarm manager');
});
