import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { planTunnel } from '../../../../../worker/network/encryption/plan-tunnel.ts';
import {
  type DesiredTunnel,
  emptyTunnel,
  type ObservedTunnel,
} from '../../../../../worker/network/encryption/tunnel-state.ts';
import { ModelTunnel } from '../../../../fixtures/model-tunnel.ts';

const OWN = 'own';
const desired: DesiredTunnel = {
  keyFile: '/run/key',
  publicKey: OWN,
  port: 4790,
  vxlanPort: 4792,
  address: '250.0.0.1',
  mtu: 1440,
  peers: [
    { publicKey: OWN, endpoint: '10.0.0.1:4790', address: '250.0.0.1' },
    { publicKey: 'b', endpoint: '10.0.0.2:4790', address: '250.0.0.2' },
  ],
};

/** What the kernel has when all is as desired. */
function settled(): ObservedTunnel {
  return {
    guard: 4792,
    blackhole: true,
    route: true,
    device: {
      answers: true,
      publicKey: OWN,
      port: 4790,
      mtu: 1440,
      up: true,
      addresses: new Set(['250.0.0.1/32']),
      peers: new Map([['b', { endpoint: '10.0.0.2:4790', allowed: ['250.0.0.2/32'] }]]),
    },
  };
}

type Change = (observed: ObservedTunnel, device: NonNullable<ObservedTunnel['device']>) => void;

describe('planTunnel', () => {
  it('does nothing when all is as it should be', () => {
    expect(planTunnel(desired, settled())).toEqual([]);
    expect(planTunnel(undefined, emptyTunnel())).toEqual([]);
  });

  it('closes the host before there is a device, and opens the route last', () => {
    const kinds = planTunnel(desired, emptyTunnel()).map(({ kind }) => kind);
    expect(kinds).toEqual([
      'set-guard',
      'add-blackhole',
      'create-device',
      'set-key',
      'put-peer',
      'add-address',
      'set-mtu',
      'set-up',
      'add-route',
      'greet',
    ]);
  });

  it('takes the guard away last', () => {
    const kinds = planTunnel(undefined, settled()).map(({ kind }) => kind);
    expect(kinds).toEqual(['delete-device', 'delete-blackhole', 'delete-guard']);
  });

  const drifts: [string, Change, string[]][] = [
    ['a guard that somebody has changed', (all) => Object.assign(all, { guard: 'other' }), ['set-guard']],
    ['a guard for another port', (all) => Object.assign(all, { guard: 4793 }), ['set-guard']],
    ['no guard', (all) => Object.assign(all, { guard: 'none' }), ['set-guard']],
    ['no blackhole', (all) => Object.assign(all, { blackhole: false }), ['add-blackhole']],
    ['no route', (all) => Object.assign(all, { route: false }), ['add-route']],
    ['another key', (_, device) => Object.assign(device, { publicKey: 'x' }), ['set-key', 'greet']],
    ['another port', (_, device) => Object.assign(device, { port: 1 }), ['set-key']],
    ['another MTU', (_, device) => Object.assign(device, { mtu: 1420 }), ['set-mtu']],
    ['a device that is down', (_, device) => Object.assign(device, { up: false }), ['set-up']],
    ['an address more', (_, device) => device.addresses.add('250.9.9.9/32'), ['delete-address']],
    ['no address', (_, device) => device.addresses.clear(), ['add-address']],
    ['a peer less', (_, device) => device.peers.clear(), ['put-peer']],
    ['a peer more', (_, { peers }) => peers.set('x', { endpoint: '', allowed: [] }), ['remove-peer']],
    ['itself as a peer', (_, { peers }) => peers.set(OWN, { endpoint: '', allowed: [] }), ['remove-peer']],
    [
      'a peer elsewhere',
      (_, { peers }) => Object.assign(peers.get('b') ?? {}, { endpoint: '1.1.1.1:1' }),
      ['put-endpoint'],
    ],
    [
      'a peer that may send from more',
      (_, { peers }) =>
        peers.get('b')?.allowed && Object.assign(peers.get('b') ?? {}, { allowed: ['250.0.0.2/32', '0.0.0.0/0'] }),
      ['put-peer'],
    ],
  ];
  it.each(drifts)('repairs %s', (_, change, kinds) => {
    const observed = settled();
    if (observed.device !== undefined) change(observed, observed.device);
    expect(planTunnel(desired, observed).map(({ kind }) => kind)).toEqual(kinds);
  });

  it('greets a host that has another key now, and no host that is new', () => {
    const observed = settled();
    const peers = [
      { publicKey: 'b2', endpoint: '10.0.0.2:4790', address: '250.0.0.2' },
      { publicKey: 'c', endpoint: '10.0.0.3:4790', address: '250.0.0.3' },
    ];
    const operations = planTunnel({ ...desired, peers }, observed);
    expect(operations.map(({ kind }) => kind)).toEqual(['remove-peer', 'put-peer', 'put-peer', 'greet']);
    expect(operations.at(-1)).toEqual({ kind: 'greet', publicKeys: ['b2'] });
  });

  it('makes a device that does not answer anew', () => {
    const observed = settled();
    Object.assign(observed.device ?? {}, { answers: false, peers: new Map() });
    const kinds = planTunnel(desired, observed).map(({ kind }) => kind);
    expect(kinds.slice(0, 4)).toEqual(['delete-device', 'create-device', 'set-key', 'put-peer']);
    expect(kinds.slice(-2)).toEqual(['add-route', 'greet']);
  });

  it('ends at what is desired from anywhere, and is never open to all on the way', async () => {
    const octet = fc.integer({ min: 2, max: 5 });
    const peer = fc.record({ publicKey: fc.constantFrom('b', 'c', 'd', OWN), n: octet, address: octet });
    const tunnel = fc.option(
      fc.record({
        peers: fc.uniqueArray(peer, { selector: ({ address }) => address }),
        mtu: fc.constantFrom(1380, 1440),
      }),
      { nil: undefined },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(tunnel, { minLength: 1, maxLength: 5 }), async (history) => {
        const kernel = new ModelTunnel();
        for (const wish of history) {
          const peers = wish?.peers.map(({ publicKey, n, address }) => ({
            publicKey,
            endpoint: `10.0.0.${n}:4790`,
            address: `250.0.0.${address}`,
          }));
          const unique = [...new Map((peers ?? []).map((each) => [each.publicKey, each])).values()];
          const next = wish === undefined ? undefined : { ...desired, mtu: wish.mtu, peers: unique };
          expect(await kernel.apply(planTunnel(next, await kernel.observe()))).toBeUndefined();
          expect(planTunnel(next, await kernel.observe())).toEqual([]);
          const wanted = unique.filter(({ publicKey }) => publicKey !== OWN);
          expect(kernel.state.device?.peers.size ?? 0).toBe(wanted.length);
        }
        expect(kernel.wasOpenToAll).toBe(false);
      }),
    );
  });
});
