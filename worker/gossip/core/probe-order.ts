import type { Random } from '../../../proto/runtime/random.ts';

/**
 * Round-robin in random order (SWIM 4.3): every index comes once a round, so the wait for the first probe is bounded. After a
 * round each half is shuffled within itself: orders stay unrelated among nodes, and no index waits longer than 1.5 rounds.
 */
export class ProbeOrder {
  readonly #random: Random;
  #order = new Uint32Array(0);
  #at = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  /** Begins anew with so many. */
  reset(count: number): void {
    this.#order = Uint32Array.from({ length: count }, (_, index) => index);
    this.#shuffle(0, count);
    this.#at = 0;
  }

  /** The next index for which `wanted` holds; undefined when there is none in a whole round. */
  next(wanted: (index: number) => boolean): number | undefined {
    const count = this.#order.length;
    for (let tries = 0; tries < count; tries++) {
      if (this.#at >= count) {
        this.#at = 0;
        this.#shuffle(0, count >> 1);
        this.#shuffle(count >> 1, count);
      }
      const index = this.#order[this.#at++];
      if (index !== undefined && wanted(index)) return index;
    }
    return undefined;
  }

  #shuffle(from: number, to: number): void {
    const order = this.#order;
    for (let at = to - 1; at > from; at--) {
      const other = from + Math.floor(this.#random() * (at - from + 1));
      const kept = order[at] ?? 0;
      order[at] = order[other] ?? 0;
      order[other] = kept;
    }
  }
}
