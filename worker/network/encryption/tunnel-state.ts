/** What the tunnel to other hosts should be, what the kernel has of it, and the steps between the two. Plain values only. */

/** Another host of the tunnel. */
export interface TunnelPeer {
  /** Curve25519, base64. */
  publicKey: string;
  /** Where its WireGuard listens: `192.168.0.2:4790`, or with an IPv6 address in brackets. */
  endpoint: string;
  /** Its address within the tunnel, the only one that it may send from. */
  address: string;
}

export interface DesiredTunnel {
  /** Where the private key is. */
  keyFile: string;
  /** The one that belongs to this host's private key. */
  publicKey: string;
  /** UDP port of WireGuard, here. */
  port: number;
  /** UDP port of VXLAN within the tunnel. */
  vxlanPort: number;
  /** This host's address within the tunnel, without prefix length. */
  address: string;
  mtu: number;
  peers: readonly TunnelPeer[];
}

export interface ObservedPeer {
  endpoint: string;
  /** CIDR. */
  allowed: readonly string[];
}

export interface ObservedDevice {
  /** False for one that WireGuard does not answer for: its process hangs, or it was made by somebody else. All else is empty then. */
  answers: boolean;
  publicKey: string;
  port: number;
  mtu: number;
  up: boolean;
  /** CIDR, IPv4. */
  addresses: Set<string>;
  /** By public key. */
  peers: Map<string, ObservedPeer>;
}

export interface ObservedTunnel {
  /** For which VXLAN port the packet filter (guard-ruleset.ts) is in force; `other` when it is not as we made it. */
  guard: 'none' | 'other' | number;
  /** Packets for the tunnel's addresses that have no better route are dropped. */
  blackhole: boolean;
  /** They have the better route, through the device. */
  route: boolean;
  device?: ObservedDevice;
}

export type TunnelOperation =
  | { kind: 'set-guard'; vxlanPort: number }
  | { kind: 'delete-guard' }
  | { kind: 'add-blackhole' }
  | { kind: 'delete-blackhole' }
  | { kind: 'create-device' }
  | { kind: 'delete-device' }
  /** The private key never passes through here. */
  | { kind: 'set-key'; keyFile: string; publicKey: string; port: number }
  | { kind: 'put-peer'; peer: TunnelPeer }
  /** Of a peer that is there. No packet is lost, as one may be while a peer's address is given anew. */
  | { kind: 'put-endpoint'; peer: TunnelPeer }
  | { kind: 'remove-peer'; publicKey: string }
  | { kind: 'set-mtu'; mtu: number }
  | { kind: 'add-address'; address: string }
  | { kind: 'delete-address'; address: string }
  | { kind: 'set-up' }
  | { kind: 'add-route' }
  /** Begins a session with each peer. */
  | { kind: 'greet'; publicKeys: readonly string[] };

export function emptyTunnel(): ObservedTunnel {
  return { guard: 'none', blackhole: false, route: false };
}
