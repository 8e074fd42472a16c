import type { Annotations, Driver, ObjectMeta } from './meta.ts';

export interface IpamConfig {
  Subnet?: string;
  IPRange?: string;
  Gateway?: string;
  AuxiliaryAddresses?: Record<string, string>;
}

export interface NetworkSpec extends Annotations {
  DriverConfiguration?: Driver;
  IPv6Enabled?: boolean;
  Internal?: boolean;
  Attachable?: boolean;
  Ingress?: boolean;
  IPAMOptions?: { Driver?: Driver; Configs?: IpamConfig[] };
  ConfigFrom?: { Network: string };
  Scope?: string;
}

/** One subnet as the allocator settled it; all three are set. */
export interface AllocatedSubnet {
  /** CIDR. */
  Subnet: string;
  /** Address without prefix length. */
  Gateway: string;
  /** CIDR within Subnet from which addresses are given out. */
  IPRange: string;
  AuxiliaryAddresses?: Record<string, string>;
}

/** A row of the table `networks`. */
export interface NetworkObject extends ObjectMeta {
  Spec: NetworkSpec;
  /** Set by the allocator in one change; absent while the network is new. */
  Allocated?: {
    Driver: string;
    /** One per IPv4 subnet, in the order of Subnets (RFC 7348: 24 bits; ours start at 4096). Frames bear the first. */
    VNIs: number[];
    Subnets: AllocatedSubnet[];
    Options: Record<string, string>;
  };
  /** Why allocation failed, in words for the user. */
  AllocationError?: string;
}

/** An address held by a container that is not a task. A row of the table `attachments`. */
export interface AttachmentObject extends ObjectMeta {
  NetworkID: string;
  NodeID: string;
  /** CIDR. */
  Address: string;
  /** Chosen by the node, so that a retried request gets the same lease. */
  Reference: string;
}
