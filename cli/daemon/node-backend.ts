import { rm } from 'node:fs/promises';
import path from 'node:path';
import { initCluster } from '../../manager/ca/init-cluster.ts';
import type { ControlApi } from '../../manager/controlapi/control-api.ts';
import { bindAll } from '../../manager/leaderproxy/control-operations.ts';
import { validateNewClusterSpec } from '../../manager/controlapi/validation/cluster-spec.ts';
import type {
  Backend,
  InitRequest,
  JoinRequest,
  LocalStatus,
  NetworkMapping,
} from '../../manager/engineapi/backend.ts';
import type { StoreEvent } from '../../manager/store/transaction.ts';
import type { Json } from '../../proto/objects/meta.ts';
import { backoffDelayMs, type BackoffOptions } from '../../proto/runtime/backoff.ts';
import { type Clock, sleep } from '../../proto/runtime/clock.ts';
import { messageOf, WaggleError } from '../../proto/runtime/errors.ts';
import type { Startable } from '../../proto/runtime/lifecycle.ts';
import type { Log } from '../../proto/runtime/log.ts';
import type { Random } from '../../proto/runtime/random.ts';
import type { PluginServer } from '../../worker/network/plugin/plugin-server.ts';
import { Identity } from '../../worker/identity/identity.ts';
import { IdentityStore } from '../../worker/identity/identity-store.ts';
import { joinSwarm } from '../../worker/identity/join-swarm.ts';
import {
  type Interfaces,
  resolveAdvertiseAddress,
  resolveDataPathAddress,
  resolveListenAddress,
  validateDataPathPort,
  withPorts,
} from './addresses.ts';
import { AddressWatch } from './address-watch.ts';
import { withAdvertised } from './local-address.ts';
import { isLocked, localStatus } from './local-status.ts';
import type { EngineSide } from './engine-side.ts';
import { EventFeed } from './event-feed.ts';
import { newRaftId } from './manager-part.ts';
import { type MemberConfig, MemberConfigStore } from './member-config.ts';
import { MemberNetworks } from './member-networks.ts';
import { fixedBy, interfacesOf, relocated } from './relocation.ts';
import { RETURNING, returningControl } from './returning-control.ts';
import { type Membership, SwarmMember, type SwarmMemberOptions } from './swarm-member.ts';
import {
  alreadyInSwarm,
  lockedMustForce,
  managerMustForce,
  type ManagerStats,
  managerStats,
  notInSwarm,
  notLocked,
  notManager,
  notPartOfSwarm,
  notStarted,
  REMOVED,
  swarmLocked,
} from './swarm-texts.ts';

/** Folders of the data directory that belong to one membership. */
const MEMBER_FOLDERS = ['identity', 'member', 'raft', 'raft-members', 'agent', 'network'];
/** How long the engine's calls wait for a node that takes up its place; the engine itself gives a call 30 s. */
const TAKE_UP_MS = 10_000;
const RESUME: BackoffOptions = { minMs: 500, maxMs: 15_000, factor: 2, jitter: 0.2 };
/** A new swarm's cluster object has a version no lower than this. */
const FIRST_VERSION = 1;

export interface NodeBackendOptions {
  dataDir: string;
  execRoot: string;
}

export interface NodeBackendModules {
  engineSide: EngineSide;
  plugin: PluginServer;
  /** Those that work. */
  interfaces: () => Interfaces;
  allInterfaces: () => Promise<Interfaces>;
  /** Of the host; see AddressWatch. */
  hasAddress: (address: string) => Promise<boolean>;
  /** Checks engine and host before a swarm is entered. @throws WaggleError saying how to mend it. */
  preflight: () => Promise<void>;
  clock: Clock;
  random: Random;
  log: Log;
  /** The state cannot be kept any more: the daemon must end. */
  onFatal: (error: Error) => void;
}

/** This node's way into, through and out of a swarm, and what the Engine API wants to know of it. */
export class NodeBackend implements Backend, Startable {
  readonly #options: NodeBackendOptions;
  readonly #modules: NodeBackendModules;
  readonly #configs: MemberConfigStore;
  readonly #identities: IdentityStore;
  readonly #events: EventFeed;
  readonly #addressWatch: AddressWatch;
  readonly #returning: ControlApi;
  readonly #networks: MemberNetworks;
  #abort = new AbortController();
  #membership: Membership = { state: 'inactive' };
  /** What `control` answers while there is this ControlApi. */
  #control: { of: ControlApi; api: ControlApi } | undefined;
  /** Entering and leaving, one after the other. */
  #turn: Promise<unknown> = Promise.resolve();
  #resuming: Promise<void> | undefined;

