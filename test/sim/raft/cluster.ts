import type { RaftId } from '../../../manager/raft/core/entry.ts';
import type { Message } from '../../../manager/raft/core/message.ts';
import type { Raft } from '../../../manager/raft/core/raft.ts';
import { isJoint, membersOf } from '../../../manager/raft/core/quorum.ts';
import { Clients } from './clients.ts';
import { EventQueue } from './event-queue.ts';
import { type Faults, injectFault, strikeLeader } from './faults.ts';
import { Invariants, SafetyError } from './invariants.ts';
import { Member, type MemberTuning } from './member.ts';
import { ModelDisk, type ModelSnapshot } from './model-disk.ts';
import { ModelNetwork } from './model-network.ts';
import { SeededRandom } from './seeded-random.ts';

export interface ClusterOptions {
  members: number;
  clients: number;
  /** Events until the faults end. */
  steps: number;
  faults: Faults;
  /** Instead of what the seed would choose. */
  tuning?: Partial<MemberTuning>;
}

export interface Outcome {
  steps: number;
  answered: number;
  committed: number;
  terms: number;
}

interface Seat {
  id: RaftId;
  disk: ModelDisk;
  member: Member | undefined;
  /** Counts incarnations: what was meant for an earlier one finds nobody. */
  life: number;
  tickMs: number;
  /** Standing still until then, as under SIGSTOP. */
  frozenUntil: number;
  diskIsBusy: boolean;
  diskFails: boolean;
  /** Its next write ends then at the earliest. */
  diskStallsUntil: number;
}

/** Limits so tight that every way through the core is taken: one entry a message, one message at a time. */
function chooseTuning(random: SeededRandom): MemberTuning {
  return {
    snapshotInterval: random.pick([8, 40, 200]) ?? 0,
    entriesForSlowFollowers: random.pick([0, 10]) ?? 0,
    heartbeatTicks: random.int(1, 3),
    maxAppendBytes: random.pick([1, 1, 300, 5000]) ?? 0,
    maxInflightAppends: random.pick([1, 3, 20]) ?? 0,
    maxInflightBytes: 5000,
    maxUncommittedBytes: 8000,
  };
}

const TICK_MS = 20;
const FAULT_MS = 20;
const CALM_MS = 15_000;
const SETTLE_MS = 1_000;
const STABLE_MS = 1_000;
const FIRST_INDEX = 2;

/** A whole cluster under one seed: members, their disks, the network between, clients and misfortune. */
export class Cluster {
  readonly random: SeededRandom;
  readonly network: ModelNetwork;
  readonly queue = new EventQueue();
  readonly #options: ClusterOptions;
  readonly #core: typeof Raft;
  readonly #invariants = new Invariants(FIRST_INDEX);
  readonly #seats = new Map<RaftId, Seat>();
  readonly #clients: Clients;
  readonly #tuning: MemberTuning;
  #lastId: RaftId = 0;
  #isCalm = false;
  #steps = 0;

  constructor(seed: number, options: ClusterOptions, modules: { core: typeof Raft }) {
    this.#options = options;
    this.#core = modules.core;
    this.random = new SeededRandom(seed);
    this.#tuning = { ...chooseTuning(this.random), ...options.tuning };
    this.network = new ModelNetwork(options.faults, { random: this.random });
    this.#clients = new Clients({ queue: this.queue, random: this.random, members: () => this.running() });
  }

