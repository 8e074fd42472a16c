import { z } from 'zod';

export type AddressFamily = 4 | 6;

export function familyOf(address: string): AddressFamily {
  return address.includes(':') ? 6 : 4;
}

/** How an endpoint's own namespace is set up, as seen from within. */
export interface SandboxEvidence {
  /** The endpoint's interface; empty when none has its MAC or its address. */
  interface: string;
  up: boolean;
  mac: string;
  mtu: number;
  /** CIDR, link-local ones too; with a word after it when it cannot be used: `fd00::5/64 dadfailed`. */
  addresses: string[];
  /** Interface by which the peer's address would be reached; empty without a route. */
  routeInterface: string;
  /** Next hop on the way; empty when the peer is on the link. */
  gateway: string;
  /** MAC that the sandbox has for the next hop, and the kernel's word for the entry's state; empty when it has none. */
  neighbour: { mac: string; state: string };
}

/** How one node stands between one of its endpoints and an address, and the way back. Texts are empty for what is not there. */
export interface PathEvidence {
  /** Why the sandbox could not be looked into; empty when it could. */
  sandboxError: string;
  sandbox?: SandboxEvidence;
  namespace: string;
  namespaceExists: boolean;
  bridgeUp: boolean;
  /** The overlay's end of the endpoint's veth. */
  port: { name: string; exists: boolean; up: boolean; onBridge: boolean; mtu: number };
  /** The tunnel device; absent when there is none. */
  vxlan?: { up: boolean; onBridge: boolean; vni: number; local: string; port: number; mtu: number };
  /** What the node wants of the device. */
  wanted: { vni: number; local: string; port: number; mtu: number };
  /** Every record for the peer's address that the node has. */
  records: { endpointId: string; owner: string; mac: string; vtep: string; vni: number }[];
  /**
   * The kernel's rows for the peer: address to MAC, MAC to VTEP, MAC to the tunnel's port; and on a routed network, when the peer is
   * on a neighbour host, that its packets travel bare.
   */
  rows: { neighbour: string; forwarding: string; bridged: boolean; routed: boolean };
  /** Differences of the whole network on this node, in words. */
  differences: string[];
  /** The host's interface with the VTEP's address; empty when there is none. */
  underlay: { interface: string; mtu: number };
  /** Whether VXLAN packets from the peer's host are let in, and who was refused lately; absent where that is not judged. */
  guard?: { vtep: string; admits: boolean; strangers: string[] };
}

/** Where a packet of a trace was seen. */
export interface Sighting {
  /** `host` or `overlay`: the namespace. */
  place: 'host' | 'overlay';
  link: string;
  direction: 'in' | 'out';
  /** An echo request, or the answer to it. */
  packet: 'request' | 'reply';
  /** Of the echo message itself, whatever it travels in. */
  family: AddressFamily;
  /** VTEP to which a packet in a tunnel is on its way; empty outside tunnels. */
  tunnelTo: string;
}

export interface SightingsAnswer {
  sightings: Sighting[];
}

/** What came of echo requests. */
export interface ProbeAnswer {
  sent: number;
  received: number;
  /** Shortest round trip; 0 without an answer. */
  rttMs: number;
  /** The kernel's refusal to send, or what a router said, in words; empty when there was none. */
  error: string;
  /** MTU of the way, as the kernel has learnt it; 0 when it does not know. */
  pathMtu: number;
}

export const familySchema = z.literal([4, 6]);

const text = z.string().max(500);
const address = z.string().max(64);

export const pathEvidenceSchema = z.object({
  sandboxError: text,
  sandbox: z
    .object({
      interface: text,
      up: z.boolean(),
      mac: address,
      mtu: z.number(),
      addresses: z.array(address).max(100),
      routeInterface: text,
      gateway: address,
      neighbour: z.object({ mac: address, state: text }),
    })
    .optional(),
  namespace: text,
  namespaceExists: z.boolean(),
  bridgeUp: z.boolean(),
  port: z.object({ name: text, exists: z.boolean(), up: z.boolean(), onBridge: z.boolean(), mtu: z.number() }),
  vxlan: z
    .object({
      up: z.boolean(),
      onBridge: z.boolean(),
      vni: z.number(),
      local: address,
      port: z.number(),
      mtu: z.number(),
    })
    .optional(),
  wanted: z.object({ vni: z.number(), local: address, port: z.number(), mtu: z.number() }),
  records: z
    .array(z.object({ endpointId: address.max(128), owner: address, mac: address, vtep: address, vni: z.number() }))
    .max(1000),
  rows: z.object({ neighbour: address, forwarding: address, bridged: z.boolean(), routed: z.boolean() }),
  differences: z.array(z.string().max(1000)).max(200),
  underlay: z.object({ interface: text, mtu: z.number() }),
  guard: z.object({ vtep: address, admits: z.boolean(), strangers: z.array(address).max(200) }).optional(),
});

export const sightingsAnswerSchema = z.object({
  sightings: z
    .array(
      z.object({
        place: z.enum(['host', 'overlay']),
        link: text,
        direction: z.enum(['in', 'out']),
        packet: z.enum(['request', 'reply']),
        family: familySchema,
        tunnelTo: address,
      }),
    )
    .max(10_000),
});

export const probeAnswerSchema = z.object({
  sent: z.number(),
  received: z.number(),
  rttMs: z.number(),
  error: text,
  pathMtu: z.number(),
});
