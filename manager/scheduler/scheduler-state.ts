import type { GenericResource } from '../../proto/objects/node.ts';
import type { NetworkObject } from '../../proto/objects/network.ts';
import type { TaskObject } from '../../proto/objects/task.ts';
import { compareTaskStates } from '../../proto/objects/task-state.ts';
import { isEncrypted } from '../../proto/objects/tunnel.ts';
import type { ReadTx, StoreEvent } from '../store/transaction.ts';
import { ClusterView } from './cluster-view.ts';
import { DEFAULT_FILTERS, type Filter, type FilterContext } from './filters.ts';
import { FAILURE_WINDOW_MS, type NodeInfo } from './node-info.ts';
import { Pipeline } from './pipeline.ts';
import { PlacementQueue } from './placement-queue.ts';
import { SpreadTree } from './spread-tree.ts';

/** What is to become of one pending task. */
export type Decision =
  | { kind: 'assign'; task: TaskObject; nodeId: string; generics: GenericResource[]; message: string }
  | { kind: 'explain'; task: TaskObject; err: string }
  | { kind: 'shutdown'; task: TaskObject };

/**
 * written: committed. stale: the task has changed since it was decided on, its new version has been or will be observed.
 * failed: nothing is known to have changed; decide again.
 */
export type Outcome = 'written' | 'stale' | 'failed';

const ASSIGNED = 'scheduler assigned task to node';
const CONFIRMED = 'scheduler confirmed task can run on preassigned node';

/**
 * The scheduler's picture of the cluster, and its decisions on it; pure. A task that was decided on counts as placed
 * at once; `settle` says what came of it. Work is bounded by slices: a slice costs at most (its decisions) x (nodes)
 * filter checks, and a group of like tasks costs (nodes) + (its tasks) of them however many slices it takes.
 */
export class SchedulerState {
  readonly #filters: readonly Filter[];
  readonly #context: FilterContext = { isEncrypted: (networkId) => this.#encrypted.has(networkId) };
  #cluster = new ClusterView();
  /** IDs of networks that only some nodes can take part in. Options of a network never change. */
  #encrypted = new Set<string>();
  #queue = new PlacementQueue();
  /** Pending tasks whose node is fixed, by ID; those in `#recheck` are to be looked at. */
  #fixed = new Map<string, TaskObject>();
  #recheck = new Set<string>();
  /** Pending tasks that are no longer wanted. */
  #unwanted = new Map<string, TaskObject>();
  /** Decided and not settled, with the newest version of the task that was seen meanwhile. */
  #open = new Map<string, TaskObject | undefined>();

  constructor(options: { filters?: readonly Filter[] } = {}) {
    this.#filters = options.filters ?? DEFAULT_FILTERS;
  }

  /** Forgets everything and begins with committed state; failures of the last minutes are read from ended tasks. */
  load(tx: ReadTx, nowMs: number): void {
    this.#cluster = new ClusterView();
    this.#queue = new PlacementQueue();
    this.#fixed = new Map();
    this.#recheck = new Set();
    this.#unwanted = new Map();
    this.#open = new Map();
    this.#encrypted = new Set([...tx.all('networks')].filter(isEncrypted).map(({ ID }) => ID));
    for (const node of tx.all('nodes')) this.#cluster.putNode(node);
    for (const task of tx.all('tasks')) {
      this.#place(task);
      const endedAt = Date.parse(task.Status.Timestamp);
      if (hasFailed(task) && nowMs - endedAt <= FAILURE_WINDOW_MS) {
        this.#cluster.noteFailure(task, Math.min(endedAt, nowMs));
      }
    }
  }

  observe(events: readonly StoreEvent[], nowMs: number): void {
    for (const event of events) {
      if (event.table === 'networks') this.#observeNetwork(event.before, event.after);
      else if (event.table === 'nodes') {
        if (event.after === undefined) this.#cluster.removeNode(event.before?.ID ?? '');
        else this.#cluster.putNode(event.after);
        this.#retryAll();
      } else if (event.table === 'tasks') {
        this.#observeTask(event.before, event.after, nowMs);
      }
    }
  }

