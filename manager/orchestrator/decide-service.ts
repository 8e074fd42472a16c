import type { ServiceObject } from '../../proto/objects/service.ts';
import type { ReadTx } from '../store/transaction.ts';
import type { Decision, ServiceView, Step } from './decision.ts';
import { decideGlobal } from './global/global.ts';
import { decideReplicated } from './replicated/replicated.ts';
import type { UpdateProgress } from './update/update-progress.ts';

export type ServiceDecision = Decision & { progress?: UpdateProgress };

/** `job` stands for both kinds; the control API refuses them, so one can only come from another version. */
export function modeOf(service: ServiceObject): 'replicated' | 'global' | 'job' {
  const mode = service.Spec.Mode;
  if (mode?.Global !== undefined) return 'global';
  return mode?.ReplicatedJob === undefined && mode?.GlobalJob === undefined ? 'replicated' : 'job';
}

/** What is to be done about one service, which may be gone already: then its tasks go too. */
export function decideService(
  tx: ReadTx,
  serviceId: string,
  progress: UpdateProgress | undefined,
  context: { nowMs: number; newId: () => string },
): ServiceDecision {
  const service = tx.get('services', serviceId);
  const tasks = tx.find('tasks', 'service', serviceId);
  if (service === undefined) {
    const gone = tasks.filter((task) => task.DesiredState !== 'remove');
    const steps = gone.map((task): Step => [{ kind: 'desire', task, state: 'remove' }]);
    return { steps, wakeAtMs: Number.POSITIVE_INFINITY };
  }
  const [cluster] = tx.all('clusters');
  const view: ServiceView = {
    ...context,
    service,
    tasks,
    cluster,
    node: (id) => tx.get('nodes', id),
    nodes: () => tx.all('nodes'),
  };
  switch (modeOf(service)) {
    case 'replicated':
      return decideReplicated(view, progress);
    case 'global':
      return decideGlobal(view, progress);
    case 'job':
      return { steps: [], wakeAtMs: Number.POSITIVE_INFINITY };
  }
}
