/** At most so many count: as far as Lifeguard goes with this node's own health. */
const MOST = 8;

/**
 * How often members have cleared themselves of a suspicion lately. Who does so often is slow, or badly connected, and not dead: it is
 * waited for longer before it is suspected again, as Lifeguard has it for the one who waits. Objections are told to all, so all wait alike.
 */
export class Objections {
  readonly #fadeMs: number;
  readonly #counts = new Map<string, { count: number; sinceMs: number }>();

  /** @param fadeMs after each such time one counts less. */
  constructor(fadeMs: number) {
    this.#fadeMs = fadeMs;
  }

  add(nodeId: string, nowMs: number): void {
    const count = Math.min(MOST, this.of(nodeId, nowMs) + 1);
    this.#counts.set(nodeId, { count, sinceMs: nowMs });
  }

  of(nodeId: string, nowMs: number): number {
    const known = this.#counts.get(nodeId);
    if (known === undefined) return 0;
    const count = known.count - Math.floor((nowMs - known.sinceMs) / this.#fadeMs);
    if (count <= 0) this.#counts.delete(nodeId);
    return Math.max(0, count);
  }

  forget(nodeId: string): void {
    this.#counts.delete(nodeId);
  }
}
