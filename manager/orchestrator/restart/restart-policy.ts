/**
 * When a task that has ended is replaced (SWARM-BEHAVIOUR 2.4, 3.3). The count of earlier restarts is not kept
 * anywhere: it is read off the slot's old tasks, of which the reaper keeps enough, so that a new leader counts the
 * same. Pure.
 */

import type { TaskObject } from '../../../proto/objects/task.ts';
import { hasEnded, isRunnable, timeOf, writtenAtMs } from '../task/task-life.ts';

const NANOSECONDS_PER_MS = 1e6;
const DEFAULT_DELAY_MS = 5_000;

/** How long the replacement waits, counted from the end of `task`. 5 s when the policy does not say. */
export function restartDelayMs(task: TaskObject): number {
  const delay = task.Spec.RestartPolicy?.Delay;
  return delay === undefined ? DEFAULT_DELAY_MS : delay / NANOSECONDS_PER_MS;
}

/**
 * True when the policy of `task` wants another one in its place. A task without a policy is restarted always. `none`
 * holds even for a task that was lost with its node, and such replacements count as attempts, both as in Docker.
 * @param history the slot's tasks that are not being removed, oldest first.
 */
export function shouldRestart(task: TaskObject, history: readonly TaskObject[], nowMs: number): boolean {
  const policy = task.Spec.RestartPolicy;
  const condition = policy?.Condition ?? 'any';
  if (condition === 'none') return false;
  if (condition === 'on-failure' && task.Status.State === 'complete') return false;
  const maxAttempts = policy?.MaxAttempts ?? 0;
  if (maxAttempts === 0) return true;
  return attempts(task, history, (policy?.Window ?? 0) / NANOSECONDS_PER_MS, nowMs) < maxAttempts;
}

/** Tasks of one spec version, but for the first, are restarts: a new version begins a new count. */
function attempts(task: TaskObject, history: readonly TaskObject[], windowMs: number, nowMs: number): number {
  const restarts = history.filter((other) => other.SpecVersion === task.SpecVersion).slice(1);
  if (windowMs === 0) return restarts.length;
  const endMs = hasEnded(task) || !isRunnable(task) ? writtenAtMs(task, nowMs) : nowMs;
  return restarts.filter((other) => {
    const createdMs = timeOf(other.CreatedAt);
    return createdMs > endMs - windowMs && createdMs <= endMs;
  }).length;
}
