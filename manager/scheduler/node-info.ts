import type { GenericResource, NodeObject } from '../../proto/objects/node.ts';
import type { ResourceSet, TaskObject } from '../../proto/objects/task.ts';
import { compareTaskStates } from '../../proto/objects/task-state.ts';
import { choose, type FreeResources, freeResources, reservedUnits, takeAway } from './generic-resources.ts';

/** Failures of one service are remembered this long (swarmkit monitorFailures). */
export const FAILURE_WINDOW_MS = 5 * 60_000;

/** From this many failures on, a node comes after every healthier one (swarmkit maxFailures). */
export const MAX_FAILURES = 5;

/** Failures kept per service and spec version: more than this changes nothing but the order among bad nodes. */
const FAILURES_KEPT = 100;

/** Tasks of one service made from one version of its spec; a task without a service is alone in its group. */
export function groupKey(task: TaskObject): string {
  return task.ServiceID === '' ? task.ID : `${task.ServiceID}/${task.SpecVersion}`;
}

export function reservationsOf(task: TaskObject): ResourceSet {
  return task.Spec.Resources?.Reservations ?? {};
}

/** `tcp/80` for every host-mode port of the task that is fixed. */
export function hostPortsOf(task: TaskObject): string[] {
  return (task.Endpoint?.Ports ?? [])
    .filter((port) => port.PublishMode === 'host' && (port.PublishedPort ?? 0) !== 0)
    .map((port) => `${port.Protocol ?? 'tcp'}/${port.PublishedPort}`);
}

/**
 * One node with the sums over the tasks that it carries (assigned to running), kept up to date task by task.
 * A task is active while it is meant to run or complete; only active tasks count for the spread.
 */
export class NodeInfo {
  node: NodeObject;
  readonly tasks = new Map<string, TaskObject>();
  activeTasks = 0;
  nanoCpus = 0;
  memoryBytes = 0;
  free: FreeResources = { counts: new Map(), names: new Map() };
  readonly #activeByService = new Map<string, number>();
  readonly #hostPorts = new Map<string, number>();
  readonly #failures = new Map<string, number[]>();

  constructor(node: NodeObject) {
    this.node = node;
    this.replace(node);
  }

  /** A new version of the node: what is free is counted again. */
  replace(node: NodeObject): void {
    this.node = node;
    const resources = node.Description?.Resources;
    this.nanoCpus = resources?.NanoCPUs ?? 0;
    this.memoryBytes = resources?.MemoryBytes ?? 0;
    this.free = freeResources(resources?.GenericResources ?? []);
    for (const task of this.tasks.values()) this.#reserve(task, -1);
    this.#takeGenerics();
  }

  /** Adds the task, or puts its new version in place of the old. */
  put(task: TaskObject): void {
    this.remove(task.ID);
    this.tasks.set(task.ID, task);
    this.#reserve(task, -1);
    takeAway(this.free, task.GenericResources ?? []);
    this.#count(task, 1);
  }

  /** @returns false when the node did not carry it. */
  remove(taskId: string): boolean {
    const task = this.tasks.get(taskId);
    if (task === undefined) return false;
    this.tasks.delete(taskId);
    this.#reserve(task, 1);
    if ((task.GenericResources?.length ?? 0) > 0) {
      this.free = freeResources(this.node.Description?.Resources.GenericResources ?? []);
      this.#takeGenerics();
    }
    this.#count(task, -1);
    return true;
  }

  /** The generic resources that `task` would hold on this node. */
  genericsFor(task: TaskObject): GenericResource[] {
    return choose(this.free, reservedUnits(reservationsOf(task).GenericResources ?? []));
  }

  activeOf(serviceId: string): number {
    return this.#activeByService.get(serviceId) ?? 0;
  }

  usesHostPort(port: string): boolean {
    return this.#hostPorts.has(port);
  }

  /** Remembers that a task of this group failed or was rejected here. */
  noteFailure(group: string, atMs: number): void {
    for (const [key, times] of this.#failures) {
      if (times.every((time) => atMs - time > FAILURE_WINDOW_MS)) this.#failures.delete(key);
    }
    const times = (this.#failures.get(group) ?? []).filter((time) => atMs - time <= FAILURE_WINDOW_MS);
    this.#failures.set(group, [...times, atMs].slice(-FAILURES_KEPT));
  }

  recentFailures(group: string, nowMs: number): number {
    const times = this.#failures.get(group);
    return times === undefined ? 0 : times.filter((time) => nowMs - time <= FAILURE_WINDOW_MS).length;
  }

  #reserve(task: TaskObject, sign: 1 | -1): void {
    const reserved = reservationsOf(task);
    this.nanoCpus += sign * (reserved.NanoCPUs ?? 0);
    this.memoryBytes += sign * (reserved.MemoryBytes ?? 0);
  }

  #takeGenerics(): void {
    for (const task of this.tasks.values()) takeAway(this.free, task.GenericResources ?? []);
  }

  #count(task: TaskObject, change: 1 | -1): void {
    for (const port of hostPortsOf(task)) addTo(this.#hostPorts, port, change);
    if (compareTaskStates(task.DesiredState, 'complete') > 0) return;
    this.activeTasks += change;
    addTo(this.#activeByService, task.ServiceID, change);
  }
}

function addTo(counts: Map<string, number>, key: string, change: number): void {
  const count = (counts.get(key) ?? 0) + change;
  if (count === 0) counts.delete(key);
  else counts.set(key, count);
}
