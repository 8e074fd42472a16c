import type { Configuration, RaftId } from './entry.ts';

export type VoteResult = 'won' | 'lost' | 'pending';

/** The highest index that a majority of `voters` has acknowledged; infinite for no voters, so that it never binds. */
export function majorityIndex(voters: readonly RaftId[], acknowledged: (id: RaftId) => number): number {
  if (voters.length === 0) return Number.POSITIVE_INFINITY;
  const sorted = voters.map(acknowledged).toSorted((a, b) => b - a);
  return sorted[Math.floor(voters.length / 2)] ?? 0;
}

/** The same for a configuration, joint ones included: what both halves have. */
export function committedIndex(configuration: Configuration, acknowledged: (id: RaftId) => number): number {
  return Math.min(
    majorityIndex(configuration.voters, acknowledged),
    majorityIndex(configuration.outgoing, acknowledged),
  );
}

/** How a vote stands; `votes` holds only those who have answered. No voters: won, so that it never binds. */
export function majorityVote(voters: readonly RaftId[], votes: ReadonlyMap<RaftId, boolean>): VoteResult {
  if (voters.length === 0) return 'won';
  const needed = Math.floor(voters.length / 2) + 1;
  const granted = voters.filter((id) => votes.get(id) === true).length;
  const open = voters.filter((id) => !votes.has(id)).length;
  if (granted >= needed) return 'won';
  return granted + open >= needed ? 'pending' : 'lost';
}

/** Both majorities of a joint membership must agree (paper section 6). */
export function voteResult(configuration: Configuration, votes: ReadonlyMap<RaftId, boolean>): VoteResult {
  const results = [majorityVote(configuration.voters, votes), majorityVote(configuration.outgoing, votes)];
  if (results.includes('lost')) return 'lost';
  return results.includes('pending') ? 'pending' : 'won';
}

/** In either half of a joint membership. */
export function isVoter(configuration: Configuration, id: RaftId): boolean {
  return configuration.voters.includes(id) || configuration.outgoing.includes(id);
}

/** Everybody who receives the log, in ascending order. */
export function membersOf(configuration: Configuration): RaftId[] {
  const { voters, outgoing, learners, learnersNext } = configuration;
  return [...new Set([...voters, ...outgoing, ...learners, ...learnersNext])].toSorted((a, b) => a - b);
}

/** Between two memberships, where both majorities count. */
export function isJoint(configuration: Configuration): boolean {
  return configuration.outgoing.length > 0;
}
