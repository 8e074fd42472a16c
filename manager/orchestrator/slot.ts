import type { TaskObject } from '../../proto/objects/task.ts';
import { shouldRestart } from './restart/restart-policy.ts';
import { compareAge, isRunnable } from './task/task-life.ts';
import type { ServiceView } from './decision.ts';

/**
 * One place of a service: a number for a replicated service, a node for a global one. It holds one wanted task, or
 * two while an update starts the new one first, and the tasks that came before.
 */
export interface Slot {
  /** Unique in the service. */
  key: string;
  number: number;
  /** Empty for a replicated service. */
  nodeId: string;
  /** Every task of the slot, oldest first. */
  all: readonly TaskObject[];
  /** Those that are not being removed: what restarts are counted by. */
  history: readonly TaskObject[];
  /** Those that are wanted. */
  runnable: readonly TaskObject[];
  /**
   * The last task of a slot that wants none because its restart policy left it ended. It goes on occupying the slot,
   * until an update replaces it.
   */
  settled?: TaskObject;
}

/** The tasks by slot, in the order of their numbers, then of their nodes. */
export function slotsOf(view: ServiceView): Slot[] {
  const grouped = Map.groupBy(view.tasks, (task) => slotKey(task.Slot, task.NodeID));
  return [...grouped]
    .map(([key, tasks]) => slotFrom(view, key, tasks))
    .sort((a, b) => a.number - b.number || (a.key < b.key ? -1 : 1));
}

export function emptySlot(number: number, nodeId: string): Slot {
  return { key: slotKey(number, nodeId), number, nodeId, all: [], history: [], runnable: [] };
}

/** What may be updated: the wanted tasks, or the one that a restart policy left behind. */
export function updatableTasks(slot: Slot): readonly TaskObject[] {
  if (slot.runnable.length > 0) return slot.runnable;
  return slot.settled === undefined ? [] : [slot.settled];
}

function slotKey(number: number, nodeId: string): string {
  return number === 0 ? `/${nodeId}` : String(number);
}

function slotFrom(view: ServiceView, key: string, tasks: readonly TaskObject[]): Slot {
  const all = tasks.toSorted(compareAge);
  const history = all.filter((task) => task.DesiredState !== 'remove');
  const runnable = history.filter(isRunnable);
  const newest = history.at(-1);
  const number = newest?.Slot ?? all[0]?.Slot ?? 0;
  const nodeId = number === 0 ? (all[0]?.NodeID ?? '') : '';
  const slot: Slot = { key, number, nodeId, all, history, runnable };
  // A rollback takes the service back to a whole state, over the heads of restart policies (swarmkit does the same).
  const rollingBack = view.service.UpdateStatus?.State === 'rollback_started';
  if (runnable.length > 0 || newest === undefined || rollingBack) return slot;
  return shouldRestart(newest, history, view.nowMs) ? slot : { ...slot, settled: newest };
}
