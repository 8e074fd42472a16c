/** A container's network namespace with the overlay networks that it is on, in the order in which it joined them. */
export interface Sandbox {
  /** Path as the engine gives it at Join; need not exist yet (20.10 mounts it only when the container starts). */
  sandboxKey: string;
  networks: readonly SandboxNetwork[];
  endpointIds: readonly string[];
}

export interface SandboxNetwork {
  /** Of the swarm, not of the engine. */
  networkId: string;
  name: string;
}

/** Who makes names resolve inside sandboxes. The network part tells which sandboxes there are. */
export interface Sandboxes {
  /**
   * Adds a sandbox or changes its networks; the same again is no change. Resolves when names resolve inside or, for a
   * path that does not exist yet, when it is being watched: Join must not be answered before. Never rejects, and takes
   * no longer than 2 s: what is not done by then is retried until it is, or until `remove`.
   */
  put(sandbox: Sandbox): Promise<void>;
  /** Everything for it is gone afterwards, in the namespace too if that still exists. Unknown keys are fine. */
  remove(sandboxKey: string): Promise<void>;
}
