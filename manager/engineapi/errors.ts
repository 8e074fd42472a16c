import { type ErrorCode, WaggleError, messageOf } from '../../proto/runtime/errors.ts';

/** As moby's gRPC-to-HTTP table (SWARM-BEHAVIOUR.md 6.4); what is not in it is 500. */
const STATUS: Readonly<Record<ErrorCode, number>> = {
  'invalid-argument': 400,
  'failed-precondition': 400,
  'out-of-range': 400,
  'not-found': 404,
  'already-exists': 409,
  'permission-denied': 403,
  unauthenticated: 401,
  unimplemented: 501,
  unavailable: 503,
  'deadline-exceeded': 500,
  'resource-exhausted': 500,
  aborted: 500,
  internal: 500,
  unknown: 500,
};

/** A request body over the limit; answered with 413. */
export class BodyTooLarge extends Error {
  override readonly name = 'BodyTooLarge';

  constructor() {
    super('http: request body too large');
  }
}

/** What the engine itself answered, to be handed on as it is. */
export class EngineAnswer extends Error {
  override readonly name = 'EngineAnswer';
  readonly status: number;
  readonly contentType: string;
  readonly body: Buffer;

  constructor(status: number, contentType: string, body: Buffer) {
    super(`the engine answered ${status}`);
    this.status = status;
    this.contentType = contentType;
    this.body = body;
  }
}

/** HTTP status and text of anything that was thrown. */
export function errorReply(thrown: unknown): { status: number; message: string } {
  const message = messageOf(thrown);
  if (thrown instanceof BodyTooLarge) return { status: 413, message };
  if (!(thrown instanceof WaggleError)) return { status: 500, message };
  return { status: STATUS[thrown.code], message };
}

/** In the words of Docker's clients, who look for them. */
export function engineUnreachable(socketPath: string, cause?: unknown): WaggleError {
  return new WaggleError(
    'unavailable',
    `Cannot connect to the Docker daemon at unix://${socketPath}. Is the docker daemon running?`,
    { cause },
  );
}
