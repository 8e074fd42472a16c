import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { NodeDescription } from '../../../../proto/objects/node.ts';
import type { TaskObject } from '../../../../proto/objects/task.ts';
import { systemClock } from '../../../../proto/runtime/clock.ts';
import { type Log, silentLog } from '../../../../proto/runtime/log.ts';
import { Agent, type AgentModules } from '../../../../worker/agent/agent.ts';
import type { Identity } from '../../../../worker/identity/identity.ts';
import { IdentityStore } from '../../../../worker/identity/identity-store.ts';
import { joinSwarm } from '../../../../worker/identity/join-swarm.ts';
import { FakeEngine, fakeExecutor } from '../../../fixtures/fake-executor.ts';
import { hastenedClock } from '../../../fixtures/hastened-clock.ts';
import { type LoopbackManager, startLoopbackManager, temporaryFolder } from '../../../fixtures/loopback-manager.ts';
import { networkObject, newTaskObject } from '../../../fixtures/task-object.ts';

const description: NodeDescription = {
  Hostname: 'host-1',
  Platform: { Architecture: 'x86_64', OS: 'linux' },
  Resources: { NanoCPUs: 1e9, MemoryBytes: 1e9 },
  Engine: { EngineVersion: '20.10.24' },
};

describe('agent and dispatcher over real TLS', () => {
  let manager: LoopbackManager;
  let disk: { folder: string; remove: () => Promise<void> };
  let identity: Identity;
  let engine: FakeEngine;
  let agent: Agent;

  beforeEach(async () => {
    manager = await startLoopbackManager({ spec: { Dispatcher: { HeartbeatPeriod: 200e6 } } });
    disk = await temporaryFolder();
    const store = new IdentityStore({ dataDir: disk.folder });
    identity = await joinSwarm(
      { remoteAddrs: [manager.address], token: manager.cluster().JoinTokens.Worker, availability: 'active' },
      { store, clock: systemClock, random: Math.random, log: silentLog },
    );
    engine = new FakeEngine();
    agent = newAgent();
  });
  afterEach(async () => {
    await agent.stop();
    await manager.stop();
    await disk.remove();
  });

  function newAgent(managers = [manager.address], modules: Partial<AgentModules> = {}): Agent {
    return new Agent(
      {
        dataDir: disk.folder,
        managers,
        advertiseAddress: '10.1.1.1',
        dataPathAddress: '10.2.2.2',
        gossipAddress: '10.1.1.1:7946',
      },
      {
        identity,
        executor: fakeExecutor(engine),
        describe: () => Promise.resolve(description),
        renew: () => undefined,
        clock: systemClock,
        random: Math.random,
        log: silentLog,
        ...modules,
      },
    );
  }
  const task = (id: string): TaskObject | undefined => manager.store.view((tx) => tx.get('tasks', id));
  const node = () => manager.store.view((tx) => tx.get('nodes', identity.nodeId));
  const create = (id: string): Promise<void> =>
    manager.store.update((tx) => tx.create('tasks', newTaskObject(id, identity.nodeId)));
  const desire = (id: string, DesiredState: TaskObject['DesiredState']): Promise<void> =>
    manager.store.update((tx) => {
      const present = tx.get('tasks', id);
      if (present !== undefined) tx.update('tasks', { ...present, DesiredState });
    });
  const eventually = (check: () => void): Promise<void> => vi.waitFor(check, { timeout: 10_000, interval: 5 });
  const reaches = (id: string, state: string): Promise<void> =>
    eventually(() => expect(task(id)?.Status.State).toBe(state));

  it('registers the node and tells it of the swarm', async () => {
    await agent.start();
    await eventually(() => expect(agent.connectivity).toEqual({ connected: true }));
    expect(node()).toMatchObject({
      Description: description,
      Status: { State: 'ready', Addr: '10.1.1.1' },
      DataPathAddr: '10.2.2.2',
      GossipAddr: '10.1.1.1:7946',
    });
    expect(agent.facts).toMatchObject({
      node: { ID: identity.nodeId },
      managers: [{ nodeId: manager.identity.nodeId }],
      gossipPeers: [{ nodeId: identity.nodeId, address: '10.1.1.1:7946' }],
      dataPathAddresses: ['10.2.2.2'],
      keys: [{ subsystem: 'networking:gossip', tag: 1, key: manager.cluster().Keys[0]?.Key }],
      cluster: { ID: manager.cluster().ID, DataPathPort: 4789, HeartbeatPeriodMs: 200 },
    });
  });

  it('is back in the swarm while its engine starts, and tells what that is by then', async () => {
    await agent.start();
    await eventually(() => expect(agent.connectivity).toEqual({ connected: true }));
    await agent.stop();
    const engineUp = Promise.withResolvers<NodeDescription>();
    agent = newAgent([manager.address], { describe: () => engineUp.promise });
    await agent.start();
    await eventually(() => expect(agent.connectivity).toEqual({ connected: true }));
    expect(node()?.Description).toEqual(description);
    engineUp.resolve({ ...description, Engine: { EngineVersion: '28.2.2' } });
    await eventually(() => expect(node()?.Description?.Engine.EngineVersion).toBe('28.2.2'));
  });

  it('warns when no manager takes it for long, and ever less often', async () => {
    const warned: unknown[] = [];
    const log: Log = { ...silentLog, warn: (fields) => void warned.push(fields), child: () => log };
    agent = newAgent(['127.0.0.1:1'], { clock: hastenedClock(2000), log });
    await agent.start();
    // On a busy machine the time-out, hastened too, may be first.
    const error = expect.stringMatching(/ECONNREFUSED 127|no session within/) as string;
    const fields = { manager: '127.0.0.1:1', error };
    await eventually(() => expect(warned.length).toBeGreaterThanOrEqual(3));
    expect(warned.slice(0, 3)).toEqual([8, 16, 32].map((failures) => ({ ...fields, failures })));
  });

  it('runs, ends and removes a task', async () => {
    await agent.start();
    await create('t1');
    await reaches('t1', 'running');
    expect(task('t1')?.Status).toMatchObject({
      Message: 'started',
      ContainerStatus: { ContainerID: 'container-t1' },
    });
    await desire('t1', 'shutdown');
    await reaches('t1', 'shutdown');
    expect(engine.containers.get('t1')?.state).toBe('exited');
    await manager.store.update((tx) => tx.remove('tasks', 't1'));
    await eventually(() => expect(engine.containers.size).toBe(0));
  });

  it.each([
    { id: 'good', code: 0, status: { State: 'complete', Message: 'finished' } },
    {
      id: 'bad',
      code: 3,
      status: {
        State: 'failed',
        Message: 'started',
        Err: 'task: non-zero exit (3)',
        ContainerStatus: { ExitCode: 3 },
      },
    },
  ])('reports a $id end', async ({ code, status }) => {
    await agent.start();
    await create('t1');
    await reaches('t1', 'running');
    engine.exit('t1', code);
    await eventually(() => expect(task('t1')?.Status).toMatchObject(status));
  });

  it('adopts running containers after a restart, with and without a manager', async () => {
    await agent.start();
    await create('t1');
    await create('t2');
    await reaches('t1', 'running');
    await reaches('t2', 'running');
    await agent.stop();
    expect(engine.containers.get('t1')).toMatchObject({ state: 'running', starts: 1 });
    engine.exit('t2', 7);
    await manager.dispatcher.stop();

    agent = newAgent();
    await agent.start();
    expect(agent.tasks.assigned.tasks.size).toBe(2);
    expect(agent.facts?.cluster.ID).toBe(manager.cluster().ID);
    await eventually(() => expect(agent.tasks.statusOf('t2')?.State).toBe('failed'));
    expect(task('t2')?.Status.State).toBe('running');

    await manager.dispatcher.start();
    await reaches('t2', 'failed');
    expect(engine.containers.get('t1')).toMatchObject({ state: 'running', starts: 1 });
    await desire('t1', 'shutdown');
    await reaches('t1', 'shutdown');
  });

  it('does not start again what had ended before the restart', async () => {
    await agent.start();
    await create('t1');
    await reaches('t1', 'running');
    engine.exit('t1', 0);
    await reaches('t1', 'complete');
    await agent.stop();
    agent = newAgent();
    await agent.start();
    await eventually(() => expect(agent.connectivity.connected).toBe(true));
    await create('t2');
    await reaches('t2', 'running');
    expect(engine.containers.get('t1')).toMatchObject({ state: 'exited', starts: 1 });
  });

  it('ends what was taken away while it was cut off, and what it never knew', async () => {
    await agent.start();
    await create('t1');
    await reaches('t1', 'running');
    await agent.stop();
    engine.containers.set('stray', { state: 'running', exitCode: 0, starts: 1 });
    await manager.store.update((tx) => tx.remove('tasks', 't1'));
    agent = newAgent();
    await agent.start();
    await eventually(() => expect([...engine.containers.keys()]).toEqual([]));
    expect(engine.calls).toContain('shutdown t1');
    expect(engine.calls).toContain('shutdown stray');
  });

  it('waits at ready until the task is to run', async () => {
    await agent.start();
    await manager.store.update((tx) =>
      tx.create('tasks', newTaskObject('t1', identity.nodeId, { DesiredState: 'ready' })),
    );
    await reaches('t1', 'ready');
    expect(engine.containers.get('t1')?.state).toBe('created');
    await desire('t1', 'running');
    await reaches('t1', 'running');
  });

  it('has the networks it needs and drops them', async () => {
    await agent.start();
    const {
      Version: _v,
      CreatedAt: _c,
      UpdatedAt: _u,
      ...attachable
    } = networkObject('n1', {
      Spec: { Name: 'n1', Attachable: true },
    });
    await manager.store.update((tx) => tx.create('networks', attachable));
    await eventually(() => expect([...agent.tasks.assigned.networks.keys()]).toEqual(['n1']));
    await agent.stop();
    agent = newAgent();
    await agent.start();
    expect([...agent.tasks.assigned.networks.keys()]).toEqual(['n1']);
    await manager.store.update((tx) => tx.remove('networks', 'n1'));
    await eventually(() => expect(agent.tasks.assigned.networks.size).toBe(0));
  });

  it('marks a node down that falls silent and ready again when it is back', async () => {
    await agent.start();
    await eventually(() => expect(node()?.Status.State).toBe('ready'));
    await agent.stop();
    await eventually(() => expect(node()?.Status).toMatchObject({ State: 'down', Message: 'heartbeat failure' }));
    agent = newAgent();
    await agent.start();
    await eventually(() => expect(node()?.Status).toEqual({ State: 'ready', Addr: '10.1.1.1' }));
  });

  it('leaves: containers and records are gone', async () => {
    await agent.start();
    await create('t1');
    await reaches('t1', 'running');
    await agent.leave();
    expect(engine.containers.size).toBe(0);
    agent = newAgent();
    await agent.start();
    expect(agent.tasks.assigned.tasks.size).toBe(0);
    expect(agent.managers).toEqual([manager.address]);
  });

  it('is cut off when the node is removed', async () => {
    await agent.start();
    await eventually(() => expect(agent.connectivity.connected).toBe(true));
    await manager.store.update((tx) => {
      const cluster = manager.cluster();
      tx.update('clusters', { ...cluster, RemovedNodes: [{ ID: identity.nodeId, Until: '2100-01-01T00:00:00Z' }] });
      tx.remove('nodes', identity.nodeId);
    });
    await eventually(() =>
      expect(agent.connectivity).toMatchObject({ connected: false, error: expect.stringContaining('removed') }),
    );
  });
});
