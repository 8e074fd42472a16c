import { type Slot, updatableTasks } from '../slot.ts';

/**
 * The `count` slots that stay when there are more, in the order of their numbers. Slots go first that are on no one
 * node; then the nodes with most copies of the service lose theirs; then what does not run goes before what does,
 * high numbers before low ones (a stateful service tends to have its first instance in slot 1).
 */
export function slotsToKeep(slots: readonly Slot[], count: number): Slot[] {
  if (slots.length <= count) return [...slots];
  const copies = new Map<string, number>();
  const ranked = slots
    .toSorted((a, b) => Number(isRunning(b)) - Number(isRunning(a)) || a.number - b.number)
    .map((slot, order) => ({ slot, order, copy: nthOnNode(slot, copies) }))
    .sort((a, b) => a.copy - b.copy || a.order - b.order);
  const kept = new Set(ranked.slice(0, count).map(({ slot }) => slot));
  return slots.filter((slot) => kept.has(slot));
}

/** 1 for the first slot on its node, 2 for the second …; above all others for one without a node or with two tasks. */
function nthOnNode(slot: Slot, copies: Map<string, number>): number {
  const [task, ...others] = updatableTasks(slot);
  if (task === undefined || others.length > 0 || task.NodeID === '') return Number.MAX_SAFE_INTEGER;
  const copy = (copies.get(task.NodeID) ?? 0) + 1;
  copies.set(task.NodeID, copy);
  return copy;
}

function isRunning(slot: Slot): boolean {
  return updatableTasks(slot).some((task) => task.Status.State === 'running');
}
