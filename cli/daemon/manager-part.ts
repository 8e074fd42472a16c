import { randomInt, X509Certificate } from 'node:crypto';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { addCaServices } from '../../manager/ca/ca-handlers.ts';
import { CertificateAuthority } from '../../manager/ca/certificate-authority.ts';
import { ClusterMembership, clusterOf } from '../../manager/ca/cluster-membership.ts';
import { type NewCluster, storeNewCluster } from '../../manager/ca/init-cluster.ts';
import { newJoinToken } from '../../manager/ca/join-tokens.ts';
import { Control } from '../../manager/controlapi/control.ts';
import type { ControlApi } from '../../manager/controlapi/control-api.ts';
import type { NetworkDiagnosis } from '../../manager/controlapi/control-modules.ts';
import type { AttachmentAllocator } from '../../manager/dispatcher/attachment-allocator.ts';
import { addDiagnosisService } from '../../manager/diagnosis/diagnosis-handlers.ts';
import { Inquiry } from '../../manager/diagnosis/inquiry.ts';
import { NetworkCheck } from '../../manager/diagnosis/network-check.ts';
import { NetworkTrace } from '../../manager/diagnosis/network-trace.ts';
import { Dispatcher } from '../../manager/dispatcher/dispatcher.ts';
import { addDispatcherServices } from '../../manager/dispatcher/dispatcher-handlers.ts';
import type { NodeWitness } from '../../manager/dispatcher/node-witness.ts';
import { type LockedFile, LockKeeper } from '../../manager/keymanager/lock-keeper.ts';
import { LeaderControl } from '../../manager/leaderproxy/leader-control.ts';
import { LeaderOperations } from '../../manager/leaderproxy/leader-operations.ts';
import { addControlService } from '../../manager/leaderproxy/control-handlers.ts';
import { isTaskUpToDate } from '../../manager/orchestrator/task/task-dirty.ts';
import { type DataKeyFile, KeyRotation } from '../../manager/raft/log/key-rotation.ts';
import { LOG_FILE } from '../../manager/raft/log/sqlite-database.ts';
import { SqliteLog } from '../../manager/raft/log/sqlite-log.ts';
import { RaftNode } from '../../manager/raft/raft-node.ts';
import { GrpcTransport } from '../../manager/raft/grpc-transport.ts';
import { addRaftService } from '../../manager/raft/raft-handlers.ts';
import { membersOf } from '../../manager/raft/core/quorum.ts';
import { addMembershipService, dismissManagers } from '../../manager/rolemanager/membership.ts';
import { StateStore } from '../../manager/store/state-store.ts';
import { newId } from '../../proto/objects/naming.ts';
import type { TlsSource } from '../../proto/rpc/credentials.ts';
import { type Membership, RpcGate } from '../../proto/rpc/gate.ts';
import { ManagerServer } from '../../proto/rpc/manager-server.ts';
import { NO_LEADER } from '../../proto/rpc/no-leader.ts';
import { type CancelTimer, type Clock, sleep } from '../../proto/runtime/clock.ts';
import { messageOf, WaggleError } from '../../proto/runtime/errors.ts';
import { firstFound } from '../../proto/runtime/first-found.ts';
import { type Startable, startAll, stopAll } from '../../proto/runtime/lifecycle.ts';
import type { Log } from '../../proto/runtime/log.ts';
import type { Random } from '../../proto/runtime/random.ts';
import type { HostPort } from './addresses.ts';
import { LeaderPart } from './leader-part.ts';
import { routeToLeader } from './leader-route.ts';
import { joinRaftGroup } from './raft-join.ts';
import { RaftMembers } from './raft-members.ts';
import { RaftRejoin } from './raft-rejoin.ts';
import { RaftSettingsLoop, raftSettings, TICK_MS } from './raft-settings.ts';
import { routeAuthority } from './routed-authority.ts';

