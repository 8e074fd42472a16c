import { invariant } from '../../proto/runtime/assert.ts';
import type { CancelTimer, Clock } from '../../proto/runtime/clock.ts';
import { messageOf, WaggleError } from '../../proto/runtime/errors.ts';
import type { Startable } from '../../proto/runtime/lifecycle.ts';
import type { Log } from '../../proto/runtime/log.ts';
import type { Random } from '../../proto/runtime/random.ts';
import { type ApplyResult, MAX_PROPOSAL_BYTES, type Proposer, type StateMachine } from '../store/transaction.ts';
import { type ConfigurationChange, encodeChange } from './core/configuration.ts';
import {
  EMPTY_CONFIGURATION,
  type Configuration,
  type LogEntry,
  type RaftId,
  type SnapshotMeta,
} from './core/entry.ts';
import type { Message } from './core/message.ts';
import { Raft, type RaftStatus, type Ready } from './core/raft.ts';
import type { LogStore, StoredState } from './log/log-store.ts';
import { PendingProposals } from './pending-proposals.ts';
import { PendingReads } from './pending-reads.ts';
import type { RaftReceiver, RaftTransport } from './transport.ts';

const NO_LEADER =
  "The swarm does not have a leader. It's possible that too few managers are online. Make sure more than half of the managers are online.";
const MAX_WAITING = 8192;
const LIMITS = {
  maxAppendBytes: 256 * 1024,
  maxInflightAppends: 256,
  maxInflightBytes: 16 * 1024 * 1024,
  maxUncommittedBytes: 64 * 1024 * 1024,
};

export interface RaftNodeOptions {
  id: RaftId;
  /** Length of one tick of the core's timers. */
  tickMs: number;
  electionTicks: number;
  heartbeatTicks: number;
  /** Log entries between snapshots, and how many are kept behind one for followers that are a little slow. */
  snapshotInterval: number;
  entriesForSlowFollowers: number;
  keepOldSnapshots: number;
  /** Begin a new cluster with this member alone, when the log is empty. */
  bootstrap: boolean;
  /**
   * A majority is lost for good: go on alone with what the own log holds, committed or not, as `swarm init
   * --force-new-cluster`. The others must never come back as they were.
   */
  forceNewCluster?: boolean;
}

export interface RaftNodeModules {
  log: LogStore;
  stateMachine: StateMachine;
  transport: RaftTransport;
  clock: Clock;
  random: Random;
  logger: Log;
  /** The disk failed, or a promise of Raft was broken: the manager must stop; nothing more is acknowledged here. Called once. */
  onFatal: (error: Error) => void;
}

/** What listeners are told of: a new leader, whether this member leads, and in which term. */
export interface Leadership {
  /**
   * 0 while there is none. A member that was elected leads only once everything that was committed before has been applied
   * here: nothing can be decided on older state.
   */
  leader: RaftId;
  isLeader: boolean;
  term: number;
}

type ConfigurationListener = (configuration: Configuration, change: ConfigurationChange | undefined) => void;
type SnapshotMessage = Message & { type: 'snapshot' };

/** Runs the Raft core against a disk, a network and a state machine; the Proposer of the state store. */
export class RaftNode implements Proposer, RaftReceiver, Startable {
  readonly #options: RaftNodeOptions;
  readonly #modules: RaftNodeModules;
  readonly #pending = new PendingProposals();
  readonly #reads = new PendingReads();
  readonly #listeners = new Set<(leadership: Leadership) => void>();
  readonly #changeListeners = new Set<ConfigurationListener>();
  readonly #waiting: { data: Uint8Array; resolve: (result: ApplyResult) => void; reject: (error: Error) => void }[] =
    [];
  #raft: Raft | undefined;
  #leadership: Leadership = { leader: 0, isLeader: false, term: 0 };
  /** As of the last applied entry. */
  #configuration: Configuration = EMPTY_CONFIGURATION;
  #cancelTick: CancelTimer = () => undefined;
  #scheduled = false;
  /** Ends when everything that was handed to the disk so far is on it. */
  #disk: Promise<void> = Promise.resolve();
  #writing = 0;
  #applied = { index: 0, term: 0 };
  #snapshotIndex = 0;
  #snapshotting: Promise<void> | undefined;
  /** State that came with the snapshot message that is being worked on. */
  #incoming: readonly Uint8Array[] | undefined;
  #lastRead = 0;
  #running = false;
  #stopping: Promise<void> | undefined;

  constructor(options: RaftNodeOptions, modules: RaftNodeModules) {
    this.#options = options;
    this.#modules = modules;
  }

