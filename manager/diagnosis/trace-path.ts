import { familyOf, type PathEvidence, type ProbeAnswer, type Sighting } from '../../proto/objects/diagnosis/path.ts';
import type { TraceHop } from '../../proto/objects/diagnosis/report.ts';
import type { SurveyedEndpoint } from '../../proto/objects/diagnosis/survey.ts';
import { addressesOf, bare } from './declared-addresses.ts';

/** One end with all that its node told. */
export interface TracedEnd {
  nodeId: string;
  node: string;
  /** Of this network: an encrypted one has tunnel addresses of its own. */
  vtep: string;
  /** Of the endpoint's, the one that is traced. */
  address: string;
  endpoint: SurveyedEndpoint;
  /** A text: why the node did not tell. */
  evidence: PathEvidence | string;
  /** Undefined: nobody looked. */
  sightings: readonly Sighting[] | undefined;
  /** From this end's host to the other's, small and as long as tunnelled packets get; undefined when it was not tried. */
  underlay: { small: ProbeAnswer; full: ProbeAnswer } | undefined;
}

export interface TracedPath {
  from: TracedEnd;
  to: TracedEnd;
  /** How packets travel between the hosts: where they can be seen on their way differs. */
  way: 'tunnel' | 'encrypted' | 'routed';
  vni: number;
  /** Echo requests from container to container; a text: why there were none. */
  echo: { small: ProbeAnswer; full: ProbeAnswer; size: number } | string;
}

const AUDITED = 'the node repairs it within 5 s; if it stays, see the log of its daemon';
const RESTART = 'restart the container';
const FIREWALL =
  'a firewall of this host may drop it: allow the data path port (4789/udp unless changed); or it comes from an address that is not the VTEP of the other node';
const DAEMON = 'see the log of the waggle daemon on this node';

/**
 * Pure: the ways of packets and of their answers, one of each family, as hops in their order, each with what was seen, and what was
 * expected when that is something else. A hop without OK could not be judged. What is the same for all of them is told once.
 */
export function traceHops(paths: readonly TracedPath[]): TraceHop[] {
  const hops = [...paths.flatMap(wayHops), ...paths.flatMap(otherHops)];
  return [...new Map(hops.map((hop) => [JSON.stringify(hop), hop] as const)).values()];
}

function wayHops(path: TracedPath): TraceHop[] {
  const { from, to } = path;
  const isRemote = isBetweenHosts(path);
  return [
    ...containerHops(from, to),
    ...bridgeHops(from),
    ...(isRemote ? [...tableHops(from, to), ...tunnelHops(from, path.vni), ...underlayHops(from, to)] : []),
    ...(isRemote ? [...guardHops(to, path.way), ...tunnelHops(to, path.vni)] : []),
    ...bridgeHops(to),
    ...containerHops(to, from),
    ...(isRemote ? [...tableHops(to, from), ...underlayHops(to, from), ...guardHops(from, path.way)] : []),
    ...echoHops(path, isRemote),
  ];
}

function otherHops(path: TracedPath): TraceHop[] {
  return [...otherDifferences(path.from), ...(isBetweenHosts(path) ? otherDifferences(path.to) : [])];
}

function isBetweenHosts({ from, to }: TracedPath): boolean {
  return from.nodeId !== to.nodeId;
}

