import type { NodeSurvey, SurveyedEndpoint, SurveyedRecord } from '../../../../proto/objects/diagnosis/survey.ts';
import { addressesOf, declaredAddresses } from '../../../../manager/diagnosis/declared-addresses.ts';
import type { ComparisonFacts } from '../../../../manager/diagnosis/network-comparison.ts';
import { newNetwork } from '../store/objects.ts';

export const NETWORK = 'net1';

export function endpoint(id: string, address: string, change: Partial<SurveyedEndpoint> = {}): SurveyedEndpoint {
  const mac = ['02:42', ...address.split('.').map((part) => Number(part).toString(16).padStart(2, '0'))].join(':');
  return {
    endpointId: id,
    networkId: NETWORK,
    address,
    mac,
    state: 'joined',
    containerId: `container-${id}`,
    name: id,
    running: true,
    ...change,
  };
}

export function record({ endpointId, address, address6, mac }: SurveyedEndpoint, vtep: string): SurveyedRecord {
  const addresses = address6 === undefined ? { address } : { address, address6 };
  return { endpointId, ...addresses, mac, vtep, vni: 4097, rest: '{"names":[]}' };
}

/** A node with these endpoints, all as it should be. `digests` are to be set by `swarm`. */
export function survey(vtep: string, endpoints: SurveyedEndpoint[]): NodeSurvey {
  const records = endpoints.map((each) => record(each, vtep));
  return {
    vtep,
    synced: true,
    endpoints,
    leases: endpoints.flatMap(addressesOf).map((address) => ({ networkId: NETWORK, address })),
    networks: [
      { networkId: NETWORK, version: 1, digests: [], records, differences: [], more: 0, settled: true, repairs: {} },
    ],
    differences: [],
    repairs: {},
  };
}

/** Two nodes with a leased container each, in agreement; `change` breaks something. @param ipv6 they have IPv6 addresses, too. */
export function swarm(
  change: (facts: { a: NodeSurvey; b: NodeSurvey }) => void = () => undefined,
  { ipv6 = false } = {},
): ComparisonFacts {
  const a = survey('192.168.0.1', [endpoint('e1', '10.0.0.2', ipv6 ? { address6: 'fd00::2' } : {})]);
  const b = survey('192.168.0.2', [endpoint('e2', '10.0.0.3', ipv6 ? { address6: 'fd00::3' } : {})]);
  for (const each of [a, b]) {
    for (const network of each.networks) {
      network.digests = [
        { owner: 'a', count: 1, digest: 'of a' },
        { owner: 'b', count: 1, digest: 'of b' },
      ];
    }
  }
  change({ a, b });
  const leases = [
    { id: 'l1', node: 'a', address: '10.0.0.2/24' },
    { id: 'l2', node: 'b', address: '10.0.0.3/24' },
    ...(ipv6
      ? [
          { id: 'l3', node: 'a', address: 'fd00::2/64' },
          { id: 'l4', node: 'b', address: 'fd00::3/64' },
        ]
      : []),
  ];
  return {
    networks: new Map([
      [NETWORK, { ...newNetwork(NETWORK, NETWORK), Version: { Index: 1 }, CreatedAt: '', UpdatedAt: '' }],
    ]),
    nodes: new Map([
      ['a', { name: 'h1' }],
      ['b', { name: 'h2' }],
    ]),
    declared: declaredAddresses(
      [],
      leases.map(({ id, node, address }) => ({
        ID: id,
        Version: { Index: 1 },
        CreatedAt: '',
        UpdatedAt: '',
        NetworkID: NETWORK,
        NodeID: node,
        Address: address,
        Reference: id,
      })),
    ),
    surveys: new Map([
      ['a', a],
      ['b', b],
    ]),
  };
}
