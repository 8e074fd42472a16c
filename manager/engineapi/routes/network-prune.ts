import { messageOf } from '../../../proto/runtime/errors.ts';
import type { ApiNetwork, Filters } from '../../controlapi/control-api.ts';
import { type Exchange, type Route, sendJson } from '../exchange.ts';
import { formatFilters, labelsMatch, parseFilters } from '../filters.ts';
import { labelsOf } from '../network-filters.ts';
import type { RouteModules } from '../route-modules.ts';
import { type EngineScope, TWIN_LABEL } from '../swarm-networks.ts';
import { nanosOfTime, nanosOfUntil } from '../timestamp.ts';
import { refuseIfUsed } from './network-changes.ts';

type Modules = Pick<RouteModules, 'backend' | 'engine' | 'networks' | 'clock' | 'log'>;

/** `POST /networks/prune`: the engine's unused networks, and on a manager the swarm's. */
export function networkPruneRoutes(modules: Modules): Route[] {
  return [{ method: 'POST', path: '/networks/prune', handle: (exchange) => prune(exchange, modules) }];
}

async function prune({ res, target, signal }: Exchange, modules: Modules): Promise<void> {
  const scope = { prefix: target.prefix, signal };
  const filters = parseFilters(target.query.get('filters'));
  const pruned = await pruneLocal(filters, scope, modules);
  const fromSwarm = modules.backend.status().manager ? await pruneSwarm(filters, scope, modules) : [];
  const deleted = [...fromSwarm, ...pruned];
  sendJson(res, 200, { NetworksDeleted: deleted.length > 0 ? deleted : null });
}

/**
 * Runs the engine's prune with our twins excepted. A filter `label!` of the client's cannot be combined with ours
 * (the engine spares only what has all of its values): then a twin may go, which the node makes again when needed,
 * and is left out of the answer.
 */
async function pruneLocal(filters: Filters, scope: EngineScope, { backend, engine }: Modules): Promise<string[]> {
  const spared = filters['label!'] === undefined ? { ...filters, 'label!': [TWIN_LABEL] } : filters;
  const query = new URLSearchParams({ filters: formatFilters(spared) });
  const answer = await engine.json<{ NetworksDeleted: string[] | null }>({
    method: 'POST',
    path: `${scope.prefix}/networks/prune?${query.toString()}`,
    signal: scope.signal,
  });
  const twins = new Set(backend.networkMappings().map((twin) => twin.name));
  return (answer.NetworksDeleted ?? []).filter((name) => !twins.has(name));
}

/** Tries to remove each candidate; the managers refuse those in use anywhere. */
async function pruneSwarm(filters: Filters, scope: EngineScope, modules: Modules): Promise<string[]> {
  const until = filters['until']?.[0];
  const before = until === undefined ? undefined : nanosOfUntil(until, modules.clock.now());
  const deleted: string[] = [];
  for (const network of await modules.networks.list()) {
    if (!isCandidate(network, filters, before)) continue;
    try {
      refuseIfUsed(network, await modules.networks.plainUserOf(network.Id, scope));
      await modules.backend.control().removeNetwork({ ref: network.Id });
      deleted.push(network.Name);
    } catch (error) {
      modules.log.debug({ network: network.Id, error: messageOf(error) }, 'network not pruned');
    }
  }
  return deleted;
}

function isCandidate(network: ApiNetwork, filters: Filters, beforeNanos: bigint | undefined): boolean {
  if (network['Ingress'] === true) return false;
  const created = network['Created'];
  if (beforeNanos !== undefined && typeof created === 'string' && nanosOfTime(created) > beforeNanos) return false;
  const labels = labelsOf(network);
  if (!labelsMatch(filters, 'label', labels)) return false;
  return filters['label!'] === undefined || !labelsMatch(filters, 'label!', labels);
}
