import { fc, test } from '@fast-check/vitest';
import { describe, expect } from 'vitest';
import { AddressSpace } from '../../../../manager/allocator/address-space.ts';

describe('AddressSpace', () => {
  test.prop([
    fc.array(fc.oneof(fc.constant('next' as const), fc.record({ take: fc.nat(70) }), fc.record({ free: fc.nat(70) })), {
      maxLength: 300,
    }),
    fc.integer({ min: 1000, max: 1030 }),
  ])('does what a set of numbers does, and gives serially', (steps, first) => {
    const bounds = { first, last: first + 63, from: first + 8, to: first + 39 };
    const space = new AddressSpace(bounds);
    const taken = new Set<number>();
    let next = bounds.from;
    for (const step of steps) {
      if (step === 'next') {
        const order = Array.from({ length: 32 }, (_, at) => bounds.from + ((next - bounds.from + at) % 32));
        const expected = order.find((address) => !taken.has(address));
        expect(space.takeNext()).toBe(expected);
        if (expected === undefined) continue;
        taken.add(expected);
        next = expected === bounds.to ? bounds.from : expected + 1;
      } else if ('take' in step) {
        const address = first + step.take;
        expect(space.take(address)).toBe(step.take < 64 && !taken.has(address));
        if (step.take < 64) taken.add(address);
      } else {
        expect(space.free(first + step.free)).toBe(taken.delete(first + step.free));
      }
      const inRange = [...taken].filter((address) => address >= bounds.from && address <= bounds.to).length;
      expect(space.freeCount).toBe(32 - inRange);
    }
  });

  test('a /8 is no more work than a /24, also when its first half is full', () => {
    const first = 10 * 2 ** 24;
    const space = new AddressSpace({ first, last: first + 2 ** 24 - 1, from: first, to: first + 2 ** 24 - 1 });
    for (let count = 0; count < 100_000; count++) space.takeNext();
    space.resumeAfter(first + 2 ** 24 - 1);
    expect(space.takeNext()).toBe(first + 100_000);
    expect(space.freeCount).toBe(2 ** 24 - 100_001);
  });

  test('addresses above 128.0.0.0 are not negative', () => {
    const first = 250 * 2 ** 24;
    const space = new AddressSpace({ first, last: first + 3, from: first, to: first + 3 });
    expect(space.take(first)).toBe(true);
    expect(space.has(first)).toBe(true);
    expect(space.takeNext()).toBe(first + 1);
  });
});
