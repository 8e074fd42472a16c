import { type Clock, rfc3339 } from '../../../proto/runtime/clock.ts';
import { updateInBatches } from '../../store/batched-update.ts';
import type { LoopBody } from '../../store/control-loop.ts';
import type { ReadTx, Store, StoreEvent } from '../../store/transaction.ts';
import { noncompliantTasks } from './noncompliant-tasks.ts';

/**
 * Rejects tasks whose node has changed under them: labels, role, address, resources. It writes the observed state and
 * leaves the desired one to the orchestrator, whose restart policy then finds the task another place.
 */
export class ConstraintEnforcer implements LoopBody {
  readonly name = 'constraintenforcer';
  readonly tables = ['nodes'] as const;
  readonly debounceMs: number;
  readonly #store: Store;
  readonly #clock: Clock;
  #dirty = new Set<string>();

  constructor(options: { debounceMs: number }, modules: { store: Store; clock: Clock }) {
    this.debounceMs = options.debounceMs;
    this.#store = modules.store;
    this.#clock = modules.clock;
  }

  onView(tx: ReadTx): void {
    this.#dirty = new Set([...tx.all('nodes')].map((node) => node.ID));
  }

  onEvents(events: readonly StoreEvent[]): void {
    for (const event of events) {
      if (event.table === 'nodes' && event.after !== undefined) this.#dirty.add(event.after.ID);
    }
  }

  async tick(): Promise<number | undefined> {
    const nodeIds = [...this.#dirty];
    this.#dirty = new Set();
    const found = this.#store.view((tx) => nodeIds.flatMap((nodeId) => noncompliantOn(tx, nodeId)));
    const failures = await updateInBatches(
      this.#store,
      found,
      (tx, { ID, nodeId }) => {
        const task = tx.get('tasks', ID);
        if (task === undefined || !noncompliantOn(tx, nodeId).some((other) => other.ID === ID)) return;
        tx.update('tasks', {
          ...task,
          Status: {
            ...task.Status,
            Timestamp: rfc3339(this.#clock.now()),
            State: 'rejected',
            Message: 'task rejected by constraint enforcer',
            Err: 'assigned node no longer meets constraints',
          },
        });
      },
      { actor: 'enforcer' },
    );
    for (const { item } of failures) this.#dirty.add(item.nodeId);
    // The control loop logs it, waits, and begins again with every node.
    if (failures[0] !== undefined) throw failures[0].error;
    return undefined;
  }
}

function noncompliantOn(tx: ReadTx, nodeId: string): { ID: string; nodeId: string }[] {
  const node = tx.get('nodes', nodeId);
  if (node === undefined) return [];
  const tasks = tx.find('tasks', 'node', nodeId);
  return noncompliantTasks(node, tasks, (id) => tx.get('services', id)).map(({ ID }) => ({ ID, nodeId }));
}
