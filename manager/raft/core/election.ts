import type { RaftId } from './entry.ts';
import type { Vote, VoteResponse } from './message.ts';
import { startLeading } from './leader.ts';
import { isVoter, membersOf, voteResult } from './quorum.ts';
import { leaderOf, type RaftState, sendAfterPersist } from './state.ts';

/** Elections (Raft paper 5.2, 5.4.1) with pre-vote and leader stickiness (thesis 4.2.3, 9.6) and transfers (3.10). */

/** any -> follower */
export function becomeFollower(state: RaftState, term: number, leader: RaftId): void {
  if (term !== state.term) {
    state.term = term;
    state.vote = 0;
  }
  state.role = { kind: 'follower', leader };
  resetElectionTimer(state);
}

export function resetElectionTimer(state: RaftState): void {
  const { electionTicks, random } = state.options;
  state.electionElapsed = 0;
  state.electionTimeout = electionTicks + Math.floor(random() * electionTicks);
}

/**
 * For who has just campaigned: [electionTicks / 2, electionTicks). Nobody leads whom a second try could disturb, and
 * two that split the votes should not keep everybody waiting for as long as a leader is given.
 */
function resetRetryTimer(state: RaftState): void {
  const { electionTicks, random } = state.options;
  state.electionElapsed = 0;
  state.electionTimeout = Math.ceil(electionTicks / 2) + Math.floor((random() * electionTicks) / 2);
}

/** One tick of a member that does not lead. */
export function tickElection(state: RaftState): void {
  state.electionElapsed++;
  if (state.electionElapsed < state.electionTimeout) return;
  resetElectionTimer(state);
  if (mayCampaign(state)) campaign(state, 'pre-vote');
  // Whoever cannot stand must not hold on to a silent leader either: its vote may be what the others lack.
  else becomeFollower(state, state.term, 0);
}

/**
 * False for learners and strangers. Who is removed by a change that may not be committed yet must still stand: it may be
 * the only one with a log that is complete (thesis 4.2.2).
 */
export function mayCampaign(state: RaftState): boolean {
  const { log, options } = state;
  if (state.install !== undefined) return false;
  return isVoter(log.configuration, options.id) || isVoter(log.configurationAt(log.committed), options.id);
}

/** follower -> pre-candidate, or -> candidate for a real election. */
export function campaign(state: RaftState, kind: 'pre-vote' | 'election' | 'transfer'): void {
  const preVote = kind === 'pre-vote';
  const self = state.options.id;
  if (preVote) {
    state.role = { kind: 'pre-candidate', votes: new Map() };
  } else {
    becomeFollower(state, state.term + 1, 0);
    state.vote = self;
    state.role = { kind: 'candidate', votes: new Map() };
  }
  resetRetryTimer(state);
  const term = preVote ? state.term + 1 : state.term;
  // The own vote too is a message, so that it counts only once it is on the disk.
  sendAfterPersist(state, { type: 'vote-response', to: self, term, preVote, granted: true });
  const { lastIndex, lastTerm } = state.log;
  for (const to of membersOf(state.log.configuration)) {
    if (to === self || !isVoter(state.log.configuration, to)) continue;
    sendAfterPersist(state, {
      type: 'vote',
      to,
      term,
      preVote,
      transfer: kind === 'transfer',
      lastIndex,
      lastTerm,
    });
  }
}

/** True when a vote must be ignored because a leader has been heard of lately (thesis 4.2.3). */
export function isSticky(state: RaftState, vote: Vote): boolean {
  return !vote.transfer && leaderOf(state) !== 0 && state.electionElapsed < state.options.electionTicks;
}

/** Grants at most one vote a term, to whoever's log is up to date (paper 5.2, 5.4.1); pre-votes bind nothing (thesis 9.6). */
export function handleVote(state: RaftState, vote: Vote): void {
  const free = state.vote === vote.from || (state.vote === 0 && leaderOf(state) === 0);
  const mayVote = free || (vote.preVote && vote.term > state.term);
  const granted = mayVote && state.log.isUpToDate(vote.lastIndex, vote.lastTerm);
  if (granted && !vote.preVote) {
    resetElectionTimer(state);
    state.vote = vote.from;
  }
  // A refusal tells the own term, so that a member that was away learns of it.
  const term = granted ? vote.term : state.term;
  sendAfterPersist(state, { type: 'vote-response', to: vote.from, term, preVote: vote.preVote, granted });
}

/** Counts an answer; a majority makes the candidate out of the pre-candidate, and the leader out of the candidate. */
export function handleVoteResponse(state: RaftState, response: VoteResponse): void {
  const { role } = state;
  const expected = response.preVote ? 'pre-candidate' : 'candidate';
  if (role.kind !== expected) return;
  // A pre-vote for an earlier term that is only now arriving: it was not asked for this one.
  if (response.preVote && response.granted && response.term !== state.term + 1) return;
  if (!role.votes.has(response.from)) role.votes.set(response.from, response.granted);
  const result = voteResult(state.log.configuration, role.votes);
  if (result === 'lost') becomeFollower(state, state.term, 0);
  if (result !== 'won') return;
  if (role.kind === 'pre-candidate') campaign(state, 'election');
  else startLeading(state);
}
