import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { WaggleError } from '../../../../proto/runtime/errors.ts';
import { isWanted, OrchestratedSwarm, SECOND } from './orchestrated-swarm.ts';

let swarm: OrchestratedSwarm;
beforeEach(() => {
  swarm = new OrchestratedSwarm();
});
afterEach(() => swarm.stop());

const replicas = (count: number): { Mode: { Replicated: { Replicas: number } } } => ({
  Mode: { Replicated: { Replicas: count } },
});
const slots = (id: string): number[] =>
  swarm
    .wanted(id)
    .map((task) => task.Slot)
    .sort((a, b) => a - b);

describe('a replicated service', () => {
  it('fills slots from 1 with tasks of its spec', async () => {
    await swarm.start(2);
    const id = await swarm.createService(replicas(3));
    await swarm.run(1_000);
    expect(slots(id)).toEqual([1, 2, 3]);
    expect(swarm.running(id)).toHaveLength(3);
    expect(swarm.service(id).UpdateStatus).toBeUndefined();
    expect(swarm.tasks(id)[0]).toMatchObject({
      SpecVersion: 1,
      ServiceAnnotations: { Name: id },
      Spec: { ContainerSpec: { Image: 'app:1' } },
      DesiredState: 'running',
    });
  });

  it('has one replica when the mode does not say', async () => {
    await swarm.start(1);
    const id = await swarm.createService({ Mode: {} });
    await swarm.run(500);
    expect(slots(id)).toEqual([1]);
  });

  it('is created in more than one transaction when it is large', async () => {
    await swarm.start(1);
    const id = await swarm.createService(replicas(450));
    await swarm.clock.advance(100);
    expect(slots(id)).toHaveLength(450);
    const versions = new Set(swarm.tasks(id).map((task) => task.Version.Index));
    expect(versions.size).toBe(3);
  });

  it('is created in smaller transactions when one would be too large', async () => {
    await swarm.start(1);
    const id = await swarm.createService(replicas(200), { ContainerSpec: { Env: ['x'.repeat(20_000)] } });
    await swarm.clock.advance(5_000);
    expect(slots(id)).toHaveLength(200);
  });

  it('is created all the same when the first writes fail', async () => {
    await swarm.start(1);
    const update = swarm.store.update.bind(swarm.store);
    let failures = 0;
    swarm.store.update = (write, options) => {
      if (options?.actor !== 'orchestrator' || failures >= 4) return update(write, options);
      failures++;
      return Promise.reject(new WaggleError('unavailable', 'no leader'));
    };
    const id = await swarm.createService(replicas(2));
    await swarm.clock.advance(50);
    expect(slots(id)).toEqual([]);
    await swarm.clock.advance(5_000);
    expect(failures).toBe(4);
    expect(slots(id)).toEqual([1, 2]);
  });

  it('scales down the fullest node first, then high slots, and reuses the lowest free numbers', async () => {
    await swarm.start(2);
    const id = await swarm.createService(replicas(4));
    await swarm.run(1_000);
    await swarm.updateService(id, replicas(2));
    await swarm.run(1_000);
    expect(Object.fromEntries(swarm.wanted(id).map((task) => [task.Slot, task.NodeID]))).toEqual(
      Object.fromEntries([
        [1, 'n1'],
        [2, 'n2'],
      ]),
    );
    expect(swarm.tasks(id)).toHaveLength(2);
    await swarm.updateService(id, replicas(3));
    await swarm.run(1_000);
    expect(slots(id)).toEqual([1, 2, 3]);
  });

  it('scales down what has no node before what runs', async () => {
    await swarm.start(1);
    const id = await swarm.createService(replicas(2));
    await swarm.run(1_000);
    await swarm.changeNode('n1', (node) => ({ Spec: { ...node.Spec, Availability: 'pause' } }));
    await swarm.updateService(id, replicas(3));
    await swarm.run(500);
    expect(swarm.wanted(id).find((task) => task.Slot === 3)?.NodeID).toBe('');
    await swarm.updateService(id, replicas(2));
    await swarm.run(500);
    expect(swarm.running(id).map((task) => task.Slot)).toEqual([1, 2]);
  });

  it('scales to zero and its tasks are deleted once they have stopped', async () => {
    await swarm.start(1);
    const id = await swarm.createService(replicas(2));
    await swarm.run(1_000);
    swarm.agent.stubborn.add('n1');
    await swarm.updateService(id, replicas(0));
    await swarm.run(1_000);
    expect(swarm.tasks(id).map((task) => task.DesiredState)).toEqual(['remove', 'remove']);
    swarm.agent.stubborn.clear();
    await swarm.run(1_000);
    expect(swarm.tasks(id)).toEqual([]);
  });

  it('is gone: its tasks go too, history and all', async () => {
    await swarm.start(1);
    const id = await swarm.createService(replicas(2));
    await swarm.run(1_000);
    await swarm.store.update((tx) => tx.remove('services', id));
    await swarm.run(1_000);
    expect(swarm.tasks(id)).toEqual([]);
  });

  it('is gone while nobody leads: the next leader cleans up', async () => {
    await swarm.start(1);
    const id = await swarm.createService(replicas(2));
    await swarm.run(1_000);
    await swarm.stop();
    await swarm.store.update((tx) => tx.remove('services', id));
    await swarm.changeLeader();
    await swarm.run(1_000);
    expect(swarm.tasks(id)).toEqual([]);
  });
});

