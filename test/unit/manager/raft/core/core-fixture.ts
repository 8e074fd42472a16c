import { type ConfigurationChange, encodeChange } from '../../../../../manager/raft/core/configuration.ts';
import type { Configuration, LogEntry, RaftId, SnapshotMeta } from '../../../../../manager/raft/core/entry.ts';
import type { Message } from '../../../../../manager/raft/core/message.ts';
import { Raft, type RaftStatus, type Ready } from '../../../../../manager/raft/core/raft.ts';
import type { RaftOptions } from '../../../../../manager/raft/core/state.ts';

export const ELECTION_TICKS = 10;

export interface MemberSetup {
  id?: RaftId;
  voters?: readonly RaftId[];
  learners?: readonly RaftId[];
  /** Terms of the log's entries, from index 2 on; entry 1, of term 1, is the snapshot that begins the cluster. */
  log?: readonly number[];
  term?: number;
  vote?: RaftId;
  commit?: number;
  options?: Partial<RaftOptions>;
  /** Nothing is on the disk, not even the snapshot: a member before it has been taken in. */
  isNew?: boolean;
}

export const configurationOf = (voters: readonly RaftId[], learners: readonly RaftId[] = []): Configuration => ({
  voters,
  learners,
  outgoing: [],
  learnersNext: [],
});

export const entry = (index: number, term: number, text = `${index}/${term}`): LogEntry => ({
  index,
  term,
  type: 'normal',
  data: Buffer.from(text),
});

export const changeEntry = (index: number, term: number, change: ConfigurationChange): LogEntry => ({
  index,
  term,
  type: 'conf-change',
  data: encodeChange(change),
});

/** A core with a disk that needs no time unless `slowDisk` is set, and messages that wait to be taken. */
export class TestMember {
  readonly raft: Raft;
  readonly id: RaftId;
  readonly outbox: Message[] = [];
  readonly applied: LogEntry[] = [];
  readonly reads: { request: number; index: number }[] = [];
  readonly installed: SnapshotMeta[] = [];
  /** Keeps what was handed out for the disk until `flush`. */
  slowDisk = false;
  readonly #disk: Ready[] = [];

  constructor(setup: MemberSetup = {}) {
    this.id = setup.id ?? 1;
    const snapshot: SnapshotMeta = {
      index: 1,
      term: 1,
      configuration: configurationOf(setup.voters ?? [1, 2, 3], setup.learners),
    };
    const isNew = setup.isNew === true;
    const entries = (setup.log ?? []).map((term, at) => entry(at + 2, term));
    const last = entries.at(-1)?.term ?? 1;
    this.raft = new Raft(
      {
        id: this.id,
        electionTicks: ELECTION_TICKS,
        heartbeatTicks: 1,
        maxAppendBytes: 1_000_000,
        maxInflightAppends: 256,
        maxInflightBytes: 1_000_000,
        maxUncommittedBytes: 1_000_000,
        random: () => 0,
        ...setup.options,
      },
      {
        hardState: isNew
          ? { term: 0, vote: 0, commit: 0 }
          : { term: setup.term ?? last, vote: setup.vote ?? 0, commit: setup.commit ?? 1 },
        entries,
        snapshot: isNew ? undefined : snapshot,
      },
    );
    this.drive();
  }

  get status(): RaftStatus {
    return this.raft.status();
  }

  /** Does what Ready asks for. */
  drive(): this {
    for (let ready = this.raft.ready(); ready !== undefined; ready = this.raft.ready()) {
      this.#send(ready.immediate);
      this.#disk.push(ready);
      if (!this.slowDisk) this.#persist(this.#disk.splice(0));
      if (ready.persist.snapshot !== undefined) this.installed.push(ready.persist.snapshot);
      this.applied.push(...ready.committed);
      this.reads.push(...ready.reads);
    }
    return this;
  }

  /** The disk has done the oldest that it was asked for. */
  flushOne(): this {
    this.#persist(this.#disk.splice(0, 1));
    return this.drive();
  }

  /** The disk has caught up. */
  flush(): this {
    this.#persist(this.#disk.splice(0));
    return this.drive();
  }

  step(message: Message): this {
    this.raft.step(message);
    return this.drive();
  }

  tick(times = 1): this {
    for (let at = 0; at < times; at++) {
      this.raft.tick();
      this.drive();
    }
    return this;
  }

  /** Messages since the last call; of one type when that is given, the others stay. */
  take<T extends Message['type']>(type: T): (Message & { type: T })[] {
    const found = this.outbox.filter((message): message is Message & { type: T } => message.type === type);
    this.outbox.splice(0, this.outbox.length, ...this.outbox.filter((message) => message.type !== type));
    return found;
  }

  propose(...texts: string[]): this {
    this.raft.propose(texts.map((text) => Buffer.from(text)));
    return this.drive();
  }

  #persist(done: readonly Ready[]): void {
    for (const ready of done) {
      this.raft.persisted(ready);
      this.#send(ready.afterPersist);
    }
  }

  #send(messages: readonly Message[]): void {
    for (const message of messages) {
      if (message.to === this.id) this.raft.step(message);
      else this.outbox.push(message);
    }
  }
}

/** Members that are connected, but for the links that are cut. */
export class TestNetwork {
  readonly members: ReadonlyMap<RaftId, TestMember>;
  readonly #down = new Set<RaftId>();
  /** What is not delivered although both ends are up. */
  drop: (message: Message) => boolean = () => false;

  constructor(...members: TestMember[]) {
    this.members = new Map(members.map((member) => [member.id, member]));
  }

  member(id: RaftId): TestMember {
    const member = this.members.get(id);
    if (member === undefined) throw new Error(`no member ${id}`);
    return member;
  }

  down(...ids: RaftId[]): this {
    for (const id of ids) this.#down.add(id);
    return this;
  }

  up(...ids: RaftId[]): this {
    for (const id of ids) this.#down.delete(id);
    return this;
  }

  /** Delivers everything until nothing is under way. */
  settle(rounds = 1000): this {
    for (let round = 0; round < rounds; round++) {
      const messages = [...this.members.values()].flatMap((member) => member.outbox.splice(0));
      if (messages.length === 0) return this;
      for (const message of messages) {
        if (this.#down.has(message.from) || this.#down.has(message.to) || this.drop(message)) continue;
        this.members.get(message.to)?.step(message);
      }
    }
    throw new Error('the network does not come to rest');
  }

  /** Lets `id` stand for election, its timer having run out, and settles. */
  elect(id: RaftId): this {
    // Nobody remembers a leader.
    for (const [other, member] of this.members) {
      if (other !== id && !this.#down.has(other)) member.tick(ELECTION_TICKS).outbox.splice(0);
    }
    this.member(id).tick(ELECTION_TICKS);
    return this.settle();
  }
}
