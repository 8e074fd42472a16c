import path from 'node:path';
import type { Question } from '../../proto/objects/diagnosis/question.ts';
import { newId } from '../../proto/objects/naming.ts';
import type { TaskObject } from '../../proto/objects/task.ts';
import type { Clock } from '../../proto/runtime/clock.ts';
import { messageOf } from '../../proto/runtime/errors.ts';
import type { Startable } from '../../proto/runtime/lifecycle.ts';
import type { Log } from '../../proto/runtime/log.ts';
import type { Random } from '../../proto/runtime/random.ts';
import type { EndpointTable } from '../gossip/endpoint-table.ts';
import { FileTable } from '../storage/file-table.ts';
import type { AddressLeases, AssignedState } from './assigned-network.ts';
import { claimTime } from './claim-time.ts';
import { NetworkDiagnosis } from './diagnosis/network-diagnosis.ts';
import { type ContainerNames, EndpointNames, isRunningTask } from './endpoint-names.ts';
import { EndpointPublisher } from './endpoint-publisher.ts';
import { Endpoints, type EndpointsListener } from './endpoints.ts';
import type { EngineInventory } from './engine-inventory.ts';
import type { Tunnel } from './encryption/tunnel.ts';
import type { MemberGuard } from './guard/member-guard.ts';
import { ipamHandlers } from './ipam/ipam-driver.ts';
import { LeaseBook } from './ipam/lease-book.ts';
import { KnownNetworks } from './known-networks.ts';
import { isConnected, type LocalNetworkEndpoint } from './local-endpoint.ts';
import { NetworkReconciler } from './network-reconciler.ts';
import { withoutPrefix } from './overlay/address.ts';
import type { OverlayKernel } from './overlay/overlay-kernel.ts';
import { Overlays } from './overlay/overlays.ts';
import { networkHandlers, removeEndpoint } from './plugin/network-driver.ts';
import type { PluginBackend } from './plugin/plugin-protocol.ts';
import { LinuxKernel } from './system/linux-kernel.ts';
import { LinuxRedirects } from './system/linux-redirects.ts';

export interface WorkerNetworkOptions {
  /** Endpoints, networks and leases are kept in `network/` of it. Belongs to one membership of one swarm. */
  dataDir: string;
  /** Cleared by a restart of the host; `overlay/` of it names the namespaces that we made. */
  execRoot: string;
  /** This host's address for other hosts' VXLAN. */
  dataPathAddress: string;
  /** UDP, the same in the whole swarm. */
  dataPathPort: number;
}

export interface WorkerNetworkModules {
  assigned: AssignedState & { onChange(listener: () => void): () => void };
  leases: AddressLeases;
  endpointTable: EndpointTable;
  containerNames: ContainerNames;
  /** What the engine has of our driver (engine-inventory.ts); must fail when the engine cannot be asked. */
  inventory: () => Promise<EngineInventory>;
  /**
   * Tells the manager every address that is in use here, so that it can take back the others that it has leased to
   * this node, save those whose reference is known here. Called every 30 s or so; a failure is made good by the next call.
   */
  reportAddresses?: (
    held: () => { networkId: string; address: string }[],
    isKnown: (reference: string) => boolean,
  ) => Promise<void>;
  /** Whether a task may be found under its service's name. Default: it is reported and meant as running. */
  isTaskReady?: (task: TaskObject) => boolean;
  /** For encrypted networks; the owner starts and stops it. Without one they are refused. */
  tunnel?: Tunnel;
  /** Keeps VXLAN packets from outside of the swarm out; the owner tells it who is in the swarm. Stopped with the network. */
  guard?: MemberGuard;
  /** Path of a container's network namespace, as the engine has it; empty for one that does not run. */
  sandboxOf?: (containerId: string) => Promise<string>;
  /** Default: Linux through iproute2. */
  kernel?: OverlayKernel;
  clock: Clock;
  random: Random;
  log: Log;
}

/**
 * A node's part in the swarm's networks, from joining a swarm to leaving it. The engine reaches it through
 * `backend`, which is to be given to the PluginServer once `start` has resolved, and taken from it before `stop`.
 */
export class WorkerNetwork implements Startable {
  readonly backend: PluginBackend;
  readonly #options: WorkerNetworkOptions;
  readonly #modules: WorkerNetworkModules;
  readonly #endpoints: Endpoints;
  readonly #networks: KnownNetworks;
  readonly #leases: LeaseBook;
  readonly #overlays: Overlays;
  readonly #publisher: EndpointPublisher;
  readonly #reconciler: NetworkReconciler;
  readonly #diagnosis: NetworkDiagnosis;
  readonly #unsubscribes: (() => void)[] = [];
  #running = false;

