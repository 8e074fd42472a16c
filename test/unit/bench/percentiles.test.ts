import { fc, test } from '@fast-check/vitest';
import { describe, expect, it } from 'vitest';
import { median, percentile, spreadOf } from '../../bench/percentiles.ts';

const samples = fc.array(fc.double({ min: -1e6, max: 1e6, noNaN: true }), { minLength: 1, maxLength: 60 });

describe('percentile', () => {
  const hundred = Array.from({ length: 100 }, (_, index) => 100 - index);
  const cases = [
    { id: 'half of a hundred', of: hundred, percent: 50, is: 50 },
    { id: 'the 99th of a hundred', of: hundred, percent: 99, is: 99 },
    { id: 'a fraction rounds up', of: hundred, percent: 98.1, is: 99 },
    { id: 'all', of: hundred, percent: 100, is: 100 },
    { id: 'none is the smallest', of: hundred, percent: 0, is: 1 },
    { id: 'numbers and not texts are sorted', of: [10, 9, 2], percent: 100, is: 10 },
    { id: 'p99 of few is the largest', of: [1, 2, 3], percent: 99, is: 3 },
  ];
  for (const { id, of, percent, is } of cases) it(id, () => expect(percentile(of, percent)).toBe(is));

  it('refuses no samples and no percentage', () => {
    expect(() => percentile([], 50)).toThrow(RangeError);
    expect(() => percentile([1], 101)).toThrow(RangeError);
  });

  test.prop([samples, fc.integer({ min: 0, max: 100 })])(
    'is the smallest sample that covers so many',
    (of, percent) => {
      const value = percentile(of, percent);
      expect(of.map((each) => each + 0)).toContain(value + 0);
      expect(of.filter((each) => each <= value).length).toBeGreaterThanOrEqual((percent / 100) * of.length);
      if (percent > 0) expect(of.filter((each) => each < value).length).toBeLessThan((percent / 100) * of.length);
    },
  );
});

describe('median', () => {
  const cases = [
    { id: 'one', of: [7], is: 7 },
    { id: 'the middle of three', of: [30, 4, 5], is: 5 },
    { id: 'between two of four', of: [1, 100, 2, 4], is: 3 },
  ];
  for (const { id, of, is } of cases) it(id, () => expect(median(of)).toBe(is));

  it('leaves its input as it was', () => {
    const of = [3, 1, 2];
    median(of);
    expect(of).toEqual([3, 1, 2]);
  });

  it('refuses no samples', () => expect(() => median([])).toThrow(RangeError));
});

it('a spread counts its samples', () => {
  expect(spreadOf([5, 1, 3])).toEqual({ min: 1, median: 3, max: 5, count: 3 });
});
