import { describe, expect, it } from 'vitest';
import { readSandbox } from '../../../../../worker/network/diagnosis/sandbox-view.ts';

/** As iproute2 prints them. */
const LINK = {
  ifname: 'eth0',
  flags: ['BROADCAST', 'MULTICAST', 'UP', 'LOWER_UP'],
  mtu: 1450,
  address: '02:42:0A:00:00:02',
  addr_info: [
    { family: 'inet', local: '10.0.0.2', prefixlen: 24 },
    { family: 'inet6', local: 'fd00::2', prefixlen: 64, nodad: true },
  ],
};
const ENDPOINT = { addresses: ['10.0.0.2', 'fd00::2'], mac: '02:42:0a:00:00:02' };
const ROUTE = JSON.stringify([{ dst: 'fd00::3', dev: 'eth0', prefsrc: 'fd00::2', flags: [] }]);
const NEIGHBOUR = JSON.stringify([{ dst: 'fd00::3', dev: 'eth0', lladdr: '02:42:0a:00:00:03', state: ['STALE'] }]);

function view(addr_info: object[], change: object = {}): ReturnType<typeof readSandbox> {
  const addresses = JSON.stringify([{ ifname: 'lo' }, { ...LINK, addr_info, ...change }]);
  return readSandbox({ addresses, route: ROUTE, neighbours: NEIGHBOUR }, ENDPOINT);
}

describe('readSandbox', () => {
  it('tells the interface, its addresses of both families, the route and the neighbour', () => {
    expect(view(LINK.addr_info)).toEqual({
      interface: 'eth0',
      up: true,
      mac: '02:42:0a:00:00:02',
      mtu: 1450,
      addresses: ['10.0.0.2/24', 'fd00::2/64'],
      routeInterface: 'eth0',
      gateway: '',
      neighbour: { mac: '02:42:0a:00:00:03', state: 'STALE' },
    });
  });

  it.each([
    { id: 'found to be somebody else’s', flags: { tentative: true, dadfailed: true }, is: 'fd00::2/64 dadfailed' },
    { id: 'not yet found free', flags: { tentative: true }, is: 'fd00::2/64 tentative' },
  ])('marks an address that cannot be used: $id', ({ flags, is }) => {
    const [four, six] = LINK.addr_info;
    expect(view([{ ...four }, { ...six, ...flags }]).addresses).toEqual(['10.0.0.2/24', is]);
  });

  it('finds the interface by the one address that is left, or by its MAC', () => {
    expect(view(LINK.addr_info.slice(1), { address: '02:42:0a:00:00:77' }).interface).toBe('eth0');
    expect(view([]).interface).toBe('eth0');
    expect(view([], { address: '02:42:0a:00:00:77' }).interface).toBe('');
  });
});