/** The container, its interface, and how it would reach the other end. */
function containerHops(end: TracedEnd, peer: TracedEnd): TraceHop[] {
  const { endpoint, evidence } = end;
  const name = endpoint.name || endpoint.endpointId.slice(0, 12);
  const state = `${endpoint.running ? 'runs' : 'does not run'}, endpoint ${endpoint.state}`;
  const container = check(end, `container ${name}`, endpoint.running && endpoint.state === 'joined', {
    seen: `${addressesOf(endpoint).join(', ')}, ${endpoint.mac}, ${state}`,
    expected: 'running, endpoint joined',
    advice: `start container ${name}`,
  });
  if (typeof evidence === 'string') return [container, unknown(end, 'node', evidence)];
  const { sandbox, wanted } = evidence;
  if (sandbox === undefined) {
    const seen = evidence.sandboxError;
    const failed = { seen, expected: 'a network namespace', advice: RESTART };
    return [container, check(end, 'network of the container', false, failed)];
  }
  const hasAddress = sandbox.addresses.some((each) => !each.includes(' ') && bare(each) === end.address);
  const right =
    sandbox.up && hasAddress && sandbox.mac === endpoint.mac && (wanted.mtu === 0 || sandbox.mtu === wanted.mtu);
  const words = (name: string, up: boolean, addresses: string, mac: string, mtu: number): string =>
    `${name} ${up ? 'up' : 'down'}, ${addresses || 'no address'}, ${mac}, MTU ${mtu}`;
  const { neighbour } = sandbox;
  const isStale = neighbour.mac !== '' && sandbox.gateway === '' && neighbour.mac !== peer.endpoint.mac;
  const protocol = familyOf(peer.address) === 4 ? 'ARP' : 'NDP';
  const unanswered = /FAILED|INCOMPLETE/.test(neighbour.state);
  return [
    container,
    check(end, 'interface in the container', right, {
      seen:
        sandbox.interface === ''
          ? 'none'
          : words(sandbox.interface, sandbox.up, sandbox.addresses.join(' '), sandbox.mac, sandbox.mtu),
      expected: words(sandbox.interface || 'eth0', true, end.address, endpoint.mac, wanted.mtu),
      advice: RESTART,
    }),
    check(end, `route to ${peer.address} in the container`, directRoute(sandbox), {
      seen: routeWords(sandbox),
      expected: `on the link by ${sandbox.interface || 'eth0'}`,
      advice: 'look at the routes of the container: something has changed them',
    }),
    check(end, `${protocol} entry for ${peer.address} in the container`, !isStale && !unanswered, {
      seen: neighbour.state === '' ? 'none' : `${neighbour.mac || 'no MAC'} ${neighbour.state}`,
      expected: peer.endpoint.mac,
      advice: isStale
        ? `run in the container's network: ip neigh del ${peer.address} dev ${sandbox.interface}`
        : `nobody answers for the address on ${evidence.namespace}`,
    }),
  ];
}

function directRoute(sandbox: NonNullable<PathEvidence['sandbox']>): boolean {
  return sandbox.routeInterface !== '' && sandbox.routeInterface === sandbox.interface && sandbox.gateway === '';
}

function routeWords({ routeInterface, gateway }: NonNullable<PathEvidence['sandbox']>): string {
  if (routeInterface === '') return 'no route';
  return gateway === '' ? `on the link by ${routeInterface}` : `via ${gateway} by ${routeInterface}`;
}

/** The namespace of the network on this host, and the container's port in it. */
function bridgeHops(end: TracedEnd): TraceHop[] {
  const { evidence } = end;
  if (typeof evidence === 'string') return [];
  const { namespace, port } = evidence;
  if (!evidence.namespaceExists) {
    const gone = { seen: 'missing', expected: 'present', advice: `containers have lost their links: ${RESTART}` };
    return [check(end, `namespace ${namespace}`, false, gone)];
  }
  const state = port.exists ? `${port.up ? 'up' : 'down'}, ${port.onBridge ? 'on br0' : 'not on br0'}` : 'missing';
  return [
    check(end, `port ${port.name} in ${namespace}`, port.exists && port.up && port.onBridge, {
      seen: state,
      expected: 'up, on br0',
      advice: port.exists ? AUDITED : RESTART,
    }),
    check(end, `bridge br0 in ${namespace}`, evidence.bridgeUp, {
      seen: evidence.bridgeUp ? 'up' : 'missing or down',
      expected: 'up',
      advice: AUDITED,
    }),
  ];
}

/** What this node has heard of the other end, and what it has told the kernel. */
function tableHops(end: TracedEnd, peer: TracedEnd): TraceHop[] {
  const { evidence } = end;
  if (typeof evidence === 'string') return [];
  const { address } = peer;
  const { mac, endpointId } = peer.endpoint;
  const [record, ...others] = evidence.records;
  const isRight =
    others.length === 0 &&
    record?.endpointId === endpointId &&
    record.mac === mac &&
    (peer.vtep === '' || record.vtep === peer.vtep);
  const row = (hop: string, seen: string, expected: string): TraceHop =>
    check(end, hop, seen === expected, { seen: seen || 'none', expected, advice: AUDITED });
  const hops = [
    check(end, `record of ${address}`, isRight, {
      seen: evidence.records.map((each) => `${each.mac} at ${each.vtep}`).join(', ') || 'none',
      expected: `${mac} at ${peer.vtep}`,
      advice: `gossip has not come from ${peer.node}: is 7946/tcp+udp open between the hosts?`,
    }),
  ];
  // Other data paths than a tunnel have no such rows.
  if (evidence.vxlan === undefined && evidence.wanted.port === 0) return hops;
  return [
    ...hops,
    row(`neighbour entry of ${address} on vxlan1`, evidence.rows.neighbour, mac),
    row(`forwarding entry of ${mac} on vxlan1`, evidence.rows.forwarding, peer.vtep),
    check(end, `bridge entry of ${mac} on br0`, evidence.rows.bridged || evidence.rows.routed, {
      seen: evidence.rows.routed ? 'to routed0: without a tunnel' : evidence.rows.bridged ? 'to vxlan1' : 'none',
      expected: 'to vxlan1',
      advice: AUDITED,
    }),
  ];
}

