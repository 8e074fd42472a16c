import type Docker from 'dockerode';
import type { CancelTimer, Clock } from '../../proto/runtime/clock.ts';
import { messageOf } from '../../proto/runtime/errors.ts';
import type { Startable } from '../../proto/runtime/lifecycle.ts';
import type { Log } from '../../proto/runtime/log.ts';
import type { Random } from '../../proto/runtime/random.ts';
import { AliasCache } from './alias-cache.ts';
import { TASK_ID_LABEL } from './container-config.ts';
import { isNotFound } from './engine-error.ts';
import type { CallOptions, Engine } from './engine.ts';
import type { EngineEvent, EngineEvents } from './events.ts';
import { type ContainerEndpoint, endpointsOf, sameEndpoint } from './network-endpoints.ts';
import type { NetworkMapping } from './network-plan.ts';
import { ReconcileLoop, type ReconcileLoopOptions } from './reconcile-loop.ts';

export interface ContainerNamesOptions extends ReconcileLoopOptions {
  /** Longest wait for an inspect, which the engine holds back while a container is being started. */
  inspectTimeoutMs: number;
  /**
   * Between an event and the look that it calls for. What is urgent is known without: names from the look within a Join,
   * and whether a container runs from its events. While many containers start, looks would slow them down.
   */
  settleMs: number;
}

export const DEFAULT_CONTAINER_NAMES_OPTIONS: ContainerNamesOptions = {
  auditMs: 30_000,
  backoff: { minMs: 200, maxMs: 5_000, factor: 2, jitter: 0.3 },
  inspectTimeoutMs: 1_000,
  settleMs: 250,
};

export interface ContainerNamesModules {
  engine: Engine;
  events: EngineEvents;
  /** The twins to look at (LocalNetworks.mappings). */
  networks: () => readonly NetworkMapping[];
  clock: Clock;
  random: Random;
  log: Log;
}

/**
 * Who is behind each endpoint on the twin networks of this node. Known before a container's first process runs:
 * seen on 20.10.24, `GET /networks/ID` lists an endpoint with its container's name from within the driver's Join on
 * (keyed `ep-…`; by the container's ID once `network connect` was sent, still before the start), and the list of
 * containers needs no lock. Aliases are in no list; they come from an inspect at the container's creation, which the
 * engine would hold back later, while it starts the container. The aliases of a task are known from its assignment; only
 * what `network connect` may have added is read, at the next audit.
 */
export class ContainerNames implements Startable {
  readonly #settleMs: number;
  readonly #auditMs: number;
  readonly #modules: ContainerNamesModules;
  readonly #aliases: AliasCache;
  readonly #loop: ReconcileLoop;
  readonly #endpoints = new Map<string, ContainerEndpoint>();
  readonly #dirty = new Set<string>();
  readonly #listeners = new Set<(endpointIds: ReadonlySet<string>) => void>();
  /** For each network the number of the look that it was last set by. */
  readonly #looked = new Map<string, number>();
  /** For each container what its last start or end told, numbered among the looks. */
  readonly #told = new Map<string, { turn: number; running: boolean }>();
  /** For each network the look under way, and the one that was asked for since. */
  readonly #refreshing = new Map<string, Promise<void>>();
  readonly #refreshNext = new Map<string, Promise<void>>();
  #turn = 0;
  #everything = true;
  /** When everything was last looked at, on the monotonic clock. */
  #auditedAtMs = Number.NEGATIVE_INFINITY;
  #cancelSettle: CancelTimer | undefined;
  #unsubscribe: (() => void) | undefined;

  constructor(options: ContainerNamesOptions, modules: ContainerNamesModules) {
    this.#settleMs = options.settleMs;
    this.#auditMs = options.auditMs;
    this.#modules = { ...modules, log: modules.log.child({ module: 'worker/docker' }) };
    this.#aliases = new AliasCache({ inspectTimeoutMs: options.inspectTimeoutMs }, { engine: modules.engine });
    this.#loop = new ReconcileLoop(options, { ...modules, pass: (signal) => this.#pass(signal) });
  }

