import type { Json } from '../../proto/objects/meta.ts';
import { WaggleError, messageOf } from '../../proto/runtime/errors.ts';
import type { Log } from '../../proto/runtime/log.ts';
import type { ApiNetwork } from '../controlapi/control-api.ts';
import type { Backend, NetworkMapping } from './backend.ts';
import type { EngineClient } from './engine-client.ts';
import { formatFilters } from './filters.ts';
import { TASK_LABEL } from './task-filter.ts';

/** Driver and label of the local networks that stand for swarm networks. */
export const TWIN_DRIVER = 'waggle';
export const TWIN_LABEL = 'waggle.network';
/** Networks that every engine has of its own. */
export function isPredefined(name: string): boolean {
  return name === 'bridge' || name === 'host' || name === 'none' || name === 'default';
}

/** Where a request's questions to the engine go. */
export interface EngineScope {
  /** Version prefix of the client's request, so that answers have the shape it expects. */
  prefix: string;
  signal: AbortSignal;
}

export type FoundNetwork = { kind: 'local' | 'swarm'; network: ApiNetwork };

/** Swarm networks as this node sees them, next to its engine's own. */
export class SwarmNetworks {
  readonly #backend: Backend;
  readonly #engine: EngineClient;
  readonly #log: Log;

  constructor(modules: { backend: Backend; engine: EngineClient; log: Log }) {
    this.#backend = modules.backend;
    this.#engine = modules.engine;
    this.#log = modules.log.child({ module: 'manager/engineapi' });
  }

  /** The managers' list; where that cannot be had (a worker, no leader), what this node knows by itself. */
  async list(): Promise<ApiNetwork[]> {
    const status = this.#backend.status();
    if (status.state === 'inactive') return [];
    if (status.manager) {
      try {
        const listed = await this.#backend.control().listNetworks({ filters: {} });
        return listed.filter((network) => !isPredefined(network.Name));
      } catch (error) {
        this.#log.debug({ error: messageOf(error) }, 'listed networks from local knowledge');
      }
    }
    return this.#backend.knownNetworks().filter(isApiNetwork);
  }

  /** The engine's own networks, without our twins. @throws EngineAnswer, WaggleError unavailable. */
  async listLocal(scope: EngineScope, search = ''): Promise<ApiNetwork[]> {
    const path = `${scope.prefix}/networks${search}`;
    const networks = await this.#engine.json<ApiNetwork[]>({ method: 'GET', path, signal: scope.signal });
    return networks.filter((network) => !this.isTwin(network));
  }

  isTwin(network: ApiNetwork): boolean {
    const labels = network['Labels'];
    if (network['Driver'] === TWIN_DRIVER) return true;
    if (isRecord(labels) && Object.hasOwn(labels, TWIN_LABEL)) return true;
    return this.#backend.networkMappings().some((mapping) => mapping.localId === network.Id);
  }

  /** The twin of a swarm network, when this engine has one. */
  twinOf(clusterId: string): NetworkMapping | undefined {
    return this.#backend.networkMappings().find((mapping) => mapping.clusterId === clusterId);
  }

  /**
   * The one network that `term` names on this node or in the swarm.
   * @throws WaggleError not-found; invalid-argument when there are several.
   */
  async find(term: string, engineScope: EngineScope, wantedScope = ''): Promise<FoundNetwork> {
    const [locals, swarm] = await Promise.all([this.listLocal(engineScope), this.list()]);
    const candidates: FoundNetwork[] = [
      ...locals.map((network) => ({ kind: 'local' as const, network })),
      ...swarm.map((network) => ({ kind: 'swarm' as const, network })),
    ];
    const ref = this.#backend.networkMappings().find((mapping) => mapping.localId === term)?.clusterId ?? term;
    return matchNetwork(
      ref,
      candidates.filter(({ network }) => wantedScope === '' || network['Scope'] === wantedScope),
    );
  }

  /** Containers of this node on a swarm network, as `network inspect` shows them; undefined without a twin. */
  async containersOf(clusterId: string, scope: EngineScope): Promise<{ [key: string]: Json } | undefined> {
    const twin = this.twinOf(clusterId);
    if (twin === undefined) return undefined;
    const path = `${scope.prefix}/networks/${twin.localId}`;
    const answer = await this.#engine.fetch({ method: 'GET', path, signal: scope.signal });
    if (answer.status !== 200) return undefined;
    const containers = (JSON.parse(answer.body.toString('utf8')) as ApiNetwork)['Containers'];
    return isRecord(containers) ? containers : {};
  }

  /**
   * A container of this node that is on a swarm network and belongs to no task: whether tasks still want a network is
   * for the managers to say, and a container that is stopped because its service was removed wants it no more.
   */
  async plainUserOf(clusterId: string, scope: EngineScope): Promise<string | undefined> {
    const containers = Object.keys((await this.containersOf(clusterId, scope)) ?? {});
    if (containers.length === 0) return undefined;
    const query = new URLSearchParams({ all: '1', filters: formatFilters({ label: [TASK_LABEL] }) });
    const path = `${scope.prefix}/containers/json?${query.toString()}`;
    const tasks = await this.#engine.json<{ Id: string }[]>({ method: 'GET', path, signal: scope.signal });
    const ofTasks = new Set(tasks.map(({ Id }) => Id));
    return containers.find((id) => !ofTasks.has(id));
  }
}

/**
 * Docker's order: exact ID, exact name, unique beginning of an ID.
 * @throws WaggleError not-found, invalid-argument.
 */
function matchNetwork(term: string, candidates: readonly FoundNetwork[]): FoundNetwork {
  const byId = candidates.find(({ network }) => network.Id === term);
  if (byId !== undefined) return byId;
  const byName = candidates.filter(({ network }) => network.Name === term);
  const byPrefix = term === '' ? [] : candidates.filter(({ network }) => network.Id.startsWith(term));
  const found = byName.length > 0 ? byName : byPrefix;
  if (found.length > 1) {
    const how = byName.length > 0 ? 'name' : 'ID prefix';
    throw new WaggleError(
      'invalid-argument',
      `network ${term} is ambiguous (${found.length} matches found based on ${how})`,
    );
  }
  if (found[0] === undefined) throw new WaggleError('not-found', `network ${term} not found`);
  return found[0];
}

function isApiNetwork(value: { [key: string]: Json }): value is ApiNetwork {
  return typeof value['Id'] === 'string' && typeof value['Name'] === 'string';
}

function isRecord(value: Json | undefined): value is { [key: string]: Json } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