function tunnelHops(end: TracedEnd, vni: number): TraceHop[] {
  const { evidence } = end;
  if (typeof evidence === 'string' || evidence.wanted.port === 0) return [];
  const { vxlan, wanted } = evidence;
  const words = (each: { vni: number; local: string; port: number }, state: string): string =>
    `VNI ${each.vni}, local ${each.local}, port ${each.port}, ${state}`;
  const state = vxlan === undefined ? '' : `${vxlan.up ? 'up' : 'down'}, ${vxlan.onBridge ? 'on br0' : 'not on br0'}`;
  const isSame =
    vxlan?.vni === vni && vxlan.local === wanted.local && vxlan.port === wanted.port && vxlan.up && vxlan.onBridge;
  return [
    check(end, 'tunnel device vxlan1', isSame, {
      seen: vxlan === undefined ? 'missing' : words(vxlan, state),
      expected: words({ ...wanted, vni }, 'up, on br0'),
      advice: AUDITED,
    }),
  ];
}

/** Whether the end's host takes VXLAN packets from the other's. */
function guardHops(end: TracedEnd, way: TracedPath['way']): TraceHop[] {
  const { evidence } = end;
  if (way !== 'tunnel' || typeof evidence === 'string' || evidence.guard === undefined) return [];
  const { vtep, admits, strangers } = evidence.guard;
  const refused = strangers.length === 0 ? '' : `; refused lately: ${strangers.join(', ')}`;
  return [
    check(end, `packets from ${vtep}`, admits, {
      seen: `${admits ? 'let in' : 'dropped: not in the set of table waggle-members'}${refused}`,
      expected: 'let in, as a member of the swarm',
      advice: AUDITED,
    }),
  ];
}

/** ICMP may be filtered between hosts whose tunnels work: what does not answer is told, and judged by the echo through the tunnel. */
function underlayHops(end: TracedEnd, peer: TracedEnd): TraceHop[] {
  const { evidence, underlay } = end;
  const hop = `host network to ${peer.vtep}`;
  if (underlay === undefined) return [unknown(end, hop, 'not tried')];
  const { small, full } = underlay;
  const link =
    typeof evidence === 'string' || evidence.underlay.interface === '' ? '' : ` by ${evidence.underlay.interface}`;
  if (small.received === 0) {
    const seen = small.error === '' ? `no answer to ${small.sent} echo requests${link}` : small.error;
    if (small.error === '') return [unknown(end, hop, seen)];
    return [check(end, hop, false, { seen, expected: 'a route', advice: 'mend the network between the hosts' })];
  }
  const answered = full.received > 0;
  const mtu = typeof evidence === 'string' ? 0 : evidence.underlay.mtu;
  return [
    check(end, hop, answered, {
      seen: answered
        ? `answered in ${small.rttMs.toFixed(1)} ms${link}, packets of the full size too`
        : `answered in ${small.rttMs.toFixed(1)} ms, but not packets of the full size${full.error === '' ? '' : `: ${full.error}`}`,
      expected: `whole packets as long as a tunnelled one`,
      advice: `raise the MTU between the hosts, or make the network with a smaller com.docker.network.driver.mtu (interface ${mtu}, path ${full.pathMtu || 'unknown'})`,
    }),
  ];
}

/** The proof: real packets from container to container, and where they were last seen when they do not come back. */
function echoHops(path: TracedPath, isRemote: boolean): TraceHop[] {
  const { from, to, echo } = path;
  if (typeof echo === 'string') return [unknown(from, 'echo from container to container', echo)];
  const { small, full, size } = echo;
  const hop = `echo from ${from.address} to ${to.address}`;
  if (small.received > 0) {
    const answered = full.received > 0;
    return [
      check(from, hop, true, { seen: `answered in ${small.rttMs.toFixed(1)} ms`, expected: '', advice: '' }),
      check(from, `${hop} with ${size} bytes`, answered, {
        seen: answered ? `answered in ${full.rttMs.toFixed(1)} ms` : full.error || `no answer to ${full.sent}`,
        expected: 'an answer',
        advice: 'the hosts or what is between them drop long packets: compare their MTUs',
      }),
    ];
  }
  return [
    ...lastSeen(path, isRemote),
    check(from, hop, false, {
      seen: small.error || `no answer to ${small.sent}`,
      expected: 'an answer',
      advice: 'see the first broken hop',
    }),
  ];
}

