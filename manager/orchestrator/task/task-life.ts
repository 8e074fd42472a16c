import type { NodeObject } from '../../../proto/objects/node.ts';
import type { TaskObject } from '../../../proto/objects/task.ts';
import { compareTaskStates, isTerminal } from '../../../proto/objects/task-state.ts';

/** True while the orchestrator wants the task to run, now or after a delay. */
export function isRunnable(task: TaskObject): boolean {
  return compareTaskStates(task.DesiredState, 'running') <= 0;
}

export function hasEnded(task: TaskObject): boolean {
  return isTerminal(task.Status.State);
}

/** True for a task that no node has been given, and, once it is not wanted any more, none will be. */
export function isUnassigned(task: TaskObject): boolean {
  return compareTaskStates(task.Status.State, 'assigned') < 0;
}

/** True when the node can not be counted on to keep a task: it is gone, down or being drained. */
export function isUnusable(node: NodeObject | undefined): boolean {
  return node === undefined || node.Status.State === 'down' || node.Spec.Availability === 'drain';
}

/** True when a container of the task may still be running somewhere that can say so. */
export function isAlive(task: TaskObject, node: NodeObject | undefined): boolean {
  return !hasEnded(task) && !isUnassigned(task) && node !== undefined && node.Status.State !== 'down';
}

/** Milliseconds since the epoch; 0 for what is no time. */
export function timeOf(rfc3339Text: string): number {
  const ms = Date.parse(rfc3339Text);
  return Number.isNaN(ms) ? 0 : ms;
}

/** When the leader wrote down the task's present state: its own clock, unlike Status.Timestamp, which is the node's. */
export function writtenAtMs(task: TaskObject, nowMs: number): number {
  return Math.min(nowMs, timeOf(task.UpdatedAt));
}

/**
 * Orders the tasks of one slot by age, oldest first. Tasks of the same instant: those still wanted are younger, then
 * the one changed last is.
 */
export function compareAge(a: TaskObject, b: TaskObject): number {
  return (
    timeOf(a.CreatedAt) - timeOf(b.CreatedAt) ||
    Number(isRunnable(a)) - Number(isRunnable(b)) ||
    a.Version.Index - b.Version.Index ||
    (a.ID < b.ID ? -1 : Number(a.ID > b.ID))
  );
}
