import type { DataPath } from '../../../proto/objects/data-path.ts';

/** What an overlay should be, what the kernel has of it, and the steps between the two. Plain values only. */

/** IPv4 or IPv6. */
export interface NetworkSubnet {
  /** CIDR. */
  subnet: string;
  /** CIDR: the gateway's address with the subnet's prefix length. */
  gateway: string;
}

/** The settled facts of a swarm network that its data path needs. */
export interface NetworkFacts {
  networkId: string;
  /** VXLAN network identifier, 24 bits (RFC 7348). */
  vni: number;
  /** IPv4 first. All of them share one bridge and one VNI. Never empty. */
  subnets: readonly NetworkSubnet[];
  dataPath: DataPath;
  /** MTU of the containers' interfaces, when the network's options give one. */
  mtu?: number;
  /** Its packets go through the tunnel between hosts or not at all. */
  encrypted?: boolean;
}

/** A container of this host. */
export interface LocalPort {
  endpointId: string;
  /** IPv4 without prefix length. */
  address: string;
  /** IPv6 without prefix length, as RFC 5952 writes it. */
  address6?: string;
  mac: string;
  /** The overlay's end of its veth. */
  link: string;
}

/** A container of any host, as gossip has it. */
export interface Peer {
  endpointId: string;
  /** IPv4 without prefix length. */
  address: string;
  /** IPv6 without prefix length, as RFC 5952 writes it. */
  address6?: string;
  mac: string;
  vtep: string;
  /** See EndpointRecord; the later is the newer. Absent is 0. */
  claimedAt?: number;
  /** Order in which this node learnt of it; of the same claim, the greater is the newer. */
  since: number;
}

/** How the VXLAN packets of a network travel. */
export interface VxlanPath {
  /** Of this host: its underlay address, or for an encrypted network its address within the tunnel. */
  vtep: string;
  vxlanPort: number;
  /** Of the link or tunnel that carries them. */
  mtu: number;
}

export interface DesiredOverlay extends NetworkFacts {
  mtu: number;
  /** Underlay address of this host. */
  vtep: string;
  /** UDP port of the data path. */
  port: number;
  local: readonly LocalPort[];
  peers: readonly Peer[];
  /** There may be peers that this node has not heard of since it began: rows of others than these stay. */
  isPartial?: boolean;
  /** Ports that may be removed when they are not in `local`. Absent: every one that bears a name of ours. */
  doomed?: ReadonlySet<string>;
  /** Of a routed network, once it is known by which link this host reaches others. */
  route?: DesiredRoute;
  /** Containers' links are to lie on lower links, for the shortcut (shortcut-plan.ts). */
  hasShortcuts?: boolean;
}

/** The host's link that has the VTEP's address. */
export interface Underlay {
  link: string;
  mac: string;
}

/** What packets need to travel bare. */
export interface DesiredRoute {
  underlay: Underlay;
  /** Hosts on the segment of that link: VTEP to MAC. All others are reached by VXLAN. */
  neighbours: ReadonlyMap<string, string>;
  /** Hosts that may send bare packets: VTEP to MAC. The neighbours, and who takes us for one although we go to it by a router. */
  senders: ReadonlyMap<string, string>;
}

export interface ObservedLink {
  mtu: number;
  up: boolean;
  mac: string;
  master?: string;
}

export interface ObservedBridge extends ObservedLink {
  /** CIDR. Link-local ones are left out. */
  addresses: Set<string>;
}

export interface ObservedVxlan extends ObservedLink {
  vni: number;
  local: string;
  port: number;
  /** It is `nolearning proxy` without l2miss and l3miss. */
  silent: boolean;
  /** The bridge learns addresses from this port. */
  portLearning: boolean;
}

export interface ObservedRouteLink extends ObservedLink {
  /** It is sent only what a row of the bridge's table sends there, and no address is learnt from it. */
  quiet: boolean;
}

/** What a routed network has beside the devices of every overlay (routed-plan.ts). */
export interface ObservedRoute {
  /** routed0, in the namespace. */
  link?: ObservedRouteLink;
  /** Its other end, in the host. */
  end?: Pick<ObservedLink, 'mtu' | 'up'>;
  /** `master` rows of routed0, its own address left out: MAC to whether the row is static. */
  bridged: Map<string, boolean>;
  /** There is a table of the network's name in the host. */
  table: boolean;
  /** The link by which the table lets packets out and in; absent when its chains and rules are not exactly ours. */
  underlay?: Underlay;
  /** Endpoints to go to: address, of either family, to the MAC of its host. */
  routes: Map<string, string>;
  /** Endpoints to hear from: `sourceKey` of the host's MAC and the address. */
  sources: Set<string>;
  /** Containers of this host: address to MAC. */
  ports: Map<string, string>;
  /** Lower links of the network's ports. One with BARE_MAC has no container's link on it. */
  lowers: Map<string, Pick<ObservedLink, 'mtu' | 'up' | 'mac'>>;
  /** Lower link to `shortcutKey` of what its chains let through; of chains that are not as made: ''. */
  shortcuts: Map<string, string>;
}

