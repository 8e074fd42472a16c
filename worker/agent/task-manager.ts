import type { TaskObject, TaskStatus } from '../../proto/objects/task.ts';
import { backoffDelayMs, type BackoffOptions } from '../../proto/runtime/backoff.ts';
import { type Clock, sleep } from '../../proto/runtime/clock.ts';
import { messageOf, WaggleError } from '../../proto/runtime/errors.ts';
import type { Startable } from '../../proto/runtime/lifecycle.ts';
import type { Log } from '../../proto/runtime/log.ts';
import type { Random } from '../../proto/runtime/random.ts';
import { RepairLoop } from '../../proto/runtime/repair-loop.ts';
import type { Executor } from '../exec/controller.ts';
import type { AssignedNetwork } from '../network/assigned-network.ts';
import { AssignedStore } from './assigned-store.ts';
import type { AssignmentSet } from './assignment-chain.ts';
import type { StatusReporter } from './status-reporter.ts';
import type { TaskDb, TaskRow } from './task-db.ts';
import { TaskWorker } from './task-worker.ts';

const RETRY: BackoffOptions = { minMs: 200, maxMs: 10_000, factor: 2, jitter: 0.3 };

export interface TaskManagerModules {
  db: TaskDb;
  executor: Executor;
  reporter: StatusReporter;
  clock: Clock;
  random: Random;
  log: Log;
}

/**
 * Everything assigned to this node: one worker per task, all of it on disk, so that a restart takes up running
 * containers without a manager. `stop` leaves the containers alone, `leave` removes them.
 */
export class TaskManager implements Startable {
  readonly assigned = new AssignedStore();
  readonly #modules: TaskManagerModules;
  readonly #workers = new Map<string, TaskWorker>();
  /** Networks whose file is not up to date. */
  readonly #dirtyNetworks = new Set<string>();
  /** Records of removed tasks that are on their way off the disk. */
  readonly #forgetting = new Set<Promise<void>>();
  readonly #abort = new AbortController();
  /** Until the files of networks say what memory says. */
  readonly #writing: RepairLoop;
  #sweeping: Promise<void> | undefined;
  #emptied: (() => void) | undefined;

