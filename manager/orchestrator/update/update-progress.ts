/**
 * What is known of a rolling update beyond its UpdateStatus: which slots it covers, which of them are done and which
 * failed. It is a reading of the slots' tasks, kept from pass to pass only for what the store forgets (when a task
 * that has ended since began to run); a new leader reads most of it off the tasks again. Pure.
 */

import type { ServiceObject } from '../../../proto/objects/service.ts';
import type { TaskObject } from '../../../proto/objects/task.ts';
import type { ServiceView } from '../decision.ts';
import { type Slot, updatableTasks } from '../slot.ts';
import { isTaskDirty } from '../task/task-dirty.ts';
import { hasEnded, isRunnable, timeOf, writtenAtMs } from '../task/task-life.ts';
import type { CompiledUpdateConfig } from './update-config.ts';
import { beganAtMs, isUnderWay } from './update-status.ts';

/** How long pulling and starting are taken to last at most, for a task of which only the end was seen. */
const START_ALLOWANCE_MS = 30_000;

export interface SlotProgress {
  /** The first task of the new spec in the slot. Absent until there is one. */
  attempt?: string;
  /** When it began to run, or ended without. */
  doneAtMs?: number;
  /** It began to run while somebody was looking. */
  ran: boolean;
  /** It ended before it ran, or within the monitoring period after. */
  failed: boolean;
}

export interface UpdateProgress {
  /** ServiceObject.SpecVersion that all this is about. */
  specVersion: number;
  /** By slot key: every slot that was out of date since the update began. */
  slots: ReadonlyMap<string, SlotProgress>;
}

/** True when the slot has something to update and nothing of the present spec. */
export function isOutOfDate(slot: Slot, view: ServiceView): boolean {
  const tasks = updatableTasks(slot);
  return tasks.length > 0 && tasks.every((task) => isTaskDirty(view.service, task, view.node(task.NodeID)));
}

/** The progress as of now, from the progress of the pass before (of this leader) and the slots as they are. */
export function observeProgress(
  before: UpdateProgress | undefined,
  slots: readonly Slot[],
  view: ServiceView,
  config: CompiledUpdateConfig,
): UpdateProgress {
  const specVersion = view.service.SpecVersion;
  const known = before?.specVersion === specVersion ? before.slots : new Map<string, SlotProgress>();
  const observed = new Map<string, SlotProgress>();
  for (const slot of slots) {
    const earlier = known.get(slot.key);
    if (isOutOfDate(slot, view)) observed.set(slot.key, { ran: false, failed: false });
    else if (earlier !== undefined) observed.set(slot.key, observeSlot(earlier, slot, view, config));
    else if (wasReplaced(slot, view)) {
      observed.set(slot.key, observeSlot({ ran: false, failed: false }, slot, view, config));
    }
  }
  return { specVersion, slots: observed };
}

/** True for a slot that an update under way, of an earlier leader, has already dealt with. */
function wasReplaced(slot: Slot, view: ServiceView): boolean {
  const { service } = view;
  return (
    isUnderWay(service) &&
    attemptsIn(slot, service).length > 0 &&
    slot.history.some((task) => task.SpecVersion !== service.SpecVersion)
  );
}

function attemptsIn(slot: Slot, service: ServiceObject): TaskObject[] {
  const beganMs = beganAtMs(service);
  return slot.history.filter((task) => task.SpecVersion === service.SpecVersion && timeOf(task.CreatedAt) >= beganMs);
}

function observeSlot(earlier: SlotProgress, slot: Slot, view: ServiceView, config: CompiledUpdateConfig): SlotProgress {
  const task = attemptIn(slot, view.service, earlier);
  // Reaped, or never made because what was there came to be good enough.
  if (task === undefined) return { doneAtMs: view.nowMs, ...earlier };
  const progress: SlotProgress = { ...earlier, attempt: task.ID };
  if (task.Status.State === 'running') {
    return { ...progress, ran: true, doneAtMs: earlier.doneAtMs ?? writtenAtMs(task, view.nowMs) };
  }
  if (!hasEnded(task)) return progress;
  const endMs = writtenAtMs(task, view.nowMs);
  const failed = earlier.failed || (endedByItself(task) && endedEarly(task, earlier, endMs, config.monitorMs));
  return { ...progress, failed, doneAtMs: earlier.doneAtMs ?? endMs };
}

/** The slot's attempt; one that was called off before it came to anything gives way to the next. */
function attemptIn(slot: Slot, service: ServiceObject, earlier: SlotProgress): TaskObject | undefined {
  const current = attemptsIn(slot, service);
  const known = current.find((task) => task.ID === earlier.attempt);
  if (known !== undefined && (earlier.doneAtMs !== undefined || isRunnable(known) || endedByItself(known)))
    return known;
  if (earlier.doneAtMs !== undefined) return undefined;
  return current.find((task) => isRunnable(task) || endedByItself(task));
}

/** Neither shut down by us nor lost with its node. */
function endedByItself(task: TaskObject): boolean {
  return task.Status.State === 'complete' || task.Status.State === 'failed' || task.Status.State === 'rejected';
}

function endedEarly(task: TaskObject, earlier: SlotProgress, endMs: number, monitorMs: number): boolean {
  if (task.Status.State === 'rejected') return earlier.ran ? endMs - (earlier.doneAtMs ?? endMs) <= monitorMs : true;
  if (earlier.ran) return endMs - (earlier.doneAtMs ?? endMs) <= monitorMs;
  if (earlier.attempt === task.ID) return earlier.doneAtMs === undefined;
  // Nobody saw it before it ended, so when it began is a guess.
  return endMs - timeOf(task.CreatedAt) <= monitorMs + START_ALLOWANCE_MS;
}
