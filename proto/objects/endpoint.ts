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

/** The ports, by their numbers, that the endpoint publishes on the whole cluster. */
export function clusterPortsOf(
  endpoint: Pick<ServiceEndpoint, 'Ports'> | undefined,
): { protocol: string; port: number }[] {
  return (endpoint?.Ports ?? [])
    .filter((port) => (port.PublishMode ?? 'ingress') === 'ingress' && (port.PublishedPort ?? 0) !== 0)
    .map((port) => ({ protocol: port.Protocol ?? 'tcp', port: port.PublishedPort ?? 0 }));
}
