import type { Difference } from '../../../proto/objects/diagnosis/difference.ts';
import { type PlacedRedirects, sameRedirect } from './plan-redirects.ts';
import { PLACES } from './redirect-handle.ts';
import {
  emptyFamily,
  emptyLink,
  FAMILIES,
  type ObservedFamily,
  type ObservedRedirect,
  type ObservedRedirects,
  type Redirect,
  type RedirectFamily,
} from './redirect-state.ts';

/** A row whose lower link was removed, as the links of containers are when these end: that is nobody's doing. */
export const DEAD_REDIRECT = 'redirect dead';

/**
 * What the kernel has otherwise than it was brought to. Of a row whose lower link is no longer there nothing is expected. A table that is not
 * there is told, not each of its rows. Pure.
 */
export function redirectDifferences(placed: PlacedRedirects | undefined, observed: ObservedRedirects): Difference[] {
  const links = new Map(observed.links);
  if (placed !== undefined && !links.has(placed.link)) links.set(placed.link, emptyLink());
  return [...links].flatMap(([link, { families }]) =>
    FAMILIES.flatMap((family) => {
      const rows = link === placed?.link ? placed.rows[family] : new Map<string, Redirect>();
      const live = new Map([...rows].filter(([, { lower }]) => observed.lowers.has(lower)));
      return [
        ...tableDifferences(tableName(link, family), { wanted: rows.size > 0, live: live.size > 0 }, families[family]),
        ...rowDifferences(link, live, families[family]),
      ];
    }),
  );
}

function tableDifferences(
  object: string,
  { wanted, live }: { wanted: boolean; live: boolean },
  { table, entries }: ObservedFamily,
): Difference[] {
  if (table === 'taken') return [];
  if (!wanted) {
    return table === 'none' ? [] : [{ kind: 'redirect table leaked', object, expected: 'nothing', found: 'present' }];
  }
  if (!live) return [];
  if (table === 'none') return [{ kind: 'redirect table missing', object, expected: 'present', found: 'nothing' }];
  const isMade = table === 'made' && entries.size === 1 && [...entries.values()].every(Boolean);
  return isMade ? [] : [{ kind: 'redirect table altered', object, expected: 'as made', found: 'not so' }];
}

function rowDifferences(
  link: string,
  wanted: ReadonlyMap<string, Redirect>,
  { table, rows }: ObservedFamily = emptyFamily(),
): Difference[] {
  if (table !== 'made') return [];
  const missing = [...wanted].filter(([handle]) => !rows.has(handle));
  return [
    ...missing.map(([, { address, lower }]) => ({
      kind: 'redirect missing',
      object: `${address} on ${link}`,
      expected: lower,
      found: 'nothing',
    })),
    ...[...rows].flatMap(([handle, row]) => rowDifference(link, handle, wanted.get(handle), row)),
  ];
}

function rowDifference(
  link: string,
  handle: string,
  wanted: Redirect | undefined,
  row: ObservedRedirect | 'altered',
): Difference[] {
  if (sameRedirect(wanted, row)) return [];
  const address = wanted?.address ?? (row === 'altered' ? handle : row.address);
  const object = `${address} on ${link}`;
  const expected = wanted === undefined ? 'nothing' : `${wanted.lower} by ${wanted.mac}`;
  if (row === 'altered') return [{ kind: 'redirect altered', object, expected, found: 'not as made' }];
  if (row.lower === undefined)
    return [{ kind: DEAD_REDIRECT, object, expected, found: 'leads to a link that is gone' }];
  const kind = wanted === undefined ? 'redirect leaked' : 'redirect altered';
  const found = `${row.lower} by ${row.mac}${row.address === address ? '' : ` for ${row.address}`}`;
  return [{ kind, object, expected, found }];
}

function tableName(link: string, family: RedirectFamily): string {
  return `filters of ${link} with priority ${PLACES[family].pref}`;
}
