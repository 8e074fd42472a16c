import type { ClusterObject } from '../../proto/objects/cluster.ts';
import type { AttachmentObject, NetworkObject } from '../../proto/objects/network.ts';
import type { NodeObject } from '../../proto/objects/node.ts';
import type { ConfigObject, SecretObject } from '../../proto/objects/secret.ts';
import type { ServiceObject } from '../../proto/objects/service.ts';
import type { TaskObject } from '../../proto/objects/task.ts';

/** Every table of the state store and the object it holds. */
export interface Tables {
  clusters: ClusterObject;
  nodes: NodeObject;
  services: ServiceObject;
  tasks: TaskObject;
  networks: NetworkObject;
  attachments: AttachmentObject;
  secrets: SecretObject;
  configs: ConfigObject;
}

export type TableName = keyof Tables;

export const TABLE_NAMES = [
  'clusters',
  'nodes',
  'services',
  'tasks',
  'networks',
  'attachments',
  'secrets',
  'configs',
] as const satisfies readonly TableName[];

/** Secondary indexes: a lookup by one of these costs the size of its answer. */
export interface Indexes {
  clusters: 'name';
  nodes: 'name' | 'role';
  services: 'name' | 'network' | 'secret' | 'config' | 'port';
  tasks: 'service' | 'node' | 'slot' | 'network';
  networks: 'name';
  attachments: 'node' | 'network' | 'reference';
  secrets: 'name';
  configs: 'name';
}
