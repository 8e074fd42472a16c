import { fc, test } from '@fast-check/vitest';
import { describe, expect } from 'vitest';
import { AddressSpace } from '../../../../manager/allocator/address-space.ts';

describe('AddressSpace', () => {
  test.prop([
    fc.array(fc.oneof(fc.constant('next' as const), fc.record({ take: fc.nat(70) }), fc.record({ free: fc.nat(70) })), {
      maxLength: 300,
    }),
    fc.integer({ min: 1000, max: 1030 }),
  ])('does what a set of numbers does, and gives serially', (steps, start) => {
    const first = BigInt(start);
    const bounds = { first, last: first + 63n, from: first + 8n, to: first + 39n };
    const space = new AddressSpace(bounds);
    const taken = new Set<bigint>();
    let next = bounds.from;
    for (const step of steps) {
      if (step === 'next') {
        const order = Array.from({ length: 32 }, (_, at) => bounds.from + ((next - bounds.from + BigInt(at)) % 32n));
        const expected = order.find((address) => !taken.has(address));
        expect(space.takeNext()).toBe(expected);
        if (expected === undefined) continue;
        taken.add(expected);
        next = expected === bounds.to ? bounds.from : expected + 1n;
      } else if ('take' in step) {
        const address = first + BigInt(step.take);
        expect(space.take(address)).toBe(step.take < 64 && !taken.has(address));
        if (step.take < 64) taken.add(address);
      } else {
        const address = first + BigInt(step.free);
        expect(space.free(address)).toBe(taken.delete(address));
      }
      const inRange = [...taken].filter((address) => address >= bounds.from && address <= bounds.to).length;
      expect(space.freeCount).toBe(32 - inRange);
    }
  });

  test('a /8 is no more work than a /24, also when its first half is full', () => {
    const first = 10n * 2n ** 24n;
    const space = new AddressSpace({ first, last: first + 2n ** 24n - 1n, from: first, to: first + 2n ** 24n - 1n });
    for (let count = 0; count < 100_000; count++) space.takeNext();
    space.resumeAfter(first + 2n ** 24n - 1n);
    expect(space.takeNext()).toBe(first + 100_000n);
    expect(space.freeCount).toBe(2 ** 24 - 100_001);
  });

  test('addresses above 128.0.0.0 are not negative', () => {
    const first = 250n * 2n ** 24n;
    const space = new AddressSpace({ first, last: first + 3n, from: first, to: first + 3n });
    expect(space.take(first)).toBe(true);
    expect(space.has(first)).toBe(true);
    expect(space.takeNext()).toBe(first + 1n);
  });

  test('a /64 of IPv6 is no more work than a /24, at both of its ends', () => {
    const first = 0xfd00n << 112n;
    const last = first + 2n ** 64n - 1n;
    const space = new AddressSpace({ first, last, from: first, to: last });
    expect(space.take(last)).toBe(true);
    expect(space.take(first)).toBe(true);
    expect(space.take(last + 1n)).toBe(false);
    expect([space.takeNext(), space.takeNext()]).toEqual([first + 1n, first + 2n]);
    space.resumeAfter(last - 1n);
    expect(space.takeNext()).toBe(first + 3n);
    expect(space.free(last)).toBe(true);
    expect(space.freeCount).toBeGreaterThan(2 ** 63);
  });
});
