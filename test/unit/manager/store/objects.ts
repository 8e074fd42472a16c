import type { NetworkObject } from '../../../../proto/objects/network.ts';
import type { NodeObject } from '../../../../proto/objects/node.ts';
import type { ServiceObject, ServiceSpec } from '../../../../proto/objects/service.ts';
import type { TaskState } from '../../../../proto/objects/task-state.ts';
import type { NewObject } from '../../../../manager/store/transaction.ts';
import type { TaskObject } from '../../../../proto/objects/task.ts';

/** Small valid objects for tests of the store and of what stands on it. */

export function newService(id: string, name: string, spec: Partial<ServiceSpec> = {}): NewObject<'services'> {
  return { ID: id, Spec: { Name: name, TaskTemplate: {}, ...spec }, SpecVersion: 1 };
}

export function newTask(id: string, fields: Partial<TaskObject> = {}): NewObject<'tasks'> {
  return {
    ID: id,
    Spec: {},
    ServiceID: '',
    Slot: 0,
    NodeID: '',
    Status: { Timestamp: '', State: 'new' },
    DesiredState: 'running',
    SpecVersion: 1,
    ServiceAnnotations: { Name: '' },
    ...fields,
  };
}

export function newTaskIn(id: string, state: TaskState, fields: Partial<TaskObject> = {}): NewObject<'tasks'> {
  return newTask(id, { Status: { Timestamp: '', State: state }, ...fields });
}

export function newNode(id: string, hostname: string, fields: Partial<NodeObject> = {}): NewObject<'nodes'> {
  return {
    ID: id,
    Spec: { Role: 'worker', Availability: 'active' },
    Description: {
      Hostname: hostname,
      Platform: { Architecture: 'x86_64', OS: 'linux' },
      Resources: { NanoCPUs: 2e9, MemoryBytes: 2 ** 30 },
      Engine: { EngineVersion: '20.10.24' },
    },
    Status: { State: 'ready', Addr: '10.9.0.1' },
    CertificateRole: 'worker',
    ...fields,
  };
}

export function newNetwork(id: string, name: string, fields: Partial<NetworkObject> = {}): NewObject<'networks'> {
  return { ID: id, Spec: { Name: name, DriverConfiguration: { Name: 'overlay' } }, ...fields };
}

export function withSpec(service: ServiceObject, spec: Partial<ServiceSpec>): ServiceObject {
  return { ...service, Spec: { ...service.Spec, ...spec } };
}