const LEADER_WAIT_MS = 10_000;
/** For this long a manager that stops waits for another one to lead. */
const HAND_OVER_MS = 1_000;
const LEADER_RETRY_MS = 500;
const POLL_MS = 20;
/** From being taken in to having the swarm's state. */
const CATCH_UP_MS = 20_000;
/** From then to having a vote. */
const VOTER_MS = 5_000;
/** For this long the managers are asked to take a new one in. */
const JOIN_MS = 20_000;
const MAX_RAFT_ID = 2 ** 47;
const RAFT_FOLDER = 'raft';

export interface ManagerPartOptions {
  dataDir: string;
  listen: HostPort;
  raftId: number;
  /** Where the other managers find this one, host:port. */
  address: string;
  /** Managers to ask to be taken in, host:port, should Raft here not know this member. */
  managers: () => readonly string[];
  /** The swarm to begin; absent for one that is there already. */
  create?: Pick<NewCluster, 'cluster' | 'node'>;
  /** A majority of the managers is lost for good: go on alone with what this one has. */
  forceNewCluster?: boolean;
}

export interface ManagerPartModules {
  source: TlsSource;
  /** Where this manager's keys are kept. */
  keyFile: DataKeyFile & LockedFile;
  /** Who lives, as this node's own worker sees it. */
  witness: NodeWitness;
  clock: Clock;
  random: Random;
  log: Log;
  /** The state cannot be kept any more: the daemon must end. */
  onFatal: (error: Error) => void;
}

/** Whether a manager has been at work in this data directory. */
export function hasRaftLog(dataDir: string): boolean {
  return existsSync(path.join(dataDir, RAFT_FOLDER, LOG_FILE));
}

/** For a manager that joins; no ID is used again. */
export function newRaftId(): number {
  return randomInt(1, MAX_RAFT_ID);
}

/** The manager's half of a node: state store, Raft, port 2377, and, while it leads, everything that decides. */
export class ManagerPart implements Startable {
  readonly store: StateStore;
  /** Answered by the leader, wherever that is. */
  readonly control: ControlApi;
  readonly #options: ManagerPartOptions;
  readonly #modules: ManagerPartModules;
  readonly #raft: RaftNode;
  readonly #raftLog: SqliteLog;
  readonly #keyRotation: KeyRotation;
  readonly #lockKeeper: LockKeeper;
  readonly #transport: GrpcTransport;
  readonly #members: RaftMembers;
  readonly #settings: RaftSettingsLoop;
  readonly #rejoin: RaftRejoin;
  readonly #server: ManagerServer;
  readonly #dispatcher: Dispatcher;
  readonly #operations: LeaderOperations;
  readonly #inquiry: Inquiry;
  readonly #remoteControl: LeaderControl;
  readonly #abort = new AbortController();
  #raftStarted = false;
  #leader: LeaderPart | undefined;
  /** Told when Raft has another leader, and when this one, elected, is ready to answer. */
  readonly #leaderListeners = new Set<() => void>();
  /** Beginnings and ends of leadership, one after the other. */
  #changing: Promise<void> = Promise.resolve();
  #cancelRetry: CancelTimer | undefined;
  #stopped = false;

