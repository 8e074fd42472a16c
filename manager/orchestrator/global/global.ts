import type { NodeObject } from '../../../proto/objects/node.ts';
import { type Constraint, matchesAll } from '../../constraint/constraint.ts';
import type { Decision, ServiceView, Step } from '../decision.ts';
import { fillStep } from '../restart/replacement.ts';
import { emptySlot, type Slot, slotsOf, updatableTasks } from '../slot.ts';
import { settleSlot } from '../slot-settling.ts';
import { serviceConstraints } from '../task/service-constraints.ts';
import { hasEnded, isUnusable } from '../task/task-life.ts';
import type { UpdateProgress } from '../update/update-progress.ts';
import { stepUpdate } from '../update/update-step.ts';

/**
 * What a global service needs now: one wanted task on every node that is up, not drained, and satisfies the
 * constraints. A paused node keeps the task that it has, but gets no new one, be it for a restart or for an update.
 * Pure.
 */
export function decideGlobal(
  view: ServiceView,
  before: UpdateProgress | undefined,
): Decision & { progress?: UpdateProgress } {
  const constraints = serviceConstraints(view.service);
  const slots = slotsOf(view);
  const present = new Set(slots.map((slot) => slot.nodeId));
  const empty = [...view.nodes()].filter((node) => !present.has(node.ID)).map((node) => emptySlot(0, node.ID));
  const steps: Step[] = [];
  const busy = new Set<string>();
  const updatable: Slot[] = [];
  let wakeAtMs = Number.POSITIVE_INFINITY;
  for (const slot of [...slots, ...empty]) {
    const node = view.node(slot.nodeId);
    if (node === undefined || !mayHold(node, constraints)) {
      steps.push(...clearSteps(slot, node === undefined ? 'remove' : 'shutdown'));
      continue;
    }
    const settling = settleOn(node, slot, view);
    if (settling.steps.length > 0) busy.add(slot.key);
    steps.push(...settling.steps);
    wakeAtMs = Math.min(wakeAtMs, settling.wakeAtMs);
    if (node.Spec.Availability === 'active') updatable.push(slot);
  }
  const { progress, ...update } = stepUpdate(before, updatable, busy, view);
  return {
    steps: [...steps, ...update.steps],
    wakeAtMs: Math.min(wakeAtMs, update.wakeAtMs),
    ...(progress === undefined ? {} : { progress }),
  };
}

function mayHold(node: NodeObject, constraints: readonly Constraint[] | undefined): boolean {
  return !isUnusable(node) && constraints !== undefined && matchesAll(constraints, node);
}

/** Of a node that is gone not even the history is kept: no task will come after it. */
function clearSteps(slot: Slot, state: 'shutdown' | 'remove'): Step[] {
  const tasks = state === 'remove' ? slot.history : slot.runnable;
  return tasks.map((task): Step => [{ kind: 'desire', task, state }]);
}

function settleOn(node: NodeObject, slot: Slot, view: ServiceView): { steps: Step[]; wakeAtMs: number } {
  if (node.Spec.Availability === 'active') {
    if (updatableTasks(slot).length > 0) return settleSlot(slot, view);
    return { steps: [fillStep(slot, view)], wakeAtMs: Number.POSITIVE_INFINITY };
  }
  const ended = slot.runnable.filter(hasEnded);
  const live = settleSlot({ ...slot, runnable: slot.runnable.filter((task) => !hasEnded(task)) }, view);
  const shutdowns = ended.map((task): Step => [{ kind: 'desire', task, state: 'shutdown' }]);
  return { steps: [...shutdowns, ...live.steps], wakeAtMs: live.wakeAtMs };
}
