import { entryBytes, type LogEntry, type RaftId } from './entry.ts';
import type { AppendResponse, HeartbeatResponse } from './message.ts';
import {
  acknowledge,
  afterSend,
  becomeProbe,
  becomeSnapshot,
  type FlowLimits,
  isPaused,
  newProgress,
  type Progress,
  refuse,
} from './progress.ts';
import { committedIndex, isVoter, membersOf, voteResult } from './quorum.ts';
import { type LeaderRole, type RaftState, sendNow } from './state.ts';

/** Log replication (Raft paper 5.3, 5.4.2), pipelined with flow control (thesis 10.2.1), and ReadIndex (6.4). */

/** candidate -> leader: begins its term with an entry of its own, without which nothing older may be committed. */
export function startLeading(state: RaftState): void {
  const progress = new Map<RaftId, Progress>();
  for (const id of audience(state)) progress.set(id, newProgress(state.log.lastIndex + 1));
  state.role = {
    kind: 'leader',
    progress,
    heartbeatElapsed: 0,
    transferee: 0,
    uncommittedBytes: 0,
    changeIsOpen: isChangeOpen(state),
    told: new Map(),
    reads: { waiting: [], rounds: [], lastContext: 0 },
  };
  state.electionElapsed = 0;
  appendOwn(state, state.role, [{ type: 'normal', data: new Uint8Array() }]);
}

/** True while the last change of the membership is not known to be committed. */
export function isChangeOpen({ log }: RaftState): boolean {
  return log.lastChangeIndex > log.committed;
}

/** Who receives the log: the members, and until a change is committed those whom it removes, so that they learn of it. */
function audience(state: RaftState): Set<RaftId> {
  const { log } = state;
  return new Set([...membersOf(log.configuration), ...membersOf(log.configurationAt(log.committed))]);
}

/** Brings what the leader keeps of each member in line with the membership. */
export function trackMembers(state: RaftState, role: LeaderRole): void {
  const members = audience(state);
  for (const id of role.progress.keys()) {
    if (members.has(id)) continue;
    role.progress.delete(id);
    role.told.delete(id);
  }
  for (const id of members) {
    // Taken as active, so that a new member does not cost the leader its quorum before it has had time to answer.
    if (!role.progress.has(id)) role.progress.set(id, { ...newProgress(state.log.lastIndex), recentlyActive: true });
  }
  if (!isVoter(state.log.configuration, role.transferee)) role.transferee = 0;
  answerReads(state, role);
}

/** Appends to the own log and sends to whoever can take it. @returns the index of the first one. */
export function appendOwn(
  state: RaftState,
  role: LeaderRole,
  drafts: readonly Pick<LogEntry, 'type' | 'data'>[],
): number {
  const first = state.log.lastIndex + 1;
  const entries = drafts.map((draft, at) => ({ ...draft, term: state.term, index: first + at }));
  state.log.append(entries);
  role.uncommittedBytes += sizeOf(entries);
  if (drafts.some((draft) => draft.type === 'conf-change')) {
    role.changeIsOpen = true;
    trackMembers(state, role);
  }
  broadcastAppend(state, role);
  return first;
}

/** Sends everybody what is new to them. */
export function broadcastAppend(state: RaftState, role: LeaderRole): void {
  for (const to of role.progress.keys()) {
    if (to !== state.options.id) sendAppends(state, role, to);
  }
}

/** Sends entries as far as the window goes; nothing when there are none. */
function sendAppends(state: RaftState, role: LeaderRole, to: RaftId): void {
  while (sendAppend(state, role, to, false)) {
    // Each round moves `next`.
  }
}

/** @returns true when entries were sent and more may follow. */
function sendAppend(state: RaftState, role: LeaderRole, to: RaftId, evenEmpty: boolean): boolean {
  const progress = role.progress.get(to);
  if (progress === undefined || isPaused(progress, state.options)) return false;
  const prevIndex = progress.next - 1;
  const prevTerm = state.log.termAt(prevIndex);
  const entries = state.log.slice(progress.next, state.options.maxAppendBytes);
  if (prevTerm === undefined || entries === undefined) {
    sendSnapshot(state, role, to, progress);
    return false;
  }
  if (entries.length === 0 && !evenEmpty) return false;
  sendNow(state, { type: 'append', to, prevIndex, prevTerm, entries, commit: state.log.committed });
  role.told.set(to, state.log.committed);
  const last = entries.at(-1);
  role.progress.set(to, afterSend(progress, last?.index ?? prevIndex, sizeOf(entries)));
  return last !== undefined && progress.state === 'replicate';
}

