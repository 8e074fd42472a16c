import { describe, expect, it } from 'vitest';
import { redirectHandle } from '../../../../../worker/network/redirect/redirect-handle.ts';
import type { RedirectOperation } from '../../../../../worker/network/redirect/redirect-state.ts';
import { readFilters, readQdiscs } from '../../../../../worker/network/system/redirect-listing.ts';
import { renderRedirect } from '../../../../../worker/network/system/render-redirect.ts';

/** Of iproute2 6.1 on Linux 6.18. */
const IPV4 = `filter protocol ip pref 57891 u32 chain 0 
filter protocol ip pref 57891 u32 chain 0 fh 7a6: ht divisor 256 
filter protocol ip pref 57891 u32 chain 0 fh 7a6:b:a6 order 166 key ht 7a6 bkt b terminal flowid skip_hw not_in_hw 
  match 0a00050b/ffffffff at 16
  match 0000fac0/0000ffff at -16
  match bae4b5d2/ffffffff at -12
	action order 1: mirred (Ingress Redirect to device wgl0123456789ab) stolen
	index 1 ref 1 bind 1

filter protocol ip pref 57891 u32 chain 0 fh 801: ht divisor 1 
filter protocol ip pref 57891 u32 chain 0 fh 801::1 order 1 key ht 801 bkt 0 link 7a6: skip_hw not_in_hw 
  match 00000000/00000000 at 0
    hash mask 000000ff at 16 
`;
const IPV6 = `filter protocol ipv6 pref 57892 u32 chain 0 
filter protocol ipv6 pref 57892 u32 chain 0 fh 7a7: ht divisor 256 
filter protocol ipv6 pref 57892 u32 chain 0 fh 7a7:11:1 order 1 key ht 7a7 bkt 11 terminal flowid skip_hw not_in_hw 
  match fd000000/ffffffff at 24
  match 00000000/ffffffff at 28
  match 00000000/ffffffff at 32
  match 00050011/ffffffff at 36
  match 0000fac0/0000ffff at -16
  match bae4b5d2/ffffffff at -12
	action order 1: mirred (Ingress Redirect to device *) stolen
	index 4 ref 1 bind 1

filter protocol ipv6 pref 57892 u32 chain 0 fh 802: ht divisor 1 
filter protocol ipv6 pref 57892 u32 chain 0 fh 802::1 order 1 key ht 802 bkt 0 link 7a7: skip_hw not_in_hw 
  match 00000000/00000000 at 0
    hash mask 000000ff at 36 
`;
const OTHERS = `filter protocol ip pref 49 u32 chain 0 
filter protocol ip pref 49 u32 chain 0 fh 800: ht divisor 1 
filter protocol ip pref 49 u32 chain 0 fh 800::800 order 2048 key ht 800 bkt 0 terminal flowid not_in_hw 
  match 01020304/ffffffff at 16
	action order 1: mirred (Ingress Redirect to device wgpa) stolen
	index 2 ref 1 bind 1

filter protocol all pref 49152 bpf chain 0 
filter protocol all pref 49152 bpf chain 0 handle 0x1 cil_from_netdev direct-action not_in_hw id 1 tag 0 jited 
`;

const row = { address: '10.0.5.11', mac: 'fa:c0:ba:e4:b5:d2', lower: 'wgl0123456789ab' };
const intact = {
  table: 'made',
  entries: new Map([['801::1', true]]),
  rows: new Map([['7a6:b:a6', row]]),
} as const;

describe('readQdiscs', () => {
  it('names links that have filters at ingress, and those that share them', () => {
    const listing = `qdisc noqueue 0: dev far0 root refcnt 2 
qdisc ingress ffff: dev far0 parent ffff:fff1 ingress_block 7 ---------------- 
qdisc mq 0: dev eth0 root 
qdisc fq_codel 0: dev eth0 parent :1 limit 10240p flows 1024
qdisc clsact ffff: dev eth0 parent ffff:fff1 
qdisc ingress ffff: dev eth0.7 parent ffff:fff1 ---------------- 
`;
    expect([...readQdiscs(listing)]).toEqual([
      ['far0', 'shared'],
      ['eth0', 'clsact'],
      ['eth0.7', 'ingress'],
    ]);
  });
});

