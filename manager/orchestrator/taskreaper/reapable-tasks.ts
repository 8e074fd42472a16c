/** Which old tasks of a slot may be deleted (SWARM-BEHAVIOUR 2.4). Pure. */

import type { ClusterObject } from '../../../proto/objects/cluster.ts';
import type { NodeObject } from '../../../proto/objects/node.ts';
import type { ServiceObject } from '../../../proto/objects/service.ts';
import type { TaskObject } from '../../../proto/objects/task.ts';
import { compareAge, hasEnded, isRunnable, isUnassigned } from '../task/task-life.ts';

const DEFAULT_RETENTION = 5;

/**
 * How many tasks a slot keeps, the one that runs included; negative for all. A restart limit overrides the cluster's
 * setting: the old tasks are the count of the restarts.
 */
export function retentionOf(cluster: ClusterObject | undefined, service: ServiceObject): number {
  const retention = cluster?.Spec.Orchestration?.TaskHistoryRetentionLimit ?? DEFAULT_RETENTION;
  const maxAttempts = service.Spec.TaskTemplate.RestartPolicy?.MaxAttempts ?? 0;
  return retention >= 0 && maxAttempts > 0 ? maxAttempts + 1 : retention;
}

/**
 * The tasks of one slot that may go, oldest first: those being removed, as soon as nothing can be running of them,
 * and the oldest of those that ended, when there are more than `retention`. The newest task stays: it may be what
 * tells the orchestrator not to fill the slot again.
 * @param retention undefined when the service is gone, and then nothing is kept.
 */
export function reapableTasks(
  tasks: readonly TaskObject[],
  retention: number | undefined,
  nodeOf: (id: string) => NodeObject | undefined,
): TaskObject[] {
  const over = (task: TaskObject): boolean => hasEnded(task) || isOutOfReach(task, nodeOf);
  const [removing, kept] = split(tasks, (task) => retention === undefined || task.DesiredState === 'remove');
  const removed = removing.filter(over);
  if (retention === undefined || retention < 0) return removed;
  const history = kept.toSorted(compareAge);
  const excess = history.length - retention;
  const ended = history.slice(0, -1).filter((task) => over(task) && (hasEnded(task) || !isRunnable(task)));
  return [...removed, ...ended.slice(0, Math.max(0, excess))];
}

/** True when no node can still be running it: none was given it, or that one is no longer of the swarm. */
function isOutOfReach(task: TaskObject, nodeOf: (id: string) => NodeObject | undefined): boolean {
  return isUnassigned(task) || nodeOf(task.NodeID) === undefined;
}

function split<T>(items: readonly T[], test: (item: T) => boolean): [T[], T[]] {
  const groups = Map.groupBy(items, test);
  return [groups.get(true) ?? [], groups.get(false) ?? []];
}
