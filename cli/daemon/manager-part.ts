import { randomInt, X509Certificate } from 'node:crypto';
import path from 'node:path';
import { addCaServices } from '../../manager/ca/ca-handlers.ts';
import { CertificateAuthority } from '../../manager/ca/certificate-authority.ts';
import { ClusterMembership, clusterOf } from '../../manager/ca/cluster-membership.ts';
import { type NewCluster, storeNewCluster } from '../../manager/ca/init-cluster.ts';
import { newJoinToken } from '../../manager/ca/join-tokens.ts';
import { Control } from '../../manager/controlapi/control.ts';
import type { ControlApi } from '../../manager/controlapi/control-api.ts';
import type { AttachmentAllocator } from '../../manager/dispatcher/attachment-allocator.ts';
import { Dispatcher } from '../../manager/dispatcher/dispatcher.ts';
import { addDispatcherServices } from '../../manager/dispatcher/dispatcher-handlers.ts';
import { LeaderControl } from '../../manager/leaderproxy/leader-control.ts';
import { addControlService } from '../../manager/leaderproxy/control-handlers.ts';
import { isTaskUpToDate } from '../../manager/orchestrator/task/task-dirty.ts';
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
import { type Clock, sleep } from '../../proto/runtime/clock.ts';
import { messageOf, WaggleError } from '../../proto/runtime/errors.ts';
import type { Startable } from '../../proto/runtime/lifecycle.ts';
import type { Log } from '../../proto/runtime/log.ts';
import type { Random } from '../../proto/runtime/random.ts';
import type { HostPort } from './addresses.ts';
import { LeaderPart } from './leader-part.ts';
import { routeToLeader } from './leader-route.ts';
import { joinRaftGroup } from './raft-join.ts';
import { RaftMembers } from './raft-members.ts';
import { NO_LEADER } from './swarm-texts.ts';
import { routeAuthority } from './routed-authority.ts';

