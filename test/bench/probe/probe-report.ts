import path from 'node:path';
import { z } from 'zod';
import type { Place, StopServer } from '../place.ts';

const report = z.object({ count: z.number(), perSecond: z.number(), p50Us: z.number(), p99Us: z.number() });

/** What the probe measured; times in microseconds. */
export type ProbeReport = z.infer<typeof report>;

const PROBE = [process.execPath, '--disable-warning=ExperimentalWarning', path.join(import.meta.dirname, 'main.ts')];
const TIMEOUT_MS = 60_000;

/** Runs the probe in that place. @throws Error with what it printed when a connection breaks or a name is not known. */
export async function probe(place: Place, command: readonly (string | number)[]): Promise<ProbeReport> {
  const { stdout } = await place.run([...PROBE, ...command.map(String)], { timeoutMs: TIMEOUT_MS });
  return report.parse(JSON.parse(stdout));
}

export function serveProbe(place: Place, port: number): Promise<StopServer> {
  return place.serve([...PROBE, 'serve', String(port)], 'ready');
}
