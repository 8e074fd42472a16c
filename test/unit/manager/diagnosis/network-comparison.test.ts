import { describe, expect, it } from 'vitest';
import type { NodeSurvey } from '../../../../proto/objects/diagnosis/survey.ts';
import {
  compareNetworks,
  compareRecords,
  mismatchedRecords,
} from '../../../../manager/diagnosis/network-comparison.ts';
import { endpoint, NETWORK, record, swarm } from './facts.ts';

type Nodes = { a: NodeSurvey; b: NodeSurvey };

function own(survey: NodeSurvey): NodeSurvey['networks'][number] {
  const [network] = survey.networks;
  if (network === undefined) throw new Error('unreachable');
  return network;
}

/** Each is one fault in a swarm that is otherwise in agreement, with everything that is to be said of it. */
const CASES: { id: string; change: (nodes: Nodes) => void; found: string[]; certain?: boolean }[] = [
  { id: 'nothing', change: () => undefined, found: [] },
  {
    id: 'a difference in a kernel',
    change: ({ b }) => own(b).differences.push({ kind: 'link down', object: 'br0', expected: 'up', found: 'down' }),
    found: ['b net1 link down br0'],
    certain: true,
  },
  {
    id: 'a difference in a kernel that is being changed',
    change: ({ b }) => {
      own(b).settled = false;
      own(b).differences.push({ kind: 'link down', object: 'br0', expected: 'up', found: 'down' });
    },
    found: ['b net1 link down br0'],
  },
  {
    id: 'a leaked namespace',
    change: ({ a }) => a.differences.push({ kind: 'namespace leaked', object: '1-x', expected: '', found: '' }),
    found: ['a  namespace leaked 1-x'],
  },
  {
    id: 'an endpoint that is not published',
    change: ({ b }) => own(b).records.splice(0),
    found: ['b net1 endpoint not published 10.0.0.3'],
  },
  {
    id: 'an endpoint published with another MAC',
    change: ({ b }) => {
      own(b).records = own(b).records.map((each) => ({ ...each, mac: '02:42:00:00:00:01' }));
    },
    found: ['b net1 endpoint published wrong 10.0.0.3'],
  },
  {
    id: 'a record without an endpoint',
    change: ({ a }) => own(a).records.push(record(endpoint('e9', '10.0.0.9'), '192.168.0.1')),
    found: ['a net1 address without endpoint 10.0.0.9'],
  },
  {
    id: 'two answers for an address, and nobody but one may have it',
    change: ({ a }) => {
      const thief = endpoint('e9', '10.0.0.3');
      a.endpoints.push(thief);
      own(a).records.push(record(thief, '192.168.0.1'));
    },
    found: ['a net1 address not allocated 10.0.0.3', ' net1 two answers 10.0.0.3'],
  },
  {
    id: 'an endpoint whose address nobody was given',
    change: ({ a }) => {
      const stray = endpoint('e9', '10.0.0.9');
      a.endpoints.push(stray);
      own(a).records.push(record(stray, '192.168.0.1'));
    },
    found: ['a net1 address not allocated 10.0.0.9'],
  },
  {
    id: 'a lease that its node does not know',
    change: ({ b }) => {
      b.endpoints = [];
      b.leases = [];
      own(b).records = [];
    },
    found: ['b net1 address leaked 10.0.0.3'],
  },
  {
    id: 'a lease that waits for its endpoint',
    change: ({ b }) => {
      b.endpoints = [];
      own(b).records = [];
    },
    found: [],
  },
  {
    id: 'an endpoint that has left',
    change: ({ b }) => {
      b.endpoints = b.endpoints.map((each) => ({ ...each, state: 'left' as const }));
      own(b).records = [];
    },
    found: [],
  },
  {
    id: 'an older version of the network',
    change: ({ b }) => {
      own(b).version = 0;
    },
    found: ['b net1 network outdated net1'],
  },
  {
    id: 'a network that was not assigned though it is used',
    change: ({ b }) => {
      delete own(b).version;
    },
    found: ['b net1 network not assigned net1'],
  },
];

function withoutIpv6<T extends { address6?: string }>(of: T): T {
  const copy = { ...of };
  delete copy.address6;
  return copy;
}

