/**
 * One step of a rolling update (SWARM-BEHAVIOUR 3.3): from the state of the service and its tasks, which slots are
 * replaced next and how UpdateStatus changes. There is no updater to cancel or to resume: a new spec, a new leader or
 * a slot that went away shows in the next step. Pure.
 */

import type { ServiceView, Step } from '../decision.ts';
import type { Slot } from '../slot.ts';
import { besideStep, fillStep } from '../restart/replacement.ts';
import { type CompiledUpdateConfig, updateConfigOf } from './update-config.ts';
import { isOutOfDate, observeProgress, type SlotProgress, type UpdateProgress } from './update-progress.ts';
import { completed, isPaused, isRollingBack, isUnderWay, paused, rolledBack, started } from './update-status.ts';

export interface UpdateStep {
  /** To be given to the next step; absent when no update is under way. */
  progress?: UpdateProgress;
  steps: Step[];
  wakeAtMs: number;
}

const IDLE: UpdateStep = { steps: [], wakeAtMs: Number.POSITIVE_INFINITY };

/**
 * @param slots those that are subject to updates, in the order in which they are to be replaced.
 * @param busy keys of slots that other steps of this pass change: they are replaced another time.
 */
export function stepUpdate(
  before: UpdateProgress | undefined,
  slots: readonly Slot[],
  busy: ReadonlySet<string>,
  view: ServiceView,
): UpdateStep {
  const { service, nowMs } = view;
  if (isPaused(service)) return IDLE;
  const waiting = slots.filter((slot) => isOutOfDate(slot, view));
  if (waiting.length === 0 && !isUnderWay(service)) return IDLE;
  const config = updateConfigOf(service);
  const progress = observeProgress(before, slots, view, config);
  const failure = actOnFailure(progress, config, view);
  if (failure !== undefined) return { progress, steps: [failure], wakeAtMs: Number.POSITIVE_INFINITY };
  if (waiting.length === 0) return finish(progress, config, view);
  const { free, freeAtMs } = lanes(progress, config, nowMs);
  const next = waiting.filter((slot) => !busy.has(slot.key)).slice(0, free);
  const steps = next.map((slot) => replaceStep(slot, config, view));
  if (service.UpdateStatus === undefined) steps.unshift([{ kind: 'service', service: started(service, nowMs) }]);
  return { progress, steps, wakeAtMs: freeAtMs };
}

function replaceStep(slot: Slot, config: CompiledUpdateConfig, view: ServiceView): Step {
  const startFirst = config.order === 'start-first' && slot.runnable.length > 0;
  return startFirst ? besideStep(slot, view) : fillStep(slot, view, slot.runnable);
}

/** How many more slots may be under way, and when the next one that only waits out its delay is over with it. */
function lanes(
  progress: UpdateProgress,
  config: CompiledUpdateConfig,
  nowMs: number,
): { free: number; freeAtMs: number } {
  let taken = 0;
  let freeAtMs = Number.POSITIVE_INFINITY;
  for (const slot of progress.slots.values()) {
    if (isUnfinished(slot)) {
      taken++;
    } else if (slot.doneAtMs !== undefined && slot.doneAtMs + config.delayMs > nowMs) {
      taken++;
      freeAtMs = Math.min(freeAtMs, slot.doneAtMs + config.delayMs);
    }
  }
  return { free: Math.max(0, config.parallelism - taken), freeAtMs };
}

function isUnfinished(slot: SlotProgress): boolean {
  return slot.attempt !== undefined && slot.doneAtMs === undefined;
}

/** An update is complete once its last task has run for the monitoring period. */
function finish(progress: UpdateProgress, config: CompiledUpdateConfig, view: ServiceView): UpdateStep {
  const slots = [...progress.slots.values()];
  if (slots.some(isUnfinished)) return { progress, steps: [], wakeAtMs: Number.POSITIVE_INFINITY };
  const dueMs = slots.reduce((latest, slot) => Math.max(latest, (slot.doneAtMs ?? 0) + config.monitorMs), 0);
  if (dueMs > view.nowMs) return { progress, steps: [], wakeAtMs: dueMs };
  return { ...IDLE, steps: [[{ kind: 'service', service: completed(view.service, view.nowMs) }]] };
}

function actOnFailure(progress: UpdateProgress, config: CompiledUpdateConfig, view: ServiceView): Step | undefined {
  const failed = [...progress.slots.values()].filter((slot) => slot.failed);
  const taskId = failed.at(-1)?.attempt;
  if (config.failureAction === 'continue' || taskId === undefined) return undefined;
  if (failed.length / progress.slots.size <= config.maxFailureRatio) return undefined;
  const { service } = view;
  const back = config.failureAction === 'rollback' && !isRollingBack(service) ? rolledBack(service, taskId) : undefined;
  const verb = config.failureAction === 'rollback' && isRollingBack(service) ? 'rollback' : 'update';
  return [{ kind: 'service', service: back ?? paused(service, taskId, verb) }];
}
