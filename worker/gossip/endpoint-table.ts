/** One endpoint on one overlay network (proto/gossip.proto), as its owner published it. */
export interface EndpointRecord {
  networkId: string;
  endpointId: string;
  /** Node ID of the only one who writes this record. */
  owner: string;
  /** IPv4 without prefix length. */
  address: string;
  mac: string;
  /** Underlay address of the owner's VXLAN. */
  vtep: string;
  vni: number;
  /** Names of exactly this container. */
  names: readonly string[];
  /** Names it shares: service, service aliases, `tasks.<service>`. */
  services: readonly string[];
}

/** What a node says of its own endpoint; owner and order are added by the table. */
export type LocalEndpoint = Omit<EndpointRecord, 'owner'>;

/**
 * Where every endpoint of the swarm is. Own records are published at once to all nodes; late and duplicated
 * messages change nothing; only an owner changes its records.
 */
export interface EndpointTable {
  /** Publishes or republishes; the same content again is no change. */
  publish(endpoint: LocalEndpoint): void;
  withdraw(networkId: string, endpointId: string): void;
  /** Live records of one network, own ones included. */
  network(networkId: string): readonly EndpointRecord[];
  /** Called with the networks whose records changed, after the change. Returns the unsubscribe. */
  onChange(listener: (networkIds: ReadonlySet<string>) => void): () => void;
  /** True once at least one full exchange with a peer has been done since the start, or there is no peer. */
  synced(): boolean;
}
