import type { BackoffOptions } from '../../proto/runtime/backoff.ts';
import type { CancelTimer, Clock } from '../../proto/runtime/clock.ts';
import { messageOf } from '../../proto/runtime/errors.ts';
import type { Startable } from '../../proto/runtime/lifecycle.ts';
import type { Log } from '../../proto/runtime/log.ts';
import { RepairLoop } from '../../proto/runtime/repair-loop.ts';
import { Absences } from './absences.ts';
import type { EngineEndpoint, EngineInventory } from './engine-inventory.ts';
import type { Endpoints } from './endpoints.ts';
import type { LeaseBook } from './ipam/lease-book.ts';
import type { KnownNetworks } from './known-networks.ts';
import { isMac, macOf, withoutPrefix } from './overlay/address.ts';

const EVERY_MS = 30_000;
/** What the engine does not list must still be missing this much later: it may be just being made. */
const CONFIRM_MS = 10_000;
const BACKOFF: BackoffOptions = { minMs: 1_000, maxMs: 30_000, factor: 2, jitter: 0 };

export interface NetworkReconcilerModules {
  /** What the engine has. Must fail, and not be empty, when the engine cannot be asked. */
  inventory(): Promise<EngineInventory>;
  /** Path of a container's network namespace; empty for one that does not run. */
  sandboxOf(containerId: string): Promise<string>;
  endpoints: Endpoints;
  networks: KnownNetworks;
  leases: LeaseBook;
  /** Takes the endpoint down (plugin/network-driver.ts removeEndpoint). */
  remove(endpointId: string): Promise<void>;
  /** Takes up the data path of an endpoint that lives (Overlays.resume). */
  resume(networkId: string): Promise<void>;
  /** Every endpoint that the engine has is known now, save on these networks (Overlays.trust). */
  trust(unknown: ReadonlySet<string>): void;
  /** Called after each comparison, with all that the engine has. */
  compared(inventory: EngineInventory): void;
  clock: Clock;
  log: Log;
}

/**
 * Compares our networks and endpoints with the engine's, since calls get lost: the engine may have died, or we. What the engine has
 * not had twice, 10 s apart, is taken down and its address given back; what it has and we do not is taken up again.
 */
export class NetworkReconciler implements Startable {
  readonly #modules: NetworkReconcilerModules;
  readonly #log: Log;
  readonly #absentEndpoints = new Absences(CONFIRM_MS);
  readonly #absentNetworks = new Absences(CONFIRM_MS);
  readonly #loop: RepairLoop;
  #cancelNext: CancelTimer | undefined;
  #stopped = true;

