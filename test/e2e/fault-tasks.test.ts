import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { NodeSpec } from '../../proto/objects/node.ts';
import type { TaskObject } from '../../proto/objects/task.ts';
import { eventually } from '../lab/eventually.ts';
import type { Host } from '../lab/host.ts';
import { TEST_IMAGE } from '../lab/image.ts';
import { type Lab, createLab } from '../lab/lab.ts';
import {
  apiJson,
  changeService,
  createService,
  initSwarm,
  nodeOf,
  runningTasks,
  taskContainers,
  tasksOf,
  untilRunning,
} from '../lab/swarm.ts';

/** The life of tasks on three nodes whose daemons and engines are well. */

const SECOND = 1e9;
const SLEEP = ['sleep', '100000'];

let lab: Lab;
let manager: Host;
let workers: readonly Host[];

beforeAll(async () => {
  lab = await createLab({ hosts: 3 });
  manager = lab.host(0);
  workers = lab.hosts.slice(1);
  await initSwarm(lab);
});

afterEach(async () => {
  const services = await apiJson<{ ID: string }[]>(manager, 'GET', '/services');
  for (const { ID } of services) await apiJson(manager, 'DELETE', `/services/${ID}`);
  await untilNoContainers();
});

afterAll(() => lab?.destroy());

const timeMs = (text: string): number => Date.parse(text);
const replicas = (count: number): { Mode: { Replicated: { Replicas: number } } } => ({
  Mode: { Replicated: { Replicas: count } },
});

function untilNoContainers(): Promise<boolean> {
  return eventually('no container of a task to be left', async () => {
    for (const host of lab.hosts) {
      const left = [...(await taskContainers(host)).values()];
      if (left.length > 0) throw new Error(`${host.name} has ${left.join(', ')}`);
    }
    return true;
  });
}

function hostOf(task: TaskObject, nodeIds: ReadonlyMap<string, Host>): Host {
  const host = nodeIds.get(task.NodeID);
  if (host === undefined) throw new Error(`task ${task.ID} is on no host`);
  return host;
}

async function hostsById(): Promise<Map<string, Host>> {
  const entries = lab.hosts.map(async (host): Promise<[string, Host]> => [(await nodeOf(manager, host)).ID, host]);
  return new Map(await Promise.all(entries));
}

async function changeNode(host: Host, change: (spec: NodeSpec) => NodeSpec): Promise<void> {
  const node = await nodeOf(manager, host);
  await apiJson(manager, 'POST', `/nodes/${node.ID}/update?version=${node.Version.Index}`, change(node.Spec));
}

describe('a container that dies', () => {
  it.each([
    { id: 'killed', kill: ['kill'], err: /^task: non-zero exit \(137\)$/ },
    { id: 'removed', kill: ['rm', '-f'], err: /137|No such container/ },
  ])('$id: is replaced after the restart delay', async ({ id, kill, err }) => {
    const name = `dies-${id}`;
    const TaskTemplate = { RestartPolicy: { Condition: 'any' as const, Delay: 2 * SECOND } };
    await createService(manager, name, SLEEP, { ...replicas(3), TaskTemplate: { ...slow(), ...TaskTemplate } });
    const before = await untilRunning(manager, name, 3);
    const [victim] = before;
    if (victim === undefined) throw new Error('no task');
    const host = hostOf(victim, await hostsById());
    await host.docker([...kill, victim.Status.ContainerStatus?.ContainerID ?? '']);
    const after = await eventually('the next task', async () => {
      const now = await runningTasks(manager, name);
      if (now.length !== 3 || now.some((task) => task.ID === victim.ID)) return false;
      return now;
    });
    const next = after.find((task) => task.Slot === victim.Slot);
    const old = (await tasksOf(manager, name)).find((task) => task.ID === victim.ID);
    expect(old).toMatchObject({
      DesiredState: 'shutdown',
      Status: { State: 'failed', Err: expect.stringMatching(err) },
    });
    const waited = timeMs(next?.Status.Timestamp ?? '') - timeMs(old?.Status.Timestamp ?? '');
    expect(waited).toBeGreaterThanOrEqual(1_900);
    expect(waited).toBeLessThan(6_000);
    const untouched = (tasks: readonly TaskObject[]): string[] =>
      tasks
        .filter(({ Slot }) => Slot !== victim.Slot)
        .map(({ ID }) => ID)
        .sort();
    expect(untouched(after)).toEqual(untouched(before));
  });
});

/** A task of the test image, with a short grace period. */
function slow(): { ContainerSpec: { Image: string; Args: string[]; StopGracePeriod: number } } {
  return { ContainerSpec: { Image: TEST_IMAGE, Args: [...SLEEP], StopGracePeriod: SECOND } };
}

