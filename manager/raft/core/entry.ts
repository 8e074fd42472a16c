/** What a Raft log holds (Raft paper 5.3, figure 2). Indexes and terms begin at 1; 0 means "none". */

/** A member of the cluster: positive, never used again after removal. */
export type RaftId = number;

/** Normal entries carry a proposal, the others a ConfigurationChange. A normal entry without data is a leader's no-op. */
export type EntryType = 'normal' | 'conf-change';

export interface LogEntry {
  term: number;
  index: number;
  type: EntryType;
  data: Uint8Array;
}

/** What an entry counts for where bytes are limited: many small ones take room too. */
const ENTRY_OVERHEAD_BYTES = 32;

export function entryBytes(entry: Pick<LogEntry, 'data'>): number {
  return entry.data.length + ENTRY_OVERHEAD_BYTES;
}

export interface HardState {
  term: number;
  /** Voted for in `term`; 0 for nobody. */
  vote: RaftId;
  commit: number;
}

export interface SnapshotMeta {
  term: number;
  index: number;
  /** Membership as of `index`. */
  configuration: Configuration;
}

/**
 * Who votes. In a joint configuration (Raft thesis 4.3) `outgoing` holds the old voters, and every decision needs a
 * majority of both; `learnersNext` become learners when it is left.
 */
export interface Configuration {
  voters: readonly RaftId[];
  learners: readonly RaftId[];
  outgoing: readonly RaftId[];
  learnersNext: readonly RaftId[];
}

export const EMPTY_CONFIGURATION: Configuration = { voters: [], learners: [], outgoing: [], learnersNext: [] };
