import { isTunnelAddress } from '../../../proto/objects/tunnel.ts';
import { withoutPrefix } from './address.ts';
import { portName } from './link-names.ts';
import type {
  DesiredOverlay,
  DesiredRoute,
  LocalPort,
  NetworkFacts,
  Peer,
  Underlay,
  VxlanPath,
} from './overlay-state.ts';

/** Outer Ethernet, IPv4 or IPv6, UDP and VXLAN headers (RFC 7348 section 5). */
const ENCAPSULATION_BYTES = { ipv4: 50, ipv6: 70 };

/** An endpoint that has, or is about to have, a veth here. Addresses are CIDR. */
export interface ConnectedEndpoint {
  endpointId: string;
  address: string;
  address6?: string;
  mac: string;
  /** Path of the container's network namespace; absent or empty while it has none, or has given its link back. */
  sandboxKey?: string;
}

/** What this host knows that bears on one network's overlay. */
export interface OverlayCircumstances {
  facts: NetworkFacts;
  endpoints: readonly ConnectedEndpoint[];
  /** As records have them. */
  peers: readonly Peer[];
  /** There may be peers that this node has not heard of since it began. */
  isPartial: boolean;
  /** Ports that may be removed although no endpoint has them; absent: every one. */
  doomed?: ReadonlySet<string> | undefined;
  /** This kernel can do what shortcuts need. */
  canShorten?: boolean;
  /** Within the tunnel for an encrypted network, else by the host's own link. */
  path: VxlanPath;
  adjacency: {
    /** Absent while that link is not known. */
    underlay: Underlay | undefined;
    neighbours: DesiredRoute['neighbours'];
    senders: DesiredRoute['senders'];
  };
}

/**
 * The network's overlay as it should be on this host. It has the maps of adjacency themselves, and the list of peers itself where it
 * keeps all of them.
 */
export function desiredOverlay(circumstances: OverlayCircumstances): DesiredOverlay {
  const { facts, endpoints, peers, path, doomed, isPartial } = circumstances;
  return {
    ...facts,
    mtu: mtuOf(facts, path),
    vtep: path.vtep,
    port: path.vxlanPort,
    local: endpoints.map(localPort),
    peers: facts.encrypted === true ? withinTunnel(peers) : peers,
    ...(doomed === undefined ? {} : { doomed }),
    isPartial,
    ...(circumstances.canShorten === true && facts.dataPath === 'routed' ? { hasShortcuts: true } : {}),
    ...routeOf(facts, circumstances.adjacency),
  };
}

/**
 * MTU of the containers' interfaces. A routed network's packets are as large as the link's. To hosts that only VXLAN reaches that is too
 * large by its headers; the kernel tells the sender so (ICMP, RFC 1191 and 8201; kernel 5.9 and later), and containers send smaller ones to
 * these alone. An encrypted network's packets all go through the tunnel.
 */
function mtuOf({ mtu, dataPath, encrypted }: NetworkFacts, path: VxlanPath): number {
  if (dataPath === 'routed' && encrypted !== true) return Math.min(mtu ?? path.mtu, path.mtu);
  return mtu ?? path.mtu - ENCAPSULATION_BYTES[path.vtep.includes(':') ? 'ipv6' : 'ipv4'];
}

/**
 * A record of an encrypted network that names a host's outer address is wrong or forged. The same list when there is none: another one is
 * taken for a change (sameDesired).
 */
function withinTunnel(peers: readonly Peer[]): readonly Peer[] {
  const within = peers.filter((peer) => isTunnelAddress(peer.vtep));
  return within.length === peers.length ? peers : within;
}

function routeOf(
  { dataPath }: NetworkFacts,
  { underlay, neighbours, senders }: OverlayCircumstances['adjacency'],
): Pick<DesiredOverlay, 'route'> {
  return dataPath === 'routed' && underlay !== undefined ? { route: { underlay, neighbours, senders } } : {};
}

function localPort({ endpointId, address, address6, mac }: ConnectedEndpoint): LocalPort {
  return {
    endpointId,
    mac,
    address: withoutPrefix(address),
    ...(address6 === undefined ? {} : { address6: withoutPrefix(address6) }),
    link: portName(endpointId),
  };
}
