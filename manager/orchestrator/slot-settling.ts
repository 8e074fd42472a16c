/**
 * Brings one slot to order, whatever the service's mode: what ended is replaced, what waited starts, what is too many
 * goes. Pure.
 */

import type { TaskObject } from '../../proto/objects/task.ts';
import type { Change, ServiceView, Step } from './decision.ts';
import type { Slot } from './slot.ts';
import { heldUntilMs, startAtMs } from './restart/delayed-start.ts';
import { restartStep } from './restart/replacement.ts';
import { isTaskDirty } from './task/task-dirty.ts';
import { hasEnded, isUnusable } from './task/task-life.ts';
import { updateConfigOf } from './update/update-config.ts';

export interface Settling {
  steps: Step[];
  wakeAtMs: number;
}

/** What is to be done for one slot now, and when to look at it again. */
export function settleSlot(slot: Slot, view: ServiceView): Settling {
  const ended = slot.runnable.filter((task) => hasEnded(task) || isLost(task, view));
  const live = slot.runnable.filter((task) => !ended.includes(task));
  const surplus = surplusTasks(live, view);
  const settling: Settling = { steps: surplus.map((task) => [shutdown(task)]), wakeAtMs: Number.POSITIVE_INFINITY };
  for (const task of ended) settleEnded(task, slot, live, view, settling);
  for (const task of live) {
    if (task.DesiredState !== 'ready' || surplus.includes(task)) continue;
    const startMs = startAtMs(task, slot, view);
    if (startMs <= view.nowMs) settling.steps.push([{ kind: 'desire', task, state: 'running' }]);
    else settling.wakeAtMs = Math.min(settling.wakeAtMs, startMs);
  }
  return settling;
}

function settleEnded(
  task: TaskObject,
  slot: Slot,
  live: readonly TaskObject[],
  view: ServiceView,
  settling: Settling,
): void {
  const heldUntil = heldUntilMs(task, view.nowMs);
  if (live.some((other) => slot.all.indexOf(other) > slot.all.indexOf(task))) {
    settling.steps.push([shutdown(task)]);
  } else if (hasEnded(task) && task.DesiredState === 'ready' && heldUntil > view.nowMs) {
    // It failed while it was waiting to start, say for want of its image: the next try waits for its time too.
    settling.wakeAtMs = Math.min(settling.wakeAtMs, heldUntil);
  } else {
    settling.steps.push(restartStep(task, slot, view));
  }
}

/**
 * The tasks that a slot has too many of. Of those of the present spec the best stays; one of an older spec stays
 * beside it only until the new one runs, and only when the update starts the new one first.
 */
function surplusTasks(live: readonly TaskObject[], view: ServiceView): TaskObject[] {
  if (live.length < 2) return [];
  const [dirty, clean] = partition(live, (task) => isTaskDirty(view.service, task, view.node(task.NodeID)));
  const bestClean = bestOf(clean);
  const startFirst = updateConfigOf(view.service).order === 'start-first';
  const keepDirty = bestClean === undefined || (startFirst && bestClean.Status.State !== 'running');
  const kept = new Set([bestClean, keepDirty ? bestOf(dirty) : undefined]);
  return live.filter((task) => !kept.has(task));
}

/** Running before not, wanted now before wanted later, then the oldest. */
function bestOf(tasks: readonly TaskObject[]): TaskObject | undefined {
  const rank = (task: TaskObject): number =>
    (task.Status.State === 'running' ? 2 : 0) + (task.DesiredState === 'running' ? 1 : 0);
  return tasks.toSorted((a, b) => rank(b) - rank(a))[0];
}

function partition<T>(items: readonly T[], test: (item: T) => boolean): [T[], T[]] {
  const groups = Map.groupBy(items, test);
  return [groups.get(true) ?? [], groups.get(false) ?? []];
}

function isLost(task: TaskObject, view: ServiceView): boolean {
  return task.NodeID !== '' && isUnusable(view.node(task.NodeID));
}

function shutdown(task: TaskObject): Change {
  return { kind: 'desire', task, state: 'shutdown' };
}
