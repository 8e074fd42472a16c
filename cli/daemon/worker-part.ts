import path from 'node:path';
import { Agent } from '../../worker/agent/agent.ts';
import type { SwarmFacts } from '../../worker/agent/swarm-facts.ts';
import { ContainerNames, DEFAULT_CONTAINER_NAMES_OPTIONS } from '../../worker/docker/container-names.ts';
import { DEFAULT_CONTAINER_CONTROLLER_OPTIONS } from '../../worker/docker/container-controller.ts';
import { describeNode } from '../../worker/docker/describe-node.ts';
import { DockerExecutor } from '../../worker/docker/docker-executor.ts';
import { DEFAULT_IMAGE_PULLER_OPTIONS, ImagePuller } from '../../worker/docker/image-puller.ts';
import { DEFAULT_LOCAL_NETWORKS_OPTIONS, LocalNetworks } from '../../worker/docker/local-networks.ts';
import { TaskError } from '../../worker/exec/controller.ts';
import { EndpointGossip } from '../../worker/gossip/endpoint-gossip.ts';
import type { Members, MemberState } from '../../worker/gossip/members.ts';
import { CertificateRenewer } from '../../worker/identity/certificate-renewer.ts';
import type { Identity } from '../../worker/identity/identity.ts';
import type { IdentityStore } from '../../worker/identity/identity-store.ts';
import { Tunnel } from '../../worker/network/encryption/tunnel.ts';
import { TunnelRotation } from '../../worker/network/encryption/tunnel-rotation.ts';
import { inventoryOf, type EngineInventory, type InspectedNetwork } from '../../worker/network/engine-inventory.ts';
import type { PluginServer } from '../../worker/network/plugin/plugin-server.ts';
import { SandboxBinding } from '../../worker/network/sandbox/sandbox-binding.ts';
import { SandboxSet } from '../../worker/network/sandbox/sandbox-set.ts';
import { MemberGuard } from '../../worker/network/guard/member-guard.ts';
import { guardFamily } from '../../worker/network/guard/member-ruleset.ts';
import { LinuxGuard } from '../../worker/network/system/linux-guard.ts';
import { LinuxTunnel } from '../../worker/network/system/linux-tunnel.ts';
import { ENCRYPTION_PLUGIN, isEncrypted } from '../../proto/objects/tunnel.ts';
import type { Question } from '../../proto/objects/diagnosis/question.ts';
import { isTerminal } from '../../proto/objects/task-state.ts';
import { messageOf, WaggleError } from '../../proto/runtime/errors.ts';
import { WorkerNetwork } from '../../worker/network/worker-network.ts';
import type { Clock } from '../../proto/runtime/clock.ts';
import { firstFound } from '../../proto/runtime/first-found.ts';
import { type Startable, startAll, stopAll } from '../../proto/runtime/lifecycle.ts';
import type { Log } from '../../proto/runtime/log.ts';
import type { Random } from '../../proto/runtime/random.ts';
import type { EngineSide } from './engine-side.ts';
import { splitHostPort } from './addresses.ts';
import type { MemberConfig } from './member-config.ts';
import { checkDataPathPort } from './preflight.ts';

const GOSSIP_PORT = 7946;
/** As long as Docker's join waits for a manager. */
const FIRST_FACTS_MS = 20_000;
const TWIN_OPTION = 'waggle.network';

export interface WorkerPartOptions {
  dataDir: string;
  execRoot: string;
  member: MemberConfig;
  /** Managers to begin with, host:port. */
  managers: readonly string[];
}

export interface WorkerPartModules {
  identity: Identity;
  identityStore: IdentityStore;
  engineSide: EngineSide;
  plugin: PluginServer;
  clock: Clock;
  random: Random;
  log: Log;
}

/**
 * The worker's half of a node in a swarm: identity and agent, the engine's twins of swarm networks, overlay, gossip and
 * resolver. Parts are started so that each finds what it stands on, and stopped in reverse.
 */
export class WorkerPart implements Startable {
  readonly agent: Agent;
  readonly networks: LocalNetworks;
  readonly #options: WorkerPartOptions;
  readonly #modules: WorkerPartModules;
  readonly #executor: DockerExecutor;
  readonly #names: ContainerNames;
  readonly #gossip: EndpointGossip;
  readonly #resolver: SandboxSet;
  readonly #tunnel: Tunnel;
  readonly #tunnelRotation: TunnelRotation;
  readonly #renewer: CertificateRenewer;
  #network: WorkerNetwork | undefined;
  #guard: MemberGuard | undefined;
  #started: Startable[] = [];
  readonly #unsubscribes: (() => void)[] = [];

