import type { EndpointTable } from '../gossip/endpoint-table.ts';
import type { ContainerNames, EndpointNames } from './endpoint-names.ts';
import type { Endpoints } from './endpoints.ts';
import { withoutPrefix } from './overlay/address.ts';
import type { NetworkFacts } from './overlay/overlay-state.ts';

export interface EndpointPublisherModules {
  endpoints: Endpoints;
  names: EndpointNames;
  containers: ContainerNames;
  table: EndpointTable;
  facts(networkId: string): NetworkFacts | undefined;
  /** Assigned networks or tasks have changed. Returns the unsubscribe. */
  onAssigned: (listener: () => void) => () => void;
}

/** Where other hosts send this host's VXLAN packets. */
export interface Vteps {
  plain: string;
  /** Within the tunnel; undefined until it is known. */
  encrypted(): string | undefined;
}

/**
 * Tells the swarm of the endpoints that have joined, with their present names. Every change of an endpoint, of its
 * container or of the assignments has it said anew; the table passes over what it knows.
 */
export class EndpointPublisher {
  readonly #vteps: Vteps;
  readonly #modules: EndpointPublisherModules;
  /** Endpoint to network of what stands in the table. */
  readonly #published = new Map<string, string>();
  readonly #unsubscribes: (() => void)[] = [];

  constructor(vteps: Vteps, modules: EndpointPublisherModules) {
    this.#vteps = vteps;
    this.#modules = modules;
  }

  start(): void {
    const { endpoints, containers, onAssigned } = this.#modules;
    this.#unsubscribes.push(
      endpoints.onChange((_, endpointId) => this.#publish(endpointId)),
      containers.onChange((endpointIds) => {
        for (const endpointId of endpointIds) this.#publish(endpointId);
      }),
      onAssigned(() => this.publishAll()),
    );
    this.publishAll();
  }

  /** What was published stays: the containers go on. */
  stop(): void {
    for (const unsubscribe of this.#unsubscribes.splice(0)) unsubscribe();
  }

  publishAll(): void {
    for (const endpointId of new Set([...this.#published.keys(), ...this.#modules.endpoints.all().map(idOf)])) {
      this.#publish(endpointId);
    }
  }

  #publish(endpointId: string): void {
    const endpoint = this.#modules.endpoints.get(endpointId);
    const facts = endpoint === undefined ? undefined : this.#modules.facts(endpoint.networkId);
    const vtep = facts?.encrypted === true ? this.#vteps.encrypted() : this.#vteps.plain;
    if (endpoint?.state !== 'joined' || facts === undefined || vtep === undefined) return this.#withdraw(endpointId);
    const { networkId, mac } = endpoint;
    const { address6, claimedAt } = endpoint;
    const { names, services } = this.#modules.names.namesOf(endpoint);
    this.#published.set(endpointId, networkId);
    this.#modules.table.publish({
      networkId,
      endpointId,
      address: withoutPrefix(endpoint.address),
      ...(address6 === undefined ? {} : { address6: withoutPrefix(address6) }),
      mac,
      vtep,
      vni: facts.vni,
      names,
      services,
      ...(claimedAt === undefined ? {} : { claimedAt }),
    });
  }

  #withdraw(endpointId: string): void {
    const networkId = this.#published.get(endpointId);
    if (networkId === undefined) return;
    this.#published.delete(endpointId);
    this.#modules.table.withdraw(networkId, endpointId);
  }
}

function idOf(endpoint: { endpointId: string }): string {
  return endpoint.endpointId;
}
