import { describe, expect, it } from 'vitest';
import { fingerprint, readRouteTable } from '../../../../../worker/network/system/route-table.ts';

const NAMESPACE = '1-abcdefghij';
const OF = { family: 'netdev', table: 'waggle-abcdefghij' };
const OWN_MAC = '6e:d2:75:98:28:22';
const HOST = 'c6:a7:29:34:e4:c5';
const FAMILIES = [
  { ip: 'ip', suffix: '' },
  { ip: 'ip6', suffix: '6' },
] as const;

function field(protocol: string, name: string): unknown {
  return { payload: { protocol, field: name } };
}

function rewrite(name: string, value: unknown): unknown {
  return { mangle: { key: field('ether', name), value } };
}

function found(ip: string, name: string, data: string): unknown {
  return { map: { key: field(ip, name), data } };
}

const LEAVE = FAMILIES.map(({ ip, suffix }) => [
  rewrite('saddr', found(ip, 'saddr', `@ports${suffix}`)),
  rewrite('daddr', found(ip, 'daddr', `@routes${suffix}`)),
  rewrite('saddr', OWN_MAC),
  { fwd: { dev: 'eth0' } },
]);
const DISCOVERY = [
  { match: { op: '==', left: field('icmpv6', 'type'), right: { range: ['nd-router-solicit', 'nd-redirect'] } } },
  { drop: null },
];
const SENDERS = FAMILIES.map(({ ip }) => ({ concat: [field('ether', 'saddr'), field(ip, 'saddr')] }));
const ENTER = FAMILIES.map(({ suffix }, index) => [
  { match: { op: '==', left: { meta: { key: 'pkttype' } }, right: 'host' } },
  { match: { op: '==', left: SENDERS[index], right: `@sources${suffix}` } },
  { goto: { target: 'deliver' } },
]);
const DELIVER = FAMILIES.map(({ ip, suffix }) => [
  rewrite('daddr', found(ip, 'daddr', `@ports${suffix}`)),
  { fwd: { dev: 'wgr-abcdefghij' } },
]);

interface Change {
  leave?: unknown[][];
  enter?: unknown[][];
  deliver?: unknown[][];
  policy?: string;
  more?: unknown[];
  sources?: unknown[];
}

/** As nft 1.0.6 prints it on Linux 6.18. */
function listing(change: Change = {}): string {
  const { policy = 'drop', more = [] } = change;
  const [leave4 = [], leave6 = []] = LEAVE;
  const { leave = [leave4, DISCOVERY, leave6], enter = ENTER, deliver = [...DELIVER, [{ drop: null }]] } = change;
  const chain = { ...OF, type: 'filter', hook: 'ingress', prio: 0 };
  const map = (name: string, type: string, ...elem: unknown[]): unknown => ({
    map: { ...OF, name, type, handle: 3, map: 'ether_addr', ...(elem.length === 0 ? {} : { elem }) },
  });
  const set = (name: string, type: string, elem: unknown): unknown => ({
    set: { ...OF, name, type: ['ether_addr', type], handle: 4, elem },
  });
  const rules = (name: string, exprs: unknown[][]): unknown[] =>
    exprs.map((expr, handle) => ({ rule: { ...OF, chain: name, handle, expr } }));
  return JSON.stringify({
    nftables: [
      { metainfo: { version: '1.0.6', release_name: 'Lester Gooch #5', json_schema_version: 1 } },
      { table: { family: 'netdev', name: 'waggle-abcdefghij', handle: 1 } },
      map('routes', 'ipv4_addr', ['10.0.0.2', HOST]),
      map('routes6', 'ipv6_addr', ['fd00::2', HOST]),
      set('sources', 'ipv4_addr', change.sources ?? [{ concat: [HOST, '10.0.0.2'] }]),
      set('sources6', 'ipv6_addr', [{ concat: [HOST, 'fd00::2'] }]),
      map('ports', 'ipv4_addr', ['10.0.0.1', '02:42:0a:00:00:01']),
      map('ports6', 'ipv6_addr'),
      { chain: { ...OF, name: 'deliver', handle: 1 } },
      { chain: { ...chain, name: 'leave', handle: 2, policy } },
      { chain: { ...chain, name: 'enter', handle: 3, policy: 'accept' } },
      ...rules('deliver', deliver),
      ...rules('leave', leave),
      ...rules('enter', enter),
      ...more,
    ],
  });
}