  /** Restores the state machine and begins to take part. @throws CorruptLogError, LogKeyError */
  async start(): Promise<void> {
    const { log } = this.#modules;
    const stored = await log.open();
    try {
      this.#begin(await this.#prepare(stored));
    } catch (error) {
      this.#running = false;
      this.#cancelTick();
      await log.close();
      throw error;
    }
  }

  /** Whoever waits for something is told that it will not come. A leader tells another member to take over at once. */
  stop(): Promise<void> {
    this.#stopping ??= this.#end();
    return this.#stopping;
  }

  get id(): RaftId {
    return this.#options.id;
  }

  status(): RaftStatus {
    return this.#core().status();
  }

  get leadership(): Leadership {
    return this.#leadership;
  }

  /** Called after each change of leader or term. Returns the unsubscribe. */
  onLeadership(listener: (leadership: Leadership) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Called after each applied change of the membership; without the change when it came with a snapshot. Returns the unsubscribe. */
  onConfiguration(listener: ConfigurationListener): () => void {
    this.#changeListeners.add(listener);
    return () => this.#changeListeners.delete(listener);
  }

  propose(data: Uint8Array): Promise<ApplyResult> {
    if (data.length > MAX_PROPOSAL_BYTES) {
      const text = `a change of ${data.length} bytes is over the limit of ${MAX_PROPOSAL_BYTES}`;
      return Promise.reject(new WaggleError('resource-exhausted', text));
    }
    if (this.#waiting.length + this.#pending.size >= MAX_WAITING) {
      return Promise.reject(new WaggleError('resource-exhausted', 'too many changes are waiting'));
    }
    if (!this.#leads()) return Promise.reject(new WaggleError('unavailable', NO_LEADER));
    return new Promise((resolve, reject) => {
      this.#waiting.push({ data, resolve, reject });
      this.#schedule();
    });
  }

  /** Changes the membership. Resolves once it is applied here. @throws WaggleError failed-precondition, unavailable */
  changeMembers(change: ConfigurationChange): Promise<void> {
    if (!this.#leads()) return Promise.reject(new WaggleError('unavailable', NO_LEADER));
    const result = this.#core().proposeChange(change);
    if (!result.ok) {
      const detail =
        result.reason === 'invalid' ? result.detail : `the membership cannot be changed now: ${result.reason}`;
      const code = result.reason === 'invalid' ? 'failed-precondition' : 'unavailable';
      return Promise.reject(new WaggleError(code, detail));
    }
    this.#schedule();
    return new Promise((resolve, reject) =>
      this.#pending.add(result.index, result.term, { resolve: () => resolve(), reject }),
    );
  }

  /** Resolves when this member's state holds everything that was acknowledged anywhere before the call. Leader only. */
  readBarrier(): Promise<void> {
    const request = ++this.#lastRead;
    if (!this.#leads() || !this.#core().readIndex(request)) {
      return Promise.reject(new WaggleError('unavailable', NO_LEADER));
    }
    this.#schedule();
    return new Promise((resolve, reject) => this.#reads.add(request, { resolve, reject }));
  }

  /** Hands leadership to another member, if this one has it. */
  transferTo(id: RaftId): boolean {
    const begun = this.#running && this.#core().transfer(id);
    this.#schedule();
    return begun;
  }

  /** Writes the present state to the disk and lets the log before it go, as after a change of the data key. */
  async takeSnapshot(): Promise<void> {
    // One that is under way may have begun before what the caller wants in it.
    await this.#snapshotting;
    this.#saveSnapshot();
    await this.#snapshotting;
  }

  receive(message: Message): void {
    this.#guarded(() => this.#core().step(message));
    this.#schedule();
  }

  receiveSnapshot(message: SnapshotMessage, chunks: readonly Uint8Array[]): void {
    // In one go: the state must not be taken for that of another message.
    this.#guarded(() => {
      this.#incoming = chunks;
      this.#core().step(message);
      this.#drive();
    });
    this.#incoming = undefined;
  }

  unreachable(id: RaftId): void {
    this.#guarded(() => this.#core().reportUnreachable(id));
  }

  /** Writes the entry with which a cluster of one begins, or begins anew. */
  async #prepare(stored: StoredState): Promise<StoredState> {
    const { bootstrap, forceNewCluster, id } = this.#options;
    const last = stored.entries.at(-1) ?? stored.snapshot?.meta ?? { index: 0, term: 0 };
    const isNew = last.index === 0 && stored.hardState.term === 0;
    if (!(isNew && bootstrap) && !(last.index > 0 && forceNewCluster === true)) return stored;
    const changes: ConfigurationChange['changes'] = [{ kind: 'add-voter', id }];
    const change: ConfigurationChange = isNew ? { changes } : { changes, startsAnew: true };
    const index = last.index + 1;
    const term = Math.max(last.term, stored.hardState.term) + 1;
    const entry: LogEntry = { term, index, type: 'conf-change', data: encodeChange(change) };
    const hardState = { term, vote: isNew ? 0 : id, commit: index };
    await this.#modules.log.save({ entries: [entry], hardState });
    return { ...stored, entries: [...stored.entries, entry], hardState };
  }

  #begin({ hardState, entries, snapshot }: StoredState): void {
    const { stateMachine, random } = this.#modules;
    if (snapshot !== undefined) {
      stateMachine.restore(snapshot.chunks);
      this.#isAt(snapshot.meta);
    }
    this.#raft = new Raft({ ...this.#options, ...LIMITS, random }, { hardState, entries, snapshot: snapshot?.meta });
    this.#running = true;
    this.#drive();
    // The only voter need not wait for a time-out to find out that it is alone.
    if (this.#isOnlyVoter()) this.#raft.campaign();
    this.#drive();
    this.#tick();
  }

  async #end(): Promise<void> {
    this.#guarded(() => this.#handOver());
    this.#running = false;
    this.#leadership = { leader: 0, isLeader: false, term: this.#leadership.term };
    this.#cancelTick();
    this.#abandon(new WaggleError('unavailable', 'the manager is stopping'));
    await this.#disk;
    await this.#modules.log.close();
  }

