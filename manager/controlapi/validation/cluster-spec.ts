import type { ClusterSpec } from '../../../proto/objects/cluster.ts';
import { WaggleError } from '../../../proto/runtime/errors.ts';
import { swarmError } from '../swarm-error.ts';

const MIN_CERT_EXPIRY_NS = 3600e9;

/** @throws WaggleError invalid-argument in swarmkit's words; unimplemented for what Waggle does not do yet. */
export function validateClusterSpec(spec: ClusterSpec, present: ClusterSpec): void {
  const expiry = spec.CAConfig?.NodeCertExpiry;
  if (expiry !== undefined && expiry < MIN_CERT_EXPIRY_NS) {
    throw swarmError('invalid-argument', 'minimum certificate expiry time is: 1h0m0s');
  }
  if ((spec.Dispatcher?.HeartbeatPeriod ?? 0) < 0) {
    throw swarmError('invalid-argument', 'heartbeat time period cannot be a negative duration');
  }
  if (spec.Name !== 'default') throw swarmError('invalid-argument', 'modification of cluster name is not allowed');
  if (spec.EncryptionConfig?.AutoLockManagers === true) throw missing('locking managers (autolock)');
  if ((spec.CAConfig?.ExternalCAs ?? []).length > 0) throw missing('external certificate authorities');
  const rotates = (spec.CAConfig?.ForceRotate ?? 0) !== (present.CAConfig?.ForceRotate ?? 0);
  const signs = (['SigningCACert', 'SigningCAKey'] as const).some(
    (field) => (spec.CAConfig?.[field] ?? '') !== (present.CAConfig?.[field] ?? ''),
  );
  if (rotates || signs) throw missing('rotation of the root certificate');
}

function missing(what: string): WaggleError {
  return new WaggleError('unimplemented', `${what} is not supported yet`);
}
