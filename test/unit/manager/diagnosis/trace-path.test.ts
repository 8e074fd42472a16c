import { describe, expect, it } from 'vitest';
import type { PathEvidence, ProbeAnswer, Sighting } from '../../../../proto/objects/diagnosis/path.ts';
import type { TraceHop } from '../../../../proto/objects/diagnosis/report.ts';
import { type TracedEnd, type TracedPath, traceHops } from '../../../../manager/diagnosis/trace-path.ts';
import { endpoint } from './facts.ts';

const VNI = 4097;
const ANSWERED: ProbeAnswer = { sent: 2, received: 2, rttMs: 0.5, error: '', pathMtu: 1500 };
const SILENT: ProbeAnswer = { sent: 3, received: 0, rttMs: 0, error: '', pathMtu: 0 };

function evidence(own: string, peer: string, vteps: { own: string; peer: string }): PathEvidence {
  const [mine, other] = [endpoint('x', own), endpoint(peer === '10.0.0.3' ? 'e2' : 'e1', peer)];
  return {
    sandboxError: '',
    sandbox: {
      interface: 'eth0',
      up: true,
      mac: mine.mac,
      mtu: 1450,
      addresses: [`${own}/24`],
      routeInterface: 'eth0',
      gateway: '',
      neighbour: { mac: other.mac, state: 'REACHABLE' },
    },
    namespace: '1-net1',
    namespaceExists: true,
    bridgeUp: true,
    port: { name: `veth-${own}`, exists: true, up: true, onBridge: true, mtu: 1450 },
    vxlan: { up: true, onBridge: true, vni: VNI, local: vteps.own, port: 4789, mtu: 1450 },
    wanted: { vni: VNI, local: vteps.own, port: 4789, mtu: 1450 },
    records: [{ endpointId: other.endpointId, owner: 'o', mac: other.mac, vtep: vteps.peer, vni: VNI }],
    rows: { neighbour: other.mac, forwarding: vteps.peer, bridged: true, routed: false },
    differences: [],
    underlay: { interface: 'eth9', mtu: 1500 },
    guard: { vtep: vteps.peer, admits: true, strangers: [] },
  };
}

type Ends = { from: TracedEnd & { evidence: PathEvidence }; to: TracedEnd & { evidence: PathEvidence } };

/** A way on which all is well; `change` breaks something. */
function path(change: (path: TracedPath & Ends) => void = () => undefined): TracedPath {
  const underlay = { small: { ...ANSWERED }, full: { ...ANSWERED } };
  const result: TracedPath & Ends = {
    from: {
      nodeId: 'a',
      node: 'h1',
      vtep: '192.168.0.1',
      address: '10.0.0.2',
      endpoint: endpoint('e1', '10.0.0.2'),
      evidence: evidence('10.0.0.2', '10.0.0.3', { own: '192.168.0.1', peer: '192.168.0.2' }),
      sightings: [],
      underlay,
    },
    to: {
      nodeId: 'b',
      node: 'h2',
      vtep: '192.168.0.2',
      address: '10.0.0.3',
      endpoint: endpoint('e2', '10.0.0.3'),
      evidence: evidence('10.0.0.3', '10.0.0.2', { own: '192.168.0.2', peer: '192.168.0.1' }),
      sightings: [],
      underlay,
    },
    way: 'tunnel',
    vni: VNI,
    echo: { small: { ...ANSWERED }, full: { ...ANSWERED }, size: 1450 },
  };
  change(result);
  return result;
}

function firstBroken(of: TracedPath): string {
  const hop = traceHops([of]).find(({ OK }) => OK === false);
  return hop === undefined ? '' : `${hop.Node} ${hop.Hop}: ${hop.Seen}`;
}

function seen(place: Sighting['place'], link: string, direction: Sighting['direction'], tunnelTo = ''): Sighting {
  return { place, link, direction, packet: 'request', family: 4, tunnelTo };
}

