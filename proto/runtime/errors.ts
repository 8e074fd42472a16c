/**
 * The one error type that crosses a boundary. Its code decides the HTTP status (Engine API) and the gRPC
 * status; its message is what the user reads, in Docker's words where Docker has any.
 */

export type ErrorCode =
  | 'invalid-argument'
  | 'failed-precondition'
  | 'out-of-range'
  | 'not-found'
  | 'already-exists'
  | 'permission-denied'
  | 'unauthenticated'
  | 'unimplemented'
  | 'unavailable'
  | 'deadline-exceeded'
  | 'resource-exhausted'
  | 'aborted'
  | 'internal'
  | 'unknown';

/** A failure that is told to users or peers: the code decides the status of HTTP and gRPC, the message is in Docker's words where it has any. */
export class WaggleError extends Error {
  override readonly name = 'WaggleError';
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** The message of anything that was thrown. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

/** True when trying the same again may succeed: the other side is away, busy, or lost a race. */
export function isTemporary(thrown: unknown): boolean {
  if (!(thrown instanceof WaggleError)) return false;
  return (
    thrown.code === 'unavailable' ||
    thrown.code === 'deadline-exceeded' ||
    thrown.code === 'aborted' ||
    thrown.code === 'resource-exhausted'
  );
}
