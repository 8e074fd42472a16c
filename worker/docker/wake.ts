import type { Clock } from '../../proto/runtime/clock.ts';

/** Remembers that something happened until somebody has waited for it. */
export class Wake {
  #ringing = false;
  #release: (() => void) | undefined;

  ring(): void {
    this.#ringing = true;
    this.#release?.();
  }

  /** Resolves with true once it rang since the last wait, with false after `maxMs`. @throws the signal's reason. */
  async wait(clock: Clock, maxMs: number, signal?: AbortSignal): Promise<boolean> {
    signal?.throwIfAborted();
    if (!this.#ringing) {
      await new Promise<void>((resolve) => {
        const done = (): void => {
          cancel();
          signal?.removeEventListener('abort', done);
          this.#release = undefined;
          resolve();
        };
        const cancel = clock.after(maxMs, done);
        this.#release = done;
        signal?.addEventListener('abort', done, { once: true });
      });
      signal?.throwIfAborted();
    }
    const rang = this.#ringing;
    this.#ringing = false;
    return rang;
  }
}
