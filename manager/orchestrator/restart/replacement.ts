import type { TaskObject } from '../../../proto/objects/task.ts';
import { rfc3339 } from '../../../proto/runtime/clock.ts';
import type { NewObject } from '../../store/transaction.ts';
import type { Change, ServiceView, Step } from '../decision.ts';
import type { Slot } from '../slot.ts';
import { newTask } from '../task/new-task.ts';
import { hasEnded, isAlive, isUnusable, timeOf, writtenAtMs } from '../task/task-life.ts';
import { isStopping } from './delayed-start.ts';
import { restartDelayMs, shouldRestart } from './restart-policy.ts';

/**
 * Gives up a task that has ended or whose node is lost, and puts another in its slot if the restart policy says so.
 * The delay counts from the end of the old task; one that lost its node is replaced without any.
 */
export function restartStep(task: TaskObject, slot: Slot, view: ServiceView): Step {
  const shutdown: Change = { kind: 'desire', task, state: 'shutdown' };
  if (!shouldRestart(task, slot.history, view.nowMs)) return [shutdown];
  const node = view.node(task.NodeID);
  const lost = task.NodeID !== '' && isUnusable(node);
  // One that failed while it waited for its own delay had its turn only when that was over.
  const endMs = hasEnded(task) ? Math.max(writtenAtMs(task, view.nowMs), turnMs(task, view.nowMs)) : view.nowMs;
  const notBeforeMs = lost ? view.nowMs : endMs + restartDelayMs(task);
  const wait = notBeforeMs > view.nowMs || isAlive(task, node) || isStopping(slot, view);
  return [shutdown, createTask(slot, view, { wait, notBeforeMs })];
}

/** When the task was to start at the earliest, 0 for at once. */
function turnMs(task: TaskObject, nowMs: number): number {
  return task.NotBefore === undefined ? 0 : Math.min(nowMs, timeOf(task.NotBefore));
}

/**
 * A first task for a slot, or one that takes the place of `replaced`: it waits until everything before it in the
 * slot has stopped.
 */
export function fillStep(slot: Slot, view: ServiceView, replaced: readonly TaskObject[] = []): Step {
  const wait = replaced.some((task) => isAlive(task, view.node(task.NodeID))) || isStopping(slot, view);
  return [
    ...replaced.map((task): Change => ({ kind: 'desire', task, state: 'shutdown' })),
    createTask(slot, view, { wait, notBeforeMs: view.nowMs }),
  ];
}

/** A task beside those that the slot has, for start-first updates. */
export function besideStep(slot: Slot, view: ServiceView): Step {
  return [createTask(slot, view, { wait: false, notBeforeMs: view.nowMs })];
}

function createTask(slot: Slot, view: ServiceView, start: { wait: boolean; notBeforeMs: number }): Change {
  const { cluster, service, nowMs } = view;
  const task: NewObject<'tasks'> = newTask(cluster, service, slot.number, slot.nodeId, nowMs, view.newId());
  if (start.wait) task.DesiredState = 'ready';
  if (start.notBeforeMs > nowMs) task.NotBefore = rfc3339(start.notBeforeMs);
  return { kind: 'create', task };
}
