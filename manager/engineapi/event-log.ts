import type { Clock } from '../../proto/runtime/clock.ts';
import type { Startable } from '../../proto/runtime/lifecycle.ts';
import type { Backend } from './backend.ts';
import { type EventMessage, eventOf } from './event-message.ts';

/** As many as Docker's engine keeps for `since`. */
const KEPT_EVENTS = 256;

export type EventListener = (event: EventMessage) => void;

/** The swarm's latest events, and those to come, in commit order. Filled while this node is a manager. */
export class EventLog implements Startable {
  readonly #backend: Backend;
  readonly #clock: Clock;
  readonly #listeners = new Set<EventListener>();
  #kept: EventMessage[] = [];
  #unwatch: (() => void) | undefined;

  constructor(modules: { backend: Backend; clock: Clock }) {
    this.#backend = modules.backend;
    this.#clock = modules.clock;
  }

  async start(): Promise<void> {
    this.#unwatch = this.#backend.watchEvents((changes) => {
      for (const change of changes) {
        const event = eventOf(change, this.#clock.now());
        if (event !== undefined) this.#publish(event);
      }
    });
  }

  async stop(): Promise<void> {
    this.#unwatch?.();
    this.#unwatch = undefined;
    this.#listeners.clear();
  }

  /** Oldest first. */
  kept(): readonly EventMessage[] {
    return this.#kept;
  }

  /** @param listener must not throw. @returns ends the subscription. */
  subscribe(listener: EventListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #publish(event: EventMessage): void {
    this.#kept = [...this.#kept.slice(1 - KEPT_EVENTS), event];
    for (const listener of this.#listeners) listener(event);
  }
}
