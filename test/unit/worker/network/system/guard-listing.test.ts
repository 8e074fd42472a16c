import { describe, expect, it } from 'vitest';
import { guardRules, type LearntGuard, readGuard } from '../../../../../worker/network/system/guard-listing.ts';

const OF = { family: 'ip', table: 'waggle-members' };
const RULE = { expr: [{ counter: 'refused' }, { drop: null }] };

/** As nft 1.0.6 prints it on Linux 6.18, with one rule for all. */
function listing(change: { packets?: number; handle?: number; expr?: unknown; more?: unknown[] } = {}): string {
  const { packets = 0, handle = 7, expr = RULE.expr, more = [] } = change;
  return JSON.stringify({
    nftables: [
      { metainfo: { version: '1.0.6', release_name: 'Lester Gooch #5', json_schema_version: 1 } },
      { table: { family: 'ip', name: 'waggle-members', handle: 1 } },
      { counter: { ...OF, name: 'refused', handle: 1, packets, bytes: 96 * packets } },
      { set: { ...OF, name: 'members', type: 'ipv4_addr', handle: 2, elem: ['1.1.1.1', '2.2.2.2'] } },
      {
        set: {
          ...OF,
          name: 'strangers',
          type: 'ipv4_addr',
          handle: 4,
          size: 64,
          flags: ['timeout'],
          timeout: 600,
          elem: [{ elem: { val: '127.0.0.1', expires: 599 } }],
        },
      },
      { chain: { ...OF, name: 'strange', handle } },
      { rule: { ...OF, chain: 'strange', handle: handle + 8, expr } },
      ...more,
    ],
  });
}

const LEARNT: LearntGuard = { made: { port: 4789, vnis: [4097] }, rules: guardRules(listing()) };

describe('readGuard', () => {
  it('knows its own table whatever it has counted, and reads what is in it', () => {
    expect(readGuard(listing({ packets: 3, handle: 50 }), LEARNT)).toEqual({
      table: LEARNT.made,
      members: new Set(['1.1.1.1', '2.2.2.2']),
      refused: 3,
      strangers: ['127.0.0.1'],
    });
  });

  it.each([
    { id: 'a rule that does nothing', text: listing({ expr: [{ accept: null }] }) },
    { id: 'one rule more', text: listing({ more: [{ rule: { ...OF, chain: 'strange', handle: 99, ...RULE } }] }) },
    { id: 'a set more', text: listing({ more: [{ set: { ...OF, name: 'x', type: 'ipv4_addr', handle: 9 } }] }) },
  ])('does not take another table for its own: $id', ({ text }) => {
    expect(readGuard(text, LEARNT).table).toBe('other');
  });

  it('knows none before it has made one, and refuses what nft does not print', () => {
    expect(readGuard(listing(), undefined).table).toBe('other');
    expect(() => readGuard('{}', LEARNT)).toThrow();
  });
});
