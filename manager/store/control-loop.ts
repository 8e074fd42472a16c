import { type CancelTimer, type Clock, sleep } from '../../proto/runtime/clock.ts';
import { messageOf } from '../../proto/runtime/errors.ts';
import type { Startable } from '../../proto/runtime/lifecycle.ts';
import type { Log } from '../../proto/runtime/log.ts';
import type { TableName } from './tables.ts';
import type { ReadTx, Store, StoreEvent, Watch } from './transaction.ts';

const RETRY_MS = 500;

/**
 * What one control loop does: remembers what is dirty, and on a tick brings it to order. Passes are idempotent; after
 * a failure or a watch that fell behind, everything begins again with `onView`.
 */
export interface LoopBody {
  name: string;
  tables: readonly TableName[];
  /** How long a tick waits after an event, so that a burst of changes is worked off in one pass. */
  debounceMs: number;
  /** First pass: forget everything, mark what is out of order in committed state. Absent where a tick looks at everything. */
  onView?(tx: ReadTx): void;
  /** Marks what the events touch. Must not change the store. Absent as `onView`. */
  onEvents?(events: readonly StoreEvent[]): void;
  /** Works off what is dirty; what fails stays dirty. @returns milliseconds until it wants to run again without an event. */
  tick(): Promise<number | undefined>;
}

/** Runs a LoopBody against the store until stopped; ticks never overlap. */
export class ControlLoop implements Startable {
  readonly #body: LoopBody;
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #abort = new AbortController();
  #watch: Watch | undefined;
  #running: Promise<void> | undefined;
  #wake: (() => void) | undefined;
  /** Monotonic time at which the next tick is due. */
  #dueAt: number | undefined;

  constructor(body: LoopBody, modules: { store: Store; clock: Clock; log: Log }) {
    this.#body = body;
    this.#store = modules.store;
    this.#clock = modules.clock;
    this.#log = modules.log;
  }

  async start(): Promise<void> {
    this.#running ??= this.#run();
    await Promise.resolve();
  }

  async stop(): Promise<void> {
    this.#abort.abort(new Error(`${this.#body.name} stopped`));
    this.#watch?.close();
    this.#wake?.();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#abort.signal.aborted) {
      try {
        await this.#watchAndTick();
      } catch (error) {
        if (this.#abort.signal.aborted) return;
        this.#log.warn({ loop: this.#body.name, error: messageOf(error) }, 'control loop begins again');
        await sleep(this.#clock, RETRY_MS, this.#abort.signal).catch(() => undefined);
      }
    }
  }

  async #watchAndTick(): Promise<void> {
    const { watch } = this.#store.viewAndWatch((tx) => this.#body.onView?.(tx), this.#body.tables);
    this.#watch = watch;
    let failure: unknown;
    const consuming = this.#consume(watch).catch((error: unknown) => {
      failure = error;
      this.#wake?.();
    });
    try {
      this.#dueAt = this.#clock.monotonic();
      while (!this.#abort.signal.aborted && failure === undefined) {
        await this.#untilDue(() => failure !== undefined);
        if (this.#abort.signal.aborted || failure !== undefined) break;
        this.#dueAt = undefined;
        const again = await this.#body.tick();
        if (again !== undefined) this.#schedule(again);
      }
    } finally {
      watch.close();
      await consuming;
    }
    if (failure !== undefined) throw failure instanceof Error ? failure : new Error(messageOf(failure));
  }

  async #consume(watch: Watch): Promise<void> {
    for await (const events of watch) {
      this.#body.onEvents?.(events);
      this.#schedule(this.#body.debounceMs);
      this.#wake?.();
    }
  }

  #schedule(delayMs: number): void {
    const due = this.#clock.monotonic() + delayMs;
    this.#dueAt = this.#dueAt === undefined ? due : Math.min(this.#dueAt, due);
  }

  async #untilDue(failed: () => boolean): Promise<void> {
    for (;;) {
      const wait = this.#dueAt === undefined ? undefined : this.#dueAt - this.#clock.monotonic();
      if (this.#abort.signal.aborted || failed() || (wait !== undefined && wait <= 0)) return;
      await new Promise<void>((resolve) => {
        let cancel: CancelTimer | undefined;
        this.#wake = () => {
          cancel?.();
          resolve();
        };
        if (wait !== undefined) cancel = this.#clock.after(wait, this.#wake);
      });
      this.#wake = undefined;
    }
  }
}
