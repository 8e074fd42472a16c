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
import type { LogStore } from './log/log-store.ts';
import { PendingProposals } from './pending-proposals.ts';
import type { RaftReceiver, RaftTransport } from './transport.ts';

const NO_LEADER =
  "The swarm does not have a leader. It's possible that too few managers are online. Make sure more than half of the managers are online.";
const MAX_WAITING = 8192;

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
}

export interface RaftNodeModules {
  log: LogStore;
  stateMachine: StateMachine;
  transport: RaftTransport;
  clock: Clock;
  random: Random;
  logger: Log;
  /** The disk failed: the manager must stop; nothing more is acknowledged here. Called once. */
  onFatal: (error: Error) => void;
}

/** What listeners are told of: a new leader (0 for none), whether this member leads, and in which term. */
export interface Leadership {
  leader: RaftId;
  isLeader: boolean;
  term: number;
}

/** Runs the Raft core against a disk, a network and a state machine; the Proposer of the state store. */
export class RaftNode implements Proposer, RaftReceiver, Startable {
  readonly #options: RaftNodeOptions;
  readonly #modules: RaftNodeModules;
  readonly #pending = new PendingProposals();
  readonly #listeners = new Set<(leadership: Leadership) => void>();
  readonly #changeListeners = new Set<(configuration: Configuration, change: ConfigurationChange) => void>();
  readonly #waiting: { data: Uint8Array; resolve: (result: ApplyResult) => void; reject: (error: Error) => void }[] =
    [];
  readonly #reads = new Map<number, { resolve: () => void; reject: (error: Error) => void }>();
  #confirmed: { request: number; index: number }[] = [];
  readonly #incoming = new Map<number, readonly Uint8Array[]>();
  #raft: Raft | undefined;
  #leadership: Leadership = { leader: 0, isLeader: false, term: 0 };
  #configuration: Configuration = EMPTY_CONFIGURATION;
  #cancelTick: CancelTimer = () => undefined;
  #scheduled = false;
  #disk: Promise<void> = Promise.resolve();
  #applied = { index: 0, term: 0 };
  #snapshotIndex = 0;
  #snapshotting = false;
  #lastRead = 0;
  #stopped = false;

  constructor(options: RaftNodeOptions, modules: RaftNodeModules) {
    this.#options = options;
    this.#modules = modules;
  }

