export interface PortConfig {
  Name?: string;
  Protocol?: 'tcp' | 'udp' | 'sctp';
  TargetPort?: number;
  PublishedPort?: number;
  PublishMode?: 'ingress' | 'host';
}

export interface EndpointSpec {
  Mode?: 'vip' | 'dnsrr';
  Ports?: PortConfig[] | null;
}

/** The Engine API's Endpoint: what the allocator settled for the service. */
export interface ServiceEndpoint {
  Spec?: EndpointSpec;
  Ports?: PortConfig[];
  /** `Addr` is CIDR. */
  VirtualIPs?: { NetworkID: string; Addr: string }[];
}