  /** @throws SafetyError, or whatever the core throws: both are a bug. */
  run(): Outcome {
    this.#begin();
    while (this.#steps < this.#options.steps) this.#step();
    this.#calmDown();
    const anomalies = this.#clients.anomalies();
    if (anomalies.length > 0) throw new SafetyError(`not linearizable: ${anomalies.join('\n')}`);
    const term = Math.max(...this.running().map((member) => member.status().term));
    return {
      steps: this.#steps,
      answered: this.#clients.answered,
      committed: this.#invariants.lastCommitted,
      terms: term,
    };
  }

  running(): Member[] {
    return [...this.#seats.values()].flatMap((seat) => seat.member ?? []);
  }

  leaders(): Member[] {
    return this.running().filter((member) => member.status().role === 'leader');
  }

  /** IDs of all that were ever started, in or out of the configuration. */
  readonly ids = (): RaftId[] => [...this.#seats.keys()];

  /** A new member with an empty disk. @returns its ID, which nobody had before. */
  recruit(): RaftId {
    const id = this.#lastId + 1;
    this.#seat(id, new ModelDisk());
    return id;
  }

  crash(id: RaftId): void {
    const seat = this.#seats.get(id);
    if (seat?.member === undefined) return;
    seat.member.crash();
    seat.member = undefined;
    seat.life++;
    seat.diskIsBusy = false;
    seat.diskFails = false;
    seat.disk.crash(() => this.random.chance(0.4));
    this.queue.schedule(this.random.int(20, 600), () => this.#start(seat));
  }

  /** The next write fails: the manager stops. */
  failDisk(id: RaftId): void {
    const seat = this.#seats.get(id);
    if (seat?.member !== undefined) seat.diskFails = true;
  }

  freeze(id: RaftId, ms: number): void {
    const seat = this.#seats.get(id);
    if (seat !== undefined) seat.frozenUntil = this.queue.now + ms;
  }

  stallDisk(id: RaftId, ms: number): void {
    const seat = this.#seats.get(id);
    if (seat !== undefined) seat.diskStallsUntil = this.queue.now + ms;
  }

  #begin(): void {
    const voters = Array.from({ length: this.#options.members }, (_, at) => at + 1);
    const configuration = { voters, learners: [], outgoing: [], learnersNext: [] };
    const snapshot: ModelSnapshot = { meta: { index: 1, term: 1, configuration }, values: new Map(), chain: 0 };
    for (const id of voters) {
      this.#seat(id, new ModelDisk({ hardState: { term: 1, vote: 0, commit: 1 }, entries: [], snapshot }));
    }
    this.#clients.start(this.#options.clients);
    const misfortune = (): void => {
      if (this.#isCalm) return;
      injectFault(this, this.#options.faults, FAULT_MS / 1000);
      this.queue.schedule(FAULT_MS, misfortune);
    };
    this.queue.schedule(200, misfortune);
  }

  #step(): void {
    this.#steps++;
    if (!this.queue.step()) throw new Error('nothing is left to happen');
  }

  #seat(id: RaftId, disk: ModelDisk): void {
    this.#lastId = Math.max(this.#lastId, id);
    const tickMs = TICK_MS * (0.7 + 0.7 * this.random.next());
    const seat: Seat = {
      id,
      disk,
      member: undefined,
      life: 0,
      tickMs,
      frozenUntil: 0,
      diskIsBusy: false,
      diskFails: false,
      diskStallsUntil: 0,
    };
    this.#seats.set(id, seat);
    this.#start(seat);
  }

  #start(seat: Seat): void {
    if (seat.member !== undefined) return;
    const { id, disk } = seat;
    seat.life++;
    // The first messages leave while the member is being made.
    seat.member = new Member(
      { id, ...this.#tuning },
      {
        core: this.#core,
        random: this.random,
        invariants: this.#invariants,
        disk,
        isDurable: (each, index, term) => this.#seats.get(each)?.disk.holds(index, term) ?? false,
        send: (message, state) => this.#send(message, state),
        diskHasWork: () => this.#work(seat),
        milestone: (which) => this.#strike(id, which),
      },
    );
    this.#tick(seat, seat.life);
  }

  #strike(id: RaftId, at: 'elected' | 'first-commit'): void {
    const { faults } = this.#options;
    const isEarly = at === 'elected';
    if (this.#isCalm || !this.random.chance(isEarly ? faults.strikes : faults.strikesAtCommit)) return;
    const delay = isEarly ? this.random.int(0, this.random.pick([5, 15, 40]) ?? 0) : this.random.int(0, 2);
    this.queue.schedule(delay, () => {
      if (!this.#isCalm) strikeLeader(this, faults, id);
    });
  }

  #tick(seat: Seat, life: number): void {
    this.queue.schedule(seat.tickMs, () => {
      if (seat.life !== life) return;
      this.#whenAwake(seat, life, (member) => member.tick());
      this.#tick(seat, life);
    });
  }

  /** Runs at once, or when the member is no longer frozen; never for a later incarnation. */
  #whenAwake(seat: Seat, life: number, run: (member: Member) => void): void {
    if (seat.life !== life || seat.member === undefined) return;
    if (seat.frozenUntil <= this.queue.now) return run(seat.member);
    const wait = seat.frozenUntil - this.queue.now + this.random.next();
    this.queue.schedule(wait, () => this.#whenAwake(seat, life, run));
  }

  #work(seat: Seat): void {
    if (seat.diskIsBusy) return;
    seat.diskIsBusy = true;
    const { life } = seat;
    const { waiting } = seat.disk;
    const latency = this.random.chance(0.05) ? this.random.int(5, 60) : this.random.int(0, 5);
    this.queue.schedule(Math.max(latency, seat.diskStallsUntil - this.queue.now), () =>
      this.#whenAwake(seat, life, (member) => {
        if (seat.diskFails) return this.crash(seat.id);
        seat.diskIsBusy = false;
        member.diskDone(waiting);
        if (!seat.disk.isIdle) this.#work(seat);
      }),
    );
  }

  #send(message: Message, state: ModelSnapshot | undefined): void {
    const copies = this.network.copies(message.from, message.to);
    for (const delay of copies) this.queue.schedule(delay, () => this.#deliver(message, state));
    if (state !== undefined) this.#reportSnapshot(message, copies);
    else if (copies.length === 0 && this.random.chance(0.2))
      this.#report(message.from, (m) => m.unreachable(message.to));
  }

  #deliver(message: Message, state: ModelSnapshot | undefined): void {
    const seat = this.#seats.get(message.to);
    if (seat !== undefined) this.#whenAwake(seat, seat.life, (member) => member.receive(message, state));
  }

  /** The sender learns how its snapshot fared, not always rightly. */
  #reportSnapshot(message: Message, copies: readonly number[]): void {
    const arrived = copies.length > 0 && this.#seats.get(message.to)?.member !== undefined;
    const delay = (copies[0] ?? 0) + this.network.delay();
    const told = this.random.chance(0.05) ? !arrived : arrived;
    this.queue.schedule(delay, () => this.#report(message.from, (member) => member.snapshotSent(message.to, told)));
  }

  #report(id: RaftId, run: (member: Member) => void): void {
    const seat = this.#seats.get(id);
    if (seat !== undefined) this.queue.schedule(1, () => this.#whenAwake(seat, seat.life, run));
  }

  /** The faults are over: everything must come together, and stay so whatever removed members do. */
  #calmDown(): void {
    this.#isCalm = true;
    this.network.calm();
    for (const seat of this.#seats.values()) {
      seat.diskFails = false;
      seat.frozenUntil = 0;
      seat.diskStallsUntil = 0;
    }
    // What was late or meant for a frozen member may still arrive.
    this.#pass(SETTLE_MS);
    this.#until(CALM_MS, () => this.#hasConverged(), 'the cluster does not come together');
    this.#clients.stop();
    const leader = this.leaders().find((each) => this.#isLed(each));
    const before = leader?.status();
    this.#pass(STABLE_MS);
    const after = leader?.status();
    if (before?.term !== after?.term || after?.role !== 'leader')
      throw new SafetyError('a leader without faults was lost');
    this.#until(CALM_MS, () => this.#hasConverged() && this.#isLevel(), 'members stay behind');
  }

  #pass(ms: number): void {
    const end = this.queue.now + ms;
    while (this.queue.now < end) this.#step();
  }

