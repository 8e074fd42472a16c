import type { TaskObject } from '../../proto/objects/task.ts';
import type { Clock } from '../../proto/runtime/clock.ts';
import { messageOf, WaggleError } from '../../proto/runtime/errors.ts';
import type { Startable } from '../../proto/runtime/lifecycle.ts';
import type { Log } from '../../proto/runtime/log.ts';
import type { Random } from '../../proto/runtime/random.ts';
import type { AssignedNetwork, AssignedState } from '../network/assigned-network.ts';
import type { TwinNetworks } from './container-controller.ts';
import { isNotFound } from './engine-error.ts';
import type { CallOptions, Engine } from './engine.ts';
import type { EngineEvents } from './events.ts';
import { type NetworkMapping, planNetworks, twinOf } from './network-plan.ts';
import { ReconcileLoop, type ReconcileLoopOptions } from './reconcile-loop.ts';

export interface LocalNetworksOptions extends ReconcileLoopOptions {
  /** Name of the network and IPAM driver. */
  driver: string;
}

export const DEFAULT_LOCAL_NETWORKS_OPTIONS: LocalNetworksOptions = {
  driver: 'waggle',
  auditMs: 30_000,
  backoff: { minMs: 200, maxMs: 10_000, factor: 2, jitter: 0.3 },
};

export interface LocalNetworksModules {
  assigned: AssignedState;
  engine: Engine;
  events: EngineEvents;
  clock: Clock;
  random: Random;
  log: Log;
}

/**
 * The engine's twins of swarm networks: a network of the plugin's driver and of the same name for each assigned
 * network that this node needs (attachable ones always, others while a task of this node is attached). What is not
 * needed any more is removed as soon as the engine lets it go. Compared again on every change, after each reconnect,
 * and every `auditMs`; what failed is tried again.
 */
