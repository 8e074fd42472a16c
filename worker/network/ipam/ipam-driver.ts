import { WaggleError } from '../../../proto/runtime/errors.ts';
import type { AssignedState } from '../assigned-network.ts';
import { hasAddress } from '../endpoint-names.ts';
import type { Endpoints } from '../endpoints.ts';
import type { KnownNetworks } from '../known-networks.ts';
import { contains, isIpv4, prefixLength, withoutPrefix } from '../overlay/address.ts';
import type { PluginBackend } from '../plugin/plugin-protocol.ts';
import type { LeaseBook } from './lease-book.ts';

export const NETWORK_OPTION = 'waggle.network';
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
 * The engine's IPAM, with the swarm's allocator behind it. A pool is a swarm network, and its ID that network's ID.
 * The gateway's and the tasks' addresses are settled already; every other one is leased from the manager.
 */
export function ipamHandlers(modules: IpamDriverModules): IpamHandlers {
  return {
    'IpamDriver.RequestPool': async ({ Pool, Options, V6 }) => {
      if (V6 === true) throw new WaggleError('unimplemented', 'IPv6 is not supported on waggle networks');
      const networkId = networkOption(Options);
      const { subnet } = await modules.networks.resolve(networkId);
      if (Pool !== '' && Pool !== subnet) {
        throw new WaggleError('invalid-argument', `the subnet of swarm network ${networkId} is ${subnet}, not ${Pool}`);
      }
      return { PoolID: networkId, Pool: subnet, Data: {} };
    },
    'IpamDriver.ReleasePool': () => ({}),
    'IpamDriver.RequestAddress': async ({ PoolID, Address, Options }) => ({
      Address: await requestAddress(modules, PoolID, Address, Options.RequestAddressType === GATEWAY_REQUEST),
      Data: {},
    }),
    'IpamDriver.ReleaseAddress': ({ PoolID, Address }) => {
      releaseAddress(modules, PoolID, Address);
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
  networkId: string,
  asked: string,
  forGateway: boolean,
): Promise<string> {
  const network = await modules.networks.resolve(networkId);
  const address = withoutPrefix(asked);
  if (forGateway) {
    if (address === '' || address === withoutPrefix(network.gateway)) return network.gateway;
    throw new WaggleError('invalid-argument', `the gateway of the network is ${withoutPrefix(network.gateway)}`);
  }
  if (address === '') return modules.leases.allocate(network, undefined);
  if (!isIpv4(address) || !contains(network.subnet, address)) {
    throw new WaggleError('invalid-argument', `address ${address} is not in subnet ${network.subnet}`);
  }
  if (isTaskAddress(modules, networkId, address)) return `${address}/${prefixLength(network.subnet)}`;
  return modules.leases.allocate(network, address);
}

/**
 * A task's address is the allocator's to free. One that a joined endpoint still holds is kept: the calls before this
 * one were lost, and the reconciler gives the address back together with the endpoint.
 */
function releaseAddress(modules: IpamDriverModules, networkId: string, asked: string): void {
  const address = withoutPrefix(asked);
  if (address === '' || withoutPrefix(modules.networks.facts(networkId)?.gateway ?? '') === address) return;
  const lease = modules.leases.find(networkId, address);
  const holder = lease?.endpointId === undefined ? undefined : modules.endpoints.get(lease.endpointId);
  if (holder?.state === 'joined') return;
  if (lease === undefined && isTaskAddress(modules, networkId, address)) return;
  modules.leases.release(networkId, address);
}

function isTaskAddress(modules: IpamDriverModules, networkId: string, address: string): boolean {
  for (const task of modules.assigned.tasks.values()) if (hasAddress(task, { networkId, address })) return true;
  return false;
}
