import { isDeepStrictEqual } from 'node:util';
import type { NodeObject } from '../../proto/objects/node.ts';
import type { TaskObject } from '../../proto/objects/task.ts';
import type { ReadTx, StoreEvent } from '../store/transaction.ts';
import { hasEnded } from './task/task-life.ts';

/** Which services have to be decided on again, because something happened or because it is time. */
export class DirtyServices {
  #dirty = new Set<string>();
  readonly #nodes = new Set<string>();
  readonly #wakeAtMs = new Map<string, number>();

  mark(serviceId: string): void {
    this.#dirty.add(serviceId);
  }

  /** Every service, and every service that is gone but for its tasks. */
  markAll(tx: ReadTx): void {
    for (const service of tx.all('services')) this.mark(service.ID);
    for (const task of tx.all('tasks')) if (task.ServiceID !== '') this.mark(task.ServiceID);
  }

  markEvent(event: StoreEvent): void {
    const id = (event.after ?? event.before)?.ID ?? '';
    if (event.table === 'services') this.mark(id);
    else if (event.table === 'nodes' && nodeMatters(event.before, event.after)) this.#nodes.add(id);
    else if (event.table === 'tasks' && matters(event.before, event.after)) {
      this.mark((event.after ?? event.before)?.ServiceID ?? '');
    }
  }

  /** Turns changed nodes into the services that they concern, and adds those whose time has come. */
  resolve(tx: ReadTx, nowMs: number): void {
    for (const nodeId of this.#nodes) {
      for (const task of tx.find('tasks', 'node', nodeId)) this.mark(task.ServiceID);
    }
    if (this.#nodes.size > 0) {
      for (const service of tx.all('services')) if (service.Spec.Mode?.Global !== undefined) this.mark(service.ID);
    }
    this.#nodes.clear();
    for (const [serviceId, atMs] of this.#wakeAtMs) if (atMs <= nowMs) this.mark(serviceId);
  }

  /** All that is dirty; it counts as clean from now on. */
  take(): string[] {
    this.#dirty.delete('');
    const taken = [...this.#dirty];
    this.#dirty = new Set();
    return taken;
  }

  /** @param atMs Infinity for never. Replaces what was said before. */
  wakeAt(serviceId: string, atMs: number): void {
    if (atMs === Number.POSITIVE_INFINITY) this.#wakeAtMs.delete(serviceId);
    else this.#wakeAtMs.set(serviceId, atMs);
  }

  /** Milliseconds until the first wakening; undefined when there is none. */
  nextInMs(nowMs: number): number | undefined {
    let first = Number.POSITIVE_INFINITY;
    for (const atMs of this.#wakeAtMs.values()) first = Math.min(first, atMs);
    return first === Number.POSITIVE_INFINITY ? undefined : Math.max(1, first - nowMs);
  }
}

/** Most changes of a task are steps on its way that call for nothing. */
function matters(before: TaskObject | undefined, after: TaskObject | undefined): boolean {
  if (before === undefined || after === undefined) return true;
  return (
    before.DesiredState !== after.DesiredState ||
    before.NodeID !== after.NodeID ||
    hasEnded(before) !== hasEnded(after) ||
    (before.Status.State === 'running') !== (after.Status.State === 'running')
  );
}

/** Raft membership and addresses of a node change often and concern nobody here, but for `node.ip` and `node.role`. */
function nodeMatters(before: NodeObject | undefined, after: NodeObject | undefined): boolean {
  if (before === undefined || after === undefined) return true;
  return (
    before.Status.State !== after.Status.State ||
    before.Status.Addr !== after.Status.Addr ||
    before.CertificateRole !== after.CertificateRole ||
    !isDeepStrictEqual(before.Spec, after.Spec) ||
    !isDeepStrictEqual(before.Description, after.Description)
  );
}
