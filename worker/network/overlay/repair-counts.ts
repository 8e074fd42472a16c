import { repairKind } from './differences.ts';
import type { ObservedOverlay, Operation } from './overlay-state.ts';

/**
 * How often the audit has put something right, by kind of difference. Counted is only drift: what was in the kernel when the
 * overlay last looked or wrote, and has changed since without its doing.
 */
export class RepairCounts {
  readonly #counts = new Map<string, number>();

  /** @returns what was counted now, by kind. */
  add(operations: readonly Operation[], observed: ObservedOverlay): Record<string, number> {
    const now: Record<string, number> = {};
    for (const operation of operations) {
      const kind = repairKind(operation, operations, observed);
      if (kind === undefined) continue;
      now[kind] = (now[kind] ?? 0) + 1;
      this.count(kind);
    }
    return now;
  }

  count(kind: string): void {
    this.#counts.set(kind, (this.#counts.get(kind) ?? 0) + 1);
  }

  toRecord(): Record<string, number> {
    return Object.fromEntries([...this.#counts].toSorted(([a], [b]) => (a < b ? -1 : 1)));
  }
}
