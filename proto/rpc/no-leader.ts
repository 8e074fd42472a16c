import { WaggleError } from '../runtime/errors.ts';

const TEXT =
  "The swarm does not have a leader. It's possible that too few managers are online. Make sure more than half of the managers are online.";

/** What users read while no manager leads: in Docker it comes to them over gRPC. */
export const NO_LEADER = `rpc error: code = Unknown desc = ${TEXT}`;

/** Whoever asks a manager that does not lead, or not any more; in Docker's words. */
export function noLeader(): WaggleError {
  return new WaggleError('unavailable', TEXT);
}
