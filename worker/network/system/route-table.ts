import { isDeepStrictEqual } from 'node:util';
import { execa } from 'execa';
import { z } from 'zod';
import { routeEndName, routeTableName } from '../overlay/link-names.ts';
import { emptyRoute, type ObservedRoute, sourceKey, type Underlay } from '../overlay/overlay-state.ts';
import { lowerOfRow, readShortcuts } from './render-shortcut.ts';

const TIMEOUT_MS = 10_000;
const MAX_OUTPUT_CHARACTERS = 256 * 1024 * 1024;
const ABSENT = /No such file or directory/;

const listingSchema = z.object({ nftables: z.array(z.record(z.string(), z.unknown())) });
const namedSchema = z.object({ name: z.string(), elem: z.array(z.unknown()).default([]) });
const ruleOfSchema = z.object({ chain: z.string(), expr: z.array(z.unknown()) });
const forwardSchema = z.object({ fwd: z.object({ dev: z.string() }) });
const rewriteSchema = z.object({ mangle: z.object({ value: z.string() }) });

type Table = Pick<ObservedRoute, 'table' | 'underlay' | 'routes' | 'sources' | 'ports' | 'shortcuts'>;

/** Runs an nft script: all of it takes effect at once, or nothing. @returns nft's words when it is refused. */
export async function runNft(script: string): Promise<string | undefined> {
  const result = await execa('nft', ['-f', '-'], { input: script, reject: false, timeout: TIMEOUT_MS });
  if (!result.failed) return undefined;
  return result.stderr === '' ? (result.shortMessage ?? 'nft failed') : result.stderr.split('\n', 2).join('; ');
}

/** What `nft -j list table` prints of a routed network's table; undefined when there is none. @throws Error in nft's words. */
export async function listRouteTable(namespace: string): Promise<string | undefined> {
  const args = ['-j', 'list', 'table', 'netdev', routeTableName(namespace)];
  const options = { stdin: 'ignore', reject: false, timeout: TIMEOUT_MS, maxBuffer: MAX_OUTPUT_CHARACTERS } as const;
  const result = await execa('nft', args, options);
  if (!result.failed) return result.stdout;
  if (ABSENT.test(result.stderr)) return undefined;
  throw new Error(`nft ${args.join(' ')}: ${result.stderr || result.shortMessage}`);
}

/** Chains and rules of a listing, without those of shortcuts and what differs from one kernel object to the next. */
export function fingerprint(listing: string): unknown[] {
  return rowsOf(listing).flatMap((row) => {
    const [kind, body] = Object.entries(row)[0] ?? [];
    if (kind === undefined || kind === 'metainfo' || kind === 'table' || lowerOfRow(row) !== undefined) return [];
    const { handle: _handle, elem: _elem, ...rest } = z.record(z.string(), z.unknown()).parse(body);
    return [{ [kind]: rest }];
  });
}

/**
 * @param learnt the fingerprint of a table that was just installed: other versions of nft print other words than `ownFingerprint`.
 * @throws Error when the listing is not what nft prints.
 */
export function readRouteTable(listing: string | undefined, namespace: string, learnt: unknown[] | undefined): Table {
  const { routes, sources, ports, shortcuts } = emptyRoute();
  const table: Table = { table: listing !== undefined, routes, sources, ports, shortcuts };
  if (listing === undefined) return table;
  const found = fingerprint(listing);
  const underlay = forwardsTo(found);
  const own = underlay === undefined ? undefined : ownFingerprint(namespace, underlay);
  const intact = [own, learnt].some((expected) => expected !== undefined && sameTable(found, expected));
  if (underlay === undefined || !intact) return table;
  const rows = rowsOf(listing);
  for (const row of rows) readElements(table, row);
  return { ...table, underlay, shortcuts: readShortcuts(rows) };
}

function rowsOf(listing: string): Record<string, unknown>[] {
  return listingSchema.parse(JSON.parse(listing)).nftables;
}

function readElements(table: Table, row: Record<string, unknown>): void {
  const { name, elem } = namedSchema.catch({ name: '', elem: [] }).parse(row.map ?? row.set);
  for (const raw of elem) {
    const [key, value] = Array.isArray(raw) ? (raw as unknown[]) : [raw];
    const words = wordsOf(key);
    const [first = '', second = ''] = words;
    if (name === 'sources' || name === 'sources6') table.sources.add(sourceKey(first, second));
    if (name === 'routes' || name === 'routes6') table.routes.set(first, wordsOf(value)[0] ?? '');
    if (name === 'ports' || name === 'ports6') table.ports.set(first, wordsOf(value)[0] ?? '');
  }
}

