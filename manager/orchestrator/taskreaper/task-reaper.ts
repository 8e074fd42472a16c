import { updateInBatches } from '../../store/batched-update.ts';
import type { LoopBody } from '../../store/control-loop.ts';
import { slotKey } from '../../store/indexes.ts';
import type { ReadTx, Store, StoreEvent } from '../../store/transaction.ts';
import type { TaskObject } from '../../../proto/objects/task.ts';
import { reapableTasks, retentionOf } from './reapable-tasks.ts';

/** How long changes are gathered (swarmkit's reaperBatchingInterval). */
const BATCHING_MS = 250;

/** Slots looked at in one go (swarmkit's maxDirty). */
const MAX_SLOTS = 1_000;

/**
 * Deletes tasks that nobody needs any more: those of slots and services that are gone, and history beyond its limit.
 */
export class TaskReaper implements LoopBody {
  readonly name = 'taskreaper';
  readonly tables = ['clusters', 'nodes', 'services', 'tasks'] as const;
  readonly debounceMs = BATCHING_MS;
  readonly #store: Store;
  /** Keys of slots to look at. */
  #dirty = new Set<string>();
  #everything = false;

  constructor(modules: { store: Store }) {
    this.#store = modules.store;
  }

  onView(_tx: ReadTx): void {
    this.#dirty = new Set();
    this.#everything = true;
  }

  onEvents(events: readonly StoreEvent[]): void {
    for (const event of events) {
      if (event.table === 'tasks') {
        const task = event.after;
        if (task !== undefined) this.#dirty.add(placeOf(task));
      } else if (isSweeping(event)) {
        this.#everything = true;
      }
    }
  }

  async tick(): Promise<number | undefined> {
    if (this.#everything) {
      this.#everything = false;
      this.#store.view((tx) => {
        for (const task of tx.all('tasks')) this.#dirty.add(placeOf(task));
      });
    }
    const keys = [...this.#dirty].slice(0, MAX_SLOTS);
    for (const key of keys) this.#dirty.delete(key);
    const doomed = this.#store.view((tx) => keys.flatMap((key) => reapableIn(tx, key)));
    const failures = await updateInBatches(
      this.#store,
      doomed,
      (tx, { ID, key }) => {
        // Looked at again: it may be the newest of its slot by now, or its service back.
        if (reapableIn(tx, key).some((task) => task.ID === ID)) tx.remove('tasks', ID);
      },
      { actor: 'orchestrator' },
    );
    for (const { item } of failures) this.#dirty.add(item.key);
    // The control loop logs it, waits, and begins again with everything dirty.
    if (failures[0] !== undefined) throw failures[0].error;
    return this.#dirty.size > 0 ? 0 : undefined;
  }
}

/** A slot as the store's index has it, or `@ID` for a task without a service, which is a slot of its own. */
function placeOf(task: TaskObject): string {
  return task.ServiceID === '' ? `@${task.ID}` : slotKey(task);
}

function tasksAt(tx: ReadTx, key: string): readonly TaskObject[] {
  if (!key.startsWith('@')) return tx.find('tasks', 'slot', key);
  const task = tx.get('tasks', key.slice(1));
  return task === undefined ? [] : [task];
}

function reapableIn(tx: ReadTx, key: string): { ID: string; key: string }[] {
  const tasks = tasksAt(tx, key);
  const service = tx.get('services', tasks[0]?.ServiceID ?? '');
  const [cluster] = tx.all('clusters');
  const retention = service === undefined ? undefined : retentionOf(cluster, service);
  return reapableTasks(tasks, retention, (id) => tx.get('nodes', id)).map(({ ID }) => ({ ID, key }));
}

/** Changes that may concern any slot: another retention, a service or a node that is gone. */
function isSweeping(event: StoreEvent): boolean {
  if (event.table === 'nodes') return event.after === undefined;
  if (event.table === 'services') {
    return event.before !== undefined && event.before.SpecVersion !== event.after?.SpecVersion;
  }
  if (event.table !== 'clusters') return false;
  const limitOf = (cluster: typeof event.after): number | undefined =>
    cluster?.Spec.Orchestration?.TaskHistoryRetentionLimit;
  return limitOf(event.before) !== limitOf(event.after);
}
