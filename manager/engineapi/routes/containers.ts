import { WaggleError } from '../../../proto/runtime/errors.ts';
import type { Filters } from '../../controlapi/control-api.ts';
import type { Backend, NetworkMapping } from '../backend.ts';
import { type Exchange, type Handler, type Route, readBody, sendJson } from '../exchange.ts';
import { formatFilters, parseFilters } from '../filters.ts';
import { idRewriter, rewriteIds } from '../id-rewriter.ts';
import { type TextEdit, editText, memberOf, scanJson } from '../json-scan.ts';
import { attachLocalNetwork } from '../network-attach.ts';
import type { RouteModules } from '../route-modules.ts';
import { wantedTasks, withoutTaskFilter, withoutTasks } from '../task-filter.ts';

/** Modes that are not networks one can attach to, or that only the engine knows. */
const ENGINE_MODES = /^(|default|bridge|host|none|container:.*)$/;

type Modules = Pick<RouteModules, 'backend' | 'engine' | 'proxy'>;

/** The container routes that name networks or tasks; all others go to the engine untouched. */
export function containerRoutes(modules: Modules): Route[] {
  const { backend, proxy } = modules;
  const show: Handler = async ({ req, res }) => {
    const mappings = backend.networkMappings();
    proxy.forward(req, res, mappings.length === 0 ? {} : { transform: () => idRewriter(mappings) });
  };
  return [
    { method: 'GET', path: '/containers/json', handle: (exchange) => list(exchange, modules) },
    { method: 'GET', path: '/containers/:id/json', handle: show },
    { method: 'GET', path: '/system/df', handle: show },
    { method: 'POST', path: '/containers/create', handle: (exchange) => create(exchange, backend, proxy) },
  ];
}

async function list(exchange: Exchange, modules: Modules): Promise<void> {
  const { req, res, target } = exchange;
  const { backend, proxy } = modules;
  const mappings = backend.networkMappings();
  const filters = readableFilters(target.query);
  const onlyTasks = wantedTasks(filters);
  if (onlyTasks === false) return listPlain(exchange, withoutTaskFilter(filters, false), modules);
  if (mappings.length === 0 && onlyTasks === undefined) return proxy.forward(req, res);
  const wanted = onlyTasks === undefined ? filters : withoutTaskFilter(filters, true);
  const path = `${target.prefix}${target.path}${searchWith(target, localFilters(wanted, mappings))}`;
  proxy.forward(req, res, mappings.length === 0 ? { path } : { path, transform: () => idRewriter(mappings) });
}

/** Containers of no task: no filter of the engine's says so, and a limit counts those that are left. */
async function listPlain(exchange: Exchange, filters: Filters, { backend, engine }: Modules): Promise<void> {
  const { res, target, signal } = exchange;
  const mappings = backend.networkMappings();
  const query = new URLSearchParams(target.query);
  const limit = Math.max(0, Number.parseInt(query.get('limit') ?? '0', 10) || 0);
  query.delete('limit');
  if (limit > 0) query.set('all', '1');
  query.set('filters', formatFilters(localFilters(filters, mappings)));
  const path = `${target.prefix}${target.path}?${query.toString()}`;
  const text = await engine.text({ method: 'GET', path, signal });
  sendJson(res, 200, withoutTasks(JSON.parse(rewriteIds(text, mappings)) as object[], limit));
}

async function create({ req, res }: Exchange, backend: Backend, proxy: RouteModules['proxy']): Promise<void> {
  const body = await readBody(req);
  proxy.forward(req, res, { body: await withLocalNetworks(body, backend) });
}

/**
 * The body of `POST /containers/create` with swarm networks under the names of their local twins, which exist when
 * this resolves; byte for byte the same when nothing needs to change, or it is not JSON (the engine says so better).
 * @throws WaggleError permission-denied for a network that is not attachable.
 */
async function withLocalNetworks(body: Buffer, backend: Backend): Promise<Buffer> {
  const text = body.toString('utf8');
  const places = networkPlaces(text);
  const edits: TextEdit[] = [];
  for (const place of places) {
    if (ENGINE_MODES.test(place.ref)) continue;
    const twin = await attachLocalNetwork(backend, place.ref);
    if (twin !== undefined && twin.name !== place.ref) {
      edits.push({ start: place.start, end: place.end, text: JSON.stringify(twin.name) });
    }
  }
  return edits.length === 0 ? body : Buffer.from(editText(text, edits));
}

/** Where a container's configuration names networks. */
function networkPlaces(text: string): { ref: string; start: number; end: number }[] {
  let root;
  try {
    root = scanJson(text);
  } catch {
    return [];
  }
  const places: { ref: string; start: number; end: number }[] = [];
  const mode = memberOf(memberOf(root, 'HostConfig')?.value, 'NetworkMode')?.value;
  if (mode !== undefined && text[mode.start] === '"') {
    places.push({ ref: JSON.parse(text.slice(mode.start, mode.end)) as string, start: mode.start, end: mode.end });
  }
  const endpoints = memberOf(memberOf(root, 'NetworkingConfig')?.value, 'EndpointsConfig')?.value;
  for (const member of endpoints?.members ?? []) {
    places.push({ ref: member.key, start: member.keyStart, end: member.keyEnd });
  }
  return places;
}

/** None where the engine will refuse them in its own words. */
function readableFilters(query: URLSearchParams): Filters {
  try {
    return parseFilters(query.get('filters'));
  } catch (error) {
    if (error instanceof WaggleError) return {};
    throw error;
  }
}

/** Swarm IDs in the filter `network` become those that the engine knows. */
function localFilters(filters: Filters, mappings: readonly NetworkMapping[]): Filters {
  const wanted = filters['network'];
  if (wanted === undefined) return filters;
  return {
    ...filters,
    network: wanted.map((ref) => mappings.find(({ clusterId }) => clusterId === ref)?.localId ?? ref),
  };
}

/** The request's query with these filters; as it came where it had none that can be read. */
function searchWith({ search, query }: Exchange['target'], filters: Filters): string {
  if (Object.keys(filters).length === 0) return search;
  const changed = new URLSearchParams(query);
  changed.set('filters', formatFilters(filters));
  return `?${changed.toString()}`;
}
