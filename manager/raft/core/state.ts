import type { Random } from '../../../proto/runtime/random.ts';
import type { RaftId, SnapshotMeta } from './entry.ts';
import type { Message } from './message.ts';
import type { FlowLimits, Progress } from './progress.ts';
import type { RaftLog } from './raft-log.ts';

export interface RaftOptions extends FlowLimits {
  id: RaftId;
  /**
   * Ticks without a leader before a campaign; the real time-out is drawn from [electionTicks, 2 * electionTicks). After a
   * campaign that failed, the next one begins in half of that.
   */
  electionTicks: number;
  /** Below electionTicks. */
  heartbeatTicks: number;
  /** Bytes in one append (see `entryBytes`), but at least one entry. */
  maxAppendBytes: number;
  /** Bytes proposed and not yet committed; beyond it proposals are refused. */
  maxUncommittedBytes: number;
  random: Random;
}

export type Role =
  | { kind: 'follower'; leader: RaftId }
  | { kind: 'pre-candidate'; votes: Map<RaftId, boolean> }
  | { kind: 'candidate'; votes: Map<RaftId, boolean> }
  | LeaderRole;

export interface LeaderRole {
  kind: 'leader';
  progress: Map<RaftId, Progress>;
  heartbeatElapsed: number;
  /** Member that is to take over, or 0. Nothing is proposed meanwhile (thesis 3.10). */
  transferee: RaftId;
  uncommittedBytes: number;
  /** A change of the membership is in the log and, when last looked, was not committed. */
  changeIsOpen: boolean;
  /** Commit index that each member was last sent. */
  told: Map<RaftId, number>;
  reads: ReadQueue;
}

/** ReadIndex (thesis 6.4): requests join the next heartbeat round and are answered when a quorum has echoed it. */
export interface ReadQueue {
  /** Not yet in a round. */
  waiting: number[];
  rounds: { context: number; commit: number; requests: number[]; echoed: Set<RaftId> }[];
  lastContext: number;
}

/** Everything a member knows; changed only by the functions of this folder, between two calls of its owner. */
export interface RaftState {
  readonly options: RaftOptions;
  term: number;
  vote: RaftId;
  role: Role;
  readonly log: RaftLog;
  electionElapsed: number;
  electionTimeout: number;
  /** Snapshot that the shell can send to followers that have fallen behind the log. */
  snapshot: SnapshotMeta | undefined;
  /** Snapshot received and not yet handed out for installing. */
  install: SnapshotMeta | undefined;
  immediate: Message[];
  afterPersist: Message[];
  answeredReads: { request: number; index: number }[];
}

/** A message before its sender and term are filled in. */
export type Draft<M extends Message = Message> = M extends Message
  ? Omit<M, 'from' | 'term'> & { term?: number }
  : never;

/** Queues what may leave before anything is on this disk: a leader's own messages (thesis 10.2.1). */
export function sendNow(state: RaftState, draft: Draft): void {
  state.immediate.push(complete(state, draft));
}

/** Queues what promises something that must be on this disk first. */
export function sendAfterPersist(state: RaftState, draft: Draft): void {
  state.afterPersist.push(complete(state, draft));
}

function complete(state: RaftState, draft: Draft): Message {
  return { term: state.term, ...draft, from: state.options.id } as Message;
}

/** 0 when this member knows of none. */
export function leaderOf(state: RaftState): RaftId {
  if (state.role.kind === 'leader') return state.options.id;
  return state.role.kind === 'follower' ? state.role.leader : 0;
}
