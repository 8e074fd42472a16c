import type { TaskObject } from '../../../proto/objects/task.ts';
import type { ServiceView } from '../decision.ts';
import type { Slot } from '../slot.ts';
import { isAlive, isRunnable, timeOf } from '../task/task-life.ts';
import { restartDelayMs } from './restart-policy.ts';

/** How long a new task waits for the one before it to stop (swarmkit's defaultOldTaskTimeout). */
const OLD_TASK_TIMEOUT_MS = 60_000;

/** True while a task of the slot that is not wanted any more may still be running. */
export function isStopping(slot: Slot, view: ServiceView): boolean {
  return slot.all.some((task) => !isRunnable(task) && isAlive(task, view.node(task.NodeID)));
}

/**
 * When a task at desired `ready` may go to `running`: once its restart delay is over, and the tasks before it have
 * stopped or had a minute for it. Read off the tasks alone, so that a new leader comes to the same time.
 */
export function startAtMs(task: TaskObject, slot: Slot, view: ServiceView): number {
  const heldUntil = heldUntilMs(task, view.nowMs);
  if (!isStopping(slot, view)) return heldUntil;
  // A task from the future was made by a leader whose clock is ahead of ours: it waits no longer than others.
  const waitedMs = Math.abs(view.nowMs - timeOf(task.CreatedAt));
  return Math.max(heldUntil, view.nowMs + Math.max(0, OLD_TASK_TIMEOUT_MS - waitedMs));
}

/** The end of the task's restart delay; `nowMs` when there is none, or when a clock far ahead of ours wrote it. */
export function heldUntilMs(task: TaskObject, nowMs: number): number {
  if (task.NotBefore === undefined) return nowMs;
  const until = timeOf(task.NotBefore);
  return until > nowMs + restartDelayMs(task) ? nowMs : Math.max(nowMs, until);
}
