import { WaggleError } from '../../../proto/runtime/errors.ts';
import type { Backend } from '../backend.ts';
import { type Exchange, type Handler, type Route, readBody } from '../exchange.ts';
import { formatFilters, parseFilters } from '../filters.ts';
import { idRewriter } from '../id-rewriter.ts';
import { type TextEdit, editText, memberOf, scanJson } from '../json-scan.ts';
import { attachLocalNetwork } from '../network-attach.ts';
import type { RouteModules } from '../route-modules.ts';

/** Modes that are not networks one can attach to, or that only the engine knows. */
const ENGINE_MODES = /^(|default|bridge|host|none|container:.*)$/;

/** The container routes that name networks; all others go to the engine untouched. */
export function containerRoutes({ backend, proxy }: Pick<RouteModules, 'backend' | 'proxy'>): Route[] {
  const inspect: Handler = async ({ req, res }) => {
    const mappings = backend.networkMappings();
    proxy.forward(req, res, mappings.length === 0 ? {} : { transform: () => idRewriter(mappings) });
  };
  const list: Handler = async ({ req, res, target }) => {
    const mappings = backend.networkMappings();
    if (mappings.length === 0) return proxy.forward(req, res);
    const path = `${target.prefix}${target.path}${localSearch(target.search, target.query, backend)}`;
    proxy.forward(req, res, { path, transform: () => idRewriter(mappings) });
  };
  return [
    { method: 'GET', path: '/containers/json', handle: list },
    { method: 'GET', path: '/containers/:id/json', handle: inspect },
    { method: 'POST', path: '/containers/create', handle: (exchange) => create(exchange, backend, proxy) },
  ];
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

/** The query with swarm IDs in the filter `network` replaced by those the engine knows. */
function localSearch(search: string, query: URLSearchParams, backend: Backend): string {
  let filters;
  try {
    filters = parseFilters(query.get('filters'));
  } catch (error) {
    if (error instanceof WaggleError) return search;
    throw error;
  }
  const wanted = filters['network'];
  if (wanted === undefined) return search;
  const local = wanted.map((ref) => {
    const twin = backend.networkMappings().find(({ clusterId }) => clusterId === ref);
    return twin?.localId ?? ref;
  });
  const changed = new URLSearchParams(query);
  changed.set('filters', formatFilters({ ...filters, network: local }));
  return `?${changed.toString()}`;
}
