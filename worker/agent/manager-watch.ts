/** What gossip knows of the managers: one that is missed is asked at once whether it is there, and tried last. */
export interface ManagerWatch {
  /** True for a node that gossip suspects, or takes for dead or gone. */
  isMissed(nodeId: string): boolean;
  /** Called after nodes changed state. Returns the unsubscribe. */
  onChange(listener: (nodeIds: ReadonlySet<string>) => void): () => void;
}
