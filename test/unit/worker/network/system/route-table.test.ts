import { describe, expect, it } from 'vitest';
import { fingerprint, readRouteTable } from '../../../../../worker/network/system/route-table.ts';

const NAMESPACE = '1-abcdefghij';
const OF = { family: 'netdev', table: 'waggle-abcdefghij' };
const DESTINATION = { payload: { protocol: 'ip', field: 'daddr' } };
const SENDER = {
  concat: [{ payload: { protocol: 'ether', field: 'saddr' } }, { payload: { protocol: 'ip', field: 'saddr' } }],
};
const LEAVE = { fwd: { dev: 'eth0', family: 'ip', addr: { map: { key: DESTINATION, data: '@routes' } } } };
const ENTER = [
  { match: { op: '==', left: { meta: { key: 'pkttype' } }, right: 'host' } },
  { match: { op: '==', left: SENDER, right: '@sources' } },
  {
    mangle: {
      key: { payload: { protocol: 'ether', field: 'daddr' } },
      value: { map: { key: DESTINATION, data: '@ports' } },
    },
  },
  { fwd: { dev: 'wgr-abcdefghij' } },
];

interface Change {
  leave?: unknown;
  enter?: unknown[];
  policy?: string;
  more?: unknown[];
  sources?: unknown[];
}

/** As nft 1.0.6 prints it on Linux 6.18. */
function listing({ leave = LEAVE, enter = ENTER, policy = 'drop', more = [], sources }: Change = {}): string {
  const chain = { ...OF, type: 'filter', hook: 'ingress', prio: 0 };
  const elem = sources ?? [{ concat: ['c6:a7:29:34:e4:c5', '10.0.0.2'] }];
  return JSON.stringify({
    nftables: [
      { metainfo: { version: '1.0.6', release_name: 'Lester Gooch #5', json_schema_version: 1 } },
      { table: { family: 'netdev', name: 'waggle-abcdefghij', handle: 1 } },
      {
        map: { ...OF, name: 'routes', type: 'ipv4_addr', handle: 3, map: 'ipv4_addr', elem: [['10.0.0.2', '1.1.1.1']] },
      },
      { set: { ...OF, name: 'sources', type: ['ether_addr', 'ipv4_addr'], handle: 4, elem } },
      {
        map: {
          ...OF,
          name: 'ports',
          type: 'ipv4_addr',
          handle: 5,
          map: 'ether_addr',
          elem: [['10.0.0.1', '02:42:0a:00:00:01']],
        },
      },
      { chain: { ...chain, name: 'leave', handle: 1, policy } },
      { chain: { ...chain, name: 'enter', handle: 2, policy: 'accept' } },
      { rule: { ...OF, chain: 'leave', handle: 6, expr: [leave] } },
      { rule: { ...OF, chain: 'enter', handle: 7, expr: enter } },
      ...more,
    ],
  });
}

describe('readRouteTable', () => {
  it('reads rows of a table that is as it was made', () => {
    expect(readRouteTable(listing(), NAMESPACE, undefined)).toEqual({
      table: true,
      underlay: 'eth0',
      routes: new Map([['10.0.0.2', '1.1.1.1']]),
      sources: new Set(['c6:a7:29:34:e4:c5 10.0.0.2']),
      ports: new Map([['10.0.0.1', '02:42:0a:00:00:01']]),
    });
  });

  it('tells no table from an altered one', () => {
    expect(readRouteTable(undefined, NAMESPACE, undefined).table).toBe(false);
  });

  it('reads elements that carry more than their words', () => {
    const sources = [{ elem: { val: { concat: ['c6:a7:29:34:e4:c5', '10.0.0.2'] }, comment: 'x' } }];
    expect(readRouteTable(listing({ sources }), NAMESPACE, undefined).sources).toEqual(
      new Set(['c6:a7:29:34:e4:c5 10.0.0.2']),
    );
  });

  it.each<{ id: string; change: Change }>([
    { id: 'a rule without its check of the sender', change: { enter: ENTER.filter((_, index) => index !== 1) } },
    { id: 'another policy', change: { policy: 'accept' } },
    { id: 'a rule more', change: { more: [{ rule: { ...OF, chain: 'leave', handle: 9, expr: [{ accept: null }] } }] } },
    { id: 'a chain more', change: { more: [{ chain: { ...OF, name: 'x', handle: 9 } }] } },
    { id: 'a rule to a link that is gone', change: { enter: [...ENTER.slice(0, 3), { fwd: { dev: '3' } }] } },
    { id: 'no rule to leave by', change: { leave: { accept: null } } },
  ])('finds an altered table: $id', ({ change }) => {
    const found = readRouteTable(listing(change), NAMESPACE, undefined);
    expect(found).toEqual({ table: true, routes: new Map(), sources: new Set(), ports: new Map() });
  });

  it('knows a table again that another nft words otherwise', () => {
    const other = listing({ enter: [{ match: { op: 'in', left: SENDER, right: '@sources' } }] });
    expect(readRouteTable(other, NAMESPACE, undefined).underlay).toBeUndefined();
    expect(readRouteTable(other, NAMESPACE, fingerprint(other)).underlay).toBe('eth0');
  });
});
