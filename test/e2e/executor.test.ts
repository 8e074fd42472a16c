import { rmSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ExitError, type TaskError } from '../../worker/exec/controller.ts';
import { describeNode } from '../../worker/docker/describe-node.ts';
import { assignedNetwork, containerTask } from '../fixtures/container-tasks.ts';
import { controllerConformance } from '../fixtures/controller-conformance.ts';
import { type ExecutorParts, executorParts } from '../fixtures/executor-world.ts';
import { FakeNetworkPlugin } from '../fixtures/fake-network-plugin.ts';
import { eventually } from '../lab/eventually.ts';
import type { Host } from '../lab/host.ts';
import { TEST_IMAGE } from '../lab/image.ts';
import { createLab, type Lab } from '../lab/lab.ts';

const signal = new AbortController().signal;
const SLEEP = { Image: TEST_IMAGE, Args: ['sleep', '1000'], StopGracePeriod: 1e9 };

let lab: Lab;
let host: Host;
let plugin: FakeNetworkPlugin;
let parts: ExecutorParts;

beforeAll(async () => {
  lab = await createLab({ hosts: 1, engines: false, daemons: false });
  host = lab.host(0);
  plugin = new FakeNetworkPlugin(host);
  await plugin.start();
  await host.startEngine(['--live-restore']);
  await host.loadImage();
  parts = await executorParts(host.engineSocket);
  await parts.networks.start();
  await parts.names.start();
});

afterAll(async () => {
  await parts?.stop();
  await plugin?.stop();
  await lab?.destroy();
});

async function restartEngine(how: NodeJS.Signals, extra: string[]): Promise<void> {
  await host.stopService('engine', how);
  // A containerd that died with its engine may stay a zombie here, which the next engine would take for alive.
  if (how === 'SIGKILL')
    rmSync(path.join(host.options.folder, 'run/docker/containerd/containerd.pid'), { force: true });
  await host.startEngine(extra);
  await eventually('the events to be back', () => parts.events.connected);
}

async function started(id: string, container: object = {}, rest: object = {}) {
  const task = containerTask(id, { ...SLEEP, ...container }, rest);
  parts.assigned.tasks.set(id, task);
  const controller = parts.executor.controller(task);
  await controller.prepare(signal);
  await controller.start(signal);
  return controller;
}

describe('on a real engine', () => {
  controllerConformance(() => ({
    ...parts,
    image: TEST_IMAGE,
    missingImage: '127.0.0.1:5000/nothing:1',
    bounce: () => restartEngine('SIGTERM', ['--live-restore']),
  }));

  it('describes the node', async () => {
    const description = await describeNode(parts.engine);
    expect(description.Hostname).toBe('h1');
    expect(description.Resources.MemoryBytes).toBeGreaterThan(1e8);
    expect(description.Engine.Plugins).toContainEqual({ Type: 'Network', Name: 'overlay' });
    expect(description.Engine.Plugins).toContainEqual({ Type: 'Volume', Name: 'local' });
  });

  it('fails a container that falls ill while it runs', async () => {
    const controller = await started('ill', {
      Args: ['sh', '-c', 'sleep 1; touch /tmp/ill; sleep 1000'],
      Healthcheck: { Test: ['CMD-SHELL', 'test ! -e /tmp/ill'], Interval: 3e8, Timeout: 2e9, Retries: 1 },
    });
    await expect(controller.wait(signal)).rejects.toThrow('task: non-zero exit (137): dockerexec: unhealthy container');
    await controller.remove(signal);
  });

  it('publishes host-mode ports, and fails the second task on the same port', async () => {
    const Ports = [{ Protocol: 'tcp' as const, TargetPort: 80, PublishedPort: 8080, PublishMode: 'host' as const }];
    const first = await started('port1', {}, { Endpoint: { Ports } });
    expect((await first.status()).PortStatus?.Ports).toEqual(Ports);
    const second = parts.executor.controller(containerTask('port2', SLEEP, { Endpoint: { Ports } }));
    await second.prepare(signal);
    const errors: unknown[] = [];
    for (let round = 0; round < 3; round++) errors.push(await second.start(signal).catch((error: unknown) => error));
    expect(errors.map((error) => (error as TaskError).temporary)).toEqual([true, true, false]);
    expect((errors[2] as TaskError).message).toContain('port is already allocated');
    await second.remove(signal);
    await first.remove(signal);
  });

  it('expands templates where the engine sees them', async () => {
    const controller = await started('templated', {
      Hostname: '{{.Service.Name}}-{{.Task.Slot}}',
      Env: ['WHERE={{.Node.Hostname}}'],
      Args: ['sh', '-c', 'test "$WHERE $(hostname)" = "h1 web-1"'],
    });
    await controller.wait(signal);
    await controller.remove(signal);
  });
});

