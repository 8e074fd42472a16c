import { expect, it } from 'vitest';
import { isTaskDirty, isTaskUpToDate } from '../../../../../manager/orchestrator/task/task-dirty.ts';
import type { EndpointSpec } from '../../../../../proto/objects/endpoint.ts';
import type { TaskSpec } from '../../../../../proto/objects/task.ts';
import { sampleNode, sampleService, sampleTask } from '../sample-objects.ts';

const node = sampleNode({ Spec: { Role: 'worker', Availability: 'active', Labels: { zone: 'a' } } });
const image = { Image: 'app:1' };

interface Case {
  id: string;
  had: TaskSpec;
  has: TaskSpec;
  dirty: boolean;
  ports?: [EndpointSpec | undefined, EndpointSpec | undefined];
}

const zone = (value: string): TaskSpec => ({ Placement: { Constraints: [`node.labels.zone==${value}`] } });

it.each<Case>([
  { id: 'same', had: { ContainerSpec: image }, has: { ContainerSpec: image }, dirty: false },
  { id: 'image', had: { ContainerSpec: image }, has: { ContainerSpec: { Image: 'app:2' } }, dirty: true },
  { id: 'force', had: { ForceUpdate: 1 }, has: { ForceUpdate: 2 }, dirty: true },
  { id: 'zero force is none', had: {}, has: { ForceUpdate: 0 }, dirty: false },
  { id: 'null is none', had: { Networks: null }, has: {}, dirty: false },
  { id: 'empty is none', had: {}, has: { Networks: [], Resources: { Limits: {} }, Placement: {} }, dirty: false },
  {
    id: 'key order',
    had: { ContainerSpec: { Image: 'a', TTY: true } },
    has: { ContainerSpec: { TTY: true, Image: 'a' } },
    dirty: false,
  },
  { id: 'no delay is not the default', had: { RestartPolicy: { Delay: 0 } }, has: { RestartPolicy: {} }, dirty: true },
  {
    id: 'no init is not the default',
    had: { ContainerSpec: { Init: false } },
    has: { ContainerSpec: {} },
    dirty: true,
  },
  { id: 'no grace is not the default', had: { ContainerSpec: { StopGracePeriod: 0 } }, has: {}, dirty: true },
  { id: 'empty label', had: { ContainerSpec: { Labels: { a: '' } } }, has: { ContainerSpec: {} }, dirty: true },
  {
    id: 'empty label of another name',
    had: { ContainerSpec: { Labels: { a: '' } } },
    has: { ContainerSpec: { Labels: { b: '' } } },
    dirty: true,
  },
  {
    id: 'order of args',
    had: { ContainerSpec: { Args: ['a', 'b'] } },
    has: { ContainerSpec: { Args: ['b', 'a'] } },
    dirty: true,
  },
  { id: 'empty arg', had: { ContainerSpec: { Args: [''] } }, has: { ContainerSpec: {} }, dirty: true },
  { id: 'placement that the node meets', had: {}, has: zone('a'), dirty: false },
  { id: 'placement that the node misses', had: {}, has: zone('b'), dirty: true },
  { id: 'malformed placement', had: {}, has: { Placement: { Constraints: ['?'] } }, dirty: true },
  { id: 'placement and more', had: { ForceUpdate: 1 }, has: { ...zone('a'), ForceUpdate: 2 }, dirty: true },
  {
    id: 'endpoint',
    had: {},
    has: {},
    ports: [{ Ports: [{ TargetPort: 80 }] }, { Ports: [{ TargetPort: 81 }] }],
    dirty: true,
  },
  { id: 'same endpoint', had: {}, has: {}, ports: [{ Mode: 'vip' }, { Mode: 'vip', Ports: null }], dirty: false },
  { id: 'first endpoint', had: {}, has: {}, ports: [undefined, { Mode: 'dnsrr' }], dirty: true },
  {
    id: 'placement met, but the endpoint changed',
    had: {},
    has: zone('a'),
    ports: [{}, { Mode: 'dnsrr' }],
    dirty: true,
  },
])('$id: dirty=$dirty', ({ had, has, dirty, ports: [before, after] = [undefined, undefined] }) => {
  const Spec = { Name: 'web', TaskTemplate: has, ...(after === undefined ? {} : { EndpointSpec: after }) };
  const service = sampleService({ SpecVersion: 2, Spec });
  const task = sampleTask('t1', 0, { Spec: had, Endpoint: before === undefined ? {} : { Spec: before } });
  expect(isTaskDirty(service, task, node)).toBe(dirty);
  expect(isTaskUpToDate(service, task, node)).toBe(!dirty);
  expect(isTaskDirty({ ...service, SpecVersion: 1 }, task, node)).toBe(false);
});

it('a task without a node does not meet new constraints', () => {
  const service = sampleService({ SpecVersion: 2, Spec: { Name: 'web', TaskTemplate: zone('a') } });
  expect(isTaskDirty(service, sampleTask('t1', 0, { Spec: {}, NodeID: '' }), undefined)).toBe(true);
});

it('credentials are no part of the spec', () => {
  const service = sampleService({ SpecVersion: 2, RegistryAuth: 'new' });
  expect(isTaskDirty(service, sampleTask('t1', 0, { RegistryAuth: 'old' }), node)).toBe(false);
});