/** A leader is missed after 0.9 to 1.8 s; of two followers the first one on average after 1.2 s. */
const TICK_MS = 50;
const HEARTBEAT_TICKS = 2;
const ELECTION_TICKS = 18;
const LEADER_WAIT_MS = 10_000;
const LEADER_RETRY_MS = 500;
const POLL_MS = 20;
const ENTRIES_FOR_SLOW_FOLLOWERS = 500;
const DEFAULT_SNAPSHOT_INTERVAL = 10_000;
/** From being taken in to having the swarm's state. */
const CATCH_UP_MS = 20_000;
const MAX_RAFT_ID = 2 ** 47;

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
  clock: Clock;
  random: Random;
  log: Log;
  /** The state cannot be kept any more: the daemon must end. */
  onFatal: (error: Error) => void;
}

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
  readonly #transport: GrpcTransport;
  readonly #members: RaftMembers;
  readonly #server: ManagerServer;
  readonly #dispatcher: Dispatcher;
  readonly #localControl: ControlApi;
  readonly #remoteControl: LeaderControl;
  readonly #abort = new AbortController();
  #raftStarted = false;
  #leader: LeaderPart | undefined;
  /** Beginnings and ends of leadership, one after the other. */
  #changing: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor(options: ManagerPartOptions, modules: ManagerPartModules) {
    const { clock, random, log, source } = modules;
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
    this.#raft = this.#makeRaft();
    this.store.connect(this.#raft);
    this.#dispatcher = new Dispatcher({
      store: this.store,
      clock,
      random,
      log: log.child({ module: 'manager/dispatcher' }),
    });
    this.#localControl = new Control(
      { promotion: true },
      { store: this.store, clock, random, newId, joinToken: newJoinToken, isTaskUpToDate },
    );
    this.#remoteControl = new LeaderControl({ source, leader: () => this.#leaderAddress() || undefined, clock });
    this.control = routeToLeader({
      leader: () => this.#whoLeads(),
      onLeaderChange: (listener) => this.#raft.onLeadership(listener),
      local: this.#localControl,
      readBarrier: () => this.#raft.readBarrier(),
      remote: this.#remoteControl.api,
      clock,
    });
    this.#server = new ManagerServer(options.listen, { source, log: log.child({ module: 'manager/server' }) });
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
      await this.#raft.start();
      this.#raftStarted = true;
      await this.#members.start();
      await this.#takePart();
      this.#raft.onLeadership(({ isLeader }) => this.#changeLeadership(isLeader));
      this.#changeLeadership(this.#raft.leadership.isLeader);
      await this.#changing;
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#abort.abort(new WaggleError('aborted', 'the manager stops'));
    await this.#server.stop();
    await this.#changing;
    await this.#leader?.stop();
    this.#leader = undefined;
    await this.#members.stop();
    if (this.#raftStarted) await this.#raft.stop();
    await this.#transport.stop();
    await this.#remoteControl.stop();
  }

  async #takePart(): Promise<void> {
    const { create, raftId, address } = this.#options;
    if (create !== undefined) {
      await this.#untilLeading();
      await storeNewCluster(this.store, create);
      return;
    }
    if (this.#options.forceNewCluster === true) {
      await this.#untilLeading();
      await dismissManagers(this.store, raftId);
      return;
    }
    if (membersOf(this.#raft.status().configuration).includes(raftId)) return;
    const request = { raftId, address, managers: this.#options.managers() };
    const { source, clock } = this.#modules;
    this.#members.learn(await joinRaftGroup(request, { source, clock, signal: this.#abort.signal }));
    await this.#untilCaughtUp();
  }

  #makeRaft(): RaftNode {
    const { clock, random, log, onFatal } = this.#modules;
    return new RaftNode(
      {
        id: this.#options.raftId,
        tickMs: TICK_MS,
        electionTicks: ELECTION_TICKS,
        heartbeatTicks: HEARTBEAT_TICKS,
        snapshotInterval: DEFAULT_SNAPSHOT_INTERVAL,
        entriesForSlowFollowers: ENTRIES_FOR_SLOW_FOLLOWERS,
        keepOldSnapshots: 0,
        bootstrap: this.#options.create !== undefined,
        forceNewCluster: this.#options.forceNewCluster === true,
      },
      {
        log: new SqliteLog(path.join(this.#options.dataDir, 'raft')),
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
          dispatcher: this.#dispatcher,
        });
        await leader.start();
        this.#leader = leader;
      })
      .catch((error: unknown) => {
        // Leadership lost meanwhile is the usual reason; while it lasts, the swarm must not be without its leader's work.
        this.#modules.log.warn({ error: messageOf(error) }, 'leader-only parts were not started');
        if (this.#raft.leadership.isLeader && !this.#stopped)
          this.#modules.clock.after(LEADER_RETRY_MS, () => this.#changeLeadership(true));
      });
  }

  #untilLeading(): Promise<void> {
    return new Promise((resolve, reject) => {
      const cancel = this.#modules.clock.after(LEADER_WAIT_MS, () => reject(new WaggleError('unavailable', NO_LEADER)));
      const settled = (): void => {
        if (!this.#raft.leadership.isLeader) return;
        cancel();
        unsubscribe();
        resolve();
      };
      const unsubscribe = this.#raft.onLeadership(settled);
      settled();
    });
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

  #whoLeads(): { kind: 'self' | 'other' | 'none'; epoch: string } {
    const { leader, isLeader, term } = this.#raft.leadership;
    const epoch = `${term}/${leader}`;
    if (isLeader) return { kind: this.#leader === undefined ? 'none' : 'self', epoch };
    return { kind: this.#members.addressOf(leader) === undefined ? 'none' : 'other', epoch };
  }

  /** host:port of another manager that leads; undefined while this one does, '' while nobody is known to. */
  #leaderAddress(): string | undefined {
    const { leader, isLeader } = this.#raft.leadership;
    return isLeader ? undefined : (this.#members.addressOf(leader) ?? '');
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
    addControlService(authenticated, gate, () => (this.#leader === undefined ? undefined : this.#localControl));
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

  /** Whatever leader part there is at the time of the call. */
  #attachments(): AttachmentAllocator {
    const leading = (): LeaderPart => {
      if (this.#leader === undefined) throw new WaggleError('unavailable', NO_LEADER);
      return this.#leader;
    };
    return {
      allocate: async (nodeId, networkId, address, reference) =>
        leading().attachments.allocate({ nodeId, networkId, reference, ...(address === undefined ? {} : { address }) }),
      release: async (nodeId, networkId, address) => leading().attachments.release({ nodeId, networkId, address }),
      report: async (nodeId, held) => leading().attachments.report({ nodeId, held: [...held] }),
    };
  }
}

/** The swarm that this node's own certificate names. */
function clusterIdOf(source: TlsSource): string | undefined {
  const subject = new X509Certificate(source.tls().certificate).subject;
  return /^O=(.+)$/m.exec(subject)?.[1];
}
