import { taskName } from '../../proto/objects/naming.ts';
import type { TaskObject } from '../../proto/objects/task.ts';
import { compareTaskStates, isTerminal } from '../../proto/objects/task-state.ts';
import type { AssignedState } from './assigned-network.ts';
import type { LocalNetworkEndpoint } from './local-endpoint.ts';
import { withoutPrefix } from './overlay/address.ts';

/** The container behind an endpoint, as the engine tells. */
export interface ContainerName {
  containerId: string;
  /** Without the leading slash. */
  name: string;
  shortId: string;
  /** On the endpoint's network. */
  aliases: readonly string[];
  running: boolean;
}

/** Who is behind each endpoint of this node; implemented over the engine's API. */
export interface ContainerNames {
  get(endpointId: string): ContainerName | undefined;
  onChange(listener: (endpointIds: ReadonlySet<string>) => void): () => void;
  /** Looks at the network now. Never waited for in a plugin's handler. */
  refresh(localNetworkId: string): Promise<void>;
}

export interface PublishedNames {
  /** Names of exactly this container. */
  names: readonly string[];
  /** Names it shares with the other tasks of its service. */
  services: readonly string[];
}

export interface EndpointNamesModules {
  assigned: AssignedState;
  containers: ContainerNames;
  /** True once the task may be given traffic: it runs, and is healthy if it can tell. */
  isReady(task: TaskObject): boolean;
}

/**
 * Under which names an endpoint is found. A task's container has its own names at once, and the service's only when it
 * is ready, so that no client is sent to a task that is still starting (SWARM-BEHAVIOUR 3.6, "DNS/VIP only then").
 * The aliases that a service gives on a network are shared by its tasks, whatever the engine lists them as.
 */
export class EndpointNames {
  readonly #modules: EndpointNamesModules;

  constructor(modules: EndpointNamesModules) {
    this.#modules = modules;
  }

  namesOf(endpoint: LocalNetworkEndpoint): PublishedNames {
    const container = this.#modules.containers.get(endpoint.endpointId);
    const task = this.#taskOf(endpoint);
    const own = container === undefined ? [] : [container.name, container.shortId, ...container.aliases];
    if (task === undefined) return { names: distinct(own), services: [] };
    const shared = sharedNames(task, endpoint.networkId);
    const names = distinct([...own, taskName(task)]).filter((name) => !shared.includes(name));
    const ready = container?.running === true && this.#modules.isReady(task);
    return { names, services: ready ? shared : [] };
  }

  /** The assigned task that has this address; of several the one that still runs, then the newest. */
  #taskOf(endpoint: LocalNetworkEndpoint): TaskObject | undefined {
    const tasks = [...this.#modules.assigned.tasks.values()].filter((task) => hasAddress(task, endpoint));
    return tasks.toSorted(
      (a, b) =>
        Number(isTerminal(a.DesiredState)) - Number(isTerminal(b.DesiredState)) ||
        b.CreatedAt.localeCompare(a.CreatedAt),
    )[0];
  }
}

/** True when the address is one of the task's attachments on the network. Addresses may be CIDR. */
export function hasAddress(task: TaskObject, at: { networkId: string; address: string }): boolean {
  const wanted = withoutPrefix(at.address);
  return (task.NetworksAttachments ?? []).some(
    ({ NetworkID, Addresses }) =>
      NetworkID === at.networkId && Addresses.some((address) => withoutPrefix(address) === wanted),
  );
}

/** The default for `isReady`: the agent has reported the task as running, and it is meant to go on. */
export function isRunningTask(task: TaskObject): boolean {
  return task.Status.State === 'running' && compareTaskStates(task.DesiredState, 'running') <= 0;
}

function sharedNames(task: TaskObject, networkId: string): string[] {
  const service = task.ServiceAnnotations.Name;
  const attachment = task.NetworksAttachments?.find(({ NetworkID }) => NetworkID === networkId);
  const names = [service, ...(attachment?.Aliases ?? [])];
  return distinct([...names, ...names.map((name) => `tasks.${name}`)]);
}

function distinct(names: readonly string[]): string[] {
  return [...new Set(names.filter((name) => name !== ''))];
}