describe('a task that ends', () => {
  it.each([
    { id: 'fails', fate: 'fail', condition: 'any', restarts: true },
    { id: 'is rejected', fate: 'reject', condition: 'any', restarts: true },
    { id: 'completes', fate: 'complete', condition: 'any', restarts: true },
    { id: 'completes, on-failure', fate: 'complete', condition: 'on-failure', restarts: false },
    { id: 'fails, on-failure', fate: 'fail', condition: 'on-failure', restarts: true },
    { id: 'fails, none', fate: 'fail', condition: 'none', restarts: false },
  ] as const)('$id: replaced=$restarts', async ({ fate, condition, restarts }) => {
    await swarm.start(1);
    let first = '';
    swarm.agent.fate = (task) => (first === '' || task.ID === first ? ((first = task.ID), fate) : 'run');
    const id = await swarm.createService({}, { RestartPolicy: { Condition: condition } });
    await swarm.run(10_000);
    expect(swarm.running(id)).toHaveLength(restarts ? 1 : 0);
    expect(swarm.tasks(id)).toHaveLength(restarts ? 2 : 1);
    expect(swarm.tasks(id)[0]).toMatchObject({ ID: first, DesiredState: 'shutdown' });
  });

  it.each([
    { id: 'default', delayMs: 5_000, policy: {} },
    { id: 'given', delayMs: 2_000, policy: { Delay: 2 * SECOND } },
    { id: 'none', delayMs: 0, policy: { Delay: 0 } },
  ])('the next one waits at ready for the delay: $id', async ({ delayMs, policy }) => {
    await swarm.start(1);
    swarm.agent.fate = (task) => (swarm.tasks(task.ServiceID)[0]?.ID === task.ID ? 'fail' : 'run');
    const id = await swarm.createService({}, { RestartPolicy: policy });
    await swarm.run(500);
    const [first, second] = swarm.tasks(id);
    expect(first).toMatchObject({ Status: { State: 'failed' }, DesiredState: 'shutdown' });
    const endedMs = Date.parse(first?.Status.Timestamp ?? '');
    expect(second?.DesiredState).toBe(delayMs === 0 ? 'running' : 'ready');
    if (delayMs > 0) await swarm.clock.advance(endedMs + delayMs - 1 - swarm.clock.now());
    expect(swarm.tasks(id)[1]?.DesiredState).toBe(delayMs === 0 ? 'running' : 'ready');
    await swarm.clock.advance(30);
    expect(swarm.tasks(id)[1]?.DesiredState).toBe('running');
  });

  it('is replaced once a delay when it is rejected while it waits for its turn', async () => {
    await swarm.start(1);
    swarm.agent.fate = () => 'reject';
    const id = await swarm.createService({}, { RestartPolicy: { Delay: 2 * SECOND } });
    await swarm.run(30_000);
    const born = swarm.tasks(id).map((task) => Date.parse(task.CreatedAt));
    const gaps = born.slice(2).map((at, index) => at - (born[index + 1] ?? 0));
    expect(gaps.length).toBeGreaterThan(2);
    expect(gaps.every((gap) => gap >= 2_000 && gap < 2_500)).toBe(true);
  });

  it('a change of leader does not begin the delay again', async () => {
    await swarm.start(1);
    swarm.agent.fate = (task) => (swarm.tasks(task.ServiceID)[0]?.ID === task.ID ? 'fail' : 'run');
    const id = await swarm.createService({});
    await swarm.run(3_000);
    await swarm.changeLeader();
    await swarm.run(2_500);
    expect(swarm.running(id)).toHaveLength(1);
  });

  it('max-attempts leaves the slot empty, for a new leader too, until the spec changes', async () => {
    await swarm.start(1);
    swarm.agent.fate = () => 'fail';
    const id = await swarm.createService({}, { RestartPolicy: { Delay: SECOND, MaxAttempts: 2 } });
    await swarm.run(10_000);
    expect(swarm.tasks(id)).toHaveLength(3);
    await swarm.changeLeader();
    await swarm.run(10_000);
    expect(swarm.tasks(id)).toHaveLength(3);
    swarm.agent.fate = () => 'run';
    await swarm.updateImage(id, 'app:2');
    await swarm.run(2_000);
    expect(swarm.images(id)).toEqual(['app:2']);
  });

  it('max-attempts counts within the window only', async () => {
    await swarm.start(1);
    swarm.agent.fate = () => 'fail';
    const policy = { Delay: 3 * SECOND, MaxAttempts: 2, Window: 5 * SECOND };
    const id = await swarm.createService({}, { RestartPolicy: policy });
    await swarm.run(30_000);
    const seen = swarm.tasks(id).at(-1)?.CreatedAt;
    await swarm.run(10_000);
    expect(swarm.tasks(id).at(-1)?.CreatedAt).not.toBe(seen);
  });

  it('fails before its turn: the next try waits for that turn', async () => {
    await swarm.start(1);
    swarm.agent.fate = () => 'reject';
    const id = await swarm.createService({});
    await swarm.run(20_000);
    // At 0 s, at once after it, then every 5 s.
    expect(swarm.tasks(id).length).toBeLessThanOrEqual(5);
    expect(swarm.tasks(id).length).toBeGreaterThanOrEqual(4);
  });
});

