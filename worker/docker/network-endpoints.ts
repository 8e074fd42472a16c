import type Docker from 'dockerode';
import { TASK_ID_LABEL } from './container-config.ts';

/** One container on one twin network. */
export interface ContainerEndpoint {
  endpointId: string;
  networkLocalId: string;
  containerId: string;
  /** Without the leading slash. */
  name: string;
  /** The first 12 characters of the container's ID, under which Docker's own resolver knows it too. */
  shortId: string;
  /** On this network, without the short ID. May be empty for some milliseconds around a start. */
  aliases: readonly string[];
  /** IPv4 without prefix length. */
  address: string;
  running: boolean;
  /** Of the task that the container is, if it is one. */
  taskId?: string;
}

type ListedContainer = Pick<Docker.ContainerInfo, 'Id' | 'Names' | 'State' | 'Labels'>;

const SHORT_ID_LENGTH = 12;

/**
 * Pure: the endpoints of one network. While a container is being connected the engine keys its endpoint by `ep-…`
 * and knows only the container's name, so the container is found by that.
 */
export function endpointsOf(
  network: Pick<Docker.NetworkInspectInfo, 'Id' | 'Containers'>,
  containers: readonly ListedContainer[],
  aliasesOf: (containerId: string) => readonly string[],
): ContainerEndpoint[] {
  const byId = new Map(containers.map((container) => [container.Id, container]));
  const byName = new Map(
    containers.flatMap((container) => namesOf(container).map((name) => [name, container] as const)),
  );
  return Object.entries(network.Containers ?? {}).flatMap(([key, endpoint]) => {
    const container = byId.get(key) ?? byName.get(endpoint.Name);
    if (container === undefined || endpoint.EndpointID === '') return [];
    const shortId = container.Id.slice(0, SHORT_ID_LENGTH);
    const taskId = container.Labels?.[TASK_ID_LABEL];
    return [
      {
        endpointId: endpoint.EndpointID,
        networkLocalId: network.Id,
        containerId: container.Id,
        name: endpoint.Name,
        shortId,
        aliases: aliasesOf(container.Id).filter((alias) => alias !== shortId),
        address: endpoint.IPv4Address.split('/')[0] ?? '',
        running: container.State === 'running',
        ...(taskId === undefined ? {} : { taskId }),
      },
    ];
  });
}

/** True when nobody needs to be told of the second. */
export function sameEndpoint(a: ContainerEndpoint, b: ContainerEndpoint): boolean {
  return (
    a.containerId === b.containerId &&
    a.networkLocalId === b.networkLocalId &&
    a.name === b.name &&
    a.address === b.address &&
    a.running === b.running &&
    a.taskId === b.taskId &&
    a.aliases.join(' ') === b.aliases.join(' ')
  );
}

function namesOf(container: ListedContainer): string[] {
  return container.Names.map((name) => name.replace(/^\//, ''));
}
