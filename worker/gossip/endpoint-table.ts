/** One endpoint on one overlay network (proto/gossip.proto), as its owner published it. */
export interface EndpointRecord {
  networkId: string;
  endpointId: string;
  /** Node ID of the only one who writes this record. */
  owner: string;
  /** IPv4 without prefix length. */
  address: string;
  /** IPv6 without prefix length, as RFC 5952 writes it. */
  address6?: string;
  mac: string;
  /** Underlay address of the owner's VXLAN. */
  vtep: string;
  vni: number;
  /** Names of exactly this container. */
  names: readonly string[];
  /** Names it shares: service, service aliases, and each of these after `tasks.`. */
  services: readonly string[];
  /**
   * When the container came to have its addresses, by its host's clock, and later than all that its host knew to have had them;
   * milliseconds since the epoch. Of two that have an address, the later one is right. Absent: not known, and before all else.
   */
  claimedAt?: number;
}

/** `silent`: the owner does not answer now. */
export interface LocatedRecord extends EndpointRecord {
  silent: boolean;
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
  /**
   * Live records of one network, own ones included. The first look at a network makes this node hold it, and tell the swarm so: what
   * others have comes within a round trip, and is announced. Without a record of its own it ceases some minutes after the last look.
   */
  network(networkId: string): readonly EndpointRecord[];
  /**
   * Where the containers of one network can be reached: the records of `network`, and those of owners that are silent. Their daemon may
   * be down while their containers run on, so the kernel keeps the way to them until somebody else has the address. A look
   * at the network, as `network` is.
   */
  located(networkId: string): readonly LocatedRecord[];
  /** Called with the networks whose records changed, after the change. Returns the unsubscribe. */
  onChange(listener: (networkIds: ReadonlySet<string>) => void): () => void;
  /**
   * True once at least one full exchange with a peer has been done since the start, or there is no peer.
   * @param networkId of this network alone, and nothing is lacking that a silent owner may have there. Default: of all
   * networks that are needed here.
   */
  synced(networkId?: string): boolean;
}
