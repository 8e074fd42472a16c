import { describe, expect, it } from 'vitest';
import { Absences } from '../../../../worker/network/absences.ts';

describe('Absences', () => {
  const cases: { id: string; looks: [now: number, missing: string[], gone: string[], size: number][] }[] = [
    {
      id: 'gone after the time, and not before',
      looks: [
        [0, ['a'], [], 1],
        [9, ['a'], [], 1],
        [10, ['a'], ['a'], 0],
      ],
    },
    {
      id: 'each by its own time',
      looks: [
        [0, ['a'], [], 1],
        [5, ['a', 'b'], [], 2],
        [12, ['a', 'b'], ['a'], 1],
      ],
    },
    {
      id: 'who was back begins anew',
      looks: [
        [0, ['a'], [], 1],
        [5, [], [], 0],
        [12, ['a'], [], 1],
        [22, ['a'], ['a'], 0],
      ],
    },
    {
      id: 'the gone are told once',
      looks: [
        [0, ['a'], [], 1],
        [10, ['a'], ['a'], 0],
        [11, ['a'], [], 1],
      ],
    },
  ];
  it.each(cases)('$id', ({ looks }) => {
    const absences = new Absences(10);
    for (const [now, missing, gone, size] of looks) {
      expect(absences.gone(missing, now)).toEqual(gone);
      expect(absences.size).toBe(size);
    }
  });
});
