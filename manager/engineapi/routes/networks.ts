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
  const found = await modules.networks.find(term, scope, target.query.get('scope') ?? '');
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

/** The managers' view of a network; the list's entry where that cannot be had. */
async function detailed(network: ApiNetwork, verbose: boolean, { backend }: Modules): Promise<ApiNetwork> {
  if (!backend.status().manager) return network;
  return backend.control().getNetwork({ ref: network.Id, verbose });
}
