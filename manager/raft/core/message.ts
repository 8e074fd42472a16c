import type { LogEntry, RaftId, SnapshotMeta } from './entry.ts';

interface Envelope {
  from: RaftId;
  to: RaftId;
  /** The sender's term; for a pre-vote the term it would campaign in. */
  term: number;
}

/** AppendEntries (Raft paper, figure 2). */
export interface Append extends Envelope {
  type: 'append';
  prevIndex: number;
  prevTerm: number;
  entries: readonly LogEntry[];
  commit: number;
}

/**
 * Answer to Append, Heartbeat at a stale term, or InstallSnapshot. Accepted: `index` is the last entry known to match.
 * Rejected: `index` is the prevIndex refused, and the hint is the last entry of the follower that may match: its index is
 * not above `index`, its term not above the leader's prevTerm, so that one round skips a whole term (paper 5.3, end).
 */
export interface AppendResponse extends Envelope {
  type: 'append-response';
  index: number;
  rejected: boolean;
  hintIndex: number;
  hintTerm: number;
}

/** Asserts leadership. `commit` never exceeds what the receiver is known to hold; `context` counts ReadIndex rounds (thesis 6.4). */
export interface Heartbeat extends Envelope {
  type: 'heartbeat';
  commit: number;
  context: number;
}

export interface HeartbeatResponse extends Envelope {
  type: 'heartbeat-response';
  context: number;
}

/** RequestVote; `preVote` changes nothing at the receiver (thesis 9.6); `transfer` overrides the lease (thesis 3.10). */
export interface Vote extends Envelope {
  type: 'vote';
  preVote: boolean;
  transfer: boolean;
  lastIndex: number;
  lastTerm: number;
}

export interface VoteResponse extends Envelope {
  type: 'vote-response';
  preVote: boolean;
  granted: boolean;
}

/** InstallSnapshot; the state itself travels beside it, in chunks, by the shell. */
export interface InstallSnapshot extends Envelope {
  type: 'snapshot';
  meta: SnapshotMeta;
}

/** Leadership transfer: campaign at once (thesis 3.10). */
export interface TimeoutNow extends Envelope {
  type: 'timeout-now';
}

export type Message =
  | Append
  | AppendResponse
  | Heartbeat
  | HeartbeatResponse
  | Vote
  | VoteResponse
  | InstallSnapshot
  | TimeoutNow;
