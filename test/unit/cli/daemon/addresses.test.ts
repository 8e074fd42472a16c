import { describe, expect, it } from 'vitest';
import {
  resolveAdvertiseAddress,
  resolveDataPathAddress,
  validateDataPathPort,
  resolveListenAddress,
  withPorts,
} from '../../../../cli/daemon/addresses.ts';

const ONE = new Map([
  ['lo', ['127.0.0.1']],
  ['eth0', ['192.168.1.5']],
  ['docker0', ['172.17.0.1']],
]);
const TWO = new Map([...ONE, ['eth1', ['10.9.0.5']]]);
const EVERYWHERE = { host: '0.0.0.0', port: 2377 };

describe('resolveListenAddress', () => {
  const CASES = [
    { id: 'as docker sends it', text: '0.0.0.0:2377', expected: EVERYWHERE },
    { id: 'another port', text: '0.0.0.0:4000', expected: { host: '0.0.0.0', port: 4000 } },
    { id: 'an interface', text: 'eth0', expected: { host: '192.168.1.5', port: 2377 } },
    { id: 'an interface with port', text: 'eth0:99', expected: { host: '192.168.1.5', port: 99 } },
    { id: 'loopback', text: '127.0.0.1:5000', expected: { host: '127.0.0.1', port: 5000 } },
  ];
  for (const { id, text, expected } of CASES) {
    it(id, () => expect(resolveListenAddress(text, ONE)).toEqual(expected));
  }

  const REFUSED = [
    { id: 'nothing given', text: undefined, words: 'invalid ListenAddr "": invalid empty address' },
    { id: 'empty', text: '', words: 'invalid ListenAddr "": invalid empty address' },
    { id: 'no such interface', text: 'eth9', words: 'could not find network interface or IP address "eth9"' },
    { id: 'port too high', text: '0.0.0.0:70000', words: 'invalid port' },
    { id: 'port 0', text: '0.0.0.0:0', words: 'invalid port' },
    { id: 'only a port', text: ':2377', words: 'must specify a listening address' },
    { id: 'nonsense', text: 'a:b:c', words: 'invalid address' },
  ];
  for (const { id, text, words } of REFUSED) {
    it(`refuses ${id}`, () => expect(() => resolveListenAddress(text, ONE)).toThrow(words));
  }
});

describe('withPorts', () => {
  it('completes the managers to join', () => {
    expect(withPorts(['10.0.0.1', '10.0.0.2:4000'])).toEqual(['10.0.0.1:2377', '10.0.0.2:4000']);
  });

  it('refuses an empty one', () => {
    expect(() => withPorts(['10.0.0.1', ''])).toThrow('invalid remoteAddr "": invalid empty address');
  });
});

describe('resolveAdvertiseAddress', () => {
  it('takes the only address that there is', () => {
    expect(resolveAdvertiseAddress(undefined, EVERYWHERE, ONE)).toEqual({ host: '192.168.1.5', port: 2377 });
  });
  it('follows a definite listen address', () => {
    const listen = { host: '192.168.1.5', port: 4000 };
    expect(resolveAdvertiseAddress('', listen, TWO)).toEqual(listen);
  });
  it('has the port of the listen address unless it is given', () => {
    const listen = { host: '0.0.0.0', port: 4000 };
    expect(resolveAdvertiseAddress('192.168.1.5', listen, TWO)).toEqual({ host: '192.168.1.5', port: 4000 });
    expect(resolveAdvertiseAddress('eth1:1234', listen, TWO)).toEqual({ host: '10.9.0.5', port: 1234 });
  });
  it('does not choose among several', () => {
    expect(() => resolveAdvertiseAddress(undefined, EVERYWHERE, TWO)).toThrow(
      'could not choose an IP address to advertise since this system has multiple addresses (192.168.1.5, 10.9.0.5)',
    );
  });
  it('refuses the zero address', () => {
    expect(() => resolveAdvertiseAddress('0.0.0.0', EVERYWHERE, ONE)).toThrow('non-zero IP address');
  });
});

const BOTH = new Map([
  ['eth0', ['192.168.1.5']],
  ['eth1', ['10.9.0.5', 'fd00:9::5', 'fd00:9::6']],
  ['eth3', ['fd00:3::1']],
  ['eth4', ['fd00::4', 'fd00::5']],
  ['eth5', []],
]);

describe('resolveDataPathAddress', () => {
  it('is the advertised address unless it is given', () => {
    expect(resolveDataPathAddress(undefined, '192.168.1.5', TWO)).toBe('192.168.1.5');
    expect(resolveDataPathAddress('eth1', '192.168.1.5', TWO)).toBe('10.9.0.5');
    expect(resolveDataPathAddress('10.9.0.5', '192.168.1.5', TWO)).toBe('10.9.0.5');
  });
  it.each([
    { text: 'eth1', address: '10.9.0.5' },
    { text: 'eth3', address: 'fd00:3::1' },
    { text: 'FD00:3:0::1', address: 'fd00:3::1' },
  ])('takes $text', ({ text, address }) => {
    expect(resolveDataPathAddress(text, '192.168.1.5', BOTH)).toBe(address);
  });
  const words = 'data path address must be a non-zero IP address or network interface (without a port number)';
  it.each([
    { text: '0.0.0.0', why: words },
    { text: '::', why: words },
    { text: 'wlan7', why: words },
    { text: '10.9.0.5:4789', why: words },
    { text: '10.9.0.6', why: 'data path address 10.9.0.6 is not an address of this host' },
    { text: 'fd00::6', why: 'data path address fd00::6 is not an address of this host' },
    { text: 'eth4', why: 'interface eth4 has more than one IPv6 address (fd00::4 and fd00::5)' },
    { text: 'eth5', why: 'interface eth5 has no usable IPv4 or IPv6 address' },
  ])('refuses $text', ({ text, why }) => {
    expect(() => resolveDataPathAddress(text, '192.168.1.5', BOTH)).toThrow(why);
  });
});

describe('validateDataPathPort', () => {
  it.each([undefined, 0])('takes %s for the default', (port) => expect(validateDataPathPort(port)).toBe(0));
  it.each([1024, 4789, 49_151])('takes %s', (port) => expect(validateDataPathPort(port)).toBe(port));
  it.each([-1, 1023, 49_152, 70_000, 5000.5, Number.NaN])('refuses %s', (port) => {
    const why = `Datapath port number is not in valid range (1024-49151) : ${port}`;
    expect(() => validateDataPathPort(port)).toThrow(why);
  });
});
