/**
 * What the leader knows of one follower's log, as a state machine (thesis 10.2.1 on pipelining):
 *   probe      one append at a time, until it is known where the logs agree;
 *   replicate  appends are sent ahead of their answers, as far as the window goes;
 *   snapshot   nothing is sent until the snapshot has been reported.
 * Invariant: match < next.
 */
export type Progress = ProbeProgress | ReplicateProgress | SnapshotProgress;

interface Known {
  /** Highest index known to be on the follower's disk. */
  match: number;
  /** Index of the next entry to send. */
  next: number;
  /** It has answered since the last check of the quorum. */
  recentlyActive: boolean;
}

export interface ProbeProgress extends Known {
  state: 'probe';
  /** An append is out; another one waits for its answer or the next heartbeat. */
  paused: boolean;
}

export interface ReplicateProgress extends Known {
  state: 'replicate';
  /** Last index and bytes of each append that is not answered yet, oldest first. */
  inflight: readonly { lastIndex: number; bytes: number }[];
}

export interface SnapshotProgress extends Known {
  state: 'snapshot';
  snapshotIndex: number;
}

export interface FlowLimits {
  maxInflightAppends: number;
  maxInflightBytes: number;
}

/** Of a member of whose log nothing is known: asked from `next` on. */
export function newProgress(next: number): ProbeProgress {
  return { state: 'probe', match: 0, next, recentlyActive: false, paused: false };
}

/** any -> probe, from the entry after the last that is known (or after the snapshot that is there). */
export function becomeProbe(progress: Progress, fromSnapshot = false): ProbeProgress {
  const past = fromSnapshot && progress.state === 'snapshot' ? progress.snapshotIndex : 0;
  const { match, recentlyActive } = progress;
  return { state: 'probe', match, next: Math.max(match, past) + 1, recentlyActive, paused: false };
}

/** probe -> replicate, or snapshot -> replicate once the follower's log reaches beyond it. */
export function becomeReplicate(progress: Progress): ReplicateProgress {
  const { match, recentlyActive } = progress;
  return { state: 'replicate', match, next: match + 1, recentlyActive, inflight: [] };
}

/** any -> snapshot */
export function becomeSnapshot(progress: Progress, snapshotIndex: number): SnapshotProgress {
  const { match, recentlyActive } = progress;
  return { state: 'snapshot', match, next: snapshotIndex + 1, recentlyActive, snapshotIndex };
}

/** True while nothing may be sent. */
export function isPaused(progress: Progress, limits: FlowLimits): boolean {
  switch (progress.state) {
    case 'probe':
      return progress.paused;
    case 'snapshot':
      return true;
    case 'replicate':
      return (
        progress.inflight.length >= limits.maxInflightAppends ||
        progress.inflight.reduce((sum, each) => sum + each.bytes, 0) >= limits.maxInflightBytes
      );
  }
}

/** After an append with entries up to `lastIndex` was sent. */
export function afterSend(progress: Progress, lastIndex: number, bytes: number): Progress {
  if (progress.state === 'probe') return { ...progress, paused: true };
  if (progress.state === 'snapshot' || lastIndex < progress.next) return progress;
  return { ...progress, next: lastIndex + 1, inflight: [...progress.inflight, { lastIndex, bytes }] };
}

/**
 * The follower holds everything up to `index`. That is news also to a probe that only asked whether the logs still agree
 * where they did: after it appends may be sent ahead again. @returns undefined when that is no news.
 */
export function acknowledge(progress: Progress, index: number): Progress | undefined {
  if (index < progress.match || (index === progress.match && progress.state !== 'probe')) return undefined;
  const known = { ...progress, match: index, next: Math.max(progress.next, index + 1) };
  switch (known.state) {
    case 'probe':
      return becomeReplicate(known);
    case 'snapshot':
      return index >= known.snapshotIndex ? becomeReplicate(known) : known;
    case 'replicate':
      return { ...known, inflight: known.inflight.filter((each) => each.lastIndex > index) };
  }
}

/**
 * The follower refused an append after `prevIndex`; `maybeMatch` is where the logs may agree.
 * @returns undefined for an answer that is out of date.
 */
export function refuse(progress: Progress, prevIndex: number, maybeMatch: number): Progress | undefined {
  if (progress.state === 'replicate') return prevIndex <= progress.match ? undefined : becomeProbe(progress);
  if (progress.state === 'snapshot' || progress.next - 1 !== prevIndex) return undefined;
  const next = Math.max(Math.min(prevIndex, maybeMatch + 1), progress.match + 1);
  return { ...progress, next, paused: false };
}