/** The same where containers have IPv6 addresses beside their IPv4 ones. */
const CASES_IPV6: typeof CASES = [
  { id: 'nothing', change: () => undefined, found: [] },
  {
    id: 'an endpoint published with another address',
    change: ({ b }) => {
      own(b).records = own(b).records.map((each) => ({ ...each, address6: 'fd00::9' }));
    },
    found: ['b net1 endpoint published wrong 10.0.0.3'],
  },
  {
    id: 'an endpoint published without its address',
    change: ({ b }) => {
      own(b).records = own(b).records.map(withoutIpv6);
    },
    found: ['b net1 endpoint published wrong 10.0.0.3'],
  },
  {
    id: 'two answers for an address, and nobody but one may have it',
    change: ({ a }) => {
      const thief = endpoint('e9', '10.0.0.9', { address6: 'fd00::3' });
      a.endpoints.push(thief);
      own(a).records.push(record(thief, '192.168.0.1'));
    },
    found: [
      'a net1 address not allocated 10.0.0.9',
      'a net1 address not allocated fd00::3',
      ' net1 two answers fd00::3',
    ],
  },
  {
    id: 'an address that its endpoint does not have',
    change: ({ b }) => {
      b.leases.pop();
      b.endpoints = b.endpoints.map(withoutIpv6);
      own(b).records = own(b).records.map(withoutIpv6);
    },
    found: ['b net1 address leaked fd00::3'],
  },
];

describe('compareNetworks', () => {
  it.each(CASES_IPV6)('tells, of IPv6, $id', ({ change, found }) => {
    const result = compareNetworks(swarm(change, { ipv6: true }));
    expect(result.map((each) => `${each.nodeId} ${each.networkId} ${each.kind} ${each.object}`).toSorted()).toEqual(
      found.toSorted(),
    );
  });

  it.each(CASES)('tells $id', ({ change, found, certain }) => {
    const result = compareNetworks(swarm(change));
    expect(result.map((each) => `${each.nodeId} ${each.networkId} ${each.kind} ${each.object}`).toSorted()).toEqual(
      found.toSorted(),
    );
    expect(result.every(({ transient }) => !transient)).toBe(certain === true || found.length === 0);
  });

  it('tells of a network that was removed and still has endpoints', () => {
    const facts = { ...swarm(), networks: new Map() };
    expect(compareNetworks(facts).map(({ kind, nodeId }) => `${nodeId} ${kind}`)).toEqual([
      'a network removed',
      'b network removed',
    ]);
  });

  it('says nothing of the addresses of nodes that were not asked', () => {
    const facts = swarm();
    const surveys = new Map([...facts.surveys].filter(([id]) => id === 'a'));
    expect(compareNetworks({ ...facts, surveys })).toEqual([]);
  });
});

describe('mismatchedRecords', () => {
  const digest = (nodes: Nodes, node: 'a' | 'b', owner: string, text: string | undefined): void => {
    const network = own(nodes[node]);
    network.digests = network.digests.filter((each) => each.owner !== owner);
    if (text !== undefined) network.digests.push({ owner, count: 1, digest: text });
  };

  it.each([
    { id: 'none', change: () => undefined, found: [] },
    { id: 'another digest', change: (nodes: Nodes) => digest(nodes, 'b', 'a', 'older'), found: ['b a'] },
    { id: 'nothing of an owner', change: (nodes: Nodes) => digest(nodes, 'b', 'a', undefined), found: ['b a'] },
    {
      id: 'what its owner has withdrawn',
      change: (nodes: Nodes) => digest(nodes, 'a', 'a', undefined),
      found: ['b a'],
    },
    { id: 'a node that is gone', change: (nodes: Nodes) => digest(nodes, 'b', 'gone', 'x'), found: ['b gone'] },
  ])('names who to ask about whom: $id', ({ change, found }) => {
    const pairs = mismatchedRecords(swarm(change)).map(({ nodeId, owner }) => `${nodeId} ${owner}`);
    expect(pairs).toEqual(found);
  });

  it('names what is missing, stale and altered', () => {
    const [one, two, three] = ['10.0.0.2', '10.0.0.3', '10.0.0.4'].map((address, index) =>
      record(endpoint(`e${index}`, address), '192.168.0.1'),
    );
    if (one === undefined || two === undefined || three === undefined) throw new Error('unreachable');
    const moved = { ...two, vtep: '192.168.0.7' };
    const found = compareRecords({ nodeId: 'b', networkId: NETWORK, owner: 'a' }, [moved, three], [one, two], 'h1');
    expect(found.map(({ kind, object, expected, found: seen }) => [kind, object, expected, seen])).toEqual([
      ['record missing', '10.0.0.2', 'e0 with 02:42:0a:00:00:02 at 192.168.0.1, VNI 4097', 'nothing'],
      [
        'record altered',
        '10.0.0.3',
        'e1 with 02:42:0a:00:00:03 at 192.168.0.1, VNI 4097',
        'e1 with 02:42:0a:00:00:03 at 192.168.0.7, VNI 4097',
      ],
      ['record stale', '10.0.0.4', 'nothing', 'e2 with 02:42:0a:00:00:04 at 192.168.0.1, VNI 4097, said to be on h1'],
    ]);
  });
});
