import { type BackoffOptions, backoffDelayMs } from '../../proto/runtime/backoff.ts';
import type { Clock } from '../../proto/runtime/clock.ts';
import type { Startable } from '../../proto/runtime/lifecycle.ts';
import type { Random } from '../../proto/runtime/random.ts';
import { Wake } from './wake.ts';

export interface ReconcileLoopOptions {
  /** Longest time between two passes while all is well. */
  auditMs: number;
  /** Between passes while something is left to do. */
  backoff: BackoffOptions;
}

/**
 * Runs `pass` once at the start, when woken, when it said that something is left, and every `auditMs`; never two at a
 * time. A pass does not throw: it answers whether everything is as it should be. Its signal is aborted by `stop`, which waits for it.
 */
export class ReconcileLoop implements Startable {
  readonly #options: ReconcileLoopOptions;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #pass: (signal: AbortSignal) => Promise<boolean>;
  readonly #wake = new Wake();
  #stopping = new AbortController();
  #running: Promise<void> | undefined;

  constructor(
    options: ReconcileLoopOptions,
    modules: { clock: Clock; random: Random; pass: (signal: AbortSignal) => Promise<boolean> },
  ) {
    this.#options = options;
    this.#clock = modules.clock;
    this.#random = modules.random;
    this.#pass = modules.pass;
  }

  wake(): void {
    this.#wake.ring();
  }

  async start(): Promise<void> {
    if (this.#running !== undefined) return;
    this.#stopping = new AbortController();
    this.#wake.ring();
    this.#running = this.#run(this.#stopping.signal);
  }

  async stop(): Promise<void> {
    this.#stopping.abort(new Error('stopped'));
    await this.#running;
    this.#running = undefined;
  }

  async #run(signal: AbortSignal): Promise<void> {
    let failures = 0;
    let delay = this.#options.auditMs;
    while (!signal.aborted) {
      try {
        await this.#wake.wait(this.#clock, delay, signal);
      } catch {
        return;
      }
      failures = (await this.#pass(signal)) ? 0 : failures + 1;
      const { auditMs, backoff } = this.#options;
      delay = failures === 0 ? auditMs : Math.min(auditMs, backoffDelayMs(backoff, failures, this.#random()));
    }
  }
}
