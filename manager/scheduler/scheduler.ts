import { type Clock, rfc3339 } from '../../proto/runtime/clock.ts';
import { type BackoffOptions, backoffDelayMs } from '../../proto/runtime/backoff.ts';
import { messageOf } from '../../proto/runtime/errors.ts';
import type { Startable } from '../../proto/runtime/lifecycle.ts';
import type { Log } from '../../proto/runtime/log.ts';
import type { TaskObject } from '../../proto/objects/task.ts';
import { MAX_CHANGES_PER_TRANSACTION, updateInBatches } from '../store/batched-update.ts';
import { ControlLoop, type LoopBody } from '../store/control-loop.ts';
import type { ReadTx, Store, StoreEvent, WriteTx } from '../store/transaction.ts';
import { type Decision, type Outcome, SchedulerState } from './scheduler-state.ts';

export interface SchedulerOptions {
  /**
   * How long a burst of changes is awaited before tasks are placed; 10 unless given. swarmkit waits 50 (commitDebounceGap); here the
   * tasks of a service come in one commit, and one that waits for a place is all that waiting would gather.
   */
  debounceMs?: number;
}

const DEBOUNCE_MS = 10;
/** A decision that met a newer state: its event is on the way. */
const RETRY: BackoffOptions = { minMs: 50, maxMs: 5_000, factor: 2, jitter: 0 };

/**
 * Gives pending tasks a node. Leader only, one at a time. A task whose node was fixed from the start is only checked
 * against that node. What fits nowhere stays pending, says why in Status.Err, and is tried again when a node
 * changes or a task leaves one. Pending tasks that are no longer wanted end as shutdown.
 */
export class Scheduler implements Startable {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #state: SchedulerState;
  readonly #loop: ControlLoop;
  #failures = 0;

  constructor(options: SchedulerOptions, modules: { store: Store; clock: Clock; log: Log }) {
    this.#store = modules.store;
    this.#clock = modules.clock;
    this.#log = modules.log.child({ module: 'manager/scheduler' });
    this.#state = new SchedulerState();
    this.#loop = new ControlLoop(this.#body(options.debounceMs ?? DEBOUNCE_MS), { ...modules, log: this.#log });
  }

  async start(): Promise<void> {
    await this.#loop.start();
  }

  async stop(): Promise<void> {
    await this.#loop.stop();
  }

  #body(debounceMs: number): LoopBody {
    return {
      name: 'scheduler',
      tables: ['networks', 'nodes', 'tasks'],
      debounceMs,
      onView: (tx: ReadTx) => this.#state.load(tx, this.#clock.now()),
      onEvents: (events: readonly StoreEvent[]) => this.#state.observe(events, this.#clock.now()),
      tick: () => this.#tick(),
    };
  }

  async #tick(): Promise<number | undefined> {
    for (;;) {
      const decisions = this.#state.decide(MAX_CHANGES_PER_TRANSACTION, this.#clock.now());
      if (decisions.length === 0) return undefined;
      if (!(await this.#apply(decisions))) return backoffDelayMs(RETRY, ++this.#failures, 0);
      this.#failures = 0;
    }
  }

  /** @returns true when every decision was written. */
  async #apply(decisions: readonly Decision[]): Promise<boolean> {
    const outcomes = new Map<Decision, Outcome>();
    const timestamp = rfc3339(this.#clock.now());
    const failures = await updateInBatches(
      this.#store,
      decisions,
      (tx, decision) => outcomes.set(decision, writeDecision(tx, decision, timestamp)),
      { actor: 'scheduler' },
    );
    for (const { item } of failures) outcomes.set(item, 'failed');
    for (const decision of decisions) this.#state.settle(decision, outcomes.get(decision) ?? 'failed');
    const [failure] = failures;
    if (failure !== undefined) {
      const fields = { tasks: failures.length, error: messageOf(failure.error) };
      this.#log.warn(fields, 'placements not written, will retry');
    }
    return outcomes.values().every((outcome) => outcome === 'written');
  }
}

/** Writes one decision unless the world has moved on since. */
function writeDecision(tx: WriteTx, decision: Decision, timestamp: string): Outcome {
  const task = tx.get('tasks', decision.task.ID);
  if (task === undefined || task.Version.Index !== decision.task.Version.Index) return 'stale';
  if (decision.kind === 'assign' && !takesTasks(tx, decision.nodeId)) return 'failed';
  tx.update('tasks', decided(task, decision, timestamp));
  return 'written';
}

function takesTasks(tx: ReadTx, nodeId: string): boolean {
  const node = tx.get('nodes', nodeId);
  return node?.Status.State === 'ready' && node.Spec.Availability === 'active';
}

function decided(task: TaskObject, decision: Decision, timestamp: string): TaskObject {
  switch (decision.kind) {
    case 'explain':
      return { ...task, Status: { ...task.Status, Timestamp: timestamp, Err: decision.err } };
    case 'shutdown':
      return {
        ...task,
        Status: { Timestamp: timestamp, State: 'shutdown', Message: 'no longer wanted before it had a node' },
      };
    case 'assign':
      return {
        ...task,
        NodeID: decision.nodeId,
        ...(decision.generics.length === 0 ? {} : { GenericResources: decision.generics }),
        Status: { Timestamp: timestamp, State: 'assigned', Message: decision.message },
      };
  }
}
