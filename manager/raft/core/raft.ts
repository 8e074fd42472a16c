import { assertNever, invariant } from '../../../proto/runtime/assert.ts';
import { changeConfiguration, type ConfigurationChange, ConfigurationError, encodeChange } from './configuration.ts';
import {
  becomeFollower,
  campaign,
  handleVote,
  handleVoteResponse,
  isSticky,
  mayCampaign,
  resetElectionTimer,
  tickElection,
} from './election.ts';
import {
  type Configuration,
  entryBytes,
  type HardState,
  type LogEntry,
  type RaftId,
  type SnapshotMeta,
} from './entry.ts';
import { handleAppend, handleHeartbeat, handleSnapshot } from './follower.ts';
import {
  acknowledgeOwn,
  advanceCommit,
  appendOwn,
  handleAppendResponse,
  handleHeartbeatResponse,
  isChangeOpen,
  nameHeir,
  reportSnapshot,
  reportUnreachable,
  startReadRound,
  tickLeader,
  trackMembers,
  transferTo,
} from './leader.ts';
import type { Message } from './message.ts';
import type { Progress } from './progress.ts';
import { isJoint, isVoter } from './quorum.ts';
import { RaftLog } from './raft-log.ts';
import { type LeaderRole, leaderOf, type RaftOptions, type RaftState, type Role, sendAfterPersist } from './state.ts';

/** What a member finds on its disk. */
export interface RaftStart {
  hardState: HardState;
  entries: readonly LogEntry[];
  snapshot: SnapshotMeta | undefined;
}

/**
 * What the owner has to do, in this order:
 *   1. send `immediate`;
 *   2. make `persist` durable: the snapshot, which replaces the whole log, then entries (they replace the log from the
 *      first one's index on) and hard state, those two in one write;
 *   3. once that, and everything handed out before it, is durable: send `afterPersist` (those to the own ID go to
 *      `step`), and call `persisted` with this Ready;
 *   4. install `persist.snapshot` in the state machine, then apply `committed` in order (`configurationAt` tells what a
 *      conf-change entry came to);
 *   5. answer `reads` whose index has been applied.
 * Steps 2 and 4 of a Ready may overlap with those of the next ones, as long as each keeps its order.
 */
export interface Ready {
  immediate: readonly Message[];
  persist: { hardState: HardState | undefined; entries: readonly LogEntry[]; snapshot: SnapshotMeta | undefined };
  /** Of the log, as handed out; for `persisted`. */
  epoch: number;
  afterPersist: readonly Message[];
  committed: readonly LogEntry[];
  reads: readonly { request: number; index: number }[];
}

export type ProposeResult =
  | { ok: true; index: number; term: number }
  | { ok: false; reason: 'not-leader' | 'transferring' | 'busy' };
export type ChangeResult =
  | ProposeResult
  | { ok: false; reason: 'change-pending' }
  | { ok: false; reason: 'invalid'; detail: string };

export interface RaftStatus {
  id: RaftId;
  term: number;
  role: Role['kind'];
  /** 0 when unknown. */
  leader: RaftId;
  /** Of the log's last entry. */
  lastIndex: number;
  lastTerm: number;
  committed: number;
  applied: number;
  /** The latest in the log, committed or not. */
  configuration: Configuration;
  /** On the leader: what it knows of each member. */
  progress: ReadonlyMap<RaftId, Progress>;
}

/**
 * One Raft member as a pure state machine: time is `tick`, the network is `step`, everything to be done comes out of
 * `ready`. Deterministic for a given `options.random`. Sources: the Raft paper (Ongaro, Ousterhout 2014) and Ongaro's thesis.
 */
export class Raft {
  readonly #state: RaftState;
  /** Term and vote as last handed out for persisting. */
  #persisted: { term: number; vote: RaftId };

