import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { TaskObject } from '../../proto/objects/task.ts';
import { eventually } from '../lab/eventually.ts';
import type { Host } from '../lab/host.ts';
import { type Lab, createLab } from '../lab/lab.ts';
import {
  api,
  apiJson,
  createService,
  initSwarm,
  nodeOf,
  runningTasks,
  taskContainers,
  tasksOf,
  untilNode,
  untilRunning,
} from '../lab/swarm.ts';

/** Daemons, engines and whole hosts that stop, die, hang and come back under a running service. */

const REPLICAS = 6;
const SLEEP = ['sleep', '100000'];

let lab: Lab;
let manager: Host;
let worker: Host;
let other: Host;

beforeAll(async () => {
  lab = await createLab({ hosts: 3 });
  [manager, worker, other] = [lab.host(0), lab.host(1), lab.host(2)];
  await initSwarm(lab);
  await createService(manager, 'steady', SLEEP, { Mode: { Replicated: { Replicas: REPLICAS } } });
  await untilRunning(manager, 'steady', REPLICAS);
});

afterAll(() => lab?.destroy());

async function allContainers(all = true): Promise<string[]> {
  const each = await Promise.all(lab.hosts.map((host) => taskContainers(host, all)));
  return each.flatMap((containers) => [...containers.keys()]).sort();
}

const idsOf = (tasks: readonly TaskObject[]): string[] => tasks.map(({ ID }) => ID).sort();

async function tasksOn(host: Host): Promise<TaskObject[]> {
  const { ID } = await nodeOf(manager, host);
  return (await runningTasks(manager, 'steady')).filter(({ NodeID }) => NodeID === ID);
}

/** As many containers as replicas, all of running tasks, everywhere. */
function untilSettled(): Promise<true> {
  return eventually(
    'only containers of running tasks to run',
    async () => {
      const tasks = await runningTasks(manager, 'steady');
      expect(tasks).toHaveLength(REPLICAS);
      const wanted = tasks.map(({ Status }) => Status.ContainerStatus?.ContainerID ?? '').sort();
      expect(await allContainers(false)).toEqual(wanted);
      return true as const;
    },
    { timeoutMs: 90_000, everyMs: 250 },
  );
}

/** Evens out where tasks run, since nothing moves back by itself. */
async function spread(): Promise<void> {
  const service = await apiJson<{ Version: { Index: number }; Spec: object }>(manager, 'GET', '/services/steady');
  const template = (service.Spec as { TaskTemplate: { ForceUpdate?: number } }).TaskTemplate;
  const spec = {
    ...service.Spec,
    TaskTemplate: { ...template, ForceUpdate: (template.ForceUpdate ?? 0) + 1 },
    UpdateConfig: { Parallelism: 0, Monitor: 1e8 },
  };
  const before = idsOf(await runningTasks(manager, 'steady'));
  await apiJson(manager, 'POST', `/services/steady/update?version=${service.Version.Index}`, spec);
  await eventually('every task to be new', async () => {
    const now = idsOf(await runningTasks(manager, 'steady'));
    return now.length === REPLICAS && !now.some((id) => before.includes(id));
  });
  await untilSettled();
}