  constructor(modules: NetworkReconcilerModules) {
    this.#modules = modules;
    this.#log = modules.log.child({ module: 'worker/network' });
    this.#loop = new RepairLoop({
      backoff: BACKOFF,
      clock: modules.clock,
      random: () => 0,
      pass: () => this.#pass(),
      failed: (error) => this.#log.debug({ error }, 'endpoints could not be compared with the engine'),
    });
  }

  /** The first comparison begins now and is not waited for: the engine may be down. */
  start(): Promise<void> {
    this.#stopped = false;
    this.wake();
    return Promise.resolve();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancelNext?.();
    await this.#loop.stop();
  }

  /** Compares now: the engine has come back. */
  wake(): void {
    if (!this.#stopped) this.#loop.refresh();
  }

  async #pass(): Promise<void> {
    this.#cancelNext?.();
    const delayMs = await this.#compare();
    if (!this.#stopped) this.#cancelNext = this.#modules.clock.after(delayMs, () => this.#loop.refresh());
  }

  /** @returns when to come again. */
  async #compare(): Promise<number> {
    const { endpoints } = this.#modules;
    // What the engine has us delete meanwhile may be in its answer, and would be taken up as a ghost that keeps its address.
    const deleted = new Set<string>();
    const unsubscribe = endpoints.onChange((_, endpointId) => {
      if (endpoints.get(endpointId) === undefined) deleted.add(endpointId);
    });
    try {
      const before = this.#known();
      const networksBefore = new Set(this.#modules.networks.locals().map(({ localNetworkId }) => localNetworkId));
      const inventory = await this.#modules.inventory();
      await this.#adoptNetworks(inventory, networksBefore);
      const unknown = new Set<string>();
      for (const endpoint of inventory.endpoints) {
        if (deleted.has(endpoint.endpointId)) continue;
        if (!(await this.#adopt(endpoint))) unknown.add(endpoint.networkId);
      }
      this.#modules.trust(unknown);
      await this.#removeEndpoints(before, inventory);
      this.#removeNetworks(networksBefore, inventory);
      this.#modules.compared(inventory);
      const missing = this.#absentEndpoints.size + this.#absentNetworks.size;
      return missing + unknown.size > 0 ? CONFIRM_MS : EVERY_MS;
    } finally {
      unsubscribe();
    }
  }

  /** Endpoints, and those that only a lease remembers: the call that should have given it back was lost. */
  #known(): Set<string> {
    const leased = this.#modules.leases.all().flatMap(({ endpointId }) => endpointId ?? []);
    return new Set([...this.#modules.endpoints.all().map(({ endpointId }) => endpointId), ...leased]);
  }

  /** One that we had before the engine was asked, and have no more, was deleted meanwhile. */
  async #adoptNetworks(inventory: EngineInventory, before: ReadonlySet<string>): Promise<void> {
    for (const { localNetworkId, networkId } of inventory.networks) {
      if (before.has(localNetworkId) || this.#modules.networks.local(localNetworkId) !== undefined) continue;
      const facts = this.#modules.networks.facts(networkId);
      if (facts !== undefined) await this.#modules.networks.put({ localNetworkId, facts });
    }
  }

  /** @returns false when its network is not known, or not yet. */
  async #adopt(found: EngineEndpoint): Promise<boolean> {
    const { endpoints, leases, networks } = this.#modules;
    const known = endpoints.get(found.endpointId);
    if (known !== undefined) {
      const sandboxKey = known.state === 'joined' && known.sandboxKey === '' ? await this.#sandboxKey(found) : '';
      if (sandboxKey !== '' && endpoints.get(found.endpointId) === known) await endpoints.put({ ...known, sandboxKey });
      return true;
    }
    if (networks.facts(found.networkId) === undefined) return false;
    const lease = leases.find(found.networkId, found.address);
    const { containerId: _, ...endpoint } = found;
    const mac = isMac(found.mac) ? found.mac : macOf(withoutPrefix(found.address));
    await endpoints.put({
      ...endpoint,
      mac,
      sandboxKey: await this.#sandboxKey(found),
      state: 'joined',
      ...(lease === undefined ? {} : { leaseReference: lease.reference }),
    });
    await this.#modules.resume(found.networkId);
    this.#log.info({ endpoint: found.endpointId, network: found.networkId }, 'took up an endpoint of the engine');
    return true;
  }

  /** What cannot be found out now is asked again at the next comparison. */
  async #sandboxKey({ endpointId, containerId }: EngineEndpoint): Promise<string> {
    return this.#modules.sandboxOf(containerId).catch((error: unknown) => {
      this.#log.debug({ endpoint: endpointId, error: messageOf(error) }, 'namespace of a container is not known yet');
      return '';
    });
  }

  async #removeEndpoints(before: ReadonlySet<string>, inventory: EngineInventory): Promise<void> {
    const listed = new Set(inventory.endpoints.map((endpoint) => endpoint.endpointId));
    const known = this.#known();
    const missing = [...before].filter((endpointId) => !listed.has(endpointId) && known.has(endpointId));
    const gone = this.#absentEndpoints.gone(missing, this.#modules.clock.monotonic());
    for (const endpointId of gone) await this.#remove(endpointId);
  }

  /** What the engine lists has been inspected as ours: an answer that lacks a network that could not be inspected is no answer. */
  #removeNetworks(before: ReadonlySet<string>, inventory: EngineInventory): void {
    const { networks, clock } = this.#modules;
    const listed = new Set(inventory.networks.map(({ localNetworkId }) => localNetworkId));
    const missing = [...before].filter(
      (localNetworkId) => !listed.has(localNetworkId) && networks.local(localNetworkId),
    );
    for (const localNetworkId of this.#absentNetworks.gone(missing, clock.monotonic())) {
      this.#log.info({ network: localNetworkId }, 'forgetting a network that the engine has lost');
      networks.remove(localNetworkId);
    }
  }

  async #remove(endpointId: string): Promise<void> {
    const { leases } = this.#modules;
    this.#log.info({ endpoint: endpointId }, 'taking down an endpoint that the engine has lost');
    await this.#modules.remove(endpointId);
    for (const lease of leases.all()) {
      if (lease.endpointId === endpointId) leases.release(lease.networkId, lease.address);
    }
  }
}
