import type { ClusterObject } from '../../proto/objects/cluster.ts';
import { rfc3339 } from '../../proto/runtime/clock.ts';

const DEFAULT_CERT_EXPIRY_MS = 90 * 24 * 3600 * 1000;
/** As long as swarmkit keeps a certificate refused after it has expired. */
const GRACE_MS = 7 * 24 * 3600 * 1000;

/** The removed nodes whose certificates may still be valid. */
export function unexpiredRemovals(cluster: ClusterObject, nowMs: number): ClusterObject['RemovedNodes'] {
  return cluster.RemovedNodes.filter((removed) => Date.parse(removed.Until) > nowMs);
}

/** With one more, refused until the certificates given to it must have expired. */
export function withRemoval(cluster: ClusterObject, nodeId: string, nowMs: number): ClusterObject['RemovedNodes'] {
  const expiryNs = cluster.Spec.CAConfig?.NodeCertExpiry;
  const expiryMs = expiryNs === undefined ? DEFAULT_CERT_EXPIRY_MS : Math.max(expiryNs / 1e6, DEFAULT_CERT_EXPIRY_MS);
  const others = unexpiredRemovals(cluster, nowMs).filter((removed) => removed.ID !== nodeId);
  return [...others, { ID: nodeId, Until: rfc3339(Math.ceil(nowMs + expiryMs + GRACE_MS)) }];
}
