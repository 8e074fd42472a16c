import { expect, it } from 'vitest';
import { noncompliantTasks } from '../../../../../manager/orchestrator/constraintenforcer/noncompliant-tasks.ts';
import type { NodeDescription } from '../../../../../proto/objects/node.ts';
import type { TaskObject } from '../../../../../proto/objects/task.ts';
import { sampleNode, sampleService, sampleTask } from '../sample-objects.ts';

function node(resources: NodeDescription['Resources'], Availability: 'active' | 'pause' | 'drain' = 'active') {
  return sampleNode({
    Spec: { Role: 'worker', Availability, Labels: { zone: 'a' } },
    Description: {
      Hostname: 'h',
      Platform: { Architecture: 'x86_64', OS: 'linux' },
      Resources: resources,
      Engine: { EngineVersion: '20' },
    },
  });
}

const small = { NanoCPUs: 2e9, MemoryBytes: 100 };
const reserve = (NanoCPUs: number, MemoryBytes = 0): Partial<TaskObject> => ({
  Spec: { Resources: { Reservations: { NanoCPUs, MemoryBytes } } },
});
const gpu = (Value: number): Partial<TaskObject> => ({
  GenericResources: [{ DiscreteResourceSpec: { Kind: 'gpu', Value } }],
});

it.each<{ id: string; on: ReturnType<typeof node>; tasks: Partial<TaskObject>[]; rejected: string[] }>([
  { id: 'all fits', on: node(small), tasks: [reserve(1e9), reserve(1e9, 100)], rejected: [] },
  {
    id: 'the youngest goes for want of CPU',
    on: node(small),
    tasks: [reserve(1e9), reserve(1e9), reserve(1)],
    rejected: ['t2'],
  },
  { id: 'memory', on: node(small), tasks: [reserve(0, 60), reserve(0, 60), reserve(0, 40)], rejected: ['t1'] },
  {
    id: 'what ended takes no room',
    on: node(small),
    tasks: [{ ...reserve(2e9), Status: { Timestamp: '', State: 'complete' } }, reserve(2e9)],
    rejected: [],
  },
  {
    id: 'what stops takes no room',
    on: node(small),
    tasks: [{ ...reserve(2e9), DesiredState: 'shutdown' }, reserve(2e9)],
    rejected: [],
  },
  {
    id: 'generic',
    on: node({ ...small, GenericResources: [{ DiscreteResourceSpec: { Kind: 'gpu', Value: 1 } }] }),
    tasks: [gpu(1), gpu(1)],
    rejected: ['t1'],
  },
  { id: 'generic kind gone', on: node(small), tasks: [gpu(1)], rejected: ['t0'] },
  { id: 'paused nodes are left alone', on: node(small, 'pause'), tasks: [reserve(9e9)], rejected: [] },
  { id: 'drained nodes are left alone', on: node(small, 'drain'), tasks: [reserve(9e9)], rejected: [] },
  {
    id: 'not assigned yet',
    on: node(small),
    tasks: [{ ...reserve(9e9), Status: { Timestamp: '', State: 'pending' } }],
    rejected: [],
  },
  { id: 'no description: resources unknown', on: sampleNode(), tasks: [reserve(9e9)], rejected: [] },
  {
    id: 'constraints of a task whose service is gone',
    on: node(small),
    tasks: [{ ServiceID: 'gone', Spec: { Placement: { Constraints: ['node.labels.zone==b'] } } }],
    rejected: ['t0'],
  },
  {
    id: 'the constraints of the service count, not those of the task',
    on: node(small),
    tasks: [{ Spec: { Placement: { Constraints: ['node.labels.zone==b'] } } }],
    rejected: [],
  },
])('$id', ({ on, tasks, rejected }) => {
  const service = sampleService();
  const rows = tasks.map((change, age) => sampleTask(`t${age}`, age, change));
  const found = noncompliantTasks(on, rows.toReversed(), (id) => (id === 's1' ? service : undefined));
  expect(found.map((task) => task.ID)).toEqual(rejected);
});

it('a constraint of the service that the node misses', () => {
  const Placement = { Constraints: ['node.labels.zone==b'] };
  const service = sampleService({ Spec: { Name: 'web', TaskTemplate: { Placement } } });
  expect(noncompliantTasks(node(small), [sampleTask('t0', 0)], () => service)).toHaveLength(1);
});