describe('restart policies and failures', () => {
  it.each([
    { id: 'none', policy: { Condition: 'none' }, args: ['sh', '-c', 'exit 3'], states: ['failed'] },
    { id: 'on-failure-ok', policy: { Condition: 'on-failure', Delay: 0 }, args: ['true'], states: ['complete'] },
    {
      id: 'attempts',
      policy: { Condition: 'on-failure', Delay: SECOND / 2, MaxAttempts: 2 },
      args: ['sh', '-c', 'exit 3'],
      states: ['failed', 'failed', 'failed'],
    },
  ] as const)('$id: ends as $states and stays so', async ({ id, policy, args, states }) => {
    const ContainerSpec = { Image: TEST_IMAGE, Args: [...args] };
    await createService(manager, id, args, { TaskTemplate: { ContainerSpec, RestartPolicy: { ...policy } } });
    const look = async (): Promise<string[]> => (await tasksOf(manager, id)).map(({ Status }) => Status.State);
    await eventually('the last task to end', async () => (await look()).join() === states.join());
    const tasks = await tasksOf(manager, id);
    for (const { Status } of tasks) if (Status.State === 'failed') expect(Status.Err).toBe('task: non-zero exit (3)');
    await eventually('nothing more to be wanted of it', async () => {
      return (await tasksOf(manager, id)).at(-1)?.DesiredState === 'shutdown';
    });
    await expect(
      eventually('another task', async () => (await look()).length > states.length, { timeoutMs: 2_000 }),
    ).rejects.toThrow('another task');
  });

  it.each([
    {
      id: 'no image',
      spec: { Image: '127.0.0.1:5000/nosuch:1' },
      state: 'rejected',
      err: /^No such image: 127\.0\.0\.1:5000\/nosuch:1$/,
      message: 'preparing',
    },
    {
      id: 'no command',
      spec: { Image: TEST_IMAGE, Args: ['/nosuch'] },
      state: 'failed',
      err: /^starting container failed: .*exec: "\/nosuch": stat \/nosuch: no such file or directory/,
      message: 'starting',
    },
    {
      id: 'ill health',
      spec: {
        Image: TEST_IMAGE,
        Args: [...SLEEP],
        StopGracePeriod: 0,
        Healthcheck: { Test: ['CMD', 'false'], Interval: SECOND / 2, Retries: 1 },
      },
      state: 'failed',
      err: /^task: non-zero exit \(137\): dockerexec: unhealthy container$/,
      message: 'starting',
    },
  ] as const)(
    '$id: says why, in the words of Docker, and is tried once a delay',
    async ({ id, spec, state, err, message }) => {
      const name = id.replace(' ', '-');
      const ContainerSpec = { ...spec } as NonNullable<TaskObject['Spec']['ContainerSpec']>;
      const RestartPolicy = { Condition: 'any' as const, Delay: 1.5 * SECOND };
      await createService(manager, name, [], { TaskTemplate: { ContainerSpec, RestartPolicy } });
      const tasks = await eventually('four tries', async () => {
        const ended = (await tasksOf(manager, name)).filter(({ Status }) => Status.State === state);
        return ended.length >= 4 && ended;
      });
      for (const { Status } of tasks)
        expect(Status).toMatchObject({ Message: message, Err: expect.stringMatching(err) });
      // The first replacement is prepared at once; from then on there is one a delay.
      const times = tasks.slice(1).map(({ Status }) => timeMs(Status.Timestamp));
      for (const [index, time] of times.slice(1).entries()) expect(time - (times[index] ?? 0)).toBeGreaterThan(1_300);
    },
  );
});

