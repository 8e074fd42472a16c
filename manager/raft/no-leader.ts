import { WaggleError } from '../../proto/runtime/errors.ts';

/** Whoever asks a member that does not lead, or not any more; in Docker's words. */
export function noLeader(): WaggleError {
  return new WaggleError(
    'unavailable',
    "The swarm does not have a leader. It's possible that too few managers are online. Make sure more than half of the managers are online.",
  );
}