  constructor(options: WorkerNetworkOptions, modules: WorkerNetworkModules) {
    this.#options = options;
    this.#modules = modules;
    const tables = path.join(options.dataDir, 'network');
    // Containers do not outlive their host, and so neither do their endpoints and leases; a lease that is forgotten with its host is
    // given back when the node next tells the manager what it holds.
    const volatile = { sync: false };
    this.#endpoints = new Endpoints(new FileTable(path.join(tables, 'endpoints'), volatile), modules);
    this.#networks = new KnownNetworks(new FileTable(path.join(tables, 'networks')), modules);
    this.#leases = new LeaseBook(new FileTable(path.join(tables, 'leases'), volatile), {
      ...modules,
      newReference: newId,
    });
    this.#overlays = this.#makeOverlays();
    this.#publisher = this.#makePublisher();
    this.#reconciler = this.#makeReconciler();
    this.#diagnosis = this.#makeDiagnosis();
    this.backend = this.#makeBackend();
  }

  async start(): Promise<void> {
    this.#running = true;
    await Promise.all([this.#endpoints.open(), this.#networks.open(), this.#leases.open()]);
    await this.#overlays.start();
    this.#unsubscribes.push(
      this.#endpoints.onChange((networkId) => this.#overlays.refresh(networkId)),
      this.#modules.assigned.onChange(() => {
        for (const networkId of this.#connectedNetworks()) this.#overlays.refresh(networkId);
      }),
    );
    for (const networkId of this.#connectedNetworks()) await this.#overlays.resume(networkId);
    this.#publisher.start();
    await this.#reconciler.start();
  }

  /** The kernel's state stays: containers go on talking while the daemon is down. */
  async stop(): Promise<void> {
    if (!this.#running) return;
    this.#running = false;
    await this.#diagnosis.stop();
    await this.#reconciler.stop();
    this.#publisher.stop();
    for (const unsubscribe of this.#unsubscribes.splice(0)) unsubscribe();
    await this.#overlays.stop();
    await this.#modules.guard?.stop();
    this.#leases.close();
    this.#networks.close();
    this.#endpoints.close();
  }

  /**
   * Takes everything down, for a node that leaves its swarm; addresses are given back. To be called while it runs;
   * `stop` comes after. Resolves when the kernel has nothing of us left, or has refused it, which is logged.
   */
  async purge(): Promise<void> {
    await this.#reconciler.stop();
    const endpoints = this.#endpoints.all();
    for (const { endpointId } of endpoints) this.#endpoints.remove(endpointId);
    for (const lease of this.#leases.all()) this.#leases.release(lease.networkId, lease.address);
    for (const { localNetworkId } of this.#networks.locals()) this.#networks.remove(localNetworkId);
    this.#overlays.trust(new Set());
    const removals = endpoints.map((each) => this.#overlays.disconnect(each.networkId, each.endpointId));
    await Promise.allSettled(removals);
    await this.#overlays.vacate();
    await this.#modules.tunnel?.purge();
    await this.#modules.guard?.purge();
  }

  /** The engine has come back: compares with it now. */
  engineReconnected(): void {
    this.#reconciler.wake();
  }

  /** The endpoints of this node, for whoever works inside the containers. */
  endpoints(): LocalNetworkEndpoint[] {
    return this.#endpoints.all();
  }

  endpoint(endpointId: string): LocalNetworkEndpoint | undefined {
    return this.#endpoints.get(endpointId);
  }

  /** Called after an endpoint has come, changed or gone. Returns the unsubscribe. */
  onEndpoint(listener: EndpointsListener): () => void {
    return this.#endpoints.onChange(listener);
  }

  /** Says all names again; for when a task has become ready or ceased to be. */
  refreshNames(): void {
    this.#publisher.publishAll();
  }

  /** Leased addresses, in use or about to be. Without prefix length. */
  heldAddresses(): { networkId: string; address: string }[] {
    return this.#leases.all().map(({ networkId, address }) => ({ networkId, address: withoutPrefix(address) }));
  }

  /** Networks whose kernel state is not as it should be. */
  troubled(): { networkId: string; missingPorts: readonly string[] }[] {
    return this.#overlays.troubled();
  }

  /** Compares every overlay with the kernel now, and not only at the next of the regular audits. */
  audit(): Promise<void> {
    return this.#overlays.audit();
  }

  /** Answers a question of the leader (proto/objects/diagnosis). @throws WaggleError. */
  diagnose(question: Question): Promise<unknown> {
    return this.#diagnosis.answer(question);
  }

  #connectedNetworks(): Set<string> {
    return new Set(
      this.#endpoints
        .all()
        .filter(isConnected)
        .map(({ networkId }) => networkId),
    );
  }

  #makeOverlays(): Overlays {
    const { clock, random, log, endpointTable: table, tunnel, guard } = this.#modules;
    const { execRoot, dataPathAddress: vtep, dataPathPort: port } = this.#options;
    // Another kernel has other links than this host.
    const kernels =
      this.#modules.kernel === undefined
        ? { kernel: new LinuxKernel({ clock, log }), redirects: new LinuxRedirects() }
        : { kernel: this.#modules.kernel };
    return new Overlays(
      { vtep, port },
      {
        ...kernels,
        markers: new FileTable(path.join(execRoot, 'overlay'), { sync: false }),
        facts: (networkId) => this.#networks.facts(networkId),
        connected: (networkId) => this.#endpoints.onNetwork(networkId).filter(isConnected),
        endpointIds: () => this.#endpoints.all().map(({ endpointId }) => endpointId),
        table,
        ...(tunnel === undefined ? {} : { tunnel }),
        ...(guard === undefined ? {} : { guard }),
        clock,
        random,
        log,
      },
    );
  }

  #makeDiagnosis(): NetworkDiagnosis {
    const { assigned, containerNames: containers, endpointTable: table, clock } = this.#modules;
    return new NetworkDiagnosis(
      { vtep: this.#options.dataPathAddress, port: this.#options.dataPathPort },
      {
        overlays: this.#overlays,
        endpoints: () => this.#endpoints.all(),
        leases: () => this.#leases.all(),
        assigned,
        table,
        containers,
        sandboxOf: this.#modules.sandboxOf ?? (() => Promise.resolve('')),
        clock,
      },
    );
  }

  #makePublisher(): EndpointPublisher {
    const { assigned, containerNames: containers, endpointTable: table } = this.#modules;
    const isReady = this.#modules.isTaskReady ?? isRunningTask;
    const { tunnel } = this.#modules;
    const vteps = { plain: this.#options.dataPathAddress, encrypted: () => tunnel?.address };
    return new EndpointPublisher(vteps, {
      endpoints: this.#endpoints,
      names: new EndpointNames({ assigned, containers, isReady }),
      containers,
      table,
      facts: (networkId) => this.#networks.facts(networkId),
      onAssigned: (listener) => assigned.onChange(listener),
    });
  }

  #makeReconciler(): NetworkReconciler {
    const { inventory, clock, log } = this.#modules;
    const down = { endpoints: this.#endpoints, dataPath: this.#overlays, log };
    return new NetworkReconciler({
      inventory,
      sandboxOf: this.#modules.sandboxOf ?? (() => Promise.resolve('')),
      endpoints: this.#endpoints,
      networks: this.#networks,
      leases: this.#leases,
      remove: (endpointId) => removeEndpoint(down, endpointId),
      resume: (networkId) => this.#overlays.resume(networkId),
      trust: (unknown) => this.#overlays.trust(unknown),
      compared: (found) => this.#report(found),
      clock,
      log,
    });
  }

  /** Too much does no harm: the manager looks only at what it has leased. */
  #report(found: EngineInventory): void {
    const held = (): { networkId: string; address: string }[] => {
      const used = [...this.#endpoints.all(), ...found.endpoints];
      const bare = used.flatMap(({ networkId, address, address6 }) =>
        [address, address6].flatMap((each) => (each === undefined ? [] : { networkId, address: withoutPrefix(each) })),
      );
      return [...this.heldAddresses(), ...bare];
    };
    const isKnown = (reference: string): boolean => this.#leases.knows(reference);
    this.#modules.reportAddresses?.(held, isKnown).catch((error: unknown) => {
      this.#modules.log.debug({ error: messageOf(error) }, 'addresses in use are reported later');
    });
  }

  #makeBackend(): PluginBackend {
    const log = this.#modules.log.child({ module: 'worker/network' });
    const shared = { networks: this.#networks, endpoints: this.#endpoints, leases: this.#leases };
    const { assigned, containerNames: containers, endpointTable, clock } = this.#modules;
    return {
      ...ipamHandlers({ ...shared, assigned }),
      ...networkHandlers({
        ...shared,
        assigned,
        containers,
        dataPath: this.#overlays,
        claimTime: (networkId, addresses) => claimTime(endpointTable.located(networkId), addresses, clock.now()),
        log,
      }),
    };
  }
}
