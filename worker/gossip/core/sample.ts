import type { Random } from '../../../proto/runtime/random.ts';

/** So many different ones, in random order; all when there are not more. Costs as much as it returns (Floyd's algorithm). */
export function sample<T>(from: readonly T[], count: number, random: Random): T[] {
  const wanted = Math.min(count, from.length);
  const chosen = new Set<number>();
  for (let top = from.length - wanted; top < from.length; top++) {
    const at = Math.floor(random() * (top + 1));
    chosen.add(chosen.has(at) ? top : at);
  }
  const order = Array.from(chosen, (at) => ({ at, key: random() })).toSorted((a, b) => a.key - b.key);
  return order.map(({ at }) => from[at] as T);
}
