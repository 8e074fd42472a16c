import { messageOf, WaggleError } from '../../../proto/runtime/errors.ts';
import type { Log } from '../../../proto/runtime/log.ts';
import type { AssignedState } from '../assigned-network.ts';
import type { ContainerNames } from '../endpoint-names.ts';
import type { Endpoints } from '../endpoints.ts';
import { isTaskAddress, networkOption } from '../ipam/ipam-driver.ts';
import type { LeaseBook } from '../ipam/lease-book.ts';
import type { KnownNetworks } from '../known-networks.ts';
import { isMac, macOf, withoutPrefix } from '../overlay/address.ts';
import type { NetworkFacts } from '../overlay/overlay-state.ts';
import { siblingSubnets } from '../overlay/sibling-subnets.ts';
import type { LocalNetworkEndpoint } from '../local-endpoint.ts';
import type { IpamHandlers } from '../ipam/ipam-driver.ts';
import type { OnLinkRoute, PluginBackend, PluginRequest, PluginResponse } from './plugin-protocol.ts';

const GENERIC_OPTIONS = 'com.docker.network.generic';

/** The data path, as the driver needs it (overlay/overlays.ts). */
export interface DataPath {
  connect(networkId: string, endpointId: string): Promise<string>;
  disconnect(networkId: string, endpointId: string): Promise<void>;
}

export interface NetworkDriverModules {
  networks: KnownNetworks;
  endpoints: Endpoints;
  leases: LeaseBook;
  assigned: AssignedState;
  containers: ContainerNames;
  dataPath: DataPath;
  /** What a container that is to have these addresses from now on says of them (claim-time.ts). */
  claimTime(networkId: string, addresses: readonly string[]): number;
  log: Log;
}

export type NetworkHandlers = Omit<PluginBackend, keyof IpamHandlers>;

/**
 * The engine's network driver. The engine repeats calls, loses them when a connection dies, and calls for endpoints
 * of runs long past: making something twice gives the same, and removing what is not there succeeds.
 */
export function networkHandlers(modules: NetworkDriverModules): NetworkHandlers {
  return {
    'NetworkDriver.CreateNetwork': (request) => createNetwork(modules, request),
    'NetworkDriver.DeleteNetwork': ({ NetworkID }) => {
      modules.networks.remove(NetworkID);
      return {};
    },
    'NetworkDriver.CreateEndpoint': (request) => createEndpoint(modules, request),
    'NetworkDriver.Join': (request) => join(modules, request),
    'NetworkDriver.Leave': async ({ EndpointID }) => {
      const endpoint = modules.endpoints.get(EndpointID);
      // The link stays until DeleteEndpoint: the engine gives it back to the host only after this call.
      if (endpoint?.state === 'joined') await modules.endpoints.put({ ...endpoint, state: 'left', sandboxKey: '' });
      return {};
    },
    'NetworkDriver.DeleteEndpoint': async ({ EndpointID }) => {
      await removeEndpoint(modules, EndpointID);
      return {};
    },
    'NetworkDriver.EndpointOperInfo': () => ({ Value: {} }),
    'NetworkDriver.DiscoverNew': () => ({}),
    'NetworkDriver.DiscoverDelete': () => ({}),
    'NetworkDriver.ProgramExternalConnectivity': () => ({}),
    'NetworkDriver.RevokeExternalConnectivity': () => ({}),
  };
}

/** Forgets an endpoint and has its link removed; what the kernel refuses now is tried again by the overlay. */
export async function removeEndpoint(
  modules: Pick<NetworkDriverModules, 'endpoints' | 'dataPath' | 'log'>,
  endpointId: string,
): Promise<void> {
  const endpoint = modules.endpoints.get(endpointId);
  if (endpoint === undefined) return;
  modules.endpoints.remove(endpointId);
  await modules.dataPath.disconnect(endpoint.networkId, endpointId).catch((error: unknown) => {
    modules.log.warn({ endpoint: endpointId, error: messageOf(error) }, 'a link could not be removed and will be');
  });
}

