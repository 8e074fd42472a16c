import ipaddr from 'ipaddr.js';
import { PLACES } from '../redirect/redirect-handle.ts';
import {
  emptyFamily,
  FAMILIES,
  type ObservedFamily,
  type ObservedLink,
  type ObservedRedirect,
  type RedirectFamily,
} from '../redirect/redirect-state.ts';

/**
 * What tc(8) of iproute2 prints, read line by line: as JSON it has each match of a row under the same key, and all but the last are lost.
 */

/** One filter of a listing: `filter protocol …` and the lines that belong to it. */
interface Filter {
  protocol: string;
  pref: number;
  kind: string;
  chain: string;
  /** After the chain; empty for the priority itself. */
  rest: string;
  details: string[];
}

const QDISC = /^qdisc (ingress|clsact) \S+ dev (\S+) (.*)$/;
const FILTER = /^filter (?:parent \S+ )?protocol (\S+) pref (\d+) (\S+)(?: chain (\d+))?(.*)$/;

/** Links that have a qdisc for filters at ingress, of `tc qdisc show`. */
export function readQdiscs(listing: string): Map<string, Exclude<ObservedLink['qdisc'], 'none'>> {
  const found = listing.split('\n').flatMap((line) => {
    const [, kind, link, rest = ''] = QDISC.exec(line) ?? [];
    if (link === undefined) return [];
    const isShared = /\b(ingress|egress)_block\b/.test(rest);
    return [[link, isShared ? 'shared' : kind === 'clsact' ? 'clsact' : 'ingress'] as const];
  });
  return new Map(found);
}

/** Filters at ingress, of `tc filter show dev LINK ingress`. */
export function readFilters(listing: string): Pick<ObservedLink, 'others' | 'families'> {
  const filters = splitFilters(listing);
  const families = { ip: readFamily('ip', filters), ipv6: readFamily('ipv6', filters) };
  const isOurs = (filter: Filter): boolean =>
    FAMILIES.some((family) => families[family].table !== 'taken' && isAt(family, filter));
  return { others: filters.some((filter) => !isOurs(filter)), families };
}

function splitFilters(listing: string): Filter[] {
  const filters: Filter[] = [];
  for (const line of listing.split('\n')) {
    const [head, protocol = '', pref = '', kind = '', chain = '0', rest = ''] = FILTER.exec(line) ?? [];
    if (head === undefined) filters.at(-1)?.details.push(line.trim());
    else filters.push({ protocol, pref: Number(pref), kind, chain, rest: rest.trim(), details: [] });
  }
  return filters;
}

/** Under the family's priority in the chain where packets come in. */
function isAt(family: RedirectFamily, { pref, chain }: Filter): boolean {
  return pref === PLACES[family].pref && chain === '0';
}

function readFamily(family: RedirectFamily, filters: readonly Filter[]): ObservedFamily {
  const { table } = PLACES[family];
  const isTable = ({ kind, rest }: Filter): boolean => kind === 'u32' && rest.startsWith(`fh ${table}: `);
  const own = filters.filter((filter) => isAt(family, filter));
  const isForeign = own.some(({ protocol, kind }) => protocol !== family || kind !== 'u32');
  const isElsewhere = filters.some((filter) => isTable(filter) && !isAt(family, filter));
  if (isForeign || isElsewhere) return { ...emptyFamily(), table: 'taken' };
  const tables = own.filter(isTable);
  const keys = own.filter(({ rest }) => /^fh \S+ .*\bkey ht\b/.test(rest));
  // Nothing but what the kernel makes for the priority is what is left of ours; rows without our table are not.
  if (tables.length === 0)
    return { ...emptyFamily(), table: own.length === 0 ? 'none' : keys.length === 0 ? 'altered' : 'taken' };
  const entries = new Map<string, boolean>();
  const rows = new Map<string, ObservedRedirect | 'altered'>();
  for (const filter of keys) {
    const handle = filter.rest.split(' ', 2)[1] ?? '';
    if (handle.startsWith(`${table}:`)) rows.set(handle, readRow(family, filter));
    else entries.set(handle, isEntry(family, filter));
  }
  const isMade = tables.every(({ rest }) => rest.startsWith(`fh ${table}: ht divisor 256`));
  return { table: isMade ? 'made' : 'altered', entries, rows };
}

function isEntry(family: RedirectFamily, { rest, details }: Filter): boolean {
  const { table, hashOffset } = PLACES[family];
  const lines = ['match 00000000/00000000 at 0', `hash mask 000000ff at ${hashOffset}`];
  const said = details.filter((line) => line !== '');
  return / bkt 0 (?!.*terminal)/.test(rest) && `${rest} `.includes(` link ${table}: `) && said.join() === lines.join();
}

/** tc moves a match of 16 bits to the 4 bytes that it is in. */
function readRow(family: RedirectFamily, { details }: Filter): ObservedRedirect | 'altered' {
  const matches = details.filter((line) => line.startsWith('match '));
  const actions = details.filter((line) => line.startsWith('action order '));
  const offsets = family === 'ip' ? [16] : [24, 28, 32, 36];
  const words = offsets.map((offset, index) => wordOf(matches[index], 'ffffffff', offset));
  const [high, low] = [wordOf(matches.at(-2), '0000ffff', -16), wordOf(matches.at(-1), 'ffffffff', -12)];
  const [, lower] = /^action order 1: mirred \(Ingress Redirect to device (\S+)\) stolen$/.exec(actions[0] ?? '') ?? [];
  const isWhole = matches.length === offsets.length + 2 && actions.length === 1 && lower !== undefined;
  if (!isWhole || high === undefined || low === undefined || words.includes(undefined)) return 'altered';
  const address = ipaddr.fromByteArray([...Buffer.from(words.join(''), 'hex')]);
  const mac = `${high.slice(4)}${low}`.match(/../g)?.join(':') ?? '';
  const text = address instanceof ipaddr.IPv6 ? address.toRFC5952String() : address.toString();
  return { address: text, mac, lower: lower === '*' ? undefined : lower };
}

function wordOf(line: string | undefined, mask: string, offset: number): string | undefined {
  const [, value, found, at] = /^match ([0-9a-f]{8})\/([0-9a-f]{8}) at (-?\d+)$/.exec(line ?? '') ?? [];
  return found === mask && Number(at) === offset ? value : undefined;
}
