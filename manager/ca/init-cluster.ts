import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { type ClusterKey, type ClusterSpec, withGiven } from '../../proto/objects/cluster.ts';
import { newId } from '../../proto/objects/naming.ts';
import type { NodeAvailability } from '../../proto/objects/node.ts';
import { newUnlockKey } from '../../proto/objects/unlock-key.ts';
import type { TlsMaterial } from '../../proto/rpc/credentials.ts';
import { type Clock, rfc3339 } from '../../proto/runtime/clock.ts';
import type { NewObject, Store } from '../store/transaction.ts';
import { certExpiryMs, newNode } from './certificate-authority.ts';
import { clusterOf } from './cluster-membership.ts';
import { newJoinToken } from './join-tokens.ts';
import { createRoot, RootCa } from './root-ca.ts';

const DEFAULT_DATA_PATH_PORT = 4789;
const DEFAULT_SUBNET_SIZE = 24;
const DEFAULT_ADDRESS_POOL = '10.0.0.0/8';
const GOSSIP_KEY_BYTES = 16;

/** What `POST /swarm/init` may set; 0 and empty mean the default. */
export interface InitClusterOptions {
  spec?: Partial<ClusterSpec>;
  availability?: NodeAvailability;
  defaultAddrPool?: readonly string[] | null;
  subnetSize?: number;
  dataPathPort?: number;
  /** host:port under which other nodes reach this manager. */
  managerAddress: string;
  raftId?: number;
  /** Managers are locked from the beginning, whatever the spec says. */
  autoLock?: boolean;
}

/** A new swarm before it is written anywhere: its first objects and its first manager's identity. */
export interface NewCluster {
  cluster: NewObject<'clusters'>;
  node: NewObject<'nodes'>;
  material: TlsMaterial;
}

/** Makes root CA, join tokens, gossip key, and the first manager with its certificate. Nothing is written yet. */
export async function initCluster(options: InitClusterOptions, modules: { clock: Clock }): Promise<NewCluster> {
  const now = modules.clock.now();
  const root = await createRoot(now);
  const [clusterId, nodeId] = [newId(), newId()];
  const spec = withDefaults(options.spec ?? {}, options.autoLock === true);
  const cluster: NewObject<'clusters'> = {
    ID: clusterId,
    Spec: spec,
    JoinTokens: { Worker: newJoinToken(root.certificate), Manager: newJoinToken(root.certificate) },
    RootCA: { Certificate: root.certificate, Key: root.key },
    DefaultAddrPool: nonEmpty(options.defaultAddrPool) ?? [DEFAULT_ADDRESS_POOL],
    SubnetSize: options.subnetSize || DEFAULT_SUBNET_SIZE,
    DataPathPort: options.dataPathPort || DEFAULT_DATA_PATH_PORT,
    Keys: [newGossipKey(1, now)],
    RemovedNodes: [],
    ...(spec.EncryptionConfig?.AutoLockManagers === true ? { UnlockKey: newUnlockKey(randomBytes) } : {}),
  };
  const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const publicKey = pair.publicKey.export({ type: 'spki', format: 'der' });
  const ca = await RootCa.open(root);
  const certificate = await ca.issue(publicKey, { nodeId, clusterId, role: 'manager' }, now, certExpiryMs(cluster));
  return {
    cluster,
    node: firstNode(nodeId, options),
    material: {
      certificate,
      key: pair.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
      root: root.certificate,
    },
  };
}

/** Writes the new swarm into its empty store. Again after a crash it changes nothing. */
export async function storeNewCluster(store: Store, created: Pick<NewCluster, 'cluster' | 'node'>): Promise<void> {
  await store.update((tx) => {
    if (clusterOf(tx) !== undefined) return;
    tx.create('clusters', created.cluster);
    tx.create('nodes', created.node);
  });
}

/** A random gossip key. @param tag higher than every older key's. */
export function newGossipKey(tag: number, nowMs: number): ClusterKey {
  return {
    Subsystem: 'networking:gossip',
    Tag: tag,
    Key: randomBytes(GOSSIP_KEY_BYTES).toString('base64'),
    CreatedAt: rfc3339(nowMs),
  };
}

function firstNode(nodeId: string, options: InitClusterOptions): NewObject<'nodes'> {
  const node = newNode(nodeId, 'manager', options.availability ?? 'active');
  return {
    ...node,
    ManagerStatus: { Leader: true, Reachability: 'reachable', Addr: options.managerAddress },
    ...(options.raftId === undefined ? {} : { RaftID: options.raftId }),
  };
}

const RAFT_DEFAULTS: NonNullable<ClusterSpec['Raft']> = {
  SnapshotInterval: 10_000,
  KeepOldSnapshots: 0,
  LogEntriesForSlowFollowers: 500,
  ElectionTick: 10,
  HeartbeatTick: 1,
};

/** Docker fills these in at init, and clients read them back (SWARM-BEHAVIOUR 2.1 to 2.4). */
function withDefaults(spec: Partial<ClusterSpec>, autoLock: boolean): ClusterSpec {
  return {
    ...spec,
    Name: 'default',
    Labels: spec.Labels ?? {},
    Orchestration: { TaskHistoryRetentionLimit: 5, ...spec.Orchestration },
    Raft: withGiven(RAFT_DEFAULTS, spec.Raft),
    Dispatcher: { HeartbeatPeriod: spec.Dispatcher?.HeartbeatPeriod || 5e9 },
    CAConfig: { ...spec.CAConfig, NodeCertExpiry: spec.CAConfig?.NodeCertExpiry || 7776e12 },
    TaskDefaults: spec.TaskDefaults ?? {},
    EncryptionConfig: { AutoLockManagers: autoLock || spec.EncryptionConfig?.AutoLockManagers === true },
  };
}

function nonEmpty(pool: readonly string[] | null | undefined): string[] | undefined {
  return pool === undefined || pool === null || pool.length === 0 ? undefined : [...pool];
}
