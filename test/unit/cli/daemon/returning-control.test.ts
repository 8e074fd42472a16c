import { beforeEach, describe, expect, it } from 'vitest';
import { returningControl } from '../../../../cli/daemon/returning-control.ts';
import type { ControlApi } from '../../../../manager/controlapi/control-api.ts';
import { WaggleError } from '../../../../proto/runtime/errors.ts';
import { VirtualClock } from '../../../fixtures/virtual-clock.ts';

describe('a manager on its way back', () => {
  let clock: VirtualClock;
  let isReturning: boolean;
  let failure: Error | undefined;
  let asked: unknown[];
  let api: ControlApi;
  beforeEach(() => {
    clock = new VirtualClock();
    isReturning = true;
    failure = undefined;
    asked = [];
    const control = (): ControlApi => {
      if (failure !== undefined) throw failure;
      return {
        removeService: async (args: object) => {
          asked.push(args);
          return {};
        },
      } as unknown as ControlApi;
    };
    api = returningControl({ isReturning: () => isReturning, control, clock });
  });
  /** What it has come to, or undefined while it waits. */
  const outcomeOf = (promise: Promise<unknown>): { value?: unknown } => {
    const outcome: { value?: unknown } = {};
    promise.then(
      (value) => (outcome.value = value),
      (error: unknown) => (outcome.value = error),
    );
    return outcome;
  };

  it('answers when it is there, and does what is asked once', async () => {
    const outcome = outcomeOf(api.removeService({ ref: 'web' }));
    await clock.advance(3_000);
    expect([outcome.value, asked]).toEqual([undefined, []]);
    isReturning = false;
    await clock.advance(100);
    expect([outcome.value, asked]).toEqual([{}, [{ ref: 'web' }]]);
  });

  it('says what keeps it from coming back', async () => {
    const outcome = outcomeOf(api.removeService({ ref: 'web' }));
    isReturning = false;
    failure = new WaggleError('unavailable', 'the log is damaged');
    await clock.advance(100);
    expect(outcome.value).toBe(failure);
  });

  it('does not keep anybody waiting for good', async () => {
    const outcome = outcomeOf(api.removeService({ ref: 'web' }));
    await clock.advance(10_200);
    expect(outcome.value).toMatchObject({
      code: 'unavailable',
      message: 'this node is on its way back into the swarm',
    });
    expect([asked, clock.next()]).toEqual([[], undefined]);
  });
});
