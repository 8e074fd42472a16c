import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ServiceSpec, UpdateConfig } from '../../../../proto/objects/service.ts';
import type { TaskObject } from '../../../../proto/objects/task.ts';
import { isWanted, OrchestratedSwarm, SECOND } from './orchestrated-swarm.ts';

let swarm: OrchestratedSwarm;
beforeEach(async () => {
  swarm = new OrchestratedSwarm();
  await swarm.start(2);
});
afterEach(() => swarm.stop());

async function service(count: number, UpdateConfig?: UpdateConfig, RollbackConfig?: UpdateConfig): Promise<string> {
  const spec: Partial<ServiceSpec> = { Mode: { Replicated: { Replicas: count } } };
  if (UpdateConfig !== undefined) spec.UpdateConfig = UpdateConfig;
  if (RollbackConfig !== undefined) spec.RollbackConfig = RollbackConfig;
  const id = await swarm.createService(spec);
  await swarm.run(1_000);
  return id;
}

const imageOf = (task: TaskObject): string => task.Spec.ContainerSpec?.Image ?? '';
const status = (id: string): unknown => swarm.service(id).UpdateStatus;
const failing = (image: string): void => {
  swarm.agent.fate = (task) => (imageOf(task) === image ? 'fail' : 'run');
};
const firstFailure = (id: string): string | undefined =>
  swarm.tasks(id).find((task) => task.Status.State === 'failed')?.ID;

/** Runs for `ms` and returns the largest and the smallest of what `measure` gave on the way. */
async function watch(ms: number, measure: () => number): Promise<{ most: number; least: number }> {
  const seen = [measure()];
  for (let passed = 0; passed < ms; passed += 100) {
    await swarm.run(100);
    seen.push(measure());
  }
  return { most: Math.max(...seen), least: Math.min(...seen) };
}

