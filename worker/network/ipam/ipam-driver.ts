import { compareTaskStates, isTerminal } from '../../../proto/objects/task-state.ts';
import { WaggleError } from '../../../proto/runtime/errors.ts';
import type { AssignedState } from '../assigned-network.ts';
import { hasAddress } from '../endpoint-names.ts';
import type { Endpoints } from '../endpoints.ts';
import type { KnownNetworks } from '../known-networks.ts';
import { isConnected } from '../local-endpoint.ts';
import { subnetOf } from '../network-facts.ts';
import { prefixLength, withoutPrefix } from '../overlay/address.ts';
import type { NetworkFacts, NetworkSubnet } from '../overlay/overlay-state.ts';
import type { PluginBackend } from '../plugin/plugin-protocol.ts';
import type { LeaseBook } from './lease-book.ts';

const NETWORK_OPTION = 'waggle.network';
const GATEWAY_REQUEST = 'com.docker.network.gateway';

export interface IpamDriverModules {
  networks: KnownNetworks;
  endpoints: Endpoints;
  assigned: AssignedState;
  leases: LeaseBook;
}

export type IpamHandlers = Pick<
  PluginBackend,
  'IpamDriver.RequestPool' | 'IpamDriver.ReleasePool' | 'IpamDriver.RequestAddress' | 'IpamDriver.ReleaseAddress'
>;

/**
 * The engine's IPAM, with the swarm's allocator behind it. A pool is a subnet of a swarm network, and its ID is `network ID/CIDR`
 * (for engine networks made by earlier versions, the network's ID alone). The engine asks the first pool of a family for any
 * address and gives up when that is used up, so it gets one out of whichever subnet of the family has room.
 * The gateway's and the tasks' addresses are settled already; every other one is leased from the manager.
 */
export function ipamHandlers(modules: IpamDriverModules): IpamHandlers {
  return {
    'IpamDriver.RequestPool': async ({ Pool, Options, V6 }) => {
      const networkId = networkOption(Options);
      const { subnets } = await modules.networks.resolve(networkId);
      const ofFamily = subnets.filter(({ subnet }) => subnet.includes(':') === (V6 ?? false));
      const found = Pool === '' ? ofFamily[0] : ofFamily.find(({ subnet }) => subnet === Pool);
      if (found !== undefined) return { PoolID: `${networkId}/${found.subnet}`, Pool: found.subnet, Data: {} };
      const known = subnets.map(({ subnet }) => subnet).join(', ');
      throw new WaggleError('invalid-argument', `swarm network ${networkId} has the subnets ${known}, not ${Pool}`);
    },
    'IpamDriver.ReleasePool': () => ({}),
    'IpamDriver.RequestAddress': async ({ PoolID, Address, Options }) => ({
      Address: await requestAddress(modules, PoolID, Address, Options.RequestAddressType === GATEWAY_REQUEST),
      Data: {},
    }),
    'IpamDriver.ReleaseAddress': async ({ PoolID, Address }) => {
      releaseAddress(modules, PoolID, Address);
      // Else `docker run --ip` on another host, right after `docker rm` here, could be told that the address is in use.
      await modules.leases.untilReleased(networkOf(PoolID), Address);
      return {};
    },
  };
}

/** @throws WaggleError when the options do not name a swarm network. */
export function networkOption(options: Record<string, unknown>): string {
  const networkId = options[NETWORK_OPTION];
  if (typeof networkId === 'string' && networkId !== '') return networkId;
  throw new WaggleError(
    'invalid-argument',
    `the option ${NETWORK_OPTION} is missing: networks of the driver waggle are made with "docker network create -d overlay" on a manager`,
  );
}

async function requestAddress(
  modules: IpamDriverModules,
  poolId: string,
  asked: string,
  forGateway: boolean,
): Promise<string> {
  const networkId = networkOf(poolId);
  const network = await modules.networks.resolve(networkId);
  const { subnet, gateway } = poolSubnet(network, poolId);
  const address = withoutPrefix(asked);
  if (forGateway) {
    if (address === '' || address === withoutPrefix(gateway)) return gateway;
    throw new WaggleError('invalid-argument', `the gateway of the network is ${withoutPrefix(gateway)}`);
  }
  if (address === '') return modules.leases.allocate(network, undefined, subnet.includes(':'));
  const home = subnetOf(network, address);
  if (home === undefined) {
    throw new WaggleError('invalid-argument', `address ${address} is not in subnet ${subnet}`);
  }
  if (isAwaited(modules, networkId, address)) return `${address}/${prefixLength(home.subnet)}`;
  return modules.leases.allocate(network, address);
}

/** @throws WaggleError not-found when the network has no such subnet. */
function poolSubnet(network: NetworkFacts, poolId: string): NetworkSubnet {
  const cidr = poolId.slice(network.networkId.length + 1);
  const found = cidr === '' ? network.subnets[0] : network.subnets.find(({ subnet }) => subnet === cidr);
  if (found !== undefined) return found;
  throw new WaggleError('not-found', `swarm network ${network.networkId} has no subnet ${cidr}`);
}

function networkOf(poolId: string): string {
  return poolId.split('/', 1)[0] ?? poolId;
}

/**
 * A task's address is the allocator's to free. One that a joined endpoint still holds is kept: the calls before this
 * one were lost, and the reconciler gives the address back together with the endpoint.
 */
function releaseAddress(modules: IpamDriverModules, poolId: string, asked: string): void {
  const networkId = networkOf(poolId);
  const address = withoutPrefix(asked);
  const subnets = modules.networks.facts(networkId)?.subnets ?? [];
  if (address === '' || subnets.some(({ gateway }) => withoutPrefix(gateway) === address)) return;
  const lease = modules.leases.find(networkId, address);
  const holder = lease?.endpointId === undefined ? undefined : modules.endpoints.get(lease.endpointId);
  if (holder?.state === 'joined') return;
  if (lease === undefined && isTaskAddress(modules.assigned, networkId, address)) return;
  modules.leases.release(networkId, address);
}

/** A task that is yet to run has it, and no container so far: whoever else asks for it has to ask the manager. */
function isAwaited({ assigned, endpoints }: IpamDriverModules, networkId: string, address: string): boolean {
  const used = endpoints
    .onNetwork(networkId)
    .some((each) => isConnected(each) && [each.address, each.address6 ?? ''].map(withoutPrefix).includes(address));
  if (used) return false;
  const tasks = [...assigned.tasks.values()].filter((task) => hasAddress(task, { networkId, address }));
  return tasks.some(
    ({ DesiredState, Status }) => compareTaskStates(DesiredState, 'running') <= 0 && !isTerminal(Status.State),
  );
}

/** @param address without prefix length. */
export function isTaskAddress(assigned: AssignedState, networkId: string, address: string): boolean {
  for (const task of assigned.tasks.values()) if (hasAddress(task, { networkId, address })) return true;
  return false;
}
