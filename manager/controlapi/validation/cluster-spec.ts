import type { ClusterSpec } from '../../../proto/objects/cluster.ts';
import { WaggleError } from '../../../proto/runtime/errors.ts';
import { swarmError } from '../swarm-error.ts';

const RAFT_FIELDS = [
  'SnapshotInterval',
  'KeepOldSnapshots',
  'LogEntriesForSlowFollowers',
  'ElectionTick',
  'HeartbeatTick',
] as const;
const MIN_CERT_EXPIRY_NS = 3600e9;

/**
 * @param present what the swarm has so far.
 * @throws WaggleError invalid-argument in swarmkit's words; unimplemented for what Waggle does not do yet.
 */
export function validateClusterSpec(spec: ClusterSpec, present: ClusterSpec): void {
  validateSettings(spec);
  const rotates = (spec.CAConfig?.ForceRotate ?? 0) !== (present.CAConfig?.ForceRotate ?? 0);
  const signs = (['SigningCACert', 'SigningCAKey'] as const).some(
    (field) => (spec.CAConfig?.[field] ?? '') !== (present.CAConfig?.[field] ?? ''),
  );
  if (rotates || signs) throw missing('rotation of the root certificate is');
}

/**
 * What a new swarm may begin with: all that an update takes. Its root is new, however often it is to be rotated; zero and
 * empty stand for the default. @throws as `validateClusterSpec`.
 */
export function validateNewClusterSpec(spec: Partial<ClusterSpec>): void {
  validateSettings({ ...spec, Name: spec.Name || 'default' });
  const { SigningCACert, SigningCAKey } = spec.CAConfig ?? {};
  if (SigningCACert || SigningCAKey) throw missing('a root certificate from elsewhere is');
}

function validateSettings(spec: ClusterSpec): void {
  validateRaftConfig(spec.Raft);
  const expiry = spec.CAConfig?.NodeCertExpiry ?? 0;
  if (expiry !== 0 && expiry < MIN_CERT_EXPIRY_NS) {
    throw swarmError('invalid-argument', 'minimum certificate expiry time is: 1h0m0s');
  }
  if ((spec.Dispatcher?.HeartbeatPeriod ?? 0) < 0) {
    throw swarmError('invalid-argument', 'heartbeat time period cannot be a negative duration');
  }
  if (spec.Name !== 'default') throw swarmError('invalid-argument', 'modification of cluster name is not allowed');
  if ((spec.CAConfig?.ExternalCAs ?? []).length > 0) throw missing('external certificate authorities are');
}

/** Docker takes any other values, also such as make no sense together. @throws WaggleError invalid-argument in Docker's words. */
function validateRaftConfig(raft: ClusterSpec['Raft']): void {
  for (const field of RAFT_FIELDS) {
    const value = raft?.[field];
    if (value === undefined || value === null || (Number.isSafeInteger(value) && value >= 0)) continue;
    const given = typeof value === 'number' ? `number ${String(value)}` : typeof value;
    const text = `json: cannot unmarshal ${given} into Go struct field RaftConfig.Raft.${field} of type uint64`;
    throw new WaggleError('invalid-argument', text);
  }
}

function missing(what: string): WaggleError {
  return new WaggleError('unimplemented', `${what} not supported yet`);
}
