import { invariant } from '../../proto/runtime/assert.ts';
import type { CancelTimer, Clock } from '../../proto/runtime/clock.ts';
import { noLeader } from '../../proto/rpc/no-leader.ts';
import { messageOf, WaggleError } from '../../proto/runtime/errors.ts';
import type { Startable } from '../../proto/runtime/lifecycle.ts';
import type { Log } from '../../proto/runtime/log.ts';
import type { Random } from '../../proto/runtime/random.ts';
import {
  type ApplyResult,
  MAX_PROPOSAL_BYTES,
  proposalTooLarge,
  type Proposer,
  type StateMachine,
} from '../store/transaction.ts';
import type { ConfigurationChange } from './core/configuration.ts';
import {
  EMPTY_CONFIGURATION,
  type Configuration,
  type LogEntry,
  type RaftId,
  type SnapshotMeta,
} from './core/entry.ts';
import type { Message } from './core/message.ts';
import { membersOf } from './core/quorum.ts';
import { Raft, type RaftStatus, type Ready } from './core/raft.ts';
import type { LogStore, StoredState } from './log/log-store.ts';
import { type IncomingSnapshot, takeIn } from './incoming-snapshot.ts';
import { newClusterEntry, type NewClusterOptions } from './new-cluster-entry.ts';
import type { RaftSettings } from './raft-settings.ts';
import type { RaftReceiver, RaftTransport } from './transport.ts';
import { WaitingCallers } from './waiting-callers.ts';

const LIMITS = {
  maxAppendBytes: 256 * 1024,
  maxInflightAppends: 256,
  maxInflightBytes: 16 * 1024 * 1024,
  maxUncommittedBytes: 64 * 1024 * 1024,
};

export interface RaftNodeOptions extends RaftSettings, NewClusterOptions {
  /** Length of one tick of the core's timers. */
  tickMs: number;
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

type SnapshotMessage = Message & { type: 'snapshot' };

/** Runs the Raft core against a disk, a network and a state machine; the Proposer of the state store. */
export class RaftNode implements Proposer, RaftReceiver, Startable {
  readonly #options: RaftNodeOptions;
  #settings: RaftSettings;
  readonly #modules: RaftNodeModules;
  readonly #callers = new WaitingCallers();
  readonly #listeners = new Set<(leadership: Leadership) => void>();
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
  /** What came with the snapshot message that is being worked on. */
  #incoming: IncomingSnapshot | undefined;
  readonly #heard = new Map<RaftId, number>();
  #running = false;
  #stopping: Promise<void> | undefined;

  constructor(options: RaftNodeOptions, modules: RaftNodeModules) {
    this.#options = options;
    this.#settings = options;
    this.#modules = modules;
  }

