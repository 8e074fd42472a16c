import { z } from 'zod';

const GIGA = 1e9;

const tcp = z.object({ end: z.object({ sum_received: z.object({ bits_per_second: z.number() }) }) });

const udp = z.object({
  end: z.object({
    sum: z.object({
      seconds: z.number().positive(),
      bytes: z.number(),
      lost_percent: z.number(),
    }),
  }),
});

/** Gbit/s that arrived, from the output of `iperf3 -J`. @throws Error with iperf3's own words when it failed. */
export function tcpThroughput(output: string): number {
  return tcp.parse(parsed(output)).end.sum_received.bits_per_second / GIGA;
}

/** What arrived of what was sent (`end.sum` counts what was sent), from the output of `iperf3 -u -J`. */
export function udpThroughput(output: string): { gigabits: number; lostPercent: number } {
  const { bytes, seconds, lost_percent: lostPercent } = udp.parse(parsed(output)).end.sum;
  return { gigabits: ((bytes * 8) / seconds / GIGA) * (1 - lostPercent / 100), lostPercent };
}

function parsed(output: string): unknown {
  const report: unknown = JSON.parse(output);
  const failure = z.object({ error: z.string() }).safeParse(report);
  if (failure.success) throw new Error(`iperf3: ${failure.data.error}`);
  return report;
}
