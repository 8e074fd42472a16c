import type { StoreEvent, Store, Watch } from '../../manager/store/transaction.ts';
import { messageOf } from '../../proto/runtime/errors.ts';
import type { Log } from '../../proto/runtime/log.ts';

type Listener = (events: readonly StoreEvent[]) => void;

/** Committed changes for the Engine API, over the times in which this node is a manager; silent in between. */
export class EventFeed {
  readonly #listeners = new Set<Listener>();
  readonly #log: Log;
  #watch: Watch | undefined;

  constructor(modules: { log: Log }) {
    this.#log = modules.log;
  }

  subscribe(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Begins to pass on what this store commits from now on. */
  attach(store: Store): void {
    this.detach();
    const watch = store.watch();
    this.#watch = watch;
    this.#follow(watch).catch((error: unknown) => {
      if (this.#watch !== watch) return;
      // Too slow for once: what was missed is missed, as with any event stream; later changes are passed on.
      this.#log.warn({ error: messageOf(error) }, 'events of the swarm were missed');
      this.attach(store);
    });
  }

  detach(): void {
    this.#watch?.close();
    this.#watch = undefined;
  }

  async #follow(watch: Watch): Promise<void> {
    for await (const events of watch) for (const listener of this.#listeners) listener(events);
  }
}
