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

/**
 * Tells the swarm of the endpoints that have joined, with their present names. Every change of an endpoint, of its
 * container or of the assignments has it said anew; the table passes over what it knows.
 */
export class EndpointPublisher {
  readonly #vtep: string;
  readonly #modules: EndpointPublisherModules;
  /** Endpoint to network of what stands in the table. */
  readonly #published = new Map<string, string>();
  readonly #unsubscribes: (() => void)[] = [];

  constructor(vtep: string, modules: EndpointPublisherModules) {
    this.#vtep = vtep;
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
    if (endpoint?.state !== 'joined' || facts === undefined) return this.#withdraw(endpointId);
    const { networkId, mac } = endpoint;
    const address = withoutPrefix(endpoint.address);
    const { names, services } = this.#modules.names.namesOf(endpoint);
    this.#published.set(endpointId, networkId);
    this.#modules.table.publish({
      networkId,
      endpointId,
      address,
      mac,
      vtep: this.#vtep,
      vni: facts.vni,
      names,
      services,
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