  /** Takes effect from the next timer and the next applied entry on. */
  configure(settings: RaftSettings): void {
    this.#settings = settings;
    this.#guarded(() => this.#core().setTimers(settings));
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

  /** See Proposer. What waits here when the leadership ends is refused with it. */
  propose(data: Uint8Array, term = this.#leadership.term): Promise<ApplyResult> {
    if (data.length > MAX_PROPOSAL_BYTES) return Promise.reject(proposalTooLarge());
    if (!this.#leads() || term !== this.#leadership.term) return Promise.reject(noLeader());
    const applied = this.#callers.propose(data);
    this.#schedule();
    return applied;
  }

  /** Changes the membership. Resolves once it is applied here. @throws WaggleError failed-precondition, unavailable */
  changeMembers(change: ConfigurationChange): Promise<void> {
    if (!this.#leads()) return Promise.reject(noLeader());
    const result = this.#core().proposeChange(change);
    if (!result.ok) {
      const detail =
        result.reason === 'invalid' ? result.detail : `the membership cannot be changed now: ${result.reason}`;
      const code = result.reason === 'invalid' ? 'failed-precondition' : 'unavailable';
      return Promise.reject(new WaggleError(code, detail));
    }
    this.#schedule();
    return this.#callers.entry(result);
  }

  /** Resolves when this member's state holds everything that was acknowledged anywhere before the call. Leader only. */
  readBarrier(): Promise<void> {
    const done = this.#callers.read((request) => this.#leads() && this.#core().readIndex(request));
    this.#schedule();
    return done;
  }

  /**
   * Begins to hand leadership to whoever has most of the log; should that fail, an election follows as after a crash.
   * @returns false when this member does not lead, or there is no other.
   */
  handOver(): boolean {
    if (!this.#running) return false;
    const { configuration, progress } = this.#core().status();
    const heirs = configuration.voters.filter((voter) => voter !== this.id);
    const match = (voter: RaftId): number => progress.get(voter)?.match ?? 0;
    const [heir] = heirs.toSorted((a, b) => match(b) - match(a));
    if (heir === undefined || !this.#core().transfer(heir)) return false;
    this.#guarded(() => this.#drive());
    return true;
  }

  /** Hands leadership to another member, if this one has it. */
  transferTo(id: RaftId): boolean {
    const begun = this.#running && this.#core().transfer(id);
    this.#schedule();
    return begun;
  }

  /** When a message of this member came in last, of Clock.monotonic; undefined for never. */
  lastHeard(id: RaftId): number | undefined {
    return this.#heard.get(id);
  }

  receive(message: Message): void {
    this.#heard.set(message.from, this.#modules.clock.monotonic());
    this.#guarded(() => this.#core().step(message));
    this.#schedule();
  }

  async receiveSnapshot(message: SnapshotMessage, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const { term, committed } = this.#core().status();
    // Neither ever goes back: of one that is older only the answer is wanted.
    if (message.term < term || message.meta.index <= committed) return this.receive(message);
    const incoming = await takeIn(message.meta, chunks, this.#modules);
    let isTaken = false;
    // In one go: the state must not be taken for that of another message.
    this.#guarded(() => {
      this.#incoming = incoming;
      this.#core().step(message);
      this.#drive();
      isTaken = this.#snapshotIndex === message.meta.index;
    });
    this.#incoming = undefined;
    if (!isTaken) await incoming.staged.discard();
  }

  unreachable(id: RaftId): void {
    this.#guarded(() => this.#core().reportUnreachable(id));
  }

  async #prepare(stored: StoredState): Promise<StoredState> {
    const begun = newClusterEntry(stored, this.#options);
    if (begun === undefined) return stored;
    const { entry, hardState } = begun;
    await this.#modules.log.save({ entries: [entry], hardState });
    return { ...stored, entries: [...stored.entries, entry], hardState };
  }

  #begin({ hardState, entries, snapshot }: StoredState): void {
    const { stateMachine, random } = this.#modules;
    if (snapshot !== undefined) {
      stateMachine.restore(snapshot.chunks);
      this.#isAt(snapshot.meta);
    }
    this.#raft = new Raft(
      { ...this.#options, ...this.#settings, ...LIMITS, random },
      { hardState, entries, snapshot: snapshot?.meta },
    );
    this.#running = true;
    this.#drive();
    // The only voter need not wait for a time-out to find out that it is alone.
    if (this.#isOnlyVoter()) this.#raft.campaign();
    this.#drive();
    this.#tick();
  }

  async #end(): Promise<void> {
    this.handOver();
    this.#running = false;
    this.#leadership = { leader: 0, isLeader: false, term: this.#leadership.term };
    this.#cancelTick();
    this.#callers.abandon(new WaggleError('unavailable', 'the manager is stopping'));
    await this.#disk;
    await this.#modules.log.close();
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
    const next = (): Ready | undefined => {
      this.#callers.beginBatch((data) => this.#core().propose(data));
      return this.#core().ready();
    };
    for (let ready = next(); ready !== undefined; ready = next()) this.#handle(ready);
    this.#announceLeadership();
  }

  #handle(ready: Ready): void {
    this.#send(ready.immediate);
    this.#persist(ready);
    if (ready.persist.snapshot !== undefined) this.#install(ready.persist.snapshot);
    for (const entry of ready.committed) this.#apply(entry);
    this.#callers.settled(this.#applied.index, ready.reads);
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
          ...(snapshot === undefined ? {} : { install: this.#arrived(snapshot).staged }),
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

  #arrived(meta: SnapshotMeta): IncomingSnapshot {
    invariant(this.#incoming?.staged.meta.index === meta.index, `the state of snapshot ${meta.index} is missing`);
    return this.#incoming;
  }

  #install(meta: SnapshotMeta): void {
    this.#arrived(meta).state.install();
    this.#isAt(meta);
  }

  #isAt({ index, term, configuration }: SnapshotMeta): void {
    this.#applied = { index, term };
    this.#snapshotIndex = index;
    this.#configuration = configuration;
  }

  #apply(entry: LogEntry): void {
    let result: ApplyResult = { ok: true, index: entry.index };
    if (entry.type === 'conf-change') {
      this.#configuration = this.#core().configurationAt(entry.index);
      this.#forgetStrangers();
    } else if (entry.data.length > 0) {
      result = this.#modules.stateMachine.apply(entry.index, entry.data);
    }
    this.#applied = { index: entry.index, term: entry.term };
    this.#callers.applied(entry.index, entry.term, result);
    if (entry.index - this.#snapshotIndex >= this.#settings.snapshotInterval) this.#saveSnapshot();
  }

  /** Who is no member any more is not listened for. */
  #forgetStrangers(): void {
    const members = new Set(membersOf(this.#configuration));
    for (const id of this.#heard.keys()) if (!members.has(id)) this.#heard.delete(id);
  }

  #present(): SnapshotMeta {
    return { ...this.#applied, configuration: this.#configuration };
  }

  #saveSnapshot(): void {
    if (this.#snapshotting !== undefined || !this.#running || this.#applied.index === 0) return;
    const { log, stateMachine } = this.#modules;
    const meta = this.#present();
    const compactIndex = Math.max(0, meta.index - this.#settings.entriesForSlowFollowers);
    this.#snapshotIndex = meta.index;
    this.#snapshotting = log
      .saveSnapshot(meta, stateMachine.snapshot(), compactIndex, this.#settings.keepOldSnapshots)
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
    if (before.isLeader && !(isLeader && term === before.term)) this.#callers.abandon();
    if (known !== before.leader) this.#modules.logger.info({ leader: known, term }, 'raft leader changed');
    for (const listener of this.#listeners) listener(this.#leadership);
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
    this.#callers.abandon(new WaggleError('unavailable', `this manager has stopped: ${failure.message}`));
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
