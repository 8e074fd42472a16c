import { assertNever, invariant } from '../../../proto/runtime/assert.ts';
import { changeConfiguration, type ConfigurationChange, ConfigurationError } from './configuration.ts';
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
import type { Configuration, HardState, LogEntry, RaftId, SnapshotMeta } from './entry.ts';
import { handleAppend, handleHeartbeat, handleSnapshot } from './follower.ts';
import {
  acknowledgeOwn,
  answerReads,
  appendOwn,
  broadcastAppend,
  handleAppendResponse,
  handleHeartbeatResponse,
  maybeCommit,
  reportSnapshot,
  reportUnreachable,
  startReadRound,
  tellCommit,
  tickLeader,
  transferTo,
} from './leader.ts';
import type { Message } from './message.ts';
import { newProgress, type Progress } from './progress.ts';
import { isJoint, isVoter, membersOf } from './quorum.ts';
import { RaftLog } from './raft-log.ts';
import { type LeaderRole, leaderOf, type RaftOptions, type RaftState, type Role, sendAfterPersist } from './state.ts';

/** What a member finds on its disk. */
export interface RaftStart {
  hardState: HardState;
  entries: readonly LogEntry[];
  snapshot: SnapshotMeta | undefined;
  /** As of the last applied entry: the snapshot's; later changes come with the entries. */
  configuration: Configuration;
}

/**
 * What the owner has to do, in this order:
 *   1. send `immediate`;
 *   2. make `persist` durable: the snapshot, which replaces the whole log, then entries (they replace the log from the
 *      first one's index on) and hard state, those two in one write: an entry must never be there without the commit
 *      index that came with it (see `mayCampaign`);
 *   3. once that, and everything handed out before it, is durable: send `afterPersist` (those to the own ID go to
 *      `step`), and call `persisted` with this Ready;
 *   4. install `persist.snapshot` in the state machine, then apply `committed` in order; a conf-change entry by `applyChange`,
 *      before anything else is asked of this member;
 *   5. answer `reads` whose index has been applied.
 * Steps 2 and 3 of a Ready may overlap with those of the next ones, as long as each keeps its order.
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
  leader: RaftId;
  committed: number;
  applied: number;
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
      options,
      term: isBehind ? log.lastTerm : hardState.term,
      vote: isBehind ? 0 : hardState.vote,
      role: { kind: 'follower', leader: 0 },
      log,
      configuration: start.configuration,
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
    const { options, term, role, log, configuration } = this.#state;
    return {
      id: options.id,
      term,
      role: role.kind,
      leader: leaderOf(this.#state),
      committed: log.committed,
      applied: log.applied,
      configuration,
      progress: role.kind === 'leader' ? role.progress : new Map(),
    };
  }

  tick(): void {
    const { role } = this.#state;
    if (role.kind !== 'leader') tickElection(this.#state);
    else if (!tickLeader(this.#state, role)) becomeFollower(this.#state, this.#state.term, 0);
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
    const bytes = proposals.reduce((sum, data) => sum + data.length, 0);
    // One proposal always passes, however large, so that a limit set too low cannot stop everything.
    if (role.uncommittedBytes > 0 && role.uncommittedBytes + bytes > options.maxUncommittedBytes) {
      return { ok: false, reason: 'busy' };
    }
    const drafts = proposals.map((data) => ({ type: 'normal' as const, data }));
    return { ok: true, index: appendOwn(this.#state, role, drafts), term: this.#state.term };
  }

  /** One change at a time: the next one waits until the last one is applied on the leader (thesis 4.1). */
  proposeChange(change: ConfigurationChange): ChangeResult {
    const { role, log, configuration } = this.#state;
    if (role.kind !== 'leader') return { ok: false, reason: 'not-leader' };
    if (role.transferee !== 0) return { ok: false, reason: 'transferring' };
    if (role.pendingChangeIndex > log.applied) return { ok: false, reason: 'change-pending' };
    try {
      changeConfiguration(configuration, change);
    } catch (error) {
      if (error instanceof ConfigurationError) return { ok: false, reason: 'invalid', detail: error.message };
      throw error;
    }
    const index = appendOwn(this.#state, role, [{ type: 'conf-change', data: encodeChange(change) }]);
    role.pendingChangeIndex = index;
    return { ok: true, index, term: this.#state.term };
  }

  /** Applies a committed conf-change entry, in its place among the others. @returns the configuration since. */
  applyChange(entry: LogEntry): { configuration: Configuration; change: ConfigurationChange } {
    const change = decodeChange(entry.data);
    const state = this.#state;
    state.configuration = changeConfiguration(state.configuration, change);
    if (state.role.kind === 'leader') this.#followConfiguration(state.role);
    return { configuration: state.configuration, change };
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

  #followConfiguration(role: LeaderRole): void {
    const state = this.#state;
    const members = membersOf(state.configuration);
    for (const id of role.progress.keys()) if (!members.includes(id)) role.progress.delete(id);
    for (const id of members) {
      // Taken as active, so that a new member does not cost the leader its quorum before it has had time to answer.
      if (!role.progress.has(id)) role.progress.set(id, { ...newProgress(state.log.lastIndex), recentlyActive: true });
    }
    if (!isVoter(state.configuration, state.options.id)) {
      // Removed, it steps down (thesis 4.2.2); the others must learn that the change is committed, for it counts from then.
      tellCommit(state, role);
      becomeFollower(state, state.term, 0);
      return;
    }
    if (!isVoter(state.configuration, role.transferee)) role.transferee = 0;
    if (maybeCommit(state, role)) tellCommit(state, role);
    else broadcastAppend(state, role);
    answerReads(state, role);
  }

  /** A joint configuration is left as soon as it is applied (thesis 4.3), also by a leader that came into it. */
  #leaveJoint(role: LeaderRole): void {
    const { log, configuration } = this.#state;
    if (!isJoint(configuration) || role.pendingChangeIndex > log.applied || role.transferee !== 0) return;
    role.pendingChangeIndex = appendOwn(this.#state, role, [
      { type: 'conf-change', data: encodeChange({ changes: [] }) },
    ]);
  }
}

export function encodeChange(change: ConfigurationChange): Uint8Array {
  return Buffer.from(JSON.stringify(change));
}

export function decodeChange(data: Uint8Array): ConfigurationChange {
  return JSON.parse(Buffer.from(data).toString()) as ConfigurationChange;
}

function take<T>(list: T[]): T[] {
  return list.splice(0);
}