function sendSnapshot(state: RaftState, role: LeaderRole, to: RaftId, progress: Progress): void {
  if (state.snapshot === undefined || !progress.recentlyActive) return;
  sendNow(state, { type: 'snapshot', to, meta: state.snapshot });
  role.progress.set(to, becomeSnapshot(progress, state.snapshot.index));
}

/** Moves the member's progress and, with it, the commit index (paper 5.3). */
export function handleAppendResponse(state: RaftState, role: LeaderRole, response: AppendResponse): void {
  const progress = role.progress.get(response.from);
  if (progress === undefined) return;
  const active = { ...progress, recentlyActive: true };
  role.progress.set(response.from, active);
  if (response.rejected) {
    // Below the hint's term the own log may hold less than the follower: skip to where both can agree.
    const { index } = state.log.findConflict(response.hintIndex, response.hintTerm);
    const probed = refuse(active, response.index, index);
    if (probed === undefined) return;
    role.progress.set(response.from, probed);
    sendAppend(state, role, response.from, true);
    return;
  }
  const advanced = acknowledge(active, response.index);
  if (advanced === undefined) return;
  role.progress.set(response.from, advanced);
  advanceCommit(state, role);
  // While it was paused it was told of no commits.
  if (isPaused(active, state.options)) sendAppend(state, role, response.from, true);
  sendAppends(state, role, response.from);
  finishTransfer(state, role, response.from);
}

/** The member lives: what it may have lost is sent again, and a read that waits for a quorum has one more. */
export function handleHeartbeatResponse(state: RaftState, role: LeaderRole, response: HeartbeatResponse): void {
  const progress = role.progress.get(response.from);
  if (progress === undefined) return;
  role.progress.set(response.from, resume({ ...progress, recentlyActive: true }, state.options));
  if (progress.match < state.log.lastIndex || progress.state === 'probe') {
    sendAppend(state, role, response.from, true);
  }
  finishTransfer(state, role, response.from);
  echoRead(state, role, response.from, response.context);
}

/** A follower that answers heartbeats but not appends has lost one: make room for another, whose refusal tells. */
function resume(progress: Progress, limits: FlowLimits): Progress {
  if (progress.state === 'probe') return { ...progress, paused: false };
  if (progress.state === 'replicate' && isPaused(progress, limits))
    return { ...progress, inflight: progress.inflight.slice(1) };
  return progress;
}

/**
 * Commits what a quorum has. The others learn of it with the next entries or the next tick: a message of its own for each
 * commit would double what a write costs. A change of the membership is told at once, since it may end with a member
 * that is told nothing afterwards.
 */
export function advanceCommit(state: RaftState, role: LeaderRole): void {
  if (maybeCommit(state, role) && role.changeIsOpen) tellCommit(state, role);
}

/** Commits what a quorum has, if it is of this term (paper 5.4.2). @returns true when that moved the commit index. */
function maybeCommit(state: RaftState, role: LeaderRole): boolean {
  const index = committedIndex(state.log.configuration, (id) => role.progress.get(id)?.match ?? 0);
  if (index <= state.log.committed || state.log.termAt(index) !== state.term) return false;
  const newly = state.log.bytesBetween(state.log.committed, index);
  // Those of earlier terms were never counted.
  role.uncommittedBytes = Math.max(0, role.uncommittedBytes - newly);
  state.log.commitTo(index);
  return true;
}

/** Sends the commit index to whoever does not have it, with entries where there are some. */
function tellCommit(state: RaftState, role: LeaderRole): void {
  for (const to of role.progress.keys()) {
    if (to === state.options.id || role.told.get(to) === state.log.committed) continue;
    if (sendAppend(state, role, to, true)) sendAppends(state, role, to);
  }
}

/** The own disk has everything up to `index`. */
export function acknowledgeOwn(state: RaftState, role: LeaderRole, index: number): void {
  const own = role.progress.get(state.options.id);
  if (own === undefined) return;
  role.progress.set(state.options.id, { ...own, match: Math.max(own.match, index), next: index + 1 });
  advanceCommit(state, role);
}

