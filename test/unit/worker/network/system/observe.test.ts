import { describe, expect, it } from 'vitest';
import { readHostEnds, readHostLinks, readOverlay } from '../../../../../worker/network/system/observe.ts';

/** From iproute2 6.1 on Linux 6.18, fields that nobody reads left out but for one of each kind. */
const ADDRESSES = JSON.stringify([
  { ifname: 'lo', flags: ['LOOPBACK'], mtu: 65536, address: '00:00:00:00:00:00', addr_info: [] },
  {
    ifname: 'vxlan1',
    flags: ['BROADCAST', 'MULTICAST', 'UP', 'LOWER_UP'],
    mtu: 1450,
    master: 'br0',
    operstate: 'UNKNOWN',
    address: '66:D9:cc:bc:22:e8',
    linkinfo: {
      info_kind: 'vxlan',
      info_data: { id: 4097, local: '127.0.0.1', port: 4789, learning: false, proxy: true, ttl: 0 },
      info_slave_kind: 'bridge',
      info_slave_data: { state: 'forwarding', learning: false },
    },
    addr_info: [],
  },
  {
    ifname: 'veth1234567',
    flags: ['BROADCAST'],
    mtu: 1450,
    address: '5e:10:f8:4d:97:39',
    linkinfo: { info_kind: 'veth' },
  },
  {
    ifname: 'br0',
    flags: ['BROADCAST', 'UP'],
    mtu: 1450,
    address: '02:42:0a:00:00:01',
    linkinfo: { info_kind: 'bridge', info_data: { stp_state: 0 } },
    addr_info: [
      { family: 'inet', local: '10.0.0.1', prefixlen: 24, scope: 'global' },
      { family: 'inet6', local: 'fe80::1', prefixlen: 64 },
    ],
  },
]);

const FORWARDING = JSON.stringify([
  { mac: '02:42:0a:00:00:05', ifname: 'vxlan1', flags: [], master: 'br0', state: 'static' },
  { mac: '02:42:0a:00:00:07', ifname: 'vxlan1', flags: [], master: 'br0', state: '' },
  { mac: '66:d9:cc:bc:22:e8', ifname: 'vxlan1', flags: [], master: 'br0', state: 'permanent' },
  { mac: '02:42:0a:00:00:05', ifname: 'vxlan1', dst: '1.2.3.4', linkNetNsId: 0, flags: ['self'], state: 'permanent' },
  { mac: '33:33:00:00:00:01', ifname: 'vxlan1', flags: ['self'], state: 'permanent' },
]);

const NEIGHBOURS = JSON.stringify([
  { dst: '10.0.0.5', lladdr: '02:42:0a:00:00:05', state: ['PERMANENT'] },
  { dst: '10.0.0.6', state: ['FAILED'] },
]);

describe('readOverlay', () => {
  it('reads links, rows and neighbours', () => {
    const observed = readOverlay({ addresses: ADDRESSES, forwarding: FORWARDING, neighbours: NEIGHBOURS });
    expect(observed.bridge).toMatchObject({ up: true, mac: '02:42:0a:00:00:01', addresses: new Set(['10.0.0.1/24']) });
    expect(observed.vxlan).toMatchObject({ vni: 4097, silent: true, portLearning: false, master: 'br0', port: 4789 });
    expect([...observed.ports.keys()]).toEqual(['veth1234567']);
    expect(observed.ports.get('veth1234567')).toEqual({ mtu: 1450, up: false, mac: '5e:10:f8:4d:97:39' });
    expect([...observed.forwarding]).toEqual([['02:42:0a:00:00:05', { vtep: '1.2.3.4', permanent: true }]]);
    expect([...observed.bridged]).toEqual([
      ['02:42:0a:00:00:05', true],
      ['02:42:0a:00:00:07', false],
    ]);
    expect([...observed.neighbours]).toEqual([
      ['10.0.0.5', { mac: '02:42:0a:00:00:05', permanent: true }],
      ['10.0.0.6', { mac: '', permanent: false }],
    ]);
  });

  it.each(['learning', 'l2miss', 'l3miss'])('does not take a device with %s for ours', (flag) => {
    const addresses = ADDRESSES.replace('"proxy":true', `"proxy":true,"${flag}":true`);
    expect(readOverlay({ addresses, forwarding: '', neighbours: '' }).vxlan?.silent).toBe(false);
  });

  it('refuses what is not a dump', () => {
    expect(() => readOverlay({ addresses: '[{"ifname":"a"}]', forwarding: '', neighbours: '' })).toThrow();
  });
});

describe('readHostLinks', () => {
  it('gives MTU, MAC, IPv4 addresses and VXLAN identity', () => {
    expect(readHostLinks(ADDRESSES)).toContainEqual({
      name: 'br0',
      mtu: 1450,
      mac: '02:42:0a:00:00:01',
      addresses: ['10.0.0.1'],
    });
    expect(readHostLinks(ADDRESSES)).toContainEqual({
      name: 'vxlan1',
      mtu: 1450,
      mac: '66:d9:cc:bc:22:e8',
      addresses: [],
      vxlan: { vni: 4097, port: 4789 },
    });
  });
});

describe('readHostEnds', () => {
  const veth = (ifname: string, flags: string[], address = '5E:00:00:00:00:01'): object => ({
    ifname,
    flags,
    mtu: 1500,
    address,
  });
  const VETHS = JSON.stringify([
    veth('wgr-abcdefghij', ['UP']),
    veth('wgr-0000000000', ['UP']),
    veth('wgl0123456789ab', ['BROADCAST', 'UP']),
    veth('wgl1111111111ab', ['UP']),
    veth('vethengine1', ['UP']),
  ]);

  it('gives what belongs to the overlay: its way out, and the lower links of its ports', () => {
    expect(readHostEnds(VETHS, 'wgr-abcdefghij', new Set(['veth0123456', 'vethengine1']))).toEqual({
      end: { mtu: 1500, up: true },
      lowers: new Map([['wgl0123456789ab', { mtu: 1500, up: true, mac: '5e:00:00:00:00:01' }]]),
    });
  });

  it('gives nothing of an overlay that has nothing in the host', () => {
    expect(readHostEnds(VETHS, 'wgr-1', new Set())).toEqual({ lowers: new Map() });
    expect(readHostEnds('', 'wgr-1', new Set())).toEqual({ lowers: new Map() });
  });
});