/** In the order of the way. */
const CASES: { id: string; change: (path: TracedPath & Ends) => void; broken: string }[] = [
  { id: 'nothing', change: () => undefined, broken: '' },
  {
    id: 'the source is stopped',
    change: ({ from }) => Object.assign(from.endpoint, { running: false }),
    broken: 'h1 container e1: 10.0.0.2, 02:42:0a:00:00:02, does not run, endpoint joined',
  },
  {
    id: 'no sandbox',
    change: ({ from }) => {
      delete from.evidence.sandbox;
      from.evidence.sandboxError = 'gone';
    },
    broken: 'h1 network of the container: gone',
  },
  {
    id: 'another MTU inside',
    change: ({ to }) => Object.assign(to.evidence.sandbox ?? {}, { mtu: 9000 }),
    broken: 'h2 interface in the container: eth0 up, 10.0.0.3/24, 02:42:0a:00:00:03, MTU 9000',
  },
  {
    id: 'a route by the gateway',
    change: ({ from }) => Object.assign(from.evidence.sandbox ?? {}, { gateway: '172.18.0.1', routeInterface: 'eth1' }),
    broken: 'h1 route to 10.0.0.3 in the container: via 172.18.0.1 by eth1',
  },
  {
    id: 'a stale ARP entry',
    change: ({ from }) => {
      if (from.evidence.sandbox) from.evidence.sandbox.neighbour = { mac: '02:42:0a:00:00:77', state: 'STALE' };
    },
    broken: 'h1 ARP entry for 10.0.0.3 in the container: 02:42:0a:00:00:77 STALE',
  },
  {
    id: 'the namespace gone',
    change: ({ to }) => Object.assign(to.evidence, { namespaceExists: false }),
    broken: 'h2 namespace 1-net1: missing',
  },
  {
    id: 'the port off the bridge',
    change: ({ from }) => Object.assign(from.evidence.port, { onBridge: false }),
    broken: 'h1 port veth-10.0.0.2 in 1-net1: up, not on br0',
  },
  {
    id: 'no record',
    change: ({ from }) => from.evidence.records.splice(0),
    broken: 'h1 record of 10.0.0.3: none',
  },
  {
    id: 'two answers',
    change: ({ from }) =>
      from.evidence.records.push({
        endpointId: 'e9',
        owner: 'c',
        mac: '02:42:0a:00:00:03',
        vtep: '192.168.0.9',
        vni: VNI,
      }),
    broken: 'h1 record of 10.0.0.3: 02:42:0a:00:00:03 at 192.168.0.2, 02:42:0a:00:00:03 at 192.168.0.9',
  },
  {
    id: 'a forwarding row to the former host',
    change: ({ from }) => Object.assign(from.evidence.rows, { forwarding: '192.168.0.9' }),
    broken: 'h1 forwarding entry of 02:42:0a:00:00:03 on vxlan1: 192.168.0.9',
  },
  {
    id: 'the other host takes no packets from this one',
    change: ({ to }) =>
      Object.assign(to.evidence, { guard: { vtep: '192.168.0.1', admits: false, strangers: ['192.168.0.9'] } }),
    broken: 'h2 packets from 192.168.0.1: dropped: not in the set of table waggle-members; refused lately: 192.168.0.9',
  },
  {
    id: 'another VNI on the other side',
    change: ({ to }) => Object.assign(to.evidence.vxlan ?? {}, { vni: 9 }),
    broken: 'h2 tunnel device vxlan1: VNI 9, local 192.168.0.2, port 4789, up, on br0',
  },
  {
    id: 'no neighbour row for the way back',
    change: ({ to }) => Object.assign(to.evidence.rows, { neighbour: '' }),
    broken: 'h2 neighbour entry of 10.0.0.2 on vxlan1: none',
  },
  {
    id: 'long packets lost between the hosts',
    change: ({ from }) => {
      from.underlay = { small: ANSWERED, full: SILENT };
    },
    broken: 'h1 host network to 192.168.0.2: answered in 0.5 ms, but not packets of the full size',
  },
  {
    id: 'long packets lost on the way',
    change: ({ echo }) => typeof echo !== 'string' && Object.assign(echo, { full: SILENT }),
    broken: 'h1 echo from 10.0.0.2 to 10.0.0.3 with 1450 bytes: no answer to 3',
  },
  {
    id: 'a difference elsewhere on the node',
    change: ({ to }) => to.evidence.differences.push('neighbour added: 10.0.0.9'),
    broken: 'h2 kernel against what h2 wants: neighbour added: 10.0.0.9',
  },
];

