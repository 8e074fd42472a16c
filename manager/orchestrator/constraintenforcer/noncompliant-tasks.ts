/** Which tasks of a node have no place there any more (SWARM-BEHAVIOUR 3.2). Pure. */

import type { GenericResource, NodeObject } from '../../../proto/objects/node.ts';
import type { ServiceObject } from '../../../proto/objects/service.ts';
import type { TaskObject } from '../../../proto/objects/task.ts';
import { compareTaskStates } from '../../../proto/objects/task-state.ts';
import { matchesAll } from '../../constraint/constraint.ts';
import { readConstraints } from '../task/service-constraints.ts';
import { compareAge, hasEnded, isRunnable, isUnassigned } from '../task/task-life.ts';

/** What is left of a node; kinds of generic resources as counts, named ones as a count of one each. */
interface Remaining {
  nanoCpus: number;
  memoryBytes: number;
  generic: Map<string, number>;
}

/**
 * The tasks that an active node may no longer keep: its constraints are not satisfied, or, counted from the oldest
 * task on, its reservations do not fit. The constraints are those of the service as it is now, not as it was when the
 * task was made: a change of constraints that leaves tasks alone must hold later, too.
 */
export function noncompliantTasks(
  node: NodeObject,
  tasks: readonly TaskObject[],
  serviceOf: (id: string) => ServiceObject | undefined,
): TaskObject[] {
  if (node.Spec.Availability !== 'active') return [];
  const remaining = remainingOf(node);
  return tasks
    .filter((task) => isPlaced(task))
    .sort(compareAge)
    .filter((task) => !fitsConstraints(task, serviceOf(task.ServiceID), node) || !claim(remaining, task));
}

function isPlaced(task: TaskObject): boolean {
  // Desired states before `assigned` do not occur; later ones than `running` are on their way out.
  return (
    !isUnassigned(task) && !hasEnded(task) && isRunnable(task) && compareTaskStates(task.DesiredState, 'ready') >= 0
  );
}

function fitsConstraints(task: TaskObject, service: ServiceObject | undefined, node: NodeObject): boolean {
  const placement = (service?.Spec.TaskTemplate ?? task.Spec).Placement;
  const constraints = readConstraints(placement?.Constraints);
  return constraints !== undefined && matchesAll(constraints, node);
}

/** Undefined for a node that has not described itself: its resources are not known to have shrunk. */
function remainingOf(node: NodeObject): Remaining | undefined {
  const resources = node.Description?.Resources;
  if (resources === undefined) return undefined;
  return {
    nanoCpus: resources.NanoCPUs,
    memoryBytes: resources.MemoryBytes,
    generic: tally(resources.GenericResources ?? []),
  };
}

/** Takes the task's reservations off; nothing is taken of what does not fit whole. */
function claim(remaining: Remaining | undefined, task: TaskObject): boolean {
  if (remaining === undefined) return true;
  const { NanoCPUs = 0, MemoryBytes = 0 } = task.Spec.Resources?.Reservations ?? {};
  const generic = tally(task.GenericResources ?? []);
  if (NanoCPUs > remaining.nanoCpus || MemoryBytes > remaining.memoryBytes) return false;
  if ([...generic].some(([kind, count]) => count > (remaining.generic.get(kind) ?? 0))) return false;
  remaining.nanoCpus -= NanoCPUs;
  remaining.memoryBytes -= MemoryBytes;
  for (const [kind, count] of generic) remaining.generic.set(kind, (remaining.generic.get(kind) ?? 0) - count);
  return true;
}

function tally(resources: readonly GenericResource[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { DiscreteResourceSpec: discrete, NamedResourceSpec: named } of resources) {
    if (discrete !== undefined) counts.set(discrete.Kind, (counts.get(discrete.Kind) ?? 0) + discrete.Value);
    if (named !== undefined) {
      const name = `${named.Kind}=${named.Value}`;
      counts.set(name, (counts.get(name) ?? 0) + 1);
    }
  }
  return counts;
}
