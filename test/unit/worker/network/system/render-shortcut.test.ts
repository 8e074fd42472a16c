import { describe, expect, it } from 'vitest';
import { type Shortcut, shortcutKey } from '../../../../../worker/network/overlay/overlay-state.ts';
import { readShortcuts, shortcutLines } from '../../../../../worker/network/system/render-shortcut.ts';

const UNDERLAY = { link: 'eth0', mac: '5e:00:00:00:01:01' };
const FOUR: Shortcut = { mac: '02:42:0a:00:00:05', address: '10.0.0.5', underlay: UNDERLAY };
const BOTH: Shortcut = { ...FOUR, address6: 'fd00::5' };

/** What nft would list of such lines, as far as it matters. */
function rowsOf(shortcut: Shortcut): { [kind: string]: { name?: string; chain?: string; comment?: string } }[] {
  return shortcutLines('waggle-x', 'wgl5', shortcut)
    .split('\n')
    .flatMap((line): { [kind: string]: { name?: string; chain?: string; comment?: string } }[] => {
      const [, name = ''] = /^add chain netdev waggle-x (\S+) \{/.exec(line) ?? [];
      const [, chain = '', comment = ''] = /^add rule netdev waggle-x (\S+) .*comment "(.*)"$/.exec(line) ?? [];
      if (chain !== '') return [{ rule: { chain, comment } }];
      return name === '' ? [] : [{ chain: { name } }];
    });
}

describe('the chains of a shortcut', () => {
  it('let out what the container sends as itself, and in what comes from where its sender is', () => {
    const rules = shortcutLines('waggle-x', 'wgl5', BOTH)
      .split('\n')
      .filter((line) => line.startsWith('add rule'))
      .map((line) => line.replace(/^add rule netdev waggle-x /, '').replace(/ comment .*/, ''));
    expect(rules).toEqual([
      'out-wgl5 ip saddr 10.0.0.5 ether daddr set ip daddr map @routes ether saddr set 5e:00:00:00:01:01 fwd to "eth0"',
      'out-wgl5 icmpv6 type 133-137 accept',
      'out-wgl5 ip6 saddr fd00::5 ether daddr set ip6 daddr map @routes6 ether saddr set 5e:00:00:00:01:01 fwd to "eth0"',
      'in-wgl5 ether saddr . ip saddr @sources ip daddr 10.0.0.5 ether daddr set 02:42:0a:00:00:05 accept',
      'in-wgl5 ether saddr . ip6 saddr @sources6 ip6 daddr fd00::5 ether daddr set 02:42:0a:00:00:05 accept',
      'in-wgl5 ether daddr != 5e:00:00:00:01:01 accept',
      'in-wgl5 drop',
    ]);
  });

  it.each([
    { id: 'link', shortcut: { ...FOUR, underlay: { ...UNDERLAY, link: 'eth0"; drop' } } },
    { id: 'MAC', shortcut: { ...FOUR, mac: 'x' } },
    { id: 'address', shortcut: { ...FOUR, address: '10.0.0.5 accept' } },
    { id: 'IPv6 address', shortcut: { ...FOUR, address6: '::1\n' } },
  ])('are not made of what is no $id', ({ shortcut }) => {
    expect(() => shortcutLines('waggle-x', 'wgl5', shortcut)).toThrow('not a');
  });

  it.each([FOUR, BOTH])('are known again', (shortcut) => {
    expect(readShortcuts(rowsOf(shortcut))).toEqual(new Map([['wgl5', shortcutKey(shortcut)]]));
  });

  it.each<{ id: string; rows: unknown[] }>([
    { id: 'a rule less', rows: rowsOf(BOTH).slice(0, -1) },
    { id: 'a rule more', rows: [...rowsOf(BOTH), { rule: { chain: 'in-wgl5', expr: [] } }] },
    { id: 'a rule twice', rows: [...rowsOf(BOTH), ...rowsOf(BOTH).slice(-1)] },
    { id: 'one chain', rows: rowsOf(BOTH).filter(({ chain }) => chain?.name !== 'in-wgl5') },
    { id: 'no rules', rows: rowsOf(BOTH).filter(({ chain }) => chain !== undefined) },
    { id: 'rules of two', rows: [...rowsOf(FOUR).slice(0, -1), ...rowsOf({ ...FOUR, address: '10.0.0.6' }).slice(-1)] },
  ])('are not known again with $id', ({ rows }) => {
    expect(readShortcuts(rows)).toEqual(new Map([['wgl5', '']]));
  });

  it('are told from the table’s own', () => {
    expect(
      readShortcuts([{ chain: { name: 'leave' } }, { rule: { chain: 'enter' } }, { map: { name: 'out-x' } }]),
    ).toEqual(new Map());
  });
});
