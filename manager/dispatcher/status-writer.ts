import type { TaskObject, TaskStatus } from '../../proto/objects/task.ts';
import { compareTaskStates, isTaskState, mayMove } from '../../proto/objects/task-state.ts';
import { WaggleError } from '../../proto/runtime/errors.ts';
import type { Store } from '../store/transaction.ts';

/** Changes per transaction (swarmkit MaxChangesPerTransaction). */
const BATCH = 200;
const MAX_QUEUED = 10_000;

export interface StatusUpdate {
  taskId: string;
  status: TaskStatus;
}

interface Queued extends StatusUpdate {
  nodeId: string;
  done: { resolve: () => void; reject: (error: unknown) => void };
}

/**
 * Writes what agents report. The first report of an idle time is written at once; those that come while a write is
 * under way go into the next one together. Only a node's own tasks move, and only forward: what is late, repeated or
 * not the agent's to say changes nothing and is acknowledged all the same.
 */
export class StatusWriter {
  readonly #store: Store;
  #queue: Queued[] = [];
  #writing = false;

  constructor(modules: { store: Store }) {
    this.#store = modules.store;
  }

  /** Resolves once everything is committed. @throws WaggleError resource-exhausted, or what the store says. */
  async write(nodeId: string, updates: readonly StatusUpdate[]): Promise<void> {
    if (this.#queue.length + updates.length > MAX_QUEUED) {
      throw new WaggleError('resource-exhausted', 'too many task statuses are waiting to be written');
    }
    const written = updates.map(
      (update) =>
        new Promise<void>((resolve, reject) => {
          this.#queue.push({ ...update, nodeId, done: { resolve, reject } });
        }),
    );
    if (!this.#writing) void this.#drain();
    await Promise.all(written);
  }

  async #drain(): Promise<void> {
    this.#writing = true;
    while (this.#queue.length > 0) {
      const batch = this.#queue.splice(0, BATCH);
      try {
        await this.#store.update(
          (tx) => {
            for (const { nodeId, taskId, status } of batch) {
              const task = tx.get('tasks', taskId);
              if (task === undefined || !advances(task, nodeId, status)) continue;
              tx.update('tasks', { ...task, Status: status });
            }
          },
          { actor: 'agent' },
        );
        for (const { done } of batch) done.resolve();
      } catch (error) {
        for (const { done } of batch) done.reject(error);
      }
    }
    this.#writing = false;
  }
}

/** Pure: whether this report of this node is news about the task. */
function advances(task: TaskObject, nodeId: string, status: TaskStatus): boolean {
  if (task.NodeID !== nodeId || !isTaskState(status.State)) return false;
  const order = compareTaskStates(task.Status.State, status.State);
  if (order > 0 || !mayMove('agent', task.Status.State, status.State)) return false;
  if (order < 0) return true;
  if (compareTaskStates(status.State, 'assigned') <= 0) return false;
  return task.Status.Timestamp < status.Timestamp;
}
