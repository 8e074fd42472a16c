import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { eventually } from '../../../lab/eventually.ts';
import { containerTask } from '../../../fixtures/container-tasks.ts';
import { controllerConformance } from '../../../fixtures/controller-conformance.ts';
import { type ExecutorParts, executorParts } from '../../../fixtures/executor-world.ts';
import { FakeEngine, type Fault } from '../../../fixtures/fake-engine.ts';

let folder: string;
let fake: FakeEngine;
let parts: ExecutorParts;
const signal = new AbortController().signal;

beforeEach(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'wgdk-'));
  fake = new FakeEngine(path.join(folder, 'docker.sock'));
  await fake.start();
  parts = await executorParts(fake.socketPath);
});

afterEach(async () => {
  await parts.stop();
  await fake.stop();
  rmSync(folder, { recursive: true, force: true });
});

describe('on a fake engine', () => {
  controllerConformance(() => ({
    ...parts,
    image: 'bb:1',
    missingImage: 'nowhere/img:1',
    bounce: async () => {
      await fake.stop();
      await eventually('the engine to be missed', () => !parts.events.connected, { everyMs: 5 });
      await fake.start();
      await eventually('the engine to be back', () => parts.events.connected, { everyMs: 5 });
    },
  }));
});

const running = async (id: string): Promise<ReturnType<typeof parts.executor.controller>> => {
  const controller = parts.executor.controller(containerTask(id));
  await controller.prepare(signal);
  await controller.start(signal);
  return controller;
};

describe('faults', () => {
  const FAULTS: { id: string; fault: Fault; step: 'prepare' | 'start' | 'shutdown' | 'remove' }[] = [
    { id: 'create reset', fault: { match: /^POST \/containers\/create/, kind: 'reset' }, step: 'prepare' },
    {
      id: 'create done, answer lost',
      fault: { match: /^POST \/containers\/create/, kind: 'reset-after' },
      step: 'prepare',
    },
    { id: 'create answer cut', fault: { match: /^POST \/containers\/create/, kind: 'cut' }, step: 'prepare' },
    { id: 'create hangs', fault: { match: /^POST \/containers\/create/, kind: 'hang' }, step: 'prepare' },
    { id: 'list 500', fault: { match: /^GET \/containers\/json/, kind: 'status', status: 500 }, step: 'remove' },
    { id: 'create 503', fault: { match: /create/, kind: 'status', status: 503 }, step: 'prepare' },
    { id: 'start reset', fault: { match: /\/start$/, kind: 'reset' }, step: 'start' },
    { id: 'start done, answer lost', fault: { match: /\/start$/, kind: 'reset-after' }, step: 'start' },
    { id: 'start 500', fault: { match: /\/start$/, kind: 'status', status: 500 }, step: 'start' },
    { id: 'stop reset', fault: { match: /\/stop$/, kind: 'reset' }, step: 'shutdown' },
    { id: 'remove done, answer lost', fault: { match: /^DELETE/, kind: 'reset-after' }, step: 'remove' },
    { id: 'remove 409', fault: { match: /^DELETE/, kind: 'status', status: 409 }, step: 'remove' },
    { id: 'remove 500', fault: { match: /^DELETE/, kind: 'status', status: 500 }, step: 'remove' },
  ];
  it.each(FAULTS)('$id: temporary, and the next try goes through', async ({ fault, step }) => {
    // Only these two are noticed by the clock alone.
    const silent = fault.kind === 'hang' || fault.kind === 'cut';
    const own = await executorParts(fake.socketPath, silent ? { changeTimeoutMs: 150 } : {});
    const controller = own.executor.controller(containerTask('t1'));
    const order = ['prepare', 'start', 'shutdown', 'remove'] as const;
    for (const each of order) {
      if (each === step) {
        fake.faults.push({ ...fault });
        await expect(controller[each](signal)).rejects.toMatchObject({ name: 'TaskError', temporary: true });
        expect(fake.faults).toEqual([]);
      }
      await controller[each](signal);
      if (each === 'prepare') expect(fake.containerOf('t1').state.Status).toBe('created');
      if (each === 'start') expect(fake.containerOf('t1').state.Status).toBe('running');
    }
    expect(fake.containers.size).toBe(0);
    await own.stop();
  });

  it.each(['the same daemon', 'the next daemon'])(
    'a container that an ending engine has left half made is made anew by %s',
    async (who) => {
      const first = parts.executor.controller(containerTask('t1'));
      // As 20.10 writes it before its networks, and finds it when it is back.
      const halve = (): Promise<void> => {
        const half = fake.containerOf('t1');
        half.networks = {};
        return Promise.resolve();
      };
      fake.faults.push({ match: /^POST \/containers\/create/, kind: 'reset-after', meanwhile: halve });
      await expect(first.prepare(signal)).rejects.toMatchObject({ temporary: true });
      const half = fake.containerOf('t1').id;
      const controller = who === 'the same daemon' ? first : parts.executor.controller(containerTask('t1'));
      await controller.prepare(signal);
      expect(fake.containerOf('t1').id).not.toBe(half);
      expect(fake.containers.size).toBe(1);
      await controller.start(signal);
      expect(fake.containerOf('t1').state.Status).toBe('running');
    },
  );

  it('waits for a removal that is under way before it makes the container anew', async () => {
    const left = parts.executor.controller(containerTask('t1'));
    await left.prepare(signal);
    const next = parts.executor.controller(containerTask('t1'));
    const message = 'removal of container 0123 is already in progress';
    fake.faults.push({ match: /^DELETE/, kind: 'status', status: 409, message });
    await expect(next.prepare(signal)).rejects.toMatchObject({ temporary: true, message });
    await next.prepare(signal);
    expect(fake.containers.size).toBe(1);
  });

  it('takes a 500 for meant when it comes again and again', async () => {
    const controller = parts.executor.controller(containerTask('t1'));
    await controller.prepare(signal);
    const words = 'driver failed programming external connectivity: port is already allocated';
    const message = `starting container failed: ${words}`;
    fake.faults.push({ match: /\/start$/, kind: 'status', status: 500, message: words, times: 3 });
    await expect(controller.start(signal)).rejects.toMatchObject({ temporary: true });
    await expect(controller.start(signal)).rejects.toMatchObject({ temporary: true });
    await expect(controller.start(signal)).rejects.toMatchObject({ temporary: false, message });
  });

  it('waits through failing inspects', async () => {
    const controller = await running('t1');
    fake.faults.push({ match: /\/json$/, kind: 'status', status: 500, times: 4 });
    const waited = controller.wait(signal).catch((error: unknown) => error);
    fake.exit(fake.containerOf('t1').id, 7);
    expect(await waited).toMatchObject({ exitCode: 7 });
    expect(fake.faults).toEqual([]);
  });

  it('learns of an end that no event told', async () => {
    const controller = await running('t1');
    const waited = controller.wait(signal).catch((error: unknown) => error);
    await fake.stop();
    fake.exit(fake.containerOf('t1').id, 9);
    await eventually('the engine to be missed', () => !parts.events.connected, { everyMs: 5 });
    await fake.start();
    expect(await waited).toMatchObject({ exitCode: 9 });
  });
});