describe('traceHops of one family', () => {
  it.each(CASES)('names the first broken hop: $id', ({ change, broken }) => {
    expect(firstBroken(path(change))).toBe(broken);
  });

  it('tells what to do at every broken hop, and nothing at the others', () => {
    for (const { change } of CASES) {
      for (const hop of traceHops([path(change)])) expect(hop.Advice !== '').toBe(hop.OK !== true);
    }
  });

  it('takes hosts that do not answer echo requests for no fault while the tunnel works', () => {
    const hops = traceHops([path(({ from }) => void (from.underlay = { small: SILENT, full: SILENT }))]);
    expect(hops.filter(({ OK }) => OK === false)).toEqual([]);
    expect(hops.filter(({ OK }) => OK === undefined).map(({ Hop }) => Hop)).toEqual(['host network to 192.168.0.2']);
  });

  const way = [
    seen('overlay', 'veth-10.0.0.2', 'in'),
    seen('overlay', 'vxlan1', 'out'),
    seen('host', 'eth9', 'out', '192.168.0.2'),
  ];
  it.each([
    { id: 'in the container', from: [], to: [], broken: 'h1 request leaves the container: not seen' },
    { id: 'before the tunnel', from: way.slice(0, 1), to: [], broken: 'h1 request goes into the tunnel: not seen' },
    { id: 'before the wire', from: way.slice(0, 2), to: [], broken: 'h1 request leaves the host: not seen' },
    { id: 'between the hosts', from: way, to: [], broken: 'h2 request reaches the host: not seen' },
    {
      id: 'on the way to another host',
      from: [...way.slice(0, 2), seen('host', 'eth9', 'out', '192.168.0.9')],
      to: [],
      broken: 'h1 request leaves the host: not seen',
    },
    {
      id: 'after the wire',
      from: way,
      to: [seen('host', 'eth9', 'in', '192.168.0.2')],
      broken: 'h2 request comes out of the tunnel: not seen',
    },
  ])('names the last place at which a lost packet was seen: $id', ({ from, to, broken }) => {
    const lost = path((whole) => {
      whole.echo = { small: SILENT, full: SILENT, size: 1450 };
      whole.from.sightings = from;
      whole.to.sightings = to;
    });
    expect(firstBroken(lost)).toBe(broken);
  });

  it.each([
    { way: 'encrypted' as const, broken: 'h2 request comes out of the tunnel: not seen' },
    { way: 'routed' as const, broken: 'h2 request goes to the container: not seen' },
  ])('looks for packets only where they can be told: $way', ({ way: between, broken }) => {
    const lost = path((whole) => {
      whole.way = between;
      whole.echo = { small: SILENT, full: SILENT, size: 1450 };
      whole.from.sightings = way.slice(0, 2);
    });
    expect(firstBroken(lost)).toBe(broken);
  });

  it('takes the bare way of a routed network for as good as a tunnel', () => {
    const hops = traceHops([path(({ from }) => Object.assign(from.evidence.rows, { bridged: false, routed: true }))]);
    expect(hops.filter(({ OK }) => OK === false)).toEqual([]);
  });

  it('judges nothing on a node that does not tell, and all on the other', () => {
    const hops = traceHops([path((whole) => Object.assign(whole.to, { evidence: 'no answer within 4 s' }))]);
    expect(hops.filter(({ OK }) => OK === false)).toEqual([]);
    expect(hops.find(({ OK }) => OK === undefined)).toMatchObject({ Node: 'h2', Seen: 'no answer within 4 s' });
  });

  it.each([
    { id: 'one of the same family', family: 6 as const, broken: 'h1 request goes into the tunnel: not seen' },
    { id: 'one of the other family', family: 4 as const, broken: 'h1 request leaves the container: not seen' },
  ])('takes no packet for another: $id', ({ family, broken }) => {
    const lost = sixth(path());
    lost.echo = { small: SILENT, full: SILENT, size: 1450 };
    lost.from.sightings = way.slice(0, 1).map((each) => ({ ...each, family }));
    expect(firstBroken(lost)).toBe(broken);
  });
});