  constructor(options: ManagerPartOptions, modules: ManagerPartModules) {
    const { clock, random, log, source, witness } = modules;
    this.#options = options;
    this.#modules = modules;
    this.store = new StateStore({}, { clock });
    this.#transport = new GrpcTransport({
      source,
      address: () => options.address,
      unreachable: (id) => this.#raft.unreachable(id),
      clock,
      log: log.child({ module: 'manager/raft' }),
    });
    this.#members = new RaftMembers(options, { store: this.store, transport: this.#transport, log });
    this.#raftLog = new SqliteLog(path.join(options.dataDir, RAFT_FOLDER), () => this.#keyRotation.keys());
    this.#keyRotation = new KeyRotation({
      file: modules.keyFile,
      log: this.#raftLog,
      clock,
      random,
      logger: log.child({ module: 'manager/raft' }),
    });
    this.#lockKeeper = new LockKeeper({ ...modules, store: this.store, file: modules.keyFile });
    this.#raft = this.#makeRaft();
    this.store.connect(this.#raft);
    this.#settings = new RaftSettingsLoop({ store: this.store, raft: this.#raft, clock, log });
    const join = (signal: AbortSignal): Promise<void> => this.#join(0, signal);
    this.#rejoin = new RaftRejoin({
      raft: this.#raft,
      join,
      clock,
      random,
      log: log.child({ module: 'manager/raft' }),
    });
    this.#dispatcher = new Dispatcher({
      store: this.store,
      witness,
      clock,
      random,
      log: log.child({ module: 'manager/dispatcher' }),
    });
    this.#inquiry = new Inquiry({ clock });
    const controlModules = {
      clock,
      random,
      newId,
      joinToken: newJoinToken,
      isTaskUpToDate,
      canSpareManagers: (raftIds: readonly number[]) => this.#leader?.roles.canSpare(raftIds) ?? true,
      diagnosis: this.#makeDiagnosis(),
    };
    this.#operations = new LeaderOperations({
      store: this.store,
      control: (store) => new Control({ promotion: true }, { ...controlModules, store }),
      readBarrier: () => this.#raft.readBarrier(),
      term: () => this.#raft.leadership.term,
    });
    this.#remoteControl = new LeaderControl({ source, leader: () => this.#leaderAddress() || undefined, clock });
    this.control = routeToLeader({
      leader: () => this.#whoLeads(),
      onLeaderChange: (listener) => {
        this.#leaderListeners.add(listener);
        return () => this.#leaderListeners.delete(listener);
      },
      local: this.#operations,
      remote: this.#remoteControl,
      clock,
    });
    this.#server = new ManagerServer(options.listen, { source, clock, log: log.child({ module: 'manager/server' }) });
    this.#addServices();
  }

  /**
   * Resolves once this manager takes part: for a new swarm when it leads it, for a new member when it has the swarm's state, and
   * after a restart at once, be there a leader or not. A failure leaves nothing running.
   */
  async start(): Promise<void> {
    // The port first: when it is taken, nothing has been begun.
    await this.#server.start();
    try {
      await this.#transport.start();
      await this.#remoteControl.start();
      await this.#keyRotation.prepare();
      await this.#raft.start();
      this.#raftStarted = true;
      await startAll([this.#keyRotation, this.#lockKeeper]);
      await this.#members.start();
      await this.#settings.start();
      await this.#takePart();
      this.#raft.onLeadership(({ isLeader }) => {
        this.#announceLeader();
        this.#changeLeadership(isLeader);
      });
      this.#changeLeadership(this.#raft.leadership.isLeader);
      await this.#changing;
      await this.#rejoin.start();
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#abort.abort(new WaggleError('aborted', 'the manager stops'));
    await this.#rejoin.stop();
    await this.#handOver();
    await this.#server.stop();
    await this.#changing;
    this.#cancelRetry?.();
    await this.#leader?.stop();
    this.#leader = undefined;
    await this.#settings.stop();
    await this.#members.stop();
    await stopAll([this.#keyRotation, this.#lockKeeper]);
    if (this.#raftStarted) await this.#raft.stop();
    await this.#transport.stop();
    await this.#remoteControl.stop();
  }

  async #takePart(): Promise<void> {
    const { create, raftId } = this.#options;
    if (create !== undefined) {
      await this.#untilLeading(true, LEADER_WAIT_MS);
      await storeNewCluster(this.store, create);
      return;
    }
    if (this.#options.forceNewCluster === true) {
      await this.#untilLeading(true, LEADER_WAIT_MS);
      await dismissManagers(this.store, raftId);
      return;
    }
    if (membersOf(this.#raft.status().configuration).includes(raftId)) return;
    await this.#join(JOIN_MS, this.#abort.signal);
    await this.#untilCaughtUp();
    await this.#untilVoter();
  }

  async #join(patienceMs: number, signal: AbortSignal): Promise<void> {
    const { raftId, address, managers } = this.#options;
    const { source, clock } = this.#modules;
    const others = managers().filter((manager) => manager !== address);
    const request = { raftId, address, managers: others, patienceMs };
    this.#members.learn(await joinRaftGroup(request, { source, clock, signal }));
  }

  #makeRaft(): RaftNode {
    const { clock, random, log, onFatal } = this.#modules;
    return new RaftNode(
      {
        id: this.#options.raftId,
        tickMs: TICK_MS,
        ...raftSettings(this.#options.create?.cluster.Spec.Raft),
        bootstrap: this.#options.create !== undefined,
        forceNewCluster: this.#options.forceNewCluster === true,
      },
      {
        log: this.#raftLog,
        stateMachine: this.store,
        transport: this.#transport,
        clock,
        random,
        logger: log.child({ module: 'manager/raft' }),
        onFatal,
      },
    );
  }

  #changeLeadership(isLeader: boolean): void {
    this.#changing = this.#changing
      .then(async () => {
        await this.#leader?.stop();
        this.#leader = undefined;
        if (!isLeader || this.#stopped || !this.#raft.leadership.isLeader) return;
        // Nothing may be decided before everything that was decided earlier has been applied here.
        await this.#raft.readBarrier();
        const leader = new LeaderPart({
          ...this.#modules,
          store: this.store,
          raft: this.#raft,
          moved: () => this.#moved(),
          dispatcher: this.#dispatcher,
          inquiry: this.#inquiry,
        });
        await leader.start();
        this.#leader = leader;
        this.#announceLeader();
      })
      .catch((error: unknown) => {
        // Leadership lost meanwhile is the usual reason; while it lasts, the swarm must not be without its leader's work.
        this.#modules.log.warn({ error: messageOf(error) }, 'leader-only parts were not started');
        if (this.#raft.leadership.isLeader && !this.#stopped)
          this.#cancelRetry = this.#modules.clock.after(LEADER_RETRY_MS, () => this.#changeLeadership(true));
      });
  }

  #announceLeader(): void {
    for (const listener of this.#leaderListeners) listener();
  }

  /** While the others can still be heard, so that the swarm need not miss its leader first. */
  async #handOver(): Promise<void> {
    if (!this.#raftStarted || !this.#raft.handOver()) return;
    await this.#untilLeading(false, HAND_OVER_MS).catch((error: unknown) =>
      this.#modules.log.info({ error: messageOf(error) }, 'nobody took the leadership over in time'),
    );
  }

  /** @throws WaggleError unavailable when it is not so in time. */
  async #untilLeading(isLeading: boolean, timeoutMs: number): Promise<void> {
    const within = { waitMs: timeoutMs, clock: this.#modules.clock };
    const look = (): true | undefined => this.#raft.leadership.isLeader === isLeading || undefined;
    const found = await firstFound(within, look, (changed) => this.#raft.onLeadership(changed));
    if (found === undefined) throw new WaggleError('unavailable', NO_LEADER);
  }

  /** The swarm's state has arrived when its cluster object has. */
  async #untilCaughtUp(): Promise<void> {
    const { clock } = this.#modules;
    const deadline = clock.monotonic() + CATCH_UP_MS;
    while (this.store.view(clusterOf) === undefined) {
      if (clock.monotonic() > deadline) {
        throw new WaggleError(
          'deadline-exceeded',
          "the swarm's state did not arrive: is this manager's port reachable for the others?",
        );
      }
      await sleep(clock, POLL_MS, this.#abort.signal);
    }
  }

  /** The next one to fail may already count on this one. Without a vote it takes part all the same, and gets one later. */
  async #untilVoter(): Promise<void> {
    const { clock, log } = this.#modules;
    const { raftId } = this.#options;
    const deadline = clock.monotonic() + VOTER_MS;
    while (!this.#raft.status().configuration.voters.includes(raftId)) {
      if (clock.monotonic() > deadline) return log.info({ raftId }, 'this manager has no vote yet');
      await sleep(clock, POLL_MS, this.#abort.signal);
    }
  }

  #whoLeads(): { kind: 'self' | 'other' | 'none'; term: number; epoch: string } {
    const { leader, isLeader, term } = this.#raft.leadership;
    const epoch = `${term}/${leader}`;
    if (isLeader) return { kind: this.#leader === undefined ? 'none' : 'self', term, epoch };
    return { kind: this.#addressOf(leader) === undefined ? 'none' : 'other', term, epoch };
  }

  /** Where members are, when that is not what the store has; this one too. */
  #moved(): Map<number, string> {
    return new Map([...this.#transport.moved, [this.#options.raftId, this.#options.address]]);
  }

  #addressOf(id: number): string | undefined {
    return this.#transport.moved.get(id) ?? this.#members.addressOf(id);
  }

  /** host:port of another manager that leads; undefined while this one does, '' while nobody is known to. */
  #leaderAddress(): string | undefined {
    const { leader, isLeader } = this.#raft.leadership;
    return isLeader ? undefined : (this.#addressOf(leader) ?? '');
  }

  #addServices(): void {
    const { clock, log, source } = this.#modules;
    const { authenticated, bootstrap } = this.#server;
    const membership = new ClusterMembership({ store: this.store, clock });
    const gate = new RpcGate({ membership, log: log.child({ module: 'manager/rpc' }) });
    // A manager that has just joined has no state to judge others by; the Raft streams must reach it all the same.
    const raftGate = new RpcGate({
      membership: this.#raftMembership(membership),
      log: log.child({ module: 'manager/rpc' }),
    });
    const authority = routeAuthority({
      authority: new CertificateAuthority(
        { allowManagers: true },
        { store: this.store, clock, log: log.child({ module: 'manager/ca' }) },
      ),
      leader: () => this.#leaderAddress(),
      source,
      clock,
    });
    for (const server of [authenticated, bootstrap]) addCaServices(server, gate, authority);
    addDispatcherServices(authenticated, gate, { dispatcher: this.#dispatcher, allocator: this.#attachments() });
    addDiagnosisService(authenticated, gate, this.#inquiry);
    addControlService(authenticated, gate, () => (this.#leader === undefined ? undefined : this.#operations));
    addRaftService(authenticated, raftGate, {
      receiver: () => (this.#raftStarted ? this.#raft : undefined),
      nodeOf: (id) => this.#members.nodeOf(id),
      located: (id, address) => this.#transport.located(id, address),
    });
    addMembershipService(authenticated, gate, {
      leading: () => (this.#leader === undefined ? undefined : { store: this.store, raft: this.#raft }),
      leader: () => this.#leaderAddress(),
    });
  }

  #raftMembership(membership: ClusterMembership): Membership {
    return {
      clusterId: () => membership.clusterId() ?? clusterIdOf(this.#modules.source),
      isRemoved: (nodeId) => membership.isRemoved(nodeId),
    };
  }

  #makeDiagnosis(): NetworkDiagnosis {
    const shared = { store: this.store, inquiry: this.#inquiry, clock: this.#modules.clock };
    const check = new NetworkCheck({
      ...shared,
      holdings: () => this.#leader?.holdings() ?? [],
      ports: () => this.#leader?.ports() ?? [],
    });
    const trace = new NetworkTrace(shared);
    return {
      check: (networkId) => check.run(networkId),
      trace: (ends, network) => trace.run(ends, network),
    };
  }

  /** Whatever leader part there is at the time of the call. */
  #attachments(): AttachmentAllocator {
    const leading = (): LeaderPart => {
      if (this.#leader === undefined) throw new WaggleError('unavailable', NO_LEADER);
      return this.#leader;
    };
    return {
      allocate: async (nodeId, networkId, address, reference, ipv6) =>
        leading().attachments.allocate({
          nodeId,
          networkId,
          reference,
          ipv6,
          ...(address === undefined ? {} : { address }),
        }),
      release: async (nodeId, networkId, address) => leading().attachments.release({ nodeId, networkId, address }),
      report: async (nodeId, held, givenUp) => leading().attachments.report({ nodeId, held, givenUp }),
    };
  }
}

/** The swarm that this node's own certificate names. */
function clusterIdOf(source: TlsSource): string | undefined {
  const subject = new X509Certificate(source.tls().certificate).subject;
  return /^O=(.+)$/m.exec(subject)?.[1];
}
