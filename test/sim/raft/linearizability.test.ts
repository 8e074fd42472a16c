import { fc, test } from '@fast-check/vitest';
import { describe, expect, it } from 'vitest';
import { type Command, REGISTER, type Result } from './key-value.ts';
import { isLinearizable, type Operation } from './linearizability.ts';

type History = Operation<Command, Result>[];

const put = (value: number): Command => ({ kind: 'put', key: 'k', value });
const get: Command = { kind: 'get', key: 'k' };
const swap = (expected: number, value: number): Command => ({ kind: 'swap', key: 'k', expected, value });
const seen = (command: Command, call: number, at: number, result: number): History[number] => ({
  call,
  command,
  outcome: { at, result },
});
const unknown = (command: Command, call: number): History[number] => ({ call, command });

const cases: { id: string; history: History; expected: boolean }[] = [
  { id: 'nothing', history: [], expected: true },
  { id: 'a read of what was written', history: [seen(put(1), 1, 2, 0), seen(get, 3, 4, 1)], expected: true },
  { id: 'a stale read', history: [seen(put(1), 1, 2, 0), seen(get, 3, 4, 0)], expected: false },
  {
    id: 'a read that overlaps a write may miss it',
    history: [seen(put(1), 1, 4, 0), seen(get, 2, 3, 0)],
    expected: true,
  },
  { id: 'or see it', history: [seen(put(1), 1, 4, 0), seen(get, 2, 3, 1)], expected: true },
  {
    id: 'but what was seen stays',
    history: [seen(put(1), 1, 8, 0), seen(get, 2, 3, 1), seen(get, 4, 5, 0)],
    expected: false,
  },
  { id: 'a write of unknown outcome may be seen', history: [unknown(put(1), 1), seen(get, 2, 3, 1)], expected: true },
  { id: 'or never be', history: [unknown(put(1), 1), seen(get, 2, 3, 0)], expected: true },
  {
    id: 'but takes effect once',
    history: [unknown(put(1), 1), seen(get, 2, 3, 1), seen(put(2), 4, 5, 1), seen(get, 6, 7, 1)],
    expected: false,
  },
  { id: 'two swaps of one value', history: [seen(swap(0, 1), 1, 3, 0), seen(swap(0, 2), 2, 4, 0)], expected: false },
  { id: 'one of them fails', history: [seen(swap(0, 1), 1, 3, 2), seen(swap(0, 2), 2, 4, 0)], expected: true },
  { id: 'a write from nowhere', history: [seen(get, 1, 2, 5)], expected: false },
];

describe('isLinearizable', () => {
  it.each(cases)('$id', ({ history, expected }) => {
    expect(isLinearizable(REGISTER, history)).toBe(expected);
  });

  const command = fc.oneof(
    fc.integer({ min: 1, max: 3 }).map(put),
    fc.constant(get),
    fc.tuple(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 1, max: 3 })).map(([a, b]) => swap(a, b)),
  );
  const operation = fc.record({
    command,
    result: fc.option(fc.integer({ min: 0, max: 3 }), { freq: 5 }),
    from: fc.double({ min: 0, max: 1, noNaN: true }),
    length: fc.double({ min: 0, max: 0.6, noNaN: true }),
  });
  const histories = fc.array(operation, { maxLength: 5 }).map((drafts): History => {
    const times = drafts.flatMap(({ from, length }, at) => [
      { at, key: 'call', time: from },
      { at, key: 'return', time: from + length },
    ]);
    // Distinct times, every call before its return.
    const order = times.toSorted((a, b) => a.time - b.time || (a.key === 'call' ? -1 : 1));
    const timeOf = (at: number, key: string): number => order.findIndex((each) => each.at === at && each.key === key);
    return drafts.map(({ command: each, result }, at) =>
      result === null
        ? unknown(each, timeOf(at, 'call'))
        : seen(each, timeOf(at, 'call'), timeOf(at, 'return'), result),
    );
  });

  test.prop([histories], { numRuns: 3000 })('agrees with trying every order', (history) => {
    expect(isLinearizable(REGISTER, history)).toBe(tryEveryOrder(history));
  });
});

/** Chooses the next operation in all ways that respect real time; unknown ones may be left out. */
function tryEveryOrder(history: History, state = 0): boolean {
  if (history.every((each) => each.outcome === undefined)) return true;
  const firstReturn = Math.min(...history.map((each) => each.outcome?.at ?? Number.POSITIVE_INFINITY));
  return history.some((each, at) => {
    if (each.call > firstReturn) return false;
    const step = REGISTER.apply(state, each.command);
    if (each.outcome !== undefined && each.outcome.result !== step.result) return false;
    return tryEveryOrder(history.toSpliced(at, 1), step.state);
  });
}
