import type { AddressFamily } from './path.ts';
import type { Difference } from './difference.ts';

/** One line of `network check`. */
export interface NetworkFinding extends Difference {
  /** Empty when it is of no one node. */
  NodeID: string;
  Node: string;
  /** Empty when it is of no one network. */
  NetworkID: string;
  Network: string;
}

/** The answer of `GET /waggle/networks/check`. */
export interface NetworkCheck {
  Findings: NetworkFinding[];
  /** How much was compared. */
  Networks: number;
  Nodes: number;
  Endpoints: number;
  /** Repairs of the audits by node and kind, since each daemon started. */
  Repairs: Record<string, Record<string, number>>;
}

/** One step of the way of a packet. */
export interface TraceHop {
  NodeID: string;
  Node: string;
  /** What the step is, such as `forwarding of 02:42:0a:00:00:05`. */
  Hop: string;
  /** False: broken here. Absent: it could not be found out. */
  OK?: boolean;
  Seen: string;
  /** Empty when what was seen is what was expected. */
  Expected: string;
  /** What to do about it; empty when there is nothing to do. */
  Advice: string;
}

/** What `GET /waggle/networks/trace` is asked for. */
export interface TraceRequest {
  from: string;
  to: string;
  /** Only this one; absent: every one that the two share. */
  family?: AddressFamily;
}

export interface TraceEnd {
  /** As it was asked for. */
  Ref: string;
  /** Name of the container, if there is one. */
  Name: string;
  Address: string;
  /** Its IPv6 address, when the way between the IPv4 addresses was traced and that between these too. */
  Address6?: string;
  NodeID: string;
  Node: string;
}

/** The answer of `GET /waggle/networks/trace`. */
export interface NetworkTrace {
  NetworkID: string;
  Network: string;
  From: TraceEnd;
  To: TraceEnd;
  Hops: TraceHop[];
  /** No hop is broken. */
  OK: boolean;
}
