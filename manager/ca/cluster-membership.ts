import type { ClusterObject } from '../../proto/objects/cluster.ts';
import type { Membership } from '../../proto/rpc/gate.ts';
import type { Clock } from '../../proto/runtime/clock.ts';
import type { ReadTx, Store } from '../store/transaction.ts';

/** The swarm's one cluster object, once it is there. */
export function clusterOf(tx: ReadTx): ClusterObject | undefined {
  for (const cluster of tx.all('clusters')) return cluster;
  return undefined;
}

/** Answers the RPC gate from the state store. */
export class ClusterMembership implements Membership {
  readonly #store: Store;
  readonly #clock: Clock;

  constructor(modules: { store: Store; clock: Clock }) {
    this.#store = modules.store;
    this.#clock = modules.clock;
  }

  clusterId(): string | undefined {
    return this.#store.view(clusterOf)?.ID;
  }

  isRemoved(nodeId: string): boolean {
    const now = this.#clock.now();
    const removed = this.#store.view(clusterOf)?.RemovedNodes ?? [];
    return removed.some((node) => node.ID === nodeId && Date.parse(node.Until) > now);
  }
}