interface Station {
  end: TracedEnd;
  hop: string;
  matches: (sighting: Sighting) => boolean;
  advice: string;
}

/** The places that a packet and its answer pass, in order. */
function stations({ from, to, way: between }: TracedPath, isRemote: boolean): Station[] {
  const port = (end: TracedEnd): string => (typeof end.evidence === 'string' ? '' : end.evidence.port.name);
  const way = (packet: Sighting['packet'], a: TracedEnd, b: TracedEnd): Station[] => [
    {
      end: a,
      hop: `${packet} leaves the container`,
      matches: isSeen(packet, 'overlay', 'in', port(a)),
      advice: packet === 'reply' ? 'the container does not answer echo requests: a firewall in it?' : RESTART,
    },
    ...(isRemote && between !== 'routed' ? tunnelStations(packet, a, b, between === 'encrypted') : []),
    {
      end: b,
      hop: `${packet} goes to the container`,
      matches: isSeen(packet, 'overlay', 'out', port(b)),
      advice: AUDITED,
    },
  ];
  return [...way('request', from, to), ...way('reply', to, from)];
}

/** From one host's tunnel device to the other's; encrypted packets cannot be told apart in between. */
function tunnelStations(packet: Sighting['packet'], a: TracedEnd, b: TracedEnd, isEncrypted: boolean): Station[] {
  const inTunnel =
    (direction: Sighting['direction']) =>
    (each: Sighting): boolean =>
      isSeen(packet, 'host', direction, '')(each) && each.tunnelTo === b.vtep;
  return [
    {
      end: a,
      hop: `${packet} goes into the tunnel`,
      matches: isSeen(packet, 'overlay', 'out', 'vxlan1'),
      advice: AUDITED,
    },
    ...(isEncrypted
      ? []
      : [
          { end: a, hop: `${packet} leaves the host`, matches: inTunnel('out'), advice: FIREWALL },
          {
            end: b,
            hop: `${packet} reaches the host`,
            matches: inTunnel('in'),
            advice: `it is lost between the hosts: is the data path port open from ${a.vtep} to ${b.vtep}?`,
          },
        ]),
    {
      end: b,
      hop: `${packet} comes out of the tunnel`,
      matches: isSeen(packet, 'overlay', 'in', 'vxlan1'),
      advice: FIREWALL,
    },
  ];
}

function isSeen(
  packet: Sighting['packet'],
  place: Sighting['place'],
  direction: Sighting['direction'],
  link: string,
): (sighting: Sighting) => boolean {
  return (each) =>
    each.packet === packet &&
    each.place === place &&
    each.direction === direction &&
    (link === '' || each.link === link);
}

/** Up to the first place that a packet should have passed and was not seen at. */
function lastSeen(path: TracedPath, isRemote: boolean): TraceHop[] {
  const family = familyOf(path.from.address);
  const hops: TraceHop[] = [];
  for (const { end, hop, matches, advice } of stations(path, isRemote)) {
    if (end.sightings === undefined) return [...hops, unknown(end, hop, 'nobody looked')];
    const wasSeen = end.sightings.some((each) => each.family === family && matches(each));
    hops.push(check(end, hop, wasSeen, { seen: wasSeen ? 'seen' : 'not seen', expected: 'seen', advice }));
    if (!wasSeen) return hops;
  }
  return hops;
}

/** Of the same network on a node of the path, whatever they are about. */
function otherDifferences(end: TracedEnd): TraceHop[] {
  if (typeof end.evidence === 'string' || end.evidence.differences.length === 0) return [];
  const seen = end.evidence.differences.slice(0, 3).join('; ');
  const more = end.evidence.differences.length > 3 ? '; …' : '';
  return [
    check(end, `kernel against what ${end.node} wants`, false, {
      seen: `${seen}${more}`,
      expected: 'no difference',
      advice: `${AUDITED}; waggle network check lists them`,
    }),
  ];
}

function check(
  end: { nodeId: string; node: string },
  hop: string,
  isRight: boolean,
  words: { seen: string; expected: string; advice: string },
): TraceHop {
  const { nodeId: NodeID, node: Node } = end;
  if (isRight) return { NodeID, Node, Hop: hop, OK: true, Seen: words.seen, Expected: '', Advice: '' };
  return { NodeID, Node, Hop: hop, OK: false, Seen: words.seen, Expected: words.expected, Advice: words.advice };
}

function unknown(end: { nodeId: string; node: string }, hop: string, seen: string): TraceHop {
  return { NodeID: end.nodeId, Node: end.node, Hop: hop, Seen: seen, Expected: '', Advice: DAEMON };
}
