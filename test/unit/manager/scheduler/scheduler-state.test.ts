import { fc, test as propertyTest } from '@fast-check/vitest';
import { describe, expect, test } from 'vitest';
import type { NodeObject } from '../../../../proto/objects/node.ts';
import type { TaskObject } from '../../../../proto/objects/task.ts';
import { DEFAULT_FILTERS, type Filter } from '../../../../manager/scheduler/filters.ts';
import { type Decision, SchedulerState } from '../../../../manager/scheduler/scheduler-state.ts';
import { memoryStore } from '../../../../manager/store/memory-proposer.ts';
import { VirtualClock } from '../../../fixtures/virtual-clock.ts';
import type { StoreEvent } from '../../../../manager/store/transaction.ts';
import { newNode, pendingTask, runningTask } from './fixture.ts';

const NOW = Date.parse('2024-01-01T00:10:00Z');

function stateOf(
  nodes: readonly NodeObject[],
  tasks: readonly TaskObject[],
  filters?: readonly Filter[],
): SchedulerState {
  const state = new SchedulerState(filters === undefined ? {} : { filters });
  const events: StoreEvent[] = [
    ...nodes.map((after) => ({ table: 'nodes' as const, after })),
    ...tasks.map((after) => ({ table: 'tasks' as const, after })),
  ];
  state.observe(events, NOW);
  return state;
}

/** Runs until nothing is due, every decision being written. */
function run(state: SchedulerState, limit = 200): Decision[] {
  const all: Decision[] = [];
  for (let slice = state.decide(limit, NOW); slice.length > 0; slice = state.decide(limit, NOW)) {
    for (const decision of slice) state.settle(decision, 'written');
    all.push(...slice);
  }
  return all;
}

function perNode(decisions: readonly Decision[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const one of decisions) if (one.kind === 'assign') counts[one.nodeId] = (counts[one.nodeId] ?? 0) + 1;
  return counts;
}

function tasks(count: number, fields: Partial<TaskObject> = {}): TaskObject[] {
  return Array.from({ length: count }, (_, at) => pendingTask(`t${at}`, fields));
}

function assigned(task: TaskObject, nodeId: string): TaskObject {
  return { ...task, NodeID: nodeId, Version: { Index: 2 }, Status: { Timestamp: '', State: 'assigned' } };
}