describe('nodes that take no work', () => {
  it('pause keeps tasks, drain moves them at once, active takes new ones only', async () => {
    const [first] = workers;
    if (first === undefined) throw new Error('no worker');
    await createService(manager, 'moving', SLEEP, replicas(6));
    const before = await untilRunning(manager, 'moving', 6);
    const { ID } = await nodeOf(manager, first);
    const here = (tasks: readonly TaskObject[]): TaskObject[] => tasks.filter(({ NodeID }) => NodeID === ID);
    expect(here(before)).toHaveLength(2);
    try {
      await changeNode(first, (spec) => ({ ...spec, Availability: 'pause' }));
      await changeService(manager, 'moving', (spec) => ({ ...spec, ...replicas(9) }));
      expect(here(await untilRunning(manager, 'moving', 9))).toHaveLength(2);
      const drainedAt = Date.now();
      await changeNode(first, (spec) => ({ ...spec, Availability: 'drain' }));
      const moved = await eventually('the node to be empty', async () => {
        const running = await runningTasks(manager, 'moving');
        return running.length === 9 && here(running).length === 0 && running;
      });
      // Without the restart delay of 5 s.
      const started = moved.map(({ Status }) => timeMs(Status.Timestamp)).filter((at) => at > drainedAt);
      expect(Math.min(...started) - drainedAt).toBeLessThan(4_500);
      await eventually('its containers to go', async () => (await taskContainers(first, false)).size === 0);
    } finally {
      await changeNode(first, (spec) => ({ ...spec, Availability: 'active' }));
    }
    expect(here(await untilRunning(manager, 'moving', 9))).toHaveLength(0);
    await changeService(manager, 'moving', (spec) => ({ ...spec, ...replicas(12) }));
    expect(here(await untilRunning(manager, 'moving', 12))).toHaveLength(3);
  });

  it('ends tasks whose node meets their constraints no more, and waits for one that does', async () => {
    const [first, second] = workers;
    if (first === undefined || second === undefined) throw new Error('no workers');
    const label = (host: Host, Labels: Record<string, string>): Promise<void> =>
      changeNode(host, (spec) => ({ ...spec, Labels }));
    await label(first, { disk: 'ssd' });
    const Placement = { Constraints: ['node.labels.disk==ssd'] };
    await createService(manager, 'picky', SLEEP, { TaskTemplate: { ...slow(), Placement } });
    const [task] = await untilRunning(manager, 'picky', 1);
    expect(task?.NodeID).toBe((await nodeOf(manager, first)).ID);
    await label(first, {});
    await eventually('the task to wait', async () => {
      const tasks = await tasksOf(manager, 'picky');
      const states = tasks.map(({ Status }) => Status.State);
      if (!states.includes('rejected') || states.at(-1) !== 'pending') throw new Error(states.join());
      expect(tasks[0]?.Status.Err).toBe('assigned node no longer meets constraints');
      expect(tasks.at(-1)?.Status.Err).toMatch(
        /^no suitable node \(scheduling constraints not satisfied on 3 nodes\)$/,
      );
      return true;
    });
    await label(second, { disk: 'ssd' });
    const [moved] = await untilRunning(manager, 'picky', 1);
    expect(moved?.NodeID).toBe((await nodeOf(manager, second)).ID);
    await label(second, {});
  });

  it('runs a global service once a node, where it may', async () => {
    await createService(manager, 'everywhere', SLEEP, { Mode: { Global: {} } });
    const tasks = await untilRunning(manager, 'everywhere', 3);
    expect(new Set(tasks.map(({ NodeID }) => NodeID)).size).toBe(3);
    const [first] = workers;
    if (first === undefined) throw new Error('no worker');
    await changeNode(first, (spec) => ({ ...spec, Availability: 'drain' }));
    await untilRunning(manager, 'everywhere', 2);
    await changeNode(first, (spec) => ({ ...spec, Availability: 'active' }));
    await untilRunning(manager, 'everywhere', 3);
  });
});

describe('scale', () => {
  it('goes 1, 24, 3, 0 and leaves alone what stays', async () => {
    await createService(manager, 'scaled', SLEEP, replicas(1));
    const [one] = await untilRunning(manager, 'scaled', 1);
    const before = Date.now();
    await changeService(manager, 'scaled', (spec) => ({ ...spec, ...replicas(24) }));
    const many = await untilRunning(manager, 'scaled', 24);
    console.info(`24 replicas after ${Date.now() - before} ms`);
    expect(many.map(({ ID }) => ID)).toContain(one?.ID);
    const perNode = Map.groupBy(many, ({ NodeID }) => NodeID);
    expect([...perNode.values()].map((tasks) => tasks.length)).toEqual([8, 8, 8]);
    await changeService(manager, 'scaled', (spec) => ({ ...spec, ...replicas(3) }));
    const few = await untilRunning(manager, 'scaled', 3);
    expect(many.map(({ ID }) => ID)).toEqual(expect.arrayContaining(few.map(({ ID }) => ID)));
    expect(new Set(few.map(({ NodeID }) => NodeID)).size).toBe(3);
    await eventually('three containers', async () => {
      const sizes = await Promise.all(lab.hosts.map(async (host) => (await taskContainers(host)).size));
      return sizes.join() === '1,1,1';
    });
    await changeService(manager, 'scaled', (spec) => ({ ...spec, ...replicas(0) }));
    await untilNoContainers();
    expect(await tasksOf(manager, 'scaled')).toEqual([]);
  });
});