/** Owned by one worker, which changes it as its operations succeed. MAC addresses are in lower case. */
export interface ObservedOverlay {
  /** Whether the namespace exists; if not, all else is empty. */
  namespace: boolean;
  bridge?: ObservedBridge;
  vxlan?: ObservedVxlan;
  /** Every other link but lo. */
  ports: Map<string, ObservedLink>;
  /** `self` rows of vxlan1: MAC to VTEP. */
  forwarding: Map<string, { vtep: string; permanent: boolean }>;
  /** `master` rows of vxlan1, its own address left out: MAC to whether the row is static. */
  bridged: Map<string, boolean>;
  /** Neighbours of vxlan1, IPv4 and IPv6. */
  neighbours: Map<string, { mac: string; permanent: boolean }>;
  route: ObservedRoute;
}

/** One step. Every step is one line of `ip` or `bridge`, save those on the namespace. */
export type Operation =
  | { kind: 'create-namespace'; ipv6: boolean }
  | { kind: 'delete-namespace' }
  | { kind: 'create-bridge'; mac: string; mtu: number }
  | { kind: 'create-vxlan'; vni: number; local: string; port: number; mtu: number }
  | { kind: 'delete-link'; link: string }
  | { kind: 'set-mtu'; link: string; mtu: number }
  | { kind: 'set-mac'; link: string; mac: string }
  | { kind: 'set-master'; link: string }
  | { kind: 'set-up'; link: string }
  | { kind: 'stop-learning' }
  | { kind: 'add-address'; address: string }
  | { kind: 'delete-address'; address: string }
  | { kind: 'put-forwarding'; mac: string; vtep: string }
  | { kind: 'delete-forwarding'; mac: string; vtep: string }
  | { kind: 'put-bridged'; mac: string }
  | { kind: 'delete-bridged'; mac: string }
  | { kind: 'put-neighbour'; address: string; mac: string }
  | { kind: 'delete-neighbour'; address: string }
  | RouteOperation;

/** A step on what only routed networks have. Steps on the table are lines of `nft`; neighbouring ones are one transaction. */
export type RouteOperation =
  | { kind: 'create-route-link'; mtu: number }
  | { kind: 'quiet-route-link' }
  | { kind: 'delete-route-end' }
  | { kind: 'set-route-end'; mtu: number }
  /** Puts the table in the place of any former one, with no rows. */
  | { kind: 'install-table'; underlay: Underlay }
  | { kind: 'delete-table' }
  /** Sends frames for the MAC to routed0, and no longer where they went before. */
  | { kind: 'put-routed'; mac: string }
  | { kind: 'delete-routed'; mac: string }
  | { kind: 'put-route'; address: string; mac: string }
  | { kind: 'delete-route'; address: string }
  | { kind: 'put-source'; address: string; mac: string }
  | { kind: 'delete-source'; address: string; mac: string }
  | { kind: 'put-port'; address: string; mac: string }
  | { kind: 'delete-port'; address: string }
  | { kind: 'set-lower'; lower: string; mtu: number }
  /** Puts the shortcut's chains in the place of any former ones of that lower link. */
  | ({ kind: 'put-shortcut'; lower: string } & Shortcut)
  | { kind: 'delete-shortcut'; lower: string };

/** What a container may send by its shortcut, and how. */
export interface Shortcut extends Pick<LocalPort, 'address' | 'address6' | 'mac'> {
  underlay: Underlay;
}

export function emptyOverlay(): ObservedOverlay {
  return {
    namespace: false,
    ports: new Map(),
    forwarding: new Map(),
    bridged: new Map(),
    neighbours: new Map(),
    route: emptyRoute(),
  };
}

export function emptyRoute(): ObservedRoute {
  return {
    bridged: new Map(),
    table: false,
    routes: new Map(),
    sources: new Set(),
    ports: new Map(),
    lowers: new Map(),
    shortcuts: new Map(),
  };
}

export function sourceKey(mac: string, address: string): string {
  return `${mac} ${address}`;
}

/** One word for a shortcut; equal where the chains are. */
export function shortcutKey({ mac, address, address6, underlay }: Shortcut): string {
  return [mac, address, address6 ?? '-', underlay.link, underlay.mac].join(' ');
}

const ROUTE_KINDS: Readonly<Record<RouteOperation['kind'], true>> = {
  'create-route-link': true,
  'quiet-route-link': true,
  'delete-route-end': true,
  'set-route-end': true,
  'install-table': true,
  'delete-table': true,
  'put-routed': true,
  'delete-routed': true,
  'put-route': true,
  'delete-route': true,
  'put-source': true,
  'delete-source': true,
  'put-port': true,
  'delete-port': true,
  'set-lower': true,
  'put-shortcut': true,
  'delete-shortcut': true,
};

export function isRouteOperation(operation: Operation): operation is RouteOperation {
  return operation.kind in ROUTE_KINDS;
}
