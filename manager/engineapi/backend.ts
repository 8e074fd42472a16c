import type { ClusterSpec } from '../../proto/objects/cluster.ts';
import type { Json } from '../../proto/objects/meta.ts';
import type { NodeAvailability } from '../../proto/objects/node.ts';
import type { ControlApi } from '../controlapi/control-api.ts';
import type { StoreEvent } from '../store/transaction.ts';

/** Body of `POST /swarm/init`. */
export interface InitRequest {
  ListenAddr?: string;
  AdvertiseAddr?: string;
  DataPathAddr?: string;
  DataPathPort?: number;
  DefaultAddrPool?: string[] | null;
  SubnetSize?: number;
  ForceNewCluster?: boolean;
  AutoLockManagers?: boolean;
  Spec?: ClusterSpec;
  Availability?: NodeAvailability;
}

/** Body of `POST /swarm/join`. */
export interface JoinRequest {
  ListenAddr?: string;
  AdvertiseAddr?: string;
  DataPathAddr?: string;
  RemoteAddrs?: string[];
  JoinToken?: string;
  Availability?: NodeAvailability;
}

/** What this node is to its swarm, for `/info` and the `Swarm` header of `/_ping`. */
export interface LocalStatus {
  nodeId: string;
  nodeAddr: string;
  state: 'inactive' | 'pending' | 'active' | 'error' | 'locked';
  /** This node has the swarm's state and can be asked anything. */
  manager: boolean;
  error: string;
  remoteManagers: { NodeID: string; Addr: string }[];
}

/** The local network that stands for a swarm network on this node's engine. */
export interface NetworkMapping {
  /** ID on this engine: 64 hex digits. */
  localId: string;
  /** ID in the swarm. */
  clusterId: string;
  name: string;
}

/**
 * What the Engine API needs of its node. Implemented by the composition root (cli/daemon); every method
 * throws WaggleError with Docker's texts.
 */
export interface Backend {
  /** @returns this node's ID. */
  init(request: InitRequest): Promise<string>;
  join(request: JoinRequest): Promise<void>;
  leave(force: boolean): Promise<void>;
  unlock(key: string): Promise<void>;
  status(): LocalStatus;
  /** @throws the 503 of a node that is not a manager, in the words that fit its state. */
  control(): ControlApi;
  /**
   * Committed changes of the swarm's state, for `/events`. Called once, at the start, whatever the node is then; the
   * listener is called while this node is a manager, and must not throw.
   */
  watchEvents(listener: (events: readonly StoreEvent[]) => void): () => void;
  /** Swarm networks that have a local twin on this engine right now. */
  networkMappings(): readonly NetworkMapping[];
  /**
   * The twin of a swarm network, made if need be; undefined when `ref` is no swarm network known to this node.
   * @throws permission-denied for one that is not attachable.
   */
  ensureLocalNetwork(ref: string): Promise<NetworkMapping | undefined>;
  /** Swarm networks this node knows of, as API networks, for nodes that are not managers. */
  knownNetworks(): { [key: string]: Json }[];
}
