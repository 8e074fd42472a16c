import { dataPathOf } from '../../proto/objects/data-path.ts';
import { isEncrypted } from '../../proto/objects/tunnel.ts';
import type { AssignedNetwork } from './assigned-network.ts';
import { contains, prefixLength } from './overlay/address.ts';
import type { NetworkFacts, NetworkSubnet } from './overlay/overlay-state.ts';

const MTU_OPTION = 'com.docker.network.driver.mtu';
const MIN_MTU = 68;
const MAX_MTU = 65_485;

/** What the data path needs of an allocated network; undefined when it has no IPv4 subnet. Of its VNIs the first is used, for all subnets. */
export function factsOf(network: AssignedNetwork): NetworkFacts | undefined {
  const vni = network.Allocated.VNIs[0];
  const subnets = network.Allocated.Subnets.map(({ Subnet, Gateway }) => ({
    subnet: Subnet,
    gateway: `${Gateway}/${prefixLength(Subnet)}`,
  })).toSorted(ipv4First);
  if (vni === undefined || subnets[0] === undefined || subnets[0].subnet.includes(':')) return undefined;
  const options = { ...network.Spec.DriverConfiguration?.Options, ...network.Allocated.Options };
  const mtu = Number(options[MTU_OPTION]);
  return {
    networkId: network.ID,
    vni,
    subnets,
    // The two cannot be asked for together; should they be, nothing goes in the clear.
    ...(isEncrypted(network) ? { dataPath: 'vxlan', encrypted: true } : { dataPath: dataPathOf(options) ?? 'vxlan' }),
    ...(Number.isInteger(mtu) && mtu >= MIN_MTU && mtu <= MAX_MTU ? { mtu } : {}),
  };
}

/** The network's subnet that the address, without prefix length, lies in. */
export function subnetOf({ subnets }: NetworkFacts, address: string): NetworkSubnet | undefined {
  return subnets.find(({ subnet }) => contains(subnet, address));
}

function ipv4First(a: NetworkSubnet, b: NetworkSubnet): number {
  return Number(a.subnet.includes(':')) - Number(b.subnet.includes(':'));
}
