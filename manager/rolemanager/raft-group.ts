import type { Configuration, RaftId } from '../raft/core/entry.ts';

/** What the leader can see of, and do to, the group of managers. RaftNode has this shape. */
export interface RaftGroup {
  status(): {
    id: RaftId;
    leader: RaftId;
    committed: number;
    configuration: Configuration;
    progress: ReadonlyMap<RaftId, { match: number; recentlyActive: boolean }>;
  };
  /** Resolves once it is applied. @throws WaggleError unavailable when another change is under way. */
  changeMembers(change: { changes: readonly MemberChange[] }): Promise<void>;
  transferTo(id: RaftId): boolean;
}

export interface MemberChange {
  kind: 'add-voter' | 'add-learner' | 'remove';
  id: RaftId;
}
