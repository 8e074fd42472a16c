export interface Spread {
  min: number;
  median: number;
  max: number;
  count: number;
}

/**
 * The smallest sample that at least `percent` per cent of all samples do not exceed (nearest rank).
 * @throws RangeError without samples or outside 0..100.
 */
export function percentile(samples: readonly number[] | Float64Array, percent: number): number {
  if (percent < 0 || percent > 100) throw new RangeError(`${percent} is not a percentage`);
  const sorted = Float64Array.from(samples).sort();
  const value = sorted[Math.max(0, Math.ceil((percent / 100) * sorted.length) - 1)];
  if (value === undefined) throw new RangeError('there are no samples');
  return value;
}

/** The middle sample, or the mean of the two middle ones. @throws RangeError without samples. */
export function median(samples: readonly number[]): number {
  const sorted = samples.toSorted((a, b) => a - b);
  const upper = sorted[sorted.length >> 1];
  const lower = sorted[(sorted.length - 1) >> 1];
  if (upper === undefined || lower === undefined) throw new RangeError('there are no samples');
  return (lower + upper) / 2;
}

/** @throws RangeError without samples. */
export function spreadOf(samples: readonly number[]): Spread {
  return {
    min: Math.min(...samples),
    median: median(samples),
    max: Math.max(...samples),
    count: samples.length,
  };
}
