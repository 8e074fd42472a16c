import { expect, it } from 'vitest';
import {
  allInterfaces,
  hasAddress,
  parseInterfaces,
  workingInterfaces,
} from '../../../../cli/daemon/host-addresses.ts';

it('parseInterfaces takes interfaces that are down or have no address, and leaves out what leads nowhere', () => {
  const shown = [
    { ifname: 'lo', flags: ['UP'], addr_info: [{ family: 'inet', local: '127.0.0.1', scope: 'host' }] },
    {
      ifname: 'eth0',
      flags: ['NO-CARRIER', 'BROADCAST', 'UP'],
      addr_info: [
        { family: 'inet', local: '10.0.0.1', scope: 'global' },
        { family: 'inet6', local: 'fd00::1', scope: 'global' },
        { family: 'inet6', local: 'fe80::1', scope: 'link' },
      ],
    },
    { ifname: 'eth1', addr_info: [{ family: 'inet', local: '169.254.7.7', scope: 'link' }] },
    { ifname: 'ifb0', addr_info: [{}] },
  ];
  expect([...parseInterfaces(JSON.stringify(shown))]).toEqual([
    ['lo', ['127.0.0.1']],
    ['eth0', ['10.0.0.1', 'fd00::1']],
    ['eth1', []],
    ['ifb0', []],
  ]);
});

it('both ways to look agree on what works', async () => {
  const all = await allInterfaces();
  for (const [name, addresses] of workingInterfaces())
    expect(all.get(name)).toEqual(expect.arrayContaining([...addresses]));
  expect(workingInterfaces().get('lo')).toContain('127.0.0.1');
});

it.each([
  ['127.0.0.1', true],
  ['198.51.100.77', false],
  ['2001:db8::77', false],
])('hasAddress %s: %s', async (address, expected) => {
  expect(await hasAddress(address)).toBe(expected);
});
