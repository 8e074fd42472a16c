import type { AssignedNetwork } from './assigned-network.ts';
import { prefixLength } from './overlay/address.ts';
import type { NetworkFacts } from './overlay/overlay-state.ts';

const MTU_OPTION = 'com.docker.network.driver.mtu';
const MIN_MTU = 68;
const MAX_MTU = 65_485;

/** What the data path needs of an allocated network; undefined when it has no subnet. Only its first subnet is used. */
export function factsOf(network: AssignedNetwork): NetworkFacts | undefined {
  const vni = network.Allocated.VNIs[0];
  const subnet = network.Allocated.Subnets[0];
  if (vni === undefined || subnet === undefined) return undefined;
  const mtu = Number(network.Allocated.Options[MTU_OPTION] ?? network.Spec.DriverConfiguration?.Options?.[MTU_OPTION]);
  return {
    networkId: network.ID,
    vni,
    subnet: subnet.Subnet,
    gateway: `${subnet.Gateway}/${prefixLength(subnet.Subnet)}`,
    ...(Number.isInteger(mtu) && mtu >= MIN_MTU && mtu <= MAX_MTU ? { mtu } : {}),
  };
}
