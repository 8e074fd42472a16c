import type { AttachmentObject } from '../../proto/objects/network.ts';

/** An address of a container that is not a task, without prefix length. */
export interface HeldAddress {
  networkId: string;
  address: string;
}

/** Gives addresses to containers that are not tasks (manager/resourceapi implements it on the leader). */
export interface AttachmentAllocator {
  /**
   * @param address this very one, or undefined for any. @param reference the same one always gets the same answer.
   * @param ipv6 any of the network's IPv6 addresses, instead of its IPv4 ones.
   * @returns CIDR. @throws WaggleError not-found, permission-denied, out-of-range (none left), already-exists (taken).
   */
  allocate(
    nodeId: string,
    networkId: string,
    address: string | undefined,
    reference: string,
    ipv6: boolean,
  ): Promise<string>;
  /** An address that the node does not hold is no error. */
  release(nodeId: string, networkId: string, address: string): Promise<void>;
  /**
   * Releases those leases of the node that are not held and whose IDs are given up. @returns the others that are not held: they may be on
   * their way to the node, which alone can tell.
   */
  report(
    nodeId: string,
    held: readonly HeldAddress[],
    givenUp: readonly string[],
  ): Promise<readonly Pick<AttachmentObject, 'ID' | 'Reference'>[]>;
}
