import type { Clock } from '../../proto/runtime/clock.ts';
import { percentile } from './percentiles.ts';

export interface WriteLoad {
  clients: number;
  durationMs: number;
  /** One write; resolves when it is acknowledged. @param index distinct within a load. */
  write: (index: number) => Promise<void>;
}

export interface WriteLoadReport {
  count: number;
  perSecond: number;
  p50Ms: number;
  p99Ms: number;
}

/** Each client writes again as soon as its last write is acknowledged. @throws the first failure of a write, after all clients have ended. */
export async function runWriteLoad(load: WriteLoad, clock: Clock): Promise<WriteLoadReport> {
  const began = clock.monotonic();
  const latencies: number[] = [];
  let next = 0;
  let broken = false;
  const client = async (): Promise<void> => {
    for (let now = clock.monotonic(); !broken && now - began < load.durationMs; ) {
      try {
        await load.write(next++);
      } catch (error) {
        broken = true;
        throw error;
      }
      const acknowledged = clock.monotonic();
      latencies.push(acknowledged - now);
      now = acknowledged;
    }
  };
  const outcomes = await Promise.allSettled(Array.from({ length: load.clients }, client));
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
  return {
    count: latencies.length,
    perSecond: (latencies.length / (clock.monotonic() - began)) * 1000,
    p50Ms: percentile(latencies, 50),
    p99Ms: percentile(latencies, 99),
  };
}
