import type { Json } from '../../proto/objects/meta.ts';
import type { PortConfig } from '../../proto/objects/endpoint.ts';
import type { NetworkAttachmentConfig, TaskObject, TaskSpec } from '../../proto/objects/task.ts';
import type { Indexes, TableName, Tables } from './tables.ts';

/** The keys under which an index lists a row; none when the row is not in it. */
export type IndexKeys<T extends TableName> = (row: Tables[T]) => readonly string[];

/** Every secondary index and how it reads its keys off a row. */
export const INDEX_KEYS: { readonly [T in TableName]: { readonly [I in Indexes[T]]: IndexKeys<T> } } = {
  clusters: { name: (row) => [nameKey(row.Spec.Name)] },
  nodes: {
    name: (row) => (row.Description === undefined ? [] : [nameKey(row.Description.Hostname)]),
    role: (row) => [row.Spec.Role],
  },
  services: {
    name: (row) => [nameKey(row.Spec.Name)],
    network: (row) => [...targets(row.Spec.TaskTemplate.Networks), ...targets(row.Spec.Networks)],
    secret: (row) => references(row.Spec.TaskTemplate, 'Secrets', 'SecretID'),
    config: (row) => references(row.Spec.TaskTemplate, 'Configs', 'ConfigID'),
    port: (row) => [...(row.Spec.EndpointSpec?.Ports ?? []), ...(row.Endpoint?.Ports ?? [])].flatMap(publishedKeys),
  },
  tasks: {
    service: (row) => present(row.ServiceID),
    node: (row) => present(row.NodeID),
    slot: (row) => (row.ServiceID === '' ? [] : [slotKey(row)]),
    network: (row) => [
      ...targets(row.Spec.Networks),
      ...(row.NetworksAttachments ?? []).map((attachment) => attachment.NetworkID),
    ],
  },
  networks: { name: (row) => [nameKey(row.Spec.Name)] },
  attachments: {
    node: (row) => present(row.NodeID),
    network: (row) => present(row.NetworkID),
    reference: (row) => present(row.Reference),
  },
  secrets: { name: (row) => [nameKey(row.Spec.Name)] },
  configs: { name: (row) => [nameKey(row.Spec.Name)] },
};

/** Tables in which no two rows may have the same name. Hostnames of nodes may repeat. */
export const UNIQUE_NAME_TABLES: ReadonlySet<TableName> = new Set([
  'clusters',
  'services',
  'networks',
  'secrets',
  'configs',
]);

/** Names are compared without regard to case. */
export function nameKey(name: string): string {
  return name.toLowerCase();
}

/** Key of the index `slot`: `serviceID/slot`, or `serviceID//nodeID` for tasks of a global service. */
export function slotKey(task: Pick<TaskObject, 'ServiceID' | 'Slot' | 'NodeID'>): string {
  return task.Slot === 0 ? `${task.ServiceID}//${task.NodeID}` : `${task.ServiceID}/${task.Slot}`;
}

/** Key of the index `port`: `8080/tcp`; none for a port that is not published under a number. */
export function publishedKeys(port: PortConfig): string[] {
  return (port.PublishedPort ?? 0) === 0 ? [] : [`${port.PublishedPort}/${port.Protocol ?? 'tcp'}`];
}

function present(key: string): readonly string[] {
  return key === '' ? [] : [key];
}

function targets(networks: readonly NetworkAttachmentConfig[] | null | undefined): string[] {
  return (networks ?? []).flatMap((network) => (network.Target === undefined ? [] : [network.Target]));
}

function references(template: TaskSpec, list: 'Secrets' | 'Configs', field: string): string[] {
  const entries: readonly { [key: string]: Json }[] = template.ContainerSpec?.[list] ?? [];
  return entries.flatMap((entry) => (typeof entry[field] === 'string' ? [entry[field]] : []));
}