describe('a rolling update', () => {
  it('replaces one slot after the other, and is complete a monitoring period after the last', async () => {
    const id = await service(3);
    await swarm.updateImage(id, 'app:2');
    const { least } = await watch(3_000, () => swarm.running(id).length);
    expect(least).toBe(2);
    expect(swarm.images(id)).toEqual(['app:2', 'app:2', 'app:2']);
    expect(status(id)).toMatchObject({ State: 'updating', Message: 'update in progress' });
    expect(status(id)).not.toHaveProperty('CompletedAt');
    await swarm.run(5_000);
    expect(status(id)).toMatchObject({ State: 'completed', Message: 'update completed' });
    expect(status(id)).toHaveProperty('CompletedAt');
  });

  it.each([
    { id: 'two', Parallelism: 2, least: 2 },
    { id: 'all', Parallelism: 0, least: 0 },
  ])('parallelism $id', async ({ Parallelism, least }) => {
    const id = await service(4, { Parallelism });
    await swarm.updateImage(id, 'app:2');
    expect((await watch(4_000, () => swarm.running(id).length)).least).toBe(least);
    expect(swarm.images(id)).toEqual(Array(4).fill('app:2'));
  });

  it('waits for the delay between slots', async () => {
    const id = await service(2, { Parallelism: 1, Delay: 10 * SECOND });
    await swarm.updateImage(id, 'app:2');
    await swarm.run(9_000);
    expect(swarm.images(id)).toEqual(expect.arrayContaining(['app:1', 'app:2']));
    await swarm.run(3_000);
    expect(swarm.images(id)).toEqual(['app:2', 'app:2']);
  });

  it('stop-first never runs two tasks in a slot', async () => {
    const id = await service(2);
    await swarm.updateImage(id, 'app:2');
    const alive = (): number =>
      swarm.tasks(id).filter((task) => task.Slot === 1 && task.Status.State === 'running').length;
    expect((await watch(3_000, alive)).most).toBe(1);
  });

  it('start-first always has every slot running', async () => {
    const id = await service(2, { Parallelism: 1, Order: 'start-first' });
    await swarm.updateImage(id, 'app:2');
    const { least, most } = await watch(4_000, () => swarm.running(id).length);
    expect({ least, most: most <= 3 }).toEqual({ least: 2, most: true });
    expect(swarm.images(id)).toEqual(['app:2', 'app:2']);
  });

  it('goes on by itself under a new leader, wherever it was', async () => {
    const id = await service(3, { Parallelism: 1, Delay: SECOND });
    await swarm.updateImage(id, 'app:2');
    for (let takeover = 0; takeover < 12; takeover++) {
      await swarm.run(700);
      await swarm.changeLeader();
      expect(swarm.wanted(id)).toHaveLength(3);
    }
    await swarm.run(8_000);
    expect(swarm.images(id)).toEqual(['app:2', 'app:2', 'app:2']);
    expect(status(id)).toMatchObject({ State: 'completed' });
  });

  it('gives way to a new spec in the middle', async () => {
    const id = await service(4, { Parallelism: 1, Delay: SECOND });
    await swarm.updateImage(id, 'app:2');
    await swarm.run(1_000);
    await swarm.updateImage(id, 'app:3');
    await swarm.run(15_000);
    expect(swarm.images(id)).toEqual(Array(4).fill('app:3'));
    expect(status(id)).toMatchObject({ State: 'completed' });
  });

  it.each([
    { id: 'scaling', change: { Mode: { Replicated: { Replicas: 3 } } } },
    { id: 'labels', change: { Labels: { a: 'b' } } },
  ])('is not begun by $id alone', async ({ change }) => {
    const id = await service(2);
    const before = swarm.running(id).map((task) => task.ID);
    await swarm.updateService(id, change);
    await swarm.run(8_000);
    expect(status(id)).toBeUndefined();
    expect(swarm.running(id).map((task) => task.ID)).toEqual(expect.arrayContaining(before));
  });

  it('replaces everything for ForceUpdate', async () => {
    const id = await service(2);
    const before = swarm.running(id).map((task) => task.ID);
    await swarm.updateService(id, { TaskTemplate: { ...swarm.service(id).Spec.TaskTemplate, ForceUpdate: 1 } });
    await swarm.run(9_000);
    expect(swarm.running(id).filter((task) => before.includes(task.ID))).toEqual([]);
    expect(status(id)).toMatchObject({ State: 'completed' });
  });

  it('waits for ever for a task that gets nowhere', async () => {
    const id = await service(2);
    swarm.agent.fate = (task) => (imageOf(task) === 'app:2' ? 'hang' : 'run');
    await swarm.updateImage(id, 'app:2');
    await swarm.run(60_000);
    expect(swarm.images(id)).toEqual(['app:1']);
    expect(status(id)).toMatchObject({ State: 'updating' });
  });

  it('revives a slot that its restart policy had left empty', async () => {
    swarm.agent.fate = () => 'complete';
    const id = await swarm.createService({}, { RestartPolicy: { Condition: 'none' } });
    await swarm.run(1_000);
    expect(swarm.wanted(id)).toEqual([]);
    swarm.agent.fate = () => 'run';
    await swarm.updateImage(id, 'app:2');
    await swarm.run(1_000);
    expect(swarm.images(id)).toEqual(['app:2']);
  });
});

