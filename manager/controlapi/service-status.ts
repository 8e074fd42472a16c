import type { ServiceObject } from '../../proto/objects/service.ts';
import type { ReadTx } from '../store/transaction.ts';

/** What `GET /services?status=true` adds to a service. */
export interface ServiceStatus {
  RunningTasks: number;
  DesiredTasks: number;
  CompletedTasks: number;
}

/** Counts a service's tasks: the replicas asked for, or, for a global service, the tasks that should run. */
export function serviceStatus(tx: ReadTx, service: ServiceObject): ServiceStatus {
  const tasks = tx.find('tasks', 'service', service.ID);
  const replicated = service.Spec.Mode?.Replicated;
  return {
    // What was last heard from a node that is down says nothing of what runs there now.
    RunningTasks: tasks.filter(
      (task) => task.Status.State === 'running' && tx.get('nodes', task.NodeID)?.Status.State !== 'down',
    ).length,
    DesiredTasks:
      replicated === undefined
        ? tasks.filter((task) => task.DesiredState === 'running').length
        : (replicated.Replicas ?? 1),
    CompletedTasks: 0,
  };
}
