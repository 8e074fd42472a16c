import type { ConfigurationChange } from '../../../manager/raft/core/configuration.ts';
import {
  type Configuration,
  EMPTY_CONFIGURATION,
  type LogEntry,
  type RaftId,
} from '../../../manager/raft/core/entry.ts';
import type { Message } from '../../../manager/raft/core/message.ts';
import type { Raft, RaftStatus, Ready } from '../../../manager/raft/core/raft.ts';
import type { RaftOptions } from '../../../manager/raft/core/state.ts';
import { type Invariants, type IsDurable, type LogView, SafetyError } from './invariants.ts';
import { decodeCommand, encodeCommand, KeyValueMachine, type Command, type Result } from './key-value.ts';
import type { ModelDisk, ModelSnapshot } from './model-disk.ts';
import type { SeededRandom } from './seeded-random.ts';

/** What differs from run to run. */
export interface MemberTuning extends Omit<RaftOptions, 'id' | 'electionTicks' | 'random'> {
  snapshotInterval: number;
  entriesForSlowFollowers: number;
}

export interface MemberOptions extends MemberTuning {
  id: RaftId;
}

export interface MemberModules {
  /** The core under test, or a broken variant of it. */
  core: typeof Raft;
  random: SeededRandom;
  invariants: Invariants;
  disk: ModelDisk;
  isDurable: IsDurable;
  send(message: Message, state: ModelSnapshot | undefined): void;
  /** This member has come to lead, or has committed for the first time since: moments at which it hurts to fail. */
  milestone: (which: 'elected' | 'first-commit') => void;
  /** Called when the disk has something to do. */
  diskHasWork(): void;
}

/** What became of a request. `lost`: it did not take effect and never will. */
export type Answer = { kind: 'done'; result: Result } | { kind: 'unknown' } | { kind: 'lost' };

interface Pending {
  term: number;
  answer: (answer: Answer) => void;
}

const ELECTION_TICKS = 6;

/** One incarnation of a manager: the core, and around it what RaftNode does, without a real disk, network or clock. */
export class Member {
  readonly id: RaftId;
  readonly #options: MemberOptions;
  readonly #modules: MemberModules;
  readonly #raft: Raft;
  readonly #pending = new Map<number, Pending>();
  readonly #reads = new Map<number, { key: string; answer: (answer: Answer) => void }>();
  #confirmed: { request: number; index: number }[] = [];
  #machine: KeyValueMachine;
  #chain: number;
  #applied: { index: number; term: number };
  /** As of the last applied entry. */
  #configuration: Configuration;
  #snapshotIndex: number;
  #snapshotting = false;
  #incoming: ModelSnapshot | undefined;
  #lastRead = 0;
  /** What the core's log holds, as it was handed out. */
  #log: { first: number; entries: LogEntry[]; baseTerm: number };
  #leadingTerm = 0;
  #leadingCommit = 0;

