import { isDeepStrictEqual } from 'node:util';
import { execa } from 'execa';
import { z } from 'zod';
import { routeEndName, routeTableName } from '../overlay/link-names.ts';
import { emptyRoute, type ObservedRoute, sourceKey } from '../overlay/overlay-state.ts';

const TIMEOUT_MS = 10_000;
const MAX_OUTPUT_CHARACTERS = 256 * 1024 * 1024;
const ABSENT = /No such file or directory/;

const listingSchema = z.object({ nftables: z.array(z.record(z.string(), z.unknown())) });
const namedSchema = z.object({ name: z.string(), elem: z.array(z.unknown()).default([]) });
const ruleSchema = z.object({ expr: z.unknown() });
const forwardSchema = z.object({ fwd: z.object({ dev: z.string() }) });

type Table = Pick<ObservedRoute, 'table' | 'underlay' | 'routes' | 'sources' | 'ports'>;

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

/** Chains and rules of a listing, without what differs from one kernel object to the next. */
export function fingerprint(listing: string): unknown[] {
  return listingSchema.parse(JSON.parse(listing)).nftables.flatMap((row) => {
    const [kind, body] = Object.entries(row)[0] ?? [];
    if (kind === undefined || kind === 'metainfo' || kind === 'table') return [];
    const { handle: _handle, elem: _elem, ...rest } = z.record(z.string(), z.unknown()).parse(body);
    return [{ [kind]: rest }];
  });
}

/**
 * @param learnt the fingerprint of a table that was just installed: other versions of nft print other words than `ownFingerprint`.
 * @throws Error when the listing is not what nft prints.
 */
export function readRouteTable(listing: string | undefined, namespace: string, learnt: unknown[] | undefined): Table {
  const { routes, sources, ports } = emptyRoute();
  const table: Table = { table: listing !== undefined, routes, sources, ports };
  if (listing === undefined) return table;
  const found = fingerprint(listing);
  const underlay = forwardsTo(found);
  const own = underlay === undefined ? undefined : ownFingerprint(namespace, underlay);
  const intact = [own, learnt].some((expected) => expected !== undefined && sameTable(found, expected));
  if (underlay === undefined || !intact) return table;
  for (const row of listingSchema.parse(JSON.parse(listing)).nftables) readElements(table, row);
  return { ...table, underlay };
}

function readElements(table: Table, row: Record<string, unknown>): void {
  const { name, elem } = namedSchema.catch({ name: '', elem: [] }).parse(row.map ?? row.set);
  for (const raw of elem) {
    const [key, value] = Array.isArray(raw) ? (raw as unknown[]) : [raw];
    const words = wordsOf(key);
    const [first = '', second = ''] = words;
    if (name === 'sources') table.sources.add(sourceKey(first, second));
    if (name === 'routes') table.routes.set(first, wordsOf(value)[0] ?? '');
    if (name === 'ports') table.ports.set(first, wordsOf(value)[0] ?? '');
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

function forwardsTo(found: readonly unknown[]): string | undefined {
  for (const row of found) {
    const rule = z.object({ rule: ruleSchema }).safeParse(row);
    const first = z.array(z.unknown()).safeParse(rule.data?.rule.expr).data?.[0];
    const forward = forwardSchema.safeParse(first);
    if (forward.success) return forward.data.fwd.dev;
  }
  return undefined;
}

/** Order counts only between chains, and there is one rule in each. */
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
function ownFingerprint(namespace: string, underlay: string): unknown[] {
  const end = routeEndName(namespace);
  const table = routeTableName(namespace);
  const of = { family: 'netdev', table };
  const field = (protocol: string, name: string): unknown => ({ payload: { protocol, field: name } });
  const looked = (data: string): unknown => ({ map: { key: field('ip', 'daddr'), data } });
  const hook = { ...of, type: 'filter', hook: 'ingress', prio: 0 };
  const source = { concat: [field('ether', 'saddr'), field('ip', 'saddr')] };
  return [
    { map: { ...of, name: 'routes', type: 'ipv4_addr', map: 'ipv4_addr' } },
    { set: { ...of, name: 'sources', type: ['ether_addr', 'ipv4_addr'] } },
    { map: { ...of, name: 'ports', type: 'ipv4_addr', map: 'ether_addr' } },
    { chain: { ...hook, name: 'leave', policy: 'drop' } },
    { chain: { ...hook, name: 'enter', policy: 'accept' } },
    { rule: { ...of, chain: 'leave', expr: [{ fwd: { dev: underlay, family: 'ip', addr: looked('@routes') } }] } },
    {
      rule: {
        ...of,
        chain: 'enter',
        expr: [
          { match: { op: '==', left: { meta: { key: 'pkttype' } }, right: 'host' } },
          { match: { op: '==', left: source, right: '@sources' } },
          { mangle: { key: field('ether', 'daddr'), value: looked('@ports') } },
          { fwd: { dev: end } },
        ],
      },
    },
  ];
}