describe('wait', () => {
  it('stops a container that fell ill, and says so', async () => {
    const controller = await running('t1');
    const waited = controller.wait(signal).catch((error: unknown) => error);
    fake.setHealth(fake.containerOf('t1').id, 'unhealthy');
    expect(await waited).toMatchObject({
      name: 'ExitError',
      message: 'task: non-zero exit (137): dockerexec: unhealthy container',
    });
    expect(fake.containerOf('t1').state.Running).toBe(false);
  });

  it('names lack of memory', async () => {
    const controller = await running('t1');
    const waited = controller.wait(signal).catch((error: unknown) => error);
    fake.exit(fake.containerOf('t1').id, 137, true);
    expect(await waited).toMatchObject({ message: 'task: non-zero exit (137): out of memory' });
  });

  it('ends for good when the container was removed by somebody', async () => {
    const controller = await running('t1');
    const waited = controller.wait(signal).catch((error: unknown) => error);
    const { id } = fake.containerOf('t1');
    await parts.engine.call((docker) => docker.getContainer(id).remove({ force: true }) as Promise<unknown>);
    expect(await waited).toMatchObject({ name: 'TaskError', temporary: false, message: `No such container: ${id}` });
  });
});

describe('calls to the engine', () => {
  const CALL = /^(GET|POST|DELETE) \/(containers|images|networks)/;
  const ID = /[0-9a-f]{64}/g;

  it('a start takes four, and what is known is not asked again', async () => {
    const controller = parts.executor.controller(containerTask('t1'));
    await eventually('connect', () => parts.events.connected, { everyMs: 2 });
    await controller.prepare(signal);
    expect((await controller.status()).ContainerStatus).toMatchObject({ PID: 0 });
    await controller.start(signal);
    expect((await controller.status()).ContainerStatus).toMatchObject({ PID: 4711 });
    const abort = new AbortController();
    const waited = controller.wait(abort.signal).catch((error: unknown) => error);
    for (const action of ['exec_create: true', 'exec_start: true', 'exec_die', 'start']) {
      fake.emit('container', action, fake.containerOf('t1').id, {});
    }
    await parts.engine.call((docker) => docker.info());
    abort.abort(new Error('enough'));
    await waited;
    const calls = fake.requests.filter((each) => CALL.test(each)).map((each) => each.replace(ID, 'ID'));
    expect(calls).toEqual([
      'POST /images/create?fromImage=bb&tag=1',
      'POST /containers/create?name=web.1.t1',
      'POST /containers/ID/start',
      'GET /containers/ID/json',
    ]);
  });

  it('looks again when the container may have changed while nobody waited', async () => {
    const controller = await running('t1');
    fake.exit(fake.containerOf('t1').id, 7);
    await expect(controller.wait(signal)).rejects.toMatchObject({ exitCode: 7 });
    expect((await controller.status()).ContainerStatus).toMatchObject({ ExitCode: 7 });
  });

  it('looks again when events could not tell of a change', async () => {
    const controller = await running('t1');
    await fake.stop();
    await eventually('the engine to be missed', () => !parts.events.connected, { everyMs: 5 });
    fake.exit(fake.containerOf('t1').id, 7);
    await fake.start();
    await expect(controller.wait(signal)).rejects.toMatchObject({ exitCode: 7 });
  });
});