describe('a daemon that ends and comes back', () => {
  it.each([
    { id: 'worker, in good order', who: 1, how: 'SIGTERM' },
    { id: 'worker, killed', who: 1, how: 'SIGKILL' },
    { id: 'manager, in good order', who: 0, how: 'SIGTERM' },
    { id: 'manager, killed', who: 0, how: 'SIGKILL' },
  ] as const)('$id: finds its tasks and leaves their containers alone', async ({ who, how }) => {
    const host = lab.host(who);
    const containers = await allContainers();
    const tasks = idsOf(await runningTasks(manager, 'steady'));
    await host.stopService('daemon', how);
    expect(await allContainers()).toEqual(containers);
    await host.startDaemon();
    await eventually('the manager to answer', async () => (await api(manager, 'GET', '/services')).status === 200);
    for (const each of lab.hosts) await untilNode(manager, each, 'ready');
    await untilSettled();
    expect(await allContainers()).toEqual(containers);
    expect(idsOf(await runningTasks(manager, 'steady'))).toEqual(tasks);
  });

  it('keeps every acknowledged write through five kills of the manager', async () => {
    const written = { services: [] as string[], networks: [] as string[], configs: [] as string[] };
    for (let round = 0; round < 5; round++) {
      let killed = false;
      const writing = (async () => {
        for (let index = 0; !killed; index++) {
          const name = `k${round}x${index}`;
          const Data = Buffer.from(name).toString('base64');
          const requests = [
            { kind: 'services', path: '/services/create', body: blank(name) },
            { kind: 'networks', path: '/networks/create', body: { Name: name, Driver: 'overlay' } },
            { kind: 'configs', path: '/configs/create', body: { Name: name, Data } },
          ] as const;
          for (const { kind, path, body } of requests) {
            const answer = await api(manager, 'POST', path, body).catch(() => undefined);
            if (answer?.status === 201) written[kind].push(name);
            else if (answer !== undefined && !killed) throw new Error(`${path}: ${answer.status} ${answer.text}`);
          }
        }
      })();
      await eventually('some writes', () =>
        Object.values(written).every((names) => names.some((name) => name.startsWith(`k${round}`))),
      );
      await manager.stopService('daemon', 'SIGKILL');
      killed = true;
      await writing;
      await manager.startDaemon();
      await eventually('the manager to answer', async () => (await api(manager, 'GET', '/services')).status === 200);
    }
    const names = async (path: string, pick: (item: never) => string): Promise<string[]> =>
      (await apiJson<never[]>(manager, 'GET', path)).map(pick);
    const specName = (item: { Spec: { Name: string } }): string => item.Spec.Name;
    expect(await names('/services', specName)).toEqual(expect.arrayContaining(written.services));
    expect(await names('/configs', specName)).toEqual(expect.arrayContaining(written.configs));
    expect(await names('/networks', (item: { Name: string }) => item.Name)).toEqual(
      expect.arrayContaining(written.networks),
    );
    for (const each of lab.hosts) await untilNode(manager, each, 'ready');
    for (const name of await names('/services', specName))
      if (name !== 'steady') await apiJson(manager, 'DELETE', `/services/${name}`);
    await untilSettled();
  });

  it('reports and replaces what died while it was away', async () => {
    const [victim] = await tasksOn(worker);
    if (victim === undefined) throw new Error('no task on the worker');
    await worker.stopService('daemon', 'SIGKILL');
    await worker.docker(['kill', victim.Status.ContainerStatus?.ContainerID ?? '']);
    await worker.startDaemon();
    await untilNode(manager, worker, 'ready');
    await eventually('the task to be replaced', async () => {
      const old = (await tasksOf(manager, 'steady')).find(({ ID }) => ID === victim.ID);
      return old?.Status.Err === 'task: non-zero exit (137)' && old.DesiredState === 'shutdown';
    });
    await untilSettled();
  });

  it('runs its tasks while there is no manager, after a restart of its own too', async () => {
    const before = await taskContainers(worker, false);
    expect(before.size).toBeGreaterThan(0);
    await manager.stopService('daemon', 'SIGKILL');
    await worker.stopService('daemon', 'SIGKILL');
    await worker.startDaemon();
    await eventually('the worker to say that its manager is away', async () => {
      const info = await apiJson<{ Swarm: { LocalNodeState: string; Error: string } }>(worker, 'GET', '/info');
      return info.Swarm.LocalNodeState === 'active' && info.Swarm.Error !== '';
    });
    expect([...(await taskContainers(worker, false)).keys()]).toEqual([...before.keys()]);
    await manager.startDaemon();
    await untilNode(manager, worker, 'ready');
    await untilSettled();
    expect([...(await taskContainers(worker, false)).keys()]).toEqual([...before.keys()]);
  });
});

describe('an engine that ends under its tasks', () => {
  it.each(['SIGTERM', 'SIGKILL'] as const)('%s: tasks run again once it is back', async (how) => {
    await worker.stopService('engine', how);
    await worker.startEngine();
    await untilSettled();
    await untilNode(manager, worker, 'ready');
  });
});

describe('a node that is lost', () => {
  it.each([
    { id: 'hangs', lose: async () => worker.freeze(), back: async () => worker.thaw() },
    { id: 'is cut off', lose: () => worker.cut(), back: () => worker.mend() },
    {
      id: 'has no daemon',
      lose: () => worker.stopService('daemon', 'SIGKILL'),
      back: () => worker.startDaemon(),
    },
  ])('$id: its tasks run elsewhere, and are ended when it comes back', async ({ id, lose, back }) => {
    await spread();
    const lost = await tasksOn(worker);
    expect(lost.length).toBeGreaterThan(0);
    const since = Date.now();
    await lose();
    try {
      await untilNode(manager, worker, 'down', 40_000);
      const downMs = Date.now() - since;
      const running = await eventually('the tasks to run elsewhere', async () => {
        const now = await runningTasks(manager, 'steady');
        return now.length === REPLICAS && !now.some(({ ID }) => idsOf(lost).includes(ID)) && now;
      });
      console.info(
        `a node that ${id}: down after ${downMs} ms, ${lost.length} tasks elsewhere after ${Date.now() - since} ms`,
      );
      expect(running.every(({ NodeID }) => NodeID !== lost[0]?.NodeID)).toBe(true);
      const [status] = await apiJson<{ ServiceStatus: { RunningTasks: number } }[]>(
        manager,
        'GET',
        '/services?status=true',
      );
      expect(status?.ServiceStatus.RunningTasks).toBe(REPLICAS);
    } finally {
      await back();
    }
    await untilNode(manager, worker, 'ready');
    await untilSettled();
    await eventually('its old tasks to have ended', async () => {
      const old = (await tasksOf(manager, 'steady')).filter(({ ID }) => idsOf(lost).includes(ID));
      return old.every(({ Status, DesiredState }) => DesiredState === 'shutdown' && Status.State === 'shutdown');
    });
    expect(await tasksOn(other)).not.toEqual([]);
  });
});

/** A service that needs nothing of any node. */
function blank(name: string): object {
  return { Name: name, Mode: { Replicated: { Replicas: 0 } }, TaskTemplate: { ContainerSpec: { Image: 'none' } } };
}
