import type { TaskObject, TaskStatus } from '../../proto/objects/task.ts';
import { compareTaskStates, isTerminal } from '../../proto/objects/task-state.ts';
import { backoffDelayMs, type BackoffOptions } from '../../proto/runtime/backoff.ts';
import { type Clock, sleep } from '../../proto/runtime/clock.ts';
import { messageOf } from '../../proto/runtime/errors.ts';
import type { Log } from '../../proto/runtime/log.ts';
import type { Random } from '../../proto/runtime/random.ts';
import { advance } from '../exec/advance.ts';
import type { Controller } from '../exec/controller.ts';
import type { TaskRow } from './task-db.ts';

const RETRY: BackoffOptions = { minMs: 200, maxMs: 10_000, factor: 2, jitter: 0.3 };

export interface TaskWorkerModules {
  controller: Controller;
  /** Makes the row durable; retried until it succeeds. */
  save: (row: TaskRow) => Promise<void>;
  /** Takes a status that is to reach the manager. */
  report: (taskId: string, status: TaskStatus) => void;
  clock: Clock;
  random: Random;
  log: Log;
}

/**
 * Drives one task, one step at a time, until it is removed. What interrupts a step (an update, a removal, a stop) aborts
 * its signal; the step is then taken again against what is wanted now.
 */
export class TaskWorker {
  readonly #modules: TaskWorkerModules;
  #row: TaskRow;
  #updated = false;
  #stopped = false;
  readonly #halt = new AbortController();
  #interrupt = new AbortController();
  #wake: (() => void) | undefined;
  #running: Promise<void> | undefined;

  constructor(row: TaskRow, modules: TaskWorkerModules) {
    this.#row = row;
    this.#modules = modules;
  }

  get row(): TaskRow {
    return this.#row;
  }

  /** @param removed called once everything of the task is gone from this node. */
  start(removed: () => void): void {
    this.#running ??= this.#run(removed);
  }

  /** A new version of the task from the manager; a repeated one changes nothing. */
  update(task: TaskObject): void {
    const same = this.#row.task.DesiredState === task.DesiredState && !this.#row.unassigned;
    const returned = this.#row.unassigned;
    this.#row = { ...this.#row, task, unassigned: false };
    if (same) return;
    if (returned) this.#modules.report(task.ID, this.#row.status);
    this.#updated = true;
    this.#stir('the task was updated');
  }

  /** Not assigned any more: ends it and removes everything. */
  unassign(): void {
    if (this.#row.unassigned) return;
    this.#row = { ...this.#row, unassigned: true, task: { ...this.#row.task, DesiredState: 'remove' } };
    this.#updated = true;
    this.#stir('the task was removed');
  }

  /** Resolves when no step is under way; the container is left as it is. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#halt.abort(new Error('the daemon stops'));
    this.#stir('the daemon stops');
    await this.#running;
  }

  async #run(removed: () => void): Promise<void> {
    let failures = 0;
    while (!this.#stopped) {
      this.#interrupt = new AbortController();
      const { signal } = this.#interrupt;
      try {
        const again = await this.#turn(signal);
        failures = 0;
        if (again === 'gone') return removed();
        if (again === 'rest' && !this.#updated && !this.#stopped) await this.#stirred();
      } catch (error) {
        if (signal.aborted) continue;
        failures++;
        const fields = { task: this.#row.task.ID, error: messageOf(error), failures };
        if (failures > 3) this.#modules.log.warn(fields, 'task step failed again');
        else this.#modules.log.debug(fields, 'task step failed, tried again');
        const delay = backoffDelayMs(RETRY, failures, this.#modules.random());
        await sleep(this.#modules.clock, delay, signal).catch(() => undefined);
      }
    }
  }

  /** One step. @throws when it is to be tried again. */
  async #turn(signal: AbortSignal): Promise<'more' | 'rest' | 'gone'> {
    const { controller, clock, log } = this.#modules;
    if (this.#updated) {
      const row = this.#row;
      this.#updated = false;
      try {
        await this.#modules.save(row);
        await controller.update(row.task);
      } catch (error) {
        this.#updated = true;
        throw error;
      }
    }
    const { task, status, unassigned } = this.#row;
    if (unassigned && (isTerminal(status.State) || !mayHaveContainer(status))) {
      await controller.remove(signal);
      return 'gone';
    }
    const outcome = await advance(task, status, controller, { now: () => clock.now(), signal });
    if (outcome.kind === 'rest') return 'rest';
    if (outcome.kind === 'retry') throw new Error(outcome.reason);
    log.debug({ task: task.ID, from: status.State, to: outcome.status.State }, 'task moved');
    // From `starting` on a restart must know it, lest it starts again what has already run.
    if (compareTaskStates(outcome.status.State, 'starting') >= 0) {
      await this.#persist({ ...this.#row, status: outcome.status });
    }
    this.#row = { ...this.#row, status: outcome.status };
    if (!this.#row.unassigned) this.#modules.report(task.ID, outcome.status);
    return 'more';
  }

  /** The step is done and must not be taken again because of a full disk: only the writing is retried. */
  async #persist(row: TaskRow): Promise<void> {
    const { save, clock, random, log } = this.#modules;
    for (let failures = 1; !this.#stopped; failures++) {
      try {
        return await save(row);
      } catch (error) {
        log.warn({ task: row.task.ID, error: messageOf(error), failures }, 'task status not on disk yet, tried again');
        await sleep(clock, backoffDelayMs(RETRY, failures, random()), this.#halt.signal).catch(() => undefined);
      }
    }
  }

  #stir(reason: string): void {
    this.#interrupt.abort(new Error(reason));
    this.#wake?.();
  }

  #stirred(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = () => {
        this.#wake = undefined;
        resolve();
      };
    });
  }
}

/** Before `preparing` nothing was made for the task. */
function mayHaveContainer(status: TaskStatus): boolean {
  return compareTaskStates(status.State, 'preparing') >= 0;
}