  constructor(options: MemberOptions, modules: MemberModules) {
    const { hardState, entries, snapshot } = modules.disk.content;
    this.id = options.id;
    this.#options = options;
    this.#modules = modules;
    this.#machine = new KeyValueMachine(snapshot?.values);
    this.#chain = snapshot?.chain ?? 0;
    this.#applied = { index: snapshot?.meta.index ?? 0, term: snapshot?.meta.term ?? 0 };
    this.#configuration = snapshot?.meta.configuration ?? EMPTY_CONFIGURATION;
    this.#snapshotIndex = this.#applied.index;
    const first = entries[0]?.index ?? this.#applied.index + 1;
    this.#log = { first, entries: [...entries], baseTerm: first === this.#applied.index + 1 ? this.#applied.term : -1 };
    this.#raft = new modules.core(
      { ...options, electionTicks: ELECTION_TICKS, random: modules.random.next },
      { hardState, entries, snapshot: snapshot?.meta },
    );
    this.#drive();
  }

  status(): RaftStatus {
    return this.#raft.status();
  }

  get applied(): number {
    return this.#applied.index;
  }

  get chain(): number {
    return this.#chain;
  }

  tick(): void {
    this.#raft.tick();
    this.#drive();
  }

  receive(message: Message, state: ModelSnapshot | undefined): void {
    this.#incoming = state;
    this.#raft.step(message);
    this.#drive();
    this.#incoming = undefined;
  }

  /** The disk finished its oldest writes. */
  diskDone(writes: number): void {
    this.#modules.disk.complete(writes);
    this.#drive();
  }

  /** @returns false when it was refused for certain. */
  propose(command: Command, answer: (answer: Answer) => void): boolean {
    const proposed = this.#raft.propose([encodeCommand(command)]);
    if (!proposed.ok) return false;
    this.#pending.set(proposed.index, { term: proposed.term, answer });
    this.#drive();
    return true;
  }

  read(key: string, answer: (answer: Answer) => void): boolean {
    const request = ++this.#lastRead;
    if (!this.#raft.readIndex(request)) return false;
    this.#reads.set(request, { key, answer });
    this.#drive();
    return true;
  }

  change(change: ConfigurationChange): boolean {
    const { ok } = this.#raft.proposeChange(change);
    this.#drive();
    return ok;
  }

  transfer(to: RaftId): void {
    this.#raft.transfer(to);
    this.#drive();
  }

  unreachable(id: RaftId): void {
    this.#raft.reportUnreachable(id);
    this.#drive();
  }

  snapshotSent(id: RaftId, delivered: boolean): void {
    this.#raft.reportSnapshot(id, delivered);
    this.#drive();
  }

  /** Nothing of this incarnation goes on; nobody learns what became of the requests. */
  crash(): void {
    for (const { answer } of [...this.#pending.values(), ...this.#reads.values()]) answer({ kind: 'unknown' });
    this.#pending.clear();
    this.#reads.clear();
  }

  #drive(): void {
    for (let ready = this.#raft.ready(); ready !== undefined; ready = this.#raft.ready()) this.#handle(ready);
    this.#check();
  }

  #handle(ready: Ready): void {
    this.#mirror(ready);
    this.#send(ready.immediate);
    this.#persist(ready);
    for (const entry of ready.committed) this.#apply(entry);
    this.#confirmed.push(...ready.reads);
    this.#answerReads();
  }

  #mirror({ persist }: Ready): void {
    const { invariants } = this.#modules;
    if (persist.snapshot !== undefined) this.#install(persist.snapshot.index);
    for (const entry of persist.entries) {
      const log = this.#log;
      log.entries.length = Math.max(0, entry.index - log.first);
      const previous = log.entries.at(-1)?.term ?? (log.baseTerm < 0 ? undefined : log.baseTerm);
      invariants.holds(this.id, entry, previous);
      log.entries.push(entry);
    }
  }

  #install(index: number): void {
    const snapshot = this.#incoming;
    if (snapshot === undefined || snapshot.meta.index !== index)
      throw new SafetyError(`${this.id} has no snapshot ${index}`);
    this.#modules.invariants.installs(this.id, index, snapshot.meta.term, snapshot.chain);
    this.#machine = new KeyValueMachine(snapshot.values);
    this.#chain = snapshot.chain;
    this.#applied = { index, term: snapshot.meta.term };
    this.#configuration = snapshot.meta.configuration;
    this.#snapshotIndex = index;
    this.#log = { first: index + 1, entries: [], baseTerm: snapshot.meta.term };
  }

  #send(messages: readonly Message[]): void {
    for (const message of messages) {
      if (message.to === this.id) this.#raft.step(message);
      else if (message.type === 'snapshot') {
        const state = this.#snapshot();
        this.#modules.send({ ...message, meta: state.meta }, state);
      } else this.#modules.send(message, undefined);
    }
  }

  #persist(ready: Ready): void {
    const { entries, hardState, snapshot } = ready.persist;
    const { disk } = this.#modules;
    const done = (): void => {
      this.#raft.persisted(ready);
      this.#send(ready.afterPersist);
    };
    const hasNothing = entries.length === 0 && hardState === undefined && snapshot === undefined;
    if (hasNothing && disk.isIdle) return done();
    const install = snapshot === undefined ? undefined : this.#incoming;
    disk.write({ kind: 'save', hardState, entries, install }, done);
    this.#modules.diskHasWork();
  }

  #apply(entry: LogEntry): void {
    const { term } = this.#raft.status();
    this.#chain = this.#modules.invariants.applies(this.id, entry, this.#applied.index, term);
    let result: Result = 0;
    if (entry.type === 'conf-change') this.#configuration = this.#raft.configurationAt(entry.index);
    else if (entry.data.length > 0) result = this.#machine.apply(decodeCommand(entry.data));
    this.#applied = { index: entry.index, term: entry.term };
    const pending = this.#pending.get(entry.index);
    this.#pending.delete(entry.index);
    pending?.answer(pending.term === entry.term ? { kind: 'done', result } : { kind: 'lost' });
    if (entry.index - this.#snapshotIndex >= this.#options.snapshotInterval) this.#takeSnapshot();
  }

  #answerReads(): void {
    for (const read of this.#confirmed.splice(0)) {
      if (read.index > this.#applied.index) {
        this.#confirmed.push(read);
        continue;
      }
      const waiting = this.#reads.get(read.request);
      this.#reads.delete(read.request);
      waiting?.answer({ kind: 'done', result: this.#machine.read(waiting.key) });
    }
  }

  #snapshot(): ModelSnapshot {
    const meta = { ...this.#applied, configuration: this.#configuration };
    return { meta, values: this.#machine.values(), chain: this.#chain };
  }

  #takeSnapshot(): void {
    if (this.#snapshotting) return;
    this.#snapshotting = true;
    const snapshot = this.#snapshot();
    const compactIndex = Math.max(0, snapshot.meta.index - this.#options.entriesForSlowFollowers);
    this.#snapshotIndex = snapshot.meta.index;
    this.#modules.disk.write({ kind: 'snapshot', snapshot, compactIndex }, () => {
      this.#snapshotting = false;
      this.#raft.compact(snapshot.meta, compactIndex);
    });
    this.#modules.diskHasWork();
  }

  #check(): void {
    const { invariants, isDurable, milestone } = this.#modules;
    const status = this.#raft.status();
    if (status.role !== 'leader') {
      this.#leadingTerm = 0;
      return;
    }
    const log = this.#view();
    if (invariants.leads(this.id, status.term) || this.#leadingTerm !== status.term) {
      invariants.becomesLeader(this.id, status.term, log);
      this.#leadingCommit = status.committed;
      milestone('elected');
    }
    this.#leadingTerm = status.term;
    invariants.commits(status, log, isDurable);
    if (status.committed <= this.#leadingCommit) return;
    this.#leadingCommit = Number.POSITIVE_INFINITY;
    milestone('first-commit');
  }

  #view(): LogView {
    const { first, entries } = this.#log;
    return { first, last: first + entries.length - 1, termAt: (index) => entries[index - first]?.term };
  }
}