describe('SchedulerState: spread', () => {
  test('few tasks of the service first, then few tasks in all', () => {
    const busy = ['x1', 'x2', 'x3'].map((id) => runningTask(id, 'b', { ServiceID: 'other' }));
    const own = [runningTask('w1', 'a')];
    const state = stateOf(
      ['a', 'b', 'c'].map((id) => newNode(id)),
      [...busy, ...own, ...tasks(3)],
    );
    const order = run(state).map((one) => (one.kind === 'assign' ? one.nodeId : one.kind));
    expect(order).toEqual(['c', 'b', 'a']);
  });

  test('tasks that are meant to stop do not count, but keep what they reserve', () => {
    const Spec = { Resources: { Reservations: { NanoCPUs: 4e9 } } };
    const stopping = runningTask('old', 'a', { DesiredState: 'shutdown', Spec });
    const state = stateOf([newNode('a')], [stopping, ...tasks(1, { Spec })]);
    expect(run(state)).toMatchObject([{ kind: 'explain', err: 'no suitable node (insufficient resources on 1 node)' }]);
    state.observe([{ table: 'tasks', before: stopping }], NOW);
    expect(perNode(run(state))).toEqual({ a: 1 });
  });

  test('five failures within five minutes put a node last, for this version of the spec', () => {
    const failed = (at: number, version: number): TaskObject =>
      runningTask(`f${version}${at}`, 'a', {
        SpecVersion: version,
        Status: { Timestamp: new Date(NOW - at * 1000).toISOString(), State: 'failed' },
      });
    const nodes = ['a', 'b'].map((id) => newNode(id));
    const failures = (version: number, count: number): TaskObject[] =>
      Array.from({ length: count }, (_, at) => failed(at, version));
    expect(perNode(run(stateOf(nodes, [...failures(1, 5), ...tasks(4)])))).toEqual({ b: 4 });
    expect(perNode(run(stateOf(nodes, [...failures(1, 4), ...tasks(4)])))).toEqual({ a: 2, b: 2 });
    expect(perNode(run(stateOf(nodes, [...failures(2, 5), ...tasks(4)])))).toEqual({ a: 2, b: 2 });
    const later = stateOf(nodes, [...failures(1, 5), ...tasks(4)]);
    const slice = later.decide(200, NOW + 6 * 60_000);
    expect(perNode(slice)).toEqual({ a: 2, b: 2 });
  });

  test('failures are remembered from the store after a change of leader', async () => {
    const failed = [0, 1, 2, 3, 4].map((at) =>
      runningTask(`f${at}`, 'a', { Status: { Timestamp: new Date(NOW - 1000).toISOString(), State: 'rejected' } }),
    );
    const store = memoryStore({ clock: new VirtualClock(NOW) });
    await store.update((tx) => {
      for (const id of ['a', 'b']) tx.create('nodes', newNode(id));
      for (const task of [...failed, ...tasks(2)]) tx.create('tasks', task);
    });
    const state = new SchedulerState();
    store.view((tx) => state.load(tx, NOW));
    expect(perNode(run(state))).toEqual({ b: 2 });
  });

  test('placement preferences are nested, a missing label is one more bucket', () => {
    const node = (id: string, zone?: string, disk?: string): NodeObject =>
      newNode(id, {
        spec: { Labels: zone === undefined ? {} : { zone } },
        description: { Engine: { EngineVersion: '', Labels: disk === undefined ? {} : { disk } } },
      });
    const nodes = [
      node('a', 'x', 'ssd'),
      node('b', 'x', 'ssd'),
      node('c', 'x', 'hdd'),
      node('d', 'y', 'ssd'),
      node('e'),
    ];
    const Preferences = ['node.labels.zone', 'engine.labels.disk'].map((SpreadDescriptor) => ({
      Spread: { SpreadDescriptor },
    }));
    const state = stateOf(nodes, tasks(12, { Spec: { Placement: { Preferences } } }));
    expect(perNode(run(state))).toEqual({ a: 1, b: 1, c: 2, d: 4, e: 4 });
  });

  test('a full branch gives its share to the others', () => {
    const nodes = [
      newNode('a', { spec: { Labels: { zone: 'x' } } }),
      newNode('b', { spec: { Labels: { zone: 'y' } } }),
    ];
    const small = {
      ...nodes[0],
      Description: { ...newNode('a').Description, Resources: { NanoCPUs: 1e9, MemoryBytes: 0 } },
    };
    const Spec = {
      Resources: { Reservations: { NanoCPUs: 1e9 } },
      Placement: { Preferences: [{ Spread: { SpreadDescriptor: 'node.labels.zone' } }] },
    };
    const decisions = run(stateOf([small as NodeObject, nodes[1] as NodeObject], tasks(6, { Spec })));
    expect(perNode(decisions)).toEqual({ a: 1, b: 4 });
    expect(decisions.filter(({ kind }) => kind === 'explain')).toHaveLength(1);
  });

  test('named resources go to one task each', () => {
    const GenericResources = ['g0', 'g1'].map((Value) => ({ NamedResourceSpec: { Kind: 'gpu', Value } }));
    const node = newNode('a', { description: { Resources: { NanoCPUs: 0, MemoryBytes: 0, GenericResources } } });
    const wanted = { GenericResources: [{ DiscreteResourceSpec: { Kind: 'gpu', Value: 1 } }] };
    const decisions = run(stateOf([node], tasks(3, { Spec: { Resources: { Reservations: wanted } } })));
    const given = decisions.flatMap((one) => (one.kind === 'assign' ? one.generics : []));
    expect(given).toEqual(GenericResources);
    expect(decisions.at(-1)).toMatchObject({
      kind: 'explain',
      err: 'no suitable node (insufficient resources on 1 node)',
    });
  });
});

describe('SchedulerState: queue', () => {
  test('global tasks are checked on their own node only', () => {
    const state = stateOf(
      [newNode('a'), newNode('b', { state: 'down' })],
      [
        pendingTask('t1', { NodeID: 'a', Slot: 0 }),
        pendingTask('t2', { NodeID: 'b', Slot: 0 }),
        pendingTask('t3', { NodeID: 'gone', Slot: 0 }),
      ],
    );
    expect(run(state)).toMatchObject([
      { kind: 'assign', nodeId: 'a', message: 'scheduler confirmed task can run on preassigned node' },
      { kind: 'explain', err: '1 node not available for new tasks' },
    ]);
    state.observe(
      [
        { table: 'nodes', after: newNode('b') },
        { table: 'nodes', after: newNode('gone') },
      ],
      NOW,
    );
    expect(perNode(run(state))).toEqual({ b: 1, gone: 1 });
  });

  test('no node at all', () => {
    expect(run(stateOf([], tasks(1)))).toMatchObject([{ kind: 'explain', err: 'no suitable node' }]);
  });

  test.for([
    { id: 'wanted shutdown', desired: 'shutdown' as const, kinds: ['shutdown'] },
    { id: 'wanted removed', desired: 'remove' as const, kinds: ['shutdown'] },
    { id: 'wanted ready', desired: 'ready' as const, kinds: ['assign'] },
  ])('$id', ({ desired, kinds }) => {
    const state = stateOf([newNode('a')], tasks(1, { DesiredState: desired }));
    expect(run(state).map(({ kind }) => kind)).toEqual(kinds);
  });

  test('a failed write is undone and decided again; a stale one waits for its event', () => {
    const [task] = tasks(1, { Spec: { Placement: { MaxReplicas: 1 } } }) as [TaskObject];
    const state = stateOf([newNode('a')], [task]);
    for (const outcome of ['failed', 'stale'] as const) {
      const [decision] = state.decide(10, NOW);
      expect(decision).toMatchObject({ kind: 'assign', nodeId: 'a' });
      state.settle(decision as Decision, outcome);
    }
    expect(state.decide(10, NOW)).toEqual([]);
    state.observe([{ table: 'tasks', before: task, after: { ...task, Version: { Index: 2 } } }], NOW);
    expect(perNode(run(state))).toEqual({ a: 1 });
  });

  test('the event of an assignment counts it once, whenever it comes', () => {
    const Spec = { Resources: { Reservations: { NanoCPUs: 2e9 } } };
    const [first, second, third] = tasks(3, { Spec }) as [TaskObject, TaskObject, TaskObject];
    const state = stateOf([newNode('a')], [first, second]);
    const [one, two] = state.decide(10, NOW) as [Decision, Decision];
    state.observe([{ table: 'tasks', before: first, after: assigned(first, 'a') }], NOW);
    state.settle(one, 'written');
    state.settle(two, 'written');
    state.observe([{ table: 'tasks', before: second, after: assigned(second, 'a') }], NOW);
    state.observe([{ table: 'tasks', before: assigned(second, 'a') }], NOW);
    state.observe([{ table: 'tasks', after: third }], NOW);
    expect(perNode(run(state))).toEqual({ a: 1 });
  });

  test('a task that is removed while it is being written leaves nothing', () => {
    const [task] = tasks(1, { Spec: { Placement: { MaxReplicas: 1 } } }) as [TaskObject];
    const state = stateOf([newNode('a')], [task]);
    const [decision] = state.decide(10, NOW) as [Decision];
    state.observe([{ table: 'tasks', before: task }], NOW);
    state.settle(decision, 'stale');
    state.observe([{ table: 'tasks', after: pendingTask('new', { Spec: task.Spec }) }], NOW);
    expect(perNode(run(state))).toEqual({ a: 1 });
  });
});