/** An element is a word, a concatenation, or either of them with more to it. */
function wordsOf(value: unknown): string[] {
  if (typeof value === 'string') return [value];
  if (Array.isArray(value)) return value.flatMap(wordsOf);
  if (typeof value !== 'object' || value === null) return [];
  if ('concat' in value) return wordsOf(value.concat);
  if ('elem' in value) return wordsOf(value.elem);
  return 'val' in value ? wordsOf(value.val) : [];
}

/** The link by which packets leave, and the MAC that they leave with. */
function forwardsTo(found: readonly unknown[]): Underlay | undefined {
  for (const row of found) {
    const { data } = z.object({ rule: ruleOfSchema }).safeParse(row);
    if (data?.rule.chain !== 'leave') continue;
    const [rewrite, forward] = data.rule.expr.slice(-2);
    const mac = rewriteSchema.safeParse(rewrite).data?.mangle.value;
    const link = forwardSchema.safeParse(forward).data?.fwd.dev;
    if (mac !== undefined && link !== undefined) return { link, mac };
  }
  return undefined;
}

/** The order is that of nft: sets, chains, and the rules of each chain as they were added. */
function sameTable(found: unknown[], expected: unknown[]): boolean {
  return isDeepStrictEqual(found.map(withoutDevice), expected.map(withoutDevice));
}

/** Not every version of nft prints the device of a chain; a chain goes with its device. */
function withoutDevice(row: unknown): unknown {
  const chain = z.object({ chain: z.record(z.string(), z.unknown()) }).safeParse(row);
  if (!chain.success) return row;
  const { dev: _dev, ...rest } = chain.data.chain;
  return { chain: rest };
}

/** What nft 1.0 prints of the table of render-route.ts. */
function ownFingerprint(namespace: string, { link, mac }: Underlay): unknown[] {
  const table = routeTableName(namespace);
  const of = { family: 'netdev', table };
  const field = (protocol: string, name: string): unknown => ({ payload: { protocol, field: name } });
  const rewrite = (name: string, value: unknown): unknown => ({ mangle: { key: field('ether', name), value } });
  const looked = (ip: string, name: string, data: string): unknown => ({ map: { key: field(ip, name), data } });
  const rule = (chain: string, expr: unknown[]): unknown => ({ rule: { ...of, chain, expr } });
  const equal = (left: unknown, right: unknown): unknown => ({ match: { op: '==', left, right } });
  const hook = { ...of, type: 'filter', hook: 'ingress', prio: 0 };
  const families = [
    { ip: 'ip', suffix: '', type: 'ipv4_addr' },
    { ip: 'ip6', suffix: '6', type: 'ipv6_addr' },
  ];
  const map = (name: string): unknown[] =>
    families.map(({ suffix, type }) => ({ map: { ...of, name: `${name}${suffix}`, type, map: 'ether_addr' } }));
  const leave = families.map(({ ip, suffix }) =>
    rule('leave', [
      rewrite('saddr', looked(ip, 'saddr', `@ports${suffix}`)),
      rewrite('daddr', looked(ip, 'daddr', `@routes${suffix}`)),
      rewrite('saddr', mac),
      { fwd: { dev: link } },
    ]),
  );
  const enter = families.map(({ ip, suffix }) => {
    const sender = { concat: [field('ether', 'saddr'), field(ip, 'saddr')] };
    const isHost = equal({ meta: { key: 'pkttype' } }, 'host');
    return rule('enter', [isHost, equal(sender, `@sources${suffix}`), { goto: { target: 'deliver' } }]);
  });
  const deliver = families.map(({ ip, suffix }) =>
    rule('deliver', [
      rewrite('daddr', looked(ip, 'daddr', `@ports${suffix}`)),
      { fwd: { dev: routeEndName(namespace) } },
    ]),
  );
  const discovery = { range: ['nd-router-solicit', 'nd-redirect'] };
  const drop = { drop: null };
  return [
    ...map('routes'),
    ...families.map(({ suffix, type }) => ({ set: { ...of, name: `sources${suffix}`, type: ['ether_addr', type] } })),
    ...map('ports'),
    { chain: { ...of, name: 'deliver' } },
    { chain: { ...hook, name: 'leave', policy: 'drop' } },
    { chain: { ...hook, name: 'enter', policy: 'accept' } },
    ...deliver,
    rule('deliver', [drop]),
    leave[0],
    rule('leave', [equal(field('icmpv6', 'type'), discovery), drop]),
    leave[1],
    ...enter,
  ];
}
