/** Local Health Multiplier (Lifeguard 4.1): how much this node doubts itself, 0 (healthy) to `max`. */
export class Awareness {
  readonly #max: number;
  #score = 0;

  constructor(max: number) {
    this.#max = max;
  }

  get score(): number {
    return this.#score;
  }

  /** Positive for signs of own trouble, negative for a success. */
  add(delta: number): void {
    this.#score = Math.min(this.#max, Math.max(0, this.#score + delta));
  }

  /** A time that a slow node should stretch. */
  stretch(ms: number): number {
    return ms * (this.#score + 1);
  }
}