describe('a failing update', () => {
  it.each([
    { id: 'before it runs', fate: 'fail', untouched: 2 },
    { id: 'in preparation', fate: 'reject', untouched: 2 },
    // The next slot's turn comes as soon as this one runs.
    { id: 'soon after it runs', fate: 'crash', untouched: 1 },
    { id: 'by completing', fate: 'complete', untouched: 1 },
  ] as const)('pauses: $id', async ({ fate, untouched }) => {
    const id = await service(3);
    swarm.agent.fate = (task) => (imageOf(task) === 'app:2' ? fate : 'run');
    await swarm.updateImage(id, 'app:2');
    await swarm.run(3_000);
    const [failed] = swarm.tasks(id).filter((task) => imageOf(task) === 'app:2');
    expect(status(id)).toMatchObject({
      State: 'paused',
      Message: `update paused due to failure or early termination of task ${failed?.ID}`,
    });
    await swarm.run(20_000);
    expect(swarm.images(id).filter((image) => image === 'app:1')).toHaveLength(untouched);
    expect(status(id)).toMatchObject({ State: 'paused' });
  });

  it('paused, it stays so under a new leader, and begins again with a new spec', async () => {
    const id = await service(3);
    failing('app:2');
    await swarm.updateImage(id, 'app:2');
    await swarm.run(3_000);
    await swarm.changeLeader();
    await swarm.run(3_000);
    expect(status(id)).toMatchObject({ State: 'paused' });
    await swarm.updateImage(id, 'app:3');
    await swarm.run(10_000);
    expect(swarm.images(id)).toEqual(['app:3', 'app:3', 'app:3']);
    expect(status(id)).toMatchObject({ State: 'completed' });
  });

  it('does not count what ends after the monitoring period', async () => {
    const id = await service(2, { Parallelism: 1, Delay: 8 * SECOND, Monitor: 2 * SECOND });
    await swarm.updateImage(id, 'app:2');
    await swarm.run(5_000);
    swarm.agent.fate = (task) => (imageOf(task) === 'app:2' && task.Slot === 1 ? 'crash' : 'run');
    await swarm.run(500);
    swarm.agent.fate = () => 'run';
    await swarm.run(20_000);
    expect(status(id)).toMatchObject({ State: 'completed' });
  });

  it('does not count what we stop ourselves', async () => {
    const id = await service(2, { Parallelism: 1, Delay: 3 * SECOND });
    await swarm.updateImage(id, 'app:2');
    await swarm.run(1_000);
    const node = swarm.tasks(id).find((task) => imageOf(task) === 'app:2')?.NodeID ?? '';
    await swarm.changeNode(node, (old) => ({ Spec: { ...old.Spec, Availability: 'drain' } }));
    await swarm.run(15_000);
    expect(status(id)).toMatchObject({ State: 'completed' });
    expect(swarm.images(id)).toEqual(['app:2', 'app:2']);
  });

  it('continue: goes through all slots and completes', async () => {
    const id = await service(3, { Parallelism: 1, FailureAction: 'continue' });
    failing('app:2');
    await swarm.updateImage(id, 'app:2');
    await swarm.run(15_000);
    expect(status(id)).toMatchObject({ State: 'completed' });
    expect(swarm.wanted(id).map(imageOf)).toEqual(Array(3).fill('app:2'));
  });

  it.each([
    { id: 'at the ratio', ratio: 0.5, state: 'completed' },
    { id: 'over the ratio', ratio: 0.25, state: 'paused' },
  ])('max-failure-ratio: $id', async ({ ratio, state }) => {
    const id = await service(4, { Parallelism: 1, MaxFailureRatio: ratio });
    swarm.agent.fate = (task) => (imageOf(task) === 'app:2' && task.Slot <= 2 ? 'fail' : 'run');
    await swarm.updateImage(id, 'app:2');
    await swarm.run(20_000);
    expect(status(id)).toMatchObject({ State: state });
  });

  it.each([{ leaderChanges: false }, { leaderChanges: true }])(
    'rollback to the previous spec, which is used up (leader changes: $leaderChanges)',
    async ({ leaderChanges }) => {
      const id = await service(3, { Parallelism: 1, FailureAction: 'rollback' });
      failing('app:2');
      await swarm.updateImage(id, 'app:2');
      await swarm.run(700);
      if (leaderChanges) await swarm.changeLeader();
      await swarm.run(500);
      const failed = firstFailure(id);
      expect(swarm.service(id)).toMatchObject({
        Spec: { TaskTemplate: { ContainerSpec: { Image: 'app:1' } } },
        UpdateStatus: {
          State: 'rollback_started',
          Message: `update rolled back due to failure or early termination of task ${failed}`,
        },
      });
      expect(swarm.service(id)).not.toHaveProperty('PreviousSpec');
      if (leaderChanges) await swarm.changeLeader();
      await swarm.run(10_000);
      expect(swarm.images(id)).toEqual(['app:1', 'app:1', 'app:1']);
      expect(status(id)).toMatchObject({ State: 'rollback_completed', Message: 'rollback completed' });
    },
  );

  it.each([{ leaderChanges: false }, { leaderChanges: true }])(
    'a rollback by hand is paced and watched like an update (leader changes: $leaderChanges)',
    async ({ leaderChanges }) => {
      // The first tasks of the spec that comes back failed long ago: that is not held against the rollback.
      failing('app:1');
      const id = await service(3);
      swarm.agent.fate = () => 'run';
      await swarm.run(7_000);
      await swarm.updateImage(id, 'app:2');
      await swarm.run(10_000);
      expect(status(id)).toMatchObject({ State: 'completed' });
      await swarm.rollbackService(id);
      await swarm.run(500);
      expect(swarm.images(id)).toEqual(['app:1', 'app:2']);
      if (leaderChanges) await swarm.changeLeader();
      await swarm.run(4_000);
      expect(swarm.images(id)).toEqual(['app:1', 'app:1', 'app:1']);
      expect(status(id)).toMatchObject({ State: 'rollback_started', Message: 'manually requested rollback' });
      await swarm.run(5_000);
      expect(status(id)).toMatchObject({ State: 'rollback_completed', Message: 'rollback completed' });
    },
  );

  it('after a rollback, tasks of the abandoned spec are never taken for the next one', async () => {
    const id = await service(2, { Parallelism: 1, FailureAction: 'rollback', Order: 'start-first' });
    failing('app:2');
    await swarm.updateImage(id, 'app:2');
    await swarm.run(10_000);
    const versions = new Set(
      swarm
        .tasks(id)
        .filter((task) => imageOf(task) === 'app:2')
        .map((task) => task.SpecVersion),
    );
    await swarm.updateImage(id, 'app:3');
    expect(versions.has(swarm.service(id).SpecVersion)).toBe(false);
  });

  it.each([
    { id: 'pause', action: 'pause', verb: 'update' },
    { id: 'rollback', action: 'rollback', verb: 'rollback' },
  ] as const)('a rollback that fails is paused, never rolled back: $id', async ({ action, verb }) => {
    const id = await service(
      2,
      { Parallelism: 1, FailureAction: 'rollback' },
      { Parallelism: 1, FailureAction: action },
    );
    swarm.agent.fate = () => 'fail';
    await swarm.updateImage(id, 'app:2');
    await swarm.run(5_000);
    expect(status(id)).toMatchObject({
      State: 'rollback_paused',
      Message: expect.stringContaining(`${verb} paused due to failure or early termination of task `),
    });
  });

  it('rollback without a previous spec pauses', async () => {
    const id = await service(2, { Parallelism: 1, FailureAction: 'rollback' });
    failing('app:2');
    await swarm.updateImage(id, 'app:2');
    await swarm.store.update((tx) => {
      const { PreviousSpec: _none, ...rest } = swarm.service(id);
      tx.update('services', rest);
    });
    await swarm.run(3_000);
    expect(status(id)).toMatchObject({ State: 'paused' });
  });

  it('start-first keeps the old task when the new one does not come up', async () => {
    const id = await service(2, { Parallelism: 1, Order: 'start-first' });
    failing('app:2');
    await swarm.updateImage(id, 'app:2');
    await swarm.run(20_000);
    expect(status(id)).toMatchObject({ State: 'paused' });
    expect(swarm.images(id)).toEqual(['app:1', 'app:1']);
    swarm.agent.fate = () => 'run';
    await swarm.run(10_000);
    expect(swarm.tasks(id).filter(isWanted)).toHaveLength(2);
  });
});
