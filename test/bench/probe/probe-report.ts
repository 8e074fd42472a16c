import { availableParallelism } from 'node:os';
import path from 'node:path';
import { z } from 'zod';
import type { Place, StopServer } from '../place.ts';

const report = z.object({ count: z.number(), perSecond: z.number(), p50Us: z.number(), p99Us: z.number() });

/** What the probe measured; times in microseconds. */
export type ProbeReport = z.infer<typeof report>;

const PROBE = [process.execPath, '--disable-warning=ExperimentalWarning', path.join(import.meta.dirname, 'main.ts')];
const TIMEOUT_MS = 60_000;

/**
 * Programs of two places that wait for each other are put on processors of their own. Where the scheduler may choose, it puts some pairs
 * on one and others on two, by the way that their packets take, and what is measured is that: 12 or 70 us for the same way.
 */
export const OWN_PROCESSORS = { client: 0, server: availableParallelism() - 1 };

/** Runs the probe in that place. @throws Error with what it printed when a connection breaks or a name is not known. */
export async function probe(
  place: Place,
  command: readonly (string | number)[],
  processor?: number,
): Promise<ProbeReport> {
  const program = [...on(processor), ...PROBE, ...command.map(String)];
  const { stdout } = await place.run(program, { timeoutMs: TIMEOUT_MS });
  return report.parse(JSON.parse(stdout));
}

export function serveProbe(place: Place, port: number, processor?: number): Promise<StopServer> {
  return place.serve([...on(processor), ...PROBE, 'serve', String(port)], 'ready');
}

function on(processor: number | undefined): string[] {
  return processor === undefined ? [] : ['taskset', '-c', String(processor)];
}
