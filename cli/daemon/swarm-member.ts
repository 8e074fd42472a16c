import { rm } from 'node:fs/promises';
import path from 'node:path';
import type { ControlApi } from '../../manager/controlapi/control-api.ts';
import type { NewCluster } from '../../manager/ca/init-cluster.ts';
import { backoffDelayMs, type BackoffOptions } from '../../proto/runtime/backoff.ts';
import { sleep } from '../../proto/runtime/clock.ts';
import { type ErrorCode, messageOf, WaggleError } from '../../proto/runtime/errors.ts';
import type { Startable } from '../../proto/runtime/lifecycle.ts';
import type { TlsMaterial } from '../../proto/rpc/credentials.ts';
import type { Identity } from '../../worker/identity/identity.ts';
import { gossipWitness } from './gossip-witness.ts';
import { hasRaftLog, ManagerPart, type ManagerPartModules, newRaftId } from './manager-part.ts';
import type { MemberConfig, MemberConfigStore } from './member-config.ts';
import { WorkerPart, type WorkerPartModules } from './worker-part.ts';

const RETRY: BackoffOptions = { minMs: 500, maxMs: 10_000, factor: 2, jitter: 0.2 };
const REFUSALS: ReadonlySet<ErrorCode> = new Set(['failed-precondition', 'permission-denied', 'not-found']);
/** What a manager keeps of its own, and a worker has no business with. */
const MANAGER_FOLDERS = ['raft', 'raft-members'];

export interface SwarmMemberOptions {
  dataDir: string;
  execRoot: string;
  member: MemberConfig;
  /** The swarm to begin, for its first manager. */
  create?: Pick<NewCluster, 'cluster' | 'node'>;
  /** This manager goes on alone. */
  forceNewCluster?: boolean;
}

export type SwarmMemberModules = WorkerPartModules &
  Omit<ManagerPartModules, 'source' | 'keyFile' | 'witness'> & {
    configs: MemberConfigStore;
    /** Told when this node has become a manager, and when it has ceased to be one. */
    onManager: (manager: ManagerPart | undefined) => void;
  };

/** A node and its swarm: in none, on its way back into one, or in it. */
export type Membership =
  | { state: 'inactive' }
  | { state: 'pending' | 'error'; error: string; config: MemberConfig; identity?: Identity }
  | { state: 'active'; member: SwarmMember };

/** A node while it is in a swarm: the worker always, the manager for as long as its certificate says so and is not locked. */
export class SwarmMember implements Startable {
  readonly identity: Identity;
  readonly worker: WorkerPart;
  readonly #options: SwarmMemberOptions;
  readonly #modules: SwarmMemberModules;
  readonly #abort = new AbortController();
  #config: MemberConfig;
  /** Until it has begun. */
  #create: SwarmMemberOptions['create'];
  /** A manager of this membership has begun: what is done only at the beginning is done. */
  #hasBegun = false;
  #manager: ManagerPart | undefined;
  #isRemoved = false;
  #changing: Promise<void> = Promise.resolve();
  #unsubscribes: (() => void)[] = [];

  constructor(options: SwarmMemberOptions, modules: SwarmMemberModules) {
    this.#options = options;
    this.#modules = modules;
    this.#config = options.member;
    this.#create = options.create;
    this.identity = modules.identity;
    const { advertise, remoteAddrs, raftId } = options.member;
    const own = raftId === undefined ? [] : [`${advertise.host}:${advertise.port}`];
    this.worker = new WorkerPart({ ...options, managers: [...own, ...remoteAddrs] }, modules);
  }

  get config(): MemberConfig {
    return this.#config;
  }

  get manager(): ManagerPart | undefined {
    return this.#manager;
  }

  /** The swarm has no such node any more: what is left of it here waits for `leave`. */
  get isRemoved(): boolean {
    return this.#isRemoved;
  }

  /** It has just been promoted, or given its key. */
  get isBecomingManager(): boolean {
    const { role, isLocked } = this.identity;
    return role === 'manager' && !isLocked && !this.#isRemoved && this.#manager === undefined;
  }

  get control(): ControlApi | undefined {
    return this.#manager?.control;
  }

  start(): Promise<void> {
    return this.#begin(() => this.#takeRole());
  }

