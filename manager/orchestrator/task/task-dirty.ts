import type { NodeObject } from '../../../proto/objects/node.ts';
import type { ServiceObject } from '../../../proto/objects/service.ts';
import type { TaskObject } from '../../../proto/objects/task.ts';
import { matchesAll } from '../../constraint/constraint.ts';
import { serviceConstraints } from './service-constraints.ts';
import { sameSpec } from './same-spec.ts';

/**
 * True when the task has to be replaced for the service's present spec to be in force (swarmkit's IsTaskDirty). A new
 * spec version alone is not enough: the task template or the endpoint spec must differ. A change of nothing but the
 * placement leaves a task alone as long as `node`, on which it is, satisfies the new constraints. Registry
 * credentials are no part of the spec and never count; ForceUpdate is one and does.
 */
export function isTaskDirty(service: ServiceObject, task: TaskObject, node: NodeObject | undefined): boolean {
  if (service.SpecVersion === task.SpecVersion) return false;
  if (task.Endpoint !== undefined && !sameSpec(service.Spec.EndpointSpec, task.Endpoint.Spec)) return true;
  const { Placement: wanted, ...template } = service.Spec.TaskTemplate;
  const { Placement: given, ...spec } = task.Spec;
  if (!sameSpec(template, spec)) return true;
  if (sameSpec(wanted, given)) return false;
  const constraints = serviceConstraints(service);
  return node === undefined || constraints === undefined || !matchesAll(constraints, node);
}

/** What `docker service update` waits for in every task: the filter `_up-to-date`. */
export function isTaskUpToDate(service: ServiceObject, task: TaskObject, node: NodeObject | undefined): boolean {
  return !isTaskDirty(service, task, node);
}
