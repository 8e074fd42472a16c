import { execa } from 'execa';
import { z } from 'zod';
import type { AdjacentHosts } from '../overlay/overlay-kernel.ts';

const TIMEOUT_MS = 10_000;

const rowSchema = z.object({
  dst: z.string().optional(),
  dev: z.string().optional(),
  type: z.string().optional(),
  gateway: z.string().optional(),
  via: z.unknown().optional(),
  lladdr: z.string().optional(),
  state: z.array(z.string()).default([]),
});

/** The kernel asks again for these by itself, or has just heard from them. */
const ASKED_FOR = ['REACHABLE', 'DELAY', 'PROBE', 'INCOMPLETE', 'PERMANENT', 'NOARP'];

/** What `ip` has told: of those on the link, and of those known there, `stale` are to be asked for once more. */
export interface FoundHosts extends AdjacentHosts {
  stale: ReadonlySet<string>;
}

/** Asks the host's own routes and neighbour table, in one process. @throws Error when `ip` does not answer as it should. */
export async function adjacentHosts(link: string, addresses: readonly string[]): Promise<AdjacentHosts> {
  if (addresses.length === 0) return { onLink: new Set(), macs: new Map() };
  const questions = [...addresses.map((address) => `route get ${address}`), `neigh show dev ${link}`];
  const { onLink, macs, stale } = readAdjacentHosts(link, addresses, await batch(questions));
  // `use` makes the kernel ask, as a packet for the address would. Bare packets do not: they have the MAC already, and what nobody uses
  // the kernel forgets.
  if (stale.size > 0) await batch([...stale].map((address) => `neigh replace ${address} dev ${link} use`));
  return { onLink, macs };
}

/** @param answers of `route get` for each address that has a route, then of `neigh show`, one line each. */
export function readAdjacentHosts(link: string, addresses: readonly string[], answers: string): FoundHosts {
  const wanted = new Set(addresses);
  const onLink = new Set<string>();
  const macs = new Map<string, string>();
  const fresh = new Set<string>();
  for (const line of answers.split('\n').filter((each) => each.startsWith('['))) {
    for (const row of z.array(rowSchema).parse(JSON.parse(line))) {
      if (row.dst === undefined || !wanted.has(row.dst)) continue;
      const direct = row.gateway === undefined && row.via === undefined && (row.type ?? 'unicast') === 'unicast';
      if (row.dev === link && direct) onLink.add(row.dst);
      // `neigh show dev` leaves the device out.
      if (row.dev !== undefined) continue;
      if (row.lladdr !== undefined) macs.set(row.dst, row.lladdr.toLowerCase());
      if (row.state.some((each) => ASKED_FOR.includes(each))) fresh.add(row.dst);
    }
  }
  return { onLink, macs, stale: new Set([...onLink, ...macs.keys()].filter((address) => !fresh.has(address))) };
}

/** With -force: an address without a route is an error of its line only. */
async function batch(lines: readonly string[]): Promise<string> {
  const args = ['-j', '-force', '-batch', '-'];
  const result = await execa('ip', args, { input: `${lines.join('\n')}\n`, reject: false, timeout: TIMEOUT_MS });
  if (result.timedOut || result.exitCode === undefined) throw new Error(result.shortMessage ?? 'ip did not answer');
  return result.stdout;
}