  /**
   * As `start`, for a node that has been in the swarm before: one that the managers do not have among them any more begins as a worker,
   * and as such is told what it is now.
   */
  resume(): Promise<void> {
    return this.#begin(async () => {
      try {
        await this.#takeRole();
      } catch (error) {
        if (!isRefusal(error)) throw error;
        this.#modules.log.warn({ error: messageOf(error) }, 'the managers do not take this node in as one of them');
        this.#followRole();
      }
    });
  }

  async #begin(takeRole: () => Promise<void>): Promise<void> {
    try {
      await takeRole();
      await this.worker.start();
    } catch (error) {
      await this.#manager?.stop();
      throw error;
    }
    this.#unsubscribes = [
      this.identity.onChange(() => this.#followRole()),
      this.worker.agent.onRemoved(() => this.#retire()),
    ];
    // It may have changed, or been unlocked, meanwhile.
    this.#followRole();
  }

  /**
   * Gives a locked manager its key. Resolves when it takes part again; when that fails, it is tried again until it works.
   * @throws WaggleError as `takeRole` failed the first time.
   */
  async unlock(material: TlsMaterial): Promise<void> {
    const attempt = this.#changing.then(() => this.#takeRole());
    this.#changing = attempt.catch(() => this.#followRoleUntilDone());
    this.identity.replace(material);
    await attempt;
  }

  stop(): Promise<void> {
    return this.#end('the node stops', () => this.worker.stop());
  }

  /** Everything of the swarm is gone from this host when it resolves, but for the files of identity and state. */
  leave(): Promise<void> {
    return this.#end('the node leaves the swarm', () => this.worker.leave());
  }

  async #end(reason: string, endWorker: () => Promise<void>): Promise<void> {
    for (const unsubscribe of this.#unsubscribes.splice(0)) unsubscribe();
    this.#abort.abort(new WaggleError('aborted', reason));
    await this.#changing;
    await endWorker();
    await this.#manager?.stop();
  }

  /** A manager that was removed must not go on as one: it would vie for a leadership that it can no longer have. */
  #retire(): void {
    this.#isRemoved = true;
    this.#changing = this.#changing.then(async () => {
      const manager = this.#manager;
      this.#manager = undefined;
      this.#modules.onManager(undefined);
      await manager?.stop();
    });
  }

  #followRole(): void {
    this.#changing = this.#changing.then(() => this.#followRoleUntilDone());
  }

  /** A promotion that fails now is tried again for as long as the role asks for it. */
  async #followRoleUntilDone(): Promise<void> {
    const { clock, random, log } = this.#modules;
    for (let failures = 1; !this.#abort.signal.aborted; failures++) {
      try {
        await this.#takeRole();
        return;
      } catch (error) {
        log.warn(
          { role: this.identity.role, error: messageOf(error), failures },
          'the new role could not be taken yet',
        );
      }
      const delay = backoffDelayMs(RETRY, failures, random());
      await sleep(clock, delay, this.#abort.signal).catch(() => undefined);
    }
  }

  /** worker -> manager and back, as the certificate has it; nothing when it is so already. */
  async #takeRole(): Promise<void> {
    if (this.#isRemoved) return;
    if (this.identity.role === 'worker') {
      if (this.#config.raftId !== undefined) await this.#becomeWorker();
      return;
    }
    if (this.#manager !== undefined || this.identity.isLocked) return;
    const raftId = this.#ownRaftId() ?? (await this.#chooseRaftId());
    const manager = this.#makeManager(raftId);
    await manager.start();
    this.#create = undefined;
    this.#hasBegun = true;
    this.#manager = manager;
    this.#modules.onManager(manager);
    this.#modules.log.info({ raftId }, 'this node is a manager');
  }

  async #becomeWorker(): Promise<void> {
    const manager = this.#manager;
    this.#manager = undefined;
    this.#modules.onManager(undefined);
    await manager?.stop();
    await Promise.all(
      MANAGER_FOLDERS.map((name) => rm(path.join(this.#options.dataDir, name), { recursive: true, force: true })),
    );
    await this.#modules.identityStore.saveRaftKeys([], { replaces: true });
    const { raftId: _former, ...config } = this.#config;
    await this.#keep(config);
    this.#modules.log.info({}, 'this node is a worker');
  }

  /** Who has lost its log has forgotten what it voted and acknowledged: under its old ID it could break what Raft promises. */
  #ownRaftId(): number | undefined {
    const { raftId } = this.#config;
    if (raftId === undefined || this.#create !== undefined || hasRaftLog(this.#options.dataDir)) return raftId;
    this.#modules.log.warn({ raftId }, 'the Raft log is not there, joining the managers under another Raft ID');
    return undefined;
  }

  async #chooseRaftId(): Promise<number> {
    const raftId = newRaftId();
    await this.#keep({ ...this.#config, raftId });
    return raftId;
  }

  /** A new swarm's first manager is kept only once it has begun; until then nothing is to be taken up again. */
  async #keep(config: MemberConfig): Promise<void> {
    this.#config = config;
    if (this.#create === undefined) await this.#modules.configs.save(config);
  }

  #makeManager(raftId: number): ManagerPart {
    const { advertise, listen, remoteAddrs } = this.#config;
    return new ManagerPart(
      {
        dataDir: this.#options.dataDir,
        listen,
        raftId,
        address: `${advertise.host}:${advertise.port}`,
        managers: () => [...new Set([...this.worker.agent.managers, ...remoteAddrs])],
        ...(this.#create === undefined ? {} : { create: this.#create }),
        forceNewCluster: this.#options.forceNewCluster === true && !this.#hasBegun,
      },
      {
        ...this.#modules,
        source: this.identity,
        keyFile: this.#modules.identityStore,
        witness: gossipWitness(this.worker.members, this.#modules),
      },
    );
  }
}

/** By the managers themselves: to ask again changes nothing as long as they have not changed their mind. */
function isRefusal(error: unknown): boolean {
  return error instanceof WaggleError && REFUSALS.has(error.code);
}