  /** Restores the state machine and begins to take part. @throws CorruptLogError */
  async start(): Promise<void> {
    const { log, stateMachine } = this.#modules;
    let stored = await log.open();
    if (this.#options.bootstrap && stored.entries.length === 0 && stored.snapshot === undefined) {
      const change: ConfigurationChange = { changes: [{ kind: 'add-voter', id: this.#options.id }] };
      const entries: LogEntry[] = [{ term: 1, index: 1, type: 'conf-change', data: encodeChange(change) }];
      const hardState = { term: 1, vote: 0, commit: 1 };
      await log.save({ entries, hardState });
      stored = { ...stored, entries, hardState };
    }
    if (stored.snapshot !== undefined) stateMachine.restore(stored.snapshot.chunks);
    const snapshot = stored.snapshot?.meta;
    this.#applied = { index: snapshot?.index ?? 0, term: snapshot?.term ?? 0 };
    this.#snapshotIndex = this.#applied.index;
    this.#configuration = snapshot?.configuration ?? EMPTY_CONFIGURATION;
    this.#raft = new Raft(
      {
        ...this.#options,
        maxAppendBytes: 256 * 1024,
        maxInflightAppends: 256,
        maxInflightBytes: 16 * 1024 * 1024,
        maxUncommittedBytes: 64 * 1024 * 1024,
        random: this.#modules.random,
      },
      { hardState: stored.hardState, entries: stored.entries, snapshot },
    );
    this.#drive();
    // The only voter need not wait for a time-out to find out that it is alone.
    if (this.#isOnlyVoter()) this.#raft.campaign();
    this.#drive();
    this.#tick();
  }

  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#cancelTick();
    this.#abandon(new WaggleError('unavailable', 'the manager is stopping'));
    await this.#disk;
    await this.#modules.log.close();
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

  /** Called after each applied change of the membership. Returns the unsubscribe. */
  onConfiguration(listener: (configuration: Configuration, change: ConfigurationChange) => void): () => void {
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
    if (this.#stopped || !this.#leadership.isLeader) return Promise.reject(new WaggleError('unavailable', NO_LEADER));
    return new Promise((resolve, reject) => {
      this.#waiting.push({ data, resolve, reject });
      this.#schedule();
    });
  }

  /** Changes the membership. Resolves once it is applied here. @throws WaggleError failed-precondition, unavailable */
  changeMembers(change: ConfigurationChange): Promise<void> {
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

  /** Resolves when this member's state holds everything that was acknowledged anywhere before the call. */
  readBarrier(): Promise<void> {
    const request = ++this.#lastRead;
    if (this.#stopped || !this.#core().readIndex(request)) {
      return Promise.reject(new WaggleError('unavailable', NO_LEADER));
    }
    this.#schedule();
    return new Promise((resolve, reject) => this.#reads.set(request, { resolve, reject }));
  }

  /** Hands leadership to another member, if this one has it. */
  transferTo(id: RaftId): boolean {
    const begun = this.#core().transfer(id);
    this.#schedule();
    return begun;
  }

  receive(message: Message): void {
    if (this.#stopped) return;
    this.#core().step(message);
    this.#schedule();
  }

  receiveSnapshot(message: Message & { type: 'snapshot' }, chunks: readonly Uint8Array[]): void {
    this.#incoming.clear();
    this.#incoming.set(message.meta.index, chunks);
    this.receive(message);
  }

  unreachable(id: RaftId): void {
    if (!this.#stopped) this.#core().reportUnreachable(id);
  }

  #tick(): void {
    this.#cancelTick = this.#modules.clock.after(this.#options.tickMs, () => {
      this.#core().tick();
      this.#schedule();
      this.#tick();
    });
  }

  /** One pass per turn of the event loop: whatever came in meanwhile shares messages and fsync. */
  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      if (!this.#stopped) this.#drive();
    });
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
    this.#confirmed.push(...ready.reads);
    this.#answerReads();
  }

  /** Everything behind the disk keeps its order, also what has nothing to write itself. */
  #persist(ready: Ready): void {
    const { entries, hardState, snapshot } = ready.persist;
    const writes = entries.length > 0 || hardState !== undefined;
    const { log } = this.#modules;
    let saved: Promise<void> = Promise.resolve();
    if (snapshot !== undefined) {
      const chunks = this.#incoming.get(snapshot.index) ?? [];
      saved = log.saveSnapshot(snapshot, chunks, Number.MAX_SAFE_INTEGER, this.#options.keepOldSnapshots);
    }
    if (writes) {
      const write = { entries, ...(hardState === undefined ? {} : { hardState }) };
      saved = Promise.all([saved, log.save(write)]).then(() => undefined);
    }
    this.#disk = Promise.all([this.#disk, saved]).then(
      () => this.#afterPersist(ready),
      (error: unknown) => this.#fail(error),
    );
  }

  #afterPersist(ready: Ready): void {
    if (this.#stopped) return;
    this.#core().persisted(ready);
    this.#send(ready.afterPersist);
    this.#schedule();
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
  #sendSnapshot(message: Message & { type: 'snapshot' }): void {
    const meta: SnapshotMeta = { ...this.#applied, configuration: this.#configuration };
    const chunks = this.#modules.stateMachine.snapshot();
    this.#modules.transport.sendSnapshot({ ...message, meta }, chunks).then(
      () => this.#core().reportSnapshot(message.to, true),
      (error: unknown) => {
        this.#modules.logger.debug({ to: message.to, error: messageOf(error) }, 'raft snapshot was not delivered');
        this.#core().reportSnapshot(message.to, false);
      },
    );
  }

  #install(meta: SnapshotMeta): void {
    this.#modules.stateMachine.restore(this.#incoming.get(meta.index) ?? []);
    this.#incoming.clear();
    this.#applied = { index: meta.index, term: meta.term };
    this.#snapshotIndex = meta.index;
    this.#configuration = meta.configuration;
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
    if (entry.index - this.#snapshotIndex >= this.#options.snapshotInterval) this.#takeSnapshot();
  }

  /** A read may be confirmed before the own disk, and so the state machine, has come as far. */
  #answerReads(): void {
    for (const read of this.#confirmed.splice(0)) {
      if (read.index > this.#applied.index) {
        this.#confirmed.push(read);
        continue;
      }
      this.#reads.get(read.request)?.resolve();
      this.#reads.delete(read.request);
    }
  }

  #takeSnapshot(): void {
    if (this.#snapshotting) return;
    this.#snapshotting = true;
    const meta: SnapshotMeta = { ...this.#applied, configuration: this.#configuration };
    const compactIndex = Math.max(0, meta.index - this.#options.entriesForSlowFollowers);
    const chunks = this.#modules.stateMachine.snapshot();
    this.#snapshotIndex = meta.index;
    this.#modules.log.saveSnapshot(meta, chunks, compactIndex, this.#options.keepOldSnapshots).then(
      () => {
        this.#snapshotting = false;
        if (!this.#stopped) this.#core().compact(meta, compactIndex);
      },
      (error: unknown) => this.#fail(error),
    );
  }

  #announceLeadership(): void {
    const { leader, role, term } = this.#core().status();
    const isLeader = role === 'leader';
    const before = this.#leadership;
    if (leader === before.leader && isLeader === before.isLeader && term === before.term) return;
    this.#leadership = { leader, isLeader, term };
    if (before.isLeader && !(isLeader && term === before.term)) this.#abandon();
    if (leader !== before.leader) this.#modules.logger.info({ leader, term }, 'raft leader changed');
    for (const listener of this.#listeners) listener(this.#leadership);
  }

  #abandon(error?: Error): void {
    this.#pending.abandon(error);
    const why = error ?? new WaggleError('unavailable', NO_LEADER);
    for (const { reject } of this.#waiting.splice(0)) reject(why);
    for (const { reject } of this.#reads.values()) reject(why);
    this.#reads.clear();
    this.#confirmed = [];
  }

  #fail(error: unknown): void {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#cancelTick();
    const failure = error instanceof Error ? error : new Error(String(error));
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
