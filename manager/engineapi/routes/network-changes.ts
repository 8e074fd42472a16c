import { WaggleError } from '../../../proto/runtime/errors.ts';
import type { ApiNetwork } from '../../controlapi/control-api.ts';
import { shaped } from '../../../proto/objects/spec-shape.ts';
import { NETWORK_REQUEST_SHAPE } from '../request-shape.ts';
import { type Exchange, type Route, paramOf, parseJson, readBody, sendEmpty, sendJson } from '../exchange.ts';
import { makeConnectable } from '../attached-container.ts';
import { attachLocalNetwork } from '../network-attach.ts';
import { type NetworkCreateRequest, networkSpecOf } from '../network-create.ts';
import type { RouteModules } from '../route-modules.ts';
import { isPredefined } from '../swarm-networks.ts';

const NOT_IN_SWARM =
  'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.';
const ON_WORKER =
  'Cannot create a multi-host network from a worker node. Please create the network from a manager node.';

type Modules = Pick<RouteModules, 'backend' | 'engine' | 'proxy' | 'networks'>;

/** Changing `/networks`. */
export function networkChangeRoutes(modules: Modules): Route[] {
  return [
    { method: 'POST', path: '/networks/create', handle: (exchange) => create(exchange, modules) },
    { method: 'DELETE', path: '/networks/:id', handle: (exchange) => remove(exchange, modules) },
    { method: 'POST', path: '/networks/:id/connect', handle: (exchange) => connect(exchange, modules) },
    { method: 'POST', path: '/networks/:id/disconnect', handle: (exchange) => disconnect(exchange, modules) },
  ];
}

async function create(exchange: Exchange, modules: Modules): Promise<void> {
  const { req, res, target, signal } = exchange;
  const { backend, proxy, networks } = modules;
  const body = await readBody(req);
  const request = isJson(req.headers['content-type']) ? requestOf(body) : undefined;
  if (request === undefined) return proxy.forward(req, res, { body });
  const status = backend.status();
  // A configuration for other networks belongs to its host, whatever else is asked for.
  const forSwarm = (request.Driver === 'overlay' || request.Scope === 'swarm') && request.ConfigOnly !== true;
  if (!forSwarm) {
    const taken = status.manager && (await networks.list()).some((network) => network.Name === request.Name);
    if (taken) throw nameInUse(request.Name ?? '');
    return proxy.forward(req, res, { body });
  }
  refuseUnlessAllowed(request);
  if (status.state === 'inactive' && request.Scope !== 'swarm') {
    // Docker's own status for this, odd as it is; clients were written against it.
    return sendJson(res, 500, { message: NOT_IN_SWARM });
  }
  if (status.state === 'inactive') {
    throw new WaggleError('permission-denied', 'cannot create a swarm scoped network when swarm is not active');
  }
  if (!status.manager && status.state === 'active') throw new WaggleError('permission-denied', ON_WORKER);
  const control = backend.control();
  if (request.CheckDuplicate === true) {
    const locals = await networks.listLocal({ prefix: target.prefix, signal });
    if (locals.some((network) => network.Name === request.Name)) throw nameInUse(request.Name ?? '');
  }
  sendJson(res, 201, await control.createNetwork({ spec: networkSpecOf(request) }));
}

function refuseUnlessAllowed(request: NetworkCreateRequest): void {
  const name = request.Name ?? '';
  if (isPredefined(name)) {
    throw new WaggleError('permission-denied', `operation is not permitted on predefined ${name} network `);
  }
  if (name.trim() === '') throw new WaggleError('invalid-argument', `invalid name: ${name}`);
  if (request.Scope === 'local') {
    throw new WaggleError('permission-denied', 'cannot downgrade network scope for overlay networks');
  }
}

async function remove(exchange: Exchange, { backend, proxy, networks }: Modules): Promise<void> {
  const { req, res, target, signal } = exchange;
  const scope = { prefix: target.prefix, signal };
  const found = await networks.find(paramOf(exchange, 'id'), scope);
  if (found.kind === 'local') {
    return proxy.forward(req, res, { path: `${target.prefix}/networks/${found.network.Id}${target.search}` });
  }
  const control = backend.control();
  refuseIfUsed(found.network, await networks.plainUserOf(found.network.Id, scope));
  await control.removeNetwork({ ref: found.network.Id });
  sendEmpty(res, 204);
}

/** @throws WaggleError failed-precondition naming the container of this node that is on the network. */
export function refuseIfUsed(network: ApiNetwork, container: string | undefined): void {
  if (container === undefined) return;
  throw new WaggleError(
    'failed-precondition',
    `rpc error: code = FailedPrecondition desc = network ${network.Id} is in use by container ${container}`,
  );
}

async function connect(exchange: Exchange, { backend, engine, proxy }: Modules): Promise<void> {
  const { req, res, target, signal } = exchange;
  const ref = paramOf(exchange, 'id');
  const twin = await attachLocalNetwork(backend, ref);
  if (twin === undefined) return proxy.forward(req, res);
  const body = await readBody(req);
  const container = containerOf(body);
  if (container !== undefined) await makeConnectable(container, twin, { prefix: target.prefix, signal }, engine);
  proxy.forward(req, res, { path: `${target.prefix}/networks/${twin.localId}/connect${target.search}`, body });
}

/** The container that the body of a connect names; undefined for a body that the engine refuses in its own words. */
function containerOf(body: Buffer): string | undefined {
  try {
    const { Container } = parseJson<{ Container?: unknown }>(body, 'types.NetworkConnect');
    return typeof Container === 'string' && Container !== '' ? Container : undefined;
  } catch {
    return undefined;
  }
}

async function disconnect(exchange: Exchange, { backend, proxy }: Modules): Promise<void> {
  const { req, res, target } = exchange;
  const ref = paramOf(exchange, 'id');
  const twins = backend.networkMappings();
  const byPrefix = twins.filter((twin) => twin.clusterId.startsWith(ref));
  const twin =
    twins.find((candidate) => candidate.clusterId === ref) ??
    twins.find((candidate) => candidate.name === ref) ??
    (byPrefix.length === 1 ? byPrefix[0] : undefined);
  if (twin === undefined) return proxy.forward(req, res);
  proxy.forward(req, res, { path: `${target.prefix}/networks/${twin.localId}/disconnect${target.search}` });
}

/** Undefined for a body that the engine refuses in its own words. */
function requestOf(body: Buffer): NetworkCreateRequest | undefined {
  try {
    return shaped(NETWORK_REQUEST_SHAPE, parseJson<NetworkCreateRequest>(body, 'types.NetworkCreateRequest'));
  } catch {
    return undefined;
  }
}

function isJson(contentType: string | undefined): boolean {
  return contentType?.split(';')[0]?.trim().toLowerCase() === 'application/json';
}

function nameInUse(name: string): WaggleError {
  return new WaggleError('already-exists', `network with name ${name} already exists`);
}
