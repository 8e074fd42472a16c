import { newId } from '../../proto/objects/naming.ts';
import type { Clock } from '../../proto/runtime/clock.ts';
import { type Startable, startAll, stopAll } from '../../proto/runtime/lifecycle.ts';
import type { Log } from '../../proto/runtime/log.ts';
import type { Random } from '../../proto/runtime/random.ts';
import { ControlLoop } from '../store/control-loop.ts';
import type { Store } from '../store/transaction.ts';
import { ConstraintEnforcer } from './constraintenforcer/constraint-enforcer.ts';
import { ServiceLoop } from './service-loop.ts';
import { TaskReaper } from './taskreaper/task-reaper.ts';

const DEFAULT_DEBOUNCE_MS = 20;

export interface OrchestratorOptions {
  /** How long changes are gathered before they are acted on; 20 ms. The reaper gathers for 250 ms, as swarmkit's. */
  debounceMs?: number;
}

export interface OrchestratorModules {
  store: Store;
  clock: Clock;
  log: Log;
  /** For the jitter of retries. */
  random: Random;
  /** IDs for tasks; random ones unless a simulation needs to repeat itself. */
  newId?: () => string;
}

/**
 * What turns services into tasks, and old tasks into nothing: the leader's loops over services, history and
 * placement. Made anew on every change of leader and started once; stopped, it leaves the rest of its work to the
 * next.
 */
export class Orchestrator implements Startable {
  readonly #loops: readonly Startable[];

  constructor(options: OrchestratorOptions, modules: OrchestratorModules) {
    const { store, clock, random } = modules;
    const debounceMs = options.debounceMs ?? DEFAULT_DEBOUNCE_MS;
    const log = modules.log.child({ module: 'manager/orchestrator' });
    const ids = { newId: modules.newId ?? ((): string => newId()) };
    this.#loops = [
      new ServiceLoop({ debounceMs }, { store, clock, log, random, ...ids }),
      new ConstraintEnforcer({ debounceMs }, { store, clock }),
      new TaskReaper({ store }),
    ].map((body) => new ControlLoop(body, { store, clock, log }));
  }

  start(): Promise<void> {
    return startAll(this.#loops);
  }

  stop(): Promise<void> {
    return stopAll(this.#loops);
  }
}
