import type { ClusterObject } from '../../../proto/objects/cluster.ts';
import type { ServiceObject } from '../../../proto/objects/service.ts';
import { rfc3339 } from '../../../proto/runtime/clock.ts';
import type { NewObject } from '../../store/transaction.ts';

/**
 * A task of the service's present spec, desired `running`. Addresses and the endpoint are the allocator's to add.
 * @param slot 1.. for a replicated service, 0 for a global one.
 * @param nodeId empty for a replicated service: the scheduler finds a node.
 */
export function newTask(
  cluster: ClusterObject | undefined,
  service: ServiceObject,
  slot: number,
  nodeId: string,
  nowMs: number,
  id: string,
): NewObject<'tasks'> {
  const { Name, Labels, TaskTemplate } = service.Spec;
  const logDriver = TaskTemplate.LogDriver ?? cluster?.Spec.TaskDefaults?.LogDriver;
  return {
    ID: id,
    ServiceID: service.ID,
    Slot: slot,
    NodeID: nodeId,
    Spec: TaskTemplate,
    SpecVersion: service.SpecVersion,
    ServiceAnnotations: Labels === undefined ? { Name } : { Name, Labels },
    Status: { Timestamp: rfc3339(nowMs), State: 'new', Message: 'created' },
    DesiredState: 'running',
    ...(logDriver === undefined ? {} : { LogDriver: logDriver }),
    ...(service.RegistryAuth === undefined ? {} : { RegistryAuth: service.RegistryAuth }),
  };
}