  /** Without waiting for what comes of it: should it fail, an election follows as after a crash. */
  #handOver(): void {
    const { role, configuration, progress } = this.#core().status();
    if (role !== 'leader') return;
    const heirs = configuration.voters.filter((voter) => voter !== this.id);
    const match = (voter: RaftId): number => progress.get(voter)?.match ?? 0;
    const [heir] = heirs.toSorted((a, b) => match(b) - match(a));
    if (heir !== undefined && this.#core().transfer(heir)) this.#drive();
  }

  #leads(): boolean {
    return this.#running && this.#leadership.isLeader;
  }

  #tick(): void {
    this.#cancelTick = this.#modules.clock.after(this.#options.tickMs, () => {
      this.#guarded(() => this.#core().tick());
      this.#schedule();
      if (this.#running) this.#tick();
    });
  }

  /** One pass per turn of the event loop: whatever came in meanwhile shares messages and fsync. */
  #schedule(): void {
    if (this.#scheduled || !this.#running) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      this.#guarded(() => this.#drive());
    });
  }

  /** A core, or a state machine, whose promises are broken must not go on. */
  #guarded(work: () => void): void {
    if (!this.#running) return;
    try {
      work();
    } catch (error) {
      this.#fail(error);
    }
  }

  #drive(): void {
    this.#proposeWaiting();
    for (let ready = this.#core().ready(); ready !== undefined; ready = this.#core().ready()) this.#handle(ready);
    this.#announceLeadership();
  }

  #proposeWaiting(): void {
    if (this.#waiting.length === 0) return;
    const batch = this.#waiting.splice(0);
    const result = this.#core().propose(batch.map((each) => each.data));
    batch.forEach((each, at) => {
      if (result.ok) this.#pending.add(result.index + at, result.term, each);
      else if (result.reason === 'busy')
        each.reject(new WaggleError('resource-exhausted', 'too many changes are waiting'));
      else each.reject(new WaggleError('unavailable', NO_LEADER));
    });
  }

  #handle(ready: Ready): void {
    this.#send(ready.immediate);
    this.#persist(ready);
    if (ready.persist.snapshot !== undefined) this.#install(ready.persist.snapshot);
    for (const entry of ready.committed) this.#apply(entry);
    this.#reads.confirm(ready.reads);
    this.#reads.applied(this.#applied.index);
  }

  /** Everything behind the disk keeps its order, also what has nothing to write itself. */
  #persist(ready: Ready): void {
    const { entries, hardState, snapshot } = ready.persist;
    const hasNothing = entries.length === 0 && hardState === undefined && snapshot === undefined;
    if (hasNothing && this.#writing === 0) return this.#afterPersist(ready);
    const saved = hasNothing
      ? Promise.resolve()
      : this.#modules.log.save({
          entries,
          ...(hardState === undefined ? {} : { hardState }),
          ...(snapshot === undefined ? {} : { install: { meta: snapshot, chunks: this.#stateOf(snapshot) } }),
        });
    this.#writing++;
    this.#disk = Promise.all([this.#disk, saved]).then(
      () => {
        this.#writing--;
        this.#guarded(() => this.#afterPersist(ready));
        this.#schedule();
      },
      (error: unknown) => this.#fail(error),
    );
  }

  #afterPersist(ready: Ready): void {
    this.#core().persisted(ready);
    this.#send(ready.afterPersist);
  }

  #send(messages: readonly Message[]): void {
    const outside: Message[] = [];
    for (const message of messages) {
      if (message.to === this.#options.id) this.#core().step(message);
      else if (message.type === 'snapshot') this.#sendSnapshot(message);
      else outside.push(message);
    }
    if (outside.length > 0) this.#modules.transport.send(outside);
  }

  /** Sends the present state, newer than the snapshot that the core knows of, under its own index. */
  #sendSnapshot(message: SnapshotMessage): void {
    const { transport, stateMachine, logger } = this.#modules;
    const { to } = message;
    transport.sendSnapshot({ ...message, meta: this.#present() }, stateMachine.snapshot()).then(
      () => this.#guarded(() => this.#core().reportSnapshot(to, true)),
      (error: unknown) => {
        logger.debug({ to, error: messageOf(error) }, 'raft snapshot was not delivered');
        this.#guarded(() => this.#core().reportSnapshot(to, false));
      },
    );
  }

  #stateOf(meta: SnapshotMeta): readonly Uint8Array[] {
    invariant(this.#incoming !== undefined, `the state of snapshot ${meta.index} is missing`);
    return this.#incoming;
  }

  #install(meta: SnapshotMeta): void {
    this.#modules.stateMachine.restore(this.#stateOf(meta));
    this.#isAt(meta);
    for (const listener of this.#changeListeners) listener(meta.configuration, undefined);
  }

  #isAt({ index, term, configuration }: SnapshotMeta): void {
    this.#applied = { index, term };
    this.#snapshotIndex = index;
    this.#configuration = configuration;
  }

  #apply(entry: LogEntry): void {
    let result: ApplyResult = { ok: true, index: entry.index };
    if (entry.type === 'conf-change') {
      const { configuration, change } = this.#core().changeOf(entry);
      this.#configuration = configuration;
      for (const listener of this.#changeListeners) listener(configuration, change);
    } else if (entry.data.length > 0) {
      result = this.#modules.stateMachine.apply(entry.index, entry.data);
    }
    this.#applied = { index: entry.index, term: entry.term };
    this.#pending.applied(entry.index, entry.term, result);
    if (entry.index - this.#snapshotIndex >= this.#options.snapshotInterval) this.#saveSnapshot();
  }

  #present(): SnapshotMeta {
    return { ...this.#applied, configuration: this.#configuration };
  }

  #saveSnapshot(): void {
    if (this.#snapshotting !== undefined || !this.#running || this.#applied.index === 0) return;
    const { log, stateMachine } = this.#modules;
    const meta = this.#present();
    const compactIndex = Math.max(0, meta.index - this.#options.entriesForSlowFollowers);
    this.#snapshotIndex = meta.index;
    this.#snapshotting = log
      .saveSnapshot(meta, stateMachine.snapshot(), compactIndex, this.#options.keepOldSnapshots)
      .then(
        () => this.#guarded(() => this.#core().compact(meta, compactIndex)),
        (error: unknown) => this.#fail(error),
      )
      .then(() => {
        this.#snapshotting = undefined;
      });
  }

  #announceLeadership(): void {
    const { leader, role, term } = this.#core().status();
    const isLeader = role === 'leader' && this.#applied.term === term;
    const known = role === 'leader' && !isLeader ? 0 : leader;
    const before = this.#leadership;
    if (known === before.leader && isLeader === before.isLeader && term === before.term) return;
    this.#leadership = { leader: known, isLeader, term };
    if (before.isLeader && !(isLeader && term === before.term)) this.#abandon();
    if (known !== before.leader) this.#modules.logger.info({ leader: known, term }, 'raft leader changed');
    for (const listener of this.#listeners) listener(this.#leadership);
  }

  #abandon(error?: Error): void {
    this.#pending.abandon(error);
    const why = error ?? new WaggleError('unavailable', NO_LEADER);
    for (const { reject } of this.#waiting.splice(0)) reject(why);
    this.#reads.abandon(why);
  }

  #fail(error: unknown): void {
    if (!this.#running) return;
    this.#running = false;
    this.#cancelTick();
    const failure = error instanceof Error ? error : new Error(String(error));
    this.#modules.logger.error(
      { error: failure.message, cause: messageOf(failure.cause) },
      'raft cannot go on, this manager must stop',
    );
    this.#leadership = { leader: 0, isLeader: false, term: this.#leadership.term };
    this.#abandon(new WaggleError('unavailable', `this manager has stopped: ${failure.message}`));
    this.#modules.onFatal(failure);
  }

  #isOnlyVoter(): boolean {
    const { voters, outgoing } = this.#core().status().configuration;
    return outgoing.length === 0 && voters.length === 1 && voters[0] === this.#options.id;
  }

  #core(): Raft {
    if (this.#raft === undefined) throw new WaggleError('failed-precondition', 'the Raft member has not been started');
    return this.#raft;
  }
}
