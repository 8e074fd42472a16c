import { describe, expect, it } from 'vitest';
import type { Interfaces } from '../../../../cli/daemon/addresses.ts';
import type { MemberConfig } from '../../../../cli/daemon/member-config.ts';
import { interfacesOf, relocated } from '../../../../cli/daemon/relocation.ts';

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
    { id: 'its interface has no address any more', interfaces: { eth0: [], eth1: ['10.1.0.1'] }, is: '10.1.0.1' },
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

  const UNCLEAR = [
    {
      id: 'several on its interface',
      interfaces: { eth0: ['10.0.0.7', '10.0.0.8'] },
      text: 'more than one IPv4 address',
    },
    { id: 'several elsewhere', interfaces: { a: ['10.0.0.7'], b: ['10.0.0.8'] }, text: 'multiple addresses' },
    { id: 'none at all', interfaces: {}, text: 'no usable network interface' },
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
