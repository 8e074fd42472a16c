import { type Clock, sleep } from '../../proto/runtime/clock.ts';
import { WaggleError } from '../../proto/runtime/errors.ts';
import type { Log } from '../../proto/runtime/log.ts';
import type { FileTable } from '../storage/file-table.ts';
import type { AssignedNetwork, AssignedState } from './assigned-network.ts';
import { DurableRows } from './durable-rows.ts';
import { factsOf } from './network-facts.ts';
import type { NetworkFacts } from './overlay/overlay-state.ts';

const RESOLVE_TIMEOUT_MS = 2_000;

/** An engine network of our driver, with the facts it was made with. */
export interface LocalNetwork {
  /** The engine's ID of it. */
  localNetworkId: string;
  facts: NetworkFacts;
}

export interface KnownNetworksModules {
  assigned: AssignedState;
  /** Asks for a network that is not assigned yet; undefined when there is none. */
  resolveNetwork(networkId: string): Promise<AssignedNetwork | undefined>;
  clock: Clock;
  log: Log;
}

/** The swarm networks this node can work with: those assigned to it, and those the engine has of us. */
export class KnownNetworks {
  readonly #rows: DurableRows<LocalNetwork>;
  readonly #modules: KnownNetworksModules;

  constructor(table: FileTable<LocalNetwork>, modules: KnownNetworksModules) {
    this.#rows = new DurableRows(table, modules);
    this.#modules = modules;
  }

  open(): Promise<void> {
    return this.#rows.open();
  }

  close(): void {
    this.#rows.close();
  }

  /** What was assigned wins over what the engine's network was made with; the latter outlives the assignment. */
  facts(networkId: string): NetworkFacts | undefined {
    const assigned = this.#modules.assigned.networks.get(networkId);
    if (assigned !== undefined) return factsOf(assigned);
    for (const row of this.#rows.values()) if (row.facts.networkId === networkId) return row.facts;
    return undefined;
  }

  /** As `facts`, but asks once more, for at most 2 s: assignments may be late. @throws WaggleError not-found */
  async resolve(networkId: string): Promise<NetworkFacts> {
    const known = this.facts(networkId);
    if (known !== undefined) return known;
    const expired = new AbortController();
    const timeout = sleep(this.#modules.clock, RESOLVE_TIMEOUT_MS, expired.signal).then(
      () => undefined,
      () => undefined,
    );
    const network = await Promise.race([this.#modules.resolveNetwork(networkId), timeout]).finally(() =>
      expired.abort(),
    );
    const facts = network === undefined ? this.facts(networkId) : factsOf(network);
    if (facts !== undefined) return facts;
    throw new WaggleError('not-found', `swarm network ${networkId} is not known on this node`);
  }

  local(localNetworkId: string): LocalNetwork | undefined {
    return this.#rows.get(localNetworkId);
  }

  locals(): LocalNetwork[] {
    return [...this.#rows.values()];
  }

  /** @throws what the file system says. */
  put(network: LocalNetwork): Promise<void> {
    return this.#rows.put(network.localNetworkId, network);
  }

  remove(localNetworkId: string): void {
    this.#rows.delete(localNetworkId);
  }
}
