import { contains, withoutPrefix } from './address.ts';
import type { NetworkFacts } from './overlay-state.ts';

/**
 * The network's other subnets are on the same link as a container's own; a family that it has no address of is out of its reach.
 * @param endpoint with addresses in CIDR. @returns CIDR.
 */
export function siblingSubnets(
  { subnets }: Pick<NetworkFacts, 'subnets'>,
  endpoint: { address: string; address6?: string },
): string[] {
  const own = [endpoint.address, ...(endpoint.address6 === undefined ? [] : [endpoint.address6])].map(withoutPrefix);
  const families = new Set(own.map((address) => address.includes(':')));
  return subnets
    .map(({ subnet }) => subnet)
    .filter((subnet) => families.has(subnet.includes(':')) && !own.some((address) => contains(subnet, address)));
}