  constructor(options: WorkerPartOptions, modules: WorkerPartModules) {
    this.#options = options;
    this.#modules = modules;
    const { clock, random, log, identity, engineSide } = modules;
    const shared = { clock, random, log, engine: engineSide.engine, events: engineSide.events };
    const { host } = options.member.advertise;
    this.#executor = new DockerExecutor(
      { ...DEFAULT_CONTAINER_CONTROLLER_OPTIONS, nodeId: identity.nodeId },
      {
        ...shared,
        images: new ImagePuller(DEFAULT_IMAGE_PULLER_OPTIONS, shared),
        networks: { ensure: (networkId) => this.#ensureNetwork(networkId) },
      },
    );
    this.#renewer = new CertificateRenewer({
      ...shared,
      identity,
      store: modules.identityStore,
      managers: () => this.agent.managers,
    });
    this.#tunnel = new Tunnel(
      { nodeId: identity.nodeId, folder: path.join(options.execRoot, 'tunnel') },
      { ...shared, kernel: new LinuxTunnel(shared) },
    );
    this.#tunnelRotation = new TunnelRotation({
      ...shared,
      rotate: async () => {
        await this.#tunnel.rotateKey();
        this.agent.registerAnew();
      },
    });
    this.agent = new Agent(
      {
        dataDir: options.dataDir,
        managers: options.managers,
        advertiseAddress: host,
        dataPathAddress: options.member.dataPathAddress,
        gossipAddress: `${host}:${GOSSIP_PORT}`,
      },
      {
        ...shared,
        identity,
        executor: this.#executor,
        describe: (signal) =>
          describeNode(engineSide.engine, this.#tunnel.publicKey === '' ? [] : [ENCRYPTION_PLUGIN], signal),
        tunnelKey: () => this.#tunnel.publicKey,
        renew: () => this.#renewer.renewNow(),
        answer: (question) => this.#diagnose(question),
        managerWatch: {
          isMissed: (nodeId) => isMissed(this.members.get(nodeId)?.state),
          onChange: (listener) => this.members.onChange(listener),
        },
      },
    );
    const { assigned } = this.agent.tasks;
    this.networks = new LocalNetworks(DEFAULT_LOCAL_NETWORKS_OPTIONS, { ...shared, assigned });
    this.#names = new ContainerNames(DEFAULT_CONTAINER_NAMES_OPTIONS, {
      ...shared,
      networks: () => this.networks.mappings(),
    });
    this.#gossip = new EndpointGossip({ nodeId: identity.nodeId, bindAddress: host, port: GOSSIP_PORT }, shared);
    this.#resolver = new SandboxSet({ table: this.#gossip, clock, log });
  }

  /** Who lives, by gossip. */
  get members(): Members {
    return this.#gossip.members;
  }

  /**
   * Resolves once a manager has told this node of the swarm, now or in an earlier life.
   * @throws WaggleError deadline-exceeded when none does within 20 s; then nothing is left running.
   */
  async start(): Promise<void> {
    try {
      this.#tunnel.onCapability(() => this.agent.registerAnew());
      await this.#begin(this.#tunnel, this.#gossip, this.#resolver, this.agent);
      const facts = await this.#firstFacts();
      checkDataPathPort(facts.cluster.DataPathPort);
      const network = this.#makeNetwork(facts);
      this.#network = network;
      await this.#begin(this.#names, network);
      // The engine's calls need the endpoints of an earlier life, and making twins needs the engine's calls.
      this.#follow(network);
      await this.#begin(this.networks, this.#renewer);
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  /** Containers go on running and talking. */
  async stop(): Promise<void> {
    this.#modules.plugin.setBackend(undefined);
    this.#network = undefined;
    this.#guard = undefined;
    this.#tunnelRotation.stop();
    for (const unsubscribe of this.#unsubscribes.splice(0)) unsubscribe();
    await stopAll(this.#started.splice(0));
  }

  /** For leaving the swarm: tasks, their containers, twins, overlays and every record are gone when it resolves. */
  async leave(): Promise<void> {
    await this.agent.leave();
    await this.#executor.removeAll();
    await this.networks.stop();
    await this.networks.purge();
    await this.#network?.purge();
    this.#gossip.leave();
    await this.stop();
  }

  async #begin(...parts: readonly Startable[]): Promise<void> {
    await startAll(parts);
    this.#started.push(...parts);
  }

  /** Ties the parts together: each change of one is told to those that depend on it. */
  #follow(network: WorkerNetwork): void {
    const { assigned } = this.agent.tasks;
    const binding = new SandboxBinding({ sandboxes: this.#resolver, endpoints: () => network.endpoints(), assigned });
    const sync = (): void => {
      binding.sync().catch((error: unknown) => {
        this.#modules.log.warn({ error: messageOf(error) }, 'names are not resolved in every container yet');
      });
    };
    const { events } = this.#modules.engineSide;
    this.#unsubscribes.push(
      this.agent.onFacts((facts) => this.#learn(facts)),
      assigned.onChange(() => {
        this.networks.wake();
        sync();
      }),
      this.networks.onChange(() => this.#names.wake()),
      network.onEndpoint(sync),
      this.agent.onTaskStatus(() => network.refreshNames()),
      events.subscribe({ event: () => undefined, resync: () => network.engineReconnected() }),
    );
    this.#modules.plugin.setBackend(binding.wrap(network.backend));
    // Containers of an earlier life.
    sync();
  }

  /** A task for whose network this host can do nothing ends before it has a container. */
  async #ensureNetwork(networkId: string): Promise<string> {
    const network = this.agent.tasks.assigned.networks.get(networkId);
    if (network === undefined || !isEncrypted(network)) return this.networks.ensure(networkId);
    try {
      this.#tunnel.assertAble();
    } catch (error) {
      throw new TaskError(messageOf(error), { temporary: false, cause: error });
    }
    return this.networks.ensure(networkId);
  }

  async #firstFacts(): Promise<SwarmFacts> {
    const { agent } = this;
    const within = { waitMs: FIRST_FACTS_MS, clock: this.#modules.clock };
    const facts = await firstFound(
      within,
      () => agent.facts,
      (changed) => agent.onFacts(changed),
    );
    if (facts !== undefined) return facts;
    const { connectivity } = agent;
    const why = connectivity.connected ? 'it told nothing of the swarm' : connectivity.error;
    throw new WaggleError('deadline-exceeded', `Timeout was reached before node joined: ${why}`);
  }

  #learn(facts: SwarmFacts): void {
    const others = facts.gossipPeers.filter((peer) => peer.nodeId !== this.#modules.identity.nodeId);
    this.#gossip.setPeers(others.map(({ nodeId, address }) => ({ nodeId, ...splitHostPort(address) })));
    const keys = facts.keys.filter((key) => key.subsystem === 'networking:gossip');
    this.#gossip.setKeys(keys.map(({ tag, key }) => ({ tag, key: Buffer.from(key, 'base64') })));
    const hasMoved = this.#tunnel.learn({
      address: facts.node.Tunnel?.Address,
      dataPathPort: facts.cluster.DataPathPort,
      members: facts.tunnelPeers ?? [],
    });
    this.#guard?.learn(facts.dataPathAddresses ?? []);
    if (hasMoved) this.#network?.refreshNames();
    this.#tunnelRotation.learn(Math.max(0, ...keys.map(({ tag }) => tag)));
  }

  #makeNetwork({ cluster: { DataPathPort: dataPathPort }, dataPathAddresses = [] }: SwarmFacts): WorkerNetwork {
    const { clock, random, log } = this.#modules;
    const { tasks, leases } = this.agent;
    const { dataPathAddress } = this.#options.member;
    const kernel = new LinuxGuard(guardFamily(dataPathAddress));
    const guard = new MemberGuard({ vtep: dataPathAddress, port: dataPathPort }, { kernel, clock, random, log });
    guard.learn(dataPathAddresses);
    this.#guard = guard;
    return new WorkerNetwork(
      {
        dataDir: this.#options.dataDir,
        execRoot: this.#options.execRoot,
        dataPathAddress,
        dataPathPort,
      },
      {
        assigned: tasks.assigned,
        leases,
        endpointTable: this.#gossip,
        containerNames: this.#names,
        tunnel: this.#tunnel,
        guard,
        inventory: () => this.#inventory(),
        sandboxOf: (containerId) => this.#sandboxOf(containerId),
        reportAddresses: (held, isKnown) => leases.report(held, isKnown),
        isTaskReady: (task) => tasks.statusOf(task.ID)?.State === 'running' && !isTerminal(task.DesiredState),
        clock,
        random,
        log,
      },
    );
  }

  async #diagnose(question: Question): Promise<unknown> {
    if (this.#network !== undefined) return this.#network.diagnose(question);
    throw new WaggleError('unavailable', 'the node is still taking up its networks');
  }

  async #sandboxOf(containerId: string): Promise<string> {
    const { engine } = this.#modules.engineSide;
    const { NetworkSettings } = await engine.call((docker) => docker.getContainer(containerId).inspect());
    return NetworkSettings.SandboxKey ?? '';
  }

  async #inventory(): Promise<EngineInventory> {
    const { engine } = this.#modules.engineSide;
    const twins = await engine.call((docker) =>
      docker.listNetworks({ filters: { driver: [DEFAULT_LOCAL_NETWORKS_OPTIONS.driver] } }),
    );
    const inspected = await Promise.all(
      twins.map(({ Id }) => engine.call((docker) => docker.getNetwork(Id).inspect() as Promise<unknown>)),
    );
    return inventoryOf(inspected as InspectedNetwork[], TWIN_OPTION);
  }
}

function isMissed(state: MemberState | undefined): boolean {
  return state !== undefined && state !== 'alive';
}
