import { fc, test } from '@fast-check/vitest';
import { describe, expect } from 'vitest';
import type { Fate } from '../../../fixtures/fake-agent.ts';
import { OrchestratedSwarm, SECOND } from './orchestrated-swarm.ts';

type Event =
  | { kind: 'scale'; replicas: number }
  | { kind: 'image'; image: number }
  | { kind: 'fate'; fate: Fate; slot: number }
  | { kind: 'node'; node: number; to: 'ready' | 'down' | 'drain' | 'pause' }
  | { kind: 'leader' }
  | { kind: 'time'; ms: number };

const event: fc.Arbitrary<Event> = fc.oneof(
  fc.record({ kind: fc.constant('scale' as const), replicas: fc.integer({ min: 0, max: 6 }) }),
  fc.record({ kind: fc.constant('image' as const), image: fc.integer({ min: 1, max: 4 }) }),
  fc.record({
    kind: fc.constant('fate' as const),
    fate: fc.constantFrom<Fate>('run', 'fail', 'reject', 'crash', 'complete', 'hang'),
    slot: fc.integer({ min: 0, max: 4 }),
  }),
  fc.record({
    kind: fc.constant('node' as const),
    node: fc.integer({ min: 1, max: 3 }),
    to: fc.constantFrom('ready' as const, 'down' as const, 'drain' as const, 'pause' as const),
  }),
  fc.record({ kind: fc.constant('leader' as const) }),
  fc.record({ kind: fc.constant('time' as const), ms: fc.integer({ min: 0, max: 4_000 }) }),
);

async function setNode(swarm: OrchestratedSwarm, id: string, to: 'ready' | 'down' | 'drain' | 'pause'): Promise<void> {
  await swarm.changeNode(id, (node) => ({
    Spec: { ...node.Spec, Availability: to === 'drain' || to === 'pause' ? to : 'active' },
    Status: { State: to === 'down' ? 'down' : 'ready' },
  }));
}

async function play(swarm: OrchestratedSwarm, id: string, step: Event): Promise<void> {
  switch (step.kind) {
    case 'scale':
      return swarm.updateService(id, { Mode: { Replicated: { Replicas: step.replicas } } });
    case 'image':
      return swarm.updateImage(id, `app:${step.image}`);
    case 'fate':
      swarm.agent.fate = (task) => (step.slot === 0 || task.Slot === step.slot ? step.fate : 'run');
      return;
    case 'node':
      return setNode(swarm, `n${step.node}`, step.to);
    case 'leader':
      return swarm.changeLeader();
    case 'time':
      return swarm.run(step.ms);
  }
}

/** Never more wanted tasks in a slot than an update may have, whatever happened. */
function mostInOneSlot(swarm: OrchestratedSwarm, id: string): number {
  const bySlot = Map.groupBy(swarm.wanted(id), (task) => task.Slot);
  return Math.max(0, ...[...bySlot.values()].map((tasks) => tasks.length));
}

async function calm(swarm: OrchestratedSwarm, id: string, final: string): Promise<void> {
  swarm.agent.fate = () => 'run';
  for (const node of ['n1', 'n2', 'n3']) await setNode(swarm, node, 'ready');
  await swarm.updateImage(id, final);
  await swarm.run(30_000);
}

describe('after any sequence of events the swarm settles', () => {
  test.prop(
    {
      events: fc.array(event, { maxLength: 15 }),
      order: fc.constantFrom('stop-first' as const, 'start-first' as const),
      action: fc.constantFrom('pause' as const, 'continue' as const, 'rollback' as const),
      parallelism: fc.integer({ min: 0, max: 2 }),
    },
    { numRuns: 25 },
  )('replicated: with exactly its replicas', async ({ events, order, action, parallelism }) => {
    const swarm = new OrchestratedSwarm();
    await swarm.start(3);
    const config = { Parallelism: parallelism, Order: order, FailureAction: action };
    const id = await swarm.createService(
      {
        Mode: { Replicated: { Replicas: 3 } },
        UpdateConfig: config,
        RollbackConfig: { ...config, FailureAction: 'pause' },
      },
      { RestartPolicy: { Delay: SECOND } },
    );
    for (const step of events) {
      await play(swarm, id, step);
      expect(mostInOneSlot(swarm, id)).toBeLessThanOrEqual(order === 'start-first' ? 2 : 1);
    }
    await calm(swarm, id, 'app:final');
    const replicas = swarm.service(id).Spec.Mode?.Replicated?.Replicas ?? 0;
    expect(swarm.wanted(id).map((task) => task.Slot)).toHaveLength(replicas);
    expect(swarm.images(id)).toEqual(Array(replicas).fill('app:final'));
    expect(new Set(swarm.running(id).map((task) => task.Slot)).size).toBe(replicas);
    await swarm.run(10_000);
    const quiet = swarm.store.view((tx) => [...tx.all('tasks')].map((task) => task.Version.Index));
    await swarm.changeLeader();
    await swarm.run(3_000);
    expect(swarm.store.view((tx) => [...tx.all('tasks')].map((task) => task.Version.Index))).toEqual(quiet);
    await swarm.stop();
  });

  test.prop({ events: fc.array(event, { maxLength: 15 }) }, { numRuns: 15 })(
    'global: with one task on every node',
    async ({ events }) => {
      const swarm = new OrchestratedSwarm();
      await swarm.start(3);
      const id = await swarm.createService({ Mode: { Global: {} } }, { RestartPolicy: { Delay: SECOND } });
      for (const step of events) if (step.kind !== 'scale') await play(swarm, id, step);
      await calm(swarm, id, 'app:final');
      expect(
        swarm
          .running(id)
          .map((task) => task.NodeID)
          .sort(),
      ).toEqual(['n1', 'n2', 'n3']);
      expect(swarm.wanted(id)).toHaveLength(3);
      expect(swarm.images(id)).toEqual(Array(3).fill('app:final'));
      await swarm.stop();
    },
  );
});
