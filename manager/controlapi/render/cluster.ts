import type { ClusterObject, ClusterSpec, JoinTokens } from '../../../proto/objects/cluster.ts';
import type { ApiObject } from '../control-api.ts';
import { apiObject, withLabels } from './api-object.ts';
import { tlsInfo } from './tls-info.ts';

/** The Engine API's Swarm. Keys and removed nodes are never shown. */
export function renderCluster(cluster: ClusterObject): ApiObject & { JoinTokens: JoinTokens } {
  const shown = apiObject(cluster, {
    Spec: renderSpec(cluster.Spec),
    TLSInfo: tlsInfo(cluster.RootCA.Certificate),
    RootRotationInProgress: false,
    DefaultAddrPool: cluster.DefaultAddrPool,
    SubnetSize: cluster.SubnetSize,
    DataPathPort: cluster.DataPathPort,
  });
  return { ...shown, JoinTokens: { ...cluster.JoinTokens } } as ApiObject & { JoinTokens: JoinTokens };
}

/** Without the signing certificate too: a client that sent it back without its key would ask for a rotation. */
function renderSpec(spec: ClusterSpec): ClusterSpec {
  const { SigningCACert: _cert, SigningCAKey: _key, ...ca } = spec.CAConfig ?? {};
  return {
    Orchestration: {},
    Raft: {},
    Dispatcher: {},
    TaskDefaults: {},
    EncryptionConfig: { AutoLockManagers: false },
    ...withLabels(spec),
    CAConfig: ca,
  };
}