  /** Does not wait for the engine. */
  async start(): Promise<void> {
    this.#unsubscribe = this.#modules.events.subscribe({
      event: (event) => this.#onEvent(event),
      resync: () => {
        this.#aliases.expireAll();
        this.wake();
      },
    });
    await this.#loop.start();
  }

  async stop(): Promise<void> {
    this.#unsubscribe?.();
    this.#unsubscribe = undefined;
    this.#cancelSettle?.();
    this.#cancelSettle = undefined;
    await this.#loop.stop();
  }

  /** Looks at all networks again soon; to be called when the set of twins has changed. */
  wake(): void {
    this.#everything = true;
    this.#loop.wake();
  }

  get(endpointId: string): ContainerEndpoint | undefined {
    return this.#endpoints.get(endpointId);
  }

  all(): readonly ContainerEndpoint[] {
    return [...this.#endpoints.values()];
  }

  /** Called with the endpoints that came, changed or went, after the change. @returns the unsubscribe. */
  onChange(listener: (endpointIds: ReadonlySet<string>) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Looks at one network now; whoever asks while a look is under way shares the next one. Must not be awaited by a plugin's
   * handler: while one is open the engine may answer nothing that needs the container.
   * @throws WaggleError as Engine.call; a network that is gone is no error.
   */
  refresh(localNetworkId: string): Promise<void> {
    const next = this.#refreshNext.get(localNetworkId);
    if (next !== undefined) return next;
    const before = this.#refreshing.get(localNetworkId) ?? Promise.resolve();
    const begin = (): Promise<void> => {
      this.#refreshNext.delete(localNetworkId);
      const look = this.#refresh(localNetworkId).finally(() => {
        if (this.#refreshing.get(localNetworkId) === look) this.#refreshing.delete(localNetworkId);
      });
      this.#refreshing.set(localNetworkId, look);
      return look;
    };
    const asked = before.then(begin, begin);
    this.#refreshNext.set(localNetworkId, asked);
    return asked;
  }

  async #refresh(localNetworkId: string): Promise<void> {
    this.#dirty.delete(localNetworkId);
    const turn = ++this.#turn;
    try {
      if (!(await this.#look(localNetworkId, await this.#containers(), turn))) this.#mark(localNetworkId);
    } catch (error) {
      this.#lookSoon(localNetworkId);
      throw error;
    }
  }

  #onEvent(event: EngineEvent): void {
    if (event.type === 'network') return this.#onNetworkEvent(event);
    switch (event.action) {
      case 'create':
        // The last moment at which the engine surely answers before the start.
        if (event.attributes[TASK_ID_LABEL] === undefined) this.#aliases.prefetch(event.id);
        else this.#aliases.assumeNone(event.id);
        return;
      case 'destroy':
        this.#aliases.forget(event.id);
        this.#told.delete(event.id);
        return;
      case 'start':
      case 'die':
        this.#setRunning(event.id, event.action === 'start');
        return;
      case 'rename':
        for (const endpoint of this.#endpointsOf(event.id)) this.#lookSoon(endpoint.networkLocalId);
    }
  }

  #onNetworkEvent(event: EngineEvent): void {
    const container = event.attributes.container;
    if (container === undefined || !this.#isTwin(event.id)) return;
    // A start connects too, and not with what was not known at the creation.
    const isStarting =
      this.#aliases.isAssumed(container) && !this.#endpointsOf(container).some(({ running }) => running);
    if (event.action === 'connect' && !isStarting) {
      this.#aliases.expire(container);
      this.#lookSoon(event.id);
    } else this.#mark(event.id);
  }

  /** Told at once: a task's service is found under its name from then on, or no longer. The look that follows has the last word. */
  #setRunning(containerId: string, running: boolean): void {
    this.#told.set(containerId, { turn: ++this.#turn, running });
    const endpoints = this.#endpointsOf(containerId);
    const changed = endpoints.filter((endpoint) => endpoint.running !== running);
    for (const endpoint of changed) this.#endpoints.set(endpoint.endpointId, { ...endpoint, running });
    for (const endpoint of endpoints) this.#mark(endpoint.networkLocalId);
    this.#tell(new Set(changed.map(({ endpointId }) => endpointId)));
  }

  #endpointsOf(containerId: string): ContainerEndpoint[] {
    return this.all().filter((endpoint) => endpoint.containerId === containerId);
  }

  #lookSoon(localNetworkId: string): void {
    this.#dirty.add(localNetworkId);
    this.#loop.wake();
  }

  /** A look is due, but nobody waits for it. */
  #mark(localNetworkId: string): void {
    this.#dirty.add(localNetworkId);
    this.#cancelSettle ??= this.#modules.clock.after(this.#settleMs, () => {
      this.#cancelSettle = undefined;
      this.#loop.wake();
    });
  }

  #isTwin(localNetworkId: string): boolean {
    return this.#modules.networks().some((mapping) => mapping.localId === localNetworkId);
  }

  /** Looks at what is marked, and every `auditMs` at everything. What was marked may have been looked at since. Never throws. */
  async #pass(signal: AbortSignal): Promise<boolean> {
    const twins = this.#modules.networks().map((mapping) => mapping.localId);
    const nowMs = this.#modules.clock.monotonic();
    const audits = nowMs - this.#auditedAtMs >= this.#auditMs;
    if (audits) this.#aliases.verify();
    const full = this.#everything || audits;
    if (full) this.#auditedAtMs = nowMs;
    const marked = full ? [...twins, ...this.#dirty] : [...this.#dirty];
    this.#everything = false;
    this.#dirty.clear();
    this.#forgetNetworks(new Set(twins));
    const networks = new Set(marked);
    const turn = ++this.#turn;
    try {
      const containers = networks.size === 0 ? [] : await this.#containers({ signal });
      if (full) this.#retain(new Set(containers.map((container) => container.Id)));
      for (const id of [...networks]) if (await this.#look(id, containers, turn, { signal })) networks.delete(id);
      for (const id of networks) this.#dirty.add(id);
      return networks.size === 0;
    } catch (error) {
      for (const id of networks) this.#dirty.add(id);
      this.#modules.log.debug({ error: messageOf(error) }, 'container names not read');
      return false;
    }
  }

  #retain(containerIds: ReadonlySet<string>): void {
    this.#aliases.retain(containerIds);
    for (const id of this.#told.keys()) if (!containerIds.has(id)) this.#told.delete(id);
  }

  async #containers(options: CallOptions = {}): Promise<Docker.ContainerInfo[]> {
    return await this.#modules.engine.call((docker) => docker.listContainers({ all: true }), options);
  }

  /**
   * Reads what needs no lock and tells it at once. Aliases that are not known are read beside it, since the engine may
   * hold that back for as long as a start takes. @returns true when nothing was missing.
   */
  async #look(
    localNetworkId: string,
    containers: readonly Docker.ContainerInfo[],
    turn: number,
    options: CallOptions = {},
  ): Promise<boolean> {
    const network = await this.#inspectNetwork(localNetworkId, options);
    // A later look has answered before this one.
    if ((this.#looked.get(localNetworkId) ?? 0) > turn) return true;
    this.#looked.set(localNetworkId, turn);
    if (network === undefined) {
      this.#replace(localNetworkId, []);
      return true;
    }
    const endpoints = endpointsOf(network, containers, (id) => this.#aliases.get(id, network.Name)).map((endpoint) => {
      const told = this.#told.get(endpoint.containerId);
      // The engine was asked before the event.
      return told !== undefined && told.turn > turn ? { ...endpoint, running: told.running } : endpoint;
    });
    this.#replace(localNetworkId, endpoints);
    const missing = endpoints.filter((endpoint) => !this.#aliases.isFresh(endpoint.containerId));
    for (const { containerId } of missing) this.#loadAliases(containerId, localNetworkId);
    return missing.length === 0;
  }

  /** A failure needs nothing here: the network stays dirty until the aliases are known. */
  #loadAliases(containerId: string, localNetworkId: string): void {
    void this.#aliases.load(containerId).then((loaded) => {
      if (loaded) this.#lookSoon(localNetworkId);
    });
  }

  async #inspectNetwork(id: string, options: CallOptions): Promise<Docker.NetworkInspectInfo | undefined> {
    try {
      return await this.#modules.engine.call(
        (docker) => docker.getNetwork(id).inspect() as Promise<Docker.NetworkInspectInfo>,
        options,
      );
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  #forgetNetworks(twins: ReadonlySet<string>): void {
    const gone = new Set(this.all().map((endpoint) => endpoint.networkLocalId));
    for (const id of twins) gone.delete(id);
    for (const id of gone) {
      this.#looked.delete(id);
      this.#replace(id, []);
    }
  }

  /** Sets the endpoints of one network and tells about those that differ. */
  #replace(localNetworkId: string, endpoints: readonly ContainerEndpoint[]): void {
    const changed = new Set<string>();
    const present = new Set(endpoints.map((endpoint) => endpoint.endpointId));
    for (const endpoint of this.all()) {
      if (endpoint.networkLocalId !== localNetworkId || present.has(endpoint.endpointId)) continue;
      this.#endpoints.delete(endpoint.endpointId);
      changed.add(endpoint.endpointId);
    }
    for (const endpoint of endpoints) {
      const known = this.#endpoints.get(endpoint.endpointId);
      if (known !== undefined && sameEndpoint(known, endpoint)) continue;
      this.#endpoints.set(endpoint.endpointId, endpoint);
      changed.add(endpoint.endpointId);
    }
    this.#tell(changed);
  }

  #tell(changed: ReadonlySet<string>): void {
    if (changed.size > 0) for (const listener of [...this.#listeners]) listener(changed);
  }
}
