import { backoffDelayMs, type BackoffOptions } from './backoff.ts';
import type { CancelTimer, Clock } from './clock.ts';
import { messageOf } from './errors.ts';
import type { Random } from './random.ts';

export interface RepairLoopModules {
  /** Between passes that fail. */
  backoff: BackoffOptions;
  clock: Clock;
  random: Random;
  /** Compares what should be with what is, and carries out the difference. */
  pass(): Promise<void>;
  /** A pass has thrown. @param retryMs undefined when the next one begins at once. */
  failed(error: string, retryMs: number | undefined): void;
}

/**
 * Runs one pass after another while there is a reason for one: never two at a time, any number of reasons that come during a pass
 * makes one more, and one that has failed is tried again with backoff.
 */
export class RepairLoop {
  readonly #modules: RepairLoopModules;
  #running: Promise<void> | undefined;
  #again = false;
  #failures = 0;
  #cancelRetry: CancelTimer | undefined;
  #stopped = false;

  constructor(modules: RepairLoopModules) {
    this.#modules = modules;
  }

  /** Something that a pass depends on has changed. Nothing happens after `stop`. */
  refresh(): void {
    if (this.#stopped) return;
    this.#cancelRetry?.();
    this.#cancelRetry = undefined;
    this.#again = true;
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
      // It may have come just when the last pass had ended.
      if (this.#again) this.refresh();
    });
  }

  /** Runs a pass that begins after this call. Resolves when it is over, and any that was asked for meanwhile. Never rejects. */
  async run(): Promise<void> {
    this.refresh();
    await this.#settled();
  }

  /** Lets the pass under way end, and begins no other. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancelRetry?.();
    await this.#settled();
  }

  /** The pass under way may have begun before what the caller waits for. */
  async #settled(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }

  async #run(): Promise<void> {
    while (this.#again && !this.#stopped) {
      this.#again = false;
      try {
        await this.#modules.pass();
        this.#failures = 0;
      } catch (error) {
        this.#modules.failed(messageOf(error), this.#retryLater());
      }
    }
  }

  #retryLater(): number | undefined {
    if (this.#stopped || this.#again) return undefined;
    this.#failures++;
    const { backoff, clock, random } = this.#modules;
    const retryMs = Math.round(backoffDelayMs(backoff, this.#failures, random()));
    this.#cancelRetry = clock.after(retryMs, () => this.refresh());
    return retryMs;
  }
}
