import { percentile } from '../bench/percentiles.ts';

/** How long things took, by name. */
export class Durations {
  readonly #samples = new Map<string, number[]>();

  add(name: string, ms: number): void {
    const known = this.#samples.get(name) ?? [];
    known.push(ms);
    this.#samples.set(name, known);
  }

  /** One line each, in the order of names: how many, the middle one, nine of ten, the longest; in seconds. */
  lines(): string[] {
    return [...this.#samples]
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, samples]) => {
        const [p50, p90, max] = [50, 90, 100].map((percent) => (percentile(samples, percent) / 1000).toFixed(1));
        return `${name}: ${samples.length} x, p50 ${p50} s, p90 ${p90} s, max ${max} s`;
      });
  }
}
