import type { CancelTimer, Clock } from '../../proto/runtime/clock.ts';

/**
 * Calls `run` at once when it has not run for `intervalMs`, and otherwise at the end of that time: a lone change
 * goes out without delay, a burst in one piece.
 */
export class LeadingTimer {
  readonly #intervalMs: number;
  readonly #clock: Clock;
  readonly #run: () => void;
  #lastAt = Number.NEGATIVE_INFINITY;
  #cancel: CancelTimer | undefined;

  constructor(options: { intervalMs: number; run: () => void }, modules: { clock: Clock }) {
    this.#intervalMs = options.intervalMs;
    this.#run = options.run;
    this.#clock = modules.clock;
  }

  /** There is something to do. */
  mark(): void {
    if (this.#cancel !== undefined) return;
    const wait = this.#lastAt + this.#intervalMs - this.#clock.monotonic();
    if (wait <= 0) this.runNow();
    else this.#cancel = this.#clock.after(wait, () => this.runNow());
  }

  runNow(): void {
    this.cancel();
    this.#lastAt = this.#clock.monotonic();
    this.#run();
  }

  cancel(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }
}
