/** Pings that are remembered: some seconds' worth. */
const PINGS = 256;
const SAMPLES = 32;
/** With fewer nothing is said. */
const FEWEST = 8;

/**
 * What a round trip takes from here, whoever answers: so that time-outs fit the network there is. Each ping has a number of its own,
 * so an answer is never taken for that of another (Karn and Partridge 1987); late answers count, too. The upper quartile, not a
 * mean and its deviation as in RFC 6298: up to a quarter of the swarm may be slow and nothing changes for the others.
 */
export class RoundTrips {
  readonly #sentAtMs = new Float64Array(PINGS);
  readonly #sequences = new Float64Array(PINGS).fill(-1);
  readonly #samples: number[] = [];
  #next = 0;
  #usualMs: number | undefined;

  sent(sequence: number, nowMs: number): void {
    const slot = sequence % PINGS;
    this.#sequences[slot] = sequence;
    this.#sentAtMs[slot] = nowMs;
  }

  /** The first answer to a ping counts, others are of no interest. */
  answered(sequence: number, nowMs: number): void {
    const slot = sequence % PINGS;
    if (this.#sequences[slot] !== sequence) return;
    this.#sequences[slot] = -1;
    this.#samples[this.#next] = nowMs - (this.#sentAtMs[slot] ?? nowMs);
    this.#next = (this.#next + 1) % SAMPLES;
    this.#usualMs = undefined;
  }

  /** Three quarters of the last 32 round trips took no longer; 0 as long as little is known. */
  get usualMs(): number {
    const { length } = this.#samples;
    if (length < FEWEST) return 0;
    this.#usualMs ??= this.#samples.toSorted((a, b) => a - b)[Math.ceil(0.75 * length) - 1] ?? 0;
    return this.#usualMs;
  }
}
