import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';

/** The only source of chance in a simulation: the same seed gives the same run. */
export class SeededRandom {
  readonly #generator: ReturnType<typeof xoroshiro128plus>;

  constructor(seed: number) {
    this.#generator = xoroshiro128plus(seed);
    // Neighbouring seeds begin alike.
    for (let turn = 0; turn < 16; turn++) this.#generator.next();
  }

  /** In [0, 1). */
  readonly next = (): number => (this.#generator.next() >>> 0) / 2 ** 32;

  /** Whole numbers from `from` to `to`, both included. */
  int(from: number, to: number): number {
    return from + Math.floor(this.next() * (to - from + 1));
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  pick<T>(from: readonly T[]): T | undefined {
    return from[Math.floor(this.next() * from.length)];
  }

  /** A new order. */
  shuffle<T>(list: readonly T[]): T[] {
    return list
      .map((value) => ({ value, order: this.next() }))
      .toSorted((a, b) => a.order - b.order)
      .map(({ value }) => value);
  }
}
