import type { NetworkObject } from '../../proto/objects/network.ts';
import type { TaskObject } from '../../proto/objects/task.ts';

/** A swarm network as the manager assigned it to this node: always allocated. */
export type AssignedNetwork = NetworkObject & Required<Pick<NetworkObject, 'Allocated'>>;

/**
 * What this node must have of the swarm's networks, as last told by the manager, and kept on disk so that a restart
 * without a manager goes on. Written by the agent, read by the plugin, the overlay and the resolver.
 */
export interface AssignedState {
  networks: ReadonlyMap<string, AssignedNetwork>;
  /** Tasks of this node, by ID. */
  tasks: ReadonlyMap<string, TaskObject>;
}

/** Gives addresses to containers that are not tasks; the manager decides. */
export interface AddressLeases {
  /**
   * @param reference the same for every retry of one request.
   * @param ipv6 any address of the network's IPv6 subnets, and not of its IPv4 ones. An address that is given decides itself.
   * @returns CIDR. @throws WaggleError unavailable (no manager), out-of-range (none left), already-exists (taken).
   */
  allocate(networkId: string, address: string | undefined, reference: string, ipv6?: boolean): Promise<string>;
  /** Recorded on disk and retried until the manager knows; never fails. */
  release(networkId: string, address: string): void;
  /**
   * Resolves when the manager knows that the address was given back, so that whoever asks for it next gets it; and otherwise after a
   * few seconds, or at once when no manager can be reached. Never rejects.
   */
  untilReleased(networkId: string, address: string): Promise<void>;
}
