import type { Clock } from '../../proto/runtime/clock.ts';
import { WaggleError } from '../../proto/runtime/errors.ts';
import { firstFound } from '../../proto/runtime/first-found.ts';
import type { Log } from '../../proto/runtime/log.ts';
import type { FileTable } from '../storage/file-table.ts';
import type { AssignedState } from './assigned-network.ts';
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
  assigned: AssignedState & { onChange(listener: () => void): () => void };
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

  async open(): Promise<void> {
    await this.#rows.open();
    for (const row of this.locals()) {
      const facts = subnetsOf(row.facts);
      if (facts !== row.facts) await this.put({ ...row, facts });
    }
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

  /**
   * As `facts`, but waits up to 2 s: assignments may be late, and a user may create a network and use it at once.
   * @throws WaggleError not-found
   */
  async resolve(networkId: string): Promise<NetworkFacts> {
    const { assigned, clock } = this.#modules;
    const look = (): NetworkFacts | undefined => this.facts(networkId);
    const within = { waitMs: RESOLVE_TIMEOUT_MS, clock };
    const facts = look() ?? (await firstFound(within, look, (changed) => assigned.onChange(changed)));
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

/** Rows that were written when a network had one subnet only. */
function subnetsOf(facts: NetworkFacts & { subnet?: string; gateway?: string }): NetworkFacts {
  const { subnet, gateway, ...rest } = facts;
  return subnet === undefined || gateway === undefined ? facts : { ...rest, subnets: [{ subnet, gateway }] };
}