  constructor(modules: TaskManagerModules) {
    this.#modules = modules;
    const { clock, random, log } = modules;
    this.#writing = new RepairLoop({
      backoff: RETRY,
      clock,
      random,
      pass: () => this.#writeNetworks(),
      failed: (error, retryMs) => log.warn({ error, retryMs }, 'networks are not on disk yet, tried again'),
    });
  }

  /** Takes up what the disk knows and reports it once more. */
  async start(): Promise<void> {
    const { db, reporter, log } = this.#modules;
    for (const [id, network] of await db.networks.open()) this.assigned.networks.set(id, network);
    for (const [id, row] of await db.tasks.open()) {
      if (!row.unassigned) {
        this.assigned.tasks.set(id, row.task);
        reporter.report(id, row.status);
      }
      this.#begin(row);
    }
    const corrupt = [...db.networks.corrupt, ...db.tasks.corrupt];
    if (corrupt.length > 0)
      log.error({ files: corrupt }, 'unreadable records were set aside, the manager sends them anew');
    if (this.#workers.size > 0) log.info({ tasks: this.#workers.size }, 'tasks taken up from disk');
    this.assigned.announce();
  }

  async stop(): Promise<void> {
    this.#abort.abort(new WaggleError('aborted', 'the agent stops'));
    await Promise.all([...this.#workers.values()].map((worker) => worker.stop()));
    await Promise.all(this.#forgetting);
    await this.#writing.stop();
    await this.#sweeping;
  }

  /** Brings this node to a whole set: what is absent from it is ended and removed, leftovers on the engine too. */
  replace(set: AssignmentSet): void {
    for (const id of this.assigned.networks.keys()) if (!set.networks.has(id)) this.#dropNetwork(id);
    this.apply(set);
    for (const [id, worker] of this.#workers) {
      if (set.tasks.get(id) === undefined) this.#dropTask(id, worker);
    }
    this.assigned.announce();
    this.#sweeping ??= this.#sweep().finally(() => {
      this.#sweeping = undefined;
    });
  }

  /** How far this node has got with a task; newer than what AssignedState shows. */
  statusOf(taskId: string): TaskStatus | undefined {
    return this.#workers.get(taskId)?.row.status;
  }

  /** Changes some: an absent object means that it is not assigned any more. */
  apply(changes: AssignmentSet): void {
    for (const [id, network] of changes.networks) {
      if (network?.Allocated === undefined) this.#dropNetwork(id);
      else this.#setNetwork({ ...network, Allocated: network.Allocated });
    }
    for (const [id, task] of changes.tasks) {
      const worker = this.#workers.get(id);
      if (task !== undefined) this.#assign(task, worker);
      else if (worker !== undefined) this.#dropTask(id, worker);
    }
    this.assigned.announce();
  }

  /** Ends all tasks and removes their containers, then forgets everything. @throws the signal's reason. */
  async leave(signal: AbortSignal): Promise<void> {
    for (const [id, worker] of this.#workers) this.#dropTask(id, worker);
    this.assigned.announce();
    while (this.#workers.size > 0) await this.#oneIsGone(signal);
    for (const id of [...this.assigned.networks.keys()]) this.#dropNetwork(id);
    this.assigned.announce();
    await this.stop();
    await this.#modules.db.destroy();
  }

  #assign(task: TaskObject, worker: TaskWorker | undefined): void {
    this.assigned.tasks.set(task.ID, task);
    if (worker !== undefined) return worker.update(task);
    this.#begin({ task, status: task.Status, unassigned: false });
  }

  #begin(row: TaskRow): void {
    const { executor, db, reporter, clock, random, log } = this.#modules;
    const { ID } = row.task;
    const worker = new TaskWorker(row, {
      controller: executor.controller(row.task),
      save: (saved) => db.tasks.put(ID, saved),
      report: (taskId, status) => reporter.report(taskId, status),
      clock,
      random,
      log,
    });
    this.#workers.set(ID, worker);
    worker.start(() => this.#gone(ID, worker));
  }

  #dropTask(id: string, worker: TaskWorker): void {
    this.#modules.reporter.forget(id);
    worker.unassign();
  }

  /** The address of an ending task stays known until its container is gone. */
  #gone(id: string, worker: TaskWorker): void {
    const row = worker.row;
    this.#workers.delete(id);
    this.assigned.tasks.delete(id);
    this.assigned.announce();
    const forgotten = this.#forget(id).then(() => {
      this.#forgetting.delete(forgotten);
      this.#emptied?.();
    });
    this.#forgetting.add(forgotten);
    // Assigned again while it was being removed.
    if (!row.unassigned) this.#assign(row.task, undefined);
  }

  /** A row that stays behind means only that the removal is done again after a restart. */
  async #forget(id: string): Promise<void> {
    if (this.#workers.has(id)) return;
    await this.#modules.db.tasks.delete(id).catch((error: unknown) => {
      this.#modules.log.warn(
        { task: id, error: messageOf(error) },
        'record of a removed task stays until the next start',
      );
    });
  }

  #setNetwork(network: AssignedNetwork): void {
    this.assigned.networks.set(network.ID, network);
    this.#markNetwork(network.ID);
  }

  #dropNetwork(id: string): void {
    if (this.assigned.networks.delete(id)) this.#markNetwork(id);
  }

  #markNetwork(id: string): void {
    this.#dirtyNetworks.add(id);
    this.#writing.refresh();
  }

  async #writeNetworks(): Promise<void> {
    const { networks } = this.#modules.db;
    for (const id of [...this.#dirtyNetworks]) {
      const network = this.assigned.networks.get(id);
      await (network === undefined ? networks.delete(id) : networks.put(id, network));
      // It may have changed meanwhile.
      if (this.assigned.networks.get(id) === network) this.#dirtyNetworks.delete(id);
    }
  }

  /** What an earlier life of this node left on its engine under the label of a task. */
  async #sweep(): Promise<void> {
    const { executor, clock, random, log } = this.#modules;
    const { signal } = this.#abort;
    for (let failures = 1; !signal.aborted; failures++) {
      try {
        const leftovers = (await executor.existingTasks()).filter((id) => !this.#workers.has(id));
        if (signal.aborted) return;
        for (const id of leftovers) this.#begin(leftover(id));
        if (leftovers.length > 0) log.info({ tasks: leftovers }, 'leftovers of unknown tasks are removed');
        return;
      } catch (error) {
        log.warn({ error: messageOf(error), failures }, 'leftovers on the engine not listed yet, tried again');
        await sleep(clock, backoffDelayMs(RETRY, failures, random()), signal).catch(() => undefined);
      }
    }
  }

  #oneIsGone(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const onAbort = (): void => reject(signal.reason as Error);
      if (signal.aborted) return onAbort();
      signal.addEventListener('abort', onAbort, { once: true });
      this.#emptied = () => {
        signal.removeEventListener('abort', onAbort);
        resolve();
      };
    });
  }
}

/** Stands for a task of which only a container with its label is left. */
function leftover(id: string): TaskRow {
  const at = new Date(0).toISOString();
  return {
    unassigned: true,
    status: { State: 'running', Timestamp: at },
    task: {
      ID: id,
      Version: { Index: 0 },
      CreatedAt: at,
      UpdatedAt: at,
      Spec: {},
      ServiceID: '',
      Slot: 0,
      NodeID: '',
      Status: { State: 'running', Timestamp: at },
      DesiredState: 'remove',
      SpecVersion: 0,
      ServiceAnnotations: { Name: '' },
    },
  };
}
