import type { ServerResponse } from 'node:http';
import type { Filters } from '../../controlapi/control-api.ts';
import { EventStream } from '../event-stream.ts';
import { EngineAnswer } from '../errors.ts';
import { includesEvent } from '../event-filter.ts';
import type { EventMessage } from '../event-message.ts';
import { type Exchange, type Route } from '../exchange.ts';
import { formatFilters, parseFilters } from '../filters.ts';
import type { RouteModules } from '../route-modules.ts';
import { nanosOfUnix } from '../timestamp.ts';

type Modules = Pick<RouteModules, 'backend' | 'engine' | 'events' | 'exchanges' | 'clock'>;

/** `/events`: the engine's stream with the swarm's messages between its lines. */
export function eventRoutes(modules: Modules): Route[] {
  return [{ method: 'GET', path: '/events', handle: (exchange) => events(exchange, modules) }];
}

async function events({ res, target, signal }: Exchange, modules: Modules): Promise<void> {
  const { backend, engine } = modules;
  // The engine judges since, until and filters; what it refuses is refused in its words.
  const path = `${target.prefix}/events${localSearch(target.search, target.query, backend)}`;
  const upstream = await engine.open({ method: 'GET', path, signal });
  if (upstream.statusCode !== 200) throw await refusal(upstream);
  const wanted = selector(parseFilters(target.query.get('filters')), target.query);
  const stream = new EventStream({ res, upstream, mappings: () => backend.networkMappings() }, modules);
  head(res);
  stream.run(wanted, target.query.get('since') !== null);
  modules.exchanges.addEndless(res, () => stream.end());
}

/** Which of the swarm's messages the client asked for. */
function selector(filters: Filters, query: URLSearchParams): (event: EventMessage) => boolean {
  const since = nanosOfUnix(query.get('since') ?? '');
  const until = nanosOfUnix(query.get('until') ?? '');
  return (event) =>
    (since === undefined || event.timeNanos >= since) &&
    (until === undefined || event.timeNanos <= until) &&
    includesEvent(filters, event);
}

/** The query with swarm IDs in the filter `network` joined by the twins' own IDs. */
function localSearch(search: string, query: URLSearchParams, backend: Modules['backend']): string {
  const wanted = parseFilters(query.get('filters'));
  const networks = wanted['network'];
  if (networks === undefined) return search;
  const twins = backend.networkMappings().filter((twin) => networks.some((ref) => twin.clusterId.startsWith(ref)));
  if (twins.length === 0) return search;
  const changed = new URLSearchParams(query);
  changed.set('filters', formatFilters({ ...wanted, network: [...networks, ...twins.map((twin) => twin.localId)] }));
  return `?${changed.toString()}`;
}

async function refusal(upstream: AsyncIterable<Buffer> & { statusCode?: number | undefined }): Promise<EngineAnswer> {
  const chunks: Buffer[] = [];
  for await (const chunk of upstream) chunks.push(chunk);
  return new EngineAnswer(upstream.statusCode ?? 502, 'application/json', Buffer.concat(chunks));
}

function head(res: ServerResponse): void {
  res.writeHead(200, { 'Content-Type': 'application/json' });
  res.flushHeaders();
}