describe('when the engine dies', () => {
  it('kill -9 with live-restore: the container goes on and so does the wait', async () => {
    const controller = await started('killed1');
    const waited = controller.wait(signal).catch((error: unknown) => error);
    const before = await controller.status();
    await restartEngine('SIGKILL', ['--live-restore']);
    expect(await controller.status()).toEqual(before);
    await controller.shutdown(signal);
    expect(await waited).toMatchObject({ exitCode: 137 });
    await controller.remove(signal);
  });

  it.each([
    { id: 'killed2', how: 'SIGKILL' as const },
    { id: 'stopped', how: 'SIGTERM' as const },
  ])(
    '$how without live-restore: the end of the container is reported, not the broken connection',
    async ({ id, how }) => {
      await restartEngine('SIGTERM', []);
      const controller = await started(id);
      const waited = controller.wait(signal).catch((error: unknown) => error);
      await restartEngine(how, []);
      const ended = await waited;
      expect(ended).toBeInstanceOf(ExitError);
      expect((ended as ExitError).exitCode).toBeGreaterThan(0);
      await controller.remove(signal);
      await restartEngine('SIGTERM', ['--live-restore']);
    },
  );

  it('a new daemon takes over what the last one left', async () => {
    await started('adopted');
    const next = await executorParts(host.engineSocket);
    try {
      expect(await next.executor.existingTasks()).toContain('adopted');
      const controller = next.executor.controller(containerTask('adopted', SLEEP));
      await controller.prepare(signal);
      await controller.start(signal);
      await controller.shutdown(signal);
      await expect(controller.wait(signal)).rejects.toMatchObject({ exitCode: 137 });
      await next.executor.removeAll();
      expect(await next.executor.existingTasks()).toEqual([]);
    } finally {
      await next.stop();
    }
  });
});