describe('a node', () => {
  it.each([
    { id: 'down', change: { Status: { State: 'down' } } },
    { id: 'drained', change: { Spec: { Role: 'worker', Availability: 'drain' } } },
  ] as const)('$id: its tasks move at once', async ({ change }) => {
    await swarm.start(2);
    const id = await swarm.createService(replicas(4));
    await swarm.run(1_000);
    await swarm.changeNode('n1', () => change);
    await swarm.run(1_000);
    expect(swarm.running(id).map((task) => task.NodeID)).toEqual(['n2', 'n2', 'n2', 'n2']);
  });

  it('removed: its tasks move', async () => {
    await swarm.start(2);
    const id = await swarm.createService(replicas(2));
    await swarm.run(1_000);
    await swarm.store.update((tx) => tx.remove('nodes', 'n1'));
    await swarm.run(1_000);
    expect(swarm.running(id).map((task) => task.NodeID)).toEqual(['n2', 'n2']);
  });

  it('drained, and what runs on it takes its time: the next waits for it, one minute at most', async () => {
    await swarm.start(2);
    swarm.agent.stubborn.add('n1');
    const id = await swarm.createService(replicas(1));
    await swarm.run(1_000);
    await swarm.changeNode('n1', (node) => ({ Spec: { ...node.Spec, Availability: 'drain' } }));
    await swarm.run(59_500);
    expect(swarm.running(id)).toEqual([]);
    expect(swarm.wanted(id)).toMatchObject([{ DesiredState: 'ready', Status: { State: 'ready' } }]);
    await swarm.run(1_000);
    expect(swarm.running(id)).toHaveLength(1);
  });

  it('paused: its tasks stay', async () => {
    await swarm.start(1);
    const id = await swarm.createService(replicas(2));
    await swarm.run(1_000);
    const before = swarm.running(id).map((task) => task.ID);
    await swarm.changeNode('n1', (node) => ({ Spec: { ...node.Spec, Availability: 'pause' } }));
    await swarm.run(1_000);
    expect(swarm.running(id).map((task) => task.ID)).toEqual(before);
  });

  it('that no longer meets the constraints loses its tasks', async () => {
    await swarm.start(1);
    await swarm.changeNode('n1', (node) => ({ Spec: { ...node.Spec, Labels: { zone: 'a' } } }));
    const id = await swarm.createService({}, { Placement: { Constraints: ['node.labels.zone==a'] } });
    await swarm.run(1_000);
    expect(swarm.running(id)).toHaveLength(1);
    await swarm.changeNode('n1', (node) => ({ Spec: { ...node.Spec, Labels: { zone: 'b' } } }));
    await swarm.run(200);
    expect(swarm.tasks(id)[0]).toMatchObject({
      Status: { State: 'rejected', Err: 'assigned node no longer meets constraints' },
      DesiredState: 'shutdown',
    });
    expect(swarm.tasks(id).filter(isWanted)).toHaveLength(1);
  });
});
