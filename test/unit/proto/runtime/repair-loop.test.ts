import { beforeEach, describe, expect, it } from 'vitest';
import { RepairLoop } from '../../../../proto/runtime/repair-loop.ts';
import { VirtualClock } from '../../../fixtures/virtual-clock.ts';

describe('a repair loop', () => {
  let clock: VirtualClock;
  let passes: PromiseWithResolvers<void>[];
  let failures: [error: string, retryMs: number | undefined][];
  let loop: RepairLoop;
  beforeEach(() => {
    clock = new VirtualClock();
    passes = [];
    failures = [];
    loop = new RepairLoop({
      backoff: { minMs: 200, maxMs: 5_000, factor: 2, jitter: 0.3 },
      clock,
      random: () => 0.5,
      pass: () => {
        passes.push(Promise.withResolvers<void>());
        return passes.at(-1)?.promise ?? Promise.resolve();
      },
      failed: (error, retryMs) => void failures.push([error, retryMs]),
    });
  });
  const end = async (index: number, error?: string): Promise<void> => {
    if (error === undefined) passes[index]?.resolve();
    else passes[index]?.reject(new Error(error));
    await clock.advance(0);
  };

  it('runs one pass at a time, and one more for all that came meanwhile', async () => {
    const first = loop.run();
    loop.refresh();
    loop.refresh();
    let done = false;
    const second = loop.run().finally(() => (done = true));
    await clock.advance(60_000);
    expect(passes).toHaveLength(1);
    await end(0);
    expect([passes.length, done]).toEqual([2, false]);
    await end(1);
    await Promise.all([first, second]);
    expect(passes).toHaveLength(2);
  });

  const moments = [0, 1, 2, 3, 4, 5].flatMap((turns) => [
    { id: `${turns} turns after a pass`, turns, error: undefined },
    { id: `${turns} turns after a pass that failed`, turns, error: new Error('broken') },
  ]);
  it.each(moments)('loses no reason that comes $id', async ({ turns, error }) => {
    loop.refresh();
    if (error === undefined) passes[0]?.resolve();
    else passes[0]?.reject(error);
    for (let turn = 0; turn < turns; turn++) await Promise.resolve();
    let done = false;
    const run = loop.run().finally(() => (done = true));
    await clock.advance(0);
    expect([passes.length, done]).toEqual([2, false]);
    await end(1);
    await run;
  });

  it('tries again what has failed, later each time, and from the beginning after a success', async () => {
    const waits: number[] = [];
    const run = loop.run();
    await end(0, 'e0');
    await run;
    for (let index = 0; index < 9; index++) {
      const [, retryMs = 0] = failures.at(-1) ?? [];
      waits.push(retryMs);
      await clock.advance(retryMs - 1);
      expect(passes).toHaveLength(index + 1);
      await clock.advance(1);
      await end(index + 1, `e${index + 1}`);
    }
    expect(waits).toEqual(waits.toSorted((a, b) => a - b));
    expect(waits[0]).toBeLessThanOrEqual(200);
    expect(Math.max(...waits)).toBeLessThanOrEqual(5_000);
    expect(new Set(waits.slice(-2)).size).toBe(1);
    loop.refresh();
    await end(10);
    loop.refresh();
    await end(11, 'again');
    expect(failures.at(-1)).toEqual(['again', waits[0]]);
  });

  it('does not wait when there is a new reason', async () => {
    const run = loop.run();
    await end(0, 'broken');
    await run;
    loop.refresh();
    expect(passes).toHaveLength(2);
    loop.refresh();
    await end(1, 'still');
    expect(failures.at(-1)).toEqual(['still', undefined]);
    expect(passes).toHaveLength(3);
    await end(2);
    await clock.advance(60_000);
    expect(passes).toHaveLength(3);
  });

  it('begins nothing after its stop, which waits for the pass under way', async () => {
    loop.refresh();
    loop.refresh();
    let stopped = false;
    const stop = loop.stop().finally(() => (stopped = true));
    await clock.advance(0);
    expect(stopped).toBe(false);
    await end(0, 'late');
    await stop;
    await loop.run();
    await clock.advance(60_000);
    expect(passes).toHaveLength(1);
  });
});
