import { taskName } from '../../proto/objects/naming.ts';
import { TASK_STATES } from '../../proto/objects/task-state.ts';
import type { TaskObject } from '../../proto/objects/task.ts';
import type { ReadTx } from '../store/transaction.ts';
import type { ApiObject, ControlApi, Filters } from './control-api.ts';
import type { ControlModules, UpToDateRule } from './control-modules.ts';
import {
  assertFilterKeys,
  type Condition,
  filterValues,
  matchesExactly,
  matchesLabels,
  matchesPrefix,
  select,
  wordsOf,
} from './filters.ts';
import { renderTask } from './render/task.ts';
import { resolve } from './resolve.ts';

type Methods = Pick<ControlApi, 'listTasks' | 'getTask'>;

const FILTER_KEYS = ['_up-to-date', 'desired-state', 'id', 'label', 'name', 'node', 'runtime', 'service'];

export class TaskControl implements Methods {
  readonly #modules: ControlModules;

  constructor(modules: ControlModules) {
    this.#modules = modules;
  }

  /** @throws WaggleError not-found when a service or node that is filtered by is not there. */
  async listTasks({ filters }: { filters: Filters }): Promise<ApiObject[]> {
    assertFilterKeys(filters, FILTER_KEYS);
    const { store, isTaskUpToDate } = this.#modules;
    return store.view((tx) => {
      const services = filterValues(filters, 'service').map((ref) => resolve(tx, 'services', ref).ID);
      const nodes = filterValues(filters, 'node').map((ref) => resolve(tx, 'nodes', ref).ID);
      const conditions = [
        ...conditionsOf(filters),
        (task: TaskObject) => matchesExactly(task.ServiceID, services),
        (task: TaskObject) => matchesExactly(task.NodeID, nodes),
        (task: TaskObject) => filterValues(filters, '_up-to-date').length === 0 || isUpToDate(tx, task, isTaskUpToDate),
      ];
      return select(candidates(tx, services, nodes), conditions).map((task) => renderTask(tx, task));
    });
  }

  async getTask({ ref }: { ref: string }): Promise<ApiObject> {
    return this.#modules.store.view((tx) => renderTask(tx, resolve(tx, 'tasks', ref)));
  }
}

/** The tasks among which all that can match are, found through an index where there is one. */
function candidates(tx: ReadTx, services: readonly string[], nodes: readonly string[]): Iterable<TaskObject> {
  if (services.length > 0) return [...new Set(services)].flatMap((id) => tx.find('tasks', 'service', id));
  if (nodes.length > 0) return [...new Set(nodes)].flatMap((id) => tx.find('tasks', 'node', id));
  return tx.all('tasks');
}

function conditionsOf(filters: Filters): Condition<TaskObject>[] {
  const states = wordsOf(filters, 'desired-state', TASK_STATES);
  const runtimes = filterValues(filters, 'runtime');
  return [
    (task) => matchesPrefix(task.ID, filterValues(filters, 'id')),
    (task) => matchesPrefix(taskName(task), filterValues(filters, 'name')),
    (task) => matchesLabels(task.ServiceAnnotations.Labels, filterValues(filters, 'label')),
    (task) => states.length === 0 || states.includes(task.DesiredState),
    // Every task is a container.
    () => runtimes.length === 0 || runtimes.includes('container'),
  ];
}

function isUpToDate(tx: ReadTx, task: TaskObject, rule: UpToDateRule): boolean {
  const service = tx.get('services', task.ServiceID);
  return service !== undefined && rule(service, task, tx.get('nodes', task.NodeID));
}
