import { randomInt } from 'node:crypto';
import path from 'node:path';
import { addCaServices } from '../../manager/ca/ca-handlers.ts';
import { CertificateAuthority } from '../../manager/ca/certificate-authority.ts';
import { ClusterMembership } from '../../manager/ca/cluster-membership.ts';
import { type NewCluster, storeNewCluster } from '../../manager/ca/init-cluster.ts';
import { newJoinToken } from '../../manager/ca/join-tokens.ts';
import { Control } from '../../manager/controlapi/control.ts';
import type { ControlApi } from '../../manager/controlapi/control-api.ts';
import type { AttachmentAllocator } from '../../manager/dispatcher/attachment-allocator.ts';
import { Dispatcher } from '../../manager/dispatcher/dispatcher.ts';
import { addDispatcherServices } from '../../manager/dispatcher/dispatcher-handlers.ts';
import { addControlService } from '../../manager/leaderproxy/control-handlers.ts';
import { isTaskUpToDate } from '../../manager/orchestrator/task/task-dirty.ts';
import { SqliteLog } from '../../manager/raft/log/sqlite-log.ts';
import { RaftNode } from '../../manager/raft/raft-node.ts';
import { noTransport } from '../../manager/raft/transport.ts';
import { StateStore } from '../../manager/store/state-store.ts';
import { newId } from '../../proto/objects/naming.ts';
import type { TlsSource } from '../../proto/rpc/credentials.ts';
import { RpcGate } from '../../proto/rpc/gate.ts';
import { ManagerServer } from '../../proto/rpc/manager-server.ts';
import type { Clock } from '../../proto/runtime/clock.ts';
import { messageOf, WaggleError } from '../../proto/runtime/errors.ts';
import type { Startable } from '../../proto/runtime/lifecycle.ts';
import type { Log } from '../../proto/runtime/log.ts';
import type { Random } from '../../proto/runtime/random.ts';
import type { HostPort } from './addresses.ts';
import { LeaderPart } from './leader-part.ts';

const TICK_MS = 50;
const HEARTBEAT_TICKS = 2;
const ELECTION_TICKS = 12;
const LEADER_WAIT_MS = 10_000;
const ENTRIES_FOR_SLOW_FOLLOWERS = 500;
const DEFAULT_SNAPSHOT_INTERVAL = 10_000;
const MAX_RAFT_ID = 2 ** 47;

export const NO_LEADER =
  "rpc error: code = Unknown desc = The swarm does not have a leader. It's possible that too few managers are online. Make sure more than half of the managers are online.";

export interface ManagerPartOptions {
  dataDir: string;
  listen: HostPort;
  raftId: number;
  /** The swarm to begin; absent for one that is in the log already. */
  create?: Pick<NewCluster, 'cluster' | 'node'>;
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
  readonly control: ControlApi;
  readonly #options: ManagerPartOptions;
  readonly #modules: ManagerPartModules;
  readonly #raft: RaftNode;
  readonly #server: ManagerServer;
  readonly #dispatcher: Dispatcher;
  #leader: LeaderPart | undefined;
  /** Beginnings and ends of leadership, one after the other. */
  #changing: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor(options: ManagerPartOptions, modules: ManagerPartModules) {
    const { clock, random, log } = modules;
    this.#options = options;
    this.#modules = modules;
    this.store = new StateStore({}, { clock });
    this.#raft = new RaftNode(
      {
        id: options.raftId,
        tickMs: TICK_MS,
        electionTicks: ELECTION_TICKS,
        heartbeatTicks: HEARTBEAT_TICKS,
        snapshotInterval: DEFAULT_SNAPSHOT_INTERVAL,
        entriesForSlowFollowers: ENTRIES_FOR_SLOW_FOLLOWERS,
        keepOldSnapshots: 0,
        bootstrap: options.create !== undefined,
      },
      {
        log: new SqliteLog(path.join(options.dataDir, 'raft')),
        stateMachine: this.store,
        transport: noTransport,
        clock,
        random,
        logger: log.child({ module: 'manager/raft' }),
        onFatal: modules.onFatal,
      },
    );
    this.store.connect(this.#raft);
    this.#dispatcher = new Dispatcher({
      store: this.store,
      clock,
      random,
      log: log.child({ module: 'manager/dispatcher' }),
    });
    this.control = new Control(
      { promotion: false },
      { store: this.store, clock, random, newId, joinToken: newJoinToken, isTaskUpToDate },
    );
    this.#server = new ManagerServer(options.listen, {
      source: modules.source,
      log: log.child({ module: 'manager/server' }),
    });
    this.#addServices();
  }

  /** Resolves once this manager leads and every leader-only part runs. A failure leaves nothing running. */
  async start(): Promise<void> {
    // The port first: when it is taken, nothing has been begun.
    await this.#server.start();
    try {
      await this.#raft.start();
      await this.#untilLeading();
      if (this.#options.create !== undefined) await storeNewCluster(this.store, this.#options.create);
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
    await this.#server.stop();
    await this.#changing;
    await this.#leader?.stop();
    this.#leader = undefined;
    await this.#raft.stop();
  }

  #changeLeadership(isLeader: boolean): void {
    this.#changing = this.#changing
      .then(async () => {
        await this.#leader?.stop();
        this.#leader = undefined;
        if (!isLeader || this.#stopped) return;
        const leader = new LeaderPart({ ...this.#modules, store: this.store, dispatcher: this.#dispatcher });
        await leader.start();
        this.#leader = leader;
      })
      .catch((error: unknown) => {
        this.#modules.log.error({ error: messageOf(error) }, 'leader-only parts could not be started');
        this.#modules.onFatal(error instanceof Error ? error : new Error(String(error)));
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

  #addServices(): void {
    const { clock, log } = this.#modules;
    const membership = new ClusterMembership({ store: this.store, clock });
    const gate = new RpcGate({ membership, log: log.child({ module: 'manager/rpc' }) });
    const authority = new CertificateAuthority(
      { allowManagers: false },
      { store: this.store, clock, log: log.child({ module: 'manager/ca' }) },
    );
    for (const server of [this.#server.authenticated, this.#server.bootstrap]) addCaServices(server, gate, authority);
    addDispatcherServices(this.#server.authenticated, gate, {
      dispatcher: this.#dispatcher,
      allocator: this.#attachments(),
    });
    addControlService(this.#server.authenticated, gate, () => (this.#leader === undefined ? undefined : this.control));
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
