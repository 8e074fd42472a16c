import type { TaskObject } from '../../proto/objects/task.ts';
import { groupKey } from './node-info.ts';

/** Tasks that wait for a node, those of one service and spec version together; a group is due or put off. */
export class PlacementQueue {
  readonly #groups = new Map<string, Map<string, TaskObject>>();
  readonly #due = new Set<string>();

  /** Adds the task or its new version. @returns true when it was not waiting before. */
  put(task: TaskObject): boolean {
    const key = groupKey(task);
    const group = this.#groups.get(key) ?? new Map<string, TaskObject>();
    this.#groups.set(key, group);
    const isNew = !group.has(task.ID);
    group.set(task.ID, task);
    if (isNew) this.#due.add(key);
    return isNew;
  }

  remove(task: TaskObject): void {
    const key = groupKey(task);
    const group = this.#groups.get(key);
    if (group?.delete(task.ID) !== true || group.size > 0) return;
    this.#groups.delete(key);
    this.#due.delete(key);
  }

  /** Something became free: every group is worth another try. */
  retryAll(): void {
    for (const key of this.#groups.keys()) this.#due.add(key);
  }

  /** Nothing more can be done for the group for now. */
  putOff(key: string): void {
    this.#due.delete(key);
  }

  /** The next group that is due, its tasks in the order they came. */
  next(): { key: string; tasks: readonly TaskObject[] } | undefined {
    for (const key of this.#due) {
      const tasks = [...(this.#groups.get(key)?.values() ?? [])];
      if (tasks.length > 0) return { key, tasks };
      this.#due.delete(key);
    }
    return undefined;
  }
}
