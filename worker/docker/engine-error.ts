import { type ErrorCode, messageOf, WaggleError } from '../../proto/runtime/errors.ts';
import { TaskError } from '../exec/controller.ts';

const CODE_OF_STATUS: ReadonlyMap<number, ErrorCode> = new Map([
  [400, 'invalid-argument'],
  [401, 'unauthenticated'],
  [403, 'permission-denied'],
  [404, 'not-found'],
  [406, 'invalid-argument'],
  [409, 'already-exists'],
  [500, 'internal'],
  [501, 'unimplemented'],
]);

/** How dockerode wraps the engine's words when it does not keep the body: `(HTTP code 404) no such image - words `. */
const WRAPPED = /^\(HTTP code \d+\) .*? - ([\s\S]*?) ?$/;

/**
 * What a failed call to the engine means. An answer keeps the engine's words and becomes the code of its status; no
 * answer (socket absent, reset, time-out) is `unavailable`. A WaggleError passes as it is.
 */
export function engineError(thrown: unknown, socketPath: string): WaggleError {
  if (thrown instanceof WaggleError) return thrown;
  const status = statusOf(thrown);
  if (status === undefined) {
    const message = `cannot connect to the Docker Engine at unix://${socketPath}: ${messageOf(thrown)}`;
    return new WaggleError('unavailable', message, { cause: thrown });
  }
  const code = CODE_OF_STATUS.get(status) ?? (status >= 500 ? 'unavailable' : 'invalid-argument');
  return new WaggleError(code, wordsOf(thrown), { cause: thrown });
}

/** True when the engine answered that there is no such thing. */
export function isNotFound(thrown: unknown): boolean {
  return thrown instanceof WaggleError && thrown.code === 'not-found';
}

/** True when the engine answered that it has not got the image of a container that it was to create. */
export function isMissingImage(thrown: unknown): boolean {
  return isNotFound(thrown) && /^no such image/i.test(messageOf(thrown));
}

/** True when the engine answered that the name is taken, or that the same thing is under way. */
export function isConflict(thrown: unknown): boolean {
  return thrown instanceof WaggleError && thrown.code === 'already-exists';
}

/** True when there was no answer at all, so that nothing is known about what the engine did. */
export function isAway(thrown: unknown): boolean {
  return thrown instanceof WaggleError && (thrown.code === 'unavailable' || thrown.code === 'deadline-exceeded');
}

/** True when the engine answered that it was so already (304: started, stopped). */
export function isUnchanged(thrown: unknown): boolean {
  return thrown instanceof WaggleError && statusOf(thrown.cause) === 304;
}

/** The same failure as the task's, in the engine's words. */
export function taskError(thrown: unknown, temporary: boolean): TaskError {
  if (thrown instanceof TaskError) return thrown;
  return new TaskError(messageOf(thrown), { temporary, cause: thrown });
}

function statusOf(thrown: unknown): number | undefined {
  if (typeof thrown !== 'object' || thrown === null || !('statusCode' in thrown)) return undefined;
  return typeof thrown.statusCode === 'number' ? thrown.statusCode : undefined;
}

function wordsOf(thrown: unknown): string {
  if (typeof thrown === 'object' && thrown !== null && 'json' in thrown) {
    const { json } = thrown;
    if (typeof json === 'object' && json !== null && 'message' in json && typeof json.message === 'string') {
      return json.message.trim();
    }
  }
  const message = messageOf(thrown);
  return WRAPPED.exec(message)?.[1]?.trim() ?? message;
}
