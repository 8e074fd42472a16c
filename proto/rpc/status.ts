import { Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { type ErrorCode, messageOf, WaggleError } from '../runtime/errors.ts';

const STATUS_OF: Readonly<Record<ErrorCode, status>> = {
  'invalid-argument': status.INVALID_ARGUMENT,
  'failed-precondition': status.FAILED_PRECONDITION,
  'out-of-range': status.OUT_OF_RANGE,
  'not-found': status.NOT_FOUND,
  'already-exists': status.ALREADY_EXISTS,
  'permission-denied': status.PERMISSION_DENIED,
  unauthenticated: status.UNAUTHENTICATED,
  unimplemented: status.UNIMPLEMENTED,
  unavailable: status.UNAVAILABLE,
  'deadline-exceeded': status.DEADLINE_EXCEEDED,
  'resource-exhausted': status.RESOURCE_EXHAUSTED,
  aborted: status.ABORTED,
  internal: status.INTERNAL,
  unknown: status.UNKNOWN,
};

const OTHER_SWARM = 'the manager there is one of another swarm';

const CODE_OF: ReadonlyMap<status, ErrorCode> = new Map(
  Object.entries(STATUS_OF).map(([code, number]) => [number, code as ErrorCode]),
);

/** A code as it came from a peer; what is none of ours is `unknown`. */
export function errorCodeOf(text: string): ErrorCode {
  return Object.hasOwn(STATUS_OF, text) ? (text as ErrorCode) : 'unknown';
}

/** What a handler answers when it threw. The message is kept word for word; what is no WaggleError is `unknown`. */
export function toServiceError(thrown: unknown): ServiceError {
  const code = thrown instanceof WaggleError ? thrown.code : 'unknown';
  const details = messageOf(thrown);
  return Object.assign(new Error(details), { code: STATUS_OF[code], details, metadata: new Metadata() });
}

/** What a call failed with, as the error that the other side threw. A cancelled call is `aborted`. */
export function fromServiceError(thrown: unknown): WaggleError {
  if (thrown instanceof WaggleError) return thrown;
  if (!isServiceError(thrown)) return new WaggleError('unknown', messageOf(thrown), { cause: thrown });
  // No status of the other side's: it went while the call was open.
  if (thrown.code === status.INTERNAL && ENDED_EARLY.test(thrown.details)) {
    return new WaggleError('unavailable', 'the other side ended the connection', { cause: thrown });
  }
  const code = thrown.code === status.CANCELLED ? 'aborted' : (CODE_OF.get(thrown.code) ?? 'unknown');
  return new WaggleError(code, plainWords(thrown.details), { cause: thrown });
}

function isServiceError(thrown: unknown): thrown is ServiceError {
  return thrown instanceof Error && 'code' in thrown && typeof thrown.code === 'number' && 'details' in thrown;
}

/** grpc-js's words. */
const ENDED_EARLY = /^Received RST_STREAM with code \d+ \((?:Call ended without gRPC status|Internal server error)\)/;

/** OpenSSL's words for a certificate that another root has signed, whatever that one is called. */
const OTHER_ROOT = /self-signed certificate|certificate signature failure|unable to (?:verify|get)[^.]* certificate/;

/** OpenSSL's words for a certificate outside of its time, by the clock of this host. */
const OUT_OF_TIME = /certificate (?:is not yet valid|has expired)/;

/** True for a manager that was reached and is one of another swarm: its certificate is not from our root. */
export function isOtherSwarm(error: unknown): boolean {
  return error instanceof WaggleError && error.code === 'unavailable' && error.message.startsWith(OTHER_SWARM);
}

/** How grpc-js wraps what the system says of a connection that could not be made: `connect ECONNREFUSED …` is enough. */
function plainWords(details: string): string {
  const match = /^No connection established\. Last error: (?:Error: )?(.+?)\.? Resolution note: (.*)$/s.exec(details);
  if (match === null) return details;
  if (OTHER_ROOT.test(match[1] ?? '')) return `${OTHER_SWARM}: ${match[1]}`;
  if (OUT_OF_TIME.test(match[1] ?? '')) return `${match[1]} by the clock of this host: compare it with the manager's`;
  return match[2] === '' ? (match[1] ?? details) : `${match[1]} (${match[2]})`;
}