  constructor(options: NodeBackendOptions, modules: NodeBackendModules) {
    this.#options = options;
    this.#modules = modules;
    this.#configs = new MemberConfigStore(options);
    this.#identities = new IdentityStore(options);
    this.#events = new EventFeed(modules);
    const isReturning = (): boolean => this.#isReturning();
    this.#returning = returningControl({ isReturning, control: () => this.control(), clock: modules.clock });
    this.#networks = new MemberNetworks({ member: () => this.#active(), clock: modules.clock });
    this.#addressWatch = new AddressWatch({
      config: () => this.#active()?.config,
      hasAddress: modules.hasAddress,
      all: modules.allInterfaces,
      move: () => this.#move(),
      clock: modules.clock,
      log: modules.log,
    });
  }

  /** Takes up the membership of an earlier life, in the background. */
  async start(): Promise<void> {
    await this.#addressWatch.start();
    const config = await this.#configs.load();
    const identity = await this.#identities.load();
    if (config === undefined || identity === undefined) {
      // An entry that did not come to its end: nothing of it may be taken up later.
      await this.#forget();
      return;
    }
    this.#membership = { state: 'pending', error: '', config, identity };
    this.#modules.plugin.expectBackend(TAKE_UP_MS);
    this.#resuming = this.#resume(config, identity);
  }

  async stop(): Promise<void> {
    this.#abort.abort(new WaggleError('aborted', 'the daemon stops'));
    await this.#addressWatch.stop();
    await this.#resuming;
    await this.#turn.catch(() => undefined);
    this.#events.detach();
    if (this.#membership.state === 'active') await this.#membership.member.stop();
  }

  init(request: InitRequest): Promise<string> {
    return this.#exclusively(async () => {
      const member = this.#active();
      if (request.ForceNewCluster === true && member !== undefined) return this.#forceNewCluster(member, request);
      if (this.#membership.state !== 'inactive') throw alreadyInSwarm();
      validateNewClusterSpec(request.Spec ?? {});
      const dataPathPort = validateDataPathPort(request.DataPathPort);
      const raftId = newRaftId();
      const config: MemberConfig = { ...this.#addresses(request), remoteAddrs: [], raftId };
      await this.#modules.preflight();
      await this.#forget();
      const { host, port } = config.advertise;
      const created = await initCluster(
        {
          managerAddress: `${host}:${port}`,
          raftId,
          ...(request.Spec === undefined ? {} : { spec: request.Spec }),
          ...(request.Availability ? { availability: request.Availability } : {}),
          defaultAddrPool: request.DefaultAddrPool ?? null,
          subnetSize: request.SubnetSize ?? 0,
          dataPathPort,
          autoLock: request.AutoLockManagers === true,
        },
        this.#modules,
      );
      const identity = new Identity(created.material);
      await this.#identities.save(created.material, { key: created.cluster.UnlockKey ?? '', version: FIRST_VERSION });
      await this.#enter(config, identity, created);
      return identity.nodeId;
    });
  }

  join(given: JoinRequest): Promise<void> {
    return this.#exclusively(async () => {
      if (this.#membership.state !== 'inactive') throw alreadyInSwarm();
      const remoteAddrs = withPorts(given.RemoteAddrs ?? []);
      const request = await withAdvertised(given);
      const config: MemberConfig = { ...this.#addresses(request), ...fixedBy(given), remoteAddrs };
      await this.#modules.preflight();
      await this.#forget();
      const identity = await joinSwarm(
        {
          remoteAddrs: request.RemoteAddrs ?? [],
          token: request.JoinToken ?? '',
          availability: request.Availability || 'active',
        },
        { ...this.#modules, store: this.#identities },
      );
      await this.#enter(config, identity);
    });
  }

  leave(force: boolean): Promise<void> {
    return this.#exclusively(async () => {
      const { state } = this.#membership;
      if (state === 'inactive') throw notPartOfSwarm();
      if (!force && isLocked(this.#membership)) throw lockedMustForce();
      if (!force && this.status().manager) throw managerMustForce(await this.#managerStats());
      this.#events.detach();
      const member = await this.#memberForLeaving();
      await member?.leave();
      await this.#forget();
      this.#membership = { state: 'inactive' };
      this.#modules.log.info({}, 'left the swarm');
    });
  }

  /** Resolves when this manager takes part again; what runs here goes on all along. */
  unlock(key: string): Promise<void> {
    return this.#exclusively(async () => {
      const membership = this.#membership;
      if (membership.state === 'inactive') throw notInSwarm();
      if (!isLocked(this.#membership)) throw this.status().manager ? notLocked() : notManager();
      const material = await this.#identities.unlock(key);
      this.#modules.log.info({}, 'swarm unlocked');
      if (membership.state !== 'active') membership.identity?.replace(material);
      else await membership.member.unlock(material).catch(notStarted);
    });
  }

  status(): LocalStatus {
    return localStatus(this.#membership);
  }

  control(): ControlApi {
    const membership = this.#membership;
    if (membership.state === 'inactive') throw notInSwarm();
    if (isLocked(this.#membership)) throw swarmLocked();
    if (this.#isReturning()) return this.#returning;
    if (membership.state !== 'active') throw new WaggleError('unavailable', membership.error || RETURNING);
    const { control, isRemoved } = membership.member;
    if (isRemoved) throw new WaggleError('unavailable', REMOVED);
    if (control === undefined) throw notManager();
    if (this.#control?.of !== control) {
      const api = { ...bindAll(control), createNetwork: this.#networks.create.bind(this.#networks, control) };
      this.#control = { of: control, api };
    }
    return this.#control.api;
  }

  watchEvents(listener: (events: readonly StoreEvent[]) => void): () => void {
    return this.#events.subscribe(listener);
  }

  networkMappings(): readonly NetworkMapping[] {
    return this.#networks.mappings();
  }

  ensureLocalNetwork(ref: string): Promise<NetworkMapping | undefined> {
    return this.#networks.ensure(ref);
  }

  knownNetworks(): { [key: string]: Json }[] {
    return this.#networks.known();
  }

  /** Undefined when no leader answers. */
  async #managerStats(): Promise<ManagerStats | undefined> {
    try {
      const nodes = await this.control().listNodes({ filters: {} });
      return managerStats(nodes, this.status().nodeId);
    } catch (error) {
      this.#modules.log.debug({ error: messageOf(error) }, 'the managers could not be counted');
      return undefined;
    }
  }

  /** A manager by its certificate, and soon in fact. */
  #isReturning(): boolean {
    const membership = this.#membership;
    if (membership.state === 'active') return membership.member.isBecomingManager;
    return membership.state === 'pending' && membership.identity?.role === 'manager';
  }

  #active(): SwarmMember | undefined {
    return this.#membership.state === 'active' ? this.#membership.member : undefined;
  }

  #addresses(
    request: InitRequest | JoinRequest,
  ): Pick<MemberConfig, 'listen' | 'advertise' | 'dataPathAddress' | 'interfaces' | 'fixed'> {
    const interfaces = this.#modules.interfaces();
    const listen = resolveListenAddress(request.ListenAddr, interfaces);
    const advertise = resolveAdvertiseAddress(request.AdvertiseAddr, listen, interfaces);
    const dataPathAddress = resolveDataPathAddress(request.DataPathAddr, advertise.host, interfaces);
    const addresses = { listen, advertise, dataPathAddress };
    return { ...addresses, ...fixedBy(request), interfaces: interfacesOf(addresses, interfaces) };
  }

  /** From a certificate to a working member; a failure leaves the host as it was. */
  async #enter(config: MemberConfig, identity: Identity, create?: SwarmMemberOptions['create']): Promise<void> {
    const member = this.#member(config, identity, create);
    try {
      await member.start();
      await this.#configs.save(member.config);
    } catch (error) {
      await member.leave().catch((failure: unknown) => {
        this.#modules.log.warn({ error: messageOf(failure) }, 'a swarm that was not entered left something behind');
      });
      await this.#forget();
      throw error;
    }
    this.#activate(member);
  }

  /** The survivor of a lost majority begins anew with the state that it has; its containers go on running. */
  async #forceNewCluster(member: SwarmMember, request: InitRequest): Promise<string> {
    if (member.manager === undefined) throw notManager();
    const given = request.AdvertiseAddr !== undefined && request.AdvertiseAddr !== '';
    const config: MemberConfig = { ...member.config, ...(given ? this.#addresses(request) : {}), remoteAddrs: [] };
    this.#events.detach();
    await member.stop();
    const alone = this.#member(config, member.identity, undefined, true);
    try {
      await alone.start();
    } catch (error) {
      this.#membership = { state: 'error', error: messageOf(error), config: member.config, identity: member.identity };
      this.#resuming = this.#resume(member.config, member.identity);
      throw error;
    }
    await this.#configs.save(alone.config);
    this.#activate(alone);
    return alone.identity.nodeId;
  }

  #activate(member: SwarmMember): void {
    this.#membership = { state: 'active', member };
    this.#modules.log.info({ node: member.identity.nodeId, role: member.identity.role }, 'in the swarm');
  }

  #member(
    config: MemberConfig,
    identity: Identity,
    create?: SwarmMemberOptions['create'],
    forceNewCluster = false,
  ): SwarmMember {
    return new SwarmMember(
      { ...this.#options, member: config, forceNewCluster, ...(create === undefined ? {} : { create }) },
      {
        ...this.#modules,
        identity,
        identityStore: this.#identities,
        configs: this.#configs,
        onManager: (manager) => (manager === undefined ? this.#events.detach() : this.#events.attach(manager.store)),
      },
    );
  }

  async #resume(former: MemberConfig, identity: Identity): Promise<void> {
    const { signal } = this.#abort;
    let config = former;
    for (let failures = 1; !signal.aborted; failures++) {
      try {
        config = await this.#relocate(config);
        const member = this.#member(config, identity);
        await member.resume();
        this.#activate(member);
        return;
      } catch (error) {
        this.#membership = { state: 'error', error: messageOf(error), config, identity };
        this.#modules.log.error(
          { error: messageOf(error), failures },
          'this node cannot take its place in the swarm yet',
        );
      }
      // A manager that chose another Raft ID has kept it there.
      config = (await this.#configs.load()) ?? config;
      const delay = backoffDelayMs(RESUME, failures, this.#modules.random());
      await sleep(this.#modules.clock, delay, signal).catch(() => undefined);
    }
  }

  /** The host may have other addresses than it had. */
  async #relocate(config: MemberConfig): Promise<MemberConfig> {
    const next = relocated(config, await this.#modules.allInterfaces());
    if (next === config) return config;
    const [from, to] = [config.advertise.host, next.advertise.host];
    this.#modules.log.info({ from, to, dataPath: next.dataPathAddress }, 'this host has another address now');
    await this.#configs.save(next);
    return next;
  }

  /** The host was renumbered: the node ends where it is and takes its place again from where it is now, as after a restart. */
  #move(): Promise<void> {
    return this.#exclusively(async () => {
      const member = this.#active();
      if (member === undefined || this.#abort.signal.aborted) return;
      this.#events.detach();
      this.#membership = { state: 'pending', error: '', config: member.config, identity: member.identity };
      this.#modules.plugin.expectBackend(TAKE_UP_MS);
      await member.stop().finally(() => {
        this.#resuming = this.#resume(member.config, member.identity);
      });
    });
  }

  /** A node that could not take its place again still has containers and records to be removed. */
  async #memberForLeaving(): Promise<SwarmMember | undefined> {
    const membership = this.#membership;
    if (membership.state === 'active') return membership.member;
    this.#abort.abort(new WaggleError('aborted', 'the node leaves the swarm'));
    await this.#resuming;
    // What is entered next has a life of its own.
    this.#abort = new AbortController();
    return this.#active();
  }

  async #forget(): Promise<void> {
    const { dataDir, execRoot } = this.#options;
    await Promise.all([this.#identities.remove(), this.#configs.remove()]);
    const folders = [...MEMBER_FOLDERS.map((name) => path.join(dataDir, name)), path.join(execRoot, 'overlay')];
    await Promise.all(folders.map((folder) => rm(folder, { recursive: true, force: true })));
  }

  #exclusively<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work, work);
    this.#turn = result.catch(() => undefined);
    return result;
  }
}
