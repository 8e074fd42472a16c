import type { ApiNetwork } from '../../controlapi/control-api.ts';
import { type Exchange, type Route, paramOf, sendJson } from '../exchange.ts';
import { parseFilters } from '../filters.ts';
import { filterNetworks } from '../network-filters.ts';
import { strictBool } from '../query.ts';
import type { RouteModules } from '../route-modules.ts';

type Modules = Pick<RouteModules, 'backend' | 'proxy' | 'networks' | 'log'>;

/** Reading `/networks`: the engine's own and the swarm's as one list, local twins hidden. */
export function networkRoutes(modules: Modules): Route[] {
  const handle = (exchange: Exchange): Promise<void> => list(exchange, modules);
  return [
    { method: 'GET', path: '/networks', handle },
    { method: 'GET', path: '/networks/', handle },
    { method: 'GET', path: '/networks/:id', handle: (exchange) => inspect(exchange, modules) },
  ];
}

async function list({ res, target, signal }: Exchange, { networks }: Modules): Promise<void> {
  // The engine goes first: what it says about a filter or a version is what the client gets to read.
  const local = await networks.listLocal({ prefix: target.prefix, signal }, target.search);
  const swarm = filterNetworks(await networks.list(), parseFilters(target.query.get('filters')));
  sendJson(res, 200, [...swarm, ...local]);
}

async function inspect(exchange: Exchange, modules: Modules): Promise<void> {
  const { req, res, target, signal } = exchange;
  const verbose = strictBool(target.query, 'verbose', 'with-cause');
  const scope = { prefix: target.prefix, signal };
  const term = paramOf(exchange, 'id');
  const wantedScope = target.query.get('scope') ?? '';
  const predefined = wantedScope === 'swarm' && modules.backend.status().manager ? predefinedNetwork(term) : undefined;
  if (predefined !== undefined) return sendJson(res, 200, predefined);
  const found = await modules.networks.find(term, scope, wantedScope);
  if (found.kind === 'local') {
    const path = `${target.prefix}/networks/${found.network.Id}${target.search}`;
    return modules.proxy.forward(req, res, { path });
  }
  const [network, containers] = await Promise.all([
    detailed(found.network, verbose, modules),
    modules.networks.containersOf(found.network.Id, scope),
  ]);
  sendJson(res, 200, containers === undefined ? network : { ...network, Containers: containers });
}

/**
 * `bridge` and `host` as networks that services can name: each node has its own, and the swarm one entry for all, which no list
 * shows. `docker service create --network host` asks for it first. Here its name is its ID.
 */
function predefinedNetwork(name: string): ApiNetwork | undefined {
  if (name !== 'bridge' && name !== 'host') return undefined;
  return {
    Name: name,
    Id: name,
    Created: '0001-01-01T00:00:00Z',
    Scope: 'swarm',
    Driver: name,
    EnableIPv6: false,
    IPAM: { Driver: '', Options: null, Config: null },
    Internal: false,
    Attachable: false,
    Ingress: false,
    ConfigFrom: { Network: '' },
    ConfigOnly: false,
    Containers: null,
    Options: null,
    Labels: { 'com.docker.swarm.predefined': 'true' },
  };
}

/** The managers' view of a network; the list's entry where that cannot be had. */
async function detailed(network: ApiNetwork, verbose: boolean, { backend }: Modules): Promise<ApiNetwork> {
  if (!backend.status().manager) return network;
  return backend.control().getNetwork({ ref: network.Id, verbose });
}
