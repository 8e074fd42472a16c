import type { ClusterSpec, JoinTokens } from '../../proto/objects/cluster.ts';
import type { NetworkCheck, NetworkTrace, TraceRequest } from '../../proto/objects/diagnosis/report.ts';
import type { Json, ObjectMeta } from '../../proto/objects/meta.ts';
import type { NetworkSpec } from '../../proto/objects/network.ts';
import type { NodeSpec } from '../../proto/objects/node.ts';
import type { ConfigSpec, SecretSpec } from '../../proto/objects/secret.ts';
import type { ServiceSpec } from '../../proto/objects/service.ts';

/** `{"label": ["a", "b=c"], "name": ["web"]}`: values of one key are alternatives, keys must all match (label: every value must match). */
export type Filters = Record<string, string[]>;

/** An object as the Engine API shows it. */
export type ApiObject = ObjectMeta & { [key: string]: Json };

/** The Engine API's network resource: other spelling than the rest (`Id`, `Created`). */
export type ApiNetwork = { Id: string; Name: string } & { [key: string]: Json };

/**
 * Everything a user can ask of the swarm's state. The Engine API calls it; on a manager that does not lead, each
 * call goes to the leader whole (`proto/control.proto`), so arguments and results are plain JSON.
 * Every method throws WaggleError with Docker's own texts (SWARM-BEHAVIOUR.md 6.4).
 * Lookups by `ref`: exact ID, then exact name, then unique ID prefix.
 */
export interface ControlApi {
  /** The swarm with its JoinTokens, as `GET /swarm` shows it. */
  getCluster(args: Record<string, never>): Promise<ApiObject & { JoinTokens: { Worker: string; Manager: string } }>;
  updateCluster(args: {
    version: number;
    spec: ClusterSpec;
    rotateWorkerToken: boolean;
    rotateManagerToken: boolean;
    rotateManagerUnlockKey: boolean;
  }): Promise<Record<string, never>>;
  getUnlockKey(args: Record<string, never>): Promise<{ UnlockKey: string }>;
  getJoinTokens(args: Record<string, never>): Promise<JoinTokens>;

  listNodes(args: { filters: Filters }): Promise<ApiObject[]>;
  getNode(args: { ref: string }): Promise<ApiObject>;
  updateNode(args: { ref: string; version: number; spec: NodeSpec }): Promise<Record<string, never>>;
  removeNode(args: { ref: string; force: boolean }): Promise<Record<string, never>>;

  listServices(args: { filters: Filters; status: boolean }): Promise<ApiObject[]>;
  getService(args: { ref: string; insertDefaults: boolean }): Promise<ApiObject>;
  createService(args: { spec: ServiceSpec; registryAuth?: string }): Promise<{ ID: string; Warnings?: string[] }>;
  updateService(args: {
    ref: string;
    version: number;
    spec: ServiceSpec;
    registryAuth?: string;
    registryAuthFrom: 'spec' | 'previous-spec';
    rollback: boolean;
  }): Promise<{ Warnings?: string[] }>;
  removeService(args: { ref: string }): Promise<Record<string, never>>;

  listTasks(args: { filters: Filters }): Promise<ApiObject[]>;
  getTask(args: { ref: string }): Promise<ApiObject>;

  /** Swarm networks only, each with `Scope: "swarm"`. */
  listNetworks(args: { filters: Filters }): Promise<ApiNetwork[]>;
  /** `verbose` adds Services; Peers is always there. */
  getNetwork(args: { ref: string; verbose: boolean }): Promise<ApiNetwork>;
  /** Resolves once the allocator has settled subnet and VNI; an allocation that fails leaves nothing behind. */
  createNetwork(args: { spec: NetworkSpec }): Promise<{ Id: string; Warning: string }>;
  removeNetwork(args: { ref: string }): Promise<Record<string, never>>;

  /** Declared, gossiped and kernel state of one network, or of all, compared on every node. Takes up to 18 s. */
  getNetworkCheck(args: { network?: string }): Promise<NetworkCheck>;
  /** The way from a container to another one or to an address, hop by hop. `network` when they share several. */
  getNetworkTrace(args: TraceRequest & { network?: string }): Promise<NetworkTrace>;

  listSecrets(args: { filters: Filters }): Promise<ApiObject[]>;
  getSecret(args: { ref: string }): Promise<ApiObject>;
  createSecret(args: { spec: SecretSpec }): Promise<{ ID: string }>;
  updateSecret(args: { ref: string; version: number; spec: SecretSpec }): Promise<Record<string, never>>;
  removeSecret(args: { ref: string }): Promise<Record<string, never>>;

  listConfigs(args: { filters: Filters }): Promise<ApiObject[]>;
  getConfig(args: { ref: string }): Promise<ApiObject>;
  createConfig(args: { spec: ConfigSpec }): Promise<{ ID: string }>;
  updateConfig(args: { ref: string; version: number; spec: ConfigSpec }): Promise<Record<string, never>>;
  removeConfig(args: { ref: string }): Promise<Record<string, never>>;
}

export type ControlOperation = keyof ControlApi;
