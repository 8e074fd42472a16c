/** A container's connection to a swarm network on this host, as the engine asked for it. Kept on disk. */
export interface LocalNetworkEndpoint {
  /** The engine's ID of it: 64 hex digits. */
  endpointId: string;
  /** ID of the engine's own network. */
  localNetworkId: string;
  /** ID in the swarm. */
  networkId: string;
  /** CIDR. */
  address: string;
  /** IPv6, CIDR, on a network that has IPv6. */
  address6?: string;
  mac: string;
  /** See EndpointRecord; absent for one that was found in the engine. */
  claimedAt?: number;
  /** The engine's name for the container's network namespace; empty before Join, and its file may appear only later. */
  sandboxKey: string;
  /** `created` has no link yet; `left` has given its link back and is about to be deleted. */
  state: 'created' | 'joined' | 'left';
  /** Reference under which the manager leased the address; absent for the address of a task. */
  leaseReference?: string;
}

/** True while it has a link in the overlay. */
export function isConnected(endpoint: LocalNetworkEndpoint): boolean {
  return endpoint.state !== 'created';
}
