import { isMac } from '../overlay/address.ts';
import { redirectFamily, redirectHandle } from './redirect-handle.ts';
import {
  type DesiredRedirects,
  emptyLink,
  FAMILIES,
  type ObservedFamily,
  type ObservedLink,
  type ObservedRedirect,
  type ObservedRedirects,
  type Redirect,
  type RedirectFamily,
  type RedirectOperation,
} from './redirect-state.ts';

/** Rows of one link, by handle. */
export interface PlacedRedirects {
  link: string;
  rows: Readonly<Record<RedirectFamily, ReadonlyMap<string, Redirect>>>;
}

/**
 * What can be had of what is desired, now: for lower links that there are, in tables that are not somebody else's. Of two addresses
 * with one handle the first has it, in the order of their texts. Undefined: nothing at all.
 */
export function placeRedirects(
  desired: DesiredRedirects | undefined,
  observed: ObservedRedirects,
): PlacedRedirects | undefined {
  if (desired === undefined) return undefined;
  const { link, mac } = desired.underlay;
  const { qdisc, families } = observed.links.get(link) ?? emptyLink();
  const rows = { ip: new Map<string, Redirect>(), ipv6: new Map<string, Redirect>() };
  // A link that has no such MAC is none of Ethernet.
  if (qdisc === 'shared' || !isMac(mac)) return { link, rows };
  for (const [address, lower] of [...desired.redirects].toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    const family = redirectFamily(address);
    if (family === undefined || families[family].table === 'taken' || !observed.lowers.has(lower)) continue;
    const handle = redirectHandle(address, family);
    if (!rows[family].has(handle)) rows[family].set(handle, { address, mac, lower });
  }
  return { link, rows };
}

/** The way from what the kernel has to what it should have; empty when they agree. `desired` undefined: nothing of ours on any link. */
export function planRedirects(desired: DesiredRedirects | undefined, observed: ObservedRedirects): RedirectOperation[] {
  const placed = placeRedirects(desired, observed);
  const none = { ip: new Map<string, Redirect>(), ipv6: new Map<string, Redirect>() };
  const former = [...observed.links].filter(([link]) => link !== placed?.link);
  return [
    ...former.flatMap(([link, found]) => planLink(link, none, found)),
    ...(placed === undefined ? [] : planLink(placed.link, placed.rows, observed.links.get(placed.link) ?? emptyLink())),
  ];
}

function planLink(link: string, rows: PlacedRedirects['rows'], found: ObservedLink): RedirectOperation[] {
  const isWanted = FAMILIES.some((family) => rows[family].size > 0);
  const operations = FAMILIES.flatMap((family) => planFamily({ link, family }, rows[family], found.families[family]));
  if (isWanted && found.qdisc === 'none') return [{ kind: 'create-qdisc', link }, ...operations];
  // Nothing tells who has made it. It goes together with what we had in it, when that was all.
  const isOurs = found.qdisc === 'clsact' && !found.others && operations.length > 0;
  return isWanted || !isOurs ? operations : [...operations, { kind: 'delete-qdisc', link }];
}

function planFamily(
  of: { link: string; family: RedirectFamily },
  wanted: ReadonlyMap<string, Redirect>,
  found: ObservedFamily,
): RedirectOperation[] {
  if (found.table === 'taken') return [];
  if (wanted.size === 0) return found.table === 'none' ? [] : [{ kind: 'delete-table', ...of }];
  const isMade = found.table === 'made';
  const rows = isMade ? found.rows : new Map<string, ObservedRedirect>();
  const entries = isMade ? [...found.entries] : [];
  const entry = entries.find(([, intact]) => intact)?.[0];
  const gone = [...rows].filter(([handle, row]) => !sameRedirect(wanted.get(handle), row));
  const added = [...wanted].filter(([handle, row]) => !sameRedirect(row, rows.get(handle)));
  return [
    ...(found.table === 'altered' ? [{ kind: 'delete-table', ...of } as const] : []),
    ...(isMade ? [] : [{ kind: 'create-table', ...of } as const]),
    ...entries
      .filter(([handle]) => handle !== entry)
      .map(([handle]) => ({ kind: 'delete-entry', ...of, handle }) as const),
    ...gone.map(([handle]) => ({ kind: 'delete-redirect', ...of, handle }) as const),
    ...added.map(([handle, redirect]) => ({ kind: 'create-redirect', ...of, handle, redirect }) as const),
    ...(entry === undefined ? [{ kind: 'create-entry', ...of } as const] : []),
  ];
}

export function sameRedirect(wanted: Redirect | undefined, found: ObservedRedirect | 'altered' | undefined): boolean {
  if (wanted === undefined || found === undefined || found === 'altered') return false;
  return wanted.address === found.address && wanted.mac === found.mac && wanted.lower === found.lower;
}
