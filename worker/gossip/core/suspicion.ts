export interface SuspicionBounds {
  minMs: number;
  maxMs: number;
  /** Confirmations that bring the time down to minMs; 0: it is minMs from the start. */
  wanted: number;
}

/**
 * How long a suspicion lasts (Lifeguard 4.2, LHA-Suspicion): from maxMs it falls with the logarithm of the independent
 * confirmations, to minMs when all that are wanted have come.
 */
export function suspicionMs(bounds: SuspicionBounds, confirmations: number): number {
  const { minMs, maxMs, wanted } = bounds;
  if (wanted < 1) return minMs;
  const progress = Math.log(confirmations + 1) / Math.log(wanted + 1);
  return Math.max(minMs, maxMs - progress * (maxMs - minMs));
}

/** One suspicion: who accuses, and when it becomes a verdict. */
export class Suspicion {
  readonly #bounds: SuspicionBounds;
  readonly #accusers: Set<string>;
  #startMs: number;

  constructor(bounds: SuspicionBounds, accuser: string, nowMs: number) {
    this.#bounds = bounds;
    this.#accusers = new Set([accuser]);
    this.#startMs = nowMs;
  }

  get deadlineMs(): number {
    return this.#startMs + suspicionMs(this.#bounds, this.#accusers.size - 1);
  }

  /** @returns true when this accuser is new and still wanted: only then is it worth telling others. */
  confirm(accuser: string): boolean {
    if (this.#accusers.has(accuser) || this.#accusers.size > this.#bounds.wanted) return false;
    this.#accusers.add(accuser);
    return true;
  }

  /** This node stood still: the suspect has had no chance to object meanwhile. */
  postpone(ms: number): void {
    this.#startMs += ms;
  }
}
