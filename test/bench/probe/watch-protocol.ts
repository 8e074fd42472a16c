import { z } from 'zod';

/**
 * What can be waited for. reach: the address answers an echo request. hold: the overlay answers ARP for it; drop: it does so
 * no longer. name: the container's resolver has an address for the name; unname: it has none any more.
 */
export const WATCH_KINDS = ['reach', 'hold', 'drop', 'name', 'unname'] as const;
export type WatchKind = (typeof WATCH_KINDS)[number];

/** One line on the watcher's standard input. */
export const watchOrder = z.object({ kind: z.enum(WATCH_KINDS), target: z.string() });
export type WatchOrder = z.infer<typeof watchOrder>;

/** One line on its standard output, once for each order. `atMs` is on the machine's monotonic clock, which all its processes share. */
export const sighting = watchOrder.extend({ atMs: z.number() });
export type Sighting = z.infer<typeof sighting>;

/** Written before the first sighting, when orders are heard. */
export const WATCHING = 'watching';

/** The machine's monotonic clock. */
export function machineMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