export class LocalNetworks implements Startable, TwinNetworks {
  readonly #options: LocalNetworksOptions;
  readonly #modules: LocalNetworksModules;
  readonly #loop: ReconcileLoop;
  readonly #listeners = new Set<() => void>();
  #unsubscribe: (() => void) | undefined;
  #mappings: readonly NetworkMapping[] = [];
  /** An event has told of a change since the engine was last asked, or may have been missed. */
  #changed = true;
  #errors: ReadonlyMap<string, string> = new Map();
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: LocalNetworksOptions, modules: LocalNetworksModules) {
    this.#options = options;
    this.#modules = { ...modules, log: modules.log.child({ module: 'worker/docker' }) };
    this.#loop = new ReconcileLoop(options, { ...modules, pass: (signal) => this.#pass(signal) });
  }

  /** Does not wait for the engine. */
  async start(): Promise<void> {
    this.#unsubscribe = this.#modules.events.subscribe({
      event: ({ type, action }) => {
        if (type !== 'network') return;
        const isChange = ['create', 'destroy', 'remove'].includes(action);
        this.#changed ||= isChange;
        // `disconnect` is what a network that is to go has been waiting for.
        if (isChange || action === 'disconnect') this.#loop.wake();
      },
      resync: () => {
        this.#changed = true;
        this.#loop.wake();
      },
    });
    await this.#loop.start();
  }

  async stop(): Promise<void> {
    this.#unsubscribe?.();
    this.#unsubscribe = undefined;
    await this.#loop.stop();
  }

  /** To be called when the assigned state has changed. */
  wake(): void {
    this.#loop.wake();
  }

  /** As of the last look at the engine; may be a moment old. */
  mappings(): readonly NetworkMapping[] {
    return this.#mappings;
  }

  /** Swarm network ID to why its twin could not be made; empty when all is well. */
  errors(): ReadonlyMap<string, string> {
    return this.#errors;
  }

  /** Called after mappings() has changed. @returns the unsubscribe. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Makes the twin now if it is not there; asks the engine only when it may be another than at the last look.
   * @throws WaggleError not-found (not assigned to this node), failed-precondition (a stranger has the name), or the
   * engine's refusal.
   */
  ensure(networkId: string): Promise<string> {
    return this.#exclusively(async () => {
      const network = this.#modules.assigned.networks.get(networkId);
      if (network === undefined) throw new WaggleError('not-found', `network ${networkId} not found`);
      if (this.#isThere(network)) return network.Spec.Name;
      const plan = planNetworks([network], await this.#observe(), this.#options.driver);
      const conflict = plan.conflicts.get(networkId);
      if (conflict !== undefined) throw new WaggleError('failed-precondition', conflict);
      // An old twin that holds the name has to go first; others are the reconciler's.
      for (const each of plan.remove) if (each.name === network.Spec.Name) await this.#remove(each);
      const [known] = plan.mappings;
      if (known === undefined) this.#replace([...this.#mappings, await this.#create(network)]);
      return network.Spec.Name;
    });
  }

  /** Removes every twin, for leaving a swarm; containers on it go on without. @throws the first failure, after trying all. */
  purge(): Promise<void> {
    return this.#exclusively(async () => {
      const { remove } = planNetworks([], await this.#observe(), this.#options.driver);
      const results = await Promise.allSettled(remove.map((mapping) => this.#evict(mapping)));
      this.#replace([]);
      for (const result of results) if (result.status === 'rejected') throw result.reason as Error;
    });
  }

  /** One look at the engine and what follows from it. Never throws. @returns true when nothing is left to do. */
  #pass(signal: AbortSignal): Promise<boolean> {
    return this.#exclusively(async () => {
      try {
        return await this.#reconcile(signal);
      } catch (error) {
        this.#modules.log.debug({ error: messageOf(error) }, 'networks not compared');
        return false;
      }
    });
  }

  async #reconcile(signal: AbortSignal): Promise<boolean> {
    const needed = neededNetworks(this.#modules.assigned);
    const plan = planNetworks(needed, await this.#observe({ signal }), this.#options.driver);
    const errors = new Map(plan.conflicts);
    let clean = true;
    for (const mapping of plan.remove) clean = (await this.#try(() => this.#remove(mapping), mapping.name)) && clean;
    const mappings = [...plan.mappings];
    for (const network of plan.create) {
      const note = (message: string): unknown => errors.set(network.ID, message);
      clean =
        (await this.#try(async () => mappings.push(await this.#create(network)), network.Spec.Name, note)) && clean;
    }
    this.#report(errors);
    this.#replace(mappings);
    return clean && errors.size === 0;
  }

  async #try(change: () => Promise<unknown>, network: string, note?: (message: string) => void): Promise<boolean> {
    try {
      await change();
      return true;
    } catch (error) {
      note?.(messageOf(error));
      this.#modules.log.debug({ network, error: messageOf(error) }, 'network not changed');
      return false;
    }
  }

  #isThere({ ID, Spec }: AssignedNetwork): boolean {
    // Before `start` nobody tells of changes.
    if (this.#unsubscribe === undefined || this.#changed || !this.#modules.events.connected) return false;
    return this.#mappings.some(({ clusterId, name }) => clusterId === ID && name === Spec.Name);
  }

  async #observe(options: CallOptions = {}): Promise<Parameters<typeof planNetworks>[1]> {
    this.#changed = false;
    try {
      return await this.#modules.engine.call((docker) => docker.listNetworks(), options);
    } catch (error) {
      this.#changed = true;
      throw error;
    }
  }

  async #create(network: AssignedNetwork): Promise<NetworkMapping> {
    const body = twinOf(network, this.#options.driver);
    const created = await this.#modules.engine.call((docker, abortSignal) =>
      docker.createNetwork({ ...body, abortSignal }),
    );
    this.#modules.log.info({ network: network.Spec.Name, id: network.ID }, 'network made in the engine');
    return { localId: created.id, clusterId: network.ID, name: network.Spec.Name };
  }

  /** Tasks have ended by now: whoever is still there is a container of the user's. */
  async #evict(mapping: NetworkMapping): Promise<void> {
    for (const Container of await this.#containersOn(mapping)) {
      try {
        await this.#modules.engine.call((docker, abortSignal) =>
          docker.getNetwork(mapping.localId).disconnect({ Container, Force: true, abortSignal }),
        );
      } catch (error) {
        if (!isNotFound(error)) throw error;
      }
    }
    await this.#remove(mapping);
  }

  async #containersOn(mapping: NetworkMapping): Promise<string[]> {
    try {
      const network = await this.#modules.engine.call((docker) => docker.getNetwork(mapping.localId).inspect());
      return Object.keys(network.Containers ?? {});
    } catch (error) {
      if (isNotFound(error)) return [];
      throw error;
    }
  }

  async #remove(mapping: NetworkMapping): Promise<void> {
    try {
      await this.#modules.engine.call((docker) => docker.getNetwork(mapping.localId).remove() as Promise<unknown>);
      this.#modules.log.info({ network: mapping.name, id: mapping.clusterId }, 'network removed from the engine');
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }

  #report(errors: ReadonlyMap<string, string>): void {
    for (const [id, error] of errors) {
      if (this.#errors.get(id) !== error) this.#modules.log.warn({ network: id, error }, 'network cannot be made');
    }
    this.#errors = errors;
  }

  #replace(mappings: readonly NetworkMapping[]): void {
    const before = textOf(this.#mappings);
    this.#mappings = mappings;
    if (textOf(mappings) !== before) for (const listener of [...this.#listeners]) listener();
  }

  /** One change at a time: two creations of one name would both succeed. */
  #exclusively<T>(run: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(run);
    this.#turn = result.catch(() => undefined);
    return result;
  }
}

/** Pure: the assigned networks that must exist in this node's engine. */
export function neededNetworks(assigned: AssignedState): AssignedNetwork[] {
  const used = new Set([...assigned.tasks.values()].flatMap(networksOf));
  return [...assigned.networks.values()].filter((network) => network.Spec.Attachable === true || used.has(network.ID));
}

function networksOf(task: TaskObject): string[] {
  return (task.NetworksAttachments ?? []).map((attachment) => attachment.NetworkID);
}

function textOf(mappings: readonly NetworkMapping[]): string {
  return mappings
    .map((each) => `${each.localId} ${each.clusterId} ${each.name}`)
    .toSorted()
    .join('\n');
}
