/** A node's state by gossip (SWIM): nobody reaches a suspect, which may yet object; the dead have not objected in time. */
export type WitnessState = 'alive' | 'suspect' | 'dead' | 'left';

/**
 * What a TCP connection to a port of the node's came to. `refused`: the host is up and nobody listens, so its daemon is away and its containers run on.
 * `accepted` says less: a host that hangs may still accept. `silent`: no answer in time, or the network says that there is no way.
 */
export type HostAnswer = 'refused' | 'accepted' | 'silent';

/** The second witness of who lives, beside the sessions: what this manager's own worker has seen by gossip. */
export interface NodeWitness {
  /** `sinceMs`: clock.now() of the last change of state. Undefined for a node that gossip does not know, and for this one. */
  get(nodeId: string): { state: WitnessState; sinceMs: number } | undefined;
  /** Called after nodes changed state. Returns the unsubscribe. */
  onChange(listener: (nodeIds: ReadonlySet<string>) => void): () => void;
  /** How much this node doubts itself, 0 = healthy (Lifeguard). One that does must not accuse others. */
  readonly awareness: number;
  /** @param address host:port. Never rejects; answers within half a second. */
  askHost(address: string): Promise<HostAnswer>;
}
