import type { NodeObject } from '../../../../proto/objects/node.ts';
import type { TaskObject } from '../../../../proto/objects/task.ts';

const META = { Version: { Index: 1 }, CreatedAt: '', UpdatedAt: '' };

export interface NodeFields {
  spec?: Partial<NodeObject['Spec']>;
  state?: NodeObject['Status']['State'];
  description?: Partial<NonNullable<NodeObject['Description']>>;
}

/** A ready node with 4 CPUs and 8 GiB. */
export function newNode(id: string, fields: NodeFields = {}): NodeObject {
  return {
    ...META,
    ID: id,
    Spec: { Role: 'worker', Availability: 'active', ...fields.spec },
    Description: {
      Hostname: id,
      Platform: { Architecture: 'x86_64', OS: 'linux' },
      Resources: { NanoCPUs: 4e9, MemoryBytes: 8 * 2 ** 30 },
      Engine: { EngineVersion: '20.10.24' },
      ...fields.description,
    },
    Status: { State: fields.state ?? 'ready' },
    CertificateRole: 'worker',
  };
}

/** A pending task of service `web`. */
export function pendingTask(id: string, fields: Partial<TaskObject> = {}): TaskObject {
  return {
    ...META,
    ID: id,
    Spec: {},
    ServiceID: 'web',
    Slot: 1,
    NodeID: '',
    Status: { Timestamp: '2024-01-01T00:00:00Z', State: 'pending', Message: 'pending task scheduling' },
    DesiredState: 'running',
    SpecVersion: 1,
    ServiceAnnotations: { Name: 'web' },
    ...fields,
  };
}

export function runningTask(id: string, nodeId: string, fields: Partial<TaskObject> = {}): TaskObject {
  return pendingTask(id, {
    NodeID: nodeId,
    Status: { Timestamp: '2024-01-01T00:00:00Z', State: 'running' },
    ...fields,
  });
}
