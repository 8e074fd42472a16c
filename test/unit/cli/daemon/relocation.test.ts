import { describe, expect, it } from 'vitest';
import type { Interfaces } from '../../../../cli/daemon/addresses.ts';
import type { MemberConfig } from '../../../../cli/daemon/member-config.ts';
import {
  fixedBy,
  interfacesOf,
  lostFixedAddresses,
  ownAddresses,
  relocated,
} from '../../../../cli/daemon/relocation.ts';

const config = (fields: Partial<MemberConfig> = {}): MemberConfig => ({
  listen: { host: '0.0.0.0', port: 2377 },
  advertise: { host: '10.0.0.1', port: 2377 },
  dataPathAddress: '10.0.0.1',
  interfaces: { '10.0.0.1': 'eth0' },
  remoteAddrs: [],
  ...fields,
});
const hostWith = (interfaces: Record<string, string[]>): Interfaces =>
  new Map(Object.entries({ lo: ['127.0.0.1'], ...interfaces }));

describe('relocated', () => {
  const CASES = [
    { id: 'nothing has changed', interfaces: { eth0: ['10.0.0.1'] }, is: '10.0.0.1' },
    { id: 'it has a further address', interfaces: { eth0: ['10.0.0.1', '10.0.0.9'] }, is: '10.0.0.1' },
    { id: 'it has moved to another interface', interfaces: { eth1: ['10.0.0.1'] }, is: '10.0.0.1' },
    { id: 'its interface was renumbered', interfaces: { eth0: ['10.0.0.7'], eth1: ['10.1.0.1'] }, is: '10.0.0.7' },
    { id: 'its interface is gone', interfaces: { ens3: ['10.0.0.8'], docker0: ['172.17.0.1'] }, is: '10.0.0.8' },
  ];
  it.each(CASES)('$id', ({ interfaces, is }) => {
    const next = relocated(config(), hostWith(interfaces));
    expect([next.advertise, next.dataPathAddress, next.listen.host]).toEqual([{ host: is, port: 2377 }, is, '0.0.0.0']);
    expect(next === config()).toBe(false);
  });

  it('is the very same when there is nothing to change', () => {
    const given = config();
    expect(relocated(given, hostWith({ eth0: ['10.0.0.1'] }))).toBe(given);
  });

  it('leaves an address alone that never was on an interface of this host', () => {
    const given = config({ advertise: { host: '203.0.113.5', port: 2377 } });
    const next = relocated(given, hostWith({ eth0: ['10.0.0.7'] }));
    expect([next.advertise.host, next.dataPathAddress]).toEqual(['203.0.113.5', '10.0.0.7']);
  });

  it('follows a second move from where the first one led to', () => {
    const first = relocated(config(), hostWith({ eth0: ['10.0.0.7'], eth1: ['10.1.0.1'] }));
    expect(relocated(first, hostWith({ eth0: ['10.0.0.8'], eth1: ['10.1.0.1'] })).advertise.host).toBe('10.0.0.8');
  });

  it('moves the address that it listens on too', () => {
    const given = config({ listen: { host: '10.0.0.1', port: 2400 } });
    expect(relocated(given, hostWith({ eth0: ['10.0.0.7'] })).listen).toEqual({ host: '10.0.0.7', port: 2400 });
  });

  it('takes an IPv6 data path to another IPv6 address', () => {
    const given = config({ dataPathAddress: 'fd00::1', interfaces: { 'fd00::1': 'eth1', '10.0.0.1': 'eth0' } });
    const host = hostWith({ eth0: ['10.0.0.1'], eth1: ['10.1.0.1', 'fd00::2'] });
    expect(relocated(given, host)).toMatchObject({ advertise: { host: '10.0.0.1' }, dataPathAddress: 'fd00::2' });
  });

  const UNCLEAR = [
    {
      id: 'several on its interface',
      interfaces: { eth0: ['10.0.0.7', '10.0.0.8'] },
      text: 'more than one IPv4 address',
    },
    { id: 'several elsewhere', interfaces: { a: ['10.0.0.7'], b: ['10.0.0.8'] }, text: 'multiple addresses' },
    { id: 'none at all', interfaces: {}, text: 'no usable network interface' },
    // A lease that ran out, a cable that was unplugged: eth1 may well be another network.
    { id: 'none on its interface', interfaces: { eth0: [], eth1: ['10.1.0.1'] }, text: 'no usable IPv4 addresses' },
  ];
  it.each(UNCLEAR)('says so when it cannot tell which one to take: $id', ({ interfaces, text }) => {
    const refused = (): unknown => relocated(config(), hostWith(interfaces));
    expect(refused).toThrow('known by the address 10.0.0.1, which this host no longer has');
    expect(refused).toThrow(text);
  });
});

it('interfacesOf remembers only what is on an interface', () => {
  const { listen, dataPathAddress } = config();
  const addresses = { listen, advertise: { host: '203.0.113.5', port: 2377 }, dataPathAddress };
  expect(interfacesOf(addresses, hostWith({ eth0: ['10.0.0.1'] }))).toEqual({ '10.0.0.1': 'eth0' });
});

describe('addresses that were given as such', () => {
  it.each([
    { id: 'nothing', request: {}, fixed: [] },
    { id: 'an interface', request: { AdvertiseAddr: 'eth0:2377', DataPathAddr: 'eth1' }, fixed: [] },
    { id: 'every address', request: { ListenAddr: '0.0.0.0:2377' }, fixed: [] },
    {
      id: 'IPv4',
      request: { ListenAddr: '10.0.0.1:2377', AdvertiseAddr: '10.0.0.1' },
      fixed: ['listen-addr', 'advertise-addr'],
    },
    {
      id: 'IPv6',
      request: { AdvertiseAddr: '10.0.0.1', DataPathAddr: 'fd00::1' },
      fixed: ['advertise-addr', 'data-path-addr'],
    },
  ])('are known by the request: $id', ({ request, fixed }) => {
    expect(fixedBy(request)).toEqual({ fixed });
  });

  it.each([
    { id: 'still there', interfaces: { eth1: ['10.0.0.1'] }, lost: [] },
    {
      id: 'gone',
      interfaces: { eth0: ['10.0.0.7'] },
      lost: [{ option: 'advertise-addr', address: '10.0.0.1', former: 'eth0' }],
    },
  ])('are lost or not: $id', ({ interfaces, lost }) => {
    expect(lostFixedAddresses(config({ fixed: ['advertise-addr'] }), hostWith(interfaces))).toEqual(lost);
    expect(lostFixedAddresses(config(), hostWith(interfaces))).toEqual([]);
  });

  it('are not lost when they never were this host’s', () => {
    const given = config({ advertise: { host: '203.0.113.5', port: 2377 }, fixed: ['advertise-addr'] });
    expect(lostFixedAddresses(given, hostWith({ eth0: ['10.0.0.1'] }))).toEqual([]);
    expect(ownAddresses(given)).toEqual(['10.0.0.1']);
  });
});
