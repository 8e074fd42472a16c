import type { Append, Heartbeat, InstallSnapshot } from './message.ts';
import { type RaftState, sendAfterPersist } from './state.ts';

/** A follower's part of replication (Raft paper, figure 2 and 7). */

/** Takes entries behind one that both have, or says where the two logs may agree (paper 5.3). */
export function handleAppend(state: RaftState, append: Append): void {
  const { log } = state;
  if (append.prevIndex < log.committed) {
    accept(state, append.from, log.committed);
    return;
  }
  const matched = log.tryAppend(append.prevIndex, append.prevTerm, append.entries);
  if (matched === undefined) {
    const hint = log.findConflict(append.prevIndex, append.prevTerm);
    sendAfterPersist(state, {
      type: 'append-response',
      to: append.from,
      index: append.prevIndex,
      rejected: true,
      hintIndex: hint.index,
      hintTerm: hint.term,
    });
    return;
  }
  log.commitTo(Math.min(append.commit, matched));
  accept(state, append.from, matched);
}

/** Learns of commits, which the leader tells no further than this member's log is known to match. */
export function handleHeartbeat(state: RaftState, heartbeat: Heartbeat): void {
  state.log.commitTo(heartbeat.commit);
  sendAfterPersist(state, { type: 'heartbeat-response', to: heartbeat.from, context: heartbeat.context });
}

/** Takes a snapshot only when it brings something that the log cannot. */
export function handleSnapshot(state: RaftState, { from, meta }: InstallSnapshot): void {
  const { log } = state;
  if (meta.index <= log.committed) {
    accept(state, from, log.committed);
    return;
  }
  if (log.termAt(meta.index) === meta.term) {
    log.commitTo(meta.index);
    accept(state, from, log.committed);
    return;
  }
  log.restore(meta);
  state.install = meta;
  state.snapshot = meta;
  accept(state, from, meta.index);
}

function accept(state: RaftState, to: number, index: number): void {
  sendAfterPersist(state, { type: 'append-response', to, index, rejected: false, hintIndex: 0, hintTerm: 0 });
}