async function createNetwork(
  modules: NetworkDriverModules,
  request: PluginRequest<'NetworkDriver.CreateNetwork'>,
): Promise<Record<string, never>> {
  const generic = request.Options[GENERIC_OPTIONS];
  const networkId = networkOption(isOptions(generic) ? generic : {});
  const facts = await modules.networks.resolve(networkId);
  const pools = [...request.IPv4Data, ...request.IPv6Data].map(({ Pool }) => Pool).toSorted();
  const subnets = facts.subnets.map(({ subnet }) => subnet).toSorted();
  if (pools.join(' ') !== subnets.join(' ')) {
    throw new WaggleError('invalid-argument', `swarm network ${networkId} has the subnets ${subnets.join(', ')}`);
  }
  await modules.networks.put({ localNetworkId: request.NetworkID, facts });
  return {};
}

async function createEndpoint(
  modules: NetworkDriverModules,
  request: PluginRequest<'NetworkDriver.CreateEndpoint'>,
): Promise<{ Interface: { MacAddress?: string } }> {
  const { NetworkID: localNetworkId, EndpointID: endpointId, Interface } = request;
  const { networkId } = localNetwork(modules, localNetworkId).facts;
  const { Address: address = '', AddressIPv6: address6 = '' } = Interface ?? {};
  if (address === '') throw new WaggleError('invalid-argument', 'the endpoint has no IPv4 address');
  const given = (Interface?.MacAddress ?? '').toLowerCase();
  if (given !== '' && !isMac(given)) throw new WaggleError('invalid-argument', `invalid MAC address ${given}`);
  const mac = given === '' ? macOf(withoutPrefix(address)) : given;
  const leaseReference = await claim(modules, { networkId, address, endpointId });
  if (address6 !== '') await claim(modules, { networkId, address: address6, endpointId });
  await modules.endpoints.put({
    endpointId,
    localNetworkId,
    networkId,
    address,
    ...(address6 === '' ? {} : { address6 }),
    mac,
    claimedAt: modules.claimTime(networkId, [address, address6].filter((each) => each !== '').map(withoutPrefix)),
    sandboxKey: '',
    state: 'created',
    ...(leaseReference === undefined ? {} : { leaseReference }),
  });
  return { Interface: given === '' ? { MacAddress: mac } : {} };
}

/**
 * @returns the lease's reference; undefined for a task's address. @throws WaggleError failed-precondition for one that is neither: the
 * engine has stood still for so long that the lease was given back, and somebody else may have the address by now.
 */
async function claim(
  { leases, assigned }: NetworkDriverModules,
  { networkId, address, endpointId }: { networkId: string; address: string; endpointId: string },
): Promise<string | undefined> {
  const reference = await leases.claim(networkId, address, endpointId);
  if (reference !== undefined || isTaskAddress(assigned, networkId, withoutPrefix(address))) return reference;
  const why = 'it was not used in time and was given back, or never asked for';
  throw new WaggleError('failed-precondition', `address ${withoutPrefix(address)} is not leased to this node: ${why}`);
}

async function join(
  modules: NetworkDriverModules,
  request: PluginRequest<'NetworkDriver.Join'>,
): Promise<PluginResponse<'NetworkDriver.Join'>> {
  const { EndpointID: endpointId, SandboxKey: sandboxKey } = request;
  const endpoint = modules.endpoints.get(endpointId);
  if (endpoint === undefined) throw new WaggleError('not-found', `endpoint ${endpointId} not found`);
  const facts = modules.networks.facts(endpoint.networkId);
  const written = modules.endpoints.put({ ...endpoint, state: 'joined', sandboxKey });
  try {
    const [waiting] = await Promise.all([modules.dataPath.connect(endpoint.networkId, endpointId), written]);
    modules.containers.refresh(endpoint.localNetworkId).catch((error: unknown) => {
      modules.log.debug({ error: messageOf(error) }, 'container names are read again later');
    });
    const routes = facts === undefined ? [] : siblingRoutes(facts, endpoint);
    return { InterfaceName: { SrcName: waiting, DstPrefix: 'eth' }, StaticRoutes: routes };
  } catch (error) {
    await Promise.allSettled([written]);
    await modules.endpoints.put(endpoint);
    throw error;
  }
}

function siblingRoutes(facts: NetworkFacts, endpoint: LocalNetworkEndpoint): OnLinkRoute[] {
  return siblingSubnets(facts, endpoint).map((subnet) => ({ Destination: subnet, RouteType: 1 }));
}

function localNetwork(modules: NetworkDriverModules, localNetworkId: string): { facts: { networkId: string } } {
  const network = modules.networks.local(localNetworkId);
  if (network !== undefined) return network;
  throw new WaggleError('not-found', `network ${localNetworkId} is not known to this node's overlay driver`);
}

function isOptions(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
