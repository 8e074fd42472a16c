/** A member's number in Raft; never used again. */
export type RaftId = number;

/** Who votes; in a joint configuration `outgoing` holds the old voters (Raft thesis 4.3). */
export interface Membership {
  voters: readonly RaftId[];
  learners: readonly RaftId[];
  outgoing: readonly RaftId[];
  learnersNext: readonly RaftId[];
}

/** What the leader can see of, and do to, the group of managers. RaftNode has this shape. */
export interface RaftGroup {
  status(): {
    id: RaftId;
    leader: RaftId;
    committed: number;
    configuration: Membership;
    progress: ReadonlyMap<RaftId, { match: number; recentlyActive: boolean }>;
  };
  /** Resolves once it is applied. @throws WaggleError unavailable when another change is under way. */
  changeMembers(change: { changes: readonly MemberChange[] }): Promise<void>;
  transferTo(id: RaftId): boolean;
  /** When a message of this member came in last, of Clock.monotonic; undefined for never. */
  lastHeard(id: RaftId): number | undefined;
}

export interface MemberChange {
  kind: 'add-voter' | 'add-learner' | 'remove';
  id: RaftId;
}

export function membersOf({ voters, learners, outgoing, learnersNext }: Membership): Set<RaftId> {
  return new Set([...voters, ...learners, ...outgoing, ...learnersNext]);
}
