export type MemberState = 'alive' | 'suspect' | 'dead' | 'left';

export interface Member {
  nodeId: string;
  host: string;
  port: number;
  incarnation: number;
  state: MemberState;
  /** clock.now() of the last change of state */
  sinceMs: number;
}

/** Who lives, as this node sees it: the other nodes that the manager named, without this node itself. */
export interface Members {
  all(): readonly Member[];
  get(nodeId: string): Member | undefined;
  /** Called after members changed state, with their IDs. Returns the unsubscribe. */
  onChange(listener: (nodeIds: ReadonlySet<string>) => void): () => void;
  /** This node's own health multiplier, 0 = healthy (Lifeguard). A node that doubts itself must not accuse others. */
  readonly awareness: number;
}
