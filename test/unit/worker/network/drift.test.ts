import { describe, expect, it } from 'vitest';
import { Drift } from '../../../../worker/network/drift.ts';

describe('drift', () => {
  const different = (desired: string, observed: string): { kind: string }[] =>
    desired === observed ? [] : [{ kind: `${desired} is ${observed}` }];

  it('is what has changed since it was right, whatever is wanted by now, and counts once', () => {
    const drift = new Drift(different);
    expect(drift.note('x')).toBe(false);
    drift.reached('a');
    expect(drift.last).toEqual({ desired: 'a' });
    expect(drift.note('a')).toBe(false);
    drift.reached('b');
    expect(drift.note('c')).toBe(true);
    expect([drift.last, drift.note('c')]).toEqual([undefined, false]);
    drift.reached('b');
    expect(drift.note('c')).toBe(true);
    drift.reached('a');
    expect(drift.note('z')).toBe(true);
    expect(Object.entries(drift.counts)).toEqual([
      ['a is z', 1],
      ['b is c', 2],
    ]);
  });
});
