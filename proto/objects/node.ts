import type { Labels, ObjectMeta } from './meta.ts';

export type NodeRole = 'worker' | 'manager';
export type NodeAvailability = 'active' | 'pause' | 'drain';
export type NodeState = 'unknown' | 'down' | 'ready' | 'disconnected';

export interface NodeSpec {
  Name?: string;
  Labels?: Labels | null;
  Role: NodeRole;
  Availability: NodeAvailability;
}

export interface GenericResource {
  NamedResourceSpec?: { Kind: string; Value: string };
  DiscreteResourceSpec?: { Kind: string; Value: number };
}

export interface NodeDescription {
  Hostname: string;
  Platform: { Architecture: string; OS: string };
  Resources: { NanoCPUs: number; MemoryBytes: number; GenericResources?: GenericResource[] };
  Engine: { EngineVersion: string; Labels?: Labels; Plugins?: { Type: string; Name: string }[] };
  TLSInfo?: { TrustRoot: string; CertIssuerSubject: string; CertIssuerPublicKey: string };
}

export interface ManagerStatus {
  Leader?: boolean;
  Reachability: 'unknown' | 'unreachable' | 'reachable';
  Addr: string;
}

/** A row of the table `nodes`. */
export interface NodeObject extends ObjectMeta {
  Spec: NodeSpec;
  /** Absent until the node's agent has opened its first session. */
  Description?: NodeDescription;
  Status: { State: NodeState; Message?: string; Addr?: string };
  /** Filled while the node takes part in Raft. */
  ManagerStatus?: ManagerStatus;
  /** Role for which the current certificate was issued; trails Spec.Role during promotion and demotion. */
  CertificateRole: NodeRole;
  /** VTEP, and host:port of gossip, as the agent reported them. */
  DataPathAddr?: string;
  GossipAddr?: string;
  /** Its part in encrypted overlays; the address stays its own for good, the key is empty while the node cannot encrypt. */
  Tunnel?: { Address: string; PublicKey: string };
  RaftID?: number;
}
