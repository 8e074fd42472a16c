import { describe, expect, it } from 'vitest';
import { runWriteLoad } from '../../bench/write-load.ts';
import { sleep } from '../../../proto/runtime/clock.ts';
import { VirtualClock } from '../../fixtures/virtual-clock.ts';

describe('a load of writes', () => {
  const cases = [
    { id: 'one client waits for each', clients: 1, count: 100, perSecond: 100 },
    { id: 'clients do not wait for each other', clients: 8, count: 800, perSecond: 800 },
  ];
  for (const { id, clients, count, perSecond } of cases) {
    it(id, async () => {
      const clock = new VirtualClock();
      const indexes = new Set<number>();
      const write = async (index: number): Promise<void> => {
        indexes.add(index);
        await sleep(clock, 10);
      };
      const running = runWriteLoad({ clients, durationMs: 1000, write }, clock);
      await clock.advance(2000);
      const report = await running;
      expect(report).toMatchObject({ count, p50Ms: 10, p99Ms: 10 });
      expect(indexes.size).toBe(count);
      expect(report.perSecond).toBeCloseTo(perSecond, 0);
    });
  }

  it('ends for all clients when one write fails', async () => {
    const clock = new VirtualClock();
    let attempts = 0;
    const write = async (index: number): Promise<void> => {
      attempts++;
      await sleep(clock, 10);
      if (index === 5) throw new Error('refused');
    };
    const failed = expect(runWriteLoad({ clients: 4, durationMs: 1000, write }, clock)).rejects.toThrow('refused');
    await clock.advance(2000);
    await failed;
    expect(attempts).toBeLessThan(12);
  });
});
