import { fc, test } from '@fast-check/vitest';
import { describe, expect, it } from 'vitest';
import { nanosOfTime, nanosOfUnix, nanosOfUntil } from '../../../../manager/engineapi/timestamp.ts';
import { rfc3339 } from '../../../../proto/runtime/clock.ts';

const NOW_MS = 1_800_000_000_000;

describe('timestamps', () => {
  it.each([
    ['1', 1_000_000_000n],
    ['1795190774.725407317', 1_795_190_774_725_407_317n],
    ['1.5', 1_500_000_000n],
    ['', undefined],
    ['-1', undefined],
    ['1.2.3', undefined],
  ])('Unix %j', (value, nanos) => {
    expect(nanosOfUnix(value)).toBe(nanos);
  });

  it.each([
    ['24h', BigInt(NOW_MS - 86_400_000) * 1_000_000n],
    ['1h30m', BigInt(NOW_MS - 5_400_000) * 1_000_000n],
    ['1.5s', BigInt(NOW_MS - 1_500) * 1_000_000n],
    ['10', 10_000_000_000n],
    ['2026-11-20T16:06:14.5Z', 1_795_190_774_500_000_000n],
  ])('until %s', (value, nanos) => {
    expect(nanosOfUntil(value, NOW_MS)).toBe(nanos);
  });

  it('refuses an until that is neither', () => {
    expect(() => nanosOfUntil('soon', NOW_MS)).toThrow('failed to parse value as time or duration: "soon"');
  });

  test.prop([fc.integer({ min: 0, max: 4_000_000_000_000 })])('reads what Docker prints', (ms) => {
    expect(nanosOfTime(rfc3339(ms))).toBe(BigInt(ms) * 1_000_000n);
  });
});
