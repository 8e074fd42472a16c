import type { NodeObject } from '../../../../proto/objects/node.ts';
import type { ServiceObject } from '../../../../proto/objects/service.ts';
import type { TaskObject } from '../../../../proto/objects/task.ts';

const META = { Version: { Index: 1 }, CreatedAt: '2026-01-01T00:00:00.000Z', UpdatedAt: '2026-01-01T00:00:00.000Z' };

export function sampleNode(change: Partial<NodeObject> = {}): NodeObject {
  return {
    ID: 'n1',
    ...META,
    Spec: { Role: 'worker', Availability: 'active' },
    Status: { State: 'ready' },
    CertificateRole: 'worker',
    ...change,
  };
}

export function sampleService(change: Partial<ServiceObject> = {}): ServiceObject {
  const Spec = { Name: 'web', TaskTemplate: { ContainerSpec: { Image: 'app:1' } } };
  return { ID: 's1', ...META, Spec, SpecVersion: 1, ...change };
}

/** @param age higher is younger. */
export function sampleTask(id: string, age: number, change: Partial<TaskObject> = {}): TaskObject {
  return {
    ID: id,
    ...META,
    CreatedAt: new Date(Date.parse(META.CreatedAt) + age * 1_000).toISOString(),
    Spec: { ContainerSpec: { Image: 'app:1' } },
    ServiceID: 's1',
    Slot: 1,
    NodeID: 'n1',
    Status: { Timestamp: META.CreatedAt, State: 'running' },
    DesiredState: 'running',
    SpecVersion: 1,
    ServiceAnnotations: { Name: 'web' },
    ...change,
  };
}
