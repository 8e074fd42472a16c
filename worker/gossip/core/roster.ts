import type { Peer } from './message.ts';

/** The nodes that the manager named, this one included or not. Never changes, so that it can be shared. */
export class Roster {
  readonly peers: readonly Peer[];
  readonly #byId: ReadonlyMap<string, Peer>;

  constructor(peers: readonly Peer[]) {
    this.#byId = new Map(peers.map((peer) => [peer.nodeId, peer]));
    this.peers = [...this.#byId.values()];
  }

  get(nodeId: string): Peer | undefined {
    return this.#byId.get(nodeId);
  }

  has(nodeId: string): boolean {
    return this.#byId.has(nodeId);
  }
}
