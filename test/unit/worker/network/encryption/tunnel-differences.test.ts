import { describe, expect, it } from 'vitest';
import { planTunnel } from '../../../../../worker/network/encryption/plan-tunnel.ts';
import { tunnelDifferences } from '../../../../../worker/network/encryption/tunnel-differences.ts';
import type { DesiredTunnel, ObservedTunnel } from '../../../../../worker/network/encryption/tunnel-state.ts';

const DESIRED: DesiredTunnel = {
  keyFile: '/run/key',
  publicKey: 'own',
  port: 4790,
  vxlanPort: 4792,
  address: '250.0.0.1',
  mtu: 1440,
  peers: [{ publicKey: 'peer', endpoint: '10.0.0.2:4790', address: '250.0.0.2' }],
};

/** As it should be. */
function observed(): ObservedTunnel & Required<Pick<ObservedTunnel, 'device'>> {
  return {
    guard: 4792,
    blackhole: true,
    route: true,
    device: {
      answers: true,
      publicKey: 'own',
      port: 4790,
      mtu: 1440,
      up: true,
      addresses: new Set(['250.0.0.1/32']),
      peers: new Map([['peer', { endpoint: '10.0.0.2:4790', allowed: ['250.0.0.2/32'] }]]),
    },
  };
}

const CASES: { id: string; change: (of: ReturnType<typeof observed>) => unknown; kinds: string[] }[] = [
  { id: 'nothing', change: () => undefined, kinds: [] },
  { id: 'peer removed', change: ({ device }) => device.peers.clear(), kinds: ['tunnel peer missing'] },
  {
    id: 'peer with more addresses',
    change: ({ device }) => device.peers.set('peer', { endpoint: '10.0.0.2:4790', allowed: ['250.0.0.0/8'] }),
    kinds: ['tunnel peer altered'],
  },
  {
    id: 'peer of nobody',
    change: ({ device }) => device.peers.set('x', { endpoint: '10.0.0.9:1', allowed: [] }),
    kinds: ['tunnel peer added'],
  },
  { id: 'table removed', change: (of) => Object.assign(of, { guard: 'none' }), kinds: ['tunnel guard missing'] },
  { id: 'rule removed', change: (of) => Object.assign(of, { guard: 'other' }), kinds: ['tunnel guard altered'] },
  {
    id: 'blackhole removed',
    change: (of) => Object.assign(of, { blackhole: false }),
    kinds: ['tunnel blackhole missing'],
  },
  { id: 'route removed', change: (of) => Object.assign(of, { route: false }), kinds: ['tunnel route missing'] },
  {
    id: 'device removed',
    change: (of) => Object.assign(of, { device: undefined, route: false }),
    kinds: ['tunnel device missing'],
  },
  {
    id: 'device that hangs',
    change: ({ device }) => Object.assign(device, { answers: false, publicKey: '' }),
    kinds: ['tunnel device altered'],
  },
  {
    id: 'another key',
    change: ({ device }) => Object.assign(device, { publicKey: 'x' }),
    kinds: ['tunnel key altered'],
  },
  { id: 'another MTU', change: ({ device }) => Object.assign(device, { mtu: 9 }), kinds: ['tunnel MTU altered'] },
  { id: 'device down', change: ({ device }) => Object.assign(device, { up: false }), kinds: ['tunnel down'] },
  {
    id: 'another address',
    change: ({ device }) => Object.assign(device, { addresses: new Set(['250.0.0.9/32']) }),
    kinds: ['tunnel address added', 'tunnel address missing'],
  },
];

describe('tunnelDifferences', () => {
  it.each(CASES)('tells $id', ({ change, kinds }) => {
    const found = observed();
    change(found);
    expect(tunnelDifferences(planTunnel(DESIRED, found), found).map(({ kind }) => kind)).toEqual(kinds);
  });

  it('tells all that is left where none should be', () => {
    const found = observed();
    const kinds = ['tunnel device leaked', 'tunnel blackhole leaked', 'tunnel guard leaked'];
    expect(tunnelDifferences(planTunnel(undefined, found), found).map(({ kind }) => kind)).toEqual(kinds);
  });
});
