import type { Clock } from '../../proto/runtime/clock.ts';
import { StateStore, type StateStoreOptions } from './state-store.ts';
import type { ApplyResult, Proposer, StateMachine } from './transaction.ts';

/**
 * A log of one, in memory: applies each proposal in the order given, never before the caller's turn has ended. For unit tests
 * and simulations; keeps nothing.
 */
export class MemoryProposer implements Proposer {
  readonly #machine: StateMachine;
  #index: number;
  #tail: Promise<unknown> = Promise.resolve();

  constructor(options: { firstIndex?: number }, modules: { machine: StateMachine }) {
    this.#machine = modules.machine;
    this.#index = (options.firstIndex ?? 1) - 1;
  }

  propose(data: Uint8Array): Promise<ApplyResult> {
    const applied = this.#tail.then(() => this.#machine.apply(++this.#index, data));
    this.#tail = applied.catch(() => undefined);
    return applied;
  }
}

/** An empty store that is its own log. */
export function memoryStore(modules: { clock: Clock }, options: StateStoreOptions = {}): StateStore {
  const store = new StateStore(options, modules);
  store.connect(new MemoryProposer({}, { machine: store }));
  return store;
}