describe('SchedulerState: work', () => {
  function counting(): { filters: Filter[]; checks: () => number } {
    let checks = 0;
    const [ready] = DEFAULT_FILTERS as readonly [Filter, ...Filter[]];
    const counted: Filter = {
      ...ready,
      prepare(task, context) {
        const check = ready.prepare(task, context);
        return (info) => {
          checks++;
          return check?.(info) ?? true;
        };
      },
    };
    return { filters: [counted, ...DEFAULT_FILTERS.slice(1)], checks: () => checks };
  }

  test('10,000 tasks on 1,000 nodes: one check a task, and an even spread', () => {
    const { filters, checks } = counting();
    const nodes = Array.from({ length: 1000 }, (_, at) => newNode(`n${at}`));
    const decisions = run(stateOf(nodes, tasks(10_000), filters));
    expect(new Set(Object.values(perNode(decisions)))).toEqual(new Set([10]));
    expect(checks()).toBe(10_000);
  });

  test('10,000 tasks that fit nowhere: two checks a node for all of them, and none until something changes', () => {
    const { filters, checks } = counting();
    const nodes = Array.from({ length: 1000 }, (_, at) => newNode(`n${at}`, { state: 'down' }));
    const state = stateOf(nodes, tasks(10_000), filters);
    const decisions = run(state);
    expect(decisions).toHaveLength(10_000);
    expect(decisions[0]).toMatchObject({ err: 'no suitable node (1000 nodes not available for new tasks)' });
    expect(checks()).toBe(2000);
    const events = decisions.map(({ task }) => ({
      table: 'tasks' as const,
      before: task,
      after: { ...task, Status: { ...task.Status, Err: decisions[0]?.kind === 'explain' ? decisions[0].err : '' } },
    }));
    state.observe(events, NOW);
    expect(run(state)).toEqual([]);
    expect(checks()).toBe(2000);
  });

  propertyTest.prop([
    fc.array(fc.record({ cpus: fc.integer({ min: 0, max: 4 }), zone: fc.constantFrom('x', 'y', 'z') }), {
      minLength: 1,
      maxLength: 6,
    }),
    fc.integer({ min: 0, max: 25 }),
    fc.integer({ min: 1, max: 7 }),
  ])('no node is overfull, nothing waits while there is room, whatever the slices', (shapes, count, limit) => {
    const nodes = shapes.map(({ cpus, zone }, at) =>
      newNode(`n${at}`, {
        spec: { Labels: { zone } },
        description: { Resources: { NanoCPUs: cpus * 1e9, MemoryBytes: 0 } },
      }),
    );
    const Spec = {
      Resources: { Reservations: { NanoCPUs: 1e9 } },
      Placement: { Preferences: [{ Spread: { SpreadDescriptor: 'node.labels.zone' } }] },
    };
    const decisions = run(stateOf(nodes, tasks(count, { Spec })), limit);
    const placed = perNode(decisions);
    for (const [at, { cpus }] of shapes.entries()) expect(placed[`n${at}`] ?? 0).toBeLessThanOrEqual(cpus);
    const room = shapes.reduce((sum, { cpus }) => sum + cpus, 0);
    expect(Object.values(placed).reduce((sum, one) => sum + one, 0)).toBe(Math.min(room, count));
    expect(decisions).toHaveLength(count);
  });
});
