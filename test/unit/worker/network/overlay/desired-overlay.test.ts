import { describe, expect, it } from 'vitest';
import { desiredOverlay, type OverlayCircumstances } from '../../../../../worker/network/overlay/desired-overlay.ts';
import type { NetworkFacts, Peer } from '../../../../../worker/network/overlay/overlay-state.ts';

const PLAIN = { vtep: '192.168.0.1', vxlanPort: 4789, mtu: 1500 };
const PLAIN6 = { ...PLAIN, vtep: 'fd00:77::1' };
const TUNNEL = { vtep: '250.0.0.1', vxlanPort: 4792, mtu: 1440 };
const ENDPOINT = { endpointId: 'e'.repeat(64), address: '10.0.0.9/24', mac: '02:42:0a:00:00:09' };
const NEIGHBOURS = new Map([['192.168.0.2', '02:00:00:00:00:02']]);
const SENDERS = new Map([...NEIGHBOURS, ['192.168.0.3', '02:00:00:00:00:03']]);
const UNDERLAY = { link: 'eth0', mac: '02:00:00:00:00:01' };

function facts(change: Partial<NetworkFacts> = {}): NetworkFacts {
  const subnets = [{ subnet: '10.0.0.0/24', gateway: '10.0.0.1/24' }];
  return { networkId: 'n1', vni: 4097, subnets, dataPath: 'vxlan', ...change };
}

function peer(vtep: string): Peer {
  return { endpointId: `at-${vtep}`, address: '10.0.0.5', mac: '02:42:0a:00:00:05', vtep, since: 1 };
}

function circumstances(change: Partial<OverlayCircumstances> = {}): OverlayCircumstances {
  const adjacency = { underlay: UNDERLAY, neighbours: NEIGHBOURS, senders: SENDERS };
  return { facts: facts(), endpoints: [ENDPOINT], peers: [], isPartial: false, path: PLAIN, adjacency, ...change };
}

describe('MTU of the containers', () => {
  const cases: { id: string; network: Partial<NetworkFacts>; path: OverlayCircumstances['path']; mtu: number }[] = [
    { id: 'VXLAN by IPv4', network: {}, path: PLAIN, mtu: 1450 },
    { id: 'VXLAN by IPv6', network: {}, path: PLAIN6, mtu: 1430 },
    { id: 'VXLAN, by option', network: { mtu: 1300 }, path: PLAIN, mtu: 1300 },
    { id: 'VXLAN, by an option larger than fits', network: { mtu: 9000 }, path: PLAIN, mtu: 9000 },
    { id: 'encrypted', network: { encrypted: true }, path: TUNNEL, mtu: 1390 },
    { id: 'encrypted, by option', network: { encrypted: true, mtu: 1200 }, path: TUNNEL, mtu: 1200 },
    { id: 'routed', network: { dataPath: 'routed' }, path: PLAIN, mtu: 1500 },
    { id: 'routed by IPv6', network: { dataPath: 'routed' }, path: PLAIN6, mtu: 1500 },
    { id: 'routed, by option', network: { dataPath: 'routed', mtu: 1400 }, path: PLAIN, mtu: 1400 },
    { id: 'routed, never larger than the link', network: { dataPath: 'routed', mtu: 9000 }, path: PLAIN, mtu: 1500 },
  ];

  it.each(cases)('$id: $mtu', ({ network, path, mtu }) => {
    expect(desiredOverlay(circumstances({ facts: facts(network), path })).mtu).toBe(mtu);
  });
});

it('has the address and port of its path', () => {
  const encrypted = circumstances({ facts: facts({ encrypted: true }), path: TUNNEL });
  expect(desiredOverlay(circumstances())).toMatchObject({ vtep: '192.168.0.1', port: 4789 });
  expect(desiredOverlay(encrypted)).toMatchObject({ vtep: '250.0.0.1', port: 4792 });
});

it('takes of the peers of an encrypted network only those in the tunnel', () => {
  const peers = [peer('192.168.0.2'), peer('250.0.0.2')];
  expect(desiredOverlay(circumstances({ peers })).peers).toBe(peers);
  const encrypted = circumstances({ peers, facts: facts({ encrypted: true }), path: TUNNEL });
  expect(desiredOverlay(encrypted).peers).toEqual([peer('250.0.0.2')]);
});

it('has the same list of peers where all are in the tunnel, so that an audit finds that nothing has changed', () => {
  const peers = [peer('250.0.0.2')];
  const encrypted = circumstances({ peers, facts: facts({ encrypted: true }), path: TUNNEL });
  expect(desiredOverlay(encrypted).peers).toBe(peers);
});

it('gives endpoints their ports, and addresses without prefix', () => {
  const both = { ...ENDPOINT, address6: 'fd00::9/64' };
  const port = { endpointId: ENDPOINT.endpointId, mac: ENDPOINT.mac, address: '10.0.0.9', link: 'vetheeeeeee' };
  expect(desiredOverlay(circumstances({ endpoints: [ENDPOINT, both] })).local).toEqual([
    port,
    { ...port, address6: 'fd00::9' },
  ]);
});

describe('route', () => {
  it.each([
    { id: 'of a routed network', dataPath: 'routed', underlay: UNDERLAY, has: true },
    { id: 'of a routed network whose link is not known', dataPath: 'routed', underlay: undefined, has: false },
    { id: 'of any other', dataPath: 'vxlan', underlay: UNDERLAY, has: false },
  ] as const)('$id: $has', ({ dataPath, underlay, has }) => {
    const adjacency = { underlay, neighbours: NEIGHBOURS, senders: SENDERS };
    const { route } = desiredOverlay(circumstances({ facts: facts({ dataPath }), adjacency }));
    expect(route).toEqual(has ? { underlay: UNDERLAY, neighbours: NEIGHBOURS, senders: SENDERS } : undefined);
  });
});

it('says which ports may be removed where others are to be spared', () => {
  expect(desiredOverlay(circumstances())).not.toHaveProperty('doomed');
  expect(desiredOverlay(circumstances({ doomed: new Set() })).doomed).toEqual(new Set());
});
