import { describe, expect, it } from 'vitest';
import { firstFound } from '../../../../proto/runtime/first-found.ts';
import { VirtualClock } from '../../../fixtures/virtual-clock.ts';

describe('firstFound', () => {
  const setup = () => {
    const clock = new VirtualClock();
    const listeners = new Set<() => void>();
    const state: { value: string | undefined } = { value: undefined };
    const found = () =>
      firstFound(
        { waitMs: 1_000, clock },
        () => state.value,
        (listener) => {
          listeners.add(listener);
          return () => listeners.delete(listener);
        },
      );
    const set = (value: string): void => {
      state.value = value;
      for (const listener of [...listeners]) listener();
    };
    return { clock, listeners, state, found, set };
  };

  it.each([
    { id: 'what is there already', before: 'a', change: undefined, expected: 'a' },
    { id: 'what a change brings', before: undefined, change: 'b', expected: 'b' },
    { id: 'nothing when time is up', before: undefined, change: undefined, expected: undefined },
  ])('finds $id, and leaves neither timer nor listener', async ({ before, change, expected }) => {
    const { clock, listeners, state, found, set } = setup();
    state.value = before;
    const result = found();
    await clock.advance(999);
    if (change !== undefined) set(change);
    await clock.advance(1);
    expect(await result).toBe(expected);
    expect([clock.next(), listeners.size]).toEqual([undefined, 0]);
  });
});
