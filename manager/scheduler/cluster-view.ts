import type { NodeObject } from '../../proto/objects/node.ts';
import type { TaskObject } from '../../proto/objects/task.ts';
import { compareTaskStates, isTerminal } from '../../proto/objects/task-state.ts';
import { groupKey, NodeInfo } from './node-info.ts';

/** True from the moment a task has its node until it has ended: it uses that node's resources. */
function occupiesNode(task: TaskObject): boolean {
  return task.NodeID !== '' && compareTaskStates(task.Status.State, 'assigned') >= 0 && !isTerminal(task.Status.State);
}

/** Every node with the tasks on it. Tasks may be told before their node is. */
export class ClusterView {
  readonly #nodes = new Map<string, NodeInfo>();
  /** Node ID by task ID, for tasks that occupy one. */
  readonly #nodeOf = new Map<string, string>();
  readonly #homeless = new Map<string, Map<string, TaskObject>>();

  get(nodeId: string): NodeInfo | undefined {
    return this.#nodes.get(nodeId);
  }

  nodes(): Iterable<NodeInfo> {
    return this.#nodes.values();
  }

  putNode(node: NodeObject): void {
    const known = this.#nodes.get(node.ID);
    if (known !== undefined) return known.replace(node);
    const info = new NodeInfo(node);
    this.#nodes.set(node.ID, info);
    for (const task of this.#homeless.get(node.ID)?.values() ?? []) info.put(task);
    this.#homeless.delete(node.ID);
  }

  removeNode(nodeId: string): void {
    const info = this.#nodes.get(nodeId);
    if (info === undefined) return;
    this.#nodes.delete(nodeId);
    if (info.tasks.size > 0) this.#homeless.set(nodeId, new Map(info.tasks));
  }

  /** Counts the task where it says it is, and nowhere else. @returns true when that made room on a node. */
  putTask(task: TaskObject): boolean {
    if (!occupiesNode(task)) return this.removeTask(task.ID);
    const moved = this.#nodeOf.get(task.ID) !== task.NodeID && this.removeTask(task.ID);
    this.#nodeOf.set(task.ID, task.NodeID);
    const info = this.#nodes.get(task.NodeID);
    if (info !== undefined) {
      const before = info.activeTasks;
      info.put(task);
      return moved || info.activeTasks < before;
    }
    const waiting = this.#homeless.get(task.NodeID) ?? new Map<string, TaskObject>();
    this.#homeless.set(task.NodeID, waiting.set(task.ID, task));
    return moved;
  }

  /** @returns true when it had been counted. */
  removeTask(taskId: string): boolean {
    const nodeId = this.#nodeOf.get(taskId);
    if (nodeId === undefined) return false;
    this.#nodeOf.delete(taskId);
    const waiting = this.#homeless.get(nodeId);
    if (waiting?.delete(taskId) === true && waiting.size === 0) this.#homeless.delete(nodeId);
    return this.#nodes.get(nodeId)?.remove(taskId) ?? false;
  }

  noteFailure(task: TaskObject, atMs: number): void {
    this.#nodes.get(task.NodeID)?.noteFailure(groupKey(task), atMs);
  }
}