describe('readRouteTable', () => {
  it('reads rows of a table that is as it was made, of both families', () => {
    expect(readRouteTable(listing(), NAMESPACE, undefined)).toEqual({
      table: true,
      underlay: { link: 'eth0', mac: OWN_MAC },
      routes: new Map([
        ['10.0.0.2', HOST],
        ['fd00::2', HOST],
      ]),
      sources: new Set([`${HOST} 10.0.0.2`, `${HOST} fd00::2`]),
      ports: new Map([['10.0.0.1', '02:42:0a:00:00:01']]),
      shortcuts: new Map(),
    });
  });

  it('tells no table from an altered one', () => {
    expect(readRouteTable(undefined, NAMESPACE, undefined).table).toBe(false);
  });

  it('reads elements that carry more than their words', () => {
    const sources = [{ elem: { val: { concat: [HOST, '10.0.0.2'] }, comment: 'x' } }];
    expect(readRouteTable(listing({ sources }), NAMESPACE, undefined).sources).toContain(`${HOST} 10.0.0.2`);
  });

  const [LEAVE4 = [], LEAVE6 = []] = LEAVE;
  const [ENTER4 = [], ENTER6 = []] = ENTER;
  const [DELIVER4 = [], DELIVER6 = []] = DELIVER;
  const END = [{ drop: null }];

  it.each<{ id: string; change: Change }>([
    {
      id: 'a rule without its check of the sender',
      change: { enter: [ENTER4.filter((_, index) => index !== 1), ENTER6] },
    },
    { id: 'no rule for IPv6', change: { enter: [ENTER4] } },
    {
      id: 'no check that what leaves is of this host',
      change: { leave: [LEAVE4.slice(1), DISCOVERY, LEAVE6] },
    },
    { id: 'neighbour discovery let out', change: { leave: [LEAVE4, LEAVE6] } },
    { id: 'what is for nobody here left to the host', change: { deliver: DELIVER } },
    { id: 'another policy', change: { policy: 'accept' } },
    { id: 'a rule more', change: { more: [{ rule: { ...OF, chain: 'leave', handle: 9, expr: [{ accept: null }] } }] } },
    { id: 'a chain more', change: { more: [{ chain: { ...OF, name: 'x', handle: 9 } }] } },
    {
      id: 'a rule to a link that is gone',
      change: { deliver: [[...DELIVER4.slice(0, 1), { fwd: { dev: '3' } }], DELIVER6, END] },
    },
    {
      id: 'another MAC to leave with for one family',
      change: { leave: [[...LEAVE4.slice(0, 2), rewrite('saddr', HOST), ...LEAVE4.slice(3)], DISCOVERY, LEAVE6] },
    },
    { id: 'no rule to leave by', change: { leave: [[{ accept: null }]] } },
  ])('finds an altered table: $id', ({ change }) => {
    const table = readRouteTable(listing(change), NAMESPACE, undefined);
    expect(table).toEqual({
      table: true,
      routes: new Map(),
      sources: new Set(),
      ports: new Map(),
      shortcuts: new Map(),
    });
  });

  it('knows a table again that another nft words otherwise', () => {
    const other = listing({ enter: [[{ match: { op: 'in', left: SENDERS[0], right: '@sources' } }], ENTER6] });
    expect(readRouteTable(other, NAMESPACE, undefined).underlay).toBeUndefined();
    expect(readRouteTable(other, NAMESPACE, fingerprint(other)).underlay).toEqual({ link: 'eth0', mac: OWN_MAC });
  });
});
