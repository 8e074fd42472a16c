import { type ErrorCode, WaggleError } from '../../proto/runtime/errors.ts';

/** gRPC's names of the codes, as Docker prints them. */
const STATUS_NAMES: Readonly<Record<ErrorCode, string>> = {
  'invalid-argument': 'InvalidArgument',
  'failed-precondition': 'FailedPrecondition',
  'out-of-range': 'OutOfRange',
  'not-found': 'NotFound',
  'already-exists': 'AlreadyExists',
  'permission-denied': 'PermissionDenied',
  unauthenticated: 'Unauthenticated',
  unimplemented: 'Unimplemented',
  unavailable: 'Unavailable',
  'deadline-exceeded': 'DeadlineExceeded',
  'resource-exhausted': 'ResourceExhausted',
  aborted: 'Aborted',
  internal: 'Internal',
  unknown: 'Unknown',
};

/** An error that in Docker comes from the swarm manager over gRPC, whose prefix its users see and grep for. */
export function swarmError(code: ErrorCode, description: string): WaggleError {
  return new WaggleError(code, `rpc error: code = ${STATUS_NAMES[code]} desc = ${description}`);
}

/** The answer to a version that is not the object's present one; clients look for this very text. */
export function outOfSequence(): WaggleError {
  return swarmError('unknown', 'update out of sequence');
}