/** The same way between the IPv6 addresses of the same containers. */
function sixth(of: TracedPath): TracedPath {
  const copy = structuredClone(of);
  for (const [end, address] of [
    [copy.from, 'fd00::2'],
    [copy.to, 'fd00::3'],
  ] as const) {
    Object.assign(end, { address });
    if (typeof end.evidence !== 'string') end.evidence.sandbox?.addresses.push(`${address}/64`);
  }
  return copy;
}

describe('traceHops of two families', () => {
  /** As containers on a network with both are. */
  function both(change: (sixth: TracedPath) => void = () => undefined): TraceHop[] {
    const four = path(({ from, to }) => {
      from.evidence.sandbox?.addresses.push('fd00::2/64');
      to.evidence.sandbox?.addresses.push('fd00::3/64');
    });
    const six = sixth(path());
    change(six);
    // Differences are those of the whole network, whoever asks.
    if (typeof six.from.evidence !== 'string' && typeof four.from.evidence !== 'string') {
      four.from.evidence.differences = six.from.evidence.differences;
    }
    return traceHops([four, six]);
  }

  it('tells what two families share once, and all else of each', () => {
    const hops = both().map(({ Node, Hop }) => `${Node} ${Hop}`);
    expect(new Set(hops).size).toBe(hops.length);
    const count = (text: string): number => hops.filter((hop) => hop.includes(text)).length;
    expect(['container e1', 'vxlan1', 'host network'].map(count)).toEqual([1, 8, 2]);
    expect(hops).toEqual(
      expect.arrayContaining([
        'h1 ARP entry for 10.0.0.3 in the container',
        'h1 NDP entry for fd00::3 in the container',
        'h2 neighbour entry of fd00::2 on vxlan1',
        'h1 echo from fd00::2 to fd00::3 with 1450 bytes',
      ]),
    );
  });

  it.each([
    {
      id: 'an address that another host has too',
      change: ({ to }: TracedPath) => {
        if (typeof to.evidence !== 'string') to.evidence.sandbox?.addresses.splice(1, 1, 'fd00::3/64 dadfailed');
      },
      broken: 'h2 interface in the container: eth0 up, 10.0.0.3/24 fd00::3/64 dadfailed, 02:42:0a:00:00:03, MTU 1450',
    },
    {
      id: 'no neighbour row',
      change: ({ from }: TracedPath) => {
        if (typeof from.evidence !== 'string') from.evidence.rows.neighbour = '';
      },
      broken: 'h1 neighbour entry of fd00::3 on vxlan1: none',
    },
    {
      id: 'no neighbour row, which the node knows of as well',
      change: ({ from }: TracedPath) => {
        if (typeof from.evidence === 'string') return;
        from.evidence.rows.neighbour = '';
        from.evidence.differences.push('neighbour missing: fd00::3');
      },
      broken: 'h1 neighbour entry of fd00::3 on vxlan1: none',
    },
    {
      id: 'no answer',
      change: ({ echo }: TracedPath) => {
        if (typeof echo !== 'string') Object.assign(echo, { small: SILENT });
      },
      broken: 'h1 request leaves the container: not seen',
    },
  ])('names the first broken hop of the second family: $id', ({ change, broken }) => {
    const hop = both(change).find(({ OK }) => OK === false);
    expect(`${hop?.Node} ${hop?.Hop}: ${hop?.Seen}`).toBe(broken);
  });
});