describe('images', () => {
  const digest = `sha256:${'a'.repeat(64)}`;
  const pulls = (): string[] => fake.requests.filter((each) => each.startsWith('POST /images/create'));

  it('pulls again what is here, since tags move', async () => {
    fake.registry.add('bb:1');
    await parts.executor.controller(containerTask('t1')).prepare(signal);
    expect(pulls()).toEqual(['POST /images/create?fromImage=bb&tag=1']);
  });

  it('does not pull a digest that is here', async () => {
    fake.images.add(`bb@${digest}`).add(`bb:1@${digest}`);
    await parts.executor.controller(containerTask('t1', { Image: `bb:1@${digest}` })).prepare(signal);
    expect(pulls()).toEqual([]);
  });

  it('pulls a digest that is not, by digest and with the credentials of the service', async () => {
    fake.registry.add(`bb@${digest}`);
    fake.images.add(`bb:1@${digest}`);
    const task = containerTask('t1', { Image: `bb:1@${digest}` }, { RegistryAuth: 'c2VjcmV0' });
    await parts.executor.controller(task).prepare(signal);
    expect(pulls()).toEqual([`POST /images/create?fromImage=bb&tag=${encodeURIComponent(digest)}`]);
    const index = fake.requests.findIndex((each) => each.startsWith('POST /images/create'));
    expect(fake.headers[index]?.['x-registry-auth']).toBe('c2VjcmV0');
  });

  it('shares one pull among tasks that want the same image', async () => {
    fake.pullMs = 40;
    fake.registry.add('new:1');
    const prepared = ['t1', 't2', 't3'].map((id) =>
      parts.executor.controller(containerTask(id, { Image: 'new:1' })).prepare(signal),
    );
    await Promise.all(prepared);
    expect(pulls()).toHaveLength(1);
    expect(fake.containers.size).toBe(3);
  });

  it('goes on with a shared pull when one of its waiters gives up', async () => {
    fake.pullMs = 40;
    fake.registry.add('new:1');
    const abort = new AbortController();
    const first = parts.executor.controller(containerTask('t1', { Image: 'new:1' })).prepare(abort.signal);
    const second = parts.executor.controller(containerTask('t2', { Image: 'new:1' })).prepare(signal);
    await eventually('the pull', () => pulls().length === 1, { everyMs: 2 });
    abort.abort(new Error('not needed'));
    await expect(first).rejects.toThrow('not needed');
    await second;
    expect(pulls()).toHaveLength(1);
  });
});

it('does not repeat the body of a creation in its URL', async () => {
  await parts.executor.controller(containerTask('t1', { Env: ['PASSWORD=hidden'] })).prepare(signal);
  expect(fake.requests.find((each) => each.includes('/containers/create'))).toBe(
    'POST /containers/create?name=web.1.t1',
  );
  expect(fake.containerOf('t1').config.Env).toEqual(['PASSWORD=hidden']);
});
