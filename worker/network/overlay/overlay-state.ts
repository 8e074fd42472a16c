/** What an overlay should be, what the kernel has of it, and the steps between the two. Plain values only. */

/** The settled facts of a swarm network that its data path needs. */
export interface NetworkFacts {
  networkId: string;
  /** VXLAN network identifier, 24 bits (RFC 7348). */
  vni: number;
  /** CIDR. */
  subnet: string;
  /** CIDR: the gateway's address with the subnet's prefix length. */
  gateway: string;
  /** MTU of the containers' interfaces, when the network's options give one. */
  mtu?: number;
}

/** A container of this host. */
export interface LocalPort {
  endpointId: string;
  /** IPv4 without prefix length. */
  address: string;
  mac: string;
  /** The overlay's end of its veth. */
  link: string;
}

/** A container of any host, as gossip has it. */
export interface Peer {
  endpointId: string;
  /** IPv4 without prefix length. */
  address: string;
  mac: string;
  vtep: string;
  /** Order in which this node learnt of it; the greater is the newer. */
  since: number;
}

export interface DesiredOverlay extends NetworkFacts {
  mtu: number;
  /** Underlay address of this host. */
  vtep: string;
  /** UDP port of the data path. */
  port: number;
  local: readonly LocalPort[];
  peers: readonly Peer[];
  /** Ports that may be removed when they are not in `local`. Absent: every one that bears a name of ours. */
  doomed?: ReadonlySet<string>;
}

export interface ObservedLink {
  mtu: number;
  up: boolean;
  mac: string;
  master?: string;
}

export interface ObservedBridge extends ObservedLink {
  /** IPv4, CIDR. */
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
  /** IPv4 neighbours of vxlan1. */
  neighbours: Map<string, { mac: string; permanent: boolean }>;
}

/** One step. Every step is one line of `ip` or `bridge`, save those on the namespace. */
export type Operation =
  | { kind: 'create-namespace' }
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
  | { kind: 'delete-neighbour'; address: string };

export function emptyOverlay(): ObservedOverlay {
  return { namespace: false, ports: new Map(), forwarding: new Map(), bridged: new Map(), neighbours: new Map() };
}