  #until(withinMs: number, isSo: () => boolean, otherwise: string): void {
    const end = this.queue.now + withinMs;
    for (let turn = 0; !isSo(); turn++) {
      if (this.queue.now > end) throw new SafetyError(`${otherwise}: ${this.#describe()}`);
      for (let each = 0; each < 50; each++) this.#step();
    }
  }

  #hasConverged(): boolean {
    return this.leaders().some((leader) => this.#isLed(leader));
  }

  /** Every member that the leader knows follows it, and it has committed in its term. */
  #isLed(leader: Member): boolean {
    const { configuration, term } = leader.status();
    if (isJoint(configuration)) return false;
    return membersOf(configuration).every((id) => {
      const status = this.#seats.get(id)?.member?.status();
      return status?.leader === leader.id && status.term === term && status.applied > 0;
    });
  }

  #isLevel(): boolean {
    const leader = this.leaders().find((each) => this.#isLed(each));
    if (leader === undefined) return false;
    return membersOf(leader.status().configuration).every((id) => {
      const member = this.#seats.get(id)?.member;
      return member?.applied === this.#invariants.lastCommitted && member.chain === leader.chain;
    });
  }

  #describe(): string {
    return this.running()
      .map((member) => {
        const { id, term, role, leader, committed, applied, lastIndex, lastTerm, configuration } = member.status();
        const log = `last ${lastIndex}/${lastTerm} committed ${committed} applied ${applied}`;
        return `${id} ${role} in term ${term}, leader ${leader}, ${log}, ${JSON.stringify(configuration)}`;
      })
      .join('\n');
  }
}
