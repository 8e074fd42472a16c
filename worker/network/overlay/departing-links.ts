import type { Clock } from '../../../proto/runtime/clock.ts';
import { waitingName } from './link-names.ts';

/**
 * How long after its removal was done a link may still be seen: one that went with its namespace is taken apart by the kernel later, by
 * its own worker, on a busy machine seconds later.
 */
const FADE_MS = 10_000;

/** Links in the host that no endpoint has any more, and that are gone as soon as the kernel gets to it: nobody's leftovers yet. */
export class DepartingLinks {
  readonly #clock: Clock;
  /** Until when, on the monotonic clock. */
  readonly #links = new Map<string, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Names of links, at this moment. */
  names(): Set<string> {
    const now = this.#clock.monotonic();
    for (const [link, until] of this.#links) if (until < now) this.#links.delete(link);
    return new Set(this.#links.keys());
  }

  /** @returns what `removal` does, during and shortly after which the endpoint's link is departing; not after it has failed. */
  async during(endpointId: string, removal: () => Promise<void>): Promise<void> {
    const link = waitingName(endpointId);
    this.#links.set(link, Number.POSITIVE_INFINITY);
    try {
      await removal();
      this.#links.set(link, this.#clock.monotonic() + FADE_MS);
    } catch (error) {
      this.#links.delete(link);
      throw error;
    }
  }

  /** What is still there is not waited for any more. */
  clear(): void {
    this.#links.clear();
  }
}
