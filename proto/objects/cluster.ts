import type { Annotations, ObjectMeta } from './meta.ts';

/** The Engine API's SwarmSpec. Durations are nanoseconds. */
export interface ClusterSpec extends Annotations {
  Orchestration?: { TaskHistoryRetentionLimit?: number };
  Raft?: {
    SnapshotInterval?: number;
    KeepOldSnapshots?: number;
    LogEntriesForSlowFollowers?: number;
    ElectionTick?: number;
    HeartbeatTick?: number;
  };
  Dispatcher?: { HeartbeatPeriod?: number };
  CAConfig?: {
    NodeCertExpiry?: number;
    ExternalCAs?: { Protocol: string; URL: string; Options?: Record<string, string> | null; CACert?: string }[] | null;
    SigningCACert?: string;
    SigningCAKey?: string;
    ForceRotate?: number;
  };
  TaskDefaults?: { LogDriver?: { Name?: string; Options?: Record<string, string> | null } };
  EncryptionConfig?: { AutoLockManagers: boolean };
}

/** A section of the spec as Docker changes it: what is absent or zero in `given` stays as it was. */
export function withGiven<V extends object>(present: V | null | undefined, given: V | null | undefined): V {
  const kept = Object.entries(given ?? {}).filter(
    ([key, value]) => key === 'KeepOldSnapshots' || (value !== 0 && value !== ''),
  );
  return { ...present, ...Object.fromEntries(kept.filter(([, value]) => value !== null && value !== undefined)) } as V;
}

export interface JoinTokens {
  Worker: string;
  Manager: string;
}

/** A symmetric key of one subsystem; the highest tag is the newest. `Key` is base64. */
export interface ClusterKey {
  Subsystem: 'networking:gossip';
  Tag: number;
  Key: string;
  CreatedAt: string;
}

/** The one row of the table `clusters`. Its name is always `default`. */
export interface ClusterObject extends ObjectMeta {
  Spec: ClusterSpec;
  JoinTokens: JoinTokens;
  RootCA: {
    /** PEM. */
    Certificate: string;
    /** PEM, PKCS#8. Never leaves the managers. */
    Key: string;
  };
  DefaultAddrPool: string[];
  SubnetSize: number;
  DataPathPort: number;
  Keys: ClusterKey[];
  /** Node IDs that were removed, with the time until which their certificates are refused. */
  RemovedNodes: { ID: string; Until: string }[];
  UnlockKey?: string;
}

/** What a worker needs to know of its swarm. Sent in SessionMessage.cluster_json. */
export interface ClusterFacts {
  ID: string;
  DataPathPort: number;
  HeartbeatPeriodMs: number;
}
