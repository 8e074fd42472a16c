import { describe, expect, it } from 'vitest';
import type { LocatedRecord } from '../../../../../worker/gossip/endpoint-table.ts';
import {
  guardNeed,
  namedHosts,
  type PresentNetworks,
  routedHosts,
  tunnelNeed,
} from '../../../../../worker/network/overlay/host-needs.ts';
import type { NetworkFacts } from '../../../../../worker/network/overlay/overlay-state.ts';

function facts(vni: number, change: Partial<NetworkFacts> = {}): NetworkFacts {
  return { networkId: `n${vni}`, vni, subnets: [], dataPath: 'vxlan', ...change };
}

function record(vtep: string): LocatedRecord {
  const where = { networkId: 'n1', endpointId: `at-${vtep}`, owner: 'o', address: '10.0.0.5', mac: '', vni: 1 };
  return { ...where, vtep, names: [], services: [], silent: false };
}

const PLAIN = facts(1);
const OTHER = facts(2, { dataPath: 'routed' });
const ENCRYPTED = facts(3, { encrypted: true });

describe('need of tunnel and guard', () => {
  const cases: {
    id: string;
    networks: PresentNetworks['facts'];
    isPartial?: boolean;
    tunnel: ReturnType<typeof tunnelNeed>;
    guard: ReturnType<typeof guardNeed>;
  }[] = [
    { id: 'no network', networks: [], tunnel: 'none', guard: [] },
    { id: 'none that is known yet', networks: [], isPartial: true, tunnel: 'kept', guard: 'kept' },
    { id: 'plain ones', networks: [PLAIN, OTHER], tunnel: 'none', guard: [1, 2] },
    { id: 'plain ones, and perhaps others', networks: [PLAIN], isPartial: true, tunnel: 'kept', guard: [1] },
    { id: 'an encrypted one', networks: [ENCRYPTED], tunnel: 'needed', guard: [] },
    {
      id: 'an encrypted one, and perhaps others',
      networks: [ENCRYPTED],
      isPartial: true,
      tunnel: 'needed',
      guard: 'kept',
    },
    { id: 'both', networks: [PLAIN, ENCRYPTED], tunnel: 'needed', guard: [1] },
    { id: 'one without facts', networks: [undefined], tunnel: 'kept', guard: 'kept' },
    { id: 'a plain one and one without facts', networks: [PLAIN, undefined], tunnel: 'kept', guard: [1] },
    { id: 'an encrypted one and one without facts', networks: [undefined, ENCRYPTED], tunnel: 'needed', guard: 'kept' },
  ];

  it.each(cases)('$id: $tunnel, $guard', ({ networks, isPartial = false, tunnel, guard }) => {
    const present = { facts: networks, isPartial };
    expect(tunnelNeed(present)).toBe(tunnel);
    expect(guardNeed(present)).toEqual(guard);
  });
});

describe('hosts that a network names', () => {
  const records = ['192.168.0.2', '192.168.0.1', '192.168.0.3', '192.168.0.2'].map(record);
  const others = ['192.168.0.2', '192.168.0.3'];

  it.each([
    { id: 'plain', network: PLAIN, named: others, routed: [] },
    { id: 'routed', network: OTHER, named: others, routed: others },
    { id: 'encrypted', network: ENCRYPTED, named: [], routed: [] },
    { id: 'without facts', network: undefined, named: others, routed: [] },
  ])('$id', ({ network, named, routed }) => {
    let looks = 0;
    const located = (): readonly LocatedRecord[] => {
      looks++;
      return records;
    };
    expect(namedHosts({ facts: network, located }, '192.168.0.1')).toEqual(named);
    expect(routedHosts({ facts: network, located }, '192.168.0.1')).toEqual(routed);
    // To look makes this node hold the records.
    expect(looks).toBe([named, routed].filter((hosts) => hosts.length > 0).length);
  });
});