describe('networks', () => {
  const names = async (): Promise<string[]> =>
    (await parts.engine.call((docker) => docker.listNetworks())).map((network) => network.Name);

  it('exist for what is assigned, return after they were removed by hand, and go with the assignment', async () => {
    parts.assigned.add(assignedNetwork('nid1', 'att', 11, true), assignedNetwork('nid2', 'unused', 12));
    parts.networks.wake();
    await eventually('the twin', () => parts.networks.mappings().some((each) => each.name === 'att'));
    expect(await names()).not.toContain('unused');
    await host.docker(['network', 'rm', 'att']);
    await eventually('the twin again', async () => (await names()).includes('att'));
    await host.docker(['run', '-d', '--name', 'holder', '--network', 'att', TEST_IMAGE, 'sleep', '1000']);
    parts.assigned.networks.clear();
    parts.networks.wake();
    await eventually('the mapping to go', () => parts.networks.mappings().every((each) => each.name !== 'att'));
    expect(await names()).toContain('att');
    await host.docker(['rm', '-f', 'holder']);
    await eventually('the twin to go', async () => !(await names()).includes('att'));
  });

  it('never touches a stranger of the same name', async () => {
    await host.docker(['network', 'create', 'taken']);
    parts.assigned.add(assignedNetwork('nid3', 'taken', 13, true));
    parts.networks.wake();
    await eventually('the conflict', () =>
      /already exists on this node/.test(parts.networks.errors().get('nid3') ?? ''),
    );
    await expect(parts.networks.ensure('nid3')).rejects.toThrow('already exists on this node');
    await host.docker(['network', 'rm', 'taken']);
    await eventually('the twin', () => parts.networks.mappings().some((each) => each.name === 'taken'));
    expect(parts.networks.errors().size).toBe(0);
    parts.assigned.networks.clear();
    parts.networks.wake();
    await eventually('the twin to go', async () => !(await names()).includes('taken'));
  });

  const endpointsOf = (name: string) => parts.names.all().filter((each) => each.name === name);

  it('tells who is behind an endpoint before its process runs, and its aliases soon after', async () => {
    parts.assigned.add(assignedNetwork('nid4', 'named', 14, true));
    await parts.networks.ensure('nid4');
    const order: string[] = [];
    const unsubscribe = parts.names.onChange((ids) => {
      for (const id of ids) {
        const endpoint = parts.names.get(id);
        if (endpoint !== undefined) order.push(`${endpoint.name} ${endpoint.aliases.join()} ${endpoint.running}`);
      }
    });
    const stop = parts.events.subscribe({
      event: (event) => void (event.action === 'start' && order.push('start')),
      resync: () => undefined,
    });
    try {
      for (let round = 0; round < 10; round++) {
        order.length = 0;
        const flags = ['-d', '--name', 'who', '--network', 'named', '--network-alias', 'nick'];
        await host.docker(['run', ...flags, TEST_IMAGE, 'sleep', '1000']);
        await eventually('aliases', () => order.includes('who nick true'), { timeoutMs: 500, everyMs: 5 });
        expect(order[0], order.join(' | ')).toMatch(/^who (nick)? false$/);
        await host.docker(['rm', '-f', 'who']);
        await eventually('it to be gone', () => endpointsOf('who').length === 0);
      }
    } finally {
      await host.docker(['rm', '-f', 'who'], { check: false });
      unsubscribe();
      stop();
    }
  });

  it('follows connect and disconnect of running containers', async () => {
    await host.docker(['run', '-d', '--name', 'mobile', TEST_IMAGE, 'sleep', '1000']);
    for (const alias of ['first', 'second']) {
      await host.docker(['network', 'connect', '--alias', alias, 'named', 'mobile']);
      await eventually(alias, () =>
        endpointsOf('mobile').some((each) => each.aliases.join() === alias && each.running),
      );
      await host.docker(['network', 'disconnect', 'named', 'mobile']);
      await eventually('gone', () => endpointsOf('mobile').length === 0);
    }
    await host.docker(['rm', '-f', 'mobile']);
  });

  it('knows everything again after the engine was away', async () => {
    await host.docker(['run', '-d', '--name', 'stayed', '--network', 'named', TEST_IMAGE, 'sleep', '1000']);
    await eventually('it to be known', () => endpointsOf('stayed').some((each) => each.running));
    const before = endpointsOf('stayed');
    await restartEngine('SIGKILL', ['--live-restore']);
    await host.docker(['run', '-d', '--name', 'came', '--network', 'named', TEST_IMAGE, 'sleep', '1000']);
    await eventually('both to be known', () => [...endpointsOf('stayed'), ...endpointsOf('came')].length === 2);
    expect(parts.names.all()).toContainEqual(before[0]);
    await host.docker(['rm', '-f', 'stayed', 'came']);
    await eventually('none to be left', () => [...endpointsOf('stayed'), ...endpointsOf('came')].length === 0);
    await parts.networks.purge();
    expect(await names()).toEqual(expect.not.arrayContaining(['named']));
  });
});