describe('readFilters', () => {
  it('reads rows of both families, among filters of others', () => {
    const { others, families } = readFilters(`${OTHERS}${IPV4}${IPV6}`);
    expect(others).toBe(true);
    expect(families.ip).toEqual(intact);
    expect(families.ipv6).toEqual({
      table: 'made',
      entries: new Map([['802::1', true]]),
      rows: new Map([['7a7:11:1', { ...row, address: 'fd00::5:11', lower: undefined }]]),
    });
    expect(readFilters(`${IPV4}${IPV6}`).others).toBe(false);
    expect(readFilters('').families.ip.table).toBe('none');
  });

  it('reads kernels that know neither chains nor offload', () => {
    const old = IPV4.replaceAll(' chain 0', '')
      .replaceAll(' skip_hw not_in_hw', ' ')
      .replaceAll('terminal flowid', 'terminal flowid ??? ');
    expect(readFilters(old)).toMatchObject({ others: false, families: { ip: intact } });
  });

  it.each([
    { id: 'one match less', from: '  match bae4b5d2/ffffffff at -12\n', to: '' },
    { id: 'one match more', from: '  match 0a00050b', to: '  match 00060000/00ff0000 at 8\n  match 0a00050b' },
    { id: 'part of an address', from: '0a00050b/ffffffff', to: '0a000500/ffffff00' },
    { id: 'the source', from: '0a00050b/ffffffff at 16', to: '0a00050b/ffffffff at 12' },
    { id: 'another direction', from: '(Ingress Redirect', to: '(Egress Redirect' },
    {
      id: 'another action',
      from: 'mirred (Ingress Redirect to device wgl0123456789ab) stolen',
      to: 'gact action drop',
    },
    { id: 'two actions', from: '\tindex 1', to: '\taction order 2: gact action drop\n\tindex 1' },
  ])('does not take for ours a row with $id', ({ from, to }) => {
    const { families } = readFilters(IPV4.replace(from, to));
    expect(families.ip).toEqual({ ...intact, rows: new Map([['7a6:b:a6', 'altered']]) });
  });

  it.each([
    { id: 'another hash', from: '000000ff at 16', to: '000000ff at 12' },
    { id: 'only for some packets', from: 'match 00000000/00000000 at 0', to: 'match 00060000/00ff0000 at 8' },
    {
      id: 'with a match more',
      from: '  match 00000000/00000000',
      to: '  match 00060000/00ff0000 at 8\n  match 00000000/00000000',
    },
    { id: 'into another table', from: 'link 7a6:', to: 'link 7a7:' },
  ])('tells an entry that is not as made: $id', ({ from, to }) => {
    const { families } = readFilters(IPV4.replace(from, to));
    expect(families.ip).toEqual({ ...intact, entries: new Map([['801::1', false]]) });
  });

  it.each([
    { id: 'another number of buckets', text: IPV4.replace('divisor 256', 'divisor 16'), table: 'altered' },
    {
      id: 'no more than the priority',
      text: 'filter protocol ip pref 57891 u32 chain 0 \nfilter protocol ip pref 57891 u32 chain 0 fh 801: ht divisor 1 \n',
      table: 'altered',
    },
    { id: 'rows of others under our priority', text: OTHERS.replaceAll('pref 49 ', 'pref 57891 '), table: 'taken' },
    { id: 'another kind of filter', text: OTHERS.replaceAll('pref 49152', 'pref 57891'), table: 'taken' },
    { id: 'another protocol', text: IPV4.replaceAll('protocol ip ', 'protocol arp '), table: 'taken' },
    { id: 'our table under another priority', text: IPV4.replaceAll('pref 57891', 'pref 8'), table: 'taken' },
    {
      id: 'our priority in another chain',
      text: OTHERS.replaceAll('pref 49 u32 chain 0', 'pref 57891 u32 chain 3'),
      table: 'none',
    },
  ])('finds the table $table: $id', ({ text, table }) => {
    const found = readFilters(text);
    expect(found.families.ip.table).toBe(table);
    expect(found.others).toBe(table !== 'altered');
  });
});

describe('renderRedirect', () => {
  const step = (redirect: Partial<typeof row>, link = 'eth0', handle = '7a6:b:a6'): RedirectOperation => ({
    kind: 'create-redirect',
    link,
    family: 'ip',
    handle,
    redirect: { ...row, ...redirect },
  });

  it('writes the row that is read above', () => {
    expect(renderRedirect(step({}, 'eth0', redirectHandle(row.address, 'ip')))).toBe(
      'filter add dev eth0 ingress pref 57891 protocol ip handle 7a6:b:a6 u32 ht 7a6:b: match ip dst 10.0.5.11/32 match u16 0xfac0 0xffff at -14 match u32 0xbae4b5d2 0xffffffff at -12 skip_hw action mirred ingress redirect dev wgl0123456789ab',
    );
  });

  it.each([
    step({ address: '10.0.5.11/8' }),
    step({ address: 'fd00::1' }),
    step({ address: '10.0.5.11 action drop' }),
    step({ mac: 'fa:c0:ba:e4:b5' }),
    step({ lower: 'x\nqdisc del dev eth0 clsact' }),
    step({}, 'eth0 root'),
    step({}, 'eth0', '7a6:b:a6 chain 1'),
    step({}, 'eth0', ''),
  ])('refuses %j', (operation) => {
    expect(() => renderRedirect(operation)).toThrow(/^not /);
  });
});
