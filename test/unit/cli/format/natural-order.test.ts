import { fc, test } from '@fast-check/vitest';
import { describe, expect, it } from 'vitest';
import { naturalOrder } from '../../../../cli/format/natural-order.ts';

describe('natural order', () => {
  const ORDERED: { id: string; names: string[] }[] = [
    { id: 'numbers by their value', names: ['h1', 'h2', 'h10', 'h11', 'h100'] },
    { id: 'each number in turn', names: ['a1b2', 'a1b10', 'a2b1'] },
    { id: 'numbers larger than a safe integer', names: ['n9007199254740992', 'n9007199254740993'] },
    { id: 'fewer leading zeros first', names: ['a2', 'a02', 'a002', 'a3'] },
    { id: 'digits before all else', names: ['web', 'web1', 'web-1', 'web.1'] },
    { id: 'what begins another one before it', names: ['', 'db', 'db-a', 'dba'] },
    { id: 'capitals before small letters, as Go compares', names: ['Beta', 'alpha', 'beta'] },
    { id: 'letters of other scripts by their code', names: ['z', 'ä', '蜂'] },
  ];
  for (const { id, names } of ORDERED) {
    it(`puts ${id}`, () => {
      expect(names.toReversed().toSorted(naturalOrder)).toEqual(names);
    });
  }

  const name = fc.stringMatching(/^[a0-2.-]{0,6}$/);
  test.prop([name, name, name])('is a total order', (a, b, c) => {
    expect(Math.sign(naturalOrder(a, b))).toBe(-Math.sign(naturalOrder(b, a)) + 0);
    expect(naturalOrder(a, b) === 0).toBe(a === b);
    const [first, second, third] = [a, b, c].toSorted(naturalOrder) as [string, string, string];
    expect(naturalOrder(first, third)).toBeLessThanOrEqual(0);
    expect(naturalOrder(first, second)).toBeLessThanOrEqual(0);
  });
});