/** One tick of the leader. @returns false when no quorum has answered for an election time-out: it must step down. */
export function tickLeader(state: RaftState, role: LeaderRole): boolean {
  state.electionElapsed++;
  role.heartbeatElapsed++;
  if (state.electionElapsed >= state.options.electionTicks) {
    state.electionElapsed = 0;
    role.transferee = 0;
    if (!hasActiveQuorum(state, role)) return false;
  }
  tellCommit(state, role);
  if (role.heartbeatElapsed >= state.options.heartbeatTicks) broadcastHeartbeat(state, role);
  return true;
}

function broadcastHeartbeat(state: RaftState, role: LeaderRole): void {
  role.heartbeatElapsed = 0;
  const context = role.reads.lastContext;
  for (const [to, progress] of role.progress) {
    if (to === state.options.id) continue;
    // Never beyond what it is known to hold: the rest of its log may be another leader's.
    const commit = Math.min(progress.match, state.log.committed);
    sendNow(state, { type: 'heartbeat', to, commit, context });
  }
}

function hasActiveQuorum(state: RaftState, role: LeaderRole): boolean {
  const answers = new Map<RaftId, boolean>();
  for (const [id, progress] of role.progress) {
    answers.set(id, id === state.options.id || progress.recentlyActive);
    role.progress.set(id, { ...progress, recentlyActive: false });
  }
  return voteResult(state.log.configuration, answers) === 'won';
}

/** The transport could not reach it: what was sent ahead is taken as lost. */
export function reportUnreachable(role: LeaderRole, id: RaftId): void {
  const progress = role.progress.get(id);
  if (progress?.state === 'replicate') role.progress.set(id, becomeProbe(progress));
}

/** How sending a snapshot ended; appends go on with the follower's next sign of life. */
export function reportSnapshot(role: LeaderRole, id: RaftId, delivered: boolean): void {
  const progress = role.progress.get(id);
  if (progress?.state !== 'snapshot') return;
  role.progress.set(id, { ...becomeProbe(progress, delivered), paused: true });
}

/** Begins to hand over (thesis 3.10). @returns false when `to` cannot lead. */
export function transferTo(state: RaftState, role: LeaderRole, to: RaftId): boolean {
  if (to === state.options.id || !isVoter(state.log.configuration, to) || !role.progress.has(to)) return false;
  role.transferee = to;
  state.electionElapsed = 0;
  if (!finishTransfer(state, role, to)) sendAppend(state, role, to, true);
  return true;
}

/** Who should lead after a leader that was removed: whoever has most of the log. */
export function nameHeir(state: RaftState, role: LeaderRole): void {
  const known = [...role.progress].filter(([id]) => isVoter(state.log.configuration, id));
  const [heir] = known.toSorted(([, a], [, b]) => b.match - a.match);
  if (heir !== undefined) sendNow(state, { type: 'timeout-now', to: heir[0] });
}

function finishTransfer(state: RaftState, role: LeaderRole, from: RaftId): boolean {
  if (role.transferee !== from || role.progress.get(from)?.match !== state.log.lastIndex) return false;
  sendNow(state, { type: 'timeout-now', to: from });
  return true;
}

/** Puts the waiting reads into a heartbeat round, once an entry of this term is committed. */
export function startReadRound(state: RaftState, role: LeaderRole): void {
  const { reads } = role;
  if (reads.waiting.length === 0 || state.log.termAt(state.log.committed) !== state.term) return;
  const context = ++reads.lastContext;
  const round = { context, commit: state.log.committed, requests: reads.waiting, echoed: new Set<RaftId>() };
  reads.waiting = [];
  reads.rounds.push(round);
  broadcastHeartbeat(state, role);
  echoRead(state, role, state.options.id, context);
}

function echoRead(state: RaftState, role: LeaderRole, from: RaftId, context: number): void {
  for (const round of role.reads.rounds) if (round.context <= context) round.echoed.add(from);
  answerReads(state, role);
}

/** Answers the rounds that have their quorum; also after a change of what a quorum is. */
function answerReads(state: RaftState, role: LeaderRole): void {
  const { reads } = role;
  const answers = (echoed: Set<RaftId>): Map<RaftId, boolean> => new Map([...echoed].map((id) => [id, true]));
  // A later round that has its quorum proves leadership for the earlier ones too.
  const won = reads.rounds.findLastIndex(
    (round) => voteResult(state.log.configuration, answers(round.echoed)) === 'won',
  );
  for (const round of reads.rounds.splice(0, won + 1)) {
    for (const request of round.requests) state.answeredReads.push({ request, index: round.commit });
  }
}

function sizeOf(entries: readonly LogEntry[]): number {
  return entries.reduce((sum, entry) => sum + entryBytes(entry), 0);
}
