import type { ServiceObject } from '../../../proto/objects/service.ts';
import type { Decision, ServiceView, Step } from '../decision.ts';
import { fillStep } from '../restart/replacement.ts';
import { emptySlot, type Slot, slotsOf, updatableTasks } from '../slot.ts';
import { settleSlot } from '../slot-settling.ts';
import type { UpdateProgress } from '../update/update-progress.ts';
import { stepUpdate } from '../update/update-step.ts';
import { slotsToKeep } from './scale-down.ts';

/** Docker's default is one. */
export function replicasOf(service: ServiceObject): number {
  return service.Spec.Mode?.Replicated?.Replicas ?? 1;
}

/**
 * What a replicated service needs now: its number of slots filled from 1 upward, each with one wanted task, what is too
 * many removed, what is out of date replaced at the pace of the update. Pure.
 */
export function decideReplicated(
  view: ServiceView,
  before: UpdateProgress | undefined,
): Decision & { progress?: UpdateProgress } {
  const slots = slotsOf(view);
  const occupied = slots.filter((slot) => updatableTasks(slot).length > 0);
  const kept = slotsToKeep(occupied, replicasOf(view.service));
  const missing = missingSlots(slots, kept, replicasOf(view.service));
  const inUse = new Set([...kept, ...missing]);
  const steps: Step[] = slots
    .filter((slot) => !inUse.has(slot))
    .flatMap((slot) => slot.history.map((task): Step => [{ kind: 'desire', task, state: 'remove' }]));
  const busy = new Set<string>();
  let wakeAtMs = Number.POSITIVE_INFINITY;
  for (const slot of kept) {
    const settling = settleSlot(slot, view);
    if (settling.steps.length > 0) busy.add(slot.key);
    steps.push(...settling.steps);
    wakeAtMs = Math.min(wakeAtMs, settling.wakeAtMs);
  }
  steps.push(...missing.map((slot) => fillStep(slot, view)));
  const { progress, ...update } = stepUpdate(before, kept, busy, view);
  return {
    steps: [...steps, ...update.steps],
    wakeAtMs: Math.min(wakeAtMs, update.wakeAtMs),
    ...(progress === undefined ? {} : { progress }),
  };
}

/** The lowest numbers that are free; old tasks that are left in such a slot become its history. */
function missingSlots(slots: readonly Slot[], kept: readonly Slot[], replicas: number): Slot[] {
  const byKey = new Map(slots.map((slot) => [slot.key, slot]));
  const taken = new Set(kept.map((slot) => slot.number));
  const missing: Slot[] = [];
  for (let number = 1; kept.length + missing.length < replicas; number++) {
    if (!taken.has(number)) missing.push(byKey.get(String(number)) ?? emptySlot(number, ''));
  }
  return missing;
}