  /** About `limit` decisions on what is due (the tasks of one group are told why they wait all at once); none when nothing is. */
  decide(limit: number, nowMs: number): Decision[] {
    const decisions: Decision[] = [];
    for (const task of this.#unwanted.values()) {
      if (decisions.length >= limit) break;
      decisions.push({ kind: 'shutdown', task });
      this.#beginDecision(task);
    }
    for (const id of this.#recheck) {
      if (decisions.length >= limit) break;
      this.#recheck.delete(id);
      const task = this.#fixed.get(id);
      if (task !== undefined) decisions.push(...this.#decideFixed(task));
    }
    while (decisions.length < limit) {
      const group = this.#queue.next();
      if (group === undefined) break;
      decisions.push(...this.#decideGroup(group.key, group.tasks, limit - decisions.length, nowMs));
    }
    return decisions;
  }

  /** What came of a decision. One that was not written is undone. */
  settle(decision: Decision, outcome: Outcome): void {
    const { task } = decision;
    const seen = this.#open.get(task.ID);
    if (!this.#open.delete(task.ID)) return;
    if (outcome === 'written') {
      // A version seen before the commit is older than it; the commit's own event follows.
      if (decision.kind === 'explain' && seen !== undefined) this.#place(seen);
      return;
    }
    if (decision.kind === 'assign') this.#cluster.removeTask(task.ID);
    this.#forgetPending(task);
    if (outcome === 'failed' || seen !== undefined) this.#place(seen ?? task);
  }

  #observeNetwork(before: NetworkObject | undefined, after: NetworkObject | undefined): void {
    if (after === undefined) this.#encrypted.delete(before?.ID ?? '');
    else if (isEncrypted(after)) this.#encrypted.add(after.ID);
  }

  #observeTask(before: TaskObject | undefined, after: TaskObject | undefined, nowMs: number): void {
    const task = after ?? before;
    if (task === undefined) return;
    if (after === undefined) {
      this.#open.delete(task.ID);
      this.#forgetPending(task);
      if (this.#cluster.removeTask(task.ID)) this.#retryAll();
      return;
    }
    if (hasFailed(after) && (before === undefined || !hasFailed(before))) this.#cluster.noteFailure(after, nowMs);
    const open = this.#open.has(after.ID);
    if (open) this.#open.set(after.ID, after);
    if (!open || after.Status.State !== 'pending') this.#place(after);
  }

  /** Puts a task where its state says it belongs. */
  #place(task: TaskObject): void {
    if (this.#cluster.putTask(task)) this.#retryAll();
    const unwanted = compareTaskStates(task.DesiredState, 'running') > 0 && task.DesiredState !== 'complete';
    if (task.Status.State !== 'pending' || unwanted) {
      this.#forgetPending(task);
      if (task.Status.State === 'pending') this.#unwanted.set(task.ID, task);
    } else if (task.NodeID === '') {
      this.#queue.put(task);
    } else {
      // A new explanation is no reason to look again.
      if (!this.#fixed.has(task.ID)) this.#recheck.add(task.ID);
      this.#fixed.set(task.ID, task);
    }
  }

  #forgetPending(task: TaskObject): void {
    this.#queue.remove(task);
    this.#fixed.delete(task.ID);
    this.#recheck.delete(task.ID);
    this.#unwanted.delete(task.ID);
  }

  #retryAll(): void {
    this.#queue.retryAll();
    for (const id of this.#fixed.keys()) this.#recheck.add(id);
  }

  #beginDecision(task: TaskObject): void {
    this.#forgetPending(task);
    this.#open.set(task.ID, undefined);
  }

  #assign(task: TaskObject, info: NodeInfo, message: string): Decision {
    const generics = info.genericsFor(task);
    const status = { ...task.Status, State: 'assigned' as const };
    this.#cluster.putTask({ ...task, NodeID: info.node.ID, GenericResources: generics, Status: status });
    this.#beginDecision(task);
    return { kind: 'assign', task, nodeId: info.node.ID, generics, message };
  }

  #decideFixed(task: TaskObject): Decision[] {
    const info = this.#cluster.get(task.NodeID);
    if (info === undefined) return [];
    const pipeline = new Pipeline(this.#filters, task, this.#context);
    if (pipeline.fits(info)) return [this.#assign(task, info, CONFIRMED)];
    return this.#explain(task, pipeline.explain([info]));
  }

  #decideGroup(key: string, tasks: readonly TaskObject[], limit: number, nowMs: number): Decision[] {
    const [first] = tasks;
    if (first === undefined) return [];
    const pipeline = new Pipeline(this.#filters, first, this.#context);
    const tree = new SpreadTree(this.#cluster.nodes(), first, pipeline, nowMs);
    const decisions: Decision[] = [];
    for (const [at, task] of tasks.entries()) {
      if (decisions.length >= limit) return decisions;
      const info = tree.assign((chosen) => decisions.push(this.#assign(task, chosen, ASSIGNED)));
      if (info === undefined) return [...decisions, ...this.#putOff(key, tasks.slice(at), pipeline)];
    }
    return decisions;
  }

  /** Tells every task of the group why it waits: all at once, or part of them would be due for ever. */
  #putOff(key: string, tasks: readonly TaskObject[], pipeline: Pipeline): Decision[] {
    this.#queue.putOff(key);
    const reason = pipeline.explain(this.#cluster.nodes());
    const err = reason === '' ? 'no suitable node' : `no suitable node (${reason})`;
    return tasks.flatMap((task) => this.#explain(task, err));
  }

  #explain(task: TaskObject, err: string): Decision[] {
    if (task.Status.Err === err) return [];
    this.#open.set(task.ID, undefined);
    return [{ kind: 'explain', task, err }];
  }
}

function hasFailed(task: TaskObject): boolean {
  return task.NodeID !== '' && (task.Status.State === 'failed' || task.Status.State === 'rejected');
}