  constructor(options: RaftOptions, start: RaftStart) {
    invariant(options.heartbeatTicks < options.electionTicks, 'a heartbeat must be shorter than an election time-out');
    const { hardState } = start;
    const log = new RaftLog(start.snapshot, start.entries, hardState.commit);
    // A snapshot became durable and the hard state behind it did not: in the snapshot's term nothing was voted yet.
    const isBehind = log.lastTerm > hardState.term;
    this.#state = {
      options: { ...options },
      term: isBehind ? log.lastTerm : hardState.term,
      vote: isBehind ? 0 : hardState.vote,
      role: { kind: 'follower', leader: 0 },
      log,
      electionElapsed: 0,
      electionTimeout: 0,
      snapshot: start.snapshot,
      install: undefined,
      immediate: [],
      afterPersist: [],
      answeredReads: [],
    };
    this.#persisted = { term: hardState.term, vote: hardState.vote };
    resetElectionTimer(this.#state);
  }

  status(): RaftStatus {
    const { options, term, role, log } = this.#state;
    return {
      id: options.id,
      term,
      role: role.kind,
      leader: leaderOf(this.#state),
      lastIndex: log.lastIndex,
      lastTerm: log.lastTerm,
      committed: log.committed,
      applied: log.applied,
      configuration: log.configuration,
      progress: role.kind === 'leader' ? role.progress : new Map(),
    };
  }

  tick(): void {
    const { role } = this.#state;
    if (role.kind !== 'leader') tickElection(this.#state);
    else if (!tickLeader(this.#state, role)) becomeFollower(this.#state, this.#state.term, 0);
  }

  /** Other time-outs, from the next heartbeat and election on; members may differ in them for a while. */
  setTimers({ heartbeatTicks, electionTicks }: Pick<RaftOptions, 'heartbeatTicks' | 'electionTicks'>): void {
    const { options } = this.#state;
    invariant(heartbeatTicks < electionTicks, 'a heartbeat must be shorter than an election time-out');
    if (options.heartbeatTicks === heartbeatTicks && options.electionTicks === electionTicks) return;
    options.heartbeatTicks = heartbeatTicks;
    options.electionTicks = electionTicks;
    resetElectionTimer(this.#state);
  }

  /** Campaigns without waiting for the time-out; no pre-vote. For a cluster's first member. */
  campaign(): void {
    if (this.#state.role.kind !== 'leader' && mayCampaign(this.#state)) campaign(this.#state, 'election');
  }

  step(message: Message): void {
    if (message.to !== this.#state.options.id || !this.#settleTerm(message)) return;
    this.#dispatch(message);
  }

  propose(proposals: readonly Uint8Array[]): ProposeResult {
    const { role, options } = this.#state;
    if (role.kind !== 'leader') return { ok: false, reason: 'not-leader' };
    if (role.transferee !== 0) return { ok: false, reason: 'transferring' };
    const bytes = proposals.reduce((sum, data) => sum + entryBytes({ data }), 0);
    // One proposal always passes, however large, so that a limit set too low cannot stop everything.
    if (role.uncommittedBytes > 0 && role.uncommittedBytes + bytes > options.maxUncommittedBytes) {
      return { ok: false, reason: 'busy' };
    }
    const drafts = proposals.map((data) => ({ type: 'normal' as const, data }));
    return { ok: true, index: appendOwn(this.#state, role, drafts), term: this.#state.term };
  }

  /** One change at a time: the next one waits until the last one is committed, and a joint configuration left. */
  proposeChange(change: ConfigurationChange): ChangeResult {
    const { role, log, term } = this.#state;
    if (role.kind !== 'leader') return { ok: false, reason: 'not-leader' };
    if (role.transferee !== 0) return { ok: false, reason: 'transferring' };
    if (change.startsAnew === true)
      return { ok: false, reason: 'invalid', detail: 'a cluster in use does not start anew' };
    if (!this.#mayChange()) return { ok: false, reason: 'change-pending' };
    try {
      changeConfiguration(log.configuration, change);
    } catch (error) {
      if (error instanceof ConfigurationError) return { ok: false, reason: 'invalid', detail: error.message };
      throw error;
    }
    return { ok: true, index: this.#change(role, change), term };
  }

  /** What a committed conf-change entry came to. */
  configurationAt(index: number): Configuration {
    return this.#state.log.configurationAt(index);
  }

  /** Asks for an index at which a read is linearizable; answered by Ready.reads. False when this member does not lead. */
  readIndex(request: number): boolean {
    const { role } = this.#state;
    if (role.kind !== 'leader') return false;
    role.reads.waiting.push(request);
    return true;
  }

  /** Hands leadership to `to`; given up after an election time-out. False when that cannot be. */
  transfer(to: RaftId): boolean {
    const { role } = this.#state;
    return role.kind === 'leader' && transferTo(this.#state, role, to);
  }

  reportUnreachable(id: RaftId): void {
    if (this.#state.role.kind === 'leader') reportUnreachable(this.#state.role, id);
  }

  reportSnapshot(id: RaftId, delivered: boolean): void {
    if (this.#state.role.kind === 'leader') reportSnapshot(this.#state.role, id, delivered);
  }

  /** A snapshot of the own state machine is durable; the log up to `compactIndex` may be forgotten. */
  compact(snapshot: SnapshotMeta, compactIndex: number): void {
    if (snapshot.index > (this.#state.snapshot?.index ?? 0)) this.#state.snapshot = snapshot;
    this.#state.log.compact(Math.min(compactIndex, this.#state.snapshot?.index ?? 0));
  }

  /** This Ready, and everything handed out before it, is on the disk (step 3 of Ready). */
  persisted({ persist, epoch }: Pick<Ready, 'persist' | 'epoch'>): void {
    const last = persist.entries.at(-1);
    if (last === undefined) return;
    this.#state.log.stableTo(last.index, epoch);
    if (this.#state.role.kind === 'leader') acknowledgeOwn(this.#state, this.#state.role, this.#state.log.stable);
  }

  /** Everything there is to do since the last call; undefined when there is nothing. */
  ready(): Ready | undefined {
    const state = this.#state;
    if (state.role.kind === 'leader') this.#settleChange(state.role);
    if (state.role.kind === 'leader') {
      this.#leaveJoint(state.role);
      startReadRound(state, state.role);
    }
    const entries = state.log.takeUnstable();
    const snapshot = state.install;
    const ready: Ready = {
      immediate: take(state.immediate),
      persist: { hardState: this.#takeHardState(entries.length > 0 || snapshot !== undefined), entries, snapshot },
      epoch: state.log.epoch,
      afterPersist: take(state.afterPersist),
      committed: state.log.takeCommitted(),
      reads: take(state.answeredReads),
    };
    state.install = undefined;
    const { immediate, afterPersist, committed, reads, persist } = ready;
    const lists = [immediate, afterPersist, committed, reads, persist.entries];
    const idle = lists.every((list) => list.length === 0);
    return idle && persist.hardState === undefined && snapshot === undefined ? undefined : ready;
  }

  /** The commit index alone is never worth an fsync: it is found again after a restart. With entries it costs nothing. */
  #takeHardState(writing: boolean): HardState | undefined {
    const { term, vote, log } = this.#state;
    if (!writing && this.#persisted.term === term && this.#persisted.vote === vote) return undefined;
    this.#persisted = { term, vote };
    return { term, vote, commit: log.committed };
  }

  /** Brings the own term in line with the message's (paper 5.1). @returns false when the message is of no more use. */
  #settleTerm(message: Message): boolean {
    const state = this.#state;
    if (message.term > state.term) return this.#meetHigherTerm(message);
    if (message.term === state.term) return true;
    if (message.type === 'append' || message.type === 'heartbeat' || message.type === 'snapshot') {
      // A leader that was cut off: let it see the term, or a member that came back with a higher one stays outside.
      const nothing = { index: 0, rejected: false, hintIndex: 0, hintTerm: 0 };
      sendAfterPersist(state, { type: 'append-response', to: message.from, ...nothing });
    } else if (message.type === 'vote' && message.preVote) {
      sendAfterPersist(state, { type: 'vote-response', to: message.from, preVote: true, granted: false });
    }
    return false;
  }

  #meetHigherTerm(message: Message): boolean {
    const state = this.#state;
    if (message.type === 'vote') {
      if (isSticky(state, message)) return false;
      if (!message.preVote) becomeFollower(state, message.term, 0);
      return true;
    }
    // A granted pre-vote carries the term that its candidate asked about, not one that exists.
    if (message.type === 'vote-response' && message.preVote && message.granted) return true;
    const fromLeader = message.type === 'append' || message.type === 'heartbeat' || message.type === 'snapshot';
    becomeFollower(state, message.term, fromLeader ? message.from : 0);
    return true;
  }

  #dispatch(message: Message): void {
    const state = this.#state;
    switch (message.type) {
      case 'append':
        this.#followLeader(message.from);
        return handleAppend(state, message);
      case 'heartbeat':
        this.#followLeader(message.from);
        return handleHeartbeat(state, message);
      case 'snapshot':
        this.#followLeader(message.from);
        return handleSnapshot(state, message);
      case 'vote':
        return handleVote(state, message);
      case 'vote-response':
        return handleVoteResponse(state, message);
      case 'append-response':
        return state.role.kind === 'leader' ? handleAppendResponse(state, state.role, message) : undefined;
      case 'heartbeat-response':
        return state.role.kind === 'leader' ? handleHeartbeatResponse(state, state.role, message) : undefined;
      case 'timeout-now':
        return mayCampaign(state) && state.role.kind === 'follower' ? campaign(state, 'transfer') : undefined;
      default:
        return assertNever(message);
    }
  }

  #followLeader(leader: RaftId): void {
    const { role, term } = this.#state;
    const known = leaderOf(this.#state);
    invariant(known === 0 || known === leader, `two leaders in term ${term}: ${known} and ${leader}`);
    if (role.kind !== 'follower' || role.leader !== leader) becomeFollower(this.#state, term, leader);
    this.#state.electionElapsed = 0;
  }

  /** What follows from a change of the membership that is committed now. */
  #settleChange(role: LeaderRole): void {
    const state = this.#state;
    if (!role.changeIsOpen || isChangeOpen(state)) return;
    role.changeIsOpen = false;
    trackMembers(state, role);
    if (isVoter(state.log.configuration, state.options.id)) return;
    // Removed, it has led until here and steps down (thesis 4.2.2).
    nameHeir(state, role);
    becomeFollower(state, state.term, 0);
  }

  /** A joint configuration is left as soon as it is committed (thesis 4.3), also by a leader that came into it. */
  #leaveJoint(role: LeaderRole): void {
    if (isJoint(this.#state.log.configuration) && role.transferee === 0 && this.#mayChange())
      this.#change(role, { changes: [] });
  }

  /**
   * One change at a time (thesis 4.1), and none before an entry of the own term is committed (Ongaro, "bug in single-server
   * membership changes", raft-dev 2015-07-10).
   */
  #mayChange(): boolean {
    const { log, term } = this.#state;
    return !isChangeOpen(this.#state) && log.termAt(log.committed) === term;
  }

  #change(role: LeaderRole, change: ConfigurationChange): number {
    const index = appendOwn(this.#state, role, [{ type: 'conf-change', data: encodeChange(change) }]);
    // Fewer voters may have a majority already for what came before.
    advanceCommit(this.#state, role);
    return index;
  }
}

function take<T>(list: T[]): T[] {
  return list.splice(0);
}
