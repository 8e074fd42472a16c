/**
 * How often something has been put right, by kind of difference. Counted is only drift: what was right when it was last looked at
 * or written, and has changed since without our doing.
 */
export class RepairCounts {
  readonly #counts = new Map<string, number>();

  /** @returns what was counted now, by kind. */
  add(kinds: Iterable<string>): Record<string, number> {
    const now: Record<string, number> = {};
    for (const kind of kinds) {
      now[kind] = (now[kind] ?? 0) + 1;
      this.#counts.set(kind, (this.#counts.get(kind) ?? 0) + 1);
    }
    return now;
  }

  /** All that was counted, in the order of the names of kinds. */
  toRecord(): Record<string, number> {
    return Object.fromEntries([...this.#counts].toSorted(([a], [b]) => (a < b ? -1 : 1)));
  }
}
